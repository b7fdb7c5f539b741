#include "base/block_private.h"
#include "base/chain.h"
#include "base/test.h"
#include <stdlib.h>

// A chain against a flat model: each byte of the model says what it is, a byte of memory or an offset of the file.
enum { MODEL_MAX = 60000, FILE_BYTES = 5000 };

struct model {
    int at[MODEL_MAX]; // 0 to 255: a byte in memory; FILE_AT + off: a byte of the file
    size_t n;
};
enum { FILE_AT = 1000 };

static void model_check(const struct chain *c, const struct model *m) {
    size_t at = 0;
    struct piece *const *tail = &c->head;
    for (const struct piece *p = c->head; p != NULL; p = p->next) {
        EXPECT(p->n > 0);
        for (size_t i = 0; i < p->n; i++, at++) {
            EXPECT(at < m->n);
            int got = p->kind == PIECE_FILE ? FILE_AT + (int)p->off + (int)i : (unsigned char)p->p[i];
            EXPECT_INT(got, m->at[at]);
        }
        tail = &p->next;
    }
    EXPECT_INT(at, m->n);
    EXPECT_INT(c->bytes, m->n);
    EXPECT(c->tail == tail);
    EXPECT_INT(chain_empty(c), m->n == 0);
}

static void model_insert(struct model *m, size_t at, const int *bytes, size_t n) {
    EXPECT(m->n + n <= MODEL_MAX);
    memmove(m->at + at + n, m->at + at, (m->n - at) * sizeof(int));
    memcpy(m->at + at, bytes, n * sizeof(int));
    m->n += n;
}

static void model_drop(struct model *m, size_t n) {
    m->n -= n;
    memmove(m->at, m->at + n, m->n * sizeof(int));
}

static void model_add_bytes(struct model *m, const char *p, size_t n) {
    for (size_t i = 0; i < n; i++) {
        int byte = (unsigned char)p[i];
        model_insert(m, m->n, &byte, 1);
    }
}

static uint32_t random_u32(uint64_t *state) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33);
}

static int files_closed;
static void close_file(struct file_ref *f) {
    files_closed++;
    free(f);
}

static struct file_ref *new_file(void) {
    struct file_ref *f = xcalloc(1, sizeof(*f));
    *f = (struct file_ref){.refs = 1, .fd = -1, .close = close_file};
    return f;
}

struct world {
    struct blocks *pool;
    struct chain chains[3];
    struct model models[3];
    struct file_ref *file;
    char text[9000]; // outlives the chains
    uint64_t seed;
};

static size_t random_size(struct world *w) {
    static const uint32_t bounds[] = {3, 20, 600, 5000};
    return random_u32(&w->seed) % bounds[random_u32(&w->seed) % 4];
}

static size_t random_size_to(struct world *w, size_t most) {
    size_t n = random_size(w);
    return MIN(n, most);
}

static void add_something(struct world *w, struct chain *c, struct model *m) {
    size_t n = random_size(w), off = random_u32(&w->seed) % 4000;
    if (m->n + 2 * n + 10 > 8000)
        return;
    const char *text = w->text + off;
    switch (random_u32(&w->seed) % 5) {
    case 0:
        chain_add_copy(c, str_n(text, n));
        model_add_bytes(m, text, n);
        break;
    case 1:
        chain_add_const(c, text, n);
        model_add_bytes(m, text, n);
        break;
    case 2: { // two slices of one block, next to each other or not
        struct block *b = block_new(w->pool, 2 * n + 10);
        size_t gap = random_u32(&w->seed) % 3;
        memcpy(b->data, text, n);
        memcpy(b->data + n + gap, text, n);
        chain_add_block(c, b, b->data, n);
        chain_add_block(c, b, b->data + n + gap, n);
        block_unref(b);
        model_add_bytes(m, text, n);
        model_add_bytes(m, text, n);
        break;
    }
    case 3: {
        struct block *b = block_new(w->pool, n);
        memcpy(b->data, text, n);
        chain_give_block(c, b, b->data, n);
        model_add_bytes(m, text, n);
        break;
    }
    default:
        n = MIN(n, (size_t)FILE_BYTES - off);
        chain_add_file(c, w->file, (off_t)off, n);
        for (size_t i = 0; i < n; i++) {
            int byte = FILE_AT + (int)(off + i);
            model_insert(m, m->n, &byte, 1);
        }
    }
}

static void move_something(struct world *w, int to, int from) {
    struct chain *a = &w->chains[to], *b = &w->chains[from];
    struct model *x = &w->models[to], *y = &w->models[from];
    size_t n = y->n;
    if (x->n + n > 20000)
        return;
    switch (random_u32(&w->seed) % 3) {
    case 0:
        n = random_u32(&w->seed) % 4 == 0 ? n + 1 : random_size_to(w, n);
        EXPECT_INT(chain_move(a, b, n), MIN(n, y->n));
        n = MIN(n, y->n);
        model_insert(x, x->n, y->at, n);
        break;
    case 1:
        chain_append(a, b);
        model_insert(x, x->n, y->at, n);
        break;
    default:
        chain_prepend(a, b);
        model_insert(x, 0, y->at, n);
    }
    model_drop(y, n);
}

// How many of the model's first bytes are memory.
static size_t model_memory(const struct model *m) {
    size_t n = 0;
    while (n < m->n && m->at[n] < FILE_AT)
        n++;
    return n;
}

static void look(struct world *w, const struct chain *c, const struct model *m) {
    struct iovec iov[16];
    static char text[MODEL_MAX];
    size_t max = random_u32(&w->seed) % 17, bytes = 4711, sum = 0;
    size_t count = chain_iov(c, iov, max, &bytes);
    EXPECT(count <= max);
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < iov[i].iov_len; k++, sum++)
            EXPECT_INT(((unsigned char *)iov[i].iov_base)[k], m->at[sum]);
    }
    EXPECT_INT(bytes, sum);
    EXPECT(sum == model_memory(m) || count == max);
    size_t want = random_size(w), got = chain_peek(c, text, want);
    EXPECT_INT(got, MIN(want, model_memory(m)));
    for (size_t i = 0; i < got; i++)
        EXPECT_INT((unsigned char)text[i], m->at[i]);
}

static void step(struct world *w) {
    int i = (int)(random_u32(&w->seed) % 3), other = (i + 1 + (int)(random_u32(&w->seed) % 2)) % 3;
    struct chain *c = &w->chains[i];
    struct model *m = &w->models[i];
    switch (random_u32(&w->seed) % 8) {
    case 0:
    case 1:
    case 2:
        add_something(w, c, m);
        break;
    case 3:
    case 4:
        move_something(w, i, other);
        break;
    case 5: {
        size_t n = random_size_to(w, m->n);
        chain_drop(c, n);
        model_drop(m, n);
        break;
    }
    case 6: {
        size_t held = chain_held(c);
        chain_compact(c);
        EXPECT(chain_held(c) <= held);
        break;
    }
    default:
        look(w, c, m);
        if (random_u32(&w->seed) % 20 == 0) {
            chain_done(c);
            m->n = 0;
        }
    }
    for (int k = 0; k < 3; k++)
        model_check(&w->chains[k], &w->models[k]);
}

static void run_world(uint64_t seed, int steps) {
    struct world *w = xcalloc(1, sizeof(*w));
    w->seed = seed;
    w->pool = blocks_new();
    w->file = new_file();
    for (size_t i = 0; i < sizeof(w->text); i++)
        w->text[i] = (char)random_u32(&w->seed);
    for (int i = 0; i < 3; i++)
        chain_init(&w->chains[i], w->pool);
    for (int i = 0; i < steps; i++)
        step(w);
    for (int i = 0; i < 3; i++)
        chain_done(&w->chains[i]);
    EXPECT_INT(w->file->refs, 1);
    files_closed = 0;
    file_unref(w->file);
    EXPECT_INT(files_closed, 1);
    EXPECT_INT(blocks_in_use(w->pool), 0);
    blocks_free(w->pool); // checks that every block and piece came back
    free(w);
}

TEST(random_operations_agree_with_a_flat_model) {
    for (uint64_t seed = 1; seed <= 20; seed++)
        run_world(seed, 500);
}

TEST(adjacent_slices_join) {
    struct blocks *pool = blocks_new();
    struct chain c;
    chain_init(&c, pool);
    struct block *b = block_new(pool, 100);
    memcpy(b->data, "abcdefgh", 8);
    chain_add_block(&c, b, b->data, 3);
    chain_add_block(&c, b, b->data + 3, 2);
    EXPECT(c.head->next == NULL && c.head->n == 5);
    EXPECT_INT(b->refs, 2);
    chain_add_block(&c, b, b->data + 6, 2);
    EXPECT(c.head->next != NULL && b->refs == 3);
    chain_give_block(&c, b, b->data + 8, 0); // nothing to add; the reference goes all the same
    EXPECT_INT(b->refs, 2);
    struct file_ref *f = new_file();
    chain_add_file(&c, f, 100, 50);
    chain_add_file(&c, f, 150, 50);
    EXPECT_INT(f->refs, 2);
    chain_add_file(&c, f, 201, 1);
    EXPECT_INT(f->refs, 3);
    file_unref(f);
    file_unref(NULL);
    EXPECT_INT(c.bytes, 7 + 101);
    files_closed = 0;
    chain_done(&c);
    EXPECT_INT(files_closed, 1);
    blocks_free(pool);
}

TEST(copies_fill_spare_room_but_never_a_shared_block) {
    struct blocks *pool = blocks_new();
    struct chain c, other;
    chain_init(&c, pool);
    chain_init(&other, pool);
    chain_add_copy(&c, STR("abc"));
    EXPECT_INT(c.head->block->size, 512);
    for (int i = 0; i < 100; i++)
        chain_add_copy(&c, STR("xyz"));
    EXPECT(c.head->next == NULL && c.bytes == 303);
    chain_move(&other, &c, 10); // two slices of one block now
    EXPECT_INT(c.head->block->refs, 2);
    chain_add_copy(&other, STR("NEW"));
    EXPECT(other.head->next != NULL);
    EXPECT(memcmp(c.head->p, "yzxyz", 5) != 0 || c.head->block != other.head->next->block);
    char text[16];
    EXPECT_INT(chain_peek(&other, text, sizeof(text)), 13);
    EXPECT_STR(str_n(text, 13), STR("abcxyzxyzxNEW"));
    EXPECT_INT(chain_peek(&c, text, 5), 5);
    EXPECT_STR(str_n(text, 5), STR("yzxyz"));
    chain_done(&other);
    chain_done(&c);
    blocks_free(pool);
}

TEST(a_large_copy_is_cut_into_blocks) {
    struct blocks *pool = blocks_new();
    struct chain c;
    chain_init(&c, pool);
    size_t n = 200000;
    char *text = xmalloc(n), *back = xmalloc(n);
    for (size_t i = 0; i < n; i++)
        text[i] = (char)(i * 7 + i / 251);
    chain_add_copy(&c, str_n(text, n));
    EXPECT_INT(c.bytes, n);
    EXPECT_INT(chain_peek(&c, back, n), n);
    EXPECT(memcmp(text, back, n) == 0);
    EXPECT(chain_held(&c) <= 4 * 65536);
    free(text);
    free(back);
    chain_done(&c);
    blocks_free(pool);
}

TEST(compacting_lets_large_blocks_go) {
    struct blocks *pool = blocks_new();
    struct chain c;
    chain_init(&c, pool);
    for (int i = 0; i < 10; i++) { // ten short slices, each of a large block
        struct block *b = block_new(pool, 65536);
        memset(b->data, 'a' + i, 100);
        chain_give_block(&c, b, b->data, 100);
    }
    EXPECT_INT(chain_held(&c), 655360);
    chain_compact(&c);
    EXPECT_INT(chain_held(&c), 2048);
    EXPECT_INT(blocks_in_use(pool), 2048);
    EXPECT_INT(c.bytes, 1000);
    char text[1000];
    EXPECT_INT(chain_peek(&c, text, sizeof(text)), 1000);
    for (int i = 0; i < 1000; i++)
        EXPECT_INT(text[i], 'a' + i / 100);
    struct piece *before = c.head;
    chain_compact(&c); // nothing to win any more
    EXPECT(c.head == before);
    chain_done(&c);
    chain_compact(&c);
    EXPECT(chain_empty(&c));
    blocks_free(pool);
}

static void drop_too_much(void *arg) {
    chain_drop(arg, 4);
}
static void append_to_itself(void *arg) {
    chain_append(arg, arg);
}

TEST(misuse_is_found) {
    struct blocks *pool = blocks_new();
    struct chain c;
    chain_init(&c, pool);
    chain_add_const(&c, "abc", 3);
    EXPECT(test_dies(drop_too_much, &c));
    EXPECT(test_dies(append_to_itself, &c));
    chain_drop(&c, 3);
    blocks_free(pool);
}

TEST(chain_owns_what_no_block_holds) {
    struct blocks *pool = blocks_new();
    struct chain c;
    char foreign[3000];
    memset(foreign, 'x', sizeof foreign);
    chain_init(&c, pool);
    chain_own(&c);
    EXPECT(chain_empty(&c));
    chain_add_copy(&c, STR("one "));
    chain_add_const(&c, foreign, sizeof foreign);
    struct block *b = block_new(pool, 10);
    memcpy(b->data, "three", 5);
    chain_give_block(&c, b, b->data, 5);
    chain_add_const(&c, foreign, 2);
    chain_own(&c);
    memset(foreign, 'y', sizeof foreign);
    EXPECT_INT(c.bytes, 4 + 3000 + 5 + 2);
    char all[3011];
    EXPECT_INT(chain_peek(&c, all, sizeof all), sizeof all);
    EXPECT(memcmp(all, "one x", 5) == 0 && all[3003] == 'x' && memcmp(all + 3004, "threexx", 7) == 0);
    for (const struct piece *p = c.head; p != NULL; p = p->next)
        EXPECT(p->block != NULL);
    chain_done(&c);
    blocks_free(pool);
}
