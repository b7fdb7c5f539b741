#include "base/test.h"
#include "wire/hpack.h"
#include <stdlib.h>

// Hex text to bytes, on the heap.
static struct str unhex(const char *hex) {
    size_t n = strlen(hex) / 2;
    char *to = xmalloc(n + 1);
    for (size_t i = 0; i < n; i++) {
        uint64_t v = 0;
        EXPECT(str_hex_u64(str_n(hex + 2 * i, 2), 255, &v));
        to[i] = (char)v;
    }
    return str_n(to, n);
}

// The fields of a block as "name: value|...", with "!" for an error at the end.
static void decode(struct hpack_decoder *d, const char *hex, struct arena *a, struct sbuf *out) {
    struct str block = unhex(hex);
    const char *p = block.p;
    struct hpack_field f;
    enum hpack_result r;
    hpack_block_begin(d);
    while ((r = hpack_next(d, &p, block.p + block.n, a, &f)) == HPACK_FIELD) {
        sbuf_printf(out, STR_FMT ": " STR_FMT "%s%s%s|", STR_ARG(f.name), STR_ARG(f.value), f.sensitive ? " (s)" : "",
                    f.bad_name ? " (bad name)" : "", f.bad_value ? " (bad value)" : "");
        EXPECT_INT(f.id, hpack_id_of(f.name));
    }
    if (r == HPACK_ERROR)
        sbuf_chr(out, '!');
    free((char *)(uintptr_t)block.p);
}

#define REQUEST_1 ":method: GET|:scheme: http|:path: /|:authority: www.example.com|"
#define REQUEST_2 REQUEST_1 "cache-control: no-cache|"
#define REQUEST_3 ":method: GET|:scheme: https|:path: /index.html|:authority: www.example.com|custom-key: custom-value|"
#define DATE_1 "date: Mon, 21 Oct 2013 20:13:21 GMT|"
#define DATE_2 "date: Mon, 21 Oct 2013 20:13:22 GMT|"
#define LOCATION "location: https://www.example.com|"

// RFC 7541 appendix C: blocks that follow each other with one table.
TEST(hpack_examples_of_the_rfc) {
    static const struct {
        uint32_t limit;
        struct {
            const char *hex, *want;
            uint32_t size;
        } blocks[3];
    } cases[] = {
        {4096, {{"400a637573746f6d2d6b65790d637573746f6d2d686561646572", "custom-key: custom-header|", 55}}},
        {4096, {{"040c2f73616d706c652f70617468", ":path: /sample/path|", 0}}},
        {4096, {{"100870617373776f726406736563726574", "password: secret (s)|", 0}}},
        {4096, {{"82", ":method: GET|", 0}}},
        {4096,
         {{"828684410f7777772e6578616d706c652e636f6d", REQUEST_1, 57},
          {"828684be58086e6f2d6361636865", REQUEST_2, 110},
          {"828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565", REQUEST_3, 164}}},
        {4096,
         {{"828684418cf1e3c2e5f23a6ba0ab90f4ff", REQUEST_1, 57},
          {"828684be5886a8eb10649cbf", REQUEST_2, 110},
          {"828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf", REQUEST_3, 164}}},
        {256,
         {{"488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad171863c78f0b97c8e9ae82ae43d3",
           ":status: 302|cache-control: private|" DATE_1 LOCATION, 222},
          {"4883640effc1c0bf", ":status: 307|cache-control: private|" DATE_1 LOCATION, 222},
          {"88c16196d07abe941054d444a8200595040b8166e084a62d1bffc05a839bd9ab77ad94e7821dd7f2e6c7b335dfdfcd5b3960d5af27087f"
           "3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007",
           ":status: 200|cache-control: private|" DATE_2 LOCATION "content-encoding: gzip|"
           "set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1|", 215}}},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct hpack_decoder d;
        hpack_decoder_init(&d, cases[i].limit);
        for (size_t k = 0; k < 3 && cases[i].blocks[k].hex != NULL; k++) {
            struct arena a;
            struct sbuf out;
            arena_init(&a, NULL);
            sbuf_init_heap(&out, 4096);
            decode(&d, cases[i].blocks[k].hex, &a, &out);
            EXPECT_STR(sbuf_view(&out), str_c(cases[i].blocks[k].want));
            EXPECT_INT(d.table.size, cases[i].blocks[k].size);
            sbuf_done(&out);
            arena_done(&a);
        }
        hpack_decoder_done(&d);
    }
}

TEST(hpack_errors_and_oddities) {
    static const struct {
        const char *hex, *want;
    } cases[] = {
        {"", ""},
        {"80", "!"},                 // index 0
        {"be", "!"},                 // beyond the table
        {"ff80808080", "!"},         // an integer without its end
        {"ff8080808000", "!"},       // an integer of too many bytes
        {"ffffffffff0f", "!"},
        {"00", "!"},                 // a literal without name
        {"000361", "!"},             // a name cut short
        {"00016101", "!"},           // a value cut short
        {"0001610162", "a: b|"},
        {"0000", "!"},
        {"00000162", ": b (bad name)|"},
        {"0001410162", "A: b (bad name)|"},
        {"0003613a620163", "a:b: c (bad name)|"},
        {"00013a0162", ":: b (bad name)|"},
        {"00043a6162630162", ":abc: b (bad name)|"},
        {"000161020a62", "a: \nb (bad value)|"},
        {"000161022062", "a:  b (bad value)|"},
        {"000161026220", "a: b  (bad value)|"},
        {"0001610101", "a: \x01 (bad value)|"},
        {"00016100", "a: |"},
        {"3fe11f82", ":method: GET|"},   // size 4096
        {"3fe21f82", "!"},               // above what was announced
        {"203fe11f82", ":method: GET|"}, // 0, then 4096
        {"8220", ":method: GET|!"},      // a size update behind a field
        {"20", ""},
        {"0081ff0162", "!"},             // Huffman: eight bits of padding
        {"0082ffff0162", "!"},
        {"00811f0162", "a: b|"},         // "a" is 00011, padded with ones
        {"0081180162", "!"},             // padded with zeros
        {"0084ffffffff0162", "!"},       // the end symbol
        {"0084fffffffc0162", "!"},
        {"00800162", ": b (bad name)|"},
        {"7f8001", "!"},
        {"7e0163", "!"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct hpack_decoder d;
        struct arena a;
        struct sbuf out;
        hpack_decoder_init(&d, 4096);
        arena_init(&a, NULL);
        sbuf_init_heap(&out, 4096);
        decode(&d, cases[i].hex, &a, &out);
        if (!str_eq(sbuf_view(&out), str_c(cases[i].want)))
            test_fail(__FILE__, __LINE__, "%s: got " STR_FMT ", want %s", cases[i].hex, STR_ARG(sbuf_view(&out)), cases[i].want);
        sbuf_done(&out);
        arena_done(&a);
        hpack_decoder_done(&d);
    }
}

TEST(hpack_huffman_of_every_byte) {
    char all[512], coded[2048], back[1024];
    for (size_t i = 0; i < sizeof all; i++)
        all[i] = (char)(i * 7);
    for (size_t from = 0; from < 256; from++) {
        for (size_t n = 0; n <= 40; n++) {
            size_t size = huffman_size(all + from, n);
            EXPECT_INT(huffman_put(coded, all + from, n) - coded, size);
            EXPECT_INT(huffman_read(back, coded, size), n);
            EXPECT(memcmp(back, all + from, n) == 0);
            if (n != 0) // a code that is cut says so, or is a shorter text
                EXPECT(huffman_read(back, coded, size - 1) < (ssize_t)n);
        }
    }
}

// Encodes a head many times with a changing table; the decoder must agree each time.
TEST(hpack_round_trips) {
    struct hpack_encoder e;
    struct hpack_decoder d;
    hpack_encoder_init(&e);
    hpack_decoder_init(&d, 4096);
    size_t first = 0, last = 0;
    for (unsigned round = 0; round < 300; round++) {
        struct arena a;
        struct sbuf b, want, got;
        arena_init(&a, NULL);
        sbuf_init_heap(&b, 65536);
        sbuf_init_heap(&want, 65536);
        sbuf_init_heap(&got, 65536);
        if (round % 50 == 49) {
            static const uint32_t limits[] = {0, 100, 4096, 64, 100000, 4096};
            hpack_encoder_limit(&e, limits[round / 50]);
            if (round / 50 == 3)
                hpack_encoder_limit(&e, 4096); // down and up again between two blocks
        }
        hpack_put_begin(&e, &b);
        hpack_put_status(&e, &b, 200 + round % 3);
        sbuf_printf(&want, ":status: %u|", 200 + round % 3);
        struct {
            struct str name, value;
        } fields[] = {
            {STR("Server"), STR("weir")},
            {STR("Content-Type"), STR("text/html")},
            {STR("X-Own-Name"), arena_printf(&a, "value %u", round / 4)},
            {STR("x-other"), arena_printf(&a, "%u", round * 7919)},
            {STR("Set-Cookie"), STR("a=b")},
            {STR("Content-Length"), arena_printf(&a, "%u", round)},
            {STR("Vary"), STR("")},
        };
        for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
            unsigned id = field_id_of(fields[i].name);
            enum hpack_how how = hpack_how_of(id, fields[i].value, false);
            hpack_put(&e, &b, id, fields[i].name, fields[i].value, how);
            struct str lower = arena_lower(&a, fields[i].name);
            sbuf_printf(&want, STR_FMT ": " STR_FMT "%s|", STR_ARG(lower), STR_ARG(fields[i].value),
                        how == HPACK_SENSITIVE ? " (s)" : "");
        }
        EXPECT(!b.overflow);
        struct sbuf hex;
        sbuf_init_heap(&hex, 65536);
        for (size_t i = 0; i < b.n; i++)
            sbuf_printf(&hex, "%02x", (unsigned char)b.p[i]);
        decode(&d, sbuf_cstr(&hex), &a, &got);
        EXPECT_STR(sbuf_view(&got), sbuf_view(&want));
        EXPECT_INT(e.table.size, d.table.size);
        EXPECT_INT(e.table.count, d.table.count);
        EXPECT(e.table.size <= e.table.max);
        if (round == 0)
            first = b.n;
        if (round == 40)
            last = b.n;
        sbuf_done(&hex);
        sbuf_done(&b);
        sbuf_done(&want);
        sbuf_done(&got);
        arena_done(&a);
    }
    EXPECT(last + 5 < first); // what comes again is indexed
    hpack_encoder_done(&e);
    hpack_decoder_done(&d);
}

TEST(hpack_memory_follows_what_is_in_the_table) {
    struct hpack_encoder e;
    hpack_encoder_init(&e);
    EXPECT_INT(hpack_table_memory(&e.table), 0);
    struct sbuf b;
    sbuf_init_heap(&b, 1 << 20);
    for (unsigned i = 0; i < 20000; i++) {
        char text[32];
        struct sbuf v;
        sbuf_init_fixed(&v, text, sizeof text);
        sbuf_printf(&v, "%u", i / 2);
        hpack_put(&e, &b, FIELD_UNKNOWN, STR("x-changing"), sbuf_view(&v), HPACK_MAY_INDEX);
        b.n = 0;
    }
    EXPECT(e.table.count > 50);
    EXPECT(hpack_table_memory(&e.table) <= 16384);
    hpack_encoder_done(&e);
    sbuf_done(&b);
}
