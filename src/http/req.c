// The request object: birth, state of features, captures, the buffered body, and what the error log says about it.
#include "http/req.h"
#include "http/answer.h"
#include "http/conn.h"
#include "http/subrequest.h"
#include "http/tape.h"
#include "http/vhost.h"
#include "io/reach.h"
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include <stdlib.h>

static void details(const struct log_context *c, struct sbuf *line) {
    struct req *r = container_of(c, struct req, log);
    if (r->phase != NULL)
        sbuf_printf(line, " while %s", r->phase);
    sbuf_lit(line, ", client: ");
    sbuf_str(line, req_client_text(r));
    if (r->server != NULL)
        sbuf_printf(line, ", server: " STR_FMT, STR_ARG(r->server->name));
    if (r->request_line.n != 0)
        sbuf_printf(line, ", request: \"" STR_FMT "\"", STR_ARG(r->request_line));
    if (r != r->main)
        sbuf_printf(line, ", subrequest: \"" STR_FMT "\"", STR_ARG(r->uri));
    if (r->asked.n != 0)
        sbuf_printf(line, ", upstream: \"" STR_FMT "\"", STR_ARG(r->asked));
    struct str host = head_value(&r->in, FIELD_HOST), referer = head_value(&r->in, FIELD_REFERER);
    if (host.p != NULL)
        sbuf_printf(line, ", host: \"" STR_FMT "\"", STR_ARG(host));
    if (referer.p != NULL)
        sbuf_printf(line, ", referrer: \"" STR_FMT "\"", STR_ARG(referer));
    if (r->hint != NULL)
        sbuf_printf(line, ", hint: \"%s\"", r->hint);
}

struct req *req_new(struct loop *l, struct conn *c, struct conf *conf, const struct server *fallback,
                    const struct codec *codec) {
    struct arena arena;
    arena_init(&arena, loop_blocks(l));
    struct req *r = arena_zalloc(&arena, sizeof *r);
    r->arena = arena; // moved: the request lives in its own arena
    r->magic = REQ_MAGIC;
    r->loop = l;
    r->conn = c;
    r->codec = codec;
    r->conf = conf;
    r->main = r;
    r->task = task_self();
    head_init(&r->in, &r->arena);
    head_init(&r->out, &r->arena);
    r->content_length = -1;
    r->out_length = -1;
    r->last_modified = -1;
    r->start_ms = loop_now(l);
    r->eval = (struct eval){.req = r, .arena = &r->arena, .vars = &conf->vars};
    r->log.details = details;
    if (c != NULL) {
        r->log.connection = c->number;
        r->log.debug = c->debug;
        const struct sockaddr *remote = link_remote(c->link);
        memcpy(&r->client_addr, remote, remote->sa_family == AF_INET6  ? sizeof(struct sockaddr_in6)
                                        : remote->sa_family == AF_INET ? sizeof(struct sockaddr_in)
                                                                       : sizeof(sa_family_t));
    }
    req_set_server(r, fallback);
    return r;
}

void req_set_server(struct req *r, const struct server *s) {
    r->server = s;
    r->server_scope = r->scope = s->scope;
    req_set_log(r);
}

void req_set_log(struct req *r) {
    const struct error_log_conf *c = scope_conf(r->scope, &feature_error_log);
    r->log.log = c->log;
    r->debugging = c->debug || r->log.debug;
}

void req_free(struct req *r) {
    if (r == NULL)
        return;
    struct arena arena;
    req_release(r, &arena);
    arena_done(&arena);
}

void req_release(struct req *r, struct arena *keep) {
    CHECK_OBJ(r, REQ_MAGIC);
    body_free(r->out_body);
    r->out_body = NULL;
    if (UNLIKELY(r->subs != NULL))
        subrequests_end(r);
    req_ends_run(&r->ends);
    body_free(r->body);
    body_free(r->tunnel_in);
    tape_unref(r->body_tape);
    r->magic = 0;
    *keep = r->arena;
}

bool req_watch_client(struct req *r) {
    return r->conn != NULL && r->codec->watch(r, task_self());
}

void req_unwatch_client(struct req *r) { (void)r->codec->watch(r, NULL); }

void req_on_end(struct req *r, void (*fn)(void *arg), void *arg) {
    struct req_end *e = xmalloc(sizeof(*e));
    *e = (struct req_end){r->ends, fn, arg};
    r->ends = e;
}

void req_on_keep(struct req *r, struct req_move *m) {
    m->next = r->moves;
    r->moves = m;
}

void req_ends_run(struct req_end **ends) {
    while (*ends != NULL) {
        struct req_end *e = *ends;
        *ends = e->next;
        e->fn(e->arg);
        free(e);
    }
}

void req_set_ctx(struct req *r, const struct feature *f, void *state) {
    if (r->ctx == NULL)
        r->ctx = arena_array(&r->arena, void *, r->conf->nfeatures);
    r->ctx[f->index] = state;
}

void *req_ctx_make(struct req *r, const struct feature *f, size_t size) {
    void *state = req_ctx(r, f);
    if (state == NULL) {
        state = arena_zalloc(&r->arena, size);
        req_set_ctx(r, f, state);
    }
    return state;
}

bool req_is_msie(const struct req *r) {
    struct str agent = head_value(&r->in, FIELD_USER_AGENT);
    return str_find(agent, STR("MSIE ")) >= 0 && str_find(agent, STR("Opera")) < 0;
}

void req_set_uri(struct req *r, struct str uri, struct str args) {
    r->uri = uri;
    r->args = args;
    r->valid_unparsed_uri = false;
    r->uri_below_alias = false;
}

// Of the client's own URI as it was parsed; else nginx looks no further than the third byte, and not at a dot that begins a
// segment.
struct str req_exten(const struct req *r) {
    if (r->uri.p == r->target.path.p && r->uri.n == r->target.path.n)
        return r->target.exten.p != NULL ? r->target.exten : STR("");
    for (size_t i = r->uri.n; i-- > 2;) {
        if (r->uri.p[i] == '/')
            break;
        if (r->uri.p[i] == '.' && r->uri.p[i - 1] != '/')
            return str_from(r->uri, i + 1);
    }
    return STR("");
}

struct str req_client_text(struct req *r) {
    if (r->client_text.p == NULL) {
        struct sbuf b;
        sbuf_init_arena(&b, &r->arena, 48, ADDR_TEXT_MAX);
        addr_put_ip(&b, &r->client_addr.sa);
        r->client_text = sbuf_view(&b);
    }
    return r->client_text;
}

void req_set_captures(struct req *r, struct str subject, const size_t *ovector, unsigned pairs, bool copy) {
    if (copy)
        subject = arena_dup(&r->arena, subject);
    r->ncaptures = MIN(pairs, (unsigned)ARRAY_LEN(r->captures));
    for (unsigned i = 0; i < r->ncaptures; i++) {
        size_t from = ovector[2 * i], to = ovector[2 * i + 1];
        r->captures[i] = from == (size_t)-1 || from > to || to > subject.n ? STR_NONE : str_n(subject.p + from, to - from);
    }
}

unsigned req_body_error_status(struct req *r, ssize_t err) {
    switch (err) {
    case -EFBIG:
        return 413;
    case -ETIMEDOUT:
        return 408;
    case -EPROTO:
    case -EPIPE:
    case -ECONNRESET:
        return 400;
    case -ECANCELED:
        return 499;
    default:
        return 500;
    }
}

static void remove_body_file(void *name) { reach_unlink(name); }

// The path of the n-th file, NUL-terminated. With `make` the directories of its levels are made.
static struct str body_file_name(struct req *r, const struct http_core *core, unsigned n, bool make) {
    char digits[TEMP_DIGITS + 1];
    snprintf(digits, sizeof(digits), "%010u", n);
    struct sbuf b;
    sbuf_init_arena(&b, &r->arena, core->client_body_temp_path.n + 32, PATH_MAX);
    sbuf_str(&b, core->client_body_temp_path);
    size_t end = TEMP_DIGITS;
    for (unsigned i = 0; i < TEMP_LEVELS && core->client_body_temp_levels[i] != 0; i++) {
        end -= core->client_body_temp_levels[i];
        sbuf_chr(&b, '/');
        sbuf_put(&b, digits + end, core->client_body_temp_levels[i]);
        if (make)
            reach_mkdir(sbuf_cstr(&b), 0700); // what fails shows when the file is made
    }
    sbuf_chr(&b, '/');
    sbuf_put(&b, digits, TEMP_DIGITS);
    return str_n(sbuf_cstr(&b), b.n);
}

// client_body_in_file_only: the file gets a name, for whoever reads it; "clean" takes it away with the request.
static void name_body_file(struct req *r, const struct http_core *core) {
    static unsigned serial;
    struct file_ref *f = tape_file(r->body_tape);
    if (f == NULL)
        return;
    struct str name;
    int err;
    do {
        unsigned n = __atomic_add_fetch(&serial, 1, __ATOMIC_RELAXED);
        bool levels = core->client_body_temp_levels[0] != 0;
        name = body_file_name(r, core, n, false);
        err = reach_link(f->fd, name.p) != 0 ? errno : 0;
        if (err == ENOENT && levels) {
            body_file_name(r, core, n, true);
            err = reach_link(f->fd, name.p) != 0 ? errno : 0;
        }
    } while (err == EEXIST);
    if (err != 0) {
        log_msg(LOG_CRIT, err, "link() \"" STR_FMT "\" failed", STR_ARG(name));
        return;
    }
    r->body_file = name;
    if (core->client_body_in_file_only == BODY_FILE_CLEAN)
        arena_cleanup(&r->arena, remove_body_file, (void *)(uintptr_t)r->body_file.p);
}

unsigned req_buffer_body(struct req *r) {
    if (r->body == NULL || r->body_tape != NULL)
        return 0;
    const struct http_core *core = req_core(r);
    struct tape_limits lim = {
        .mem = core->client_body_buffer_size,
        .extra = core->client_body_in_file_only ? 0 : BODY_MEMORY_EACH,
        .budget = r->conn != NULL ? http_service_budget(conn_service(r->conn)) : NULL,
        .file = UINT64_MAX,
        .write_size = 256 << 10,
        .dir = core->client_body_temp_path.p,
        .keep = true,
    };
    if (core->client_body_in_file_only)
        lim.mem = 0;
    struct tape *t = tape_new(&lim);
    const char *phase = r->phase;
    r->phase = "reading client request body";
    int err = tape_fill(t, r->body, 256 << 10);
    r->phase = phase;
    if (err != 0) {
        tape_unref(t);
        return req_body_error_status(r, err);
    }
    r->body_tape = t;
    if (core->client_body_in_file_only != CORE_OFF)
        name_body_file(r, core);
    return 0;
}

bool req_document_root(struct req *r, struct str *root) {
    const struct http_core *core = req_core(r);
    struct str path = req_eval(r, core->root);
    if (memchr(path.p, '\0', path.n) != NULL)
        return false;
    if (!core->root->constant && (path.n == 0 || path.p[0] != '/')) { // what is constant is full, "" that of "/"
        struct str prefix = r->conf->prefix, parts[3] = {prefix, str_ends(prefix, STR("/")) ? STR("") : STR("/"), path};
        path = arena_join(&r->arena, parts, 3);
    }
    *root = path;
    return true;
}

// What `rewrite ... break` wrote has no prefix that an alias stands for.
static bool alias_is_lost(const struct req *r) {
    const struct http_core *core = req_core(r);
    return core->is_alias && core->alias_skip != UINT64_MAX && r->uri_goes_whole;
}

unsigned req_unmapped_status(const struct req *r) { return alias_is_lost(r) ? 500 : 404; }

bool req_map_path(struct req *r, struct str *path) {
    struct str root;
    if (!req_document_root(r, &root) || (r->uri.n == 0 ? !r->uri_below_alias : memchr(r->uri.p, '\0', r->uri.n) != NULL))
        return false;
    struct str rest = r->uri;
    if (alias_is_lost(r)) {
        log_msg(LOG_ALERT, 0, "\"alias\" cannot be used in location \"" STR_FMT "\" where URI was rewritten", STR_ARG(location_name(r)));
        return false;
    }
    if (req_core(r)->is_alias) {
        // In a regex location the alias is the whole path.
        if (!r->uri_below_alias)
            rest = str_from(r->uri, MIN(req_core(r)->alias_skip, r->uri.n));
    } else if (root.n != 0 && root.p[root.n - 1] == '/') {
        root.n--;
    }
    struct str parts[2] = {root, rest};
    *path = arena_join(&r->arena, parts, 2);
    return true;
}
