// flv: a file from the byte that the argument "start" names, behind the head that makes it a Flash video again.
#include "feature/content/files.h"
#include "feature/response/range.h"
#include "io/loop.h"

struct flv_conf {
    const struct scope *where; // flv holds for its location alone
};

static const char flv_head[] = "FLV\1\5\0\0\0\11\0\0\0"; // and the NUL behind it

// Where to begin: 0 for the whole file.
static uint64_t start_of(const struct req *r, const struct file_info *info) {
    struct str value;
    uint64_t start;
    if (!uri_arg(r->args, STR("start"), &value) || !str_u64(value, INT64_MAX, &start))
        return 0;
    return start < (uint64_t)info->size ? start : 0;
}

static enum step answer_from(struct req *r, struct file_ref *f, const struct file_info *info, uint64_t start) {
    uint64_t rest = (uint64_t)info->size - start;
    struct chain c;
    chain_init(&c, loop_blocks(r->loop));
    chain_add_const(&c, flv_head, sizeof(flv_head));
    for (uint64_t at = start, n; at < (uint64_t)info->size; at += n) {
        n = MIN((uint64_t)info->size - at, (uint64_t)1 << 30);
        chain_add_file(&c, f, (off_t)at, (size_t)n);
    }
    file_unref(f);
    struct body *body = body_of_chain(&r->arena, &c);
    range_allow(r, NULL);
    return answer_ready(r, 200, body, (int64_t)(sizeof(flv_head) + rest));
}

static enum step serve_flv(struct req *r, const void *conf) {
    if (r->method != METHOD_GET && r->method != METHOD_HEAD)
        return answer_status(r, 405);
    struct str path;
    if (str_ends(r->uri, STR("/")) || !req_map_path(r, &path))
        return STEP_NEXT;
    struct found_file found;
    int err = file_get(r, path, &found);
    if (err != 0)
        return answer_status(r, file_refused(r, path, err, found.call));
    if (!found.info.is_file) {
        file_unref(found.file);
        return STEP_NEXT;
    }
    uint64_t start = start_of(r, &found.info);
    if (start == 0) { // a file as any other
        file_unref(found.file);
        return STEP_NEXT;
    }
    struct file_info part = found.info;
    part.size = (off_t)((uint64_t)part.size - start + sizeof(flv_head)); // its ETag is its own
    file_describe(r, &part);
    return answer_from(r, found.file, &found.info, start);
}

static bool set_flv(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    ((struct flv_conf *)conf)->where = cx->scope;
    return true;
}

static bool bind_flv(struct conf_cx *cx, struct scope *s, void *conf) {
    const struct flv_conf *c = conf;
    if (plan_answers_in(s, c->where))
        plan_add(cx, s, STAGE_CONTENT, ORDER_FLV, serve_flv, c, "flv");
    return true;
}

static const struct conf_row rows[] = {
    ROW_FNS("flv", IN_LOCATION, 0, 0, ROW_REPEAT, set_flv, NULL, "",
            "Files are answered from the byte that the argument \"start\" names on, as Flash videos."),
};

struct feature feature_flv = {.name = "flv", .rows = rows, .nrows = ARRAY_LEN(rows), .conf_size = sizeof(struct flv_conf), .bind = bind_flv};
