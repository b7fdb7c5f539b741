// Reading for a configuration: plainly, recording what was read, or from such a record.
//
// A pack is a row of entries: { kind, errno, length of key, length of value }, key, value. A value of a glob is paths, each
// with its NUL; of what was read there is a struct stat too.
#include "io/broker.h"
#include "base/map.h"
#include "base/sbuf.h"
#include "io/channel.h"
#include "io/reach.h"
#include <fcntl.h>
#include <glob.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { READ_STEP = 16 << 10, NOTE_MAX = 16 << 20, KIND_FILE = 'f', KIND_STAT = 's', KIND_GLOB = 'g', KIND_FACT = 'k', KIND_OPENER = 'o' };

struct entry {
    uint32_t kind, err;
    uint64_t key, value; // lengths
};

static __thread enum { PLAIN, RECORDING, REPLAYING } mode;
static __thread struct sbuf record;  // RECORDING
static __thread struct map contents; // REPLAYING: entries by kind and key

struct name {
    struct name *next;
    char path[];
};
static struct name *noted, *named; // of the last recording; that may be asked for. The supervisor's only thread

static int ask_channel = -1; // written before threads start
static pthread_mutex_t ask_lock = PTHREAD_MUTEX_INITIALIZER; // one question at a time

static void names_free(struct name *n) {
    for (struct name *next; n != NULL; n = next) {
        next = n->next;
        free(n);
    }
}

static void keep(uint32_t kind, struct str key, int err, struct str value) {
    struct entry e = {kind, (uint32_t)err, key.n, value.n};
    sbuf_put(&record, &e, sizeof e);
    sbuf_str(&record, key);
    sbuf_str(&record, value);
    if (kind != KIND_FILE || err != 0)
        return;
    struct name *n = xmalloc(sizeof *n + key.n + 1);
    memcpy(n->path, key.p, key.n);
    n->path[key.n] = '\0';
    n->next = noted;
    noted = n;
}

// --- the world -------------------------------------------------------------------------------------------------------------

static int read_plain(const char *path, struct arena *a, size_t max, struct str *text, struct stat *st) {
    int fd = reach_open(path, O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0)
        return errno;
    size_t hint = fstat(fd, st) == 0 && S_ISREG(st->st_mode) && st->st_size > 0 ? (size_t)st->st_size : 0;
    struct sbuf b;
    sbuf_init_arena(&b, a, MIN(hint, max) + 2, max + 1);
    int err = 0;
    for (;;) {
        size_t step = MIN(MAX(b.cap - b.n, 1), (size_t)READ_STEP);
        char *to = sbuf_room(&b, step);
        ssize_t n = to == NULL ? 0 : read(fd, to, step);
        if (to == NULL || b.n + (size_t)MAX(n, 0) > max)
            err = EFBIG;
        else if (n < 0)
            err = errno;
        if (err != 0 || n <= 0)
            break;
        b.n += (size_t)n;
    }
    close(fd);
    *text = err == 0 ? str_n(sbuf_cstr(&b), b.n) : STR_NONE;
    return err;
}

static int by_bytes(const void *a, const void *b) {
    return str_cmp(str_c(*(char *const *)a), str_c(*(char *const *)b));
}

static int glob_plain(const char *pattern, struct sbuf *names) {
    glob_t g;
    int res = glob(pattern, GLOB_NOSORT, NULL, &g);
    if (res == GLOB_NOMATCH)
        return 0;
    if (res != 0)
        return res == GLOB_NOSPACE ? ENOMEM : EIO;
    qsort(g.gl_pathv, g.gl_pathc, sizeof(char *), by_bytes);
    for (size_t i = 0; i < g.gl_pathc; i++)
        sbuf_put(names, g.gl_pathv[i], strlen(g.gl_pathv[i]) + 1);
    globfree(&g);
    return 0;
}

// --- records -----------------------------------------------------------------------------------------------------------------

static const struct entry *find(uint32_t kind, struct str key) {
    size_t n = key.n + 1;
    char *k = xmalloc(n);
    k[0] = (char)kind;
    if (key.n != 0)
        memcpy(k + 1, key.p, key.n);
    const struct entry *e = map_get(&contents, str_n(k, n));
    free(k);
    return e;
}

static struct str value_of(const struct entry *e) { return str_n((const char *)(e + 1) + e->key, e->value); }

int broker_read(const char *path, struct arena *a, size_t max, struct str *text) {
    struct str key = str_c(path);
    const struct entry *e = mode == REPLAYING ? find(KIND_FILE, key) : NULL;
    if (e != NULL) {
        if (e->err == 0 && e->value > max)
            return EFBIG;
        *text = e->err == 0 ? arena_dup(a, value_of(e)) : STR_NONE;
        return (int)e->err;
    }
    struct stat st;
    memset(&st, 0, sizeof st);
    int err = read_plain(path, a, max, text, &st);
    if (mode == RECORDING) {
        keep(KIND_FILE, key, err, err == 0 ? *text : STR_NONE);
        keep(KIND_STAT, key, err, err == 0 ? str_n((const char *)&st, sizeof st) : STR_NONE);
    }
    return err;
}

int broker_glob(const char *pattern, struct arena *a, struct str **paths, size_t *count) {
    struct str key = str_c(pattern), found;
    const struct entry *e = mode == REPLAYING ? find(KIND_GLOB, key) : NULL;
    struct sbuf names;
    sbuf_init_heap(&names, SIZE_MAX);
    int err = e != NULL ? (int)e->err : glob_plain(pattern, &names);
    found = arena_dup(a, e != NULL ? value_of(e) : sbuf_view(&names));
    if (mode == RECORDING)
        keep(KIND_GLOB, key, err, found);
    sbuf_done(&names);
    *count = 0;
    for (size_t i = 0; i < found.n; i++)
        *count += found.p[i] == '\0';
    *paths = arena_array(a, struct str, *count);
    struct str one;
    for (size_t i = 0; i < *count && str_split(&found, '\0', &one); i++)
        (*paths)[i] = one;
    return err;
}

bool broker_recall(struct str what, struct arena *a, struct str *value) {
    const struct entry *e = mode == REPLAYING ? find(KIND_FACT, what) : NULL;
    if (e != NULL)
        *value = arena_dup(a, value_of(e));
    return e != NULL;
}

void broker_tell(struct str what, struct str value) {
    if (mode == RECORDING)
        keep(KIND_FACT, what, 0, value);
}

void broker_record(void) {
    broker_end();
    names_free(noted);
    noted = NULL;
    sbuf_init_heap(&record, SIZE_MAX);
    mode = RECORDING;
}

int broker_pack(void) {
    CHECK(mode == RECORDING);
    int fd = memfd_create("weir configuration", MFD_CLOEXEC);
    int err = fd < 0 ? errno : 0;
    for (size_t at = 0; err == 0 && at < record.n;) {
        ssize_t n = write(fd, record.p + at, record.n - at);
        if (n < 0 && errno != EINTR)
            err = errno;
        at += n > 0 ? (size_t)n : 0;
    }
    if (err != 0 && fd >= 0)
        close(fd);
    broker_end();
    return err == 0 ? fd : -err;
}

// Of what was read twice the first counts.
static void index_entries(struct str packed) {
    map_init(&contents, false, 0);
    size_t at = 0;
    while (packed.n - at >= sizeof(struct entry)) {
        struct entry e;
        memcpy(&e, packed.p + at, sizeof e);
        size_t whole = sizeof e + e.key + e.value;
        CHECK(whole <= packed.n - at);
        // An aligned copy, with the key that the map looks for behind it.
        char *copy = xmalloc(sizeof e + e.key + e.value + 1 + e.key);
        memcpy(copy, packed.p + at, whole);
        char *key = copy + whole;
        key[0] = (char)e.kind;
        memcpy(key + 1, copy + sizeof e, e.key);
        if (map_get(&contents, str_n(key, e.key + 1)) == NULL)
            map_put(&contents, str_n(key, e.key + 1), copy);
        else
            free(copy);
        at += whole;
    }
    CHECK(at == packed.n);
}

static void forget(struct sbuf *b) {
    explicit_bzero(b->p, b->n); // keys may be in it
    sbuf_done(b);
}

bool broker_replay(int fd) {
    broker_end();
    struct sbuf packed;
    sbuf_init_heap(&packed, SIZE_MAX);
    struct stat st;
    char *to = fstat(fd, &st) == 0 ? sbuf_room(&packed, (size_t)st.st_size + 1) : NULL;
    int err = to == NULL ? ENOMEM : 0;
    while (err == 0 && packed.n < (size_t)st.st_size) {
        ssize_t n = pread(fd, to + packed.n, (size_t)st.st_size - packed.n, (off_t)packed.n);
        if (n <= 0)
            err = n < 0 ? errno : EIO;
        else
            packed.n += (size_t)n;
    }
    close(fd);
    if (err == 0)
        index_entries(sbuf_view(&packed));
    forget(&packed);
    if (err == 0)
        mode = REPLAYING;
    errno = err;
    return err == 0;
}

void broker_end(void) {
    if (mode == RECORDING)
        forget(&record);
    if (mode == REPLAYING) {
        size_t at = 0;
        struct str key;
        void *value;
        while (map_next(&contents, &at, &key, &value)) {
            struct entry *e = value;
            explicit_bzero(e, sizeof *e + e->key + e->value);
            free(e);
        }
        map_done(&contents);
    }
    mode = PLAIN;
}

// --- descriptors -------------------------------------------------------------------------------------------------------------

void broker_note(const char *path) {
    if (mode != RECORDING)
        return;
    struct arena a;
    struct str text;
    arena_init(&a, NULL);
    if (broker_read(path, &a, NOTE_MAX, &text) == 0)
        explicit_bzero((char *)(uintptr_t)text.p, text.n);
    arena_done(&a);
}

// A file of the pack, as a descriptor: 0, or a positive errno.
static int open_packed(const struct entry *e, const char *path, int *fd, struct stat *st) {
    if (e->err != 0)
        return (int)e->err;
    struct str text = value_of(e);
    *fd = memfd_create("weir file", MFD_CLOEXEC);
    if (*fd < 0)
        return errno;
    if (write(*fd, text.p, text.n) != (ssize_t)text.n || lseek(*fd, 0, SEEK_SET) != 0) {
        close(*fd);
        return ENOSPC;
    }
    const struct entry *s = find(KIND_STAT, str_c(path));
    memcpy(st, value_of(s).p, sizeof *st);
    return 0;
}

static int ask(uint32_t kind, struct str name) {
    struct channel_message *m = xmalloc(sizeof *m);
    pthread_mutex_lock(&ask_lock);
    int fd = -1;
    if (ask_channel >= 0 && channel_send(ask_channel, kind, name, -1) == 0 && channel_receive(ask_channel, m, true) == 1)
        fd = m->fd;
    pthread_mutex_unlock(&ask_lock);
    free(m);
    return fd;
}

// The supervisor knows at once what it named, the opener may have to be started.
static int open_plain(const char *path) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int err = errno;
    if (fd >= 0)
        broker_note(path);
    else if (err == EACCES && (fd = ask(KIND_FILE, str_c(path))) < 0)
        fd = reach_open(path, O_RDONLY | O_CLOEXEC, 0);
    errno = err;
    return fd;
}

int broker_open(const char *path, struct stat *st) {
    struct stat seen;
    const struct entry *e = mode == REPLAYING ? find(KIND_FILE, str_c(path)) : NULL;
    int fd = -1, err = 0;
    if (e != NULL)
        err = open_packed(e, path, &fd, &seen);
    else if ((fd = open_plain(path)) < 0)
        err = errno;
    else if (fstat(fd, &seen) != 0) {
        err = errno;
        close(fd);
    }
    if (err == 0 && st != NULL)
        *st = seen;
    errno = err;
    return err == 0 ? fd : -1;
}

int broker_ask_opener(void) { return ask(KIND_OPENER, STR_NONE); }

void broker_accept(void) {
    names_free(named);
    named = noted;
    noted = NULL;
}

static int open_named(struct str path) {
    for (const struct name *n = named; n != NULL; n = n->next) {
        if (str_eq(str_c(n->path), path))
            return open(n->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    }
    return -1;
}

bool broker_serve(int channel, int (*opener)(void *arg), void *arg) {
    static struct channel_message m;
    int r = channel_receive(channel, &m, false);
    if (r == -EAGAIN || r == -EBADMSG)
        return true;
    if (r != 1)
        return false;
    if (m.fd >= 0)
        close(m.fd);
    int fd = m.kind == KIND_OPENER ? opener(arg) : open_named(str_n(m.bytes, m.n));
    r = channel_send(channel, KIND_FILE, STR_NONE, fd);
    if (fd >= 0)
        close(fd);
    return r == 0;
}

void broker_ask_on(int channel) { ask_channel = channel; }
