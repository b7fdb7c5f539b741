// Three maps, one for each kind of name.
#include "base/host_map.h"

void host_map_init(struct host_map *m, bool fold, uint64_t seed) {
    map_init(&m->exact, fold, seed);
    map_init(&m->head, fold, seed);
    map_init(&m->tail, fold, seed);
}

void host_map_done(struct host_map *m) {
    map_done(&m->exact);
    map_done(&m->head);
    map_done(&m->tail);
}

static bool is_head(struct str name) { return name.n > 2 && str_starts(name, STR("*.")); }
static bool is_tail(struct str name) { return name.n > 2 && str_ends(name, STR(".*")); }

bool host_map_valid(struct str name) {
    if (name.n > 1 && name.p[0] == '.') { // nginx looks no further than for ".."
        return str_find(name, STR("..")) < 0 && memchr(name.p, '\0', name.n) == NULL;
    }
    unsigned stars = 0;
    for (size_t i = 0; i < name.n; i++) {
        stars += name.p[i] == '*';
        if (name.p[i] == '\0' || (name.p[i] == '.' && i + 1 < name.n && name.p[i + 1] == '.'))
            return false;
    }
    return stars == 0 || (stars == 1 && (is_head(name) || is_tail(name)));
}

static bool put(struct map *m, struct str key, void *value) {
    if (map_get(m, key) != NULL)
        return false;
    map_put(m, key, value);
    return true;
}

bool host_map_add(struct host_map *m, struct str name, void *value) {
    if (name.n > 1 && name.p[0] == '.')
        return put(&m->exact, str_from(name, 1), value) && put(&m->head, name, value);
    if (is_head(name))
        return put(&m->head, str_from(name, 1), value);
    if (is_tail(name))
        return put(&m->tail, str_head(name, name.n - 1), value);
    return put(&m->exact, name, value);
}

// "a.b.example.com": ".b.example.com", ".example.com", ".com": the longest first.
static void *find_head(const struct map *head, struct str host) {
    for (size_t i = 1; head->count != 0 && i < host.n; i++) {
        void *value = host.p[i] == '.' ? map_get(head, str_from(host, i)) : NULL;
        if (value != NULL)
            return value;
    }
    return NULL;
}

static void *find_tail(const struct map *tail, struct str host) {
    for (size_t i = host.n; tail->count != 0 && i-- > 1;) {
        if (host.p[i] != '.' || i + 1 == host.n)
            continue;
        void *value = map_get(tail, str_head(host, i + 1));
        if (value != NULL)
            return value;
    }
    return NULL;
}

void *host_map_find(const struct host_map *m, struct str host) {
    void *value = map_get(&m->exact, host);
    if (value == NULL)
        value = find_head(&m->head, host);
    return value != NULL ? value : find_tail(&m->tail, host);
}
