// The statuses of answers that add_header and expires decorate.
#pragma once
#include <stdbool.h>

bool status_is_decorated(unsigned status);
