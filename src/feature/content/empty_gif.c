// empty_gif: a transparent picture of one pixel.
#include "http/answer.h"
#include "http/plan.h"

struct empty_gif_conf {
    const struct scope *where; // NULL: nowhere; does not hold in inner locations
    const struct conf_node *node;
};

static const char gif[] = "GIF89a\x01\0\x01\0\x80\x01\0\0\0\0\xff\xff\xff!\xf9\x04\x01\0\0\x01\0,\0\0\0\0\x01\0\x01\0\0\x02\x02L\x01\0;";

static enum step answer_gif(struct req *r, const void *conf) {
    if (r->method != METHOD_GET && r->method != METHOD_HEAD)
        return answer_status(r, 405);
    r->last_modified = 23349600; // nginx: the day of that picture
    head_set(&r->out, FIELD_LAST_MODIFIED, STR("Mon, 28 Sep 1970 06:00:00 GMT"));
    return answer_text(r, 200, STR("image/gif"), str_n(gif, sizeof(gif) - 1));
}

static bool set_gif(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    struct empty_gif_conf *c = conf;
    c->where = cx->scope;
    c->node = node;
    return true;
}

static bool bind_gif(struct conf_cx *cx, struct scope *s, void *conf) {
    const struct empty_gif_conf *c = conf;
    if (plan_answers_in(s, c->where))
        plan_answer(cx, s, answer_gif, c, "empty_gif", c->where, c->node);
    return true;
}

static const struct conf_row rows[] = {
    ROW_FNS("empty_gif", IN_LOCATION, 0, 0, 0, set_gif, NULL, "", "Answers with a transparent GIF of one pixel."),
};

struct feature feature_empty_gif = {.name = "empty_gif",
                                    .rows = rows,
                                    .nrows = ARRAY_LEN(rows),
                                    .conf_size = sizeof(struct empty_gif_conf),
                                    .bind = bind_gif};
