// Reading for a configuration: plainly, recording what was read, or from such a record.
//
// A pack is a row of entries: { kind, errno, length of key, length of value }, key, value. A value of a glob is paths, each
// with its NUL.
#include "io/broker.h"
#include "base/map.h"
#include "base/sbuf.h"
#include <fcntl.h>
#include <glob.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { READ_STEP = 16 << 10, KIND_FILE = 'f', KIND_GLOB = 'g' };

struct entry {
    uint32_t kind, err;
    uint64_t key, value; // lengths
};

static enum { PLAIN, RECORDING, REPLAYING } mode;
static struct sbuf record;  // RECORDING
static struct map contents; // REPLAYING: entries by kind and key

static void keep(uint32_t kind, struct str key, int err, struct str value) {
    struct entry e = {kind, (uint32_t)err, key.n, value.n};
    sbuf_put(&record, &e, sizeof e);
    sbuf_str(&record, key);
    sbuf_str(&record, value);
}

// --- the world -------------------------------------------------------------------------------------------------------------

static int read_plain(const char *path, struct arena *a, size_t max, struct str *text) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno;
    struct stat st;
    size_t hint = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0 ? (size_t)st.st_size : 0;
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
    int err = read_plain(path, a, max, text);
    if (mode == RECORDING)
        keep(KIND_FILE, key, err, *text);
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

void broker_record(void) {
    broker_end();
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
