#include "base/sbuf.h"
#include "base/test.h"
#include "wire/head.h"
#include <stdlib.h>

static const char *const names[] = {
#define X(id, name, flags) [FIELD_##id] = name,
    KNOWN_FIELDS(X)
#undef X
};

// Upper, lower, written, and alternating case; in memory of exactly that size.
TEST(field_ids_in_all_cases) {
    for (unsigned id = 1; id < FIELD_COUNT; id++) {
        size_t n = strlen(names[id]);
        EXPECT_STR(field_name(id), str_c(names[id]));
        for (unsigned how = 0; how < 5; how++) {
            char *p = xmalloc(n);
            for (size_t i = 0; i < n; i++) {
                char c = names[id][i], other = ascii_is_alpha((unsigned char)c) ? (char)(c ^ 0x20) : c;
                char lower = (char)ascii_lower((unsigned char)c), upper = lower == c ? other : c;
                p[i] = how == 0 ? c : how == 1 ? other : how == 2 ? lower : how == 3 ? upper : i & 1 ? lower : upper;
            }
            EXPECT_INT(field_id_of(str_n(p, n)), id);
            free(p);
        }
    }
}

// Any byte of a name changed into any other makes it unknown, unless only case changed; so does one byte more or less.
TEST(field_ids_of_near_misses) {
    for (unsigned id = 1; id < FIELD_COUNT; id++) {
        char p[64];
        size_t n = strlen(names[id]);
        memcpy(p, names[id], n);
        for (size_t i = 0; i < n; i++)
            for (unsigned c = 0; c < 256; c++) {
                p[i] = (char)c;
                unsigned want = 0;
                for (unsigned other = 1; other < FIELD_COUNT; other++)
                    if (str_ieq(str_c(names[other]), str_n(p, n)))
                        want = other;
                EXPECT_INT(field_id_of(str_n(p, n)), want);
                p[i] = names[id][i];
            }
        p[n] = 's';
        EXPECT_INT(field_id_of(str_n(p, n + 1)), 0);
    }
    EXPECT_INT(field_id_of(STR("")), 0);
    EXPECT_INT(field_id_of(STR("X")), 0);
    EXPECT_INT(field_id_of(STR("Strict-Transport-Security-And-More-Of-It")), 0);
    EXPECT_STR(field_name(FIELD_UNKNOWN), STR(""));
    EXPECT_STR(field_name(FIELD_COUNT), STR(""));
}

TEST(field_flags) {
    EXPECT_INT(field_flags(FIELD_CONNECTION), FIELD_HOP | FIELD_LIST);
    EXPECT_INT(field_flags(FIELD_HOST), FIELD_ONE);
    EXPECT_INT(field_flags(FIELD_COOKIE), 0);
    EXPECT_INT(field_flags(FIELD_UNKNOWN), 0);
}

TEST(methods) {
#define X(id, name, safe, idem)                      \
    EXPECT_INT(method_from(STR(name)), METHOD_##id); \
    EXPECT_STR(method_name(METHOD_##id), STR(name)); \
    EXPECT_INT(method_is_safe(METHOD_##id), safe);   \
    EXPECT_INT(method_is_idempotent(METHOD_##id), idem);
    KNOWN_METHODS(X)
#undef X
    static const char *const unknown[] = {"",          "get",       "GE",        "GETT", "Get", "POSTS",
                                          "PROPFINDS", "XPROPFIND", "PROPPATCX", "G",    "BREW"};
    for (size_t i = 0; i < ARRAY_LEN(unknown); i++)
        EXPECT_INT(method_from(str_c(unknown[i])), METHOD_UNKNOWN);
    EXPECT_STR(method_name(METHOD_UNKNOWN), STR(""));
    EXPECT(!method_is_idempotent(METHOD_UNKNOWN));
}

TEST(statuses) {
    EXPECT_STR(status_reason(200), STR("OK"));
    EXPECT_STR(status_reason(302), STR("Moved Temporarily"));
    EXPECT_STR(status_reason(504), STR("Gateway Time-out"));
    EXPECT_STR(status_reason(299), STR(""));
    EXPECT_STR(status_reason(0), STR(""));
    EXPECT(status_has_no_body(100) && status_has_no_body(199) && status_has_no_body(204) && status_has_no_body(304));
    EXPECT(!status_has_no_body(200) && !status_has_no_body(205) && !status_has_no_body(404));
}

static struct arena arena;
static struct head head;

static void begin(void) {
    arena_init(&arena, NULL);
    head_init(&head, &arena);
}

static void add(const char *name, const char *value) {
    head_add(&head, field_id_of(str_c(name)), str_c(name), str_c(value));
}

// The fields that walkers see, as "Name=value;".
static void expect_fields(const char *want) {
    char text[1024];
    struct sbuf b;
    sbuf_init_fixed(&b, text, sizeof(text));
    head_each(f, &head) {
        sbuf_str(&b, f->name);
        sbuf_chr(&b, '=');
        sbuf_str(&b, f->value);
        sbuf_chr(&b, ';');
    }
    EXPECT_STR(sbuf_view(&b), str_c(want));
}

TEST(head_finds) {
    begin();
    EXPECT(head.at == NULL && head_find(&head, FIELD_HOST) == NULL);
    EXPECT(head_value(&head, FIELD_HOST).p == NULL);
    add("Host", "a");
    add("X-One", "1");
    add("accept", "b");
    add("x-one", "2");
    add("ACCEPT", "c");
    add("X-Two", "3");
    EXPECT_STR(head_value(&head, FIELD_HOST), STR("a"));
    EXPECT_STR(head_value(&head, FIELD_ACCEPT), STR("b"));
    EXPECT_STR(head_find_next(&head, head_find(&head, FIELD_ACCEPT))->value, STR("c"));
    EXPECT(head_find_next(&head, head_find(&head, FIELD_HOST)) == NULL);
    struct field *f = head_find_name(&head, STR("X-ONE"));
    EXPECT_STR(f->value, STR("1"));
    f = head_find_next(&head, f);
    EXPECT_STR(f->value, STR("2"));
    EXPECT(head_find_next(&head, f) == NULL);
    EXPECT_STR(head_find_name(&head, STR("hOST"))->value, STR("a"));
    EXPECT(head_find_name(&head, STR("X-Three")) == NULL);
    EXPECT(head_find_name(&head, STR("Age")) == NULL);
    arena_done(&arena);
}

TEST(head_drops) {
    begin();
    add("Accept", "a");
    add("X-One", "1");
    add("Accept", "b");
    add("x-one", "2");
    add("Host", "h");
    add("Accept", "c");
    head_drop_field(&head, head_find(&head, FIELD_ACCEPT));
    expect_fields("X-One=1;Accept=b;x-one=2;Host=h;Accept=c;");
    EXPECT(head_has(&head, FIELD_ACCEPT));
    EXPECT_STR(head_value(&head, FIELD_ACCEPT), STR("b"));
    head_drop(&head, FIELD_ACCEPT);
    EXPECT(!head_has(&head, FIELD_ACCEPT) && head_find(&head, FIELD_ACCEPT) == NULL);
    expect_fields("X-One=1;x-one=2;Host=h;");
    head_drop_name(&head, STR("X-ONE"));
    expect_fields("Host=h;");
    EXPECT(head_find_name(&head, STR("X-One")) == NULL);
    head_drop_field(&head, head_find(&head, FIELD_HOST));
    EXPECT(!head_has(&head, FIELD_HOST));
    head_drop_name(&head, STR("age"));
    head_drop(&head, FIELD_AGE);
    expect_fields("");
    arena_done(&arena);
}

TEST(head_sets) {
    begin();
    head_set(&head, FIELD_SERVER, STR("weir"));
    expect_fields("Server=weir;");
    add("Via", "1");
    add("Via", "2");
    add("Via", "3");
    head_set(&head, FIELD_VIA, STR("4"));
    expect_fields("Server=weir;Via=4;");
    head_drop(&head, FIELD_VIA);
    head_set(&head, FIELD_VIA, STR("5"));
    expect_fields("Server=weir;Via=5;");
    EXPECT_STR(head_value(&head, FIELD_VIA), STR("5"));
    arena_done(&arena);
}

TEST(head_joins) {
    begin();
    EXPECT(head_join(&head, FIELD_ACCEPT, &arena).p == NULL);
    add("Accept", "a");
    EXPECT(head_join(&head, FIELD_ACCEPT, &arena).p == head.at[0].value.p);
    add("Cookie", "x=1");
    add("Accept", "");
    add("Cookie", "y=2");
    add("accept", "c");
    head_add_known(&head, FIELD_COOKIE, STR_NONE);
    EXPECT_STR(head_join(&head, FIELD_ACCEPT, &arena), STR("a, , c"));
    EXPECT_STR(head_join(&head, FIELD_COOKIE, &arena), STR("x=1; y=2; "));
    head_drop_field(&head, &head.at[2]);
    EXPECT_STR(head_join(&head, FIELD_ACCEPT, &arena), STR("a, c"));
    arena_done(&arena);
}

TEST(head_grows) {
    begin();
    for (size_t i = 0; i < 1000; i++)
        head_add(&head, FIELD_UNKNOWN, arena_printf(&arena, "X-%zu", i), arena_printf(&arena, "%zu", i * 3));
    EXPECT_INT(head.count, 1000);
    EXPECT_INT(head.cap, 1024);
    for (size_t i = 0; i < 1000; i++)
        EXPECT_STR(head_find_name(&head, arena_printf(&arena, "x-%zu", i))->value, arena_printf(&arena, "%zu", i * 3));
    arena_done(&arena);
}

TEST(list_elements) {
    static const struct {
        const char *list, *elements;
    } cases[] = {
        {"", ""},
        {" ", ""},
        {",", ""},
        {" ,\t, ", ""},
        {"a", "a|"},
        {" a ", "a|"},
        {"a,b", "a|b|"},
        {"a , b\t,c", "a|b|c|"},
        {",a,,b,", "a|b|"},
        {"\"a,b\",c", "\"a,b\"|c|"},
        {"\"a\\\",b\",c", "\"a\\\",b\"|c|"},
        {"x=\"1,2\";q=1, y", "x=\"1,2\";q=1|y|"},
        {"\"open,a", "\"open,a|"},
        {"\"a\\", "\"a\\|"},
        {"a b,c", "a b|c|"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char text[128];
        struct sbuf b;
        struct str rest = str_c(cases[i].list), element;
        sbuf_init_fixed(&b, text, sizeof(text));
        while (list_next(&rest, &element)) {
            sbuf_str(&b, element);
            sbuf_chr(&b, '|');
        }
        EXPECT_STR(sbuf_view(&b), str_c(cases[i].elements));
    }
}

TEST(list_tokens) {
    EXPECT(list_has_token(STR("close"), STR("close")));
    EXPECT(list_has_token(STR("Keep-Alive, CLOSE"), STR("close")));
    EXPECT(list_has_token(STR("gzip;q=0.5, br ; q=1"), STR("br")));
    EXPECT(list_has_token(STR(",,close ,"), STR("close")));
    EXPECT(!list_has_token(STR("closed, enclose, x close"), STR("close")));
    EXPECT(!list_has_token(STR("\"close\", \"a,close,b\""), STR("close")));
    EXPECT(!list_has_token(STR(""), STR("close")));
}

TEST(tokens) {
    EXPECT(is_token(STR("!#$%&'*+-.^_`|~09azAZ")));
    EXPECT(!is_token(STR("")));
    size_t tokens = 0;
    for (unsigned c = 0; c < 256; c++)
        tokens += is_token(str_n((char[]){(char)c}, 1));
    EXPECT_INT(tokens, 15 + 10 + 52);
    EXPECT(!is_token(STR("a b")) && !is_token(STR("a:")) && !is_token(STR("\xc3\xa9")) && !is_token(STR("a\0")));
}

TEST(a_moved_head_lies_in_the_copy) {
    struct arena a;
    arena_init(&a, NULL);
    char from[] = "GET /t Host: a.test ", to[sizeof from];
    memcpy(to, from, sizeof from);
    struct head h;
    head_init(&h, &a);
    h.method_text = str_n(from, 3);
    h.target = str_n(from + 4, 2);
    h.reason = STR("elsewhere");
    const char *elsewhere = h.reason.p;
    head_add(&h, FIELD_HOST, str_n(from + 7, 4), str_n(from + 13, 6));
    head_add(&h, FIELD_SERVER, STR("Server"), STR_NONE);
    head_moved(&h, from, sizeof from, to);
    EXPECT(h.method_text.p == to && h.target.p == to + 4 && h.reason.p == elsewhere);
    EXPECT(h.at[0].name.p == to + 7 && h.at[0].value.p == to + 13);
    EXPECT_STR(h.at[1].name, STR("Server"));
    EXPECT(h.at[1].value.p == NULL);
    arena_done(&a);
}
