// What a memcached server sends: read whole and cut anywhere. One byte is the length of the key that was asked for, then the key,
// then the reply.
#include "base/sbuf.h"
#include "wire/memcached.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void look(const struct memcached_reply *reply, enum memcached_reply_kind kind, struct str in, struct str key) {
    CHECK(reply->end <= in.n && in.p[reply->end - 1] == '\n' && memchr(in.p, '\n', reply->end - 1) == NULL);
    CHECK(reply->line.p == in.p && reply->line.n < reply->end);
    if (kind == MEMCACHED_NOT_FOUND)
        CHECK(str_eq(reply->line, STR("END")));
    if (kind != MEMCACHED_VALUE)
        return;
    CHECK(reply->length >= 0 && str_eq(str_head(str_from(reply->line, 6), key.n), key));
    // Written again, the line is what it was, but for zeros before the length.
    struct sbuf again;
    sbuf_init_heap(&again, 1 << 17);
    sbuf_lit(&again, "VALUE ");
    sbuf_str(&again, key);
    sbuf_chr(&again, ' ');
    sbuf_str(&again, reply->flags);
    sbuf_chr(&again, ' ');
    CHECK(str_starts(reply->line, sbuf_view(&again)));
    struct str digits = str_from(reply->line, again.n);
    sbuf_done(&again);
    uint64_t length;
    CHECK(str_u64(digits, INT64_MAX, &length) && length == (uint64_t)reply->length);
    uint64_t flags;
    CHECK(!memcached_flags(reply, &flags) || flags <= INT64_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 1 || size > 1u << 12 || size < 1u + data[0])
        return 0;
    struct str key = str_n((const char *)data + 1, data[0]), in = str_from(str_n((const char *)data, size), 1u + data[0]);
    struct memcached_reply whole, part;
    enum memcached_reply_kind kind = memcached_parse(&whole, in.p, in.n, key);
    if (kind != MEMCACHED_MORE)
        look(&whole, kind, in, key);
    for (size_t n = 0; n < in.n; n++) {
        enum memcached_reply_kind got = memcached_parse(&part, in.p, n, key);
        CHECK(got == (n < whole.end ? MEMCACHED_MORE : kind));
    }
    for (size_t n = 0; n <= MIN(in.n, (size_t)MEMCACHED_TRAILER); n++)
        CHECK(memcached_is_trailer(in.p, n) == str_starts(STR("\r\nEND\r\n"), str_head(in, n)));
    return 0;
}
