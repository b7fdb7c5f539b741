// Several texts searched for in bytes: what the matcher finds is what comparing at each place finds, whole and when the bytes come in
// pieces. First the texts, each ended by a NUL, the last by two; then the bytes.
#include "feature/response/matcher.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { TEXTS_MAX = 8 };

// The first of the texts that stands there; MATCH_MORE when the bytes end within one that comes before any whole one.
static int naive(const struct str *texts, unsigned count, struct str bytes, size_t at, bool last) {
    for (unsigned i = 0; i < count; i++) {
        struct str t = texts[i];
        size_t n = MIN(t.n, bytes.n - at);
        if (t.n == 0 || (last && t.n > n) || !str_ieq(str_n(bytes.p + at, n), str_head(t, n)))
            continue;
        return n == t.n ? (int)i : MATCH_MORE;
    }
    return MATCH_NONE;
}

static void check(const struct matcher *m, const struct str *texts, unsigned count, struct str bytes, bool last) {
    for (size_t at = 0; at < bytes.n; at++)
        CHECK(matcher_at(m, bytes.p + at, bytes.n - at, last, NULL) == naive(texts, count, bytes, at, last));
    if (m->shortest == 0)
        return;
    size_t at = 0; // a scan misses no place where a text stands whole
    while (at < bytes.n) {
        size_t found = matcher_scan(m, bytes.p, bytes.n, at);
        CHECK(found >= at && found <= bytes.n);
        for (size_t i = at; i < found; i++)
            CHECK(naive(texts, count, bytes, i, true) < 0);
        if (found == bytes.n)
            break;
        at = found + 1;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size > 2048)
        return 0;
    struct str rest = str_n((const char *)data, size), texts[TEXTS_MAX];
    unsigned count = 0;
    for (ssize_t end; count < TEXTS_MAX && (end = str_chr(rest, '\0')) > 0; rest = str_from(rest, (size_t)end + 1))
        texts[count++] = str_head(rest, (size_t)end);
    if (rest.n != 0 && rest.p[0] == '\0')
        rest = str_from(rest, 1);
    struct arena arena;
    arena_init(&arena, NULL);
    struct matcher m;
    matcher_init(&m, texts, count, &arena);
    check(&m, texts, count, rest, true);
    check(&m, texts, count, rest, false);
    bool none[TEXTS_MAX] = {true, true, true, true, true, true, true, true};
    for (size_t at = 0; at < rest.n; at++)
        CHECK(matcher_at(&m, rest.p + at, rest.n - at, true, none) == MATCH_NONE);
    arena_done(&arena);
    return 0;
}
