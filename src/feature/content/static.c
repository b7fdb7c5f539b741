// Files by root or alias: what answers when nothing else does.
#include "feature/content/files.h"
#include "base/date.h"
#include "feature/response/range.h"
#include "io/loop.h"

enum { SMALL = 16 << 10 };

unsigned file_refused(struct req *r, struct str path, int err, const char *call) {
    unsigned status;
    enum log_level level = LOG_ERR;
    switch (err) {
    case -ENOENT:
    case -ENOTDIR:
    case -ENAMETOOLONG:
        status = 404;
        break;
    case -EACCES:
    case -ELOOP:
        status = 403;
        break;
    default:
        level = LOG_CRIT;
        status = 500;
        break;
    }
    if (status != 404 || req_core(r)->log_not_found)
        log_msg(level, -err, "%s \"" STR_FMT "\" failed", call, STR_ARG(path));
    return status;
}

static enum step redirect_to_directory(struct req *r) {
    struct str uri = uri_escape(r->uri, URI_ESCAPE_PATH, &r->arena);
    return answer_redirect(r, 301, r->args.n != 0 ? arena_printf(&r->arena, STR_FMT "/?" STR_FMT, STR_ARG(uri), STR_ARG(r->args))
                                                  : arena_printf(&r->arena, STR_FMT "/", STR_ARG(uri)));
}

void file_describe(struct req *r, const struct file_info *info) {
    head_set(&r->out, FIELD_CONTENT_TYPE, answer_type(r));
    char *date = arena_bytes(&r->arena, DATE_HTTP_LEN);
    date_http(info->mtime_s, date);
    head_set(&r->out, FIELD_LAST_MODIFIED, str_n(date, DATE_HTTP_LEN));
    r->last_modified = info->mtime_s;
    if (req_core(r)->etag)
        head_set(&r->out, FIELD_ETAG,
                 arena_printf(&r->arena, "\"%llx-%llx\"", (unsigned long long)info->mtime_s, (unsigned long long)info->size));
}

// A small file goes out in one piece with the head: reading it costs less than sendfile. NULL: it must be sent as a file.
static struct body *read_small(struct req *r, struct file_ref *f, size_t size) {
    struct chain c;
    chain_init(&c, loop_blocks(r->loop));
    struct body *body = NULL;
    if (file_read(f, 0, size, &c) == (ssize_t)size)
        body = body_of_chain(&r->arena, &c);
    chain_done(&c);
    if (body != NULL)
        file_unref(f);
    return body;
}

static bool is_small(const struct req *r, const struct file_info *info) {
    return info->size <= SMALL && r->method != METHOD_HEAD;
}

struct body *file_body(struct req *r, struct file_ref *f, const struct file_info *info) {
    if (info->size == 0) {
        file_unref(f);
        return NULL;
    }
    struct body *body = is_small(r, info) ? read_small(r, f, (size_t)info->size) : NULL;
    return body != NULL ? body : body_of_file(&r->arena, f, 0, (uint64_t)info->size);
}

static enum step answer_file(struct req *r, struct file_ref *f, const struct file_info *info) {
    file_describe(r, info);
    struct body *body = NULL;
    // Ranges may be wanted in any order: the file stays open for them.
    bool parts = info->size != 0 && (head_has(&r->in, FIELD_RANGE) || !is_small(r, info));
    range_allow(r, parts ? f : NULL);
    if (parts)
        body = body_of_file(&r->arena, f, 0, (uint64_t)info->size);
    else
        body = file_body(r, f, info);
    return answer_ready(r, 200, body, (int64_t)info->size);
}

static enum step serve_static(struct req *r, const void *conf) {
    if (r->method != METHOD_GET && r->method != METHOD_HEAD && r->method != METHOD_POST)
        return answer_status(r, 405);
    struct str path;
    bool mapped = req_map_path(r, &path);
    if (str_ends(r->uri, STR("/"))) {
        if (mapped)
            log_msg(LOG_ERR, 0, "directory index of \"" STR_FMT "\" is forbidden", STR_ARG(path));
        return answer_status(r, mapped ? 403 : req_unmapped_status(r));
    }
    if (!mapped)
        return answer_status(r, req_unmapped_status(r));
    struct found_file found;
    int err = file_get(r, path, &found);
    if (err != 0)
        return answer_status(r, file_refused(r, path, err, found.call));
    if (found.info.is_dir) {
        file_unref(found.file);
        return redirect_to_directory(r);
    }
    if (!found.info.is_file) {
        file_unref(found.file);
        log_msg(LOG_CRIT, 0, "\"" STR_FMT "\" is not a regular file", STR_ARG(path));
        return answer_status(r, 404);
    }
    if (r->method == METHOD_POST) {
        file_unref(found.file);
        return answer_status(r, 405);
    }
    return answer_file(r, found.file, &found.info);
}

static bool bind_static(struct conf_cx *cx, struct scope *s, void *conf) {
    if (s->place & (IN_SERVER | IN_LOCATION | IN_IF | IN_LIMIT_EXCEPT))
        plan_add(cx, s, STAGE_CONTENT, ORDER_STATIC, serve_static, NULL, "static");
    return true;
}

struct feature feature_static = {.name = "static", .bind = bind_static};
