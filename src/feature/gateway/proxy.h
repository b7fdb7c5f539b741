// proxy_pass and what belongs to it. proxy.c: the settings; proxy_request.c: what is asked of the back end; proxy_redirect.c: Location, Refresh and Set-Cookie made ours.
#pragma once
#include "feature/gateway/gateway.h"
#include "http/answer.h"
#include "upstream/h1_client.h"

struct regex;

// What one proxy_pass says.
struct proxy_target {
    struct scope *scope;        // the block it stands in
    const struct conf_node *node;
    struct tmpl *url;           // with variables: evaluated for each request; else NULL and the rest is set
    struct str text;            // as written
    struct str host;            // $proxy_host
    struct str port;            // $proxy_port
    struct str host_port;       // of the group
    bool has_port, is_unix, has_uri, tls;
    struct str uri;             // URI part, when has_uri
    struct str location;        // the prefix that it replaces
    bool plain_location;        // not regex, named, or an `if`
    struct group *group;        // found by bind
};

struct proxy_redirect {
    bool dflt;                  // "default": made of proxy_pass by finish
    struct tmpl *from, *to;
    struct regex *regex;        // instead of from
};

// proxy_cookie_domain, proxy_cookie_path.
struct proxy_cookie {
    struct tmpl *from, *to;
    struct regex *regex;
};

// proxy_cookie_flags.
enum cookie_flags { // bits
    COOKIE_SECURE = 1, COOKIE_NOSECURE = 2, COOKIE_HTTPONLY = 4, COOKIE_NOHTTPONLY = 8, COOKIE_STRICT = 16, COOKIE_LAX = 32,
    COOKIE_NONE = 64, COOKIE_NOSAMESITE = 128,
};
struct proxy_cookie_flag {
    struct tmpl *name;
    struct regex *regex; // instead of name
    unsigned flags;
    struct conf_list texts; // struct condition: flags with variables
};

struct proxy_conf {
    struct proxy_target *target; // NULL: none; of an outer block in `if`
    struct h1_request_conf request;
    int version;                 // 10, 11
    bool pass_trailers;
    struct tmpl *method, *body;
    bool redirect_off;           // proxy_redirect off
    const struct scope *redirect_scope; // the block whose proxy_redirect these are
    struct conf_list redirects;  // struct proxy_redirect; empty and not off: the default one
    struct proxy_redirect dflt;  // resolved
    bool has_dflt;
    struct conf_list cookie_domains, cookie_paths; // struct proxy_cookie
    struct conf_list cookie_flags; // struct proxy_cookie_flag
};

extern struct feature feature_proxy;

// Of a request, for $proxy_host and $proxy_port.
struct proxy_ctx {
    struct str host, port;
    uint8_t uri_changes; // those of the request: after an internal redirect nobody is asked any more
};

enum step proxy_content(struct req *r, const void *conf); // the content hook. Waits.
bool proxy_parse_target(struct conf_cx *cx, struct proxy_target *t, struct str text, const struct conf_node *node);
// Splits "http://host:port/uri". NULL, or why not.
unsigned proxy_port(const struct proxy_target *t); // that the scheme stands for
struct str proxy_address(const struct proxy_target *t, struct arena *a); // of the group, when no upstream block has the name
const char *proxy_split_url(struct proxy_target *t, struct str text, struct arena *a);

// The bits of one word ("secure", "samesite=lax"); 0: none such.
unsigned proxy_cookie_flag_of(struct str word);
struct str proxy_rewrite_cookie(struct req *r, const struct proxy_conf *pc, struct str value); // STR_NONE: as it is
// Location, Refresh and Set-Cookie made to fit (struct gateway_rewrite, `conf` is a struct proxy_conf).
struct str proxy_rewrite_field(struct req *r, const void *conf, const struct field *f);
