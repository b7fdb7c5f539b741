// Encoders for gzip: ISA-L, which is several times as fast as zlib at like ratios, for the levels 1 to 3; zlib above, and where
// gzip_window or gzip_hash ask for less memory.
#include "feature/response/compress.h"
#include <isa-l/igzip_lib.h>
#include <stdlib.h>
#include <zlib.h>

// --- zlib ------------------------------------------------------------------------------------------------------------------

static void *zlib_make(const struct encoder_params *p) {
    z_stream *z = calloc(1, sizeof(*z));
    if (z == NULL)
        return NULL;
    int bits = p->window_bits != 0 ? p->window_bits : MAX_WBITS, mem = p->mem_level != 0 ? p->mem_level : MAX_MEM_LEVEL - 1;
    if (deflateInit2(z, p->level, Z_DEFLATED, bits + 16, mem, Z_DEFAULT_STRATEGY) != Z_OK) {
        free(z);
        return NULL;
    }
    return z;
}

static bool zlib_reset(void *state) { return deflateReset(state) == Z_OK; }

static int zlib_run(void *state, struct encode_io *io, enum encode_op op) {
    static const int flush[] = {Z_NO_FLUSH, Z_SYNC_FLUSH, Z_FINISH};
    z_stream *z = state;
    z->next_in = (Bytef *)(uintptr_t)io->in;
    z->avail_in = (uInt)io->in_n;
    z->next_out = (Bytef *)io->out;
    z->avail_out = (uInt)io->out_n;
    int res = deflate(z, flush[op]);
    io->in = (const char *)z->next_in;
    io->in_n = z->avail_in;
    io->out = (char *)z->next_out;
    io->out_n = z->avail_out;
    if (res == Z_STREAM_ERROR)
        return -1;
    if (op == ENCODE_FINISH)
        return res != Z_STREAM_END;
    return z->avail_out == 0; // something may be left inside
}

static void zlib_free(void *state) {
    deflateEnd(state);
    free(state);
}

const struct encoder_kind encoder_zlib = {"gzip", zlib_make, zlib_reset, zlib_run, zlib_free};

// --- ISA-L -----------------------------------------------------------------------------------------------------------------

struct isal {
    struct isal_zstream z;
    uint8_t *buf;
    uint32_t buf_n;
    int level;
};

static void isal_start(struct isal *s) {
    isal_deflate_init(&s->z);
    s->z.gzip_flag = IGZIP_GZIP;
    s->z.level = (uint32_t)s->level;
    s->z.level_buf = s->buf;
    s->z.level_buf_size = s->buf_n;
}

static void isal_free(void *state) {
    struct isal *s = state;
    free(s->buf);
    free(s);
}

// nginx's levels 1 and 2 are ISA-L's 2: a better ratio than zlib's 1 at a multiple of its speed.
static void *isal_make(const struct encoder_params *p) {
    struct isal *s = calloc(1, sizeof(*s));
    if (s == NULL)
        return NULL;
    s->level = p->level <= 2 ? 2 : 3;
    s->buf_n = s->level == 2 ? ISAL_DEF_LVL2_DEFAULT : ISAL_DEF_LVL3_DEFAULT;
    s->buf = malloc(s->buf_n);
    if (s->buf == NULL) {
        free(s);
        return NULL;
    }
    isal_start(s);
    return s;
}

static bool isal_reset(void *state) {
    struct isal *s = state;
    isal_deflate_reset(&s->z); // keeps level and buffer
    s->z.gzip_flag = IGZIP_GZIP; // it says meanwhile that the header is out
    return true;
}

static int isal_run(void *state, struct encode_io *io, enum encode_op op) {
    struct isal *s = state;
    s->z.next_in = (uint8_t *)(uintptr_t)io->in;
    s->z.avail_in = (uint32_t)io->in_n;
    s->z.next_out = (uint8_t *)io->out;
    s->z.avail_out = (uint32_t)io->out_n;
    s->z.flush = op == ENCODE_FLUSH ? SYNC_FLUSH : NO_FLUSH;
    s->z.end_of_stream = op == ENCODE_FINISH;
    int res = isal_deflate(&s->z);
    io->in = (const char *)s->z.next_in;
    io->in_n = s->z.avail_in;
    io->out = (char *)s->z.next_out;
    io->out_n = s->z.avail_out;
    if (res != COMP_OK)
        return -1;
    if (op == ENCODE_FINISH)
        return s->z.internal_state.state != ZSTATE_END;
    return s->z.avail_out == 0 || s->z.avail_in != 0;
}

const struct encoder_kind encoder_isal = {"gzip", isal_make, isal_reset, isal_run, isal_free};
