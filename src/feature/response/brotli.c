// brotli: answers compressed with Brotli for clients that accept the coding "br". gzip_vary, gzip_proxied, gzip_http_version and
// gzip_disable hold for it too.
#include "feature/response/compress.h"
#include "http/plan.h"
#include <brotli/encode.h>

struct feature feature_brotli;

static void *make(const struct encoder_params *p) {
    BrotliEncoderState *s = BrotliEncoderCreateInstance(NULL, NULL, NULL);
    if (s == NULL)
        return NULL;
    BrotliEncoderSetParameter(s, BROTLI_PARAM_QUALITY, (uint32_t)p->level);
    BrotliEncoderSetParameter(s, BROTLI_PARAM_LGWIN, (uint32_t)p->window_bits);
    return s;
}

// The library cannot begin a state anew.
static bool reset(void *state) { return false; }

static int run(void *state, struct encode_io *io, enum encode_op op) {
    static const BrotliEncoderOperation ops[] = {BROTLI_OPERATION_PROCESS, BROTLI_OPERATION_FLUSH, BROTLI_OPERATION_FINISH};
    const uint8_t *in = (const uint8_t *)io->in;
    uint8_t *out = (uint8_t *)io->out;
    if (!BrotliEncoderCompressStream(state, ops[op], &io->in_n, &in, &io->out_n, &out, NULL))
        return -1;
    io->in = (const char *)in;
    io->out = (char *)out;
    if (op == ENCODE_FINISH)
        return !BrotliEncoderIsFinished(state);
    return io->in_n != 0 || BrotliEncoderHasMoreOutput(state);
}

static void free_state(void *state) { BrotliEncoderDestroyInstance(state); }

static const struct encoder_kind encoder = {"br", make, reset, run, free_state};

static bool finish_brotli(struct conf_cx *cx, struct scope *s, void *conf) {
    struct compress_conf *c = conf;
    c->params = (struct encoder_params){.level = (int)c->level, .window_bits = __builtin_ctzll(c->window)};
    c->kind = &encoder;
    return true;
}

static bool set_window(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    uint64_t n;
    if (!conf_parse_size(node->args[1], &n) || n < 1 << 10 || n > 16 << 20 || (n & (n - 1)) != 0)
        return conf_err(cx, node, "\"brotli_window\" directive must be 1k, 2k, 4k, 8k, 16k, 32k, 64k, 128k, 256k, 512k, 1m, 2m, "
                                  "4m, 8m or 16m");
    ((struct compress_conf *)conf)->window = n;
    return true;
}

static enum step run_brotli(struct req *r, const void *conf) {
    const struct compress_conf *c = conf;
    if (!compress_wanted(r, c) || !head_has(&r->in, FIELD_ACCEPT_ENCODING) || !compress_accepts(r, STR("br")) ||
        !gzip_client_allows(r))
        return STEP_NEXT;
    compress_answer(r, c, req_ctx_make(r, &feature_brotli, sizeof(struct compressed)));
    return STEP_NEXT;
}

static bool get_ratio(struct eval *e, const struct var *v, struct str *out) {
    return compress_ratio(req_ctx(e->req, &feature_brotli), e->arena, out);
}

static bool bind_brotli(struct conf_cx *cx, struct scope *s, void *conf) {
    const struct compress_conf *c = conf;
    if (c->on)
        plan_add(cx, s, STAGE_RESPONSE, RESPONSE_BROTLI, run_brotli, c, "brotli");
    return true;
}

static bool link_brotli(struct conf_cx *cx, struct scope *root) {
    compress_init();
    return true;
}

#define C struct compress_conf
static const struct conf_row rows[] = {
    ROW_FLAG("brotli", IN_HTTP_ALL | IN_IF, C, on, "off", "Compresses answers with Brotli."),
    ROW_TYPES("brotli_types", C, types, "text/html", "Content types of answers, besides text/html, that are compressed."),
    ROW_SIZE("brotli_min_length", IN_HTTP_ALL, C, min_length, "20", 0, 0,
             "Answers that are known to be shorter are not compressed."),
    ROW_BUFS("brotli_buffers", IN_HTTP_ALL, C, buffers, "32 4k", "Accepted; the memory for compressed bytes grows as needed."),
    ROW_NUM("brotli_comp_level", IN_HTTP_ALL, C, level, "6", 0, 11, "From fast (0) to small (11)."),
    ROW_FNS("brotli_window", IN_HTTP_ALL, 1, 1, 0, set_window, "512k", "size", "How far back Brotli looks for what repeats."),
};

static const struct var_def vars[] = {
    {"brotli_ratio", false, VAR_VOLATILE, get_ratio, NULL, 0, "How many times smaller Brotli made the answer."},
};

struct feature feature_brotli = {.name = "brotli",
                               .rows = rows,
                               .nrows = ARRAY_LEN(rows),
                               .vars = vars,
                               .nvars = ARRAY_LEN(vars),
                               .conf_size = sizeof(C),
                               .finish = finish_brotli,
                               .link = link_brotli,
                               .bind = bind_brotli};
