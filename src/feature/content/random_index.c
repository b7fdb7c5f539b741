// random_index: a URI that ends with a slash is answered with a file of its directory, chosen at random.
#include "feature/content/directory.h"
#include "io/inbox.h"
#include <sys/random.h>

struct random_index_conf {
    bool on;
};

// The directory is read once; of the n-th file seen, one in n takes the place of the one chosen before.
struct choice {
    const char *path;
    char name[NAME_MAX + 1];
    unsigned seen;
    const char *failed;
};

static bool is_regular(DIR *dir, const struct dirent *d) {
    if (d->d_type != DT_UNKNOWN && d->d_type != DT_LNK)
        return d->d_type == DT_REG;
    struct stat st;
    return fstatat(dirfd(dir), d->d_name, &st, 0) == 0 && S_ISREG(st.st_mode);
}

static uint32_t below(uint32_t n) {
    uint32_t v = 0;
    if (getrandom(&v, sizeof v, GRND_NONBLOCK) != sizeof v)
        v = 0;
    return v % n;
}

static void look_at(void *arg, DIR *dir, const struct dirent *d) {
    struct choice *c = arg;
    size_t n = strlen(d->d_name);
    if (n < sizeof c->name && is_regular(dir, d) && below(++c->seen) == 0)
        memcpy(c->name, d->d_name, n + 1);
}

// On a helper thread.
static int choose_file(void *arg) {
    struct choice *c = arg;
    return directory_read(c->path, look_at, c, &c->failed);
}

static enum step answer_random(struct req *r, const void *conf) {
    if (r->uri.n == 0 || r->uri.p[r->uri.n - 1] != '/')
        return STEP_NEXT;
    if (r->method != METHOD_GET && r->method != METHOD_HEAD && r->method != METHOD_POST)
        return STEP_NEXT;
    struct str path;
    if (!directory_of(r, &path))
        return answer_status(r, 500);
    struct choice *c = arena_new(&r->arena, struct choice);
    c->path = path.p;
    int err = helper_run(choose_file, c);
    if (err != 0)
        return answer_status(r, file_refused(r, path, err, c->failed));
    if (c->seen == 0)
        return STEP_NEXT;
    struct str parts[2] = {r->uri, str_c(c->name)};
    return answer_goto(r, arena_join(&r->arena, parts, 2), r->args);
}

static bool bind_random(struct conf_cx *cx, struct scope *s, void *conf) {
    const struct random_index_conf *c = conf;
    if (c->on && (s->place & (IN_LOCATION | IN_IF | IN_LIMIT_EXCEPT)))
        plan_add(cx, s, STAGE_CONTENT, ORDER_RANDOM_INDEX, answer_random, c, "random_index");
    return true;
}

static const struct conf_row rows[] = {
    ROW_FLAG("random_index", IN_LOCATION, struct random_index_conf, on, "off",
             "A URI that ends with a slash is answered with a file of its directory, chosen at random."),
};

struct feature feature_random_index = {.name = "random_index",
                                       .rows = rows,
                                       .nrows = ARRAY_LEN(rows),
                                       .conf_size = sizeof(struct random_index_conf),
                                       .bind = bind_random};
