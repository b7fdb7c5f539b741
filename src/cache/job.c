// Work with the names of files, on helper threads. Of one cache only one at a time changes names, and asks the index before it
// does: so a file never outlives its entry, nor goes although a new entry has it.
#include "cache/cache_private.h"
#include "cache/data.h"
#include "cache/store.h"
#include "io/inbox.h"
#include "io/log.h"
#include "io/reach.h"
#include <stdlib.h>
#include <unistd.h>

struct job {
    struct cache *cache; // counted
    struct cache_object *object; // counted; NULL: delete
    bool rewrite;
    struct cache_id main, id;
};

// The object that the entry has now, counted, if its body is still that one.
static struct cache_object *current(struct job *j) {
    struct cache_part *p = index_part(j->cache, &j->main);
    pthread_mutex_lock(&p->lock);
    struct cache_entry *e = index_find(p, &j->id);
    struct cache_object *o = e != NULL && e->object != NULL && e->object->data == j->object->data ? cache_object_ref(e->object) : NULL;
    pthread_mutex_unlock(&p->lock);
    return o;
}

static void stored(struct job *j, struct cache_data *d, int fd) {
    struct cache_part *p = index_part(j->cache, &j->main);
    pthread_mutex_lock(&p->lock);
    if (d->fd < 0)
        d->fd = fd;
    __atomic_store_n(&d->linked, true, __ATOMIC_RELEASE);
    struct cache_entry *e = index_find(p, &j->id);
    if (e != NULL && e->object != NULL && e->object->data == d) { // now others may take its place in memory
        struct cache_object *o = cache_object_ref(e->object);
        index_set_object(j->cache, p, e, NULL);
        index_set_object(j->cache, p, e, o);
        cache_object_unref(o);
    }
    pthread_mutex_unlock(&p->lock);
}

static void failed(struct job *j, int err, const char *path) {
    log_msg(LOG_CRIT, -err, "cache file \"%s\" cannot be written, the response is not cached", path);
    struct cache_part *p = index_part(j->cache, &j->main);
    pthread_mutex_lock(&p->lock);
    struct cache_entry *e = index_find(p, &j->id);
    if (e != NULL && e->object != NULL && e->object->data == j->object->data)
        index_remove(j->cache, p, e);
    pthread_mutex_unlock(&p->lock);
}

static void store(struct job *j, const char *path) {
    struct cache_object *o = current(j);
    if (o == NULL)
        return;
    int fd = store_finish(o), err = fd < 0 ? fd : store_name(fd, path);
    if (err == 0)
        stored(j, o->data, fd);
    else
        failed(j, err, path);
    if (err != 0 && fd >= 0 && fd != o->data->fd)
        close(fd);
    cache_object_unref(o);
}

// Where the new head does not fit, the file keeps the old one: after a restart it is validated once more.
static void rewrite(struct job *j) {
    struct cache_object *o = current(j);
    if (o != NULL && __atomic_load_n(&o->data->linked, __ATOMIC_ACQUIRE))
        store_rewrite(o);
    cache_object_unref(o);
}

static void delete(struct job *j, const char *path) {
    struct cache_part *p = index_part(j->cache, &j->main);
    pthread_mutex_lock(&p->lock);
    const struct cache_entry *e = index_find(p, &j->id);
    bool used = e != NULL && e->disk != 0;
    pthread_mutex_unlock(&p->lock);
    if (!used && reach_unlink(path) != 0 && errno != ENOENT)
        log_msg(LOG_CRIT, errno, "unlink() \"%s\" failed", path);
}

static struct job *job_new(struct cache *c, struct cache_object *o, const struct cache_id *main, const struct cache_id *id) {
    struct job *j = xmalloc(sizeof *j);
    *j = (struct job){cache_ref(c), o != NULL ? cache_object_ref(o) : NULL, false, *main, *id};
    return j;
}

static void job_free(struct job *j) {
    cache_object_unref(j->object);
    cache_unref(j->cache);
    free(j);
}

static void run(void *arg) {
    struct job *j = arg;
    char path[PATH_MAX];
    cache_file_path(path, j->cache->path, j->cache->levels, &j->id);
    pthread_mutex_lock(&j->cache->names);
    if (j->object == NULL)
        delete(j, path);
    else if (j->rewrite)
        rewrite(j);
    else
        store(j, path);
    pthread_mutex_unlock(&j->cache->names);
    job_free(j);
}

void job_store(struct cache *c, struct cache_object *o) { helper_post(run, job_new(c, o, &o->main, &o->id)); }

void job_rewrite(struct cache *c, struct cache_object *o) {
    struct job *j = job_new(c, o, &o->main, &o->id);
    j->rewrite = true;
    helper_post(run, j);
}

void job_delete(struct cache *c, const struct cache_id *main, const struct cache_id *id) {
    struct job *j = job_new(c, NULL, main, id);
    if (helper_offer(run, j))
        return;
    // The process ends: nobody stores any more, and the entry is just going.
    char path[PATH_MAX];
    cache_file_path(path, c->path, c->levels, id);
    reach_unlink(path);
    job_free(j);
}
