// A page with SSI commands: where they end, and what they say. The text is fed whole and byte by byte.
#include "feature/content/ssi_command.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool within(struct str part, const char *p, size_t n) { return part.n == 0 || (part.p >= p && part.p + part.n <= p + n); }

// A command's text, without its end.
static void check_command(const char *bytes, size_t n, struct arena *arena) {
    char *text = arena_bytes(arena, n + 1), *again = arena_bytes(arena, n + 1);
    memcpy(text, bytes, n);
    memcpy(again, bytes, n);
    struct ssi_command a, b;
    const char *wrong = ssi_parse(text, n, &a), *second = ssi_parse(again, n, &b);
    CHECK((wrong == NULL) == (second == NULL) && a.count == b.count && a.count <= SSI_PARAMS_MAX);
    CHECK(within(a.name, text, n));
    if (wrong != NULL)
        return;
    CHECK(a.name.n != 0);
    for (unsigned i = 0; i < a.count; i++) {
        struct str name = a.params[i].name, value = a.params[i].value;
        CHECK(name.n != 0 && within(name, text, n) && within(value, text, n) && value.p != NULL);
        CHECK(str_eq(value, b.params[i].value));
        char word[64];
        if (name.n < sizeof(word)) { // the first of a name is found
            memcpy(word, name.p, name.n);
            word[name.n] = '\0';
            CHECK(ssi_param(&a, word).p != NULL);
        }
    }
    CHECK(ssi_param(&a, "1").p == NULL); // no name has digits
}

// Bytes behind "<!--#" up to the end of the command, or all.
static size_t command_length(const char *p, size_t n, bool *whole) {
    struct ssi_end end = {0};
    *whole = false;
    size_t i = 0;
    while (i < n && !*whole)
        *whole = ssi_end_feed(&end, p[i++]);
    CHECK(!*whole || (i >= 3 && memcmp(p + i - 3, "-->", 3) == 0));
    return i;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const struct str opening = STR_INIT("<!--#");
    if (size > SSI_COMMAND_MAX)
        return 0;
    struct arena arena;
    arena_init(&arena, NULL);
    struct str rest = str_n((const char *)data, size);
    check_command(rest.p, rest.n, &arena);
    for (ssize_t at; (at = str_find(rest, opening)) >= 0;) {
        rest = str_from(rest, (size_t)at + opening.n);
        bool whole;
        size_t n = command_length(rest.p, rest.n, &whole);
        if (whole)
            check_command(rest.p, n - 3, &arena);
        rest = str_from(rest, n);
    }
    arena_done(&arena);
    return 0;
}
