// dav_methods: PUT, DELETE, MKCOL, COPY and MOVE on files (RFC 4918), as nginx does them. What blocks runs on a helper thread.
#include "base/date.h"
#include "feature/content/dav_tree.h"
#include "feature/content/files.h"
#include "http/conn.h"
#include "http/route.h"
#include "http/vhost.h"
#include "io/inbox.h"
#include "io/loop.h"
#include "io/reach.h"
#include <fcntl.h>
#include <unistd.h>

enum { DAV_PUT = 1, DAV_DELETE = 2, DAV_MKCOL = 4, DAV_COPY = 8, DAV_MOVE = 16 };
enum { DEPTH_INFINITY = -1, DEPTH_INVALID = -2, PUT_ROOM = 256 << 10 };

struct dav_conf {
    unsigned methods;
    bool full_path;
    int64_t min_delete_depth;
    unsigned access; // permission bits of files
};

struct feature feature_dav_methods;

// Directories may be entered by whoever may read or write them.
static mode_t dir_mode(const struct dav_conf *c) {
    return c->access | ((c->access & 0444) >> 2) | ((c->access & 0222) >> 1);
}

static bool is_collection(struct str uri) { return uri.n != 0 && uri.p[uri.n - 1] == '/'; }

static bool has_body(const struct req *r) { return r->body != NULL && (r->content_length > 0 || r->chunked_in); }

static enum step refuse(struct req *r, unsigned status, const char *why) {
    log_msg(LOG_ERR, 0, "%s", why);
    return answer_status(r, status);
}

// The path of r->uri without the slash of a collection.
static bool own_path(struct req *r, struct str *path) {
    if (!req_map_path(r, path))
        return false;
    while (path->n > 1 && path->p[path->n - 1] == '/')
        path->n--;
    *path = arena_dup(&r->arena, *path);
    return true;
}

static enum step created(struct req *r) {
    struct str uri = uri_escape(r->uri, URI_ESCAPE_PATH, &r->arena);
    if (req_core(r)->absolute_redirect)
        r->location = uri;
    else
        head_set(&r->out, FIELD_LOCATION, uri);
    return answer_ready(r, 201, NULL, 0);
}

static enum step no_content(struct req *r) { return answer_ready(r, 204, NULL, 0); }

// The status of what the file system said of the path itself.
static unsigned fs_status(int err, unsigned otherwise) {
    switch (err) {
    case -EACCES:
    case -EPERM:
    case -EROFS:
        return 403;
    case -ENOENT:
    case -ENOTDIR:
    case -ENAMETOOLONG:
        return 404;
    case -ENOSPC:
    case -EDQUOT:
        return 507;
    default:
        return otherwise;
    }
}

static enum step fs_refused(struct req *r, unsigned status, int err, const char *call, struct str path) {
    log_msg(status >= 500 ? LOG_CRIT : LOG_ERR, -err, "%s \"" STR_FMT "\" failed", call, STR_ARG(path));
    return answer_status(r, status);
}

// --- Depth ---------------------------------------------------------------------------------------------------------------

static int depth_of(struct req *r, int otherwise) {
    const struct field *f = head_find(&r->in, FIELD_DEPTH);
    if (f == NULL)
        return otherwise;
    if (str_eq(f->value, STR("0")))
        return 0;
    if (str_eq(f->value, STR("1")))
        return 1;
    if (str_eq(f->value, STR("infinity")))
        return DEPTH_INFINITY;
    log_msg(LOG_ERR, 0, "client sent invalid \"Depth\" header: \"" STR_FMT "\"", STR_ARG(f->value));
    return DEPTH_INVALID;
}

// --- PUT -----------------------------------------------------------------------------------------------------------------

struct put {
    struct dav_tree tree;
    char temp[PATH_MAX];
    int fd;
    int64_t mtime; // -1: now
    bool made;
};

static int open_put(void *arg) {
    struct put *p = arg;
    p->fd = dav_put_open(&p->tree, p->temp);
    return MIN(p->fd, 0);
}

static int finish_put(void *arg) {
    struct put *p = arg;
    int err = dav_put_end(&p->tree, p->fd, p->temp, p->mtime);
    p->made = err == 0;
    return err;
}

static int close_put(void *arg) {
    struct put *p = arg;
    close(p->fd);
    if (!p->made)
        reach_unlink(p->temp);
    return 0;
}

static void close_file(struct file_ref *f) { (void)f; } // the descriptor is struct put's

// The status when it fails, 0 else.
static unsigned receive(struct req *r, struct put *p, struct str path) {
    struct file_ref file = {.refs = 1, .fd = p->fd, .close = close_file};
    struct chain c;
    chain_init(&c, loop_blocks(r->loop));
    const char *phase = r->phase;
    r->phase = "reading client request body";
    off_t at = 0;
    unsigned status = 0;
    while (r->body != NULL && status == 0) {
        ssize_t n = body_read(r->body, &c, PUT_ROOM, BODY_WAIT);
        if (n == 0)
            break;
        if (n < 0) {
            status = req_body_error_status(r, n);
            break;
        }
        int err = temp_file_write(&file, at, &c);
        chain_drop(&c, c.bytes);
        at += n;
        if (err != 0) {
            log_msg(LOG_CRIT, -err, "pwrite() for \"" STR_FMT "\" failed", STR_ARG(path));
            status = fs_status(err, 500);
        }
    }
    chain_done(&c);
    r->phase = phase;
    return status;
}

static enum step dav_put_file(struct req *r, const struct dav_conf *conf) {
    if (is_collection(r->uri))
        return refuse(r, 409, "cannot PUT to a collection");
    if (head_has(&r->in, FIELD_CONTENT_RANGE))
        return refuse(r, 501, "PUT with range is unsupported");
    struct str path;
    if (!own_path(r, &path))
        return answer_status(r, 500);
    struct file_info info;
    int err = file_stat(path.p, &info);
    bool existed = err == 0;
    if (existed && info.is_dir) {
        log_msg(LOG_ERR, EISDIR, "\"" STR_FMT "\" could not be created", STR_ARG(path));
        return answer_status(r, 409);
    }
    struct put *p = arena_new(&r->arena, struct put);
    *p = (struct put){
        .tree = {.to = path.p, .file_mode = conf->access, .dir_mode = dir_mode(conf), .make_parents = conf->full_path},
        .fd = -1,
        .mtime = -1};
    struct str date = head_value(&r->in, FIELD_DATE);
    if (date.n != 0 && !date_parse(date, (int64_t)(loop_wall_ms(r->loop) / 1000), &p->mtime))
        p->mtime = -1;
    err = helper_run(open_put, p);
    if (err != 0)
        return fs_refused(r, err == -ENOENT || err == -ENOTDIR ? 500 : fs_status(err, 500), err, p->tree.failed, path);
    unsigned status = receive(r, p, path);
    if (status == 0)
        err = helper_run(finish_put, p);
    helper_run(close_put, p);
    if (status != 0)
        return answer_status(r, status);
    if (err != 0)
        return fs_refused(r, fs_status(err, 500), err, p->tree.failed, path);
    return existed ? no_content(r) : created(r);
}

// --- DELETE, MKCOL -------------------------------------------------------------------------------------------------------

static int run_remove(void *arg) { return dav_remove(arg); }
static int run_mkdir(void *arg) { return dav_mkdir(arg); }
static int run_copy(void *arg) { return dav_copy(arg); }
static int run_move(void *arg) { return dav_move(arg); }

static bool deep_enough(struct req *r, int64_t min) {
    int64_t depth = 0;
    for (size_t i = 0; i < r->uri.n; i++)
        depth += r->uri.p[i] == '/';
    if (min == 0 || depth > min || (depth == min && !is_collection(r->uri)))
        return true;
    log_msg(LOG_ERR, 0, "insufficient URI depth:%lld to DELETE", (long long)depth);
    return false;
}

// lstat of the path as the URI has it: with its slash, which must be a directory then.
static int look(struct req *r, struct str path, struct file_info *info) {
    struct str as_asked = is_collection(r->uri) ? arena_printf(&r->arena, STR_FMT "/", STR_ARG(path)) : path;
    struct stat st;
    if (fstatat(AT_FDCWD, as_asked.p, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return -errno;
    *info = (struct file_info){.is_dir = S_ISDIR(st.st_mode), .is_file = S_ISREG(st.st_mode)};
    return 0;
}

static enum step not_there(struct req *r, int err, struct str path) {
    unsigned status = fs_status(err, 500);
    if (is_collection(r->uri))
        path = arena_printf(&r->arena, STR_FMT "/", STR_ARG(path));
    return fs_refused(r, status, err, "lstat()", path);
}

static enum step dav_delete(struct req *r, const struct dav_conf *conf) {
    if (has_body(r))
        return refuse(r, 415, "DELETE with body is unsupported");
    if (!deep_enough(r, conf->min_delete_depth))
        return answer_status(r, 409);
    struct str path;
    struct file_info info;
    if (!own_path(r, &path))
        return answer_status(r, 500);
    int err = look(r, path, &info);
    if (err == -ENOTDIR)
        return fs_refused(r, 409, err, "lstat()", path);
    if (err != 0)
        return not_there(r, err, path);
    if (info.is_dir && !is_collection(r->uri)) {
        log_msg(LOG_ERR, EISDIR, "DELETE \"" STR_FMT "\" failed", STR_ARG(path));
        return answer_status(r, 409);
    }
    int depth = depth_of(r, DEPTH_INFINITY);
    if (depth == DEPTH_INVALID)
        return answer_status(r, 400);
    if (info.is_dir ? depth != DEPTH_INFINITY : depth == 1)
        return refuse(r, 400, info.is_dir ? "\"Depth\" header must be infinity" : "\"Depth\" header must be 0 or infinity");
    struct dav_tree *t = arena_new(&r->arena, struct dav_tree);
    t->from = path.p;
    err = helper_run(run_remove, t);
    return err == 0 ? no_content(r) : fs_refused(r, fs_status(err, 500), err, t->failed != NULL ? t->failed : "unlink()", path);
}

static enum step dav_mkcol(struct req *r, const struct dav_conf *conf) {
    if (has_body(r))
        return refuse(r, 415, "MKCOL with body is unsupported");
    if (!is_collection(r->uri))
        return refuse(r, 409, "MKCOL can create a collection only");
    struct str path;
    if (!own_path(r, &path))
        return answer_status(r, 500);
    struct dav_tree *t = arena_new(&r->arena, struct dav_tree);
    *t = (struct dav_tree){.to = path.p, .dir_mode = dir_mode(conf)};
    int err = helper_run(run_mkdir, t);
    if (err == 0)
        return created(r);
    unsigned status = fs_status(err, 500);
    return fs_refused(r, status == 404 ? 409 : err == -EEXIST ? 405 : status, err, t->failed, path);
}

// --- COPY, MOVE ----------------------------------------------------------------------------------------------------------

// The path of Destination: of this server and scheme, decoded and normalised.
static bool destination_uri(struct req *r, struct str value, struct str *uri) {
    bool tls = r->conn != NULL && link_is_tls(r->conn->link);
    if (value.n != 0 && value.p[0] != '/') {
        struct str scheme = tls ? STR("https://") : STR("http://");
        if (!str_istarts(value, scheme))
            return false;
        value = str_from(value, scheme.n);
        ssize_t slash = str_chr(value, '/');
        struct str host, port;
        if (slash < 0 || !uri_parse_host(str_head(value, (size_t)slash), &host, &port, &r->arena) || !str_eq(host, r->host))
            return false;
        value = str_from(value, (size_t)slash);
    }
    struct uri_target t;
    if (value.n == 0 || uri_parse_target(&t, value, false, req_core(r)->merge_slashes, &r->arena) != URI_OK)
        return false;
    if (str_find(uri_unescape(t.raw_path, false, &r->arena), STR("/../")) >= 0 || str_ends(t.path, STR("/..")))
        return false;
    *uri = t.path;
    return true;
}

// Where the Destination lies. By alias only what is below this location can be told.
static bool destination_path(struct req *r, struct str uri, struct str *path) {
    const struct http_core *core = req_core(r);
    if (core->is_alias && (core->alias_skip == UINT64_MAX || !str_starts(uri, str_head(r->uri, core->alias_skip))))
        return false;
    struct str own = r->uri;
    r->uri = uri;
    bool ok = own_path(r, path);
    r->uri = own;
    return ok;
}

static enum step bad_destination(struct req *r, struct str value) {
    log_msg(LOG_ERR, 0, "client sent invalid \"Destination\" header: \"" STR_FMT "\"", STR_ARG(value));
    return answer_status(r, 400);
}

// Overwrite: T (the default) or F.
static bool take_overwrite(struct req *r, bool *overwrite) {
    const struct field *f = head_find(&r->in, FIELD_OVERWRITE);
    *overwrite = f == NULL || str_ieq(f->value, STR("T"));
    if (*overwrite || str_ieq(f->value, STR("F")))
        return true;
    log_msg(LOG_ERR, 0, "client sent invalid \"Overwrite\" header: \"" STR_FMT "\"", STR_ARG(f->value));
    return false;
}

// What is in the way of putting `from` there: the status, or 0.
static unsigned check_place(struct req *r, const struct dav_tree *t, bool collection, struct str dest) {
    struct file_info info;
    struct str to = str_c(t->to), from = str_c(t->from);
    if (file_stat(t->to, &info) == 0) {
        if (!t->overwrite) {
            log_msg(LOG_ERR, EEXIST, "\"" STR_FMT "\" could not be created", STR_ARG(to));
            return 412;
        }
        if (info.is_dir && !collection) {
            log_msg(LOG_ERR, EISDIR, "\"" STR_FMT "\" could not be " STR_FMT "ed to collection \"" STR_FMT "\"", STR_ARG(r->uri),
                    STR_ARG(r->method_text), STR_ARG(dest));
            return 409;
        }
    }
    if (collection && (str_eq(from, to) || (str_starts(to, from) && to.p[from.n] == '/') ||
                       (str_starts(from, to) && from.p[to.n] == '/'))) {
        log_msg(LOG_ERR, 0, "a collection cannot be copied or moved into itself or in place of one that it is in: \"" STR_FMT
                            "\" to \"" STR_FMT "\"",
                STR_ARG(from), STR_ARG(to));
        return 409;
    }
    return 0;
}

static enum step dav_transfer(struct req *r, const struct dav_conf *conf) {
    bool copy = r->method == METHOD_COPY, collection = is_collection(r->uri);
    if (has_body(r))
        return refuse(r, 415, "COPY and MOVE with body are unsupported");
    const struct field *dest = head_find(&r->in, FIELD_DESTINATION);
    if (dest == NULL)
        return refuse(r, 400, "client sent no \"Destination\" header");
    struct str uri, from, to;
    if (!destination_uri(r, dest->value, &uri) || !destination_path(r, uri, &to))
        return bad_destination(r, dest->value);
    if (collection != is_collection(uri)) {
        log_msg(LOG_ERR, 0, "both URI \"" STR_FMT "\" and \"Destination\" URI \"" STR_FMT
                            "\" should be either collections or non-collections",
                STR_ARG(r->uri), STR_ARG(dest->value));
        return answer_status(r, 409);
    }
    int depth = depth_of(r, DEPTH_INFINITY);
    if (depth == DEPTH_INVALID || (depth == 1 && copy) || (depth != DEPTH_INFINITY && !copy)) {
        if (depth != DEPTH_INVALID)
            log_msg(LOG_ERR, 0, "\"Depth\" header must be %s", copy ? "0 or infinity" : "infinity");
        return answer_status(r, 400);
    }
    struct dav_tree *t = arena_new(&r->arena, struct dav_tree);
    if (!take_overwrite(r, &t->overwrite))
        return answer_status(r, 400);
    struct file_info info;
    if (!own_path(r, &from))
        return answer_status(r, 500);
    int err = look(r, from, &info);
    if (err != 0)
        return not_there(r, err, from);
    t->from = from.p;
    t->to = to.p;
    t->shallow = depth == 0;
    t->dir_mode = dir_mode(conf);
    t->make_parents = conf->full_path && !copy;
    unsigned status = check_place(r, t, collection, dest->value);
    if (status != 0)
        return answer_status(r, status);
    err = helper_run(copy ? run_copy : run_move, t);
    if (err != 0)
        return fs_refused(r, collection ? fs_status(err, 500) : 500, err, t->failed != NULL ? t->failed : "rename()", to);
    return collection ? answer_ready(r, 201, NULL, 0) : no_content(r);
}

// --- the hook and the rows -----------------------------------------------------------------------------------------------

static enum step run_dav(struct req *r, const void *conf) {
    const struct dav_conf *c = conf;
    switch (r->method) {
    case METHOD_PUT:
        return c->methods & DAV_PUT ? dav_put_file(r, c) : STEP_NEXT;
    case METHOD_DELETE:
        return c->methods & DAV_DELETE ? dav_delete(r, c) : STEP_NEXT;
    case METHOD_MKCOL:
        return c->methods & DAV_MKCOL ? dav_mkcol(r, c) : STEP_NEXT;
    case METHOD_COPY:
        return c->methods & DAV_COPY ? dav_transfer(r, c) : STEP_NEXT;
    case METHOD_MOVE:
        return c->methods & DAV_MOVE ? dav_transfer(r, c) : STEP_NEXT;
    default:
        return STEP_NEXT;
    }
}

// "rw", "r"; bits of the others' place.
static bool take_rights(struct str s, unsigned *bits) {
    if (!str_eq(s, STR("rw")) && !str_eq(s, STR("r")))
        return false;
    *bits = s.n == 2 ? 6 : 4;
    return true;
}

static bool set_access(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    struct dav_conf *c = conf;
    static const struct {
        struct str name;
        unsigned places; // to multiply rights with
    } who[] = {{STR_INIT("user:"), 0100}, {STR_INIT("group:"), 010}, {STR_INIT("all:"), 011}};
    c->access = 0600;
    for (unsigned i = 1; i < node->nargs; i++) {
        bool ok = false;
        for (size_t k = 0; k < ARRAY_LEN(who); k++) {
            unsigned bits;
            if (!str_starts(node->args[i], who[k].name) || !take_rights(str_from(node->args[i], who[k].name.n), &bits))
                continue;
            c->access = k == 0 ? (c->access & 0077) | bits << 6 : c->access | bits * who[k].places;
            ok = true;
        }
        if (!ok)
            return conf_err(cx, node, "invalid value \"" STR_FMT "\"", STR_ARG(node->args[i]));
    }
    return true;
}

static bool bind_dav(struct conf_cx *cx, struct scope *s, void *conf) {
    const struct dav_conf *c = conf;
    if (c->methods != 0 && (s->place & (IN_SERVER | IN_LOCATION | IN_IF | IN_LIMIT_EXCEPT)))
        plan_add(cx, s, STAGE_CONTENT, ORDER_DAV, run_dav, c, "dav_methods");
    const struct http_core *core = scope_conf(s, &feature_http_core);
    if (c->methods != 0 && core->root != NULL)
        conf_reach_tmpl(cx, core->root, cx->conf->prefix, true, core->is_alias);
    return true;
}

static const struct conf_word methods[] = {{"off", 0},          {"put", DAV_PUT},   {"delete", DAV_DELETE}, {"mkcol", DAV_MKCOL},
                                           {"copy", DAV_COPY}, {"move", DAV_MOVE}, {NULL}};

#define S struct dav_conf
static const struct conf_row rows[] = {
    ROW_BITS("dav_methods", IN_HTTP_ALL, S, methods, "off", methods, "WebDAV methods that are allowed on files: PUT, DELETE, MKCOL, "
                                                                     "COPY, MOVE."),
    ROW_FLAG("create_full_put_path", IN_HTTP_ALL, S, full_path, "off", "PUT makes the directories that are missing on its way."),
    ROW_FNS("dav_access", IN_HTTP_ALL, 1, 3, 0, set_access, "user:rw", "users:permissions ...",
            "Who may read and write what is made: user, group, all; r or rw."),
    ROW_NUM("min_delete_depth", IN_HTTP_ALL, S, min_delete_depth, "0", 0, 0,
            "How many elements the path of a request must have for DELETE."),
};

struct feature feature_dav_methods = {.name = "dav_methods",
                                      .rows = rows,
                                      .nrows = ARRAY_LEN(rows),
                                      .conf_size = sizeof(struct dav_conf),
                                      .bind = bind_dav};
