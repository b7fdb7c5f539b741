// userid and its kin: a cookie that tells clients apart, in the format of Apache's mod_uid: 16 bytes in base64, which are the
// service, the time, and two numbers that no other client has.
#include "base/base64.h"
#include "base/date.h"
#include "http/answer.h"
#include "http/conn.h"
#include "http/plan.h"
#include "io/loop.h"
#include <sys/random.h>

enum { USERID_OFF, USERID_LOG, USERID_V1, USERID_ON };
enum { FLAG_SECURE = 1, FLAG_HTTPONLY = 2, FLAG_STRICT = 4, FLAG_LAX = 8, FLAG_NONE = 16 };
enum { TEXT_MIN = 22, TEXT = 24 }; // of a cookie: without and with the padding
#define EXPIRES_MAX INT64_MAX

struct userid_conf {
    int mode;
    unsigned flags;
    int64_t service; // -1: the server's address
    int64_t expires; // s; 0: none
    struct str name, domain, path, p3p;
    char mark;       // 0: off
};

struct userid_ctx {
    bool got, set, decided; // there is a valid cookie; one is to be sent; that was settled
    uint32_t uid_got[4], uid_set[4];
    struct str text; // of the cookie that came, without its padding
};

struct feature feature_userid;

// --- the client's cookie -------------------------------------------------------------------------------------------------------

static bool find_cookie(const struct req *r, struct str name, struct str *value, struct str *line) {
    head_each(f, &r->in) {
        if (f->id != FIELD_COOKIE || !cookie_find(f->value, name, value))
            continue;
        *line = f->value;
        return true;
    }
    return false;
}

static bool read_cookie(const struct req *r, const struct userid_conf *c, struct userid_ctx *x) {
    struct str value, line;
    if (!find_cookie(r, c->name, &value, &line))
        return false;
    if (value.n < TEXT_MIN) {
        log_msg(LOG_ERR, 0, "client sent too short userid cookie \"" STR_FMT "\"", STR_ARG(line));
        return false;
    }
    char text[TEXT], storage[TEXT];
    struct sbuf bytes;
    sbuf_init_fixed(&bytes, storage, sizeof(storage));
    memcpy(text, value.p, TEXT_MIN);
    memcpy(text + TEXT_MIN, "AA", 2); // instead of the padding, or of a mark
    if (!base64_decode(&bytes, str_n(text, TEXT))) {
        log_msg(LOG_ERR, 0, "client sent invalid userid cookie \"" STR_FMT "\"", STR_ARG(line));
        return false;
    }
    memcpy(x->uid_got, storage, 16);
    x->text = str_head(value, TEXT_MIN);
    return x->uid_got[3] != 0; // nginx takes a zero there for no cookie
}

static struct userid_ctx *ctx_of(struct req *r, const struct userid_conf *c) {
    struct userid_ctx *x = req_ctx(r, &feature_userid);
    if (x == NULL) {
        x = req_ctx_make(r, &feature_userid, sizeof(*x));
        x->got = read_cookie(r, c, x);
    }
    return x;
}

// --- a new one -----------------------------------------------------------------------------------------------------------------

static uint32_t server_number(const struct req *r) {
    struct addr_full a;
    uint32_t n = 0;
    if (r->conn == NULL || !link_local(r->conn->link, &a))
        return 0;
    struct str bytes = addr_bytes(&a.sa);
    if (bytes.n == 4 || bytes.n == 16)
        memcpy(&n, bytes.p + bytes.n - 4, 4);
    return n;
}

static void make_uid(const struct req *r, const struct userid_conf *c, uint32_t uid[4]) {
    uint32_t now = (uint32_t)(loop_wall_ms(r->loop) / 1000), service = (uint32_t)c->service;
    uint32_t own[2] = {0, 0};
    if (getrandom(own, sizeof(own), GRND_NONBLOCK) != sizeof(own))
        log_msg(LOG_CRIT, errno, "getrandom() failed, userid cookies may not be unique");
    bool v1 = c->mode == USERID_V1;
    uid[0] = c->service < 0 ? (v1 ? 0 : server_number(r)) : v1 ? service : htonl(service);
    uid[1] = v1 ? now : htonl(now);
    uid[2] = own[0];
    uid[3] = own[1];
}

// What $uid_reset, made by `set`, says: a new cookie is sent whatever the client has.
static bool wants_reset(struct req *r, bool *log) {
    const struct var *v = map_get(&r->conf->vars.by_name, STR("uid_reset"));
    struct str value;
    *log = false;
    if (v == NULL || !var_get(&r->eval, v, &value) || value.n == 0 || str_eq(value, STR("0")))
        return false;
    *log = str_eq(value, STR("log"));
    return true;
}

static void text_of(struct sbuf *b, struct str name, const uint32_t uid[4]) {
    sbuf_printf(b, STR_FMT "=%08X%08X%08X%08X", STR_ARG(name), uid[0], uid[1], uid[2], uid[3]);
}

// Settles whether a cookie is to be sent, and which.
static void decide(struct req *r, const struct userid_conf *c, struct userid_ctx *x) {
    bool log;
    if (x->decided)
        return;
    x->decided = true;
    bool reset = wants_reset(r, &log);
    if (reset && log && x->got) {
        char storage[256];
        struct sbuf b;
        sbuf_init_fixed(&b, storage, sizeof(storage));
        text_of(&b, c->name, x->uid_got);
        log_msg(LOG_NOTICE, 0, "userid cookie \"%s\" was reset", sbuf_cstr(&b));
    }
    if (x->got && !reset) {
        struct str value, line;
        bool marked = c->mark == 0 || (find_cookie(r, c->name, &value, &line) && value.n > TEXT_MIN && value.p[TEXT_MIN] == c->mark);
        if (marked)
            return;
        memcpy(x->uid_set, x->uid_got, sizeof(x->uid_set));
    } else {
        make_uid(r, c, x->uid_set);
        x->text = STR_NONE;
    }
    x->set = true;
}

// "Thu, 31-Dec-37 23:55:55 GMT"; years above 2037 have four digits.
static void put_expires(struct sbuf *b, const struct req *r, int64_t s) {
    static const int64_t last = 2145916555; // 31 Dec 2037 23:55:55
    int64_t when = s == EXPIRES_MAX ? last : (int64_t)(loop_wall_ms(r->loop) / 1000) + s;
    char text[DATE_HTTP_LEN];
    date_http(when, text);
    bool two = memcmp(text + 12, "2037", 4) <= 0;
    sbuf_printf(b, "; expires=%.7s-%.3s-%.*s%.*s", text, text + 8, two ? 2 : 4, text + (two ? 14 : 12), DATE_HTTP_LEN - 16, text + 16);
}

static struct str cookie_text(struct req *r, const struct userid_conf *c, const struct userid_ctx *x) {
    struct sbuf b;
    sbuf_init_arena(&b, &r->arena, 128, 8192);
    sbuf_str(&b, c->name);
    sbuf_chr(&b, '=');
    if (x->text.n != 0) { // sent again, for its mark
        sbuf_str(&b, x->text);
        sbuf_lit(&b, "==");
    } else {
        base64_encode(&b, str_n((const char *)x->uid_set, 16));
    }
    if (c->mark != 0)
        b.p[b.n - 2] = c->mark;
    if (c->expires != 0)
        put_expires(&b, r, c->expires);
    if (c->domain.n != 0)
        sbuf_printf(&b, "; domain=" STR_FMT, STR_ARG(c->domain));
    sbuf_printf(&b, "; path=" STR_FMT, STR_ARG(c->path));
    if (c->flags & FLAG_SECURE)
        sbuf_lit(&b, "; secure");
    if (c->flags & FLAG_HTTPONLY)
        sbuf_lit(&b, "; httponly");
    if (c->flags & (FLAG_STRICT | FLAG_LAX | FLAG_NONE))
        sbuf_printf(&b, "; samesite=%s", c->flags & FLAG_STRICT ? "strict" : c->flags & FLAG_LAX ? "lax" : "none");
    return sbuf_view(&b);
}

static enum step send_cookie(struct req *r, const void *conf) {
    const struct userid_conf *c = conf;
    if (r != r->main)
        return STEP_NEXT;
    struct userid_ctx *x = ctx_of(r, c);
    if (c->mode < USERID_V1)
        return STEP_NEXT;
    decide(r, c, x);
    if (!x->set)
        return STEP_NEXT;
    head_add_known(&r->out, FIELD_SET_COOKIE, cookie_text(r, c, x));
    if (c->p3p.n != 0)
        head_add(&r->out, FIELD_UNKNOWN, STR("P3P"), c->p3p);
    return STEP_NEXT;
}

// --- variables -----------------------------------------------------------------------------------------------------------------

static bool get_uid(struct eval *e, const struct var *v, struct str *out) {
    struct req *r = ((struct req *)e->req)->main;
    const struct userid_conf *c = req_conf(r, &feature_userid);
    bool set = v->data != 0;
    if (c->mode < (set ? USERID_V1 : USERID_LOG))
        return false;
    struct userid_ctx *x = ctx_of(r, c);
    if (set)
        decide(r, c, x);
    if (set ? !x->set : !x->got)
        return false;
    struct sbuf b;
    sbuf_init_arena(&b, e->arena, 64, 4096);
    text_of(&b, c->name, set ? x->uid_set : x->uid_got);
    *out = sbuf_view(&b);
    return true;
}

static bool get_reset(struct eval *e, const struct var *v, struct str *out) {
    *out = STR("");
    return true;
}

static const struct var_def vars[] = {
    {"uid_got", false, 0, get_uid, NULL, 0, "Name and value of the userid cookie that came."},
    {"uid_set", false, 0, get_uid, NULL, 1, "Name and value of the userid cookie that is sent."},
    {"uid_reset", false, VAR_CHANGEABLE, get_reset, NULL, 0,
     "Set to anything but \"0\" it makes a new cookie; \"log\" also writes that to the error log."},
};

// --- reading -------------------------------------------------------------------------------------------------------------------

static bool set_domain(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    struct str *to = (struct str *)((char *)conf + row->offset);
    *to = str_eq(node->args[1], STR("none")) ? STR("") : node->args[1];
    return true;
}

static bool set_expires(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    struct userid_conf *c = conf;
    c->expires = 0;
    if (str_eq(node->args[1], STR("off")))
        return true;
    if (str_eq(node->args[1], STR("max")))
        c->expires = EXPIRES_MAX;
    else if (!conf_parse_sec(node->args[1], &c->expires) || c->expires == EXPIRES_MAX)
        return conf_err(cx, node, "\"userid_expires\" directive invalid value");
    return true;
}

static bool set_mark(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    struct userid_conf *c = conf;
    struct str s = node->args[1];
    c->mark = 0;
    if (str_eq(s, STR("off")))
        return true;
    if (s.n != 1 || (s.p[0] != '=' && !ascii_is_alpha((unsigned char)s.p[0]) && !ascii_is_digit((unsigned char)s.p[0])))
        return conf_err(cx, node, "\"userid_mark\" directive value must be \"off\" or a single letter, digit or \"=\"");
    c->mark = s.p[0];
    return true;
}

static bool set_service(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    struct userid_conf *c = conf;
    if (!conf_parse_num(node->args[1], &c->service))
        return conf_err(cx, node, "\"userid_service\" directive invalid number");
    return true;
}

static bool bind_userid(struct conf_cx *cx, struct scope *s, void *conf) {
    const struct userid_conf *c = conf;
    if (c->mode != USERID_OFF)
        plan_add(cx, s, STAGE_RESPONSE, RESPONSE_USERID, send_cookie, c, "userid");
    return true;
}

static bool finish(struct conf_cx *cx, struct scope *s, void *conf) {
    struct userid_conf *c = conf;
    if (s->outer == NULL)
        c->service = -1;
    return true;
}

static const struct conf_word modes[] = {{"off", USERID_OFF}, {"log", USERID_LOG}, {"v1", USERID_V1}, {"on", USERID_ON}, {NULL}};
static const struct conf_word flags[] = {{"off", 0},
                                         {"secure", FLAG_SECURE},
                                         {"httponly", FLAG_HTTPONLY},
                                         {"samesite=strict", FLAG_STRICT},
                                         {"samesite=lax", FLAG_LAX},
                                         {"samesite=none", FLAG_NONE},
                                         {NULL}};

#define S struct userid_conf
static const struct conf_row rows[] = {
    ROW_ENUM("userid", IN_HTTP_ALL, S, mode, "off", modes, "Whether clients get a cookie that tells them apart; log: only read."),
    ROW_STR("userid_name", IN_HTTP_ALL, S, name, "uid", "Name of the cookie."),
    {"userid_domain", IN_HTTP_ALL, 1, 1, 0, 0, set_domain, NULL, FIELD_AT(S, domain, struct str), "none", 0, 0, NULL,
     "Domain of the cookie.", "name | none"},
    ROW_STR("userid_path", IN_HTTP_ALL, S, path, "/", "Path of the cookie."),
    ROW_FNS("userid_expires", IN_HTTP_ALL, 1, 1, 0, set_expires, "off", "time | max | off", "How long browsers keep the cookie."),
    {"userid_flags", IN_HTTP_ALL, 1, 3, ROW_REPEAT, 0, conf_set_bits, NULL, FIELD_AT(S, flags, unsigned), "off", 0, 0, flags,
     "More attributes of the cookie."},
    ROW_FNS("userid_mark", IN_HTTP_ALL, 1, 1, 0, set_mark, "off", "letter | digit | = | off",
            "A sign in the cookie; cookies with another one are sent anew, with the same number."),
    ROW_FNS("userid_service", IN_HTTP_ALL, 1, 1, 0, set_service, NULL, "number",
            "The first number in a cookie; without it the server's address, in v1 zero."),
    {"userid_p3p", IN_HTTP_ALL, 1, 1, 0, 0, set_domain, NULL, FIELD_AT(S, p3p, struct str), "none", 0, 0, NULL,
     "A P3P field that goes with the cookie.", "string | none"},
};
#undef S

struct feature feature_userid = {.name = "userid",
                                 .rows = rows,
                                 .nrows = ARRAY_LEN(rows),
                                 .conf_size = sizeof(struct userid_conf),
                                 .vars = vars,
                                 .nvars = ARRAY_LEN(vars),
                                 .finish = finish,
                                 .bind = bind_userid};
