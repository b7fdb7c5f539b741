#include "feature/content/ssi_command.h"
#include "base/test.h"
#include "base/sbuf.h"

// "name a=value b=value", or "! what is wrong".
static struct str taken(struct arena *a, const char *text) {
    struct ssi_command c;
    struct str copy = arena_dup(a, str_c(text));
    const char *why = ssi_parse((char *)(uintptr_t)copy.p, copy.n, &c);
    struct sbuf b;
    sbuf_init_arena(&b, a, 64, 1 << 16);
    if (why != NULL) {
        sbuf_printf(&b, "! %s", why);
        return sbuf_view(&b);
    }
    sbuf_str(&b, c.name);
    for (unsigned i = 0; i < c.count; i++)
        sbuf_printf(&b, " " STR_FMT "=" STR_FMT, STR_ARG(c.params[i].name), STR_ARG(c.params[i].value));
    return sbuf_view(&b);
}

TEST(ssi_commands_are_taken_apart) {
    static const struct {
        const char *text, *taken;
    } cases[] = {
        {"echo var=\"uri\" ", "echo var=uri"},
        {"  include\n\tvirtual = '/x y' wait='yes'", "include virtual=/x y wait=yes"},
        {"else", "else"},
        {"set var=\"a\" value=\"x\\\"y\\\\z\\'q\\n\\$\"", "set var=a value=x\"y\\z'q\\n\\$"},
        {"set var='a' value='it is \"it\"'", "set var=a value=it is \"it\""},
        {"echo var=\"\"", "echo var="},
        {"", "! unexpected symbol in SSI command"},
        {"=x", "! unexpected symbol in SSI command"},
        {"echo var", "! unexpected symbol in SSI command"},
        {"echo var=", "! unexpected symbol instead of a quoted value in SSI command"},
        {"echo var=uri", "! unexpected symbol instead of a quoted value in SSI command"},
        {"echo var=\"uri", "! a value without its closing quote in SSI command"},
        {"echo var=\"uri\\\"", "! a value without its closing quote in SSI command"},
        {"echo-x", "! unexpected symbol in SSI command"},
    };
    struct arena a;
    arena_init(&a, NULL);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        EXPECT_STR(taken(&a, cases[i].text), str_c(cases[i].taken));
    char many[2000] = "set";
    for (unsigned i = 0; i <= SSI_PARAMS_MAX; i++)
        memcpy(many + strlen(many), " a=\"b\"", 7);
    EXPECT_STR(taken(&a, many), STR("! too many SSI command parameters"));
    arena_done(&a);
}

TEST(ssi_command_ends_where_it_ends) {
    static const struct {
        const char *text;
        int end; // of "-->"; 0: not there
    } cases[] = {{"echo -->x", 8}, {"echo var=\"a-->b\" -->", 20}, {"a='\\'-->' -->", 13}, {"it's -->", 8}, {"a--->", 5}, {"a->", 0}, {"a=\"-->", 0}, {"-->", 3}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct ssi_end e = {0};
        int end = 0;
        for (int k = 0; cases[i].text[k] != '\0' && end == 0; k++) {
            if (ssi_end_feed(&e, cases[i].text[k]))
                end = k + 1;
        }
        EXPECT_INT(end, cases[i].end);
    }
}
