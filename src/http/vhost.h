// Which server answers: one table per listening address, names exact, wildcard and regex, in nginx's order.
#pragma once
#include "base/map.h"
#include "http/req.h"
#include "io/listen.h"

// A server block.
struct server {
    struct scope *scope;
    struct str name;          // first server_name as written, "" when none: $server_name
    struct conf_list names;   // struct server_name
    struct conf_list listens; // struct listen_conf
    const struct conf_node *node;
    struct routes *routes;    // route.h
    struct https *https;      // https.h; NULL: it has no TLS
};

struct regex; // regex.h

struct server_name {
    struct str text;     // lower-cased
    struct regex *regex; // for ~names
};

struct listen_conf {
    struct addr_full addr;
    struct str text;      // as written
    struct listen_opts opts;
    bool default_server, ssl, http2, proxy_protocol, has_opts;
    const struct conf_node *node;
};

// What listens at one address: the default server and the table of names. Made when the configuration is linked.
struct vhosts {
    struct addr_full addr;
    struct listen_opts opts;
    bool ssl, http2, proxy_protocol;
    bool has_opts, has_default; // given by a listen
    unsigned nservers;
    struct server *fallback; // default_server, or the first
    // private tables follow in vhost.c
    struct vhost_tables *tables;
};

// All addresses of a configuration; conf->world points to it.
struct http_world {
    struct vhosts **at;
    unsigned count;
    struct map by_addr; // private: IP addresses with ports -> struct vhosts
    struct map shared;  // private: wildcard addresses with ports whose socket takes the connections of other addresses
    struct server **servers;
    unsigned nservers;
    struct conf_list debug_clients; // struct cidr: debug_connection
};
struct http_world *http_world(const struct conf *c); // NULL: no http block

// Builds the tables from the server blocks; nginx's warnings (conflicting server name "x" on 0.0.0.0:80, ignored) and
// errors (a duplicate default server for ..., duplicate listen options for ...).
bool vhosts_build(struct conf_cx *cx, struct http_world *w);
// The server for a lower-cased host name (may be empty). Sets captures of a regex name. Never NULL.
struct server *vhost_find(const struct vhosts *v, struct str host, struct req *r);
// The same before there is a request (the name of a ClientHello): captures are not kept.
struct server *vhost_find_name(const struct vhosts *v, struct str host);
// Whether connections of a listening socket need their local address for that (a system call each).
bool vhosts_need_local(const struct http_world *w, const struct sockaddr *bound);
// Whether an address has a listening socket of its own: not when a wildcard address with its port takes its connections.
bool vhosts_own_socket(const struct http_world *w, const struct vhosts *v);
// The vhosts for a connection; NULL when a new snapshot no longer has that address: by its local address when several addresses share a wildcard socket.
struct vhosts *vhosts_at(const struct http_world *w, const struct sockaddr *bound, const struct sockaddr *local);
