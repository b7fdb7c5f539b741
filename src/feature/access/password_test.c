#include "feature/access/password.h"
#include "base/test.h"

TEST(passwords_of_all_kinds) {
    static const struct {
        const char *hash, *password;
    } cases[] = {
        {"{PLAIN}secret", "secret"},
        {"{PLAIN}", ""},
        {"{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=", "secret"},
        {"{SSHA}gVK8WC9YyFT1gMsQHTGCgT3sSv5zYWx0", "secret"},
        {"$apr1$abcdefgh$h9FWgUz3n9YxylKLlR5SQ/", "secret"},
        {"abNANd1rDfiNc", "secret"},
        {"$1$saltsalt$9xy1btjgzLYfb7hivXtC//", "secret"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        EXPECT_INT(password_matches(cases[i].password, cases[i].hash), 1);
        EXPECT_INT(password_matches("wrong", cases[i].hash), 0);
    }
}

TEST(passwords_with_hashes_of_no_kind) {
    static const char *const hashes[] = {"{SSHA}", "{SSHA}!!!", "{SSHA}YWJj", "{SHA}5en6", "$apr1$", "$apr1$x", "$apr1$longersaltthan8$x"};
    for (size_t i = 0; i < ARRAY_LEN(hashes); i++)
        EXPECT_INT(password_matches("x", hashes[i]), 0);
    EXPECT(password_matches("x", "") < 0);
    EXPECT(password_matches("x", "$9$nothing") < 0);
    EXPECT(password_is_slow("ab1/SpR1ryjfk") && password_is_slow("$2y$10$x") && !password_is_slow("{SHA}x"));
}

TEST(passwords_are_known_once_noted) {
    EXPECT(!password_seen("a", "b"));
    password_note("a", "b");
    EXPECT(password_seen("a", "b"));
    EXPECT(!password_seen("b", "a") && !password_seen("", "ba") && !password_seen("ab", ""));
    char longer[2000];
    memset(longer, 'x', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    password_note(longer, "b"); // too long to be kept
    EXPECT(!password_seen(longer, "b"));
}
