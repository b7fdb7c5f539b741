// gzip: answers compressed for clients that accept it, and the rules of which clients and answers these are; they hold for
// gzip_static and gunzip too.
#include "base/date.h"
#include "feature/response/compress.h"
#include "http/plan.h"
#include "http/regex.h"
#include "io/loop.h"

enum { // bits of gzip_proxied
    PROXIED_OFF = 1, PROXIED_EXPIRED = 2, PROXIED_NO_CACHE = 4, PROXIED_NO_STORE = 8, PROXIED_PRIVATE = 16,
    PROXIED_NO_LAST_MODIFIED = 32, PROXIED_NO_ETAG = 64, PROXIED_AUTH = 128, PROXIED_ANY = 256,
};

struct gzip_conf {
    struct compress_conf c;
    unsigned proxied;
    int http_version;
    bool vary, no_buffer;
    struct conf_list disable; // struct regex *, for User-Agent
    bool disable_msie6;
};

struct gzip_ctx {
    struct compressed count;
    bool accepted; // gzip_static found so, before the fields of the answer were known
};

struct feature feature_gzip;

static const struct gzip_conf *conf_of(const struct req *r) { return req_conf(r, &feature_gzip); }

bool gzip_vary_is_on(const struct req *r) { return conf_of(r)->vary; }

// --- who may get it --------------------------------------------------------------------------------------------------------

static bool expired(struct req *r, struct str expires) {
    int64_t now = (int64_t)(loop_wall_ms(r->loop) / 1000), date = now, at;
    struct str said = head_value(&r->out, FIELD_DATE);
    if (said.p != NULL && !date_parse(said, now, &date))
        date = now;
    return date_parse(expires, now, &at) && at < date;
}

static bool control_says(const struct req *r, const char *word) {
    head_each(f, &r->out) {
        if (f->id == FIELD_CACHE_CONTROL && list_has_token(f->value, str_c(word)))
            return true;
    }
    return false;
}

// A request that came through a proxy (Via): what the answer says about caching decides.
static bool proxied_allows(struct req *r, unsigned p) {
    if (p & PROXIED_OFF)
        return false;
    if ((p & PROXIED_ANY) || ((p & PROXIED_AUTH) && head_has(&r->in, FIELD_AUTHORIZATION)))
        return true;
    struct str expires = head_value(&r->out, FIELD_EXPIRES);
    if (expires.p != NULL)
        return (p & PROXIED_EXPIRED) && expired(r, expires);
    if (head_has(&r->out, FIELD_CACHE_CONTROL))
        return ((p & PROXIED_NO_CACHE) && control_says(r, "no-cache")) || ((p & PROXIED_NO_STORE) && control_says(r, "no-store")) ||
               ((p & PROXIED_PRIVATE) && control_says(r, "private"));
    if ((p & PROXIED_NO_LAST_MODIFIED) && head_has(&r->out, FIELD_LAST_MODIFIED))
        return false;
    return !((p & PROXIED_NO_ETAG) && head_has(&r->out, FIELD_ETAG));
}

// Versions 4 to 6 of an old browser, but not those that say SV1.
static bool is_msie6(struct str agent) {
    ssize_t at = str_find(agent, STR("MSIE "));
    if (at < 0 || (size_t)at + 7 >= agent.n || agent.p[at + 6] != '.' || str_find(agent, STR("Opera")) >= 0)
        return false;
    char version = agent.p[at + 5];
    return version == '4' || version == '5' || (version == '6' && str_find(agent, STR("SV1")) < 0);
}

static bool agent_allows(struct req *r, const struct gzip_conf *c) {
    if (c->disable.count == 0 && !c->disable_msie6)
        return true;
    struct str agent = head_value(&r->in, FIELD_USER_AGENT);
    if (agent.n == 0)
        return true;
    if (c->disable_msie6 && is_msie6(agent))
        return false;
    struct regex *const *disable = c->disable.at;
    for (size_t i = 0; i < c->disable.count; i++) {
        size_t ov[2 * REGEX_CAPTURES_MAX];
        unsigned pairs;
        if (regex_match(disable[i], agent, ov, &pairs))
            return false;
    }
    return true;
}

bool gzip_client_allows(struct req *r) {
    const struct gzip_conf *c = conf_of(r);
    if (r != r->main || (int)r->in.version < c->http_version)
        return false;
    if (head_has(&r->in, FIELD_VIA) && !proxied_allows(r, c->proxied))
        return false;
    return agent_allows(r, c);
}

void gzip_accepted(struct req *r) {
    struct gzip_ctx *ctx = req_ctx_make(r, &feature_gzip, sizeof *ctx);
    ctx->accepted = true;
}

bool gzip_ok(struct req *r) {
    const struct gzip_ctx *ctx = req_ctx(r, &feature_gzip);
    if (ctx != NULL && ctx->accepted)
        return true;
    return head_has(&r->in, FIELD_ACCEPT_ENCODING) && compress_accepts(r, STR("gzip")) && gzip_client_allows(r);
}

// --- the hook --------------------------------------------------------------------------------------------------------------

static enum step run_gzip(struct req *r, const void *conf) {
    const struct gzip_conf *c = conf;
    if (!compress_wanted(r, &c->c) || !gzip_ok(r))
        return STEP_NEXT;
    struct gzip_ctx *ctx = req_ctx_make(r, &feature_gzip, sizeof *ctx);
    compress_answer(r, &c->c, &ctx->count);
    return STEP_NEXT;
}

static bool get_ratio(struct eval *e, const struct var *v, struct str *out) {
    const struct gzip_ctx *ctx = req_ctx(e->req, &feature_gzip);
    return ctx != NULL && compress_ratio(&ctx->count, e->arena, out);
}

// --- configuration ---------------------------------------------------------------------------------------------------------

static bool set_disable(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    struct gzip_conf *c = conf;
    for (unsigned i = 1; i < node->nargs; i++) {
        if (str_eq(node->args[i], STR("msie6"))) {
            c->disable_msie6 = true;
            continue;
        }
        if (str_eq(node->args[i], STR("degradation")))
            continue;
        struct regex *re = regex_compile(cx, node->args[i], true, node);
        if (re == NULL)
            return false;
        *(struct regex **)conf_list_add(cx, row, &c->disable, sizeof re) = re;
    }
    return true;
}

static bool is_power_between(uint64_t n, uint64_t lo, uint64_t hi) { return n >= lo && n <= hi && (n & (n - 1)) == 0; }

static bool take_size(struct conf_cx *cx, const struct conf_node *node, uint64_t *n) {
    return conf_parse_size(node->args[1], n) || conf_err(cx, node, "\"" STR_FMT "\" directive invalid value", STR_ARG(node->args[0]));
}

static bool set_window(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    uint64_t n;
    if (!take_size(cx, node, &n))
        return false;
    if (!is_power_between(n, 512, 32 << 10))
        return conf_err(cx, node, "\"gzip_window\" directive must be 512, 1k, 2k, 4k, 8k, 16k, or 32k");
    ((struct gzip_conf *)conf)->c.params.window_bits = __builtin_ctzll(n);
    return true;
}

static bool set_hash(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    uint64_t n;
    if (!take_size(cx, node, &n))
        return false;
    if (!is_power_between(n, 512, 128 << 10))
        return conf_err(cx, node, "\"gzip_hash\" directive must be 512, 1k, 2k, 4k, 8k, 16k, 32k, 64k, or 128k");
    ((struct gzip_conf *)conf)->c.params.mem_level = __builtin_ctzll(n) - 8;
    return true;
}

static bool finish_gzip(struct conf_cx *cx, struct scope *s, void *conf) {
    struct gzip_conf *c = conf;
    c->c.params.level = (int)c->c.level;
    bool small = (c->c.params.window_bits != 0 && c->c.params.window_bits < 15) ||
                 (c->c.params.mem_level != 0 && c->c.params.mem_level < 8);
    c->c.kind = c->c.level <= 3 && !small ? &encoder_isal : &encoder_zlib;
    return true;
}

static bool bind_gzip(struct conf_cx *cx, struct scope *s, void *conf) {
    const struct gzip_conf *c = conf;
    if (c->c.on)
        plan_add(cx, s, STAGE_RESPONSE, RESPONSE_GZIP, run_gzip, c, "gzip");
    return true;
}

static bool link_gzip(struct conf_cx *cx, struct scope *root) {
    compress_init();
    return true;
}

static const struct conf_word proxied_words[] = {{"off", PROXIED_OFF},
                                                 {"expired", PROXIED_EXPIRED},
                                                 {"no-cache", PROXIED_NO_CACHE},
                                                 {"no-store", PROXIED_NO_STORE},
                                                 {"private", PROXIED_PRIVATE},
                                                 {"no_last_modified", PROXIED_NO_LAST_MODIFIED},
                                                 {"no_etag", PROXIED_NO_ETAG},
                                                 {"auth", PROXIED_AUTH},
                                                 {"any", PROXIED_ANY},
                                                 {NULL}};
static const struct conf_word version_words[] = {{"1.0", 10}, {"1.1", 11}, {NULL}};

#define G struct gzip_conf
static const struct conf_row rows[] = {
    ROW_FLAG("gzip", IN_HTTP_ALL | IN_IF, G, c.on, "off", "Compresses answers with gzip."),
    ROW_TYPES("gzip_types", G, c.types, "text/html", "Content types of answers, besides text/html, that are compressed."),
    ROW_NUM("gzip_comp_level", IN_HTTP_ALL, G, c.level, "1", 1, 9,
            "From fast (1) to small (9). Up to 3, ISA-L compresses, which is several times as fast as zlib."),
    ROW_SIZE("gzip_min_length", IN_HTTP_ALL, G, c.min_length, "20", 0, 0,
             "Answers that are known to be shorter are not compressed."),
    ROW_BUFS("gzip_buffers", IN_HTTP_ALL, G, c.buffers, "32 4k", "Accepted; the memory for compressed bytes grows as needed."),
    ROW_FNS("gzip_window", IN_HTTP_ALL, 1, 1, 0, set_window, NULL, "size", "The window of zlib; smaller ones take less memory."),
    ROW_FNS("gzip_hash", IN_HTTP_ALL, 1, 1, 0, set_hash, NULL, "size", "The hash table of zlib; smaller ones take less memory."),
    ROW_FLAG("gzip_no_buffer", IN_HTTP_ALL, G, no_buffer, "off", "Accepted; compressed bytes are sent as they come."),
    ROW_NOOP_OF("postpone_gzipping", IN_HTTP_ALL, conf_set_size, "Compression begins with the first bytes."),
    ROW_ENUM("gzip_http_version", IN_HTTP_ALL, G, http_version, "1.1", version_words,
             "The lowest version of HTTP that gets compressed answers."),
    ROW_BITS("gzip_proxied", IN_HTTP_ALL, G, proxied, "off", proxied_words,
             "Which answers are compressed for requests that came through a proxy (Via)."),
    ROW_FLAG("gzip_vary", IN_HTTP_ALL, G, vary, "off", "Adds \"Vary: Accept-Encoding\" to answers that may be compressed."),
    ROW_FNS("gzip_disable", IN_HTTP_ALL, 1, 0xffff, ROW_LISTED, set_disable, NULL, "regex ...",
            "Clients whose User-Agent matches get no compressed answers; \"msie6\" stands for one old browser."),
};

static const struct var_def vars[] = {
    {"gzip_ratio", false, VAR_VOLATILE, get_ratio, NULL, 0, "How many times smaller gzip made the answer."},
};

struct feature feature_gzip = {.name = "gzip",
                               .rows = rows,
                               .nrows = ARRAY_LEN(rows),
                               .vars = vars,
                               .nvars = ARRAY_LEN(vars),
                               .conf_size = sizeof(struct gzip_conf),
                               .finish = finish_gzip,
                               .link = link_gzip,
                               .bind = bind_gzip};
