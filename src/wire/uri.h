// Request targets and URIs (RFC 3986, RFC 9112 3.2), with nginx's normalisation. Pure.
#pragma once
#include "base/arena.h"

enum uri_form { URI_ORIGIN, URI_ABSOLUTE, URI_AUTHORITY, URI_ASTERISK };

struct uri_target {
    enum uri_form form;
    struct str scheme, host, port; // absolute form; host without port, IPv6 with brackets
    struct str raw_path;           // as written, without query
    struct str args;               // after '?', without it
    bool has_args;                 // '?' was there
    struct str path;               // decoded and normalised (nginx $uri); == raw_path (no copy) when nothing changed
    struct str exten;              // after the last '.' of the last segment; dots that begin it do not count
    bool encoded;                  // the raw path held %XX, or was changed by normalisation (dots, slashes)
    bool plus;
};

enum uri_error { URI_OK = 0, URI_BAD, URI_BAD_ESCAPE, URI_NUL, URI_ABOVE_ROOT, URI_FRAGMENT };

// Splits, decodes %XX, resolves "." and ".." and, with merge_slashes, "//"; "/../x" is URI_ABOVE_ROOT (nginx: 400); a '#'
// is URI_FRAGMENT (refused: RFC 9112 3.2 has none); %00 is URI_NUL. Copies go to the arena. For CONNECT say connect.
enum uri_error uri_parse_target(struct uri_target *t, struct str target, bool connect, bool merge_slashes,
                                struct arena *arena);
// The same normalisation for an already split path (rewrite, error_page, X-Accel-Redirect): no decoding.
bool uri_normalise(struct str *path, bool merge_slashes, struct arena *arena);

// What to escape, as nginx does in each place.
enum uri_escape {
    URI_ESCAPE_PATH,      // a decoded path that is sent on: proxy_pass, directory redirects
    URI_ESCAPE_ARGS,      // captures in rewritten paths and arguments
    URI_ESCAPE_COMPONENT, // one segment or argument: autoindex
    URI_ESCAPE_HTML,      // text in HTML: entities for & < > "
    URI_ESCAPE_REFRESH,   // a URL inside <meta http-equiv=Refresh>
    URI_ESCAPE_MEMCACHED, // a memcached key
};
struct str uri_escape(struct str s, enum uri_escape how, struct arena *arena); // returns s itself when nothing changes
struct str uri_unescape(struct str s, bool plus_is_space, struct arena *arena); // invalid %XX stay as they are

// "http://host:port/path" of proxy_pass and friends; without "://" there is no scheme (fastcgi_pass). False: *why says in
// nginx's words what is wrong ("no host", "invalid port" ...).
struct uri_url {
    struct str scheme, host, port, path; // host: "127.0.0.1", "[::1]", "name", or the path of unix:/path:
    bool is_unix, has_path;              // has_path: a URI part is there, even "/"
};
bool uri_parse_url(struct uri_url *u, struct str text, const char **why) MUST_USE;
// Host header or :authority: name and optional port. Lower-cased name without trailing dot, as nginx's $host. False when
// invalid (RFC 3986 reg-name or IP literal; bytes above ASCII are let through; the port is empty or 0..65535).
bool uri_parse_host(struct str value, struct str *host, struct str *port, struct arena *arena) MUST_USE;
// The value of argument `name` in a query string (nginx $arg_name: case folded name, first match, not decoded).
bool uri_arg(struct str args, struct str name, struct str *value);
