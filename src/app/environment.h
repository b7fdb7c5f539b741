// The environment of the worker: what the directive "env" says.
#pragma once
#include "feature/core/main.h"

// Leaves the variables that "env" names, with the values that it gives, and TZ. Before there are other threads.
void environment_apply(const struct main_conf *m);
