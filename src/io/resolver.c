// The answers that are kept, and who waits for them. A question is asked by a task of the loop that needed it first; tasks of
// all loops that need it meanwhile wait for the same answer. The task asks for nobody in particular: a request that goes away
// does not take the question with it, but one that nobody waits for ends soon.
#include "io/resolver.h"
#include "base/list.h"
#include "base/map.h"
#include "io/inbox.h"
#include "io/log.h"
#include "io/reach.h"
#include "io/resolver_private.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    ENTRIES_MAX = 8192,
    GOOD_LEAST_MS = 1000, GOOD_MOST_MS = 3600 * 1000,     // bounds of a TTL
    BAD_MS = 5000, BAD_LEAST_MS = 1000, BAD_MOST_MS = 30 * 1000, // of an answer that there is nothing
    FAILED_MS = 1000,                                      // until servers that failed are asked again
    HOSTS_MS = 10 * 1000, SYSTEM_MS = 5000,                // files of the system
    FILE_MAX = 1 << 20,
};

struct entry {
    struct list lru;          // newest first
    struct str key;           // 'a' or 's' and the name, lower case
    struct answer *answer;    // the last good one
    int result;               // of the last question
    uint64_t until_ms;        // the result holds
    bool asking;
    unsigned pins;            // who looks at it without the lock
    struct list waiters;
    char bytes[];
};

struct resolver {
    _Atomic uint32_t refs;
    struct resolver_opts o;
    bool system;
    pthread_mutex_t lock;     // of all below
    struct map entries;
    struct list lru;
    size_t count;
    unsigned preferred;       // server that answered last
    struct resolv_conf rc;
    char *hosts;              // text of /etc/hosts
    uint64_t files_ms;        // when the files were read
    struct counters counters;
};

struct waiter {
    struct message m;
    struct list node;
    struct task *task;
    struct loop *loop;
    bool told, arrived;
};

struct resolver *resolver_new(const struct resolver_opts *o) {
    struct resolver *rs = xcalloc(1, sizeof(*rs));
    atomic_init(&rs->refs, 1);
    rs->o = *o;
    rs->o.servers = NULL;
    rs->system = o->count == 0;
    rs->rc.nservers = (unsigned)MIN(o->count, (size_t)RESOLV_SERVERS);
    for (unsigned i = 0; i < rs->rc.nservers; i++)
        rs->rc.servers[i] = o->servers[i];
    pthread_mutex_init(&rs->lock, NULL);
    map_init(&rs->entries, false, (uint64_t)(uintptr_t)rs);
    list_init(&rs->lru);
    return rs;
}

struct resolver *resolver_ref(struct resolver *rs) {
    atomic_fetch_add_explicit(&rs->refs, 1, memory_order_relaxed);
    return rs;
}

static void entry_free(struct resolver *rs, struct entry *e) {
    map_del(&rs->entries, e->key);
    list_remove(&e->lru);
    rs->count--;
    free(e->answer);
    free(e);
}

void resolver_unref(struct resolver *rs) {
    if (rs == NULL || atomic_fetch_sub_explicit(&rs->refs, 1, memory_order_acq_rel) != 1)
        return;
    list_each_safe(e, &rs->lru, struct entry, lru) {
        entry_free(rs, e);
    }
    map_done(&rs->entries);
    pthread_mutex_destroy(&rs->lock);
    free(rs->hosts);
    free(rs);
}

const char *resolver_error(int err) {
    switch (err) {
    case -ENOENT:
        return "Host not found";
    case -ETIMEDOUT:
        return "Operation timed out";
    case -EINVAL:
        return "Invalid name";
    case -ECANCELED:
        return "Cancelled";
    default:
        return "Server failure";
    }
}

int resolver_rcode(int err) { return err == -ENOENT ? 3 : err == -ETIMEDOUT ? 110 : err == -EINVAL ? 1 : 2; }

void resolver_counters(struct resolver *rs, struct resolver_stats *to) {
    struct counters *c = &rs->counters;
    *to = (struct resolver_stats){c->name,     c->srv,      c->rcode[0], c->rcode[1], c->rcode[2],
                                  c->rcode[3], c->rcode[4], c->rcode[5], c->timedout, c->unknown};
}

// --- entries ---------------------------------------------------------------------------------------------------------------------

static bool in_use(const struct entry *e) { return e->asking || e->pins != 0 || !list_empty(&e->waiters); }

// Room for one more: the one used longest ago that nobody needs goes.
static void make_room(struct resolver *rs) {
    if (rs->count < ENTRIES_MAX)
        return;
    for (struct list *l = rs->lru.prev; l != &rs->lru; l = l->prev) {
        struct entry *e = container_of(l, struct entry, lru);
        if (!in_use(e)) {
            entry_free(rs, e);
            return;
        }
    }
}

static struct entry *find(struct resolver *rs, bool srv, struct str name) {
    char key[DNS_NAME_MAX + 2];
    key[0] = srv ? 's' : 'a';
    for (size_t i = 0; i < name.n; i++)
        key[i + 1] = (char)ascii_lower((unsigned char)name.p[i]);
    struct str k = str_n(key, name.n + 1);
    struct entry *e = map_get(&rs->entries, k);
    if (e != NULL) {
        list_remove(&e->lru);
        list_push_front(&rs->lru, &e->lru);
        return e;
    }
    make_room(rs);
    e = xcalloc(1, sizeof(*e) + k.n);
    memcpy(e->bytes, k.p, k.n);
    e->key = str_n(e->bytes, k.n);
    list_init(&e->waiters);
    list_push_front(&rs->lru, &e->lru);
    map_put(&rs->entries, e->key, e);
    rs->count++;
    return e;
}

// --- asking ------------------------------------------------------------------------------------------------------------------------

struct file_read {
    const char *path;
    char *text; // NUL-terminated, or NULL
    size_t n;
};

static int read_file(void *arg) {
    struct file_read *f = arg;
    int fd = reach_open(f->path, O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    f->text = xmalloc(FILE_MAX + 1);
    ssize_t n;
    while (f->n < FILE_MAX && (n = read(fd, f->text + f->n, FILE_MAX - f->n)) > 0)
        f->n += (size_t)n;
    close(fd);
    f->text = xrealloc(f->text, f->n + 1);
    f->text[f->n] = '\0';
    return 0;
}

// The files of the system, read again when what is known of them is old. Waits.
static void refresh_files(struct resolver *rs) {
    uint64_t now = loop_now(loop_self());
    pthread_mutex_lock(&rs->lock);
    bool fresh = rs->files_ms != 0 && now - rs->files_ms < SYSTEM_MS;
    pthread_mutex_unlock(&rs->lock);
    if (fresh)
        return;
    struct file_read conf = {.path = "/etc/resolv.conf"}, hosts = {.path = "/etc/hosts"};
    helper_run(read_file, &conf);
    helper_run(read_file, &hosts);
    pthread_mutex_lock(&rs->lock);
    resolv_parse(&rs->rc, str_n(conf.text, conf.n));
    free(rs->hosts);
    rs->hosts = hosts.text;
    rs->files_ms = now;
    pthread_mutex_unlock(&rs->lock);
    free(conf.text);
}

// Whether the host has a way to IPv6 addresses at all: asked by connecting a socket that sends nothing.
static bool have_ipv6(void) {
    struct sockaddr_in6 far = {.sin6_family = AF_INET6, .sin6_port = htons(53), .sin6_addr.s6_addr = {0x20, 0x01, [15] = 1}};
    int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool have = fd >= 0 && connect(fd, (const struct sockaddr *)&far, sizeof(far)) == 0;
    if (fd >= 0)
        close(fd);
    return have;
}

struct job {
    struct resolver *rs; // counted
    struct entry *e;     // asking
    struct resolv_conf rc;
};

static bool nobody_waits(void *arg) {
    struct job *j = arg;
    pthread_mutex_lock(&j->rs->lock);
    bool nobody = list_empty(&j->e->waiters);
    pthread_mutex_unlock(&j->rs->lock);
    return nobody;
}

// From /etc/hosts. True when the name is there.
static bool ask_hosts(struct job *j, struct question *q) {
    struct addr_full found[16], kept[16];
    size_t n = 0;
    pthread_mutex_lock(&j->rs->lock);
    unsigned all = j->rs->hosts == NULL ? 0 : hosts_find(str_c(j->rs->hosts), q->name, found, ARRAY_LEN(found));
    pthread_mutex_unlock(&j->rs->lock);
    for (int family = 0; family < 2; family++)
        for (unsigned i = 0; i < all; i++)
            if (found[i].sa.sa_family == (family == 0 ? AF_INET : AF_INET6) && (family == 0 ? q->ipv4 : q->ipv6))
                kept[n++] = found[i];
    if (n == 0)
        return false;
    q->answer = answer_new(n, 0, 0);
    memcpy(q->answer->addrs, kept, n * sizeof(kept[0]));
    q->result = 0;
    q->ttl_ms = HOSTS_MS;
    return true;
}

static uint64_t how_long(const struct resolver *rs, const struct question *q) {
    if (q->result == 0 && rs->o.valid_ms != 0)
        return rs->o.valid_ms;
    if (q->result == 0)
        return q->ttl_ms == UINT64_MAX ? BAD_MS : MIN(MAX(q->ttl_ms, (uint64_t)GOOD_LEAST_MS), (uint64_t)GOOD_MOST_MS);
    if (q->result == -ENOENT)
        return q->ttl_ms == UINT64_MAX ? BAD_MS : MIN(MAX(q->ttl_ms, (uint64_t)BAD_LEAST_MS), (uint64_t)BAD_MOST_MS);
    return q->result == -ECANCELED ? 0 : FAILED_MS;
}

static void arrive(struct message *m) {
    struct waiter *w = container_of(m, struct waiter, m);
    w->arrived = true;
    task_wake(w->task);
}

static void deliver(struct job *j, struct question *q) {
    struct resolver *rs = j->rs;
    struct entry *e = j->e;
    pthread_mutex_lock(&rs->lock);
    e->asking = false;
    e->result = q->result;
    e->until_ms = loop_now(loop_self()) + how_long(rs, q);
    if (q->result == 0) {
        free(e->answer);
        e->answer = q->answer;
        rs->preferred = q->last;
    } else if (q->result == -ETIMEDOUT || q->result == -EIO) {
        rs->preferred++;
    }
    list_each_safe(w, &e->waiters, struct waiter, node) {
        list_remove(&w->node);
        e->pins++; // until it has looked
        w->told = true;
        inbox_post(w->loop, &w->m);
    }
    pthread_mutex_unlock(&rs->lock);
}

static void ask_task(void *arg) {
    struct job *j = arg;
    struct resolver *rs = j->rs;
    log_set_context(NULL);
    if (rs->system)
        refresh_files(rs);
    pthread_mutex_lock(&rs->lock);
    j->rc = rs->rc;
    unsigned first = rs->preferred;
    pthread_mutex_unlock(&rs->lock);
    struct question q = {.srv = j->e->key.p[0] == 's', .ipv4 = rs->o.ipv4, .ipv6 = rs->o.ipv6 && (!rs->system || have_ipv6()), .name = str_from(j->e->key, 1),
                         .rc = &j->rc, .search = rs->system, .first = first, .given_up = nobody_waits, .arg = j,
                         .counters = &rs->counters};
    if (!(rs->system && !q.srv && ask_hosts(j, &q)))
        question_ask(&q);
    deliver(j, &q);
    resolver_unref(rs);
    free(j);
}

// The lock is held. False: no task can be had.
static bool start(struct resolver *rs, struct entry *e) {
    struct job *j = xcalloc(1, sizeof(*j));
    j->rs = resolver_ref(rs);
    j->e = e;
    e->asking = true;
    if (task_new(ask_task, j, "resolver") != NULL)
        return true;
    e->asking = false;
    atomic_fetch_sub_explicit(&rs->refs, 1, memory_order_relaxed); // the caller has another
    free(j);
    return false;
}

// --- waiting -----------------------------------------------------------------------------------------------------------------------

// The lock is held, and again afterwards. 0 when the question was answered, else -errno.
static int wait_for(struct resolver *rs, struct entry *e, uint64_t timeout_ms) {
    struct waiter w = {.m = {.fn = arrive}, .task = task_self(), .loop = loop_self()};
    uint64_t until = loop_now(w.loop) + timeout_ms;
    if (!e->asking && !start(rs, e))
        return -ENOMEM;
    list_push_back(&e->waiters, &w.node);
    pthread_mutex_unlock(&rs->lock);
    int err = 0;
    while (!w.arrived && err == 0)
        err = task_park(until);
    pthread_mutex_lock(&rs->lock);
    if (!w.told) {
        list_remove(&w.node);
        return err;
    }
    pthread_mutex_unlock(&rs->lock);
    task_shield(true); // the message is on this stack
    while (!w.arrived)
        task_park(UINT64_MAX);
    task_shield(false);
    pthread_mutex_lock(&rs->lock);
    e->pins--;
    return err == -ECANCELED ? err : 0;
}

// The lock is held.
static void copy_answer(const struct entry *e, uint64_t now, struct arena *a, struct resolved *out) {
    const struct answer *from = e->answer;
    *out = (struct resolved){.fresh_ms = e->until_ms > now ? e->until_ms - now : 0, .stale = e->result};
    out->addrs.count = from->naddrs;
    out->addrs.at = arena_array(a, struct addr_full, MAX(from->naddrs, (size_t)1));
    memcpy(out->addrs.at, from->addrs, from->naddrs * sizeof(struct addr_full));
    out->nservices = from->nservices;
    out->services = arena_array(a, struct service, MAX(from->nservices, (size_t)1));
    for (size_t i = 0; i < from->nservices; i++) {
        out->services[i] = from->services[i];
        out->services[i].target = arena_dup(a, from->services[i].target);
    }
}

static int resolve(struct resolver *rs, bool srv, struct str name, uint64_t timeout_ms, struct arena *a,
                   struct resolved *out) {
    uint64_t now = loop_now(loop_self());
    *out = (struct resolved){0};
    if (!dns_name_ok(name) || (!rs->o.ipv4 && !rs->o.ipv6))
        return -EINVAL;
    atomic_fetch_add_explicit(srv ? &rs->counters.srv : &rs->counters.name, 1, memory_order_relaxed);
    pthread_mutex_lock(&rs->lock);
    struct entry *e = find(rs, srv, name);
    int err = e->until_ms > now ? 0 : wait_for(rs, e, timeout_ms);
    now = loop_now(loop_self());
    if (err == 0)
        err = e->result;
    else
        out->fresh_ms = FAILED_MS;
    if (err != 0 && err != -ECANCELED && err != -ENOENT && e->answer != NULL) {
        copy_answer(e, now, a, out);
        out->stale = err;
        err = 0;
    } else if (err == 0) {
        copy_answer(e, now, a, out);
    } else if (e->until_ms > now) {
        out->fresh_ms = e->until_ms - now;
    }
    pthread_mutex_unlock(&rs->lock);
    return err;
}

int resolver_addresses(struct resolver *rs, struct str name, uint64_t timeout_ms, struct arena *a, struct resolved *out) {
    return resolve(rs, false, name, timeout_ms, a, out);
}

int resolver_services(struct resolver *rs, struct str name, uint64_t timeout_ms, struct arena *a, struct resolved *out) {
    return resolve(rs, true, name, timeout_ms, a, out);
}
