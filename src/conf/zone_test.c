// Zones: found again, made anew, freed with the last reference.
#include "conf/fake.h"
#include "conf/zone.h"
#include <pthread.h>

static unsigned live;

static void *make(const void *params) {
    __atomic_fetch_add(&live, 1, __ATOMIC_RELAXED);
    int *state = xmalloc(sizeof(*state));
    *state = *(const int *)params;
    return state;
}
static void drop(void *state) {
    __atomic_fetch_sub(&live, 1, __ATOMIC_RELAXED);
    free(state);
}
static bool fits(const void *state, const void *now) {
    return *(const int *)state == *(const int *)now;
}

static const struct zone_kind one = {"one", make, drop, fits};
static const struct zone_kind two = {"two", make, drop, NULL};
static const int p1 = 1, p2 = 2;

TEST(zone_found_again) {
    struct zones *z = zones_new();
    bool fresh = false;
    struct zone *a = zone_get(z, &one, STR("x"), &p1, &fresh);
    EXPECT(fresh && *(int *)a->state == 1);
    EXPECT_STR(a->name, STR("x"));
    EXPECT(zone_get(z, &one, STR("x"), &p1, &fresh) == a && !fresh);
    struct zone *b = zone_get(z, &one, STR("y"), &p1, &fresh), *c = zone_get(z, &two, STR("x"), &p1, NULL);
    EXPECT(b != a && fresh && c != a && live == 3);
    EXPECT(zone_get(z, &two, STR("x"), &p2, &fresh) == c && !fresh); // without fits all parameters do
    zone_unref(a);
    EXPECT_INT(live, 3);
    zone_unref(a);
    zone_unref(b);
    zone_unref(c);
    zone_unref(c);
    zone_unref(NULL);
    EXPECT_INT(live, 0);
    zones_free(z);
    zones_free(NULL);
}

// A reload with other parameters makes a new state; when that reload fails, the old one is found as if nothing had
// been.
TEST(zone_changed) {
    struct zones *z = zones_new();
    bool fresh;
    struct zone *old = zone_get(z, &one, STR("x"), &p1, NULL), *now = zone_get(z, &one, STR("x"), &p2, &fresh);
    EXPECT(now != old && fresh && live == 2);
    EXPECT(zone_get(z, &one, STR("x"), &p2, &fresh) == now && !fresh);
    zone_unref(now);
    zone_unref(now);
    EXPECT_INT(live, 1);
    EXPECT(zone_get(z, &one, STR("x"), &p1, &fresh) == old && !fresh);
    now = zone_get(z, &one, STR("x"), &p2, NULL); // and the other way round: the old one goes first
    zone_unref(old);
    zone_unref(old);
    EXPECT_INT(live, 1);
    EXPECT(zone_get(z, &one, STR("x"), &p2, &fresh) == now && !fresh);
    zone_unref(now);
    zone_unref(now);
    EXPECT_INT(live, 0);
    zones_free(z);
}

static void note(void *arg, struct str key) {
    sbuf_str(arg, key);
    sbuf_chr(arg, ';');
}

// Who asks hears once which zones start empty; those that are new or fit are none of them.
TEST(zone_renewed) {
    struct zones *z = zones_new();
    char text[100];
    struct sbuf b;
    sbuf_init_fixed(&b, text, sizeof text);
    struct zone *old = zone_get(z, &one, STR("x"), &p1, NULL), *other = zone_get(z, &one, STR("y"), &p1, NULL);
    struct zone *same = zone_get(z, &one, STR("y"), &p1, NULL);
    zones_renewed(z, note, &b);
    EXPECT_STR(sbuf_view(&b), STR(""));
    struct zone *now = zone_get(z, &one, STR("x"), &p2, NULL);
    zones_renewed(z, note, &b);
    zones_renewed(z, note, &b);
    EXPECT_STR(sbuf_view(&b), STR("one x;"));
    zone_unref(now);
    now = zone_get(z, &one, STR("x"), &p2, NULL);
    zones_renewed(z, NULL, NULL);
    zones_renewed(z, note, &b);
    EXPECT_STR(sbuf_view(&b), STR("one x;"));
    zone_unref(zone_get(z, &one, STR("y"), &p2, NULL)); // not asked for: no leak
    zone_unref(old);
    zone_unref(now);
    zone_unref(other);
    zone_unref(same);
    zones_free(z);
}

struct zone_holder {
    struct zone *zone;
};

static bool set_zone(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    int64_t n;
    if (!conf_parse_num(node->args[2], &n))
        return conf_err(cx, node, "bad zone");
    int params = (int)n;
    struct zone_holder *h = conf;
    h->zone = zone_get(cx->conf->zones, &one, node->args[1], &params, NULL);
    arena_cleanup(cx->arena, (void (*)(void *))zone_unref, h->zone);
    return true;
}
static const struct conf_row rows[] = {ROW_FN("zone", IN_MAIN, 2, 2, ROW_REPEAT, set_zone, NULL, "A zone.")};
static struct feature holder = {.name = "holder", .rows = rows, .nrows = 1, .conf_size = sizeof(struct zone_holder)};
static struct feature *const holders[] = {&holder};

static struct conf *load_text(struct zones *z, struct arena *arena, const char *text) {
    struct conf_errors errors;
    struct conf_load load = {.path = STR("F"), .text = str_c(text), .features = holders, .nfeatures = 1, .zones = z};
    return conf_load(&load, arena, &errors);
}
static struct zone *zone_of(struct conf *c) {
    return ((struct zone_holder *)scope_conf(c->root, &holder))->zone;
}

TEST(zone_across_loads) {
    features_register(holders, 1);
    struct zones *z = zones_new();
    struct arena arena;
    arena_init(&arena, NULL);
    struct conf *first = load_text(z, &arena, "zone x 1;");
    struct conf *second = load_text(z, &arena, "zone x 1;");
    EXPECT(zone_of(first) == zone_of(second));
    EXPECT_INT(second->generation, 2);
    conf_unref(first);
    EXPECT_INT(live, 1);
    EXPECT(load_text(z, &arena, "zone x 2; zone y z;") == NULL); // fails: nothing of it stays
    EXPECT_INT(live, 1);
    struct conf *third = load_text(z, &arena, "zone x 1;");
    EXPECT(zone_of(third) == zone_of(second));
    struct conf *fourth = load_text(z, &arena, "zone x 2;");
    EXPECT(zone_of(fourth) != zone_of(second));
    EXPECT_INT(live, 2);
    conf_unref(second);
    conf_unref(third);
    EXPECT_INT(live, 1);
    conf_unref(fourth);
    EXPECT_INT(live, 0);
    zones_free(z);
    arena_done(&arena);
}

static void *worker(void *arg) {
    for (int i = 0; i < 2000; i++) {
        struct zone *a = zone_get(arg, &one, STR("shared"), i % 3 ? &p1 : &p2, NULL);
        struct zone *b = zone_get(arg, &one, STR("shared"), &p1, NULL);
        CHECK(*(int *)b->state == 1);
        zone_unref(a);
        zone_unref(b);
    }
    return NULL;
}

TEST(zone_threads) {
    struct zones *z = zones_new();
    pthread_t t[4];
    for (size_t i = 0; i < ARRAY_LEN(t); i++)
        EXPECT(pthread_create(&t[i], NULL, worker, z) == 0);
    for (size_t i = 0; i < ARRAY_LEN(t); i++)
        pthread_join(t[i], NULL);
    EXPECT_INT(live, 0);
    zones_free(z);
}
