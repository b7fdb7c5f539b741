// Requests of tunnels, kept small: one allocation with the values that the log will ask for.
#include "http/kept.h"
#include "http/conn.h"
#include "http/vhost.h"
#include <stdlib.h>

enum { KEPT_MAGIC = 0x574b4550, KEPT_VALUES_MAX = 256, ABSENT = UINT32_MAX };

// Of a variable: its bytes follow those of the values before it.
struct kept_value {
    uint32_t slot, n; // n ABSENT: not found
};

// What the error log says of a request.
enum kept_text { TEXT_LINE, TEXT_ASKED, TEXT_HOST, TEXT_REFERER, TEXT_AGENT, TEXT_METHOD, TEXT_COUNT };

struct kept {
    uint32_t magic;
    uint32_t texts[TEXT_COUNT]; // lengths; ABSENT
    uint32_t nvalues;
    size_t size; // of the allocation
    const struct codec *codec;
    const struct server *server;
    struct scope *server_scope, *scope;
    struct req_end *ends;
    uint64_t start_ms, head_bytes, body_bytes_in, head_bytes_out, body_bytes_out;
    int64_t content_length;
    unsigned version, status;
    enum method method;
    bool pipelined;
    struct addr client_addr;
    struct kept_value values[]; // and then the bytes of texts and values
};

// The values of a request, before they have a place.
struct gathered {
    struct kept_value at[KEPT_VALUES_MAX];
    struct str value[KEPT_VALUES_MAX];
    unsigned n;
    size_t bytes;
};

static bool is_gathered(const struct gathered *g, unsigned slot) {
    for (unsigned i = 0; i < g->n; i++) {
        if (g->at[i].slot == slot)
            return true;
    }
    return false;
}

static bool gather_hook(struct req *r, const struct hook *h, struct gathered *g) {
    if (!h->says_what)
        return false;
    for (unsigned i = 0; i < h->nasks; i++) {
        const struct var *v = h->asks[i];
        if ((v->flags & VAR_LIVE) || is_gathered(g, v->slot))
            continue;
        struct str value;
        bool found = var_get(&r->eval, v, &value);
        if (g->n == KEPT_VALUES_MAX || (found && value.n >= ABSENT))
            return false;
        g->value[g->n] = value;
        g->at[g->n++] = (struct kept_value){v->slot, found ? (uint32_t)value.n : ABSENT};
        g->bytes += found ? value.n : 0;
    }
    return true;
}

static bool gather(struct req *r, struct gathered *g) {
    const struct plan *p = r->scope->plan;
    for (unsigned i = 0; p != NULL && i < p->stage[STAGE_LOG].count; i++) {
        if (!gather_hook(r, &p->stage[STAGE_LOG].at[i], g))
            return false;
    }
    return true;
}

static void fill(struct kept *k, struct req *r) {
    k->codec = r->codec;
    k->server = r->server;
    k->server_scope = r->server_scope;
    k->scope = r->scope;
    k->start_ms = r->start_ms;
    k->head_bytes = r->head_bytes;
    k->body_bytes_in = r->body_bytes_in;
    k->head_bytes_out = r->head_bytes_out;
    k->body_bytes_out = r->body_bytes_out;
    k->content_length = r->content_length;
    k->version = r->in.version;
    k->status = r->out.status;
    k->method = r->method;
    k->pipelined = r->pipelined;
    k->client_addr = r->client_addr;
    k->ends = r->ends;
    r->ends = NULL;
}

struct kept *req_keep(struct req *r) {
    CHECK_OBJ(r, REQ_MAGIC);
    CHECK(r->body == NULL && r->out_body == NULL);
    struct gathered *g = arena_new(&r->arena, struct gathered);
    if (!gather(r, g))
        return NULL;
    struct str texts[TEXT_COUNT] = {
        [TEXT_LINE] = r->request_line,
        [TEXT_ASKED] = r->asked,
        [TEXT_HOST] = head_value(&r->in, FIELD_HOST),
        [TEXT_REFERER] = head_value(&r->in, FIELD_REFERER),
        [TEXT_AGENT] = head_value(&r->in, FIELD_USER_AGENT),
        [TEXT_METHOD] = r->method_text,
    };
    for (struct req_move *m = r->moves; m != NULL; m = m->next)
        m->fn(r, m);
    size_t size = sizeof(struct kept) + g->n * sizeof(struct kept_value) + g->bytes;
    for (unsigned i = 0; i < TEXT_COUNT; i++)
        size += texts[i].n;
    struct kept *k = xmalloc(size);
    *k = (struct kept){.magic = KEPT_MAGIC, .size = size, .nvalues = g->n};
    memcpy(k->values, g->at, g->n * sizeof(struct kept_value));
    char *to = (char *)&k->values[g->n];
    for (unsigned i = 0; i < TEXT_COUNT; i++) {
        k->texts[i] = texts[i].p != NULL ? (uint32_t)texts[i].n : ABSENT;
        to = mempcpy(to, texts[i].p != NULL ? texts[i].p : "", texts[i].n);
    }
    for (unsigned i = 0; i < g->n; i++)
        to = mempcpy(to, g->value[i].p != NULL ? g->value[i].p : "", g->at[i].n != ABSENT ? g->at[i].n : 0);
    fill(k, r);
    req_free(r);
    return k;
}

static struct str take(const char **from, uint32_t n, struct arena *a) {
    if (n == ABSENT)
        return STR_NONE;
    struct str s = arena_dup(a, str_n(*from, n));
    *from += n;
    return s;
}

static void restore_field(struct req *r, enum field_id id, struct str value) {
    if (value.p != NULL)
        head_add_known(&r->in, id, value);
}

struct req *kept_revive(struct kept *k, struct conn *c, struct conf *conf) {
    CHECK_OBJ(k, KEPT_MAGIC);
    struct req *r = req_new(link_loop(c->link), c, conf, k->server, k->codec);
    r->server_scope = k->server_scope;
    r->scope = k->scope;
    req_set_log(r);
    r->start_ms = k->start_ms;
    r->head_bytes = k->head_bytes;
    r->body_bytes_in = k->body_bytes_in;
    r->head_bytes_out = k->head_bytes_out;
    r->body_bytes_out = k->body_bytes_out;
    r->content_length = k->content_length;
    r->in.version = k->version;
    r->method = k->method;
    r->pipelined = k->pipelined;
    r->client_addr = k->client_addr;
    r->head_sent = r->completed = true;
    r->outcome = OUTCOME_ANSWER;
    r->out.status = k->status;
    r->ends = k->ends;
    const char *from = (const char *)&k->values[k->nvalues];
    r->request_line = take(&from, k->texts[TEXT_LINE], &r->arena);
    r->asked = take(&from, k->texts[TEXT_ASKED], &r->arena);
    restore_field(r, FIELD_HOST, take(&from, k->texts[TEXT_HOST], &r->arena));
    restore_field(r, FIELD_REFERER, take(&from, k->texts[TEXT_REFERER], &r->arena));
    restore_field(r, FIELD_USER_AGENT, take(&from, k->texts[TEXT_AGENT], &r->arena));
    r->method_text = take(&from, k->texts[TEXT_METHOD], &r->arena);
    r->eval.revived = true;
    for (unsigned i = 0; i < k->nvalues; i++) {
        const struct var *v = conf->vars.at[k->values[i].slot];
        if (k->values[i].n == ABSENT)
            var_put_absent(&r->eval, v);
        else
            var_put(&r->eval, v, take(&from, k->values[i].n, &r->arena));
    }
    free(k);
    return r;
}

void kept_free(struct kept *k) {
    if (k == NULL)
        return;
    CHECK_OBJ(k, KEPT_MAGIC);
    req_ends_run(&k->ends);
    free(k);
}

size_t kept_memory(const struct kept *k) { return k->size; }
