// Tapes: against a flat model with random appends and several readers, limits of memory and file, failures, buffering.
#include "base/sbuf.h"
#include "http/body_test_tools.h"
#include "http/tape.h"
#include "io/inbox.h"
#include "io/log.h"

static char text_bytes[300000];
static struct str text_of(size_t n) {
    for (size_t i = 0; i < n; i++)
        text_bytes[i] = (char)('a' + (i * 7 + i / 26 + i / 1000) % 26);
    return str_n(text_bytes, n);
}

static uint64_t rnd_state;
static unsigned rnd(unsigned n) {
    rnd_state = rnd_state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(rnd_state >> 33) % n;
}

static const struct tape_limits in_memory = {.mem = 1 << 20, .dir = "/tmp"};

// --- model: one writer, several readers of different pace ------------------------------------------------------------------

enum { READERS = 4, TOTAL = 60000 };

struct play {
    struct tape *tape;
    struct str text;
    struct arena arena;
    size_t got[READERS];
    unsigned running;
    bool ok;
    uint64_t mem_bound;
};

struct player {
    struct play *play;
    struct body *body;
    unsigned id;
};

static void write_all(void *arg) {
    struct play *p = arg;
    struct chain c;
    chain_init(&c, loop_blocks(loop_self()));
    for (size_t at = 0; at < p->text.n;) {
        size_t step = 1 + rnd(3000), n = MIN(step, p->text.n - at);
        chain_add_copy(&c, str_n(p->text.p + at, n));
        EXPECT_INT(tape_append(p->tape, &c), 0);
        EXPECT(chain_empty(&c));
        EXPECT(tape_memory(p->tape) <= p->mem_bound);
        at += n;
        EXPECT_INT(tape_length(p->tape), at);
        if (rnd(3) == 0)
            task_yield();
    }
    tape_end(p->tape, 0);
    p->running--;
}

static void read_all(void *arg) {
    struct player *r = arg;
    struct play *p = r->play;
    struct chain c;
    chain_init(&c, loop_blocks(loop_self()));
    struct sbuf part;
    sbuf_init_heap(&part, TOTAL);
    for (;;) {
        size_t room = r->id == 0 ? 1 + rnd(2) * 7 : 1 + rnd(5000);
        ssize_t n = body_read(r->body, &c, room, rnd(4) == 0 ? BODY_NOWAIT : BODY_WAIT);
        if (n == -EAGAIN) {
            task_yield();
            continue;
        }
        EXPECT(n >= 0 && n <= (ssize_t)room);
        if (n == 0)
            break;
        part.n = 0;
        chain_text(&c, &part);
        EXPECT_INT(part.n, n);
        EXPECT(memcmp(part.p, p->text.p + p->got[r->id], part.n) == 0);
        p->got[r->id] += part.n;
        if (r->body->length >= 0)
            EXPECT_INT(r->body->length, p->text.n - p->got[r->id]);
        if (rnd(8) == 0)
            task_yield();
    }
    EXPECT_INT(p->got[r->id], p->text.n);
    EXPECT_INT(r->body->length, 0);
    sbuf_done(&part);
    chain_done(&c);
    body_free(r->body);
    p->running--;
}

static void play_task(void *arg) {
    const struct tape_limits *lim = arg;
    static struct play p;
    static struct player readers[READERS];
    p = (struct play){.tape = tape_new(lim), .text = text_of(TOTAL), .running = READERS + 1};
    p.mem_bound = lim->mem + lim->extra + 2 * 64 * 1024;
    if (lim->budget == NULL)
        p.mem_bound = MAX(lim->mem, 1);
    arena_init(&p.arena, NULL);
    for (unsigned i = 0; i < READERS; i++) {
        readers[i] = (struct player){&p, tape_reader(p.tape, &p.arena, i == 1 ? TOTAL : -1), i};
        EXPECT_INT(readers[i].body->length, i == 1 ? TOTAL : -1);
        EXPECT(task_new(read_all, &readers[i], "reader") != NULL);
    }
    EXPECT(task_new(write_all, &p, "writer") != NULL);
    while (p.running > 0)
        EXPECT_INT(task_sleep_ms(1), 0);
    if (lim->keep) { // a late reader gets everything
        struct sbuf all;
        sbuf_init_heap(&all, TOTAL);
        struct body *b = tape_reader(p.tape, &p.arena, -1);
        EXPECT_INT(b->length, TOTAL);
        EXPECT_INT(body_text(b, 4096, &all), 0);
        EXPECT_STR(sbuf_view(&all), p.text);
        sbuf_done(&all);
        body_free(b);
    } else {
        EXPECT_INT(tape_memory(p.tape), 0);
    }
    tape_unref(p.tape);
    arena_done(&p.arena);
}

static void play(struct tape_limits lim) {
    lim.dir = "/tmp";
    run_task(play_task, &lim);
}

TEST(readers_get_what_was_written) {
    helpers_start(1);
    for (unsigned seed = 1; seed <= 6; seed++) {
        rnd_state = seed;
        play((struct tape_limits){.mem = 1 << 20, .keep = true});
        play((struct tape_limits){.mem = 5000, .file = 1 << 20, .keep = true});
        play((struct tape_limits){.mem = 0, .file = 1 << 20, .keep = true});
        play((struct tape_limits){.mem = 1 << 20});
        play((struct tape_limits){.mem = 5000}); // the writer waits for the slowest
        play((struct tape_limits){.mem = 0});
        play((struct tape_limits){.mem = 5000, .file = 20000}); // and here when the file is full too
        play((struct tape_limits){.mem = 3, .file = 7});
        struct tape_budget budget = {.left = 80000};
        play((struct tape_limits){.mem = 1000, .extra = 1 << 20, .budget = &budget, .file = 1 << 20, .keep = true});
        EXPECT_INT(budget.left, 80000);
        play((struct tape_limits){.mem = 1000, .extra = 1 << 20, .budget = &budget});
        EXPECT_INT(budget.left, 80000);
    }
    helpers_stop();
}

// --- limits ----------------------------------------------------------------------------------------------------------------

static void append(struct tape *t, struct str s, int want) {
    struct chain c;
    chain_init(&c, loop_blocks(loop_self()));
    chain_add_copy(&c, s);
    EXPECT_INT(tape_append(t, &c), want);
    chain_done(&c);
}

static void expect_rest(struct tape *t, struct str want, int end) {
    struct arena a;
    arena_init(&a, NULL);
    struct sbuf got;
    sbuf_init_heap(&got, 1 << 20);
    struct body *b = tape_reader(t, &a, -1);
    EXPECT_INT(body_text(b, 777, &got), end);
    EXPECT_STR(sbuf_view(&got), want);
    sbuf_done(&got);
    body_free(b);
    arena_done(&a);
}

static void budget_task(void *arg) {
    struct tape_budget budget = {.left = 100 << 10};
    struct tape_limits lim = {.mem = 1000, .extra = 1 << 20, .budget = &budget, .file = 1 << 20, .dir = "/tmp", .keep = true};
    struct tape *t = tape_new(&lim);
    append(t, text_of(1000), 0);
    EXPECT_INT(budget.left, 100 << 10);
    append(t, text_of(3000), 0);
    EXPECT_INT(budget.left, 36 << 10); // taken in steps of 64 KiB
    EXPECT(tape_file(t) == NULL);
    append(t, text_of(70000), 0); // more than is left: to the file, and everything is given back
    EXPECT_INT(budget.left, 100 << 10);
    EXPECT(tape_file(t) != NULL);
    EXPECT_INT(tape_file_bytes(t), 74000);
    EXPECT_INT(tape_memory(t), 0);
    tape_unref(t);
}

TEST(memory_beyond_the_first_comes_from_the_budget) {
    helpers_start(1);
    run_task(budget_task, NULL);
    helpers_stop();
}

static void full_task(void *arg) {
    struct tape_limits lim = {.mem = 1000, .file = 2000, .dir = "/tmp", .keep = true};
    struct tape *t = tape_new(&lim);
    append(t, text_of(2500), 0);
    EXPECT(tape_has_room(t));
    append(t, str_n(text_of(3500).p + 2500, 1000), -EFBIG);
    EXPECT(tape_ended(t));
    EXPECT_INT(tape_error(t), -EFBIG);
    expect_rest(t, text_of(3500), -EFBIG);
    tape_unref(t);
}

TEST(a_kept_tape_that_is_full_fails_behind_its_bytes) {
    helpers_start(1);
    run_task(full_task, NULL);
    helpers_stop();
}

static void no_dir_task(void *arg) {
    struct tape_limits lim = {.mem = 1000, .file = 1 << 20, .dir = "/nonexistent/weir", .keep = true};
    struct tape *t = tape_new(&lim);
    append(t, text_of(1000), 0);
    append(t, str_n(text_of(1500).p + 1000, 500), -ENOENT);
    expect_rest(t, text_of(1500), -ENOENT);
    tape_unref(t);
}

// /dev/full cannot hold temp files; a directory that is not there fails in the same place.
TEST(readers_get_the_good_bytes_before_the_error_of_the_file) {
    helpers_start(1);
    run_task(no_dir_task, NULL);
    helpers_stop();
}

static void text_task(void *arg) {
    struct arena a;
    arena_init(&a, NULL);
    struct str all;
    struct tape *t = tape_new(&in_memory);
    append(t, STR("one "), 0);
    EXPECT(!tape_text(t, &a, &all));
    append(t, STR("two"), 0);
    tape_end(t, 0);
    EXPECT(tape_text(t, &a, &all));
    EXPECT_STR(all, STR("one two"));
    tape_unref(t);
    t = tape_new(&in_memory);
    tape_end(t, 0);
    EXPECT(tape_text(t, &a, &all));
    EXPECT_INT(all.n, 0);
    expect_rest(t, STR(""), 0);
    tape_unref(t);
    arena_done(&a);
}

TEST(the_whole_text) { run_task(text_task, NULL); }

static void cancelled_writer(void *arg) { append(arg, text_of(20), -ECANCELED); }

static void cancel_task(void *arg) {
    struct tape_limits lim = {.mem = 10, .dir = "/tmp"};
    struct tape *t = tape_new(&lim);
    struct task *w = task_new_joinable(cancelled_writer, t, "writer");
    EXPECT_INT(task_sleep_ms(2), 0);
    task_cancel(w);
    task_join(w);
    EXPECT(!tape_ended(t));
    tape_end(t, -ECONNRESET);
    expect_rest(t, text_of(20), -ECONNRESET);
    tape_unref(t);
}

TEST(a_writer_that_waits_can_be_cancelled) { run_task(cancel_task, NULL); }

// --- filling from a source, cut in every way ------------------------------------------------------------------------------------

static void fill_task(void *arg) {
    struct str text = STR("0123456789abcdef");
    for (size_t a = 0; a <= text.n; a++) {
        for (size_t b = a; b <= text.n; b++) {
            size_t splits[2], n = 0;
            if (a != 0)
                splits[n++] = a;
            if (b > a)
                splits[n++] = b;
            struct script_body s;
            script_init(&s, text, splits, n, b % 2 ? -ECONNRESET : 0);
            s.slow = a % 2;
            struct tape_limits lim = {.mem = b, .file = b % 3 ? 1 << 20 : 0, .dir = "/tmp", .keep = true};
            if (lim.file == 0)
                lim.mem = 100;
            struct tape *t = tape_new(&lim);
            EXPECT_INT(tape_fill(t, &s.body, 1 + a % 5), s.error);
            expect_rest(t, text, s.error);
            tape_unref(t);
            EXPECT_INT(s.frees, 0);
        }
    }
}

TEST(filling_with_every_split) {
    helpers_start(1);
    run_task(fill_task, NULL);
    helpers_stop();
}

// --- response buffering ---------------------------------------------------------------------------------------------------------

struct buffering {
    const struct tape_limits *lim;
    size_t ahead_at; // bytes read before the reader falls behind; SIZE_MAX: never
    size_t room, pause_every;
    bool slow;
    int error;
};

static void buffered_once(const struct buffering *how, struct str text, const size_t *splits, size_t nsplits) {
    struct arena a;
    arena_init(&a, NULL);
    struct script_body s;
    script_init(&s, text, splits, nsplits, how->error);
    s.slow = how->slow;
    struct body *b = tape_buffered(&s.body, how->lim, &a);
    struct sbuf got;
    sbuf_init_heap(&got, 1 << 20);
    struct chain c;
    chain_init(&c, loop_blocks(loop_self()));
    ssize_t n;
    size_t reads = 0;
    do {
        if (got.n >= how->ahead_at)
            body_ahead(b);
        n = body_read(b, &c, how->room, BODY_WAIT);
        EXPECT(n <= (ssize_t)how->room);
        chain_text(&c, &got);
        if (how->pause_every != 0 && ++reads % how->pause_every == 0)
            task_yield();
    } while (n > 0);
    EXPECT_INT(n, how->error);
    EXPECT_STR(sbuf_view(&got), text);
    body_free(b);
    EXPECT_INT(s.frees, 1);
    sbuf_done(&got);
    chain_done(&c);
    arena_done(&a);
}

static void buffering_task(void *arg) {
    struct str text = text_of(40);
    static const struct tape_limits limits[] = {
        {.mem = 1 << 20, .dir = "/tmp"}, {.mem = 10, .dir = "/tmp"}, {.mem = 10, .file = 15, .dir = "/tmp"},
        {.mem = 10, .file = 1 << 20, .dir = "/nonexistent/weir"}}; // the disk fails: the answer must be whole
    static const size_t aheads[] = {0, 1, 17, 40, SIZE_MAX};
    for (size_t split = 0; split <= text.n; split += 3) {
        for (size_t l = 0; l < ARRAY_LEN(limits); l++) {
            for (size_t i = 0; i < ARRAY_LEN(aheads); i++) {
                for (size_t room = 1; room <= 64; room = room * 4 + 3) {
                    struct buffering how = {&limits[l], aheads[i], room, split % 4, split % 2, i % 2 ? -EPROTO : 0};
                    buffered_once(&how, text, &split, split != 0);
                }
            }
        }
    }
}

TEST(buffered_answers_are_whole) {
    helpers_start(1);
    run_task(buffering_task, NULL);
    helpers_stop();
}

static void early_task(void *arg) {
    struct arena a;
    arena_init(&a, NULL);
    struct str text = text_of(200000);
    struct script_body s;
    script_init(&s, text, NULL, 0, 0);
    struct tape_limits lim = {.mem = 1000, .file = 1 << 20, .dir = "/tmp"};
    struct body *b = tape_buffered(&s.body, &lim, &a);
    struct chain c;
    chain_init(&c, loop_blocks(loop_self()));
    EXPECT_INT(body_read(b, &c, 10, BODY_WAIT), 10);
    unsigned reads = s.reads;
    EXPECT_INT(reads, 1); // straight through
    body_ahead(b);
    body_ahead(b);
    EXPECT_INT(task_sleep_ms(200), 0); // the client is slow
    EXPECT_INT(s.at, text.n);          // but the source was read to its end
    struct sbuf got;
    sbuf_init_heap(&got, 1 << 20);
    chain_text(&c, &got);
    EXPECT_INT(body_text(b, 65536, &got), 0);
    EXPECT_STR(sbuf_view(&got), text);
    body_free(b);
    sbuf_done(&got);
    chain_done(&c);
    arena_done(&a);
}

TEST(the_source_is_read_ahead_while_the_reader_is_away) {
    helpers_start(1);
    run_task(early_task, NULL);
    helpers_stop();
}

static void given_up_task(void *arg) {
    for (int pause = 0; pause < 3; pause++) {
        struct arena a;
        arena_init(&a, NULL);
        struct script_body s;
        script_init(&s, text_of(5000), NULL, 0, 0);
        s.slow = true;
        struct tape_limits lim = {.mem = 100, .dir = "/tmp"};
        struct body *b = tape_buffered(&s.body, &lim, &a);
        body_ahead(b);
        if (pause > 0)
            EXPECT_INT(task_sleep_ms((uint64_t)pause), 0); // the filler has begun, and waits for room
        body_free(b);
        EXPECT_INT(s.frees, 1);
        EXPECT(s.at < 5000 || pause > 0);
        arena_done(&a);
    }
}

TEST(giving_up_ends_the_filler) { run_task(given_up_task, NULL); }
