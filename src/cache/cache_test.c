// The cache in one process, with a real directory: what a request is told, objects that grow while they are read, files damaged at
// each byte, the bounds of memory, purges, and many threads at once.
#include "base/test.h"
#include "cache/cache_private.h"
#include "cache/data.h"
#include "cache/store.h"
#include "io/inbox.h"
#include "io/loop.h"
#include "io/task.h"
#include <fcntl.h>
#include <ftw.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

// --- a cache and its directory -------------------------------------------------------------------------------------------

static char directory[] = "/tmp/weir-cache-test-XXXXXX";

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw) { return remove(path); }
static void remove_all(void) { nftw(directory, remove_one, 16, FTW_DEPTH | FTW_PHYS); }

static struct cache_params params(uint64_t size) {
    static bool made;
    if (!made) {
        EXPECT(mkdtemp(directory) != NULL);
        made = true;
        atexit(remove_all);
    }
    return (struct cache_params){.name = STR("test"), .path = str_c(directory), .levels = {1, 2, 0}, .size = size,
                                 .inactive_ms = 3600000, .manager = {100, 1, 1000}, .loader = {100, 1, 1000}, .purger = {100, 1, 1000}};
}

static struct cache *make(uint64_t size) {
    struct cache_params p = params(size);
    struct cache *c = cache_kind.make(&p);
    cache_start(c, &p);
    for (struct cache_numbers n = {.loading = true}; n.loading; cache_count(c, &n))
        usleep(1000);
    return c;
}

static void in_task(task_fn *fn, void *arg) {
    struct loop *l = loop_new(0);
    EXPECT(task_new(fn, arg, "test") != NULL);
    while (task_count(l) > 0)
        loop_turn(l, 100);
    loop_free(l);
}

struct asking {
    struct arena arena;
    struct head request;
    struct cache_ask ask;
};

static void begin(struct asking *q, struct cache *c, struct str key, const char *language) {
    memset(q, 0, sizeof *q);
    arena_init(&q->arena, loop_blocks(loop_self()));
    head_init(&q->request, &q->arena);
    if (language != NULL)
        head_add_known(&q->request, FIELD_ACCEPT_LANGUAGE, str_c(language));
    q->ask = (struct cache_ask){.cache = c, .key = key, .request = &q->request, .arena = &q->arena, .now_s = 1000,
                                .now_ms = loop_now(loop_self()), .min_uses = 1, .lock_age_ms = 5000};
}

static void end(struct asking *q) {
    cache_close(&q->ask);
    arena_done(&q->arena);
}

static enum cache_verdict look(struct cache *c, struct str key, const char *language) {
    struct asking q;
    begin(&q, c, key, language);
    enum cache_verdict v = cache_open(&q.ask);
    end(&q);
    return v;
}

static void append(struct cache_object *o, struct str bytes) {
    struct chain chain;
    chain_init(&chain, loop_blocks(loop_self()));
    chain_add_const(&chain, bytes.p, bytes.n);
    EXPECT_INT(cache_object_append(o, &chain), 0);
    chain_done(&chain);
}

static struct cache_object *keep(struct asking *q, struct str vary, int64_t valid) {
    struct head h;
    head_init(&h, &q->arena);
    h.status = 200;
    head_add(&h, FIELD_UNKNOWN, STR("X-Field"), STR("value"));
    struct cache_facts facts = {.valid = valid, .stored = 1000, .head_length = -1};
    struct cache_object *o = cache_keep(&q->ask, vary, &facts, &h, -1);
    EXPECT(o != NULL);
    return o;
}

static void store(struct cache *c, struct str key, const char *language, struct str body) {
    struct asking q;
    begin(&q, c, key, language);
    cache_open(&q.ask);
    struct cache_object *o = keep(&q, language != NULL ? STR("accept-language") : STR(""), 2000);
    append(o, body);
    cache_object_end(o, 0);
    cache_kept(&q.ask);
    end(&q);
}

static struct str body_of(struct cache *c, struct str key, const char *language, struct arena *a) {
    struct asking q;
    begin(&q, c, key, language);
    struct str text = STR_NONE;
    if (cache_open(&q.ask) == CACHE_HIT) {
        EXPECT_STR(head_value(&q.ask.object->head, FIELD_UNKNOWN), STR("value"));
        struct body *b = cache_object_body(q.ask.object, &q.arena);
        struct chain chain;
        chain_init(&chain, loop_blocks(loop_self()));
        while (body_read(b, &chain, 1 << 20, BODY_WAIT) > 0)
            ;
        char *to = arena_bytes(a, chain.bytes + 1);
        text = str_n(to, chain_peek(&chain, to, chain.bytes));
        chain_done(&chain);
        body_free(b);
    }
    end(&q);
    return text;
}

// --- a request's view ----------------------------------------------------------------------------------------------------

static void hits_and_misses(void *arg) {
    struct cache *c = arg;
    struct arena a;
    arena_init(&a, NULL);
    EXPECT_INT(look(c, STR("one"), NULL), CACHE_MISS);
    store(c, STR("one"), NULL, STR("body"));
    EXPECT_STR(body_of(c, STR("one"), NULL, &a), STR("body"));
    EXPECT_INT(look(c, STR("two"), NULL), CACHE_MISS);
    store(c, STR("two"), NULL, STR(""));
    EXPECT_INT(look(c, STR("two"), NULL), CACHE_HIT);
    // Variants.
    store(c, STR("v"), "de", STR("hallo"));
    EXPECT_INT(look(c, STR("v"), "en"), CACHE_MISS);
    store(c, STR("v"), "en", STR("hello"));
    EXPECT_STR(body_of(c, STR("v"), "de", &a), STR("hallo"));
    EXPECT_STR(body_of(c, STR("v"), "en", &a), STR("hello"));
    // Too old: one renews, others hear of it, until that one has gone.
    struct asking q, other;
    begin(&q, c, STR("one"), NULL);
    q.ask.now_s = 2001;
    EXPECT_INT(cache_open(&q.ask), CACHE_EXPIRED);
    begin(&other, c, STR("one"), NULL);
    other.ask.now_s = 2001;
    EXPECT_INT(cache_open(&other.ask), CACHE_UPDATING);
    end(&q);
    EXPECT_INT(cache_open(&other.ask), CACHE_EXPIRED);
    end(&other);
    // Purges: with all variants; by a prefix.
    EXPECT(cache_purge(c, STR("v")) && !cache_purge(c, STR("v")));
    EXPECT_INT(look(c, STR("v"), "de"), CACHE_MISS);
    EXPECT_INT(look(c, STR("v"), "en"), CACHE_MISS);
    EXPECT(cache_purge(c, STR("on*")));
    EXPECT_INT(look(c, STR("one"), NULL), CACHE_MISS);
    EXPECT_INT(look(c, STR("two"), NULL), CACHE_HIT);
    store(c, STR("one"), NULL, STR("new"));
    EXPECT_STR(body_of(c, STR("one"), NULL, &a), STR("new"));
    arena_done(&a);
}

TEST(cache_hits_and_misses) {
    struct cache *c = make(1 << 20);
    in_task(hits_and_misses, c);
    cache_kind.free(c);
    // The next process finds what there was.
    c = make(1 << 20);
    struct cache_numbers n;
    cache_count(c, &n);
    EXPECT_INT(n.objects, 2);
    EXPECT(n.bytes >= 2 * CACHE_BLOCK);
    cache_kind.free(c);
}

static void min_uses_and_errors(void *arg) {
    struct cache *c = arg;
    struct asking q;
    for (int i = 0; i < 3; i++) {
        begin(&q, c, STR("seldom"), NULL);
        q.ask.min_uses = 3;
        EXPECT_INT(cache_open(&q.ask), i < 2 ? CACHE_SCARCE : CACHE_MISS);
        end(&q);
    }
    begin(&q, c, STR("bad"), NULL);
    EXPECT_INT(cache_open(&q.ask), CACHE_MISS);
    cache_remember(&q.ask, 502, 1010);
    end(&q);
    begin(&q, c, STR("bad"), NULL);
    EXPECT_INT(cache_open(&q.ask), CACHE_FAILED);
    EXPECT_INT(q.ask.error, 502);
    q.ask.now_s = 1011;
    EXPECT_INT(cache_open(&q.ask), CACHE_MISS);
    end(&q);
    // Purged while it comes: delivered, not kept.
    begin(&q, c, STR("gone"), NULL);
    EXPECT_INT(cache_open(&q.ask), CACHE_MISS);
    struct cache_object *o = keep(&q, STR(""), 2000);
    cache_purge(c, STR("gone"));
    append(o, STR("x"));
    cache_object_end(o, 0);
    cache_kept(&q.ask);
    end(&q);
    EXPECT_INT(look(c, STR("gone"), NULL), CACHE_MISS);
}

// While files are still unknown, a purge holds for those that are found later.
static void variants_in_files(void *arg) {
    struct cache *c = arg;
    store(c, STR("v"), "a", STR("old a"));
    store(c, STR("v"), "b", STR("old b"));
    store(c, STR("w"), NULL, STR("other"));
}

static void purge_early(void *arg) {
    struct cache *c = arg;
    EXPECT(cache_purge(c, STR("v")));
    store(c, STR("v"), "a", STR("new a"));
    EXPECT_INT(look(c, STR("v"), "a"), CACHE_HIT);
    EXPECT_INT(look(c, STR("v"), "b"), CACHE_MISS);
    EXPECT_INT(look(c, STR("w"), NULL), CACHE_HIT);
}

static void look_again(void *arg) {
    struct cache *c = arg;
    EXPECT_INT(look(c, STR("v"), "a"), CACHE_HIT);
    EXPECT_INT(look(c, STR("v"), "b"), CACHE_MISS);
    EXPECT_INT(look(c, STR("w"), NULL), CACHE_HIT);
}

TEST(cache_purged_before_it_is_loaded) {
    struct cache *c = make(1 << 20);
    in_task(variants_in_files, c);
    cache_kind.free(c);
    struct cache_params p = params(1 << 20);
    c = cache_kind.make(&p);
    in_task(purge_early, c);
    cache_start(c, &p);
    for (struct cache_numbers n = {.loading = true}; n.loading; cache_count(c, &n))
        usleep(1000);
    in_task(look_again, c);
    cache_kind.free(c);
}

TEST(cache_min_uses_and_errors) {
    struct cache *c = make(1 << 20);
    in_task(min_uses_and_errors, c);
    cache_kind.free(c);
}

// Two messages of one MD5 (Wang, Feng, Lai, Yu 2004): they differ in these bytes by their highest bit.
static const unsigned char one_message[128] = {
    0xd1, 0x31, 0xdd, 0x02, 0xc5, 0xe6, 0xee, 0xc4, 0x69, 0x3d, 0x9a, 0x06, 0x98, 0xaf, 0xf9, 0x5c,
    0x2f, 0xca, 0xb5, 0x87, 0x12, 0x46, 0x7e, 0xab, 0x40, 0x04, 0x58, 0x3e, 0xb8, 0xfb, 0x7f, 0x89,
    0x55, 0xad, 0x34, 0x06, 0x09, 0xf4, 0xb3, 0x02, 0x83, 0xe4, 0x88, 0x83, 0x25, 0x71, 0x41, 0x5a,
    0x08, 0x51, 0x25, 0xe8, 0xf7, 0xcd, 0xc9, 0x9f, 0xd9, 0x1d, 0xbd, 0xf2, 0x80, 0x37, 0x3c, 0x5b,
    0xd8, 0x82, 0x3e, 0x31, 0x56, 0x34, 0x8f, 0x5b, 0xae, 0x6d, 0xac, 0xd4, 0x36, 0xc9, 0x19, 0xc6,
    0xdd, 0x53, 0xe2, 0xb4, 0x87, 0xda, 0x03, 0xfd, 0x02, 0x39, 0x63, 0x06, 0xd2, 0x48, 0xcd, 0xa0,
    0xe9, 0x9f, 0x33, 0x42, 0x0f, 0x57, 0x7e, 0xe8, 0xce, 0x54, 0xb6, 0x70, 0x80, 0xa8, 0x0d, 0x1e,
    0xc6, 0x98, 0x21, 0xbc, 0xb6, 0xa8, 0x83, 0x93, 0x96, 0xf9, 0x65, 0x2b, 0x6f, 0xf7, 0x2a, 0x70};
static const unsigned char differs[] = {19, 45, 59, 83, 109, 123};

static void collision(void *arg) {
    struct cache *c = arg;
    char other[128];
    memcpy(other, one_message, sizeof other);
    for (size_t i = 0; i < ARRAY_LEN(differs); i++)
        other[differs[i]] = (char)(other[differs[i]] ^ 0x80);
    struct str a = str_n((const char *)one_message, 128), b = str_n(other, 128);
    struct cache_id ia, ib;
    cache_id_of(a, &ia);
    cache_id_of(b, &ib);
    EXPECT(cache_id_eq(&ia, &ib) && !str_eq(a, b));
    store(c, a, NULL, STR("of a"));
    struct asking q;
    begin(&q, c, b, NULL);
    EXPECT_INT(cache_open(&q.ask), CACHE_MISS);
    struct head h;
    head_init(&h, &q.arena);
    h.status = 200;
    EXPECT(cache_keep(&q.ask, STR(""), &(struct cache_facts){.valid = 2000}, &h, -1) == NULL);
    end(&q);
    struct arena arena;
    arena_init(&arena, NULL);
    EXPECT_STR(body_of(c, a, NULL, &arena), STR("of a"));
    arena_done(&arena);
}

TEST(cache_keys_of_one_md5) {
    struct cache *c = make(1 << 20);
    in_task(collision, c);
    cache_kind.free(c);
}

// --- growing -------------------------------------------------------------------------------------------------------------

static char pattern[700000];
static void make_pattern(void) {
    for (size_t i = 0; i < sizeof pattern; i++)
        pattern[i] = (char)(i * 31 % 251);
}

struct growing {
    struct cache *c;
    size_t step, room;
    unsigned read;
};

static void read_growing(void *arg) {
    struct growing *g = arg;
    struct asking q;
    begin(&q, g->c, STR("growing"), NULL);
    q.ask.lock = true;
    EXPECT_INT(cache_open(&q.ask), CACHE_BUSY);
    EXPECT_INT(cache_wait(&q.ask, UINT64_MAX), CACHE_NEWS_OBJECT);
    struct body *b = cache_object_body(q.ask.object, &q.arena);
    struct chain chain;
    chain_init(&chain, loop_blocks(loop_self()));
    size_t total = 0;
    char bytes[4096];
    for (ssize_t n; (n = body_read(b, &chain, g->room, BODY_WAIT)) != 0;) {
        EXPECT(n > 0 && (size_t)n <= g->room);
        while (chain.head != NULL) {
            struct piece *p = chain.head;
            size_t take = MIN(p->n, sizeof bytes);
            if (p->kind == PIECE_FILE)
                EXPECT_INT(pread(p->file->fd, bytes, take, p->off), (ssize_t)take);
            else
                memcpy(bytes, p->p, take);
            EXPECT(memcmp(bytes, pattern + total, take) == 0);
            total += take;
            chain_drop(&chain, take);
        }
    }
    EXPECT_INT(total, sizeof pattern);
    body_free(b);
    chain_done(&chain);
    end(&q);
    g->read++;
}

static void write_growing(void *arg) {
    struct growing *g = arg;
    struct asking q;
    begin(&q, g->c, STR("growing"), NULL);
    q.ask.lock = true;
    EXPECT_INT(cache_open(&q.ask), CACHE_MISS);
    for (int i = 0; i < 4; i++)
        EXPECT(task_new(read_growing, g, "reader") != NULL);
    task_yield();
    struct cache_object *o = keep(&q, STR(""), 2000);
    for (size_t at = 0; at < sizeof pattern; at += g->step) {
        append(o, str_n(pattern + at, MIN(g->step, sizeof pattern - at)));
        if (at % 3 == 0)
            task_yield();
    }
    cache_object_end(o, 0);
    cache_kept(&q.ask);
    end(&q);
    while (g->read < 4)
        task_yield();
    EXPECT_INT(look(g->c, STR("growing"), NULL), CACHE_HIT);
}

TEST(cache_objects_grow_while_they_are_read) {
    make_pattern();
    static const size_t steps[] = {1000, 32768, 262144, 700000}, rooms[] = {1, 5000, 1 << 20};
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        for (size_t k = i == 0 ? 1 : 0; k < ARRAY_LEN(rooms); k += 2 - (i == 0)) {
            remove_all();
            mkdir(directory, 0700);
            struct growing g = {make(1 << 20), steps[i], MAX(rooms[k], (size_t)(i == 3 ? 1 : 777)), 0};
            in_task(write_growing, &g);
            cache_kind.free(g.c);
        }
    }
}

// --- files ---------------------------------------------------------------------------------------------------------------

static char only_file[PATH_MAX];
static int find_file(const char *path, const struct stat *st, int type, struct FTW *ftw) {
    if (type == FTW_F)
        snprintf(only_file, sizeof only_file, "%s", path);
    return 0;
}

static void store_small(void *c) { store(c, STR("key"), NULL, STR("the body")); }
static void store_large(void *c) {
    make_pattern();
    store(c, STR("key"), NULL, str_n(pattern, sizeof pattern));
}

// What a file of that object is when one byte is another, or when it ends early: the object as it was, or none.
static void damage(task_fn *fill, bool large) {
    struct cache *c = make(1 << 20);
    in_task(fill, c);
    nftw(directory, find_file, 16, FTW_PHYS);
    int fd = open(only_file, O_RDWR);
    struct stat st;
    EXPECT(fd >= 0 && fstat(fd, &st) == 0);
    size_t size = (size_t)st.st_size, good = 0;
    char *bytes = xmalloc(size);
    EXPECT_INT(pread(fd, bytes, size, 0), (ssize_t)size);
    for (size_t at = 0; at < size; at += large && at > 600 ? 4093 : 1) {
        char bad = (char)(bytes[at] ^ 1);
        EXPECT_INT(pwrite(fd, &bad, 1, (off_t)at), 1);
        const char *why = NULL;
        int err = 0;
        struct cache_object *o = store_load(c, only_file, false, &why, &err);
        if (o != NULL) { // room, or a block of a large body
            good++;
            EXPECT_STR(o->key, STR("key"));
            EXPECT_STR(head_value(&o->head, FIELD_UNKNOWN), STR("value"));
            unsigned wrong = 0;
            for (unsigned i = 0; i < o->data->nsums; i++)
                wrong += store_check_block(o->data, i) != 0;
            EXPECT_INT(wrong, large && at >= o->data->at && at < o->data->at + o->data->n);
            EXPECT(large || memcmp(o->data->mem, "the body", 8) == 0);
        } else {
            EXPECT(why != NULL);
        }
        cache_object_unref(o);
        EXPECT_INT(pwrite(fd, bytes + at, 1, (off_t)at), 1);
    }
    EXPECT(good > 100 && good < size);
    for (size_t cut = 0; cut < size; cut += large && cut > 600 ? 4093 : 1) {
        EXPECT(ftruncate(fd, 0) == 0 && pwrite(fd, bytes, cut, 0) == (ssize_t)cut);
        const char *why = NULL;
        int err = 0;
        EXPECT(store_load(c, only_file, false, &why, &err) == NULL && why != NULL);
    }
    free(bytes);
    close(fd);
    cache_kind.free(c);
}

TEST(cache_files_damaged_at_each_byte) { damage(store_small, false); }
TEST(cache_large_files_damaged) { damage(store_large, true); }

// --- bounds --------------------------------------------------------------------------------------------------------------

static void many(void *arg) {
    struct cache *c = arg;
    char key[32];
    for (int i = 0; i < 3000; i++) {
        struct str k = str_n(key, (size_t)snprintf(key, sizeof key, "key %d", i));
        store(c, k, NULL, STR("some bytes of a body"));
        EXPECT_INT(look(c, k, NULL), CACHE_HIT);
        struct cache_numbers n;
        cache_count(c, &n);
        EXPECT(n.memory <= 64 << 10);
    }
    struct cache_numbers n;
    cache_count(c, &n);
    EXPECT(n.objects > 100 && n.objects <= 512);
    EXPECT_INT(look(c, STR("key 0"), NULL), CACHE_MISS);
}

TEST(cache_memory_is_bounded) {
    struct cache *c = make(64 << 10);
    in_task(many, c);
    cache_kind.free(c);
}

// What is counted against keys_zone is what the heap has given for it.
static uint64_t heap(void) { return mallinfo2().uordblks; }

static void count_keys(void *arg) {
    struct cache *c = arg;
    uint64_t before = heap(), counted = 0;
    struct cache_numbers n;
    for (unsigned i = 0; i < 60000; i++) {
        char text[16];
        struct cache_id id;
        cache_id_of(str_n(text, (size_t)snprintf(text, sizeof text, "key %u", i)), &id);
        struct cache_part *p = index_part(c, &id);
        pthread_mutex_lock(&p->lock);
        EXPECT(index_add(c, p, &id, &id, 0) != NULL);
        pthread_mutex_unlock(&p->lock);
        cache_count(c, &n);
        counted = n.memory;
        if (i % 1000 == 999 && before != 0) // nothing is known of the heap of sanitizers
            EXPECT(heap() - before <= counted);
    }
    EXPECT_INT(counted, 60000 * 128);
}

static void count_objects(void *arg) {
    struct cache *c = arg;
    make_pattern();
    store(c, STR("first"), NULL, STR("x")); // what else is made once is there
    struct cache_numbers n, first;
    cache_count(c, &first);
    uint64_t before = heap();
    static const size_t sizes[] = {1, 100, 3000, 20000, 50000};
    for (unsigned i = 0; i < 500; i++) {
        char text[16];
        store(c, str_n(text, (size_t)snprintf(text, sizeof text, "key %u", i)), NULL, str_n(pattern, sizes[i % ARRAY_LEN(sizes)]));
    }
    cache_count(c, &n);
    uint64_t counted = n.memory - first.memory;
    EXPECT_INT(n.objects - first.objects, 500);
    if (before != 0)
        EXPECT(heap() - before <= counted + counted / 50 && heap() - before > counted / 2);
}

TEST(cache_memory_is_counted_as_it_is) {
    struct cache *c = make(64 << 20);
    in_task(count_objects, c);
    cache_kind.free(c);
    remove_all();
    EXPECT(mkdir(directory, 0700) == 0);
    c = make(64 << 20);
    in_task(count_keys, c);
    cache_kind.free(c);
}

// --- threads -------------------------------------------------------------------------------------------------------------

enum { THREADS = 4, ROUNDS = 400, KEYS = 20 };

struct crowd {
    struct cache *c;
    unsigned number;
};

static void one_of_many(void *arg) {
    struct crowd *w = arg;
    unsigned seed = w->number * 7919 + 1;
    for (int i = 0; i < ROUNDS; i++) {
        char text[16];
        seed = seed * 1103515245 + 12345;
        unsigned what = seed >> 16;
        struct str key = str_n(text, (size_t)snprintf(text, sizeof text, "k%u", what % KEYS));
        struct asking q;
        begin(&q, w->c, key, NULL);
        q.ask.lock = what & 64;
        enum cache_verdict v = cache_open(&q.ask);
        if (v == CACHE_BUSY)
            v = cache_wait(&q.ask, loop_now(loop_self()) + 1000) == CACHE_NEWS_OBJECT ? CACHE_HIT : CACHE_BUSY;
        if (v == CACHE_HIT) {
            struct body *b = cache_object_body(q.ask.object, &q.arena);
            struct chain chain;
            chain_init(&chain, loop_blocks(loop_self()));
            while (b != NULL && body_read(b, &chain, 100000, BODY_WAIT) > 0)
                chain_drop(&chain, chain.bytes);
            chain_done(&chain);
            body_free(b);
        } else if (v == CACHE_MISS || v == CACHE_EXPIRED) {
            if (what % 7 == 0) {
                cache_refuse(&q.ask);
            } else if (what % 11 != 0) { // else it just goes
                struct cache_object *o = keep(&q, STR(""), 2000);
                append(o, str_n(pattern, what % 3 == 0 ? 100 : 50000));
                append(o, str_n(pattern, 1000));
                cache_object_end(o, what % 13 == 0 ? -ECONNRESET : 0);
                cache_kept(&q.ask);
            }
        }
        if (what % 17 == 0)
            cache_purge(w->c, what % 34 == 0 ? STR("k1*") : key);
        end(&q);
    }
}

static void *run_crowd(void *arg) {
    struct crowd *w = arg;
    struct loop *l = loop_new(w->number);
    for (int i = 0; i < 3; i++)
        EXPECT(task_new(one_of_many, w, "one of many") != NULL);
    while (task_count(l) > 0)
        loop_turn(l, 100);
    static unsigned running = THREADS; // nobody posts to a loop that is gone
    __atomic_sub_fetch(&running, 1, __ATOMIC_RELEASE);
    while (__atomic_load_n(&running, __ATOMIC_ACQUIRE) != 0)
        loop_turn(l, 1);
    loop_free(l);
    return NULL;
}

TEST(cache_with_many_threads) {
    make_pattern();
    helpers_start(2);
    struct cache *c = make(64 << 10);
    pthread_t ids[THREADS];
    struct crowd crowd[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        crowd[i] = (struct crowd){c, i};
        EXPECT(pthread_create(&ids[i], NULL, run_crowd, &crowd[i]) == 0);
    }
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(ids[i], NULL);
    helpers_stop();
    struct cache_numbers n;
    cache_count(c, &n);
    EXPECT(n.memory <= 64 << 10);
    for (size_t i = 0; i < CACHE_PARTS; i++) {
        pthread_mutex_lock(&c->parts[i].lock); // the manager is still there
        list_each(e, &c->parts[i].used, struct cache_entry, used) EXPECT(e->fetch == NULL && e->updating == 0);
        pthread_mutex_unlock(&c->parts[i].lock);
    }
    cache_kind.free(c);
}
