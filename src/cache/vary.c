// Vary (RFC 9110 12.5.5, RFC 9111 4.1): which fields of a request an answer depends on, and what they say in one.
#include "cache/key.h"
#include <stdlib.h>

static int by_name(const void *a, const void *b) { return str_cmp(*(const struct str *)a, *(const struct str *)b); }

struct str cache_vary(const struct head *h, struct arena *a) {
    struct str names[CACHE_VARY_MAX];
    size_t count = 0, bytes = 0;
    for (const struct field *f = head_find(h, FIELD_VARY); f != NULL; f = head_find_next(h, f)) {
        struct str rest = f->value, one;
        while (rest.n != 0 && list_next(&rest, &one)) {
            if (count == CACHE_VARY_MAX || !is_token(one) || str_eq(one, STR("*")))
                return STR_NONE;
            names[count++] = arena_lower(a, one);
            bytes += one.n + 1;
        }
    }
    qsort(names, count, sizeof *names, by_name);
    char *text = arena_bytes(a, bytes + 1);
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        if (i != 0 && str_eq(names[i], names[i - 1]))
            continue;
        if (n != 0)
            text[n++] = ',';
        memcpy(text + n, names[i].p, names[i].n);
        n += names[i].n;
    }
    return str_n(text, n);
}

// A value without what may be written in different ways and means the same: white space around it and around commas
// (RFC 9111 4.1). Lines of one name are a list.
static void add_value(struct md5 *m, struct str value) {
    size_t from = 0;
    for (size_t i = 0; i <= value.n; i++) {
        if (i < value.n && value.p[i] != ',')
            continue;
        md5_add(m, str_trim(str_n(value.p + from, i - from)));
        md5_add(m, STR(","));
        from = i + 1;
    }
}

static void add_field(struct md5 *m, const struct head *request, struct str name) {
    enum field_id id = field_id_of(name);
    md5_add(m, name);
    md5_add(m, STR("\n"));
    const struct field *f = id != FIELD_UNKNOWN ? head_find(request, id) : head_find_name(request, name);
    for (; f != NULL; f = head_find_next(request, f)) {
        if (f->value.n != 0)
            add_value(m, f->value);
    }
    md5_add(m, STR("\n"));
}

void cache_variant_of(const struct cache_id *main, struct str vary, const struct head *request, struct cache_id *id) {
    struct md5 m;
    md5_init(&m);
    md5_add(&m, str_n((const char *)main->bytes, MD5_BYTES));
    struct str name;
    while (vary.n != 0 && str_split(&vary, ',', &name))
        add_field(&m, request, name);
    md5_end(&m, id->bytes);
}
