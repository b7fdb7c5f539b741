// HPACK to bytes. What is worth it goes into the dynamic table the second time it is seen: fields that never come again would
// only push out those that do.
#include "wire/hpack.h"
#include "wire/hpack_tables.h"

static const uint8_t static_by_id[HPACK_IDS] = {
#define X(index, name, value, id) [id] = index,
    HPACK_STATIC_FIELDS(X)
#undef X
    [PSEUDO_AUTHORITY] = 1, [PSEUDO_METHOD] = 2, [PSEUDO_PATH] = 4, [PSEUDO_SCHEME] = 6, [PSEUDO_STATUS] = 8,
};

void hpack_encoder_init(struct hpack_encoder *e) {
    *e = (struct hpack_encoder){.table.max = HPACK_TABLE_DEFAULT, .lowest = HPACK_TABLE_DEFAULT};
}

void hpack_encoder_done(struct hpack_encoder *e) { hpack_table_done(&e->table); }

void hpack_encoder_limit(struct hpack_encoder *e, uint32_t limit) {
    limit = MIN(limit, (uint32_t)HPACK_TABLE_DEFAULT);
    if (!e->resized && limit == e->table.max)
        return;
    // Between two blocks the size may have been smaller than it is at last: the decoder must hear of the smallest.
    e->lowest = e->resized ? MIN(e->lowest, limit) : limit;
    e->pending = limit;
    e->resized = true;
}

static void put_int(struct sbuf *to, unsigned char first, unsigned bits, uint32_t v) {
    unsigned char out[8];
    size_t n = 0;
    uint32_t mask = (1u << bits) - 1;
    if (v < mask) {
        out[n++] = (unsigned char)(first | v);
    } else {
        out[n++] = (unsigned char)(first | mask);
        for (v -= mask; v >= 0x80; v >>= 7)
            out[n++] = (unsigned char)(v | 0x80);
        out[n++] = (unsigned char)v;
    }
    sbuf_put(to, out, n);
}

static void put_string(struct sbuf *to, struct str s) {
    size_t coded = huffman_size(s.p, s.n);
    if (coded >= s.n) {
        put_int(to, 0, 7, (uint32_t)s.n);
        sbuf_str(to, s);
        return;
    }
    put_int(to, 0x80, 7, (uint32_t)coded);
    char *room = sbuf_room(to, coded);
    if (room != NULL) {
        huffman_put(room, s.p, s.n);
        to->n += coded;
    }
}

static void put_name(struct sbuf *to, struct str name) {
    char lower[256];
    if (name.n > sizeof(lower)) { // longer than any sane name: plain, byte by byte
        put_int(to, 0, 7, (uint32_t)name.n);
        for (size_t i = 0; i < name.n; i++)
            sbuf_chr(to, (char)ascii_lower((unsigned char)name.p[i]));
        return;
    }
    for (size_t i = 0; i < name.n; i++)
        lower[i] = (char)ascii_lower((unsigned char)name.p[i]);
    put_string(to, str_n(lower, name.n));
}

void hpack_put_begin(struct hpack_encoder *e, struct sbuf *to) {
    if (!e->resized)
        return;
    e->resized = false;
    if (e->lowest < e->pending)
        put_int(to, 0x20, 5, e->lowest);
    put_int(to, 0x20, 5, e->pending);
    hpack_table_resize(&e->table, e->lowest);
    hpack_table_resize(&e->table, e->pending);
}

enum hpack_how hpack_how_of(unsigned id, struct str value, bool sensitive) {
    if (sensitive)
        return HPACK_SENSITIVE;
    switch (id) {
    case FIELD_AUTHORIZATION:
    case FIELD_PROXY_AUTHORIZATION:
    case FIELD_SET_COOKIE:
        return HPACK_SENSITIVE;
    case FIELD_COOKIE: // a short one could be guessed byte by byte (RFC 7541 7.1.3)
        return value.n < 20 ? HPACK_SENSITIVE : HPACK_MAY_INDEX;
    case FIELD_CONTENT_LENGTH:
    case FIELD_CONTENT_RANGE:
    case FIELD_ETAG:
    case FIELD_LAST_MODIFIED:
    case FIELD_IF_MODIFIED_SINCE:
    case FIELD_IF_NONE_MATCH:
    case FIELD_AGE:
    case FIELD_LOCATION:
    case FIELD_X_REQUEST_ID:
    case PSEUDO_PATH:
        return HPACK_NO_INDEX;
    default:
        return HPACK_MAY_INDEX;
    }
}

// The id says the name.
static bool is_known(unsigned id) { return id != FIELD_UNKNOWN && id != PSEUDO_UNKNOWN; }

static uint32_t hash_bytes(uint32_t h, struct str s) {
    for (size_t i = 0; i < s.n; i++)
        h = (h ^ ascii_lower((unsigned char)s.p[i])) * 16777619u;
    return h;
}

// The index of an entry in the addressing of RFC 7541 2.3.3 by its number; 0 when it is gone.
static uint32_t index_of(const struct hpack_table *t, uint32_t number) {
    uint32_t age = (uint32_t)t->inserted - number;
    return number != 0 && age < t->count ? HPACK_STATIC_COUNT + 1 + age : 0;
}

static bool same_name(struct str stored, struct str name) {
    if (stored.n != name.n)
        return false;
    for (size_t i = 0; i < name.n; i++) {
        if (stored.p[i] != (char)ascii_lower((unsigned char)name.p[i]))
            return false;
    }
    return true;
}

// The newest entry of that name: its index, or 0; *whole: its value is the same.
static uint32_t find_newest(struct hpack_encoder *e, unsigned slot, unsigned id, struct str name, struct str value, bool *whole) {
    uint32_t index = index_of(&e->table, e->slot[slot]);
    struct str n, v;
    *whole = false;
    if (index == 0)
        return 0;
    const struct hpack_entry *at = hpack_table_get(&e->table, index - HPACK_STATIC_COUNT - 1, &n, &v);
    if (at->id != id || (!is_known(id) && !same_name(n, name)))
        return 0;
    *whole = str_eq(v, value);
    return index;
}

// Fields of rows 1 to 14 with the same value.
static unsigned find_static_value(unsigned id, struct str value) {
    for (unsigned i = static_by_id[id]; i != 0 && i <= 16 && hpack_rows[i].id == id; i++) {
        if (str_eq(hpack_rows[i].value, value))
            return i;
    }
    return 0;
}

static void add_entry(struct hpack_encoder *e, unsigned slot, unsigned id, struct str name, struct str value, unsigned row) {
    char lower[256];
    struct hpack_field f = {.name = row != 0 ? hpack_rows[row].name : name, .value = value, .id = (uint16_t)id};
    if (row == 0) {
        for (size_t i = 0; i < name.n; i++)
            lower[i] = (char)ascii_lower((unsigned char)name.p[i]);
        f.name.p = lower;
    }
    hpack_table_add(&e->table, &f, row);
    e->slot[slot] = (uint32_t)e->table.inserted;
}

void hpack_put(struct hpack_encoder *e, struct sbuf *to, unsigned id, struct str name, struct str value, enum hpack_how how) {
    unsigned row = static_by_id[id];
    if (id >= FIELD_COUNT || id == FIELD_ACCEPT_ENCODING) {
        unsigned whole_row = find_static_value(id, value);
        if (whole_row != 0) {
            put_int(to, 0x80, 7, whole_row);
            return;
        }
    }
    uint32_t hash = is_known(id) ? id * 2654435761u : hash_bytes(2166136261u, name), index = 0;
    unsigned slot = hash >> 16 & (HPACK_SLOTS - 1);
    bool add = false;
    if (how == HPACK_MAY_INDEX && value.n <= e->table.max / 4 && name.n <= 256) {
        bool whole;
        index = find_newest(e, slot, id, name, value, &whole);
        if (whole) {
            put_int(to, 0x80, 7, index);
            return;
        }
        uint32_t both = hash_bytes(hash | 1, value);
        unsigned place = both >> 16 & (HPACK_SLOTS - 1);
        add = e->seen[place] == (uint16_t)both;
        e->seen[place] = (uint16_t)both;
    }
    unsigned char first = add ? 0x40 : how == HPACK_SENSITIVE ? 0x10 : 0;
    put_int(to, first, add ? 6 : 4, row != 0 ? row : index);
    if (row == 0 && index == 0)
        put_name(to, name);
    put_string(to, value);
    if (add)
        add_entry(e, slot, id, name, value, row);
}

void hpack_put_status(struct hpack_encoder *e, struct sbuf *to, unsigned status) {
    char text[3] = {(char)('0' + status / 100 % 10), (char)('0' + status / 10 % 10), (char)('0' + status % 10)};
    hpack_put(e, to, PSEUDO_STATUS, STR(":status"), str_n(text, 3), HPACK_MAY_INDEX);
}
