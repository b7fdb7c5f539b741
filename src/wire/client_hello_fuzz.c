// ClientHellos: what is read lies inside what was given, and does not depend on how it is cut into records. The first byte
// says how it is cut.
#include "wire/client_hello.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char room[CLIENT_HELLO_MAX], again_room[CLIENT_HELLO_MAX];

static void check_inside(struct str s, const char *p, size_t n) {
    CHECK(s.n == 0 || (s.p >= p && s.p + s.n <= p + n) || (s.p >= room && s.p + s.n <= room + sizeof(room)));
}

// The same message in records of another size.
static void check_cut(const char *message, size_t n, size_t size, const struct client_hello *want) {
    size_t records = (n + size - 1) / size, at = 0;
    char *p = malloc(n + 5 * records);
    CHECK(p != NULL);
    for (size_t from = 0; from < n; from += size) {
        size_t len = MIN(size, n - from);
        const char head[5] = {0x16, 3, 1, (char)(len >> 8), (char)len};
        memcpy(p + at, head, 5);
        memcpy(p + at + 5, message + from, len);
        at += 5 + len;
    }
    struct client_hello h;
    CHECK(client_hello_parse(p, at - 1, &h, again_room) == CLIENT_HELLO_MORE);
    CHECK(client_hello_parse(p, at, &h, again_room) == CLIENT_HELLO_OK);
    CHECK(str_eq(h.server_name, want->server_name) && str_eq(h.alpn, want->alpn) && str_eq(h.ciphers, want->ciphers) &&
          str_eq(h.versions, want->versions) && h.early_data == want->early_data);
    free(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 1)
        return 0;
    const char *p = (const char *)data + 1;
    size_t n = size - 1;
    struct client_hello h;
    if (client_hello_parse(p, n, &h, room) != CLIENT_HELLO_OK)
        return 0;
    check_inside(h.server_name, p, n);
    check_inside(h.alpn, p, n);
    check_inside(h.ciphers, p, n);
    check_inside(h.groups, p, n);
    check_inside(h.versions, p, n);
    check_inside(h.session_id, p, n);
    CHECK(h.server_name.n <= 255 && h.ciphers.n % 2 == 0);
    (void)alpn_has(h.alpn, STR("h2"));
    size_t first = (size_t)(unsigned char)p[3] << 8 | (unsigned char)p[4];
    size_t message = 4 + ((size_t)(unsigned char)p[6] << 16 | (size_t)(unsigned char)p[7] << 8 | (unsigned char)p[8]);
    if (first >= 4 && message <= first)
        check_cut(p + 5, message, data[0] == 0 ? message : data[0], &h);
    return 0;
}
