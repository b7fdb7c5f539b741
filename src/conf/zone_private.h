// Private to conf/.
#pragma once
#include "conf/zone.h"

uint64_t zones_next_generation(struct zones *z); // 1, 2, ...: one for each load
