// zstd: answers compressed with zstd for clients that accept the coding "zstd". gzip_vary, gzip_proxied, gzip_http_version and
// gzip_disable hold for it too.
#include "feature/response/compress.h"
#include "http/plan.h"
#include <zstd.h>

struct feature feature_zstd;

static void *make(const struct encoder_params *p) {
    ZSTD_CCtx *z = ZSTD_createCCtx();
    if (z != NULL && ZSTD_isError(ZSTD_CCtx_setParameter(z, ZSTD_c_compressionLevel, p->level))) {
        ZSTD_freeCCtx(z);
        return NULL;
    }
    // RFC 9659: no window above 8 MiB for Content-Encoding.
    if (z != NULL && p->level > 16)
        ZSTD_CCtx_setParameter(z, ZSTD_c_windowLog, 23);
    return z;
}

static bool reset(void *state) { return !ZSTD_isError(ZSTD_CCtx_reset(state, ZSTD_reset_session_only)); }

static int run(void *state, struct encode_io *io, enum encode_op op) {
    static const ZSTD_EndDirective ops[] = {ZSTD_e_continue, ZSTD_e_flush, ZSTD_e_end};
    ZSTD_inBuffer in = {io->in, io->in_n, 0};
    ZSTD_outBuffer out = {io->out, io->out_n, 0};
    size_t left = ZSTD_compressStream2(state, &out, &in, ops[op]);
    if (ZSTD_isError(left))
        return -1;
    io->in = in.pos != 0 ? io->in + in.pos : io->in;
    io->in_n -= in.pos;
    io->out += out.pos;
    io->out_n -= out.pos;
    return op == ENCODE_RUN ? io->in_n != 0 : left != 0;
}

static void free_state(void *state) { ZSTD_freeCCtx(state); }

static const struct encoder_kind encoder = {"zstd", make, reset, run, free_state};

static bool finish_zstd(struct conf_cx *cx, struct scope *s, void *conf) {
    struct compress_conf *c = conf;
    c->params = (struct encoder_params){.level = (int)c->level};
    c->kind = &encoder;
    return true;
}

static enum step run_zstd(struct req *r, const void *conf) {
    const struct compress_conf *c = conf;
    if (!compress_wanted(r, c) || !head_has(&r->in, FIELD_ACCEPT_ENCODING) || !compress_accepts(r, STR("zstd")) ||
        !gzip_client_allows(r))
        return STEP_NEXT;
    compress_answer(r, c, req_ctx_make(r, &feature_zstd, sizeof(struct compressed)));
    return STEP_NEXT;
}

static bool get_ratio(struct eval *e, const struct var *v, struct str *out) {
    return compress_ratio(req_ctx(e->req, &feature_zstd), e->arena, out);
}

static bool bind_zstd(struct conf_cx *cx, struct scope *s, void *conf) {
    const struct compress_conf *c = conf;
    if (c->on)
        plan_add(cx, s, STAGE_RESPONSE, RESPONSE_ZSTD, run_zstd, c, "zstd");
    return true;
}

static bool link_zstd(struct conf_cx *cx, struct scope *root) {
    compress_init();
    return true;
}

#define C struct compress_conf
static const struct conf_row rows[] = {
    ROW_FLAG("zstd", IN_HTTP_ALL | IN_IF, C, on, "off", "Compresses answers with zstd."),
    ROW_TYPES("zstd_types", C, types, "text/html", "Content types of answers, besides text/html, that are compressed."),
    ROW_SIZE("zstd_min_length", IN_HTTP_ALL, C, min_length, "20", 0, 0,
             "Answers that are known to be shorter are not compressed."),
    ROW_BUFS("zstd_buffers", IN_HTTP_ALL, C, buffers, "32 4k", "Accepted; the memory for compressed bytes grows as needed."),
    ROW_NUM("zstd_comp_level", IN_HTTP_ALL, C, level, "1", 1, 22, "From fast (1) to small (22)."),
};

static const struct var_def vars[] = {
    {"zstd_ratio", false, VAR_VOLATILE, get_ratio, NULL, 0, "How many times smaller zstd made the answer."},
};

struct feature feature_zstd = {.name = "zstd",
                               .rows = rows,
                               .nrows = ARRAY_LEN(rows),
                               .vars = vars,
                               .nvars = ARRAY_LEN(vars),
                               .conf_size = sizeof(C),
                               .finish = finish_zstd,
                               .link = link_zstd,
                               .bind = bind_zstd};
