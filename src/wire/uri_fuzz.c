// Targets, URLs, hosts and escapes. One byte of options, then the text.
#include "wire/scan.h"
#include "wire/uri.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_normal(struct str path, bool merge, struct arena *arena) {
    struct str again = path, escaped = uri_escape(path, URI_ESCAPE_PATH, arena);
    CHECK(path.n != 0 && path.p[0] == '/' && memchr(path.p, '\0', path.n) == NULL);
    CHECK(str_find(path, STR("/../")) < 0 && str_find(path, STR("/./")) < 0);
    CHECK(!str_ends(path, STR("/..")) && !str_ends(path, STR("/.")));
    CHECK(!merge || str_find(path, STR("//")) < 0);
    CHECK(uri_normalise(&again, merge, arena) && again.p == path.p && again.n == path.n);
    // What is sent on means the same path to whoever decodes it.
    struct uri_target t;
    CHECK(scan_ctl_sp(escaped.p, escaped.n) == escaped.n);
    CHECK(uri_parse_target(&t, escaped, false, merge, arena) == URI_OK && !t.has_args && str_eq(t.path, path));
}

static void fuzz_target(struct str text, bool connect, bool merge, struct arena *arena) {
    struct uri_target t;
    if (uri_parse_target(&t, text, connect, merge, arena) != URI_OK)
        return;
    CHECK(scan_ctl_sp(text.p, text.n) == text.n && memchr(text.p, '#', text.n) == NULL);
    if (t.form == URI_ORIGIN || t.form == URI_ABSOLUTE) {
        check_normal(t.path, merge, arena);
        CHECK(t.exten.n < t.path.n && str_ends(t.path, t.exten) && str_chr(t.exten, '/') < 0);
        CHECK(t.encoded || t.raw_path.n == 0 || t.path.p == t.raw_path.p);
        CHECK(t.raw_path.n + t.args.n + t.has_args <= text.n);
    }
    CHECK((t.form == URI_ABSOLUTE || t.form == URI_AUTHORITY) == (t.host.n != 0));
}

static void fuzz_host(struct str text, struct arena *arena) {
    struct str host, port, again, none;
    if (!uri_parse_host(text, &host, &port, arena))
        return;
    CHECK(host.n != 0 && host.p[host.n - 1] != '.' && scan_ctl_sp(host.p, host.n) == host.n);
    CHECK(str_chr(host, '/') < 0 && str_chr(host, '@') < 0 && port.n < text.n);
    CHECK(uri_parse_host(host, &again, &none, arena) && str_eq(host, again) && again.p == host.p && none.n == 0);
}

static void fuzz_url(struct str text) {
    struct uri_url u;
    const char *why = NULL;
    if (!uri_parse_url(&u, text, &why)) {
        CHECK(why != NULL);
        return;
    }
    CHECK(u.host.n != 0 && u.has_path == (u.path.n != 0));
    CHECK(u.scheme.n + u.host.n + u.port.n + u.path.n <= text.n);
}

static void fuzz_escapes(struct str text, struct arena *arena) {
    static const enum uri_escape reversible[] = {URI_ESCAPE_PATH, URI_ESCAPE_ARGS, URI_ESCAPE_COMPONENT,
                                                 URI_ESCAPE_MEMCACHED};
    for (size_t i = 0; i < ARRAY_LEN(reversible); i++)
        CHECK(str_eq(uri_unescape(uri_escape(text, reversible[i], arena), false, arena), text));
    struct str html = uri_escape(text, URI_ESCAPE_HTML, arena), refresh = uri_escape(text, URI_ESCAPE_REFRESH, arena);
    CHECK(str_chr(html, '<') < 0 && str_chr(html, '>') < 0 && str_chr(html, '"') < 0);
    CHECK(str_chr(refresh, '<') < 0 && str_chr(refresh, '"') < 0);
    CHECK(uri_unescape(text, true, arena).n <= text.n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 1 || size > 1u << 14)
        return 0;
    struct str text = str_n((const char *)data + 1, size - 1), value;
    struct arena arena;
    arena_init(&arena, NULL);
    fuzz_target(text, data[0] & 1, data[0] & 2, &arena);
    fuzz_host(text, &arena);
    fuzz_url(text);
    fuzz_escapes(text, &arena);
    if (uri_arg(text, STR("a"), &value))
        CHECK(value.n + 2 <= text.n && str_chr(value, '&') < 0);
    arena_done(&arena);
    return 0;
}
