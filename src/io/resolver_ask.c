// One question to name servers: over UDP, from a port of its own for each try (which makes forged answers hard to place), over
// TCP when the answer does not fit. Servers are tried in turn, ever more patiently.
#include "io/connect.h"
#include "io/loop.h"
#include "io/resolver_private.h"
#include <stdlib.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FIRST_TRY_MS = 1000, LAST_TRY_MS = 4000, IN_ALL_MS = 20 * 1000, STEP_MS = 250, MESSAGE_MAX = 65535, SERVICES_MAX = 64 };

// What is known of one type of record.
struct part {
    enum dns_type type;
    uint16_t id;
    bool done;          // an answer, good or bad, is there
    struct dns_answer a;
};

struct asking {
    struct question *q;
    const char *name;   // the candidate
    struct part *parts; // [nparts]
    unsigned nparts;
    char *message;      // [MESSAGE_MAX]
};

static void count(struct question *q, unsigned rcode) {
    if (q->counters != NULL)
        atomic_fetch_add_explicit(rcode < 6 ? &q->counters->rcode[rcode] : &q->counters->unknown, 1, memory_order_relaxed);
}

static bool all_done(const struct asking *as) {
    for (unsigned i = 0; i < as->nparts; i++)
        if (!as->parts[i].done)
            return false;
    return true;
}

static struct str put_query(const struct asking *as, const struct part *p, struct sbuf *b, char *to, size_t room) {
    sbuf_init_fixed(b, to, room);
    dns_put_query(b, p->id, str_c(as->name), p->type);
    return sbuf_view(b);
}

// --- TCP -------------------------------------------------------------------------------------------------------------------------

static int read_whole(struct link *l, char *to, size_t n, uint64_t until) {
    for (size_t got = 0; got < n;) {
        uint64_t now = loop_now(loop_self());
        ssize_t r = now >= until ? -ETIMEDOUT : link_read_into(l, to + got, n - got, until - now);
        if (r <= 0)
            return r == 0 ? -EPIPE : (int)r;
        got += (size_t)r;
    }
    return 0;
}

static int ask_tcp(struct asking *as, struct part *p, const struct addr_full *server, uint64_t timeout_ms) {
    int err = 0;
    uint64_t until = loop_now(loop_self()) + timeout_ms;
    struct link *l = connect_to(server, NULL, timeout_ms, &err);
    if (l == NULL)
        return err;
    char query[2 + DNS_QUERY_MAX];
    struct sbuf b;
    struct str q = put_query(as, p, &b, query + 2, DNS_QUERY_MAX);
    query[0] = (char)(q.n >> 8);
    query[1] = (char)q.n;
    struct chain out;
    chain_init(&out, loop_blocks(loop_self()));
    chain_add_copy(&out, str_n(query, q.n + 2));
    ssize_t n = link_write(l, &out, timeout_ms);
    chain_done(&out);
    unsigned char head[2];
    err = n < 0 ? (int)n : read_whole(l, (char *)head, 2, until);
    size_t len = (size_t)head[0] << 8 | head[1];
    if (err == 0)
        err = read_whole(l, as->message, len, until);
    link_free(l);
    if (err != 0)
        return err;
    if (dns_parse(&p->a, str_n(as->message, len), p->id, str_c(as->name), p->type) != DNS_ANSWER || p->a.truncated)
        return -EPROTO;
    p->done = true;
    count(as->q, p->a.rcode);
    return 0;
}

// --- UDP -------------------------------------------------------------------------------------------------------------------------

static struct link *udp_link(const struct addr_full *server, int *err) {
    int fd = socket(server->sa.sa_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, &server->sa, server->len) != 0) {
        *err = -errno;
        if (fd >= 0)
            close(fd);
        return NULL;
    }
    struct link *l = link_new_fd(fd, &server->sa);
    *err = l == NULL ? -errno : 0;
    return l;
}

// One datagram. A link takes bytes for a stream, so what is queued already is looked for first.
static ssize_t next_datagram(struct link *l, char *to, size_t room, uint64_t timeout_ms) {
    ssize_t n = recv(link_fd(l), to, room, MSG_DONTWAIT);
    if (n >= 0)
        return n;
    return errno == EAGAIN ? link_read_into(l, to, room, timeout_ms) : -errno;
}

static int take_answer(struct asking *as, struct str message, const struct addr_full *server, uint64_t timeout_ms) {
    for (unsigned i = 0; i < as->nparts; i++) {
        struct part *p = &as->parts[i];
        if (p->done || dns_parse(&p->a, message, p->id, str_c(as->name), p->type) != DNS_ANSWER)
            continue;
        if (p->a.truncated)
            return ask_tcp(as, p, server, timeout_ms);
        p->done = true;
        count(as->q, p->a.rcode);
        return 0;
    }
    return 0; // something else: a late answer, or a forged one
}

static int send_queries(struct asking *as, struct link *l) {
    char query[DNS_QUERY_MAX];
    struct sbuf b;
    for (unsigned i = 0; i < as->nparts; i++) {
        if (as->parts[i].done)
            continue;
        if (getrandom(&as->parts[i].id, sizeof(as->parts[i].id), 0) != sizeof(as->parts[i].id))
            return -EIO;
        struct str q = put_query(as, &as->parts[i], &b, query, sizeof(query));
        if (send(link_fd(l), q.p, q.n, MSG_NOSIGNAL) < 0 && errno != EAGAIN)
            return -errno;
    }
    return 0;
}

static int ask_server(struct asking *as, const struct addr_full *server, uint64_t timeout_ms) {
    int err = 0;
    struct link *l = udp_link(server, &err);
    if (l == NULL)
        return err;
    uint64_t until = loop_now(loop_self()) + timeout_ms;
    err = send_queries(as, l);
    while (err == 0 && !all_done(as)) {
        uint64_t now = loop_now(loop_self());
        if (now >= until || as->q->given_up(as->q->arg)) {
            err = -ETIMEDOUT;
            break;
        }
        ssize_t n = next_datagram(l, as->message, MESSAGE_MAX, MIN(until - now, (uint64_t)STEP_MS));
        if (n > 0)
            err = take_answer(as, str_n(as->message, (size_t)n), server, until - now);
        else if (n < 0 && n != -ETIMEDOUT)
            err = (int)n;
    }
    link_free(l);
    return err;
}

// A server that could not tell (SERVFAIL, REFUSED...) leaves the question to the next one.
static void forget_failures(struct asking *as) {
    for (unsigned i = 0; i < as->nparts; i++)
        if (as->parts[i].done && as->parts[i].a.rcode != DNS_OK && as->parts[i].a.rcode != DNS_NXDOMAIN)
            as->parts[i].done = false;
}

static bool any_of(const struct asking *as, bool records) {
    for (unsigned i = 0; i < as->nparts; i++)
        if (as->parts[i].done && (!records || as->parts[i].a.count != 0))
            return true;
    return false;
}

// Until every part has an answer, or, after each server was asked, at least one has records. 0, or the last error.
static int ask_servers(struct asking *as) {
    struct question *q = as->q;
    uint64_t end = loop_now(loop_self()) + IN_ALL_MS, patience = FIRST_TRY_MS;
    int err = -EIO;
    for (unsigned n = 0; loop_now(loop_self()) < end && !q->given_up(q->arg); n++) {
        unsigned at = (q->first + n) % q->rc->nservers;
        uint64_t before = loop_now(loop_self());
        err = ask_server(as, &q->rc->servers[at], patience);
        if (err == -ECANCELED)
            return err;
        if (err == -ETIMEDOUT && q->counters != NULL)
            atomic_fetch_add_explicit(&q->counters->timedout, 1, memory_order_relaxed);
        bool answered = all_done(as);
        forget_failures(as);
        if (all_done(as)) {
            q->last = at;
            return 0;
        }
        if ((n + 1) % q->rc->nservers != 0)
            continue;
        patience = MIN(patience * 2, (uint64_t)LAST_TRY_MS);
        if (any_of(as, true))
            return 0;
        if (answered) // each server has said that it cannot tell
            return -EIO;
        if (loop_now(loop_self()) - before < STEP_MS && task_sleep_ms(STEP_MS) < 0)
            return -ECANCELED;
    }
    return any_of(as, true) ? 0 : err;
}

// --- the answer ------------------------------------------------------------------------------------------------------------------

struct answer *answer_new(size_t naddrs, size_t nservices, size_t text) {
    size_t head = (sizeof(struct answer) + 15) & ~(size_t)15;
    char *p = xcalloc(1, head + naddrs * sizeof(struct addr_full) + nservices * sizeof(struct service) + text);
    struct answer *a = (struct answer *)p;
    a->addrs = (struct addr_full *)(p + head);
    a->services = (struct service *)(p + head + naddrs * sizeof(struct addr_full));
    a->naddrs = naddrs;
    a->nservices = nservices;
    return a;
}

char *answer_targets(struct answer *a) { return (char *)(a->services + a->nservices); }

static void take_addresses(struct answer *to, const struct asking *as) {
    to->naddrs = 0;
    for (unsigned i = 0; i < as->nparts; i++) {
        const struct part *p = &as->parts[i];
        for (unsigned k = 0; p->done && k < p->a.count && to->naddrs < ADDRESSES_MAX; k++) {
            struct addr_full *at = &to->addrs[to->naddrs++];
            *at = (struct addr_full){0};
            if (p->type == DNS_A) {
                at->in4.sin_family = AF_INET;
                memcpy(&at->in4.sin_addr, p->a.at[k].addr, 4);
                at->len = sizeof(at->in4);
            } else {
                at->in6.sin6_family = AF_INET6;
                memcpy(&at->in6.sin6_addr, p->a.at[k].addr, 16);
                at->len = sizeof(at->in6);
            }
        }
    }
}

static int by_priority(const void *a, const void *b) {
    const struct service *x = a, *y = b;
    if (x->priority != y->priority)
        return x->priority < y->priority ? -1 : 1;
    return str_cmp(x->target, y->target);
}

static struct answer *take_services(const struct dns_answer *d) {
    size_t n = MIN(d->count, (unsigned)SERVICES_MAX), text = 0;
    for (size_t i = 0; i < n; i++)
        text += strlen(d->at[i].target) + 1;
    struct answer *to = answer_new(0, n, text);
    char *put = answer_targets(to);
    for (size_t i = 0; i < n; i++) {
        size_t len = strlen(d->at[i].target);
        memcpy(put, d->at[i].target, len + 1);
        to->services[i] = (struct service){str_n(put, len), d->at[i].priority, d->at[i].weight, d->at[i].port};
        put += len + 1;
    }
    qsort(to->services, n, sizeof(to->services[0]), by_priority);
    return to;
}

// What the parts say together.
static void conclude(struct asking *as) {
    struct question *q = as->q;
    size_t found = 0;
    q->ttl_ms = UINT64_MAX;
    for (unsigned i = 0; i < as->nparts; i++)
        found += as->parts[i].done ? as->parts[i].a.count : 0;
    for (unsigned i = 0; i < as->nparts; i++) {
        const struct dns_answer *a = &as->parts[i].a;
        // A negative answer for one family does not shorten the life of the other's addresses.
        if (as->parts[i].done && a->has_ttl && (found == 0 || a->count != 0))
            q->ttl_ms = MIN(q->ttl_ms, (uint64_t)a->ttl * 1000);
    }
    q->result = found == 0 ? -ENOENT : 0;
    if (found == 0)
        return;
    if (q->srv) {
        q->answer = take_services(&as->parts[0].a);
    } else {
        q->answer = answer_new(MIN(found, (size_t)ADDRESSES_MAX), 0, 0);
        take_addresses(q->answer, as);
    }
}

void question_ask(struct question *q) {
    char name[DNS_NAME_MAX + 1];
    struct asking as = {.q = q, .name = name};
    as.parts = xcalloc(2, sizeof(*as.parts));
    as.message = xmalloc(MESSAGE_MAX);
    q->result = -EINVAL;
    q->ttl_ms = UINT64_MAX;
    for (unsigned i = 0; q->result != 0 && q->result != -ECANCELED; i++) {
        if (q->search ? !resolv_candidate(q->rc, q->name, i, name) : i > 0)
            break;
        if (!q->search) {
            memcpy(name, q->name.p, q->name.n);
            name[q->name.n] = '\0';
        }
        if (name[0] == '\0')
            continue;
        as.nparts = 0;
        if (q->srv)
            as.parts[as.nparts++] = (struct part){.type = DNS_SRV};
        if (!q->srv && q->ipv4)
            as.parts[as.nparts++] = (struct part){.type = DNS_A};
        if (!q->srv && q->ipv6)
            as.parts[as.nparts++] = (struct part){.type = DNS_AAAA};
        int err = ask_servers(&as);
        if (err == 0)
            conclude(&as);
        else
            q->result = err == -ECANCELED || err == -ETIMEDOUT ? err : -EIO;
        if (q->result == -ETIMEDOUT || q->result == -EIO)
            break; // the next name would meet the same servers
    }
    free(as.parts);
    free(as.message);
}
