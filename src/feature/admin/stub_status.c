// stub_status: the counters of the worker in nginx's short form, and as variables.
#include "http/answer.h"
#include "http/conn.h"
#include "http/plan.h"

struct stub_status_conf {
    const struct scope *where; // NULL: nowhere
    const struct conf_node *node;
};

enum number { ACTIVE, READING, WRITING, WAITING };

struct counts {
    struct http_loop sum;
    uint64_t of[4];
};

static void count(struct req *r, struct counts *c) {
    *c = (struct counts){0};
    if (r->conn == NULL)
        return;
    http_service_counters(conn_service(r->conn), &c->sum);
    uint64_t active = (uint64_t)MAX(c->sum.active, (int64_t)0), waiting = (uint64_t)MAX(c->sum.waiting, (int64_t)0);
    waiting = MIN(waiting, active); // other loops go on counting
    // A connection that is not idle has a request; whether its head is whole yet is not counted.
    c->of[ACTIVE] = active;
    c->of[WRITING] = active - waiting;
    c->of[WAITING] = waiting;
}

static enum step answer_counts(struct req *r, const void *conf) {
    if (r->method != METHOD_GET && r->method != METHOD_HEAD)
        return answer_status(r, 405);
    struct counts c;
    count(r, &c);
    return answer_text(r, 200, STR("text/plain"),
                       arena_printf(&r->arena,
                                    "Active connections: %llu \nserver accepts handled requests\n %llu %llu %llu \n"
                                    "Reading: %llu Writing: %llu Waiting: %llu \n",
                                    (unsigned long long)c.of[ACTIVE], (unsigned long long)c.sum.accepted,
                                    (unsigned long long)c.sum.handled, (unsigned long long)c.sum.requests,
                                    (unsigned long long)c.of[READING], (unsigned long long)c.of[WRITING],
                                    (unsigned long long)c.of[WAITING]));
}

static bool get_count(struct eval *e, const struct var *v, struct str *out) {
    struct counts c;
    count(e->req, &c);
    *out = arena_printf(e->arena, "%llu", (unsigned long long)c.of[v->data]);
    return true;
}

static bool set_status(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    struct stub_status_conf *c = conf;
    c->where = cx->scope;
    c->node = node;
    return true;
}

static bool bind_status(struct conf_cx *cx, struct scope *s, void *conf) {
    const struct stub_status_conf *c = conf;
    if (plan_answers_in(s, c->where))
        plan_answer(cx, s, answer_counts, c, "stub_status", c->where, c->node);
    return true;
}

static const struct conf_row rows[] = {
    ROW_FNS("stub_status", IN_SERVER | IN_LOCATION, 0, 1, ROW_REPEAT, set_status, NULL, "",
            "Answers with the numbers of connections and requests as text."),
};

static const struct var_def vars[] = {
    {"connections_active", false, VAR_VOLATILE, get_count, NULL, ACTIVE, "Client connections."},
    {"connections_reading", false, VAR_VOLATILE, get_count, NULL, READING, "Always 0: see $connections_writing."},
    {"connections_writing", false, VAR_VOLATILE, get_count, NULL, WRITING, "Client connections that have a request."},
    {"connections_waiting", false, VAR_VOLATILE, get_count, NULL, WAITING, "Idle client connections."},
};

struct feature feature_stub_status = {.name = "stub_status",
                                      .rows = rows,
                                      .nrows = ARRAY_LEN(rows),
                                      .vars = vars,
                                      .nvars = ARRAY_LEN(vars),
                                      .conf_size = sizeof(struct stub_status_conf),
                                      .bind = bind_status};
