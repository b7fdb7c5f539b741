// What an object is called: the MD5 of its key, as nginx has it, so that scripts which look for files find them; with Vary, of
// that and of the fields that the answer depends on.
#pragma once
#include "base/arena.h"
#include "base/md5.h"
#include "wire/head.h"

struct cache_id {
    unsigned char bytes[MD5_BYTES];
};

enum { CACHE_LEVELS_MAX = 3, CACHE_NAME = 2 * MD5_BYTES };

void cache_id_of(struct str key, struct cache_id *id);
// Of the variant that a request gets, where the object called `main` was answered with this Vary.
void cache_variant_of(const struct cache_id *main, struct str vary, const struct head *request, struct cache_id *id);
// Vary in the form that is kept: names in small letters, sorted, each once, joined by ",". STR_NONE when an answer with it
// fits no other request ("*", more than CACHE_VARY_MAX names, or one that is no name).
enum { CACHE_VARY_MAX = 32 };
struct str cache_vary(const struct head *response, struct arena *a);

static inline bool cache_id_eq(const struct cache_id *a, const struct cache_id *b) {
    return memcmp(a->bytes, b->bytes, MD5_BYTES) == 0;
}
void cache_id_hex(const struct cache_id *id, char to[CACHE_NAME]);
bool cache_id_from_hex(struct str name, struct cache_id *id); // small letters only; false: that is no name of ours
// "PATH/c/29/b7f54b...": directories from the end of the name. Room: PATH and 64 bytes. NUL-terminated; its length.
size_t cache_file_path(char *to, struct str path, const unsigned char *levels, const struct cache_id *id);
