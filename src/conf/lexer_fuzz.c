// Any bytes as a configuration, through lexer, parser and rows. Whatever they are: every error has a place inside the
// text, words lie within bounds, and a text without errors means the same when it is read again.
#include "conf/conf.h"
#include "conf/lexer.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct values {
    bool flag;
    int64_t num;
    struct str text;
    struct tmpl *tmpl;
    struct conf_bufs bufs;
    uint64_t time, size;
};
#define ALL (IN_MAIN | IN_HTTP_ALL)
static const struct conf_row rows[] = {
    ROW_FLAG("daemon", ALL, struct values, flag, "on", ""),
    ROW_NUM("num", ALL, struct values, num, "1", 1, 9, ""),
    ROW_STR("text", ALL, struct values, text, NULL, ""),
    ROW_TMPL("return", ALL, struct values, tmpl, NULL, ""),
    ROW_BUFS("bufs", ALL, struct values, bufs, NULL, ""),
    ROW_MSEC("time", ALL, struct values, time, NULL, 0, 0, ""),
    ROW_SIZE("size", ALL, struct values, size, NULL, 0, 0, ""),
    ROW_BLOCK("events", IN_MAIN, 0, 0, IN_EVENTS, NULL, ""),
    ROW_BLOCK("http", IN_MAIN, 0, 0, IN_HTTP, NULL, ""),
    ROW_BLOCK("server", IN_HTTP, 0, 0, IN_SERVER, NULL, ""),
    ROW_BLOCK("location", IN_SERVER | IN_LOCATION, 1, 2, IN_LOCATION, NULL, ""),
    ROW_DATA("map", ALL, 0, 2, ROW_REPEAT, conf_set_nothing, ""),
};
static struct feature fuzzed = {
    .name = "fuzzed", .rows = rows, .nrows = ARRAY_LEN(rows), .conf_size = sizeof(struct values)};
static struct feature *const features[] = {&fuzzed};

static void check_tokens(struct str text) {
    struct arena arena;
    arena_init(&arena, NULL);
    struct lexer l;
    lexer_init(&l, text, &arena);
    unsigned lines = 1;
    for (size_t i = 0; i < text.n; i++)
        lines += text.p[i] == '\n';
    struct token t;
    unsigned last = 1;
    do {
        size_t before = l.at;
        lexer_next(&l, &t);
        CHECK(l.at <= text.n && l.at >= before && l.line <= lines);
        CHECK(t.kind != TOKEN_WORD || (t.text.n <= LEXER_MAX_TOKEN && t.line >= last));
        last = t.line;
    } while (t.kind != TOKEN_END);
    CHECK(l.at == text.n);
    arena_done(&arena);
}

static size_t count_nodes(const struct conf_node *n) {
    size_t count = 0;
    for (; n != NULL; n = n->next) {
        CHECK(n->nargs >= 1 && n->line >= 1);
        count += 1 + count_nodes(n->children);
    }
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    features_register(features, 1);
    struct str text = str_n(size ? (const char *)data : "", size);
    check_tokens(text);
    struct arena arena;
    arena_init(&arena, NULL);
    struct conf_load load = {.path = STR("F"), .text = text, .features = features, .nfeatures = 1, .seed = 1};
    struct conf_errors errors;
    struct conf *c = conf_load(&load, &arena, &errors);
    CHECK((c == NULL) == (errors.errors > 0) && errors.errors <= CONF_MAX_ERRORS);
    unsigned last = 0;
    for (const struct conf_error *e = errors.head; e != NULL; e = e->next) {
        CHECK(e->seq >= last && e->text.n > 0);
        last = e->seq;
    }
    if (c != NULL) {
        CHECK(count_nodes(c->tree.children) == c->tree.nodes);
        struct conf *again = conf_load(&load, &arena, &errors);
        CHECK(again != NULL && again->tree.nodes == c->tree.nodes);
        conf_unref(again);
    }
    conf_unref(c);
    arena_done(&arena);
    return 0;
}
