// env NAME and env NAME=value: everything else but TZ is taken from the worker, as in nginx.
#include "app/environment.h"
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

// What the program itself and its libraries are told by (sanitizers, systemd).
static bool is_ours(struct str name) {
    static const char *const names[] = {"TZ", "NOTIFY_SOCKET", "ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS", "LSAN_OPTIONS"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (str_eq(name, str_c(names[i])))
            return true;
    }
    return false;
}

static struct str name_of(struct str e) {
    ssize_t eq = str_chr(e, '=');
    return eq < 0 ? e : str_head(e, (size_t)eq);
}

static bool is_named(const struct main_conf *m, struct str name) {
    conf_list_each(const struct str, e, m->env) {
        if (str_eq(name_of(*e), name))
            return true;
    }
    return false;
}

static bool drop_one(const struct main_conf *m) {
    for (char **e = environ; e != NULL && *e != NULL; e++) {
        struct str name = name_of(str_c(*e));
        if (is_named(m, name) || is_ours(name) || name.n == 0)
            continue;
        char *copy = str_xdup(name);
        int err = unsetenv(copy);
        free(copy);
        return err == 0;
    }
    return false;
}

void environment_apply(const struct main_conf *m) {
    while (drop_one(m)) {
    }
    conf_list_each(const struct str, e, m->env) {
        struct str name = name_of(*e);
        if (name.n == e->n)
            continue;
        char *copy = str_xdup(name), *value = str_xdup(str_from(*e, name.n + 1));
        setenv(copy, value, 1);
        free(copy);
        free(value);
    }
    tzset();
}
