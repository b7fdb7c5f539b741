// Links over TLS: reading and writing. One BIO for each loop is the wire of all its connections: what OpenSSL writes gathers
// in memory, so that many records go out in one send; what came in one receive is read from memory.
//
// Plain text counts as written when its records are in the kernel. Until then it stays in the writer's chain, and `owed`
// says how much of the chain's front is sealed already: so nothing is lost when a link is closed, and nothing is written
// twice.
#include "io/tls_private.h"
#include <openssl/err.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
    OUT_MAX = 128 << 10,      // plain bytes sealed before they are sent
    WRITE_MAX = 1 << 20,      // of one call: others want their turn
    RECORD_SMALL = 1400,      // fits a segment
    RECORD_EXTRA = 48,        // header, tag and padding of a record, at most
    FIRST_WINDOW = 14 << 10,  // bytes in small records: what goes out before the first acknowledgement
    PAUSE_MS = 1000,          // after which the window is small again
};

// --- the BIO -------------------------------------------------------------------------------------------------------------

static int bio_write(BIO *b, const char *p, int n) {
    struct tls_loop *loop = BIO_get_data(b);
    struct tls *t = tls_of(loop->current);
    BIO_clear_retry_flags(b);
    if (t->out.bytes > TLS_OUT_HARD) {
        t->io_err = -ENOBUFS;
        return -1;
    }
    if (chain_empty(&t->out) && loop->hint > (size_t)n) {
        struct block *block = block_new(t->out.pool, loop->hint);
        memcpy(block->data, p, (size_t)n);
        chain_give_block(&t->out, block, block->data, (size_t)n);
    } else {
        chain_add_copy(&t->out, str_n(p, (size_t)n));
    }
    return n;
}

static void drop_in(struct tls *t) {
    block_unref(t->in);
    t->in = NULL;
    t->in_at = t->in_end = 0;
}

// More cipher text: what lower links' read gives.
static ssize_t receive(struct link *l, struct tls *t) {
    if (!l->readable)
        return -EAGAIN;
    size_t want = t->greedy ? TLS_IN_LARGE : TLS_IN_SMALL;
    t->in = block_new(l->loop->blocks, want);
    ssize_t n = t->lower->read(l, t->in->data, want);
    if (n <= 0) {
        drop_in(t);
        return n;
    }
    t->greedy = (size_t)n == want;
    t->in_at = 0;
    t->in_end = (uint32_t)n;
    return n;
}

static int bio_read(BIO *b, char *to, int n) {
    struct tls_loop *loop = BIO_get_data(b);
    struct link *l = loop->current;
    struct tls *t = tls_of(l);
    BIO_clear_retry_flags(b);
    if (t->in == NULL) {
        ssize_t r = receive(l, t);
        if (r == 0) {
            t->ended = true;
            return 0;
        }
        if (r < 0) {
            t->io_err = (int)r;
            if (r == -EAGAIN)
                BIO_set_retry_read(b);
            return -1;
        }
    }
    uint32_t k = MIN((uint32_t)n, t->in_end - t->in_at);
    memcpy(to, t->in->data + t->in_at, k);
    t->in_at += k;
    if (t->in_at == t->in_end)
        drop_in(t);
    return (int)k;
}

static long bio_ctrl(BIO *b, int command, long number, void *p) {
    struct tls_loop *loop = BIO_get_data(b);
    switch (command) {
    case BIO_CTRL_FLUSH:
        return 1;
    case BIO_CTRL_EOF:
        return loop->current != NULL && tls_of(loop->current)->ended;
    default:
        return 0;
    }
}

static BIO_METHOD *bio_method;
static void make_method(void) {
    bio_method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "weir link");
    CHECK(bio_method != NULL);
    BIO_meth_set_write(bio_method, bio_write);
    BIO_meth_set_read(bio_method, bio_read);
    BIO_meth_set_ctrl(bio_method, bio_ctrl);
}

BIO *tls_bio_new(struct tls_loop *t) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_method);
    BIO *b = BIO_new(bio_method);
    if (b != NULL) {
        BIO_set_data(b, t);
        BIO_set_init(b, 1);
    }
    return b;
}

// --- results ---------------------------------------------------------------------------------------------------------------

void tls_fail(struct tls_failure *why, int level, int err, const char *text) {
    if (why == NULL)
        return;
    why->level = level;
    why->err = err;
    struct sbuf b;
    sbuf_init_fixed(&b, why->text, sizeof why->text);
    sbuf_str(&b, str_c(text));
    sbuf_cstr(&b);
}

// A call of OpenSSL's that failed; what it said goes with it.
void tls_fail_call(struct tls_failure *why, int level, int err, const char *call) {
    if (why != NULL) {
        why->level = level;
        why->err = err;
        struct sbuf b;
        sbuf_init_fixed(&b, why->text, sizeof why->text);
        sbuf_printf(&b, "%s() failed", call);
        tls_errors(&b);
        sbuf_cstr(&b);
    }
    ERR_clear_error();
}

// What a peer can make happen is no trouble of ours; anything outside of the protocol is.
static int level_of(unsigned long e, bool server) {
    if (!server)
        return LOG_ERR;
    return ERR_GET_LIB(e) == ERR_LIB_SSL && ERR_GET_REASON(e) != SSL_R_CALLBACK_FAILED ? LOG_INFO : LOG_CRIT;
}

int tls_result(struct link *l, int ret, const char *call, struct tls_failure *why) {
    struct tls *t = tls_of(l);
    if (t->io_err == -EAGAIN && SSL_want_read(t->ssl))
        return -EAGAIN;
    // A fatal alert is no end, though OpenSSL counts it as one.
    if ((SSL_get_shutdown(t->ssl) & SSL_RECEIVED_SHUTDOWN) && ERR_peek_error() == 0) {
        t->ended = true;
        if (t->shaking) {
            tls_fail(why, LOG_INFO, 0, "peer closed connection in SSL handshake");
            t->failed = true;
            return -EPIPE;
        }
        return 0;
    }
    t->failed = true;
    unsigned long e = ERR_peek_error();
    if (t->io_err != 0 || (e == 0 && t->ended)) {
        int err = t->io_err != 0 ? t->io_err : -EPIPE;
        ERR_clear_error();
        if (t->shaking)
            tls_fail(why, LOG_INFO, t->ended ? 0 : -err, "peer closed connection in SSL handshake");
        else
            tls_fail_call(why, LOG_INFO, -err, call);
        return err;
    }
    tls_fail_call(why, e == 0 ? LOG_INFO : level_of(e, SSL_is_server(t->ssl)), 0, call);
    return -EPROTO;
}

void tls_errors(struct sbuf *to) {
    if (ERR_peek_error() == 0)
        return;
    sbuf_lit(to, " (SSL:");
    const char *data;
    int flags;
    unsigned long e;
    while ((e = ERR_get_error_all(NULL, NULL, NULL, &data, &flags)) != 0) {
        char text[200];
        ERR_error_string_n(e, text, sizeof text);
        sbuf_printf(to, " %s", text);
        if ((flags & ERR_TXT_STRING) != 0 && *data != '\0')
            sbuf_printf(to, ":%s", data);
    }
    sbuf_chr(to, ')');
}

// --- early data ------------------------------------------------------------------------------------------------------------

// RFC 8446 4.2.10: what a client sends with its first flight. Bytes, 0 when there are no more, or -1.
static int read_early(struct link *l, char *to, size_t n) {
    struct tls *t = tls_of(l);
    size_t got = 0;
    switch (SSL_read_early_data(t->ssl, to, n, &got)) {
    case SSL_READ_EARLY_DATA_SUCCESS:
        return (int)got;
    case SSL_READ_EARLY_DATA_FINISH:
        t->early = false;
        return 0;
    default:
        return -1;
    }
}

// Until the client's Finished is here.
static int write_early(struct tls *t, const char *p, size_t n) {
    if (SSL_is_init_finished(t->ssl)) {
        t->early_write = false;
        return SSL_write(t->ssl, p, (int)n);
    }
    size_t written = 0;
    return SSL_write_early_data(t->ssl, p, n, &written) == 1 ? (int)written : -1;
}

// --- reading ---------------------------------------------------------------------------------------------------------------

static bool tls_pending(const struct link *l) {
    const struct tls *t = l->tls;
    if (t->ssl == NULL)
        return !t->failed && (t->to_tell || tls_records_pending(t));
    return !t->failed && (t->in != NULL || t->to_tell || SSL_pending(t->ssl) > 0);
}

// --- what waits ------------------------------------------------------------------------------------------------------------

static void unhold(struct tls *t) {
    if (t->hold)
        list_remove(&t->holding);
    t->hold = false;
}

// Nobody asked within TLS_HOLD_MS.
static void release(struct timer *timer) {
    struct tls_loop *loop = container_of(timer, struct tls_loop, release);
    while (!list_empty(&loop->holding)) {
        struct tls *t = list_first(&loop->holding, struct tls, holding);
        struct link *l = t->link;
        if (l->loop->now < t->hold_ms + TLS_HOLD_MS) {
            timer_set(l->loop, timer, t->hold_ms + TLS_HOLD_MS);
            return;
        }
        unhold(t);
        tls_flush(l, false);
    }
}

void tls_hold_init(struct tls_loop *loop) {
    list_init(&loop->holding);
    timer_init(&loop->release, release);
}

void tls_hold(struct link *l) {
    struct tls *t = tls_of(l);
    struct tls_loop *loop = tls_loop();
    if (chain_empty(&t->out) || t->hold)
        return;
    if (list_empty(&loop->holding))
        timer_set(l->loop, &loop->release, l->loop->now + TLS_HOLD_MS);
    t->hold = true;
    t->hold_ms = l->loop->now;
    list_push_back(&loop->holding, &t->holding);
}

// A failure of an established connection, told once, with what the log of the running task knows.
static int read_failed(struct link *l, int ret) {
    struct tls *t = tls_of(l);
    struct tls_failure why;
    int err = tls_result(l, ret, "SSL_read", &why);
    if (err == 0 || err == -EAGAIN)
        return err;
    l->gone = l->failed = l->readable = true;
    if (err == -EPROTO && why.level < LOG_DEBUG)
        log_msg((enum log_level)why.level, why.err, "%s", why.text);
    if (!chain_empty(&t->out))
        tls_flush(l, false); // the alert
    return err == -EPROTO ? -ECONNRESET : err;
}

static ssize_t tls_read(struct link *l, char *to, size_t n) {
    struct tls *t = tls_of(l);
    size_t total = 0;
    if (UNLIKELY(t->failed))
        return -ECONNRESET;
    if (t->ssl == NULL) {
        ssize_t got = tls_records_read(l, to, n);
        if (UNLIKELY(!chain_empty(&t->out)) && t->owed == 0 && !t->hold && !t->failed)
            tls_flush(l, false); // an answer to a change of keys
        return got;
    }
    tls_enter(l);
    t->to_tell = false;
    while (total < n) {
        int r;
        if (UNLIKELY(t->early)) {
            r = read_early(l, to + total, n - total);
            if (r == 0)
                continue;
        } else {
            r = SSL_read(t->ssl, to + total, (int)MIN(n - total, (size_t)INT_MAX));
        }
        if (UNLIKELY(r <= 0)) {
            if (total > 0) { // told at the next call
                t->to_tell = t->io_err != -EAGAIN;
                break;
            }
            int err = read_failed(l, r);
            if (!chain_empty(&t->out) && t->owed == 0 && !t->hold)
                tls_flush(l, false);
            return err;
        }
        total += (size_t)r;
        t->plain_in += (uint64_t)r;
        if (t->in == NULL && SSL_pending(t->ssl) == 0)
            break;
    }
    if (UNLIKELY(!chain_empty(&t->out)) && t->owed == 0 && !t->hold)
        tls_flush(l, false); // an answer to a change of keys
    return (ssize_t)total;
}

// --- writing ---------------------------------------------------------------------------------------------------------------

int tls_flush(struct link *l, bool more) {
    struct tls *t = tls_of(l);
    while (!chain_empty(&t->out)) {
        if (!l->writable)
            return -EAGAIN;
        ssize_t n = t->lower->write(l, &t->out, more);
        if (n < 0)
            return (int)n;
    }
    return 0;
}

// Small records at first, so that the peer need not wait for a whole large one; large ones when there is much to send.
size_t tls_record_size(const struct tls *t) {
    return t->record != 0 ? t->record : t->burst < FIRST_WINDOW ? RECORD_SMALL : TLS_RECORD_MAX;
}

// Copies the next bytes of several pieces, so that they go in one record: the count or -errno.
static ssize_t gather(struct tls_loop *loop, const struct piece **p, size_t *off, size_t room) {
    size_t n = 0;
    while (*p != NULL && n < room) {
        const struct piece *at = *p;
        size_t k = MIN(room - n, at->n - *off);
        if (at->kind == PIECE_MEM) {
            memcpy(loop->scratch + n, at->p + *off, k);
        } else {
            ssize_t r; // whoever gave the file has seen to it that it is in memory (file_warm)
            do
                r = pread(at->file->fd, loop->scratch + n, k, at->off + (off_t)*off);
            while (r < 0 && errno == EINTR);
            if (r <= 0 && n == 0)
                return r < 0 ? -errno : -EIO;
            if (r <= 0)
                break;
            k = (size_t)r;
        }
        n += k;
        *off += k;
        if (*off == at->n) {
            *p = at->next;
            *off = 0;
        }
    }
    return (ssize_t)n;
}

// Seals the front of the chain; t->owed is what was sealed. 0 or -errno.
static int seal(struct link *l, struct tls *t, const struct chain *from) {
    size_t off = 0, want = MIN(from->bytes, (size_t)OUT_MAX);
    if (l->loop->now - t->last_ms >= PAUSE_MS)
        t->burst = 0;
    if (t->ssl == NULL) {
        int err = tls_records_seal(l, from, want);
        t->last_ms = l->loop->now;
        t->failed |= err != 0;
        return err;
    }
    struct tls_loop *loop = tls_enter(l);
    const struct piece *p = from->head;
    loop->hint = want + (want / tls_record_size(t) + 1) * RECORD_EXTRA;
    while (p != NULL && t->owed < want) {
        size_t limit = tls_record_size(t), n;
        const char *bytes = loop->scratch;
        if (p->kind == PIECE_MEM && (p->n - off >= limit || p->next == NULL)) {
            n = MIN(p->n - off, limit == TLS_RECORD_MAX ? want - t->owed : limit);
            bytes = p->p + off;
            if (n > limit && off + n < p->n)
                n -= n % limit; // whole records
            off += n;
            if (off == p->n) {
                p = p->next;
                off = 0;
            }
        } else {
            ssize_t got = gather(loop, &p, &off, MIN(limit, sizeof loop->scratch));
            if (got < 0)
                return t->owed > 0 ? 0 : (int)got;
            n = (size_t)got;
        }
        int r = UNLIKELY(t->early_write) ? write_early(t, bytes, n) : SSL_write(t->ssl, bytes, (int)n);
        if (UNLIKELY(r != (int)n)) {
            struct tls_failure why;
            t->failed = l->gone = l->failed = l->readable = true;
            tls_result(l, r, "SSL_write", &why);
            log_msg((enum log_level)why.level, why.err, "%s", why.text);
            return -EPIPE;
        }
        t->owed += n;
        t->burst += n;
    }
    t->last_ms = l->loop->now;
    loop->hint = 0;
    return 0;
}

static void say_goodbye(struct link *l, struct tls *t);

static ssize_t tls_write(struct link *l, struct chain *from, bool more) {
    struct tls *t = tls_of(l);
    size_t total = 0;
    if (UNLIKELY(t->failed))
        return -EPIPE;
    for (;;) {
        int err = 0;
        if (chain_empty(&t->out) || t->hold) {
            unhold(t);
            err = seal(l, t, from);
            if (err < 0)
                return total > 0 ? (ssize_t)total : err;
            if (t->last && t->owed == from->bytes)
                say_goodbye(l, t);
        }
        CHECK(t->owed <= from->bytes);
        err = tls_flush(l, more || t->owed < from->bytes);
        if (err < 0)
            return total > 0 ? (ssize_t)total : err;
        chain_drop(from, t->owed);
        total += t->owed;
        t->plain_out += t->owed;
        t->owed = 0;
        if (chain_empty(from) || total >= WRITE_MAX)
            return (ssize_t)total;
    }
}

// --- ends ------------------------------------------------------------------------------------------------------------------

// One close_notify, if the connection is in a state to say anything.
static void say_goodbye(struct link *l, struct tls *t) {
    if (t->failed || t->shaking || t->said_goodbye || l->reset || l->failed) {
        if (t->ssl != NULL) {
            SSL_set_quiet_shutdown(t->ssl, 1);
            SSL_set_shutdown(t->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
        }
        return;
    }
    t->said_goodbye = true;
    if (t->ssl == NULL) {
        tls_records_goodbye(l);
        return;
    }
    tls_enter(l);
    if (SSL_shutdown(t->ssl) < 0)
        ERR_clear_error();
    SSL_set_shutdown(t->ssl, SSL_get_shutdown(t->ssl) | SSL_SENT_SHUTDOWN);
}

void link_tls_last(struct link *l) {
    if (l->tls != NULL)
        l->tls->last = true;
}

static void tls_shutdown_write(struct link *l) {
    struct tls *t = tls_of(l);
    say_goodbye(l, t);
    tls_flush(l, false);
    t->lower->shutdown_write(l);
}

static bool tls_alive(struct link *l) {
    struct tls *t = tls_of(l);
    return !t->failed && !t->ended && !tls_pending(l) && t->lower->alive(l);
}

static bool tls_local(const struct link *l, struct addr_full *a) { return l->tls->lower->local(l, a); }

static size_t tls_memory(const struct link *l) {
    const struct tls *t = l->tls;
    size_t lower = t->lower->memory != NULL ? t->lower->memory(l) : sizeof *l;
    return lower + sizeof *t + (t->in != NULL ? t->in->size : 0) + chain_held(&t->out);
}

static uint64_t tls_plain_in(const struct link *l) { return l->tls->plain_in; }
static uint64_t tls_plain_out(const struct link *l) { return l->tls->plain_out; }

static void tls_close(struct link *l) {
    struct tls *t = tls_of(l);
    say_goodbye(l, t);
    if (!chain_empty(&t->out) && !l->reset && !l->failed)
        tls_flush(l, false);
    unhold(t);
    if (t->ssl != NULL) {
        tls_enter(l);
        SSL_free(t->ssl);
        tls_leave();
    }
    tls_records_free(t);
    tls_saved_free(t->saved);
    tls_peer_unref(t->peer);
    drop_in(t);
    chain_done(&t->out);
    t->lower->close(l);
    l->tls = NULL;
    free(t);
}

const struct link_ops link_tls_ops = {
    .read = tls_read,
    .write = tls_write,
    .shutdown_write = tls_shutdown_write,
    .alive = tls_alive,
    .pending = tls_pending,
    .local = tls_local,
    .plain_in = tls_plain_in,
    .plain_out = tls_plain_out,
    .memory = tls_memory,
    .close = tls_close,
    .tls = true,
};

struct tls *tls_start(struct link *l, SSL *ssl, struct str server_name, size_t record) {
    CHECK(l->tls == NULL && l->unread == NULL && !l->is_parked);
    struct tls *t = calloc(1, sizeof *t + server_name.n + 1);
    if (t == NULL)
        return NULL;
    t->lower = l->ops;
    t->link = l;
    t->ssl = ssl;
    t->record = (uint32_t)MIN(record, (size_t)TLS_RECORD_MAX);
    t->shaking = true;
    chain_init(&t->out, l->loop->blocks);
    if (server_name.n != 0)
        memcpy(t->name, server_name.p, server_name.n);
    t->server_name = str_n(t->name, server_name.n);
    l->tls = t;
    l->ops = &link_tls_ops;
    return t;
}

void tls_feed(struct link *l, const char *p, size_t n) {
    struct tls *t = tls_of(l);
    CHECK(t->in == NULL);
    if (n == 0)
        return;
    t->in = block_new(l->loop->blocks, n);
    memcpy(t->in->data, p, n);
    t->in_end = (uint32_t)n;
}
