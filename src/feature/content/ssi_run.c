// The SSI commands: include, echo, set, config, if, elif, else, endif, block, endblock.
#include "feature/content/ssi_private.h"
#include "http/answer.h"
#include "http/subrequest.h"
#include "io/loop.h"

// What a command does. 0, -EAGAIN, -ECANCELED; any other value: failed (logged), the answer gets errmsg.
typedef int command_fn(struct ssi_body *b, const struct ssi_command *c, enum body_wait wait);

enum { FAILED = 1, VAR_NAME_MAX = 256 };

// --- values ----------------------------------------------------------------------------------------------------------------

static struct ssi_var *find_var(struct req *r, struct str name) {
    struct ssi_var *v = ssi_ctx(r->main)->vars;
    while (v != NULL && !str_eq(v->name, name))
        v = v->next;
    return v;
}

static void set_var(struct req *r, struct str name, struct str value) {
    struct arena *a = &r->main->arena;
    struct ssi_ctx *c = ssi_ctx(r->main);
    struct ssi_var *v = find_var(r, name);
    if (v == NULL) {
        v = arena_new(a, struct ssi_var);
        v->name = arena_dup(a, name);
        v->next = c->vars;
        c->vars = v;
    }
    v->value = arena_dup(a, value);
}

// Of the page, else of the server. False: there is none.
static bool get_var(struct req *r, struct str name, struct str *value) {
    struct str lower = arena_lower(&r->arena, name);
    const struct ssi_var *v = find_var(r, lower);
    if (v != NULL) {
        *value = v->value;
        return true;
    }
    if (lower.n == 1 && ascii_is_digit((unsigned char)lower.p[0])) {
        const struct ssi_ctx *c = ssi_ctx(r);
        unsigned i = (unsigned)(lower.p[0] - '0');
        *value = i < c->ncaptures ? c->captures[i] : STR_NONE;
        return value->p != NULL;
    }
    return var_get_named(&r->eval, lower, value);
}

static bool is_name(char c) { return ascii_is_alpha((unsigned char)c) || ascii_is_digit((unsigned char)c) || c == '_'; }

// "$name", "${name}", "\$". False: malformed (logged).
static bool expand(struct req *r, struct str text, struct str *out) {
    if (str_chr(text, '$') < 0) {
        *out = text;
        return true;
    }
    struct sbuf b;
    sbuf_init_arena(&b, &r->arena, text.n + 64, SSI_SET_MAX);
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] == '\\' && i + 1 < text.n && text.p[i + 1] == '$') {
            sbuf_chr(&b, '$');
            i++;
            continue;
        }
        if (text.p[i] != '$') {
            sbuf_chr(&b, text.p[i]);
            continue;
        }
        bool braces = i + 1 < text.n && text.p[i + 1] == '{';
        size_t from = i + 1 + braces, to = from;
        while (to < text.n && is_name(text.p[to]))
            to++;
        if (to == from || (braces && (to == text.n || text.p[to] != '}'))) {
            log_msg(LOG_ERR, 0, to == from ? "invalid variable name in \"" STR_FMT "\""
                                           : "the closing bracket in \"" STR_FMT "\" variable is missing",
                    STR_ARG(to == from ? text : str_n(text.p + from, to - from)));
            return false;
        }
        struct str value;
        if (get_var(r, str_n(text.p + from, to - from), &value))
            sbuf_str(&b, value);
        i = to - 1 + braces;
    }
    *out = sbuf_view(&b);
    return !b.overflow;
}

// --- include ---------------------------------------------------------------------------------------------------------------

// Path and query of what is to be included, normalised. False: logged.
static bool include_uri(struct req *r, struct str text, struct str *uri, struct str *args) {
    *args = STR_NONE;
    ssize_t q = str_chr(text, '?');
    if (q >= 0) {
        *args = str_from(text, (size_t)q + 1);
        text = str_head(text, (size_t)q);
    }
    struct str path = uri_unescape(text, false, &r->arena);
    if (path.n == 0 || path.p[0] != '/') { // relative to the page
        size_t dir = (size_t)(str_rchr(r->uri, '/') + 1);
        struct str parts[2] = {str_head(r->uri, dir), path};
        path = arena_join(&r->arena, parts, 2);
    }
    if (memchr(path.p, '\0', path.n) == NULL && uri_normalise(&path, true, &r->arena) &&
        str_find(text, STR("../")) < 0 && !str_ends(text, STR(".."))) {
        *uri = path;
        return true;
    }
    log_msg(LOG_ERR, 0, "unsafe URI \"" STR_FMT "\" was detected in the \"include\" SSI command", STR_ARG(text));
    return false;
}

// The whole answer as a text of the client's request.
static int read_whole(struct req *r, struct body *body, struct str *text) {
    struct sbuf b;
    sbuf_init_arena(&b, &r->main->arena, 256, SSI_SET_MAX);
    struct filter f;
    static const struct body_ops none = {.name = "none"};
    filter_init(&f, body, &none, loop_blocks(r->loop));
    struct chain c;
    chain_init(&c, loop_blocks(r->loop));
    ssize_t n;
    while ((n = filter_pull(&f, &c, 64 << 10, BODY_WAIT)) > 0) {
        for (const struct piece *p = c.head; p != NULL; p = p->next)
            sbuf_put(&b, p->p, p->n);
        chain_done(&c);
    }
    filter_done(&f);
    *text = sbuf_view(&b);
    if (b.overflow) {
        log_msg(LOG_ERR, 0, "too big subrequest response: more than %d bytes for a variable", SSI_SET_MAX);
        return -EFBIG;
    }
    return (int)n;
}

static int include_into(struct ssi_body *b, struct req *sr, struct str name) {
    struct str text;
    struct body *body = subrequest_start(sr);
    int err = subrequest_wait(sr);
    bool good = err == 0 && sr->outcome == OUTCOME_ANSWER && sr->out.status < 300;
    if (err == 0 && !good) {
        body_free(body);
        set_var(b->r, name, STR(""));
        return 0;
    }
    if (err == 0)
        err = read_whole(b->r, body, &text);
    else
        body_free(body);
    if (err == -ECANCELED)
        return err;
    set_var(b->r, name, err == 0 ? text : STR(""));
    return err == 0 ? 0 : FAILED;
}

static int run_include(struct ssi_body *b, const struct ssi_command *c, enum body_wait wait) {
    struct str file = ssi_param(c, "file"), virtual = ssi_param(c, "virtual"), set = ssi_param(c, "set"),
               said = ssi_param(c, "wait"), stub = ssi_param(c, "stub");
    if (file.p != NULL && virtual.p != NULL) {
        log_msg(LOG_ERR, 0, "inclusion may be either virtual=\"" STR_FMT "\" or file=\"" STR_FMT "\"", STR_ARG(virtual), STR_ARG(file));
        return FAILED;
    }
    if (file.p == NULL && virtual.p == NULL) {
        log_msg(LOG_ERR, 0, "no parameter in \"include\" SSI command");
        return FAILED;
    }
    if (set.p != NULL && stub.p != NULL) {
        log_msg(LOG_ERR, 0, "\"set\" and \"stub\" cannot be used together in \"include\" SSI command");
        return FAILED;
    }
    if (said.p != NULL && !str_ieq(said, STR("yes")) && !str_ieq(said, STR("no"))) {
        log_msg(LOG_ERR, 0, "invalid value \"" STR_FMT "\" in the \"wait\" parameter", STR_ARG(said));
        return FAILED;
    }
    const struct ssi_block *block = ssi_ctx(b->r->main)->blocks;
    while (stub.p != NULL && block != NULL && !str_eq(block->name, stub))
        block = block->next;
    if (stub.p != NULL && block == NULL) {
        log_msg(LOG_ERR, 0, "\"stub\"=\"" STR_FMT "\" for \"include\" not found", STR_ARG(stub));
        return FAILED;
    }
    if (set.p != NULL && wait == BODY_NOWAIT)
        return -EAGAIN;
    struct str text, uri, args;
    if (!expand(b->r, virtual.p != NULL ? virtual : file, &text) || !include_uri(b->r, text, &uri, &args))
        return FAILED;
    struct req *sr = subrequest_new(b->r, &(struct subrequest_opts){.uri = uri, .args = args});
    if (sr == NULL)
        return FAILED;
    if (set.p != NULL)
        return include_into(b, sr, arena_lower(&b->r->arena, set));
    struct ssi_item *i = ssi_add_item(b);
    i->sub = subrequest_start(sr);
    i->req = sr;
    i->stub = stub.p != NULL ? arena_dup(&b->r->arena, stub) : STR("");
    i->wait = str_ieq(said, STR("yes"));
    return 0;
}

// --- echo, set, config -----------------------------------------------------------------------------------------------------

static struct str url_escaped(struct req *r, struct str s) {
    struct sbuf b;
    sbuf_init_arena(&b, &r->arena, s.n + 32, SSI_SET_MAX);
    for (size_t i = 0; i < s.n; i++) {
        unsigned char ch = (unsigned char)s.p[i];
        if (ch <= ' ' || ch >= 0x7f || strchr("\"#%'<>\\^`{|}", ch) != NULL)
            sbuf_printf(&b, "%%%02X", ch);
        else
            sbuf_chr(&b, (char)ch);
    }
    return sbuf_view(&b);
}

static int run_echo(struct ssi_body *b, const struct ssi_command *c, enum body_wait wait) {
    struct str name = ssi_param(c, "var"), other = ssi_param(c, "default"), how = ssi_param(c, "encoding"), value;
    bool url = str_eq(how, STR("url")), none = str_eq(how, STR("none"));
    if (how.p != NULL && !url && !none && !str_eq(how, STR("entity"))) {
        log_msg(LOG_ERR, 0, "unknown encoding \"" STR_FMT "\" in the \"echo\" command", STR_ARG(how));
    }
    if (!get_var(b->r, name, &value)) {
        ssi_put(b, other.p != NULL ? other : STR("(none)"));
        return 0;
    }
    if (url)
        value = url_escaped(b->r, value);
    else if (!none)
        value = uri_escape(value, URI_ESCAPE_HTML, &b->r->arena);
    ssi_put(b, value);
    return 0;
}

static int run_set(struct ssi_body *b, const struct ssi_command *c, enum body_wait wait) {
    struct str value;
    if (!expand(b->r, ssi_param(c, "value"), &value))
        return FAILED;
    set_var(b->r, arena_lower(&b->r->arena, ssi_param(c, "var")), value);
    return 0;
}

static int run_config(struct ssi_body *b, const struct ssi_command *c, enum body_wait wait) {
    struct ssi_ctx *ctx = ssi_ctx(b->r);
    struct str timefmt = ssi_param(c, "timefmt"), errmsg = ssi_param(c, "errmsg");
    if (timefmt.p != NULL)
        ctx->timefmt = arena_dup(&b->r->arena, timefmt);
    if (errmsg.p != NULL)
        ctx->errmsg = arena_dup(&b->r->arena, errmsg);
    return 0;
}

// --- conditions ------------------------------------------------------------------------------------------------------------

static bool matches(struct ssi_body *b, struct str left, struct str pattern, bool *failed) {
    struct req *r = b->r;
    struct str error;
    if (pattern.n < 2 || pattern.p[pattern.n - 1] != '/') {
        log_msg(LOG_ERR, 0, "invalid regex in \"" STR_FMT "\"", STR_ARG(pattern));
        *failed = true;
        return false;
    }
    struct regex *re = regex_compile_text(arena_dup(&r->arena, str_n(pattern.p + 1, pattern.n - 2)), false, &r->arena, &error);
    if (re == NULL) {
        log_msg(LOG_ERR, 0, "pcre2_compile() failed: " STR_FMT " in \"" STR_FMT "\"", STR_ARG(error), STR_ARG(pattern));
        *failed = true;
        return false;
    }
    size_t ov[2 * REGEX_CAPTURES_MAX];
    unsigned pairs = 0;
    left = arena_dup(&r->arena, left);
    if (!regex_match(re, left, ov, &pairs))
        return false;
    struct ssi_ctx *c = ssi_ctx(r);
    c->ncaptures = MIN(pairs, (unsigned)ARRAY_LEN(c->captures));
    for (unsigned i = 0; i < c->ncaptures; i++)
        c->captures[i] = ov[2 * i] > ov[2 * i + 1] || ov[2 * i] == SIZE_MAX ? STR_NONE
                                                                            : str_n(left.p + ov[2 * i], ov[2 * i + 1] - ov[2 * i]);
    struct str name;
    unsigned at = 0, capture;
    while (regex_next_name(re, &at, &name, &capture)) {
        if (capture < c->ncaptures && c->captures[capture].p != NULL)
            set_var(r, arena_lower(&r->arena, name), c->captures[capture]);
    }
    return true;
}

static bool is_left(char c) { return is_name(c) || c == '$' || c == '{' || c == '}' || c == '"' || c == '\''; }

// "$name", "$name = text", "$name != /regex/". 1 true, 0 false, -1 malformed (logged).
static int holds(struct ssi_body *b, struct str expr) {
    size_t n = 0;
    while (n < expr.n && is_left(expr.p[n]))
        n++;
    struct str left, right, rest = str_trim(str_from(expr, n));
    if (!expand(b->r, arena_lower(&b->r->arena, str_head(expr, n)), &left))
        return -1;
    if (rest.n == 0)
        return left.n != 0;
    bool negate = rest.n > 1 && rest.p[0] == '!' && rest.p[1] == '=';
    if (rest.p[0] != '=' && !negate) {
        log_msg(LOG_ERR, 0, "invalid expression in \"" STR_FMT "\"", STR_ARG(expr));
        return -1;
    }
    rest = str_trim(str_from(rest, 1 + negate));
    bool regex = rest.n != 0 && rest.p[0] == '/', failed = false;
    if (rest.n > 1 && rest.p[0] == '\\' && rest.p[1] == '/')
        rest = str_from(rest, 1);
    if (!expand(b->r, rest, &right))
        return -1;
    bool same = regex ? matches(b, left, right, &failed) : str_eq(left, right);
    return failed ? -1 : same != negate;
}

static int run_if(struct ssi_body *b, const struct ssi_command *c, enum body_wait wait) {
    if (str_eq(c->name, STR("if"))) {
        if (b->condition != SSI_NONE) {
            log_msg(LOG_ERR, 0, "the \"if\" command inside the \"if\" command");
            return FAILED;
        }
        b->chosen = false;
    }
    if (b->chosen) {
        b->mute = true;
        return 0;
    }
    int res = holds(b, ssi_param(c, "expr"));
    if (res < 0)
        return FAILED; // as if it were not there, as in nginx
    b->condition = SSI_IF;
    b->mute = res == 0;
    b->chosen = res == 1;
    return 0;
}

static int run_else(struct ssi_body *b, const struct ssi_command *c, enum body_wait wait) {
    b->mute = b->chosen;
    b->chosen = true;
    b->condition = SSI_ELSE;
    return 0;
}

static int run_endif(struct ssi_body *b, const struct ssi_command *c, enum body_wait wait) {
    b->mute = b->chosen = false;
    b->condition = SSI_NONE;
    return 0;
}

// --- blocks ----------------------------------------------------------------------------------------------------------------

static int run_block(struct ssi_body *b, const struct ssi_command *c, enum body_wait wait) {
    struct req *main = b->r->main;
    struct ssi_ctx *ctx = ssi_ctx(main);
    struct ssi_block *k = arena_new(&main->arena, struct ssi_block);
    k->name = arena_dup(&main->arena, ssi_param(c, "name"));
    sbuf_init_arena(&k->text, &main->arena, 64, SSI_SET_MAX);
    k->next = ctx->blocks;
    ctx->blocks = k;
    b->block = k;
    return 0;
}

static int run_endblock(struct ssi_body *b, const struct ssi_command *c, enum body_wait wait) {
    b->block = NULL;
    return 0;
}

// --- which -----------------------------------------------------------------------------------------------------------------

static const struct {
    struct str name;
    command_fn *run;
    unsigned after;       // needs a condition that is open: 1 before else, 2 also after it
    const char *required[3], *allowed[6];
} commands[] = {
    {STR_INIT("include"), run_include, 0, {NULL}, {"virtual", "file", "wait", "set", "stub", NULL}},
    {STR_INIT("echo"), run_echo, 0, {"var", NULL}, {"var", "default", "encoding", NULL}},
    {STR_INIT("set"), run_set, 0, {"var", "value", NULL}, {"var", "value", NULL}},
    {STR_INIT("config"), run_config, 0, {NULL}, {"timefmt", "errmsg", NULL}},
    {STR_INIT("if"), run_if, 0, {"expr", NULL}, {"expr", NULL}},
    {STR_INIT("elif"), run_if, 1, {"expr", NULL}, {"expr", NULL}},
    {STR_INIT("else"), run_else, 1, {NULL}, {NULL}},
    {STR_INIT("endif"), run_endif, 2, {NULL}, {NULL}},
    {STR_INIT("block"), run_block, 0, {"name", NULL}, {"name", NULL}},
    {STR_INIT("endblock"), run_endblock, 0, {NULL}, {NULL}},
};

static bool is_allowed(struct str name, const char *const *allowed) {
    while (*allowed != NULL && !str_eq(name, str_c(*allowed)))
        allowed++;
    return *allowed != NULL;
}

static bool check_params(const struct ssi_body *b, const struct ssi_command *c, const char *const *required, const char *const *allowed) {
    for (unsigned i = 0; i < c->count; i++) {
        struct str name = c->params[i].name;
        if (!is_allowed(name, allowed)) {
            log_msg(LOG_ERR, 0, "invalid parameter name: \"" STR_FMT "\" in \"" STR_FMT "\" SSI command", STR_ARG(name), STR_ARG(c->name));
            return false;
        }
        if (c->params[i].value.n > b->conf->value_length) {
            log_msg(LOG_ERR, 0, "too long \"" STR_FMT "...\" value of \"" STR_FMT "\" parameter in the \"" STR_FMT
                    "\" SSI command (limit: ssi_value_length %llu)",
                    STR_ARG(str_head(c->params[i].value, 60)), STR_ARG(name), STR_ARG(c->name), (unsigned long long)b->conf->value_length);
            return false;
        }
    }
    for (; *required != NULL; required++) {
        if (ssi_param(c, *required).p == NULL) {
            log_msg(LOG_ERR, 0, "mandatory \"%s\" parameter is absent in \"" STR_FMT "\" SSI command", *required, STR_ARG(c->name));
            return false;
        }
    }
    return true;
}

static int dispatch(struct ssi_body *b, const struct ssi_command *c, enum body_wait wait) {
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        if (!str_eq(commands[i].name, c->name))
            continue;
        unsigned after = commands[i].after;
        if (after != 0 && (b->condition == SSI_NONE || (after == 1 && b->condition == SSI_ELSE))) {
            log_msg(LOG_ERR, 0, "invalid context of SSI command: \"" STR_FMT "\"", STR_ARG(c->name));
            return FAILED;
        }
        if (b->mute && after == 0)
            return 0;
        return check_params(b, c, commands[i].required, commands[i].allowed) ? commands[i].run(b, c, wait) : FAILED;
    }
    if (b->mute)
        return 0;
    log_msg(LOG_ERR, 0, "invalid SSI command: \"" STR_FMT "\"", STR_ARG(c->name));
    return FAILED;
}

int ssi_run(struct ssi_body *b, enum body_wait wait) {
    struct str text = sbuf_view(&b->command), whole = b->block != NULL ? arena_dup(&b->r->arena, text) : STR_NONE;
    struct ssi_command c;
    const char *why = b->too_long ? "too long SSI command" : NULL;
    if (!b->too_long)
        why = ssi_parse(b->command.p, text.n - 3, &c); // without "-->"
    if (b->block != NULL && (why != NULL || !str_eq(c.name, STR("endblock")))) { // kept for when the block is used
        ssi_put(b, STR("<!--#"));
        ssi_put(b, whole);
        return 0;
    }
    int err = FAILED;
    if (why == NULL)
        err = dispatch(b, &c, wait);
    else if (b->mute)
        return 0;
    else
        log_msg(LOG_ERR, 0, "%s: \"" STR_FMT "\"", why, STR_ARG(str_head(text, 100)));
    if (err == FAILED && !b->conf->silent_errors)
        ssi_put(b, ssi_ctx(b->r)->errmsg);
    return err == FAILED ? 0 : err;
}
