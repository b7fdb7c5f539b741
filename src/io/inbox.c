// Messages between threads: a list that any thread pushes to and its loop takes as a whole. No lock.
#include "io/inbox.h"
#include "io/loop_private.h"

void inbox_post(struct loop *to, struct message *m) {
    atomic_fetch_add_explicit(&to->posting, 1, memory_order_relaxed);
    m->next = atomic_load_explicit(&to->inbox, memory_order_relaxed);
    while (!atomic_compare_exchange_weak(&to->inbox, &m->next, m))
        ;
    // See sleep_for. Who takes the flag writes; the others need not.
    if (atomic_load(&to->asleep) && atomic_exchange(&to->asleep, false))
        loop_wake(to);
    atomic_fetch_sub_explicit(&to->posting, 1, memory_order_release);
}

void inbox_run(struct loop *l) {
    struct message *m = atomic_exchange_explicit(&l->inbox, NULL, memory_order_acquire), *oldest = NULL;
    while (m != NULL) {
        struct message *next = m->next;
        m->next = oldest;
        oldest = m;
        m = next;
    }
    while (oldest != NULL) {
        struct message *next = oldest->next;
        oldest->fn(oldest);
        oldest = next;
    }
}
