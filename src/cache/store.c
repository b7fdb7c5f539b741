// Files of objects: writing, naming, reading, checking.
#include "cache/store.h"
#include "cache/object_head.h"
#include "io/file.h"
#include "io/inbox.h"
#include "io/log.h"
#include "io/reach.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    HEADER = 160, VERSION = 1, ROOM = 192, ALIGN = 64, PAGE = 4096, BY_ORIGIN = 1, IOVECS = 64, TEXT_MAX = 4 * CACHE_HEAD_MAX,
    FIRST_READ = 4096, NAME_TRIES = 100, LARGE = 1 << 20,
    AT_VERSION = 8, AT_SUM = 12, AT_TEXT = 16, AT_KEY = 20, AT_VARY = 24, AT_FLAGS = 28, AT_MAIN = 32, AT_ID = 48,
    AT_FACTS = 64, AT_BODY = 112, AT_LENGTH = 120, AT_SUMS = 128, AT_BLOCK = 132, AT_VARIANT = 136,
};
static const char MAGIC[8] = {'w', 'e', 'i', 'r', 0, 'c', 'c', 'h'};

// --- numbers, little-endian ----------------------------------------------------------------------------------------------

static void put_32(unsigned char *p, uint32_t v) {
    for (int i = 0; i < 4; i++)
        p[i] = (unsigned char)(v >> (8 * i));
}
static void put_64(unsigned char *p, uint64_t v) {
    put_32(p, (uint32_t)v);
    put_32(p + 4, (uint32_t)(v >> 32));
}
static uint32_t get_32(const unsigned char *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}
static uint64_t get_64(const unsigned char *p) { return get_32(p) | (uint64_t)get_32(p + 4) << 32; }

static int64_t *facts_of(struct cache_facts *f, unsigned i) {
    int64_t *const all[] = {&f->valid, &f->updating, &f->error, &f->stored, &f->age, &f->head_length};
    return all[i];
}

// --- the header ----------------------------------------------------------------------------------------------------------

uint64_t store_body_at(const struct cache_object *o, bool large) {
    uint64_t to = large ? PAGE : ALIGN;
    return (HEADER + o->text.n + ROOM + to - 1) / to * to;
}

static uint32_t sums_sum(const struct cache_data *d) {
    uint32_t sum = 0;
    for (unsigned i = 0; i < d->nsums; i++) {
        unsigned char bytes[4];
        put_32(bytes, d->sums[i]);
        sum = cache_sum(sum, bytes, 4);
    }
    return sum;
}

static void make_header(const struct cache_object *o, unsigned char h[HEADER]) {
    const struct cache_data *d = o->data;
    struct cache_facts facts = o->facts;
    memset(h, 0, HEADER);
    memcpy(h, MAGIC, sizeof MAGIC);
    put_32(h + AT_VERSION, VERSION);
    put_32(h + AT_TEXT, (uint32_t)o->text.n);
    put_32(h + AT_KEY, (uint32_t)o->key.n);
    put_32(h + AT_VARY, (uint32_t)o->vary.n);
    put_32(h + AT_FLAGS, facts.by_origin ? BY_ORIGIN : 0);
    memcpy(h + AT_MAIN, o->main.bytes, MD5_BYTES);
    memcpy(h + AT_ID, o->id.bytes, MD5_BYTES);
    memcpy(h + AT_VARIANT, o->variant.bytes, MD5_BYTES);
    for (unsigned i = 0; i < 6; i++)
        put_64(h + AT_FACTS + 8 * i, (uint64_t)*facts_of(&facts, i));
    put_64(h + AT_BODY, d->at);
    put_64(h + AT_LENGTH, d->n);
    put_32(h + AT_SUMS, sums_sum(d));
    put_32(h + AT_BLOCK, CACHE_SUM_BLOCK);
    put_32(h + AT_SUM, cache_sum(cache_sum(0, h + AT_TEXT, HEADER - AT_TEXT), o->text.p, o->text.n));
}

uint64_t store_size(const struct cache_object *o) { return o->data->at + o->data->n + 4 * (uint64_t)o->data->nsums; }

// --- writing -------------------------------------------------------------------------------------------------------------

static int write_at(int fd, const void *p, size_t n, uint64_t at) {
    struct iovec iov = {(void *)(uintptr_t)p, n};
    return n == 0 ? 0 : file_write_all(fd, &iov, 1, (off_t)at);
}

static int create(const struct cache *c) {
    int fd = file_nameless(c->path.p);
    if (fd == -ENOENT && reach_mkdir(c->path.p, 0700) == 0) // the directory was removed
        fd = file_nameless(c->path.p);
    return fd;
}

struct begin_work {
    struct cache *c;
    const char *body;
    size_t n;
    uint64_t at;
};

static int begin_do(void *arg) {
    struct begin_work *w = arg;
    int fd = create(w->c);
    int err = fd < 0 ? fd : write_at(fd, w->body, w->n, w->at);
    if (err == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return err;
}

int store_create(struct cache *c, struct cache_object *o, const char *body, size_t n) {
    struct begin_work w = {c, body, n, o->data->at};
    return helper_run(begin_do, &w);
}

struct write_work {
    int fd;
    off_t at;
    const struct piece *next;
};

static int write_do(void *arg) {
    struct write_work *w = arg;
    while (w->next != NULL) {
        struct iovec iov[IOVECS];
        int count = 0;
        off_t bytes = 0;
        for (; count < IOVECS && w->next != NULL; w->next = w->next->next) {
            iov[count++] = (struct iovec){(void *)(uintptr_t)w->next->p, w->next->n};
            bytes += (off_t)w->next->n;
        }
        int err = file_write_all(w->fd, iov, count, w->at);
        if (err != 0)
            return err;
        w->at += bytes;
    }
    return 0;
}

int store_write(int fd, off_t at, const struct chain *bytes) {
    struct write_work w = {fd, at, bytes->head};
    return helper_run(write_do, &w);
}

static void close_do(void *fd) { close((int)(intptr_t)fd); }

void store_close(int fd, uint64_t bytes) {
    if (bytes > LARGE)
        helper_post(close_do, (void *)(intptr_t)fd);
    else
        close(fd);
}

static int write_front(int fd, const struct cache_object *o) {
    unsigned char header[HEADER];
    make_header(o, header);
    struct iovec iov[2] = {{header, HEADER}, {(void *)(uintptr_t)o->text.p, o->text.n}};
    return file_write_all(fd, iov, 2, 0);
}

static int write_sums(int fd, const struct cache_data *d) {
    unsigned char *bytes = xmalloc(4 * (size_t)d->nsums + 1);
    for (unsigned i = 0; i < d->nsums; i++)
        put_32(bytes + 4 * (size_t)i, d->sums[i]);
    int err = write_at(fd, bytes, 4 * (size_t)d->nsums, d->at + d->n);
    free(bytes);
    // An empty body has none: the room in front of it is still a part of the file.
    return err == 0 && d->nsums == 0 && ftruncate(fd, (off_t)d->at) != 0 ? -errno : err;
}

int store_finish(struct cache_object *o) {
    struct cache_data *d = o->data;
    int fd = d->fd;
    if (fd < 0) {
        fd = create(d->cache);
        if (fd < 0)
            return fd;
        int err = write_at(fd, d->mem, (size_t)d->n, d->at);
        if (err != 0) {
            close(fd);
            return err;
        }
    }
    int err = write_sums(fd, d);
    if (err == 0)
        err = write_front(fd, o);
    if (err != 0 && d->fd < 0)
        close(fd);
    return err != 0 ? err : fd;
}

bool store_rewrite(struct cache_object *o) {
    return HEADER + o->text.n <= o->data->at && o->data->fd >= 0 && write_front(o->data->fd, o) == 0;
}

// --- names ---------------------------------------------------------------------------------------------------------------

static int make_directories(char *path) {
    for (char *at = strchr(path + 1, '/'); at != NULL; at = strchr(at + 1, '/')) {
        *at = '\0';
        int err = reach_mkdir(path, 0700) != 0 && errno != EEXIST ? -errno : 0;
        *at = '/';
        if (err != 0 && err != -EROFS && err != -EACCES) // of those above ours nobody asks
            return err;
    }
    return 0;
}

static int copy_to(int fd, const char *name) {
    int to = reach_open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (to < 0)
        return -errno;
    struct stat st;
    int err = fstat(fd, &st) != 0 ? -errno : 0;
    for (loff_t from = 0, left = st.st_size; err == 0 && left > 0;) {
        ssize_t n = copy_file_range(fd, &from, to, NULL, (size_t)MIN(left, (loff_t)1 << 30), 0);
        if (n <= 0)
            err = n < 0 ? -errno : -EIO;
        else
            left -= n;
    }
    if (close(to) != 0 && err == 0)
        err = -errno;
    if (err != 0)
        reach_unlink(name);
    return err;
}

static int link_to(int fd, const char *name) {
    if (reach_link(fd, name) == 0)
        return 0;
    // ENOENT: a directory is missing, or the file had a name once and cannot get one again. EXDEV: another file system, or an
    // old Landlock, which forbids links from one directory to another.
    return errno == ENOENT || errno == EXDEV ? copy_to(fd, name) : -errno;
}

int store_name(int fd, const char *path) {
    int err = link_to(fd, path);
    char name[PATH_MAX];
    if (strlen(path) + 16 > sizeof name)
        return -ENAMETOOLONG;
    memcpy(name, path, strlen(path) + 1);
    if (err == -ENOENT && (err = make_directories(name)) == 0)
        err = link_to(fd, path);
    if (err != -EEXIST)
        return err;
    // In place of another: beside it, then over it.
    static unsigned serial;
    for (unsigned i = 0; err == -EEXIST && i < NAME_TRIES; i++) {
        unsigned n = __atomic_add_fetch(&serial, 1, __ATOMIC_RELAXED);
        snprintf(name, sizeof name, "%s.%010u", path, (n + (unsigned)getpid() * 100000u) % 1000000000u);
        err = link_to(fd, name);
    }
    if (err == 0 && reach_rename(name, path) != 0) {
        err = -errno;
        reach_unlink(name);
    }
    return err;
}

// --- reading -------------------------------------------------------------------------------------------------------------

static ssize_t read_all(int fd, void *to, size_t n, uint64_t at) {
    size_t got = 0;
    while (got < n) {
        ssize_t r = pread(fd, (char *)to + got, n - got, (off_t)(at + got));
        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return -errno;
        if (r == 0)
            break;
        got += (size_t)r;
    }
    return (ssize_t)got;
}

// The header and its text, checked: NULL and *why.
static struct cache_object *read_front(const unsigned char *h, char *text, uint64_t size, const char **why) {
    uint32_t text_n = get_32(h + AT_TEXT);
    uint64_t at = get_64(h + AT_BODY), n = get_64(h + AT_LENGTH);
    if (cache_sum(cache_sum(0, h + AT_TEXT, HEADER - AT_TEXT), text, text_n) != get_32(h + AT_SUM)) {
        *why = "its header is damaged";
        free(text);
        return NULL;
    }
    if (get_32(h + AT_BLOCK) != CACHE_SUM_BLOCK || at < HEADER + (uint64_t)text_n || n > size || at > size ||
        at + n + 4 * (uint64_t)cache_blocks(n) != size) {
        *why = "it is truncated";
        free(text);
        return NULL;
    }
    struct cache_facts facts = {.by_origin = (get_32(h + AT_FLAGS) & BY_ORIGIN) != 0};
    for (unsigned i = 0; i < 6; i++)
        *facts_of(&facts, i) = (int64_t)get_64(h + AT_FACTS + 8 * i);
    struct cache_id main, id;
    memcpy(main.bytes, h + AT_MAIN, MD5_BYTES);
    memcpy(id.bytes, h + AT_ID, MD5_BYTES);
    struct cache_object *o = object_of_text(&main, &id, &facts, text, text_n, get_32(h + AT_KEY), get_32(h + AT_VARY));
    struct cache_id named;
    if (o != NULL) {
        memcpy(o->variant.bytes, h + AT_VARIANT, MD5_BYTES);
        cache_id_of(o->key, &named);
    }
    if (o == NULL || !cache_id_eq(&named, &o->main)) {
        *why = "its header is malformed";
        cache_object_unref(o);
        return NULL;
    }
    return o;
}

// The checksums, and the body when it is small. 0 or -errno, and *why.
static int read_body(struct cache_data *d, const char **why) {
    unsigned char *bytes = xmalloc(4 * (size_t)d->nsums + 1);
    ssize_t got = read_all(d->fd, bytes, 4 * (size_t)d->nsums, d->at + d->n);
    uint32_t sum = cache_sum(0, bytes, 4 * (size_t)d->nsums);
    for (unsigned i = 0; i < d->nsums; i++)
        d->sums[i] = get_32(bytes + 4 * (size_t)i);
    free(bytes);
    if (got != 4 * (ssize_t)d->nsums || sum != d->sum) {
        *why = "its checksums are damaged";
        return -EBADMSG;
    }
    if (d->n > CACHE_MEMORY_MAX || d->n == 0)
        return 0;
    d->mem = xmalloc((size_t)d->n);
    d->mem_cap = (size_t)d->n;
    if (read_all(d->fd, d->mem, (size_t)d->n, d->at) != (ssize_t)d->n || cache_sum(0, d->mem, (size_t)d->n) != d->sums[0]) {
        *why = "its body is damaged";
        return -EBADMSG;
    }
    d->checked[0] = 1;
    return 0;
}

static struct cache_object *load_object(struct cache *c, int fd, uint64_t size, const char **why, int *err) {
    unsigned char first[FIRST_READ];
    *err = 0;
    ssize_t got = read_all(fd, first, sizeof first, 0);
    if (got < 0) {
        *err = (int)got;
        return NULL;
    }
    if (got < HEADER || memcmp(first, MAGIC, sizeof MAGIC) != 0) {
        *why = "it is none of weir's";
        return NULL;
    }
    uint32_t text_n = get_32(first + AT_TEXT);
    if (get_32(first + AT_VERSION) != VERSION) {
        *why = "it is of another version";
        return NULL;
    }
    if (text_n > TEXT_MAX || HEADER + (uint64_t)text_n > size) {
        *why = "its header is damaged";
        return NULL;
    }
    char *text = xmalloc(text_n + 1);
    size_t had = MIN((size_t)text_n, (size_t)got - HEADER);
    memcpy(text, first + HEADER, had);
    if (had < text_n && read_all(fd, text + had, text_n - had, HEADER + had) != (ssize_t)(text_n - had)) {
        free(text);
        *why = "it is truncated";
        return NULL;
    }
    struct cache_object *o = read_front(first, text, size, why);
    if (o == NULL)
        return NULL;
    struct cache_data *d = o->data = cache_data_new(c);
    d->fd = fd;
    d->at = get_64(first + AT_BODY);
    d->n = d->length = d->in_file = get_64(first + AT_LENGTH);
    d->sum = get_32(first + AT_SUMS);
    d->nsums = cache_blocks(d->n);
    d->sums = xcalloc(d->nsums + 1, sizeof *d->sums);
    d->checked = xcalloc(d->nsums + 1, 1);
    d->linked = d->ended = true;
    int bad = read_body(d, why);
    if (bad != 0) {
        d->fd = -1; // the caller's again
        cache_object_unref(o);
        return NULL;
    }
    d->complete = true;
    return o;
}

struct cache_object *store_load(struct cache *c, const char *path, bool quick, const char **why, int *err) {
    *why = NULL;
    // For writing too: a renewed head is written in place.
    int fd = reach_open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0);
    if (fd < 0) {
        *err = -errno;
        return NULL;
    }
    struct stat st;
    char byte;
    struct iovec one = {&byte, 1};
    struct cache_object *o = NULL;
    if (fstat(fd, &st) != 0)
        *err = -errno;
    else if (!S_ISREG(st.st_mode))
        *err = 0, *why = "it is no file";
    else if (quick && st.st_size > 0 && preadv2(fd, &one, 1, 0, RWF_NOWAIT) < 0)
        *err = -EAGAIN;
    else
        o = load_object(c, fd, (uint64_t)st.st_size, why, err);
    if (o == NULL)
        close(fd);
    return o;
}

int store_check_block(struct cache_data *d, unsigned block) {
    uint64_t at = (uint64_t)block * CACHE_SUM_BLOCK;
    size_t n = (size_t)MIN((uint64_t)CACHE_SUM_BLOCK, d->n - at);
    char *bytes = malloc(n);
    if (bytes == NULL)
        return -ENOMEM;
    ssize_t got = read_all(d->fd, bytes, n, d->at + at);
    int err = got < 0 ? (int)got : (size_t)got != n || cache_sum(0, bytes, n) != d->sums[block] ? -EBADMSG : 0;
    free(bytes);
    return err;
}
