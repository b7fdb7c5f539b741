// The names of all rows, and which of them a mistyped one may have meant.
#include "conf/build.h"

static void add_row(struct names *n, const struct feature *f, const struct conf_row *row) {
    struct named_row *named = arena_new(&n->arena, struct named_row);
    named->feature = f;
    named->row = row;
    if (row->name[0] == '*') {
        CHECK(f->family != NULL);
        named->name = arena_printf(&n->arena, "%s%s", f->family, row->name + 1);
    } else {
        named->name = str_c(row->name);
    }
    struct named_row *first = map_get(&n->by_name, named->name);
    if (first == NULL) {
        map_put(&n->by_name, named->name, named);
        return;
    }
    while (first->next != NULL)
        first = first->next;
    first->next = named;
}

void names_init(struct names *n, struct feature *const *features, size_t nfeatures) {
    arena_init(&n->arena, NULL);
    map_init(&n->by_name, false, 0);
    for (size_t i = 0; i < nfeatures; i++)
        for (size_t k = 0; k < features[i]->nrows; k++)
            add_row(n, features[i], &features[i]->rows[k]);
}

void names_done(struct names *n) {
    map_done(&n->by_name);
    arena_done(&n->arena);
}

struct named_row *names_find(const struct names *n, struct str name) {
    return map_get(&n->by_name, name);
}

// Optimal string alignment distance, or `limit + 1` when it is larger. Names are short.
static unsigned distance(struct str a, struct str b, unsigned limit) {
    enum { MAX = 64 };
    if (a.n > MAX || b.n > MAX || (a.n > b.n ? a.n - b.n : b.n - a.n) > limit)
        return limit + 1;
    unsigned rows[3][MAX + 1];
    for (size_t j = 0; j <= b.n; j++)
        rows[0][j] = (unsigned)j;
    for (size_t i = 1; i <= a.n; i++) {
        unsigned *now = rows[i % 3], *prev = rows[(i + 2) % 3], *before = rows[(i + 1) % 3];
        now[0] = (unsigned)i;
        for (size_t j = 1; j <= b.n; j++) {
            unsigned best = prev[j - 1] + (a.p[i - 1] != b.p[j - 1]);
            best = MIN(best, prev[j] + 1);
            best = MIN(best, now[j - 1] + 1);
            if (i > 1 && j > 1 && a.p[i - 1] == b.p[j - 2] && a.p[i - 2] == b.p[j - 1])
                best = MIN(best, before[j - 2] + 1);
            now[j] = best;
        }
    }
    return MIN(rows[a.n % 3][b.n], limit + 1);
}

struct near {
    struct str name;
    unsigned score;
};

// Keeps the three best, ties in byte order, so that the answer does not depend on the table's order.
static void near_add(struct near best[3], struct str name, unsigned score) {
    for (size_t i = 0; i < 3; i++) {
        struct near *at = &best[i];
        if (at->name.p != NULL && (at->score < score || (at->score == score && str_cmp(at->name, name) < 0)))
            continue;
        for (size_t k = 2; k > i; k--)
            best[k] = best[k - 1];
        *at = (struct near){name, score};
        return;
    }
}

struct str names_near(const struct names *n, struct str name, uint32_t places, struct arena *arena) {
    unsigned limit = name.n <= 3 ? 1 : name.n <= 8 ? 2 : 3;
    struct near best[3] = {0};
    size_t at = 0;
    struct str key;
    void *value;
    struct str lower = arena_lower(arena, name);
    while (map_next(&n->by_name, &at, &key, &value)) {
        bool fits = places == 0;
        for (const struct named_row *r = value; r != NULL && !fits; r = r->next)
            fits = (r->row->places & places) != 0;
        unsigned d = distance(lower, key, limit);
        if (d <= limit && d < key.n)
            near_add(best, key, d * 2 + !fits);
    }
    struct sbuf out;
    sbuf_init_arena(&out, arena, 64, 1024);
    for (size_t i = 0; i < 3 && best[i].name.p != NULL; i++) {
        if (best[i].score > best[0].score + 1)
            break;
        sbuf_printf(&out, "%s\"" STR_FMT "\"", i ? ", " : "", STR_ARG(best[i].name));
    }
    return sbuf_view(&out);
}

struct str names_of_places(uint32_t places, struct arena *arena) {
    static const struct conf_word words[] = {
        {"main", IN_MAIN},         {"events", IN_EVENTS},
        {"http", IN_HTTP},         {"server", IN_SERVER},
        {"location", IN_LOCATION}, {"if in server", IN_SERVER_IF},
        {"if in location", IN_IF}, {"limit_except", IN_LIMIT_EXCEPT},
        {"upstream", IN_UPSTREAM},
    };
    struct sbuf out;
    sbuf_init_arena(&out, arena, 64, 1024);
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (places & (uint32_t)words[i].value)
            sbuf_printf(&out, "%s%s", out.n ? ", " : "", words[i].word);
    return sbuf_view(&out);
}
