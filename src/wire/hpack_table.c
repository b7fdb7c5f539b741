// The tables of HPACK: the static one, and dynamic ones. A dynamic table is a ring of entries beside one buffer that their
// bytes stand in, oldest first; when the end of the buffer is met, what lives moves to its beginning, so that every string is
// in one piece.
#include "wire/hpack.h"
#include "wire/hpack_tables.h"
#include <stdlib.h>

const struct hpack_row hpack_rows[HPACK_STATIC_COUNT + 1] = {
#define X(index, name, value, id) [index] = {STR_INIT(name), STR_INIT(value), id},
    HPACK_STATIC_PSEUDO(X) HPACK_STATIC_FIELDS(X) HPACK_STATIC_OTHERS(X)
#undef X
};

unsigned hpack_id_of(struct str name) {
    if (name.n == 0 || name.p[0] != ':')
        return field_id_of(name);
    static const struct {
        struct str name;
        uint16_t id;
    } pseudo[] = {{STR_INIT(":authority"), PSEUDO_AUTHORITY}, {STR_INIT(":method"), PSEUDO_METHOD},
                  {STR_INIT(":path"), PSEUDO_PATH},           {STR_INIT(":scheme"), PSEUDO_SCHEME},
                  {STR_INIT(":status"), PSEUDO_STATUS},       {STR_INIT(":protocol"), PSEUDO_PROTOCOL}};
    for (size_t i = 0; i < ARRAY_LEN(pseudo); i++) {
        if (str_eq(name, pseudo[i].name))
            return pseudo[i].id;
    }
    return PSEUDO_UNKNOWN;
}

// --- dynamic tables ----------------------------------------------------------------------------------------------------------

static size_t entry_bytes(const struct hpack_entry *e) { return (e->static_name ? 0 : e->name_n) + e->value_n; }
static uint32_t entry_size(const struct hpack_entry *e) { return e->name_n + e->value_n + HPACK_ENTRY_OVERHEAD; }

static void evict(struct hpack_table *t) {
    struct hpack_entry *e = &t->at[t->first];
    t->size -= entry_size(e);
    t->from += (uint32_t)entry_bytes(e);
    t->first = (t->first + 1) & (t->cap - 1);
    t->count--;
    if (t->count == 0)
        t->from = t->end = 0;
}

void hpack_table_resize(struct hpack_table *t, uint32_t max) {
    t->max = max;
    while (t->size > max)
        evict(t);
}

void hpack_table_done(struct hpack_table *t) {
    free(t->at);
    free(t->bytes);
    *t = (struct hpack_table){0};
}

size_t hpack_table_memory(const struct hpack_table *t) { return t->cap * sizeof(*t->at) + t->bytes_cap; }

static void more_entries(struct hpack_table *t) {
    uint32_t cap = t->cap == 0 ? 8 : t->cap * 2;
    struct hpack_entry *at = xmalloc(cap * sizeof(*at));
    for (uint32_t i = 0; i < t->count; i++)
        at[i] = t->at[(t->first + i) & (t->cap - 1)];
    free(t->at);
    t->at = at;
    t->cap = cap;
    t->first = 0;
}

// Room for n bytes at the end. Live bytes move only after at least as many were added since, so each moves about once.
static void bytes_room(struct hpack_table *t, uint32_t n) {
    if (t->bytes != NULL && t->bytes_cap - t->end >= n)
        return;
    uint32_t live = t->end - t->from, cap = t->bytes_cap == 0 ? 256 : t->bytes_cap;
    while (cap - live < n || live > cap / 2)
        cap *= 2;
    char *to = cap == t->bytes_cap ? t->bytes : xmalloc(cap);
    if (live != 0)
        memmove(to, t->bytes + t->from, live);
    for (uint32_t i = 0; i < t->count; i++)
        t->at[(t->first + i) & (t->cap - 1)].at -= t->from;
    if (to != t->bytes)
        free(t->bytes);
    t->bytes = to;
    t->bytes_cap = cap;
    t->from = 0;
    t->end = live;
}

void hpack_table_add(struct hpack_table *t, const struct hpack_field *f, unsigned static_name) {
    uint64_t size = (uint64_t)f->name.n + f->value.n + HPACK_ENTRY_OVERHEAD;
    t->inserted++;
    if (size > t->max) { // RFC 7541 4.4: not an error
        while (t->count != 0)
            evict(t);
        return;
    }
    while (t->size + size > t->max)
        evict(t);
    if (t->count == t->cap)
        more_entries(t);
    uint32_t n = (uint32_t)((static_name ? 0 : f->name.n) + f->value.n);
    bytes_room(t, n);
    struct hpack_entry *e = &t->at[(t->first + t->count) & (t->cap - 1)];
    *e = (struct hpack_entry){
        .at = t->end,
        .name_n = (uint32_t)f->name.n,
        .value_n = (uint32_t)f->value.n,
        .id = f->id,
        .static_name = (uint8_t)static_name,
        .flags = (uint8_t)((f->bad_name ? HPACK_BAD_NAME : 0) | (f->bad_value ? HPACK_BAD_VALUE : 0)),
    };
    char *to = t->bytes + t->end;
    if (static_name == 0 && f->name.n != 0) {
        memcpy(to, f->name.p, f->name.n);
        to += f->name.n;
    }
    if (f->value.n != 0)
        memcpy(to, f->value.p, f->value.n);
    t->end += n;
    t->count++;
    t->size += (uint32_t)size;
}

const struct hpack_entry *hpack_table_get(const struct hpack_table *t, size_t i, struct str *name, struct str *value) {
    if (i >= t->count)
        return NULL;
    const struct hpack_entry *e = &t->at[(t->first + t->count - 1 - (uint32_t)i) & (t->cap - 1)];
    const char *p = t->bytes + e->at;
    if (e->static_name != 0) {
        *name = hpack_rows[e->static_name].name;
        *value = str_n(p, e->value_n);
    } else {
        *name = str_n(p, e->name_n);
        *value = str_n(p + e->name_n, e->value_n);
    }
    return e;
}
