// HPACK from bytes.
#include "wire/hpack.h"
#include "wire/scan.h"

void hpack_decoder_init(struct hpack_decoder *d, uint32_t limit) {
    *d = (struct hpack_decoder){.table.max = limit, .limit = limit};
}

void hpack_decoder_done(struct hpack_decoder *d) { hpack_table_done(&d->table); }

void hpack_block_begin(struct hpack_decoder *d) { d->fields_begun = false; }

// An integer with a prefix of `bits` (RFC 7541 5.1): at most 2^28 and at most four more bytes, which no honest length needs.
static bool read_int(const unsigned char **at, const unsigned char *end, unsigned bits, uint32_t *out) {
    const unsigned char *p = *at;
    uint32_t mask = (1u << bits) - 1, v = *p++ & mask;
    if (v == mask) {
        unsigned shift = 0;
        for (;;) {
            if (p == end || shift > 21)
                return false;
            unsigned char c = *p++;
            v += (uint32_t)(c & 0x7f) << shift;
            shift += 7;
            if ((c & 0x80) == 0)
                break;
        }
    }
    *at = p;
    *out = v;
    return true;
}

static bool read_string(const unsigned char **at, const unsigned char *end, struct arena *a, struct str *out) {
    uint32_t n;
    if (*at == end)
        return false;
    bool huffman = (**at & 0x80) != 0;
    if (!read_int(at, end, 7, &n) || n > (size_t)(end - *at))
        return false;
    const char *p = (const char *)*at;
    *at += n;
    if (!huffman) {
        char *to = arena_bytes(a, n + 1);
        if (n != 0)
            memcpy(to, p, n);
        *out = str_n(to, n);
        return true;
    }
    char *to = arena_bytes(a, (size_t)n * 8 / 5 + 1);
    ssize_t got = huffman_read(to, p, n);
    *out = str_n(to, (size_t)MAX(got, 0));
    return got >= 0;
}

// Lower-case tokens (RFC 9113 8.2.1, RFC 9110 5.6.2).
static bool is_name(struct str s) {
    if (!is_token(s))
        return false;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] >= 'A' && s.p[i] <= 'Z')
            return false;
    }
    return true;
}

static bool is_value(struct str s) {
    if (s.n == 0)
        return true;
    char first = s.p[0], last = s.p[s.n - 1];
    return first != ' ' && first != '\t' && last != ' ' && last != '\t' && scan_ctl(s.p, s.n) == s.n;
}

static bool get_indexed(struct hpack_decoder *d, uint32_t index, struct arena *a, struct hpack_field *f) {
    if (index == 0)
        return false;
    if (index <= HPACK_STATIC_COUNT) {
        const struct hpack_row *row = &hpack_rows[index];
        *f = (struct hpack_field){.name = row->name, .value = row->value, .id = row->id};
        return true;
    }
    struct str name, value;
    const struct hpack_entry *e = hpack_table_get(&d->table, index - HPACK_STATIC_COUNT - 1, &name, &value);
    if (e == NULL)
        return false;
    *f = (struct hpack_field){
        .name = e->static_name ? name : arena_dup(a, name),
        .value = arena_dup(a, value),
        .id = e->id,
        .bad_name = (e->flags & HPACK_BAD_NAME) != 0,
        .bad_value = (e->flags & HPACK_BAD_VALUE) != 0,
    };
    return true;
}

// The name of a literal: by index, or written out.
static bool read_name(struct hpack_decoder *d, const unsigned char **at, const unsigned char *end, unsigned bits,
                      struct arena *a, struct hpack_field *f, unsigned *static_name) {
    uint32_t index;
    if (!read_int(at, end, bits, &index))
        return false;
    *static_name = index <= HPACK_STATIC_COUNT ? index : 0;
    if (index == 0) {
        *f = (struct hpack_field){0};
        if (!read_string(at, end, a, &f->name))
            return false;
        f->id = (uint16_t)hpack_id_of(f->name);
        f->bad_name = f->id == FIELD_UNKNOWN || f->id < FIELD_COUNT ? !is_name(f->name) : f->id == PSEUDO_UNKNOWN;
        return true;
    }
    if (index <= HPACK_STATIC_COUNT) {
        *f = (struct hpack_field){.name = hpack_rows[index].name, .id = hpack_rows[index].id};
        return true;
    }
    struct str name, value;
    const struct hpack_entry *e = hpack_table_get(&d->table, index - HPACK_STATIC_COUNT - 1, &name, &value);
    if (e == NULL)
        return false;
    *static_name = e->static_name;
    *f = (struct hpack_field){
        .name = e->static_name ? name : arena_dup(a, name), .id = e->id, .bad_name = (e->flags & HPACK_BAD_NAME) != 0};
    return true;
}

enum hpack_result hpack_next(struct hpack_decoder *d, const char **p, const char *end, struct arena *a,
                             struct hpack_field *f) {
    const unsigned char *at = (const unsigned char *)*p, *stop = (const unsigned char *)end;
    uint32_t n;
    // Size updates (001xxxxx) stand in front of all fields.
    while (at < stop && (*at & 0xe0) == 0x20) {
        if (d->fields_begun || !read_int(&at, stop, 5, &n) || n > d->limit)
            return HPACK_ERROR;
        hpack_table_resize(&d->table, n);
    }
    if (at == stop) {
        *p = end;
        return HPACK_END;
    }
    d->fields_begun = true;
    if (*at & 0x80) {
        if (!read_int(&at, stop, 7, &n) || !get_indexed(d, n, a, f))
            return HPACK_ERROR;
        *p = (const char *)at;
        return HPACK_FIELD;
    }
    bool add = (*at & 0xc0) == 0x40, sensitive = (*at & 0xf0) == 0x10;
    unsigned static_name;
    if (!read_name(d, &at, stop, add ? 6 : 4, a, f, &static_name) || !read_string(&at, stop, a, &f->value))
        return HPACK_ERROR;
    f->sensitive = sensitive;
    f->bad_value = !is_value(f->value);
    if (add)
        hpack_table_add(&d->table, f, static_name);
    *p = (const char *)at;
    return HPACK_FIELD;
}
