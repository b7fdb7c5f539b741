// memcached_pass: answers out of memcached. The key is what $memcached_key says, and the value is the body. Somebody else puts
// the values there.
#include "feature/gateway/gateway.h"
#include "http/answer.h"
#include "upstream/memcached_client.h"
#include "wire/uri.h"

extern struct feature feature_memcached;

struct memcached_conf {
    struct gateway_address *address;
    struct tmpl *key;
    int64_t gzip_flag; // 0: none
};

// --- a request ---------------------------------------------------------------------------------------------------------------------

static struct memcached_get *make_get(struct req *r, const struct memcached_conf *mc, struct str key) {
    struct memcached_get *get = arena_new(&r->arena, struct memcached_get);
    get->key = uri_escape(arena_dup(&r->arena, key), URI_ESCAPE_MEMCACHED, &r->arena);
    get->wants_flags = mc->gzip_flag != 0;
    return get;
}

static enum step answer_value(struct req *r, const struct memcached_conf *mc, struct exchange *x) {
    const struct memcached_get *get = x->protocol_conf;
    enum step step = gateway_answer(r, NULL, x);
    head_set(&r->out, FIELD_CONTENT_TYPE, answer_type(r));
    if ((get->flags & (uint64_t)mc->gzip_flag) != 0)
        head_set(&r->out, FIELD_CONTENT_ENCODING, STR("gzip"));
    return step;
}

static enum step memcached_content(struct req *r, const void *conf) {
    const struct memcached_conf *mc = conf;
    if (r->method != METHOD_GET && r->method != METHOD_HEAD)
        return answer_status(r, 405);
    struct str key = r->conn != NULL ? req_eval(r, mc->key) : r->uri; // of a health check its URI
    if (key.n == 0) {
        log_msg(LOG_ERR, 0, "the \"$memcached_key\" variable is not set");
        return answer_status(r, 500);
    }
    struct memcached_get *get = make_get(r, mc, key);
    unsigned status;
    struct group *g = gateway_group(r, mc->address, &status);
    if (g == NULL)
        return answer_status(r, status);
    struct exchange *x = gateway_exchange(r, &feature_gateway_memcached, &memcached_client, g);
    x->protocol_conf = get;
    status = gateway_run(x);
    if (status != 0)
        return answer_status(r, status);
    if (x->head.status == 200)
        return answer_value(r, mc, x);
    exchange_done(x, true);
    return answer_status(r, x->head.status);
}

// --- settings ------------------------------------------------------------------------------------------------------------------------

static bool set_pass(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    struct memcached_conf *mc = conf;
    mc->key = tmpl_compile(cx, STR("$memcached_key"), node);
    return mc->key != NULL && gateway_set_address(cx, &mc->address, node, node->args[1]);
}

static bool bind_pass(struct conf_cx *cx, struct scope *s, void *conf) {
    struct memcached_conf *mc = conf;
    return gateway_bind_address(cx, s, mc->address, memcached_content, mc, "memcached_pass");
}

#define M struct memcached_conf
static const struct conf_row rows[] = {
    ROW_FNS("memcached_pass", IN_LOCATION | IN_IF, 1, 1, 0, set_pass, NULL, "address",
            "Answers with what a memcached server has under the key that $memcached_key says: host:port, unix:/path, or the name "
            "of an upstream. 404 when it has nothing."),
    ROW_NUM("memcached_gzip_flag", IN_HTTP_ALL, M, gzip_flag, "0", 0, 0,
            "Values with a bit of this among their flags are sent with Content-Encoding: gzip; 0: none are."),
};
#undef M

struct feature feature_memcached = {
    .name = "memcached",
    .rows = rows,
    .nrows = ARRAY_LEN(rows),
    .conf_size = sizeof(struct memcached_conf),
    .bind = bind_pass,
};
