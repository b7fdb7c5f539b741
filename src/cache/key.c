// Names of objects.
#include "cache/key.h"
#include <stdlib.h>

void cache_id_of(struct str key, struct cache_id *id) { md5_of(key, id->bytes); }

void cache_id_hex(const struct cache_id *id, char to[CACHE_NAME]) {
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < MD5_BYTES; i++) {
        to[2 * i] = digits[id->bytes[i] >> 4];
        to[2 * i + 1] = digits[id->bytes[i] & 15];
    }
}

bool cache_id_from_hex(struct str name, struct cache_id *id) {
    if (name.n != CACHE_NAME)
        return false;
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f'))
            return false;
        unsigned v = (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
        id->bytes[i / 2] = (unsigned char)(i % 2 == 0 ? v << 4 : id->bytes[i / 2] | v);
    }
    return true;
}

size_t cache_file_path(char *to, struct str path, const unsigned char *levels, const struct cache_id *id) {
    char name[CACHE_NAME];
    cache_id_hex(id, name);
    memcpy(to, path.p, path.n);
    size_t n = path.n, from = CACHE_NAME;
    to[n++] = '/';
    for (size_t i = 0; i < CACHE_LEVELS_MAX && levels[i] != 0; i++) {
        from -= levels[i];
        memcpy(to + n, name + from, levels[i]);
        n += levels[i];
        to[n++] = '/';
    }
    memcpy(to + n, name, CACHE_NAME);
    n += CACHE_NAME;
    to[n] = '\0';
    return n;
}
