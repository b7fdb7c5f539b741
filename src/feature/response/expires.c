// expires [modified] time | @daily time | epoch | max | off: the fields Expires and Cache-Control.
#include "base/date.h"
#include "feature/response/statuses.h"
#include "http/answer.h"
#include "http/plan.h"
#include "io/loop.h"
#include <time.h>

enum kind { EXPIRES_OFF, EXPIRES_EPOCH, EXPIRES_MAX, EXPIRES_ACCESS, EXPIRES_MODIFIED, EXPIRES_DAILY };

struct expires_value {
    enum kind kind;
    int64_t s; // may be negative
};

struct expires_conf {
    struct expires_value value;
    struct tmpl *text; // NULL: value
    bool modified;     // with text
};

// *why: NULL for a plainly invalid value.
static bool parse(struct str text, bool modified, struct expires_value *v, const char **why) {
    *why = NULL;
    static const struct {
        const char *word;
        enum kind kind;
    } words[] = {{"epoch", EXPIRES_EPOCH}, {"max", EXPIRES_MAX}, {"off", EXPIRES_OFF}};
    for (size_t i = 0; !modified && i < ARRAY_LEN(words); i++) {
        if (str_eq(text, str_c(words[i].word))) {
            *v = (struct expires_value){words[i].kind, 0};
            return true;
        }
    }
    bool daily = text.n != 0 && text.p[0] == '@', minus = false;
    if (daily && modified) {
        *why = "daily time cannot be used with \"modified\" parameter";
        return false;
    }
    if (text.n != 0 && (text.p[0] == '@' || text.p[0] == '+' || text.p[0] == '-')) {
        minus = text.p[0] == '-';
        text = str_from(text, 1);
    }
    int64_t s;
    if (!conf_parse_sec(text, &s))
        return false;
    if (daily && s > 24 * 60 * 60) {
        *why = "daily time value must be less than 24 hours";
        return false;
    }
    *v = (struct expires_value){daily ? EXPIRES_DAILY : modified ? EXPIRES_MODIFIED : EXPIRES_ACCESS, minus ? -s : s};
    return true;
}

// The next instant at which the local clock shows that time of day.
static int64_t next_daily(int64_t now, int64_t of_day) {
    time_t t = (time_t)now;
    struct tm tm;
    localtime_r(&t, &tm);
    tm.tm_hour = (int)(of_day / 3600);
    tm.tm_min = (int)(of_day / 60 % 60);
    tm.tm_sec = (int)(of_day % 60);
    int64_t at = (int64_t)mktime(&tm);
    if (at > now)
        return at;
    tm.tm_mday++;
    at = (int64_t)mktime(&tm);
    return at > now ? at : now;
}

static void set_fields(struct req *r, struct str expires, struct str control) {
    head_set(&r->out, FIELD_EXPIRES, expires);
    head_set(&r->out, FIELD_CACHE_CONTROL, control);
}

static void apply(struct req *r, const struct expires_value *v) {
    int64_t now = (int64_t)(loop_wall_ms(r->loop) / 1000), at = now + v->s, age = v->s;
    switch (v->kind) {
    case EXPIRES_OFF:
        return;
    case EXPIRES_EPOCH:
        set_fields(r, STR("Thu, 01 Jan 1970 00:00:01 GMT"), STR("no-cache"));
        return;
    case EXPIRES_MAX:
        set_fields(r, STR("Thu, 31 Dec 2037 23:55:55 GMT"), STR("max-age=315360000"));
        return;
    case EXPIRES_DAILY:
        at = next_daily(now, v->s);
        age = at - now;
        break;
    case EXPIRES_MODIFIED:
        if (answer_last_modified(r) >= 0) {
            at = answer_last_modified(r) + v->s;
            age = at - now;
        }
        break;
    case EXPIRES_ACCESS:
        break;
    }
    char *date = arena_bytes(&r->arena, DATE_HTTP_LEN);
    date_http(at, date);
    bool gone = v->kind != EXPIRES_DAILY && (v->s < 0 || age < 0);
    set_fields(r, str_n(date, DATE_HTTP_LEN),
               gone ? STR("no-cache") : arena_printf(&r->arena, "max-age=%lld", (long long)age));
}

static enum step run_expires(struct req *r, const void *conf) {
    const struct expires_conf *c = conf;
    if (r != r->main || !status_is_decorated(r->out.status))
        return STEP_NEXT;
    struct expires_value v = c->value;
    const char *why;
    if (c->text != NULL && !parse(req_eval(r, c->text), c->modified, &v, &why))
        return STEP_NEXT;
    apply(r, &v);
    return STEP_NEXT;
}

static bool set_expires(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    struct expires_conf *c = conf;
    *c = (struct expires_conf){.modified = node->nargs == 3};
    struct str text = node->args[node->nargs - 1];
    const char *why = NULL;
    if (c->modified && !str_eq(node->args[1], STR("modified")))
        return conf_err(cx, node, "\"expires\" directive invalid value");
    if (tmpl_has_var(text)) {
        c->text = tmpl_compile(cx, text, node);
        return c->text != NULL;
    }
    if (parse(text, c->modified, &c->value, &why))
        return true;
    return conf_err(cx, node, "\"expires\" directive %s", why != NULL ? why : "invalid value");
}

static bool bind_expires(struct conf_cx *cx, struct scope *s, void *conf) {
    const struct expires_conf *c = conf;
    if (c->text != NULL || c->value.kind != EXPIRES_OFF)
        plan_add(cx, s, STAGE_RESPONSE, RESPONSE_HEADERS - 1, run_expires, c, "expires"); // add_header may add to it
    return true;
}

static const struct conf_row rows[] = {
    ROW_FNS("expires", IN_HTTP_ALL | IN_IF, 1, 2, 0, set_expires, "off", "[modified] time | epoch | max | off",
            "Sets the fields Expires and Cache-Control of answers."),
};

struct feature feature_expires = {.name = "expires",
                                  .rows = rows,
                                  .nrows = ARRAY_LEN(rows),
                                  .conf_size = sizeof(struct expires_conf),
                                  .bind = bind_expires};
