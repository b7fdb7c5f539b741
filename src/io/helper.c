// Helper threads: blocking work, taken from one queue. The results come back as messages.
#include "io/inbox.h"
#include "io/loop_private.h"
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

struct work {
    struct work *next;
    int (*fn)(void *arg);        // helper_run
    void (*fn_post)(void *arg);  // helper_post
    void *arg;
    struct loop *loop; // of the waiting task
    struct task *task;
    bool done;
    int result;
    struct message back;
};

static struct {
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct work *head, **tail;
    pthread_t *threads;
    unsigned count;
    bool stopping;
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER, .more = PTHREAD_COND_INITIALIZER};

static void on_back(struct message *m) {
    struct work *w = container_of(m, struct work, back);
    w->done = true;
    task_wake(w->task);
}

static void work_do(struct work *w) {
    if (w->fn_post != NULL) {
        w->fn_post(w->arg);
        free(w);
        return;
    }
    w->result = w->fn(w->arg);
    w->back.fn = on_back;
    inbox_post(w->loop, &w->back); // w is the task's again
}

static void *helper_main(void *unused) {
    pthread_mutex_lock(&pool.lock);
    for (;;) {
        while (pool.head == NULL && !pool.stopping)
            pthread_cond_wait(&pool.more, &pool.lock);
        struct work *w = pool.head;
        if (w == NULL)
            break;
        if ((pool.head = w->next) == NULL)
            pool.tail = &pool.head;
        pthread_mutex_unlock(&pool.lock);
        work_do(w);
        pthread_mutex_lock(&pool.lock);
    }
    pthread_mutex_unlock(&pool.lock);
    return NULL;
}

// False when there are no helpers (any more): the caller does the work itself.
static bool work_queue(struct work *w) {
    pthread_mutex_lock(&pool.lock);
    bool ok = pool.count > 0 && !pool.stopping;
    if (ok) {
        w->next = NULL;
        *pool.tail = w;
        pool.tail = &w->next;
        pthread_cond_signal(&pool.more);
    }
    pthread_mutex_unlock(&pool.lock);
    return ok;
}

int helper_run(int (*fn)(void *arg), void *arg) {
    struct task *t = task_self();
    if (t == NULL)
        return fn(arg);
    struct work w = {.fn = fn, .arg = arg, .loop = t->loop, .task = t};
    if (!work_queue(&w))
        return fn(arg);
    bool shielded = t->shielded;
    t->shielded = true;
    while (!w.done)
        task_park(UINT64_MAX);
    t->shielded = shielded;
    t->woken = true; // a wake may have been somebody else's: who waits next looks for itself
    return w.result;
}

bool helper_offer(void (*fn)(void *arg), void *arg) {
    struct work *w = xcalloc(1, sizeof(*w));
    w->fn_post = fn;
    w->arg = arg;
    bool taken = work_queue(w);
    if (!taken)
        free(w);
    return taken;
}

void helper_post(void (*fn)(void *arg), void *arg) {
    if (!helper_offer(fn, arg))
        fn(arg);
}

void helpers_start(unsigned threads) {
    CHECK(pool.count == 0 && threads > 0);
    pool.tail = &pool.head;
    pool.stopping = false;
    pool.threads = xcalloc(threads, sizeof(*pool.threads));
    sigset_t all, old; // signals are for the thread that waits for them
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    unsigned made = 0;
    while (made < threads && pthread_create(&pool.threads[made], NULL, helper_main, NULL) == 0)
        made++;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_mutex_lock(&pool.lock);
    pool.count = made;
    pthread_mutex_unlock(&pool.lock);
}

void helpers_stop(void) {
    pthread_mutex_lock(&pool.lock);
    pool.stopping = true;
    pthread_t *threads = pool.threads;
    unsigned count = pool.count;
    pool.threads = NULL;
    pool.count = 0; // loops may still ask
    pthread_cond_broadcast(&pool.more);
    pthread_mutex_unlock(&pool.lock);
    for (unsigned i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
    free(threads);
}
