// Compression of answers: what gzip, brotli and zstd share. Which answers are compressed is said by their files; here is the
// body that does it, and the pool of encoders. Making one costs more than compressing a small answer, so each loop keeps some.
#pragma once
#include "feature/response/type_list.h"
#include "http/filter.h"

enum encode_op { ENCODE_RUN, ENCODE_FLUSH, ENCODE_FINISH };

struct encoder_params {
    int level, window_bits, mem_level;
};

struct encode_io {
    const char *in;
    size_t in_n;
    char *out;
    size_t out_n;
};

// One way to compress. None of these waits.
struct encoder_kind {
    const char *coding; // Content-Encoding
    void *(*make)(const struct encoder_params *p); // NULL: no memory
    bool (*reset)(void *state);
    // Takes from `in` and puts into `out`, moving both. 1: call again with more room; 0: all of `in` was taken and what the
    // operation promises is out; -1: failed.
    int (*run)(void *state, struct encode_io *io, enum encode_op op);
    void (*free)(void *state);
};

// What a configuration says of one coding. The rows are the features'.
struct compress_conf {
    bool on;
    struct type_list types;
    int64_t level;
    uint64_t min_length, window, hash;
    struct conf_bufs buffers; // accepted
    struct encoder_params params;
    const struct encoder_kind *kind;
};

// Of an answer that was compressed, for $gzip_ratio. 0 while it is not known.
struct compressed {
    uint64_t in, out;
    const struct encoder_kind *kind;
};

// Statuses, types, lengths: whether the coding may be asked for. Notes Vary.
bool compress_wanted(struct req *r, const struct compress_conf *c);
// Edits the head and wraps the body. False: no memory (logged), nothing was changed.
bool compress_answer(struct req *r, const struct compress_conf *c, struct compressed *count);
// "5.12" for a variable; false while there is none.
bool compress_ratio(const struct compressed *c, struct arena *a, struct str *out);
// Whether Accept-Encoding names the coding with a weight above 0.
bool compress_accepts(const struct req *r, struct str coding);
// "Vary: Accept-Encoding", once, if gzip_vary says so: the answer depends on that field.
void compress_vary(struct req *r);
// In a feature's link: takes the loops' place for the pools, once.
void compress_init(void);

// gzip.c: nginx's rules for clients and proxies that may get compressed answers (gzip_http_version, gzip_proxied,
// gzip_disable); the coding is not looked at.
bool gzip_client_allows(struct req *r);
bool gzip_vary_is_on(const struct req *r);
// The same with Accept-Encoding: gzip.
bool gzip_ok(struct req *r);
// It was looked at, before the fields of the answer were there, and holds: what they say of caching does not count any more.
void gzip_accepted(struct req *r);
extern const struct encoder_kind encoder_zlib, encoder_isal;
