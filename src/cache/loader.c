// What was kept before this process began: the directories are walked, and each file is put into the index, or, when it is no
// good, removed. Files that do not look like ours by their names are left alone: a path may have been written wrongly.
#include "cache/cache_private.h"
#include "cache/data.h"
#include "cache/store.h"
#include "io/log.h"
#include "io/reach.h"
#include <dirent.h>
#include <stdlib.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SAID_MAX = 10 };

struct loading {
    struct cache *cache;
    struct pacer pace;
    char path[PATH_MAX];
    uint64_t loaded, bad, foreign;
};

static void say_bad(struct loading *l, const char *why, int err) {
    if (l->bad++ < SAID_MAX)
        log_msg(LOG_CRIT, -err, "cache file \"%s\" is removed: %s", l->path, why);
}

// Known meanwhile: a request was faster. Nobody names files of this cache while we hold `names`.
static bool is_known(struct cache *c, const struct cache_object *o) {
    struct cache_part *p = index_part(c, &o->main);
    pthread_mutex_lock(&p->lock);
    const struct cache_entry *e = index_find(p, &o->id);
    bool known = e != NULL && e->disk != 0;
    pthread_mutex_unlock(&p->lock);
    return known;
}

static void add(struct cache *c, const struct cache_object *o) {
    struct cache_part *p = index_part(c, &o->main);
    pthread_mutex_lock(&p->lock);
    struct cache_entry *e = index_add(c, p, &o->main, &o->id, cache_clock_ms());
    if (e != NULL && e->disk == 0) {
        index_set_disk(c, e, store_size(o));
        list_remove(&e->used); // what was asked for since is younger
        list_push_back(&p->used, &e->used);
        e->used_nth = 0;
    }
    pthread_mutex_unlock(&p->lock);
    if (e == NULL) // keys_zone is full
        job_delete(c, &o->main, &o->id);
}

static void load_file(struct loading *l, const struct cache_id *id) {
    struct cache *c = l->cache;
    pthread_mutex_lock(&c->names);
    const char *why = NULL;
    int err = 0;
    struct cache_object *o = store_load(c, l->path, false, &why, &err);
    char path[PATH_MAX];
    bool known = false;
    if (o != NULL) {
        cache_file_path(path, c->path, c->levels, &o->id);
        known = is_known(c, o);
        if (!cache_id_eq(&o->id, id) || strcmp(path, l->path) != 0)
            why = "it lies in the wrong place (were the levels changed?)";
        else if (!known && purge_covers(c, o))
            why = "";
    }
    if (why != NULL || (o == NULL && err != -ENOENT)) {
        if (why == NULL || *why != '\0')
            say_bad(l, why != NULL ? why : "it cannot be read", err);
        reach_unlink(l->path);
    }
    bool good = o != NULL && why == NULL && !known;
    pthread_mutex_unlock(&c->names);
    if (good) {
        add(c, o);
        l->loaded++;
    }
    cache_object_unref(o);
}

// "HASH.0123456789": a file on its way over another when the process died.
static bool is_left_over(struct str name) {
    struct cache_id id;
    return name.n == CACHE_NAME + 11 && name.p[CACHE_NAME] == '.' && cache_id_from_hex(str_head(name, CACHE_NAME), &id);
}

static void look_at(struct loading *l, struct str name, unsigned char type) {
    struct cache_id id;
    struct stat st;
    if (type == DT_UNKNOWN && lstat(l->path, &st) == 0 && S_ISREG(st.st_mode))
        type = DT_REG;
    if (type == DT_REG && cache_id_from_hex(name, &id))
        load_file(l, &id);
    else if (type == DT_REG && is_left_over(name))
        reach_unlink(l->path);
    else
        l->foreign++;
}

static bool is_level(struct str name, unsigned char digits) {
    struct cache_id id;
    char whole[CACHE_NAME];
    memset(whole, '0', sizeof whole);
    if (name.n != digits || name.n == 0)
        return false;
    memcpy(whole, name.p, name.n);
    return cache_id_from_hex(str_n(whole, sizeof whole), &id);
}

// l->path[0..n) is the directory. False: the manager is to stop.
static bool walk(struct loading *l, size_t n, unsigned level) {
    l->path[n] = '\0';
    DIR *d = reach_opendir(l->path);
    if (d == NULL) {
        if (errno != ENOENT)
            log_msg(LOG_CRIT, errno, "opendir() \"%s\" failed", l->path);
        return true;
    }
    unsigned char digits = level < CACHE_LEVELS_MAX ? l->cache->levels[level] : 0;
    bool on = true;
    for (struct dirent *e; on && (e = readdir(d)) != NULL;) {
        struct str name = str_c(e->d_name);
        if (name.p[0] == '.' || n + 1 + name.n >= sizeof l->path)
            continue;
        l->path[n] = '/';
        memcpy(l->path + n + 1, name.p, name.n + 1);
        if (digits != 0 && is_level(name, digits)) {
            on = walk(l, n + 1 + name.n, level + 1);
            continue;
        }
        look_at(l, name, e->d_type);
        on = pacer_step(l->cache, &l->pace);
    }
    closedir(d);
    return on;
}

void loader_run(struct cache *c) {
    struct loading *l = xcalloc(1, sizeof *l);
    l->cache = c;
    pacer_init(c, &l->pace, &c->limits.loader);
    memcpy(l->path, c->path.p, c->path.n);
    walk(l, c->path.n, 0);
    struct cache_numbers now;
    cache_count(c, &now);
    if (l->loaded != 0 || l->bad != 0)
        log_msg(LOG_NOTICE, 0, "cache \"" STR_FMT "\": %llu files of %llu bytes found, %llu removed", STR_ARG(c->name),
                (unsigned long long)l->loaded, (unsigned long long)now.bytes, (unsigned long long)l->bad);
    if (l->foreign != 0)
        log_msg(LOG_WARN, 0, "cache \"" STR_FMT "\": %llu files in \"%s\" are not weir's and are left alone", STR_ARG(c->name),
                (unsigned long long)l->foreign, c->path.p);
    free(l);
}
