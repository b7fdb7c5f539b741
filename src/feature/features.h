// The one table of all features. A new feature adds its line to features.c, in the place where its hooks belong: hooks of
// one stage and order run in the order of this table.
#pragma once
#include "conf/conf.h"

extern struct feature *const all_features[];
extern const size_t all_features_count;
