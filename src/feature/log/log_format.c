// log_format: texts and variables of a log line, compiled. What nearly every format asks for has an operation of its own that
// writes into the line; all else is a variable.
#include "feature/log/log_format.h"
#include "base/date.h"
#include "base/swar.h"
#include "io/loop.h"

enum op_kind {
    OP_TEXT,
    OP_VAR,
    OP_FIELD, // $http_x of a known field
    OP_STATUS,
    OP_BYTES_SENT,
    OP_BODY_BYTES_SENT,
    OP_REQUEST_LENGTH,
    OP_REQUEST_TIME,
    OP_MSEC,
    OP_TIME_LOCAL,
    OP_TIME_ISO8601,
    OP_PIPE,
};

struct op {
    enum op_kind kind;
    enum field_id field;
    struct str text;
    const struct var *var;
};

struct log_format {
    struct str name;
    enum log_escape escape;
    struct conf_list ops; // struct op
    const struct log_format *next;
};

struct log_format_conf {
    const struct log_format *first;
};

struct feature feature_log_format;

// --- escaping ------------------------------------------------------------------------------------------------------------

enum { TOP = 0x80 };
#define TOPS (TOP * SWAR_ONES)

// Not 0 when a byte of the word is to be escaped.
static inline uint64_t word_special(uint64_t w, bool json) {
    uint64_t quote = w ^ '"' * SWAR_ONES, slash = w ^ '\\' * SWAR_ONES, del = w ^ 0x7f * SWAR_ONES;
    uint64_t found = ((w - 0x20 * SWAR_ONES) & ~w) | ((quote - SWAR_ONES) & ~quote) | ((slash - SWAR_ONES) & ~slash);
    if (!json)
        found |= w | ((del - SWAR_ONES) & ~del);
    return found & TOPS;
}

static inline bool is_special(unsigned char c, bool json) {
    return c < 0x20 || c == '"' || c == '\\' || (!json && c > 0x7e);
}

// How many bytes from the front need no escape; may stop up to 7 bytes early.
static inline size_t plain_len(const char *p, size_t n, bool json) {
    size_t i = 0;
    while (i + 8 <= n) {
        if (word_special(swar_load64(p + i), json))
            return i;
        i += 8;
    }
    while (i < n && !is_special((unsigned char)p[i], json))
        i++;
    return i;
}

static char *put_escape(char *to, unsigned char c, bool json) {
    static const char hex[] = "0123456789ABCDEF";
    static const char letters[32] = {['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'};
    *to++ = '\\';
    if (json && c >= 0x20) {
        *to++ = (char)c;
        return to;
    }
    if (json && letters[c] != '\0') {
        *to++ = letters[c];
        return to;
    }
    memcpy(to, json ? "u00" : "x", json ? 3 : 1);
    to += json ? 3 : 1;
    *to++ = hex[c >> 4];
    *to++ = hex[c & 15];
    return to;
}

static NOINLINE void escape_slow(struct sbuf *line, struct str value, bool json) {
    size_t longest = json ? 6 : 4; // of one byte
    char *room = sbuf_room(line, value.n * longest), *to = room;
    if (room == NULL)
        return;
    for (size_t i = 0; i < value.n; i++) {
        unsigned char c = (unsigned char)value.p[i];
        if (is_special(c, json))
            to = put_escape(to, c, json);
        else
            *to++ = (char)c;
    }
    line->n += (size_t)(to - room);
}

void log_escape(struct sbuf *line, struct str value, enum log_escape how) {
    bool json = how == LOG_ESCAPE_JSON;
    size_t plain = how == LOG_ESCAPE_NONE ? value.n : plain_len(value.p, value.n, json);
    sbuf_put(line, value.p, plain);
    if (UNLIKELY(plain < value.n))
        escape_slow(line, str_from(value, plain), json);
}

// --- one line ------------------------------------------------------------------------------------------------------------

static void put_status(struct sbuf *line, const struct req *r) {
    unsigned status = r->error_status != 0            ? r->error_status
                      : r->outcome == OUTCOME_STATUS ? r->outcome_status
                                                     : r->out.status;
    char text[3] = {(char)('0' + status / 100 % 10), (char)('0' + status / 10 % 10), (char)('0' + status % 10)};
    sbuf_put(line, text, sizeof(text));
}

static void put_ms(struct sbuf *line, uint64_t ms) {
    unsigned part = (unsigned)(ms % 1000);
    char text[4] = {'.', (char)('0' + part / 100), (char)('0' + part / 10 % 10), (char)('0' + part % 10)};
    sbuf_u64(line, ms / 1000);
    sbuf_put(line, text, sizeof(text));
}

static bool value_of(const struct op *op, struct req *r, struct str *value) {
    if (op->kind == OP_FIELD) {
        const struct field *f = head_find(&r->in, op->field);
        if (f == NULL)
            return false;
        *value = f->value;
        if (head_find_next(&r->in, f) == NULL)
            return true;
    }
    return var_get(&r->eval, op->var, value);
}

static void put_op(const struct log_format *f, const struct op *op, struct req *r, struct sbuf *line) {
    struct str value;
    switch (op->kind) {
    case OP_TEXT: sbuf_str(line, op->text); break;
    case OP_VAR:
    case OP_FIELD:
        if (value_of(op, r, &value))
            log_escape(line, value, f->escape);
        else if (f->escape == LOG_ESCAPE_DEFAULT)
            sbuf_chr(line, '-');
        break;
    case OP_STATUS: put_status(line, r); break;
    case OP_BYTES_SENT: sbuf_u64(line, r->head_bytes_out + r->body_bytes_out); break;
    case OP_BODY_BYTES_SENT: sbuf_u64(line, r->body_bytes_out); break;
    case OP_REQUEST_LENGTH: sbuf_u64(line, r->main->head_bytes + r->main->body_bytes_in); break;
    case OP_REQUEST_TIME: put_ms(line, loop_now(r->loop) - r->main->start_ms); break;
    case OP_MSEC: put_ms(line, loop_wall_ms(r->loop)); break;
    case OP_TIME_LOCAL: sbuf_put(line, loop_text_log(r->loop), DATE_LOG_LEN); break;
    case OP_TIME_ISO8601: sbuf_put(line, loop_text_iso(r->loop), DATE_ISO_LEN); break;
    case OP_PIPE: sbuf_chr(line, r->pipelined ? 'p' : '.'); break;
    }
}

void log_format_write(const struct log_format *f, struct req *r, struct sbuf *line) {
    conf_list_each(const struct op, op, f->ops) put_op(f, op, r, line);
    if (line->n == line->max)
        line->n--; // a line ends, whatever else does not fit
    sbuf_chr(line, '\n');
}

// --- what it asks for ----------------------------------------------------------------------------------------------------

void log_asks_add(struct arena *a, struct conf_list *asks, const struct var *v) {
    const struct var **old = asks->at;
    if ((asks->count & (asks->count - 1)) == 0) { // full: a power of two
        const struct var **grown = arena_array(a, const struct var *, MAX(asks->count * 2, 1));
        if (asks->count != 0)
            memcpy(grown, old, asks->count * sizeof(*grown));
        asks->at = grown;
    }
    ((const struct var **)asks->at)[asks->count++] = v;
}

void log_format_asks(const struct log_format *f, struct arena *a, struct conf_list *asks) {
    conf_list_each(const struct op, op, f->ops) {
        if (op->kind == OP_VAR || op->kind == OP_FIELD)
            log_asks_add(a, asks, op->var);
    }
}

// --- compiling -----------------------------------------------------------------------------------------------------------

static void use_variable(struct conf_cx *cx, struct op *op, struct str name, const struct conf_node *node) {
    static const struct {
        struct str name;
        enum op_kind kind;
        enum field_id field;
    } own[] = {
        {STR_INIT("status"), OP_STATUS, 0},
        {STR_INIT("bytes_sent"), OP_BYTES_SENT, 0},
        {STR_INIT("body_bytes_sent"), OP_BODY_BYTES_SENT, 0},
        {STR_INIT("request_length"), OP_REQUEST_LENGTH, 0},
        {STR_INIT("request_time"), OP_REQUEST_TIME, 0},
        {STR_INIT("msec"), OP_MSEC, 0},
        {STR_INIT("time_local"), OP_TIME_LOCAL, 0},
        {STR_INIT("time_iso8601"), OP_TIME_ISO8601, 0},
        {STR_INIT("pipe"), OP_PIPE, 0},
        {STR_INIT("http_referer"), OP_FIELD, FIELD_REFERER},
        {STR_INIT("http_user_agent"), OP_FIELD, FIELD_USER_AGENT},
        {STR_INIT("http_host"), OP_FIELD, FIELD_HOST},
    };
    op->kind = OP_VAR;
    op->var = var_use(cx, name, node);
    for (size_t i = 0; i < ARRAY_LEN(own); i++) {
        if (str_eq(op->var->name, own[i].name)) {
            op->kind = own[i].kind;
            op->field = own[i].field;
        }
    }
}

static size_t name_len(struct str s) {
    size_t n = 0;
    while (n < s.n && (ascii_is_alpha((unsigned char)s.p[n]) || ascii_is_digit((unsigned char)s.p[n]) || s.p[n] == '_'))
        n++;
    return n;
}

// Takes "$name" or "${name}" off the front.
static bool take_variable(struct conf_cx *cx, struct str *s, struct str *name, const struct conf_node *node) {
    bool brace = s->n > 1 && s->p[1] == '{';
    struct str rest = str_from(*s, brace ? 2 : 1);
    *name = str_head(rest, name_len(rest));
    if (name->n == 0)
        return conf_err(cx, node, "invalid parameter \"" STR_FMT "\"", STR_ARG(*s));
    rest = str_from(rest, name->n);
    if (brace && (rest.n == 0 || rest.p[0] != '}'))
        return conf_err(cx, node, "the closing bracket in \"" STR_FMT "\" variable is missing", STR_ARG(*name));
    *s = str_from(rest, brace);
    return true;
}

static bool compile(struct conf_cx *cx, const struct conf_row *row, struct log_format *f, struct str s,
                    const struct conf_node *node) {
    while (s.n != 0) {
        ssize_t dollar = str_chr(s, '$');
        struct str text = str_head(s, dollar < 0 ? s.n : (size_t)dollar), name;
        if (text.n != 0) {
            struct op *op = conf_list_add(cx, row, &f->ops, sizeof *op);
            *op = (struct op){.kind = OP_TEXT, .text = arena_dup(cx->arena, text)};
        }
        s = str_from(s, text.n);
        if (s.n == 0)
            break;
        if (!take_variable(cx, &s, &name, node))
            return false;
        use_variable(cx, conf_list_add(cx, row, &f->ops, sizeof(struct op)), name, node);
    }
    return true;
}

const struct log_format *log_format_find(struct conf_cx *cx, struct str name) {
    const struct log_format_conf *c = scope_conf(cx->scope, &feature_log_format);
    for (const struct log_format *f = c->first; f != NULL; f = f->next) {
        if (str_eq(f->name, name))
            return f;
    }
    return NULL;
}

static bool set_escape(struct conf_cx *cx, struct log_format *f, struct str how, const struct conf_node *node) {
    if (str_eq(how, STR("default")))
        f->escape = LOG_ESCAPE_DEFAULT;
    else if (str_eq(how, STR("json")))
        f->escape = LOG_ESCAPE_JSON;
    else if (str_eq(how, STR("none")))
        f->escape = LOG_ESCAPE_NONE;
    else
        return conf_err(cx, node, "unknown log format escaping \"" STR_FMT "\"", STR_ARG(how));
    return true;
}

static bool set_format(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    struct log_format_conf *c = conf;
    if (log_format_find(cx, node->args[1]) != NULL)
        return conf_err(cx, node, "duplicate \"log_format\" name \"" STR_FMT "\"", STR_ARG(node->args[1]));
    struct log_format *f = arena_new(cx->arena, struct log_format);
    f->name = arena_dup(cx->arena, node->args[1]);
    unsigned i = 2;
    if (str_starts(node->args[2], STR("escape="))) {
        if (!set_escape(cx, f, str_from(node->args[2], 7), node))
            return false;
        i++;
    }
    for (; i < node->nargs; i++) {
        if (!compile(cx, row, f, node->args[i], node))
            return false;
    }
    f->next = c->first;
    c->first = f;
    return true;
}

static const struct conf_row rows[] = {
    ROW_FNS("log_format", IN_HTTP, 2, 0xffff, ROW_REPEAT, set_format,
            "combined '$remote_addr - $remote_user [$time_local] \"$request\" $status $body_bytes_sent \"$http_referer\" "
            "\"$http_user_agent\"'",
            "name [escape=default | json | none] string ...", "Names a format for the lines of access logs."),
};

struct feature feature_log_format = {
    .name = "log_format", .rows = rows, .nrows = ARRAY_LEN(rows), .conf_size = sizeof(struct log_format_conf)};
