// For store.c: an object of what was in a file.
#pragma once
#include "cache/object.h"

// Takes `text` (malloc'd), which is as put_front and put_fields wrote it. Without data. NULL: it is not.
struct cache_object *object_of_text(const struct cache_id *main, const struct cache_id *id, const struct cache_facts *facts,
                                    char *text, size_t n, size_t key_n, size_t vary_n);
