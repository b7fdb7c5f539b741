// gzip_static, brotli_static, zstd_static: a file that lies compressed beside the one that was asked for ("x.css.gz").
#include "feature/content/files.h"
#include "feature/response/compress.h"

enum { STATIC_OFF, STATIC_ON, STATIC_ALWAYS };

struct static_conf {
    int mode;
};

static enum step answer(struct req *r, struct str coding, struct file_ref *f, const struct file_info *info) {
    file_describe(r, info);
    head_set(&r->out, FIELD_CONTENT_ENCODING, coding);
    return answer_ready(r, 200, file_body(r, f, info), (int64_t)info->size);
}

static bool open_beside(struct req *r, struct str suffix, struct found_file *found, struct str *path) {
    if (!req_map_path(r, path))
        return false;
    struct str parts[2] = {*path, suffix};
    *path = arena_dup(&r->arena, arena_join(&r->arena, parts, 2));
    int err = file_get(r, *path, found);
    if (err != 0 && err != -ENOENT && err != -ENOTDIR && err != -ENAMETOOLONG)
        file_refused(r, *path, err, found->call);
    return err == 0;
}

static enum step serve(struct req *r, int mode, struct str coding, struct str suffix) {
    if ((r->method != METHOD_GET && r->method != METHOD_HEAD) || str_ends(r->uri, STR("/")))
        return STEP_NEXT;
    bool accepted = mode == STATIC_ALWAYS || (compress_accepts(r, coding) && gzip_client_allows(r));
    if (!accepted && !gzip_vary_is_on(r)) // else that the file is there matters for Vary
        return STEP_NEXT;
    struct found_file found;
    struct str path;
    if (!open_beside(r, suffix, &found, &path))
        return STEP_NEXT;
    if (mode == STATIC_ON)
        compress_vary(r);
    if (!accepted || found.info.is_dir) {
        file_unref(found.file);
        return STEP_NEXT;
    }
    if (!found.info.is_file) {
        file_unref(found.file);
        log_msg(LOG_CRIT, 0, "\"" STR_FMT "\" is not a regular file", STR_ARG(path));
        return answer_status(r, 404);
    }
    if (mode == STATIC_ON && str_eq(coding, STR("gzip")))
        gzip_accepted(r);
    return answer(r, coding, found.file, &found.info);
}

static const struct conf_word modes[] = {{"off", STATIC_OFF}, {"on", STATIC_ON}, {"always", STATIC_ALWAYS}, {NULL}};

enum { PLACES = IN_SERVER | IN_LOCATION | IN_IF | IN_LIMIT_EXCEPT };

#define PRECOMPRESSED(coding_name, coding, suffix)                                                                     \
    static enum step serve_##coding_name(struct req *r, const void *conf) {                                            \
        return serve(r, ((const struct static_conf *)conf)->mode, STR(coding), STR(suffix));                           \
    }                                                                                                                  \
    static bool bind_##coding_name(struct conf_cx *cx, struct scope *s, void *conf) {                                  \
        if (((const struct static_conf *)conf)->mode != STATIC_OFF && (s->place & PLACES))                             \
            plan_add(cx, s, STAGE_CONTENT, ORDER_PRECOMPRESSED, serve_##coding_name, conf, #coding_name "_static");    \
        return true;                                                                                                   \
    }                                                                                                                  \
    static const struct conf_row coding_name##_rows[] = {                                                              \
        ROW_ENUM(#coding_name "_static", IN_HTTP_ALL, struct static_conf, mode, "off", modes,                          \
                 "Serves files that lie beside with \"" suffix "\" behind their names, to clients that accept them, or always."), \
    };                                                                                                                 \
    struct feature feature_##coding_name##_static = {.name = #coding_name "_static",                                   \
                                                     .rows = coding_name##_rows,                                       \
                                                     .nrows = ARRAY_LEN(coding_name##_rows),                           \
                                                     .conf_size = sizeof(struct static_conf),                          \
                                                     .bind = bind_##coding_name};

PRECOMPRESSED(zstd, "zstd", ".zst")
PRECOMPRESSED(brotli, "br", ".br")
PRECOMPRESSED(gzip, "gzip", ".gz")
