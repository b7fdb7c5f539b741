// Which location answers: exact, longest prefix (^~), regex in order, nested, named; at the same cost for ten or ten
// thousand.
#pragma once
#include "http/req.h"

enum location_kind { LOCATION_PREFIX, LOCATION_EXACT, LOCATION_PREFIX_FINAL /* ^~ */, LOCATION_REGEX, LOCATION_REGEX_NOCASE, LOCATION_NAMED };

struct regex;

struct location {
    struct scope *scope;
    enum location_kind kind;
    struct str text;         // the prefix, pattern or @name
    struct regex *regex;
    struct routes *inner;    // nested locations, NULL: none
    struct scope *limited;   // limit_except: in force for methods not among these; NULL: none
    uint32_t unlimited_methods; // bits 1 << enum method
    bool auto_redirect;      // "/x/" with a gateway: "/x" answers 301 to "/x/" (nginx)
    bool gateway_unused;
};

struct routes;
// While loading: an empty table for a server or a location; locations are added in the order of the text; `route_add` reports
// nginx's errors (duplicate location "/x", location "/y" is outside location "/x", ...).
struct routes *routes_new(struct arena *a);
bool route_add(struct conf_cx *cx, struct routes *rs, struct location *l, const struct conf_node *node);
bool routes_build(struct conf_cx *cx, struct routes *rs); // makes the search structures; recursive

enum route_result { ROUTE_FOUND, ROUTE_NONE /* only the server's own scope */, ROUTE_REDIRECT_SLASH };
// Finds the location for r->uri and sets *scope. Captures of a regex go to r. An exact or ^~ match ends the search as in
// nginx.
enum route_result route_find(const struct routes *rs, struct req *r, struct scope **scope);
struct scope *route_named(const struct routes *rs, struct str name); // NULL when there is none

// Where nested locations are searched, and location->text for mapping of URIs (proxy_pass, alias).
const struct location *scope_location(const struct scope *s); // NULL: the server's own scope
