// What the gateways (proxy, fastcgi...) share beside their settings.
#pragma once
#include "upstream/gateway.h"
#include "upstream/exchange.h"

// The rows "*_connect_timeout" and so on under the family "proxy": its struct is struct gateway_conf.
extern struct feature feature_gateway_proxy, feature_gateway_fastcgi, feature_gateway_uwsgi, feature_gateway_scgi,
    feature_gateway_grpc, feature_gateway_memcached;
extern struct feature feature_cache_proxy, feature_cache_fastcgi, feature_cache_uwsgi, feature_cache_scgi; // cache_rows.c
bool cache_is_set(struct conf_cx *cx); // by *_cache of the family being read, in this block

// Whether a field of a response is not passed to the client (hide_header, pass_header, and what is hidden by default).
bool gateway_hides(const struct gateway_conf *gw, const struct field *f);
// The limits of the tape that buffers a response.
struct tape_limits;
void gateway_tape_limits(const struct gateway_conf *gw, struct req *r, struct tape_limits *lim);

// How values that name the back end's own address are made to fit: Location, Refresh, Set-Cookie. STR_NONE: as it is.
struct gateway_rewrite {
    struct str (*field)(struct req *r, const void *conf, const struct field *f);
    const void *conf;
};
// What the exchange got becomes the answer: fields, X-Accel-*, the body, buffered. rw may be NULL.
enum step gateway_answer(struct req *r, const struct gateway_rewrite *rw, struct exchange *x);
// The same with a body from elsewhere (NULL: none; length as Content-Length has it, -1: unknown), about which the client's
// conditions are still to be judged.
enum step gateway_answer_from(struct req *r, const struct gateway_rewrite *rw, struct exchange *x, struct body *b, int64_t length);
bool gateway_intercepts(struct req *r, const struct exchange *x); // error_page answers instead
bool gateway_buffers(const struct exchange *x); // *_buffering, and what the response says of it

// The strings of a directive, as struct condition.
bool gateway_add_conditions(struct conf_cx *cx, const struct conf_row *row, struct conf_list *list, const struct conf_node *node);
// Has 103 of the back end passed to the client, where early_hints says so. Before exchange_run.
void gateway_early_hints(struct req *r, struct exchange *x);
// A request of gRPC-Web becomes one of gRPC, where grpc_web says so. Before exchange_run.
void gateway_grpc_web(struct req *r, struct exchange *x);
// exchange_run, and before it what holds for all gateways.
unsigned gateway_run(struct exchange *x);
// A gateway's last word: the cache or the back end answers. `cache`: the feature of the family's *_cache rows; NULL: it has none.
// rw may be NULL. Waits.
enum step gateway_serve(struct exchange *x, const struct gateway_rewrite *rw, const struct feature *cache);
// *_limit_rate: a body that reads no faster than `rate` bytes a second.
struct body *gateway_paced(struct req *r, struct body *inner, uint64_t rate);
struct body *gateway_limited(struct req *r, const struct gateway_conf *gw, struct body *b); // by *_limit_rate, where it says so
// *_store: a body that saves what it gives as a file when it ends well.
struct body *gateway_store(struct exchange *x, struct body *inner);

// --- gateways to an address: fastcgi_pass, uwsgi_pass, scgi_pass, memcached_pass ------------------------------------------

// What one of these directives says. Not inherited by inner blocks, but by `if` and limit_except.
struct gateway_address {
    struct scope *scope;
    const struct conf_node *node;
    struct tmpl *text;   // with variables: evaluated for each request; else NULL
    struct str fixed;    // "host:port", "unix:/path", the name of an upstream block
    struct group *group; // of a fixed one: found by gateway_bind_address
};
bool gateway_set_address(struct conf_cx *cx, struct gateway_address **to, const struct conf_node *node, struct str text);
bool gateway_in_force(const struct scope *s, const struct gateway_address *a); // in that block; a may be NULL
// Puts the content hook into the scope's plan where *a* is in force.
bool gateway_bind_address(struct conf_cx *cx, struct scope *s, struct gateway_address *a, hook_fn *fn, const void *conf,
                          const char *name);
// The group for this request, or NULL and the status to answer (logged).
struct group *gateway_group(struct req *r, const struct gateway_address *a, unsigned *status);
// The same where the value of a->text, if there is one, was evaluated already and may have lost a scheme.
struct group *gateway_group_of(struct req *r, const struct gateway_address *a, struct str text, unsigned *status);

// fastcgi_param, uwsgi_param, scgi_param.
struct gateway_param {
    struct str name;
    struct tmpl *value;
    bool if_not_empty;
};
bool gateway_add_param(struct conf_cx *cx, const struct conf_row *row, struct conf_list *list, const struct conf_node *node);
// Puts the parameters, and the client's fields as HTTP_X unless a parameter has that name (*_pass_request_headers).
void gateway_put_params(struct exchange *x, struct conf_list params, struct sbuf *to,
                        void (*put)(struct sbuf *to, struct str name, struct str value));
// The exchange of such a gateway, as far as they are all alike.
struct exchange *gateway_exchange(struct req *r, struct feature *settings, const struct protocol *protocol, struct group *g);
