// Heads and the tables of names. The tables come from KNOWN_FIELDS and KNOWN_METHODS; nothing is listed twice.
#include "wire/head.h"
#include <endian.h>

// Bytes at..at+7 of a literal as a little-endian word, and a word with 0x20 where the literal has a letter. With
// constant arguments both are constants.
#define NAME_BYTE(z, i)  ((i) < sizeof(z) - 1 ? (uint64_t)(unsigned char)(z)[(i) < sizeof(z) - 1 ? (i) : 0] : 0)
#define LOWER_BYTE(z, i) (NAME_BYTE(z, i) | CASE_BYTE(z, i))
#define CASE_BYTE(z, i)  ((NAME_BYTE(z, i) | 0x20) - 'a' < 26 ? (uint64_t)0x20 : (uint64_t)0)
#define WORD_OF(byte, z, at)                                                                      \
    (byte(z, (at)) | byte(z, (at) + 1) << 8 | byte(z, (at) + 2) << 16 | byte(z, (at) + 3) << 24 | \
     byte(z, (at) + 4) << 32 | byte(z, (at) + 5) << 40 | byte(z, (at) + 6) << 48 | byte(z, (at) + 7) << 56)

static inline __attribute__((always_inline)) uint64_t load32(const char *p) {
    uint32_t w;
    memcpy(&w, p, 4);
    return le32toh(w);
}

static inline __attribute__((always_inline)) uint64_t load64(const char *p) {
    uint64_t w;
    memcpy(&w, p, 8);
    return le64toh(w);
}

// Word i of a name of len bytes begins here: the last one overlaps so as not to read past the end.
#define WORD_AT(len, i) ((len) < 8 ? 0 : (i)*8 + 8 <= (len) ? (i)*8 : (len)-8)

// len is a constant in every caller. Below 8 bytes the word is padded with zeros.
static inline __attribute__((always_inline)) uint64_t load_word(const char *p, size_t len, size_t i) {
    if (len >= 8)
        return load64(p + WORD_AT(len, i));
    if (len >= 4)
        return load32(p) | load32(p + len - 4) << (len - 4) * 8;
    return (uint64_t)(unsigned char)p[0] | (uint64_t)(unsigned char)p[1] << 8 |
           (uint64_t)(unsigned char)p[len - 1] << (len - 1) * 8;
}

// One bit of case is let go, and only where the known name has a letter, so that no other byte passes for one.
#define SAME_FOLDED(p, i, z)                                                                \
    ((load_word(p, sizeof(z) - 1, i) | WORD_OF(CASE_BYTE, z, WORD_AT(sizeof(z) - 1, i))) == \
     WORD_OF(LOWER_BYTE, z, WORD_AT(sizeof(z) - 1, i)))
#define SAME(p, i, z) (load_word(p, sizeof(z) - 1, i) == WORD_OF(NAME_BYTE, z, WORD_AT(sizeof(z) - 1, i)))

// The compiler is given a constant len, drops the names of other lengths and leaves a few comparisons with constants.
static inline __attribute__((always_inline)) enum field_id field_of_length(const char *p, size_t len) {
#define X(id, name, flags)                                                                             \
    if (sizeof(name) - 1 == len && SAME_FOLDED(p, 0, name) && (len <= 8 || SAME_FOLDED(p, 1, name)) && \
        (len <= 16 || SAME_FOLDED(p, 2, name)) && (len <= 24 || SAME_FOLDED(p, 3, name)))              \
        return FIELD_##id;
    KNOWN_FIELDS(X)
#undef X
    return FIELD_UNKNOWN;
}

#define X(id, name, flags) _Static_assert(sizeof(name) - 1 <= 26, "field_id_of: add cases for longer names");
KNOWN_FIELDS(X)
#undef X
_Static_assert(FIELD_COUNT <= 128, "struct head keeps one bit for each known field");

enum field_id field_id_of(struct str name) {
#define CASE(len) \
    case len:     \
        return field_of_length(name.p, len);
    // clang-format off
    switch (name.n) {
        CASE(2) CASE(3) CASE(4) CASE(5) CASE(6) CASE(7) CASE(8) CASE(9) CASE(10) CASE(11) CASE(12) CASE(13) CASE(14)
        CASE(15) CASE(16) CASE(17) CASE(18) CASE(19) CASE(20) CASE(21) CASE(22) CASE(23) CASE(24) CASE(25) CASE(26)
    }
    // clang-format on
#undef CASE
    return FIELD_UNKNOWN;
}

static const struct field_row {
    struct str name;
    unsigned flags;
} field_rows[FIELD_COUNT] = {
#define HOP                FIELD_HOP
#define ONE                FIELD_ONE
#define LIST               FIELD_LIST
#define X(id, name, flags) [FIELD_##id] = {STR_INIT(name), flags},
    KNOWN_FIELDS(X)
#undef X
#undef HOP
#undef ONE
#undef LIST
};

struct str field_name(enum field_id id) {
    return (unsigned)id < FIELD_COUNT ? field_rows[id].name : STR_NONE;
}

unsigned field_flags(enum field_id id) {
    return (unsigned)id < FIELD_COUNT ? field_rows[id].flags : 0;
}

static const struct method_row {
    struct str name;
    bool safe, idempotent;
} method_rows[] = {
    [METHOD_UNKNOWN] = {STR_INIT(""), false, false},
#define X(id, name, safe, idem) [METHOD_##id] = {STR_INIT(name), safe, idem},
    KNOWN_METHODS(X)
#undef X
};

static inline __attribute__((always_inline)) enum method method_of_length(const char *p, size_t len) {
#define X(id, name, safe, idem)                                                        \
    if (sizeof(name) - 1 == len && SAME(p, 0, name) && (len <= 8 || SAME(p, 1, name))) \
        return METHOD_##id;
    KNOWN_METHODS(X)
#undef X
    return METHOD_UNKNOWN;
}

#define X(id, name, safe, idem) _Static_assert(sizeof(name) - 1 <= 9, "method_from: add cases for longer names");
KNOWN_METHODS(X)
#undef X

enum method method_from(struct str name) {
#define CASE(len) \
    case len:     \
        return method_of_length(name.p, len);
    // clang-format off
    switch (name.n) { CASE(3) CASE(4) CASE(5) CASE(6) CASE(7) CASE(8) CASE(9) }
    // clang-format on
#undef CASE
    return METHOD_UNKNOWN;
}

static const struct method_row *method_row(enum method m) {
    return &method_rows[(unsigned)m < ARRAY_LEN(method_rows) ? m : METHOD_UNKNOWN];
}

struct str method_name(enum method m) {
    return method_row(m)->name;
}
bool method_is_safe(enum method m) {
    return method_row(m)->safe;
}
bool method_is_idempotent(enum method m) {
    return method_row(m)->idempotent;
}

struct str status_reason(unsigned status) {
    switch (status) {
#define X(code, reason) \
    case code:          \
        return STR(reason);
        KNOWN_STATUSES(X)
#undef X
    }
    return STR_NONE;
}

bool status_has_no_body(unsigned status) {
    return status / 100 == 1 || status == 204 || status == 304;
}

void head_init(struct head *h, struct arena *arena) {
    *h = (struct head){.arena = arena};
}

static inline void mark_seen(struct head *h, unsigned id) {
    h->seen[id >> 6] |= (uint64_t)1 << (id & 63);
}
static inline void mark_gone(struct head *h, unsigned id) {
    h->seen[id >> 6] &= ~((uint64_t)1 << (id & 63));
}

static struct field *find_from(const struct head *h, uint32_t i, unsigned id) {
    for (; i < h->count; i++)
        if (h->at[i].id == id && !h->at[i].dropped)
            return &h->at[i];
    return NULL;
}

static struct field *find_name_from(const struct head *h, uint32_t i, struct str name) {
    for (; i < h->count; i++)
        if (h->at[i].id == FIELD_UNKNOWN && !h->at[i].dropped && str_ieq(h->at[i].name, name))
            return &h->at[i];
    return NULL;
}

struct field *head_find_slow(const struct head *h, enum field_id id) {
    return find_from(h, 0, id);
}

struct str head_value(const struct head *h, enum field_id id) {
    struct field *f = head_find(h, id);
    return f != NULL ? f->value : STR_NONE;
}

struct field *head_find_name(const struct head *h, struct str name) {
    enum field_id id = field_id_of(name);
    if (!head_has(h, id))
        return NULL;
    return id != FIELD_UNKNOWN ? find_from(h, 0, id) : find_name_from(h, 0, name);
}

struct field *head_find_next(const struct head *h, const struct field *f) {
    uint32_t i = (uint32_t)(f - h->at) + 1;
    return f->id != FIELD_UNKNOWN ? find_from(h, i, f->id) : find_name_from(h, i, f->name);
}

struct str head_join(const struct head *h, enum field_id id, struct arena *arena) {
    struct field *first = head_find(h, id);
    if (first == NULL)
        return STR_NONE;
    struct field *next = head_find_next(h, first);
    if (next == NULL)
        return first->value;
    const char *sep = id == FIELD_COOKIE ? "; " : ", "; // RFC 6265 5.4, RFC 9113 8.2.3
    size_t n = first->value.n;
    for (struct field *f = next; f != NULL; f = head_find_next(h, f))
        n += 2 + f->value.n;
    char *to = arena_bytes(arena, n), *at = to;
    for (struct field *f = first; f != NULL; f = head_find_next(h, f)) {
        if (f != first) {
            memcpy(at, sep, 2);
            at += 2;
        }
        if (f->value.n != 0)
            memcpy(at, f->value.p, f->value.n);
        at += f->value.n;
    }
    return str_n(to, n);
}

static NOINLINE void head_grow(struct head *h) {
    uint32_t cap = h->cap != 0 ? h->cap * 2 : 16;
    CHECK(cap > h->cap);
    struct field *at = arena_alloc(h->arena, cap * sizeof(*at));
    if (h->count != 0)
        memcpy(at, h->at, h->count * sizeof(*at));
    h->at = at;
    h->cap = cap;
}

static void move_str(struct str *s, const char *from, size_t n, const char *to) {
    size_t at = (size_t)((uintptr_t)s->p - (uintptr_t)from);
    if (s->p != NULL && at < n)
        s->p = to + at;
}

void head_moved(struct head *h, const char *from, size_t n, const char *to) {
    for (uint32_t i = 0; i < h->count; i++) {
        move_str(&h->at[i].name, from, n, to);
        move_str(&h->at[i].value, from, n, to);
    }
    move_str(&h->method_text, from, n, to);
    move_str(&h->target, from, n, to);
    move_str(&h->reason, from, n, to);
}

struct field *head_add(struct head *h, enum field_id id, struct str name, struct str value) {
    if (UNLIKELY(h->count == h->cap))
        head_grow(h);
    struct field *f = &h->at[h->count++];
    *f = (struct field){.name = name, .value = value, .id = (uint16_t)id};
    mark_seen(h, id);
    return f;
}

void head_drop(struct head *h, enum field_id id) {
    if (!head_has(h, id))
        return;
    for (struct field *f = find_from(h, 0, id); f != NULL; f = find_from(h, (uint32_t)(f - h->at) + 1, id))
        f->dropped = true;
    mark_gone(h, id);
}

void head_drop_name(struct head *h, struct str name) {
    enum field_id id = field_id_of(name);
    if (id != FIELD_UNKNOWN) {
        head_drop(h, id);
        return;
    }
    for (struct field *f = find_name_from(h, 0, name); f != NULL; f = head_find_next(h, f))
        f->dropped = true;
}

void head_drop_field(struct head *h, struct field *f) {
    f->dropped = true;
    if (f->id != FIELD_UNKNOWN && find_from(h, 0, f->id) == NULL)
        mark_gone(h, f->id);
}

void head_clear(struct head *h) {
    h->count = 0;
    h->seen[0] = h->seen[1] = 0;
    h->status = 0;
    h->reason = STR_NONE;
}

void head_set(struct head *h, enum field_id id, struct str value) {
    struct field *first = head_find(h, id);
    if (first == NULL) {
        head_add_known(h, id, value);
        return;
    }
    first->value = value;
    first->clean = false;
    for (struct field *f = head_find_next(h, first); f != NULL; f = head_find_next(h, f))
        f->dropped = true;
}

bool list_has_token(struct str list, struct str token) {
    struct str element;
    while (list_next(&list, &element)) {
        ssize_t semicolon = str_chr(element, ';');
        if (semicolon >= 0)
            element = str_trim(str_head(element, (size_t)semicolon));
        if (str_ieq(element, token))
            return true;
    }
    return false;
}

bool list_next(struct str *rest, struct str *element) {
    while (rest->n != 0) {
        size_t i = 0;
        for (bool quoted = false; i < rest->n && (quoted || rest->p[i] != ','); i++) {
            if (rest->p[i] == '"')
                quoted = !quoted;
            else if (quoted && rest->p[i] == '\\' && i + 1 < rest->n)
                i++;
        }
        *element = str_trim(str_head(*rest, i));
        *rest = str_from(*rest, MIN(i + 1, rest->n));
        if (element->n != 0)
            return true;
    }
    return false;
}

// RFC 9110 5.6.2 tchar, one bit for each byte.
static const uint32_t token_bits[8] = {0, 0x03ff6cfa, 0xc7fffffe, 0x57ffffff, 0, 0, 0, 0};

bool is_token(struct str s) {
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (!(token_bits[c >> 5] >> (c & 31) & 1))
            return false;
    }
    return s.n != 0;
}
