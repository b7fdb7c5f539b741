// HPACK (RFC 7541): fields to bytes and back, for both sides of HTTP/2. Strict: what the RFC calls an error is one. A table
// holds memory only for what is in it, so that a quiet connection costs little.
#pragma once
#include "base/arena.h"
#include "base/sbuf.h"
#include "wire/head.h"

// Names that begin with a colon (RFC 9113 8.3, RFC 8441), as ids behind those of the known fields.
enum hpack_pseudo {
    PSEUDO_AUTHORITY = FIELD_COUNT,
    PSEUDO_METHOD,
    PSEUDO_PATH,
    PSEUDO_SCHEME,
    PSEUDO_STATUS,
    PSEUDO_PROTOCOL,
    PSEUDO_UNKNOWN,
    HPACK_IDS
};

struct hpack_field {
    struct str name, value; // constant, or in the arena
    uint16_t id;            // enum field_id or enum hpack_pseudo
    bool sensitive;         // never indexed: whoever passes it on must say so too (RFC 7541 6.2.3)
    bool bad_name;          // not a lower-case token (RFC 9113 8.2.1); never set for pseudo-fields that are known
    bool bad_value;         // holds CR, LF, NUL or another control byte, or begins or ends with white space
};

enum { HPACK_TABLE_DEFAULT = 4096, HPACK_ENTRY_OVERHEAD = 32 };

struct hpack_entry;

// The dynamic table of one direction.
struct hpack_table {
    uint32_t size, max;        // in the units of RFC 7541 4.1; max: in force now
    uint32_t first, count, cap; // ring of entries: the oldest is at[first]; cap is a power of two or 0
    struct hpack_entry *at;
    char *bytes;               // names and values of the entries, oldest first, in [from, end)
    uint32_t from, end, bytes_cap;
    uint64_t inserted;         // ever: the newest entry has this number
};
size_t hpack_table_memory(const struct hpack_table *t);

// --- decoding --------------------------------------------------------------------------------------------------------------

struct hpack_decoder {
    struct hpack_table table;
    uint32_t limit;     // that we announced (SETTINGS_HEADER_TABLE_SIZE)
    bool fields_begun;  // a size update may come only before the first field of a block (RFC 7541 4.2)
};

void hpack_decoder_init(struct hpack_decoder *d, uint32_t limit);
void hpack_decoder_done(struct hpack_decoder *d);

enum hpack_result { HPACK_FIELD, HPACK_END, HPACK_ERROR };

void hpack_block_begin(struct hpack_decoder *d); // before the first hpack_next of a block
// The next field of a whole block [*p, end). HPACK_ERROR breaks the connection: the table is out of step. Strings of the
// field are constant or put into `a`; they do not point into the block or the table.
enum hpack_result hpack_next(struct hpack_decoder *d, const char **p, const char *end, struct arena *a,
                             struct hpack_field *f);

// --- encoding --------------------------------------------------------------------------------------------------------------

enum { HPACK_SLOTS = 64 };

struct hpack_encoder {
    struct hpack_table table;
    uint32_t lowest, pending; // sizes to announce at the start of the next block, when `resized`
    bool resized;
    uint32_t slot[HPACK_SLOTS];      // by hash of the name: number of the newest entry of that name
    uint16_t seen[HPACK_SLOTS];      // by hash of name and value: seen once already
};

void hpack_encoder_init(struct hpack_encoder *e);
void hpack_encoder_done(struct hpack_encoder *e);
// The peer's SETTINGS_HEADER_TABLE_SIZE; we use at most HPACK_TABLE_DEFAULT of it.
void hpack_encoder_limit(struct hpack_encoder *e, uint32_t limit);

enum hpack_how { HPACK_MAY_INDEX, HPACK_NO_INDEX, HPACK_SENSITIVE };
// What is worth to be indexed: not lengths, tags and dates of single objects, cookies or credentials.
enum hpack_how hpack_how_of(unsigned id, struct str value, bool sensitive);

void hpack_put_begin(struct hpack_encoder *e, struct sbuf *to); // before the first field of a block
// A field. The name is written in lower case. HPACK_MAY_INDEX: it goes into the table when it was seen before.
void hpack_put(struct hpack_encoder *e, struct sbuf *to, unsigned id, struct str name, struct str value, enum hpack_how how);
void hpack_put_status(struct hpack_encoder *e, struct sbuf *to, unsigned status);
// At most that many bytes does one field take.
static inline size_t hpack_bound(struct str name, struct str value) { return name.n + value.n + 16; }

// --- Huffman (RFC 7541 5.2) --------------------------------------------------------------------------------------------------

size_t huffman_size(const char *p, size_t n);              // encoded
char *huffman_put(char *to, const char *p, size_t n);      // writes huffman_size bytes; returns their end
// Into room of at least n * 8 / 5 bytes: the count, or -1 for a code that is cut, padded wrongly, or holds the end symbol.
ssize_t huffman_read(char *to, const char *p, size_t n);

// --- for hpack_*.c -------------------------------------------------------------------------------------------------------------

struct hpack_entry {
    uint32_t at;         // in table.bytes: the name, unless static_name, then the value
    uint32_t name_n, value_n;
    uint16_t id;
    uint8_t static_name; // 1..61: the name is that row's
    uint8_t flags;       // HPACK_BAD_*
};
enum { HPACK_BAD_NAME = 1, HPACK_BAD_VALUE = 2, HPACK_STATIC_COUNT = 61 };

struct hpack_row {
    struct str name, value;
    uint16_t id;
};
extern const struct hpack_row hpack_rows[HPACK_STATIC_COUNT + 1];

void hpack_table_resize(struct hpack_table *t, uint32_t max);
void hpack_table_done(struct hpack_table *t);
// Inserts; what is larger than the table empties it. The strings may lie in the table itself.
void hpack_table_add(struct hpack_table *t, const struct hpack_field *f, unsigned static_name);
// Entry 0 is the newest; NULL beyond the last. The strings are valid until the next add.
const struct hpack_entry *hpack_table_get(const struct hpack_table *t, size_t i, struct str *name, struct str *value);
unsigned hpack_id_of(struct str name); // FIELD_UNKNOWN for others; pseudo-names too
