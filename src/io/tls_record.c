// TLS 1.3 records without an SSL (RFC 8446 5 and 7). Behind its handshake a connection needs two keys, two counters and little
// else, but OpenSSL keeps some 12 KB for it, and copies each record twice. So the SSL is given back when the handshake is over,
// and records are sealed from where the bytes are to where they are sent from, and opened from where they were received to
// where they are wanted. The secrets come from the key schedule (tls_kdf.h); AES-GCM and ChaCha20-Poly1305 are OpenSSL's.
//
// Contexts of ciphers are lent: a loop has so many (KEYED_MAX), and who has not used his for longest gives it up. So an idle
// connection keeps its secrets only.
#include "io/tls_private.h"
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    HEADER = 5, TAG = 16, RECORD_EXTRA = HEADER + 1 + TAG,
    PLAIN_MAX = 16 << 10,           // RFC 8446 5.1
    CIPHER_MAX = PLAIN_MAX + 256,   // 5.2
    KEYED_MAX = 512,
    SILENT_MAX = 32,                // records in a row that bring no data
    REKEY_RECORDS = 1 << 23,        // of one key: AES-GCM may seal 2^24.5 (5.5)
    KEY_UPDATE = 24, UPDATE_NOT_REQUESTED = 0, UPDATE_REQUESTED = 1,
};
enum { TYPE_ALERT = 21, TYPE_HANDSHAKE = 22, TYPE_DATA = 23 };
enum { CLOSE_NOTIFY = 0, UNEXPECTED_MESSAGE = 10, BAD_RECORD_MAC = 20, RECORD_OVERFLOW = 22, DECODE_ERROR = 50, INTERNAL_ERROR = 80,
       USER_CANCELED = 90 };

struct side {
    struct keyed *keyed; // lent; NULL: none now
    uint64_t seq;
    unsigned char secret[TLS_HASH_MAX], iv[12];
};

// A context of a cipher with one side's key in it.
struct keyed {
    struct list node; // in tls_loop.keyed, the least lately used first
    EVP_CIPHER_CTX *ctx;
    EVP_CIPHER *cipher;
    struct side *side;
    bool sealing;
};

struct tls_records {
    uint32_t suite;                // TLS1_3_CK_*
    bool have[2];                  // secrets: the client's, the server's
    struct side in, out;
    uint32_t before;               // records that OpenSSL sealed with out's key
    uint32_t plain_at, plain_end;  // in tls->in: opened and not read yet; in_at is behind the record
    unsigned silent;               // records in a row without data
};

static uint64_t rekey_after = REKEY_RECORDS;
void tls_records_rekey_after(uint64_t n) { rekey_after = n != 0 ? n : REKEY_RECORDS; }

// --- ciphers ---------------------------------------------------------------------------------------------------------------

static bool suite_of(struct tls_loop *loop, uint32_t suite, EVP_CIPHER **cipher, struct tls_hash **hash) {
    static const char *const names[] = {"AES-128-GCM", "AES-256-GCM", "ChaCha20-Poly1305"};
    size_t i = suite == TLS1_3_CK_AES_128_GCM_SHA256 ? 0 : suite == TLS1_3_CK_AES_256_GCM_SHA384 ? 1 : 2;
    if (i == 2 && suite != TLS1_3_CK_CHACHA20_POLY1305_SHA256)
        return false;
    if (loop->aead[i] == NULL)
        loop->aead[i] = EVP_CIPHER_fetch(loop->lib, names[i], NULL);
    *cipher = loop->aead[i];
    *hash = i == 1 ? &loop->kdf.sha384 : &loop->kdf.sha256;
    return *cipher != NULL;
}

static void give_up(struct tls_loop *loop, struct side *s) {
    struct keyed *k = s->keyed;
    if (k == NULL)
        return;
    s->keyed = NULL;
    k->side = NULL;
    list_remove(&k->node);
    list_push_front(&loop->keyed, &k->node);
}

void tls_keyed_forget(struct tls_loop *loop) {
    list_each_safe(k, &loop->keyed, struct keyed, node) {
        if (k->side != NULL)
            give_up(loop, k->side);
    }
}

void tls_keyed_free(struct tls_loop *loop) {
    tls_keyed_forget(loop);
    while (!list_empty(&loop->keyed)) {
        struct keyed *k = list_first(&loop->keyed, struct keyed, node);
        list_remove(&k->node);
        EVP_CIPHER_CTX_free(k->ctx);
        free(k);
    }
    for (size_t i = 0; i < ARRAY_LEN(loop->aead); i++)
        EVP_CIPHER_free(loop->aead[i]);
}

// A context for whom has none: a new one, or that of whoever has not used his for longest.
static struct keyed *borrow(struct tls_loop *loop) {
    struct keyed *k = list_empty(&loop->keyed) ? NULL : list_first(&loop->keyed, struct keyed, node);
    if (k == NULL || (k->side != NULL && loop->nkeyed < KEYED_MAX)) {
        k = calloc(1, sizeof *k);
        if (k == NULL || (k->ctx = EVP_CIPHER_CTX_new()) == NULL) {
            free(k);
            return NULL;
        }
        loop->nkeyed++;
    } else {
        if (k->side != NULL)
            give_up(loop, k->side);
        list_remove(&k->node);
    }
    return k;
}

// Key and IV of a traffic secret (RFC 8446 7.3), put into a context.
static bool key_up(struct tls_loop *loop, struct side *s, uint32_t suite, bool sealing) {
    EVP_CIPHER *cipher;
    struct tls_hash *hash;
    unsigned char key[32];
    if (!suite_of(loop, suite, &cipher, &hash))
        return false;
    struct keyed *k = borrow(loop);
    if (k == NULL)
        return false;
    // Another cipher, or the other direction, would leave something of the last one.
    bool same = k->cipher == cipher && k->sealing == sealing;
    bool ok = tls_expand_label(hash, s->secret, STR("key"), STR(""), key, (size_t)EVP_CIPHER_get_key_length(cipher)) &&
              tls_expand_label(hash, s->secret, STR("iv"), STR(""), s->iv, sizeof s->iv) &&
              EVP_CipherInit_ex2(k->ctx, same ? NULL : cipher, key, NULL, sealing, NULL) == 1;
    OPENSSL_cleanse(key, sizeof key);
    k->cipher = ok ? cipher : NULL;
    k->sealing = sealing;
    k->side = ok ? s : NULL;
    s->keyed = ok ? k : NULL;
    if (ok)
        list_push_back(&loop->keyed, &k->node);
    else
        list_push_front(&loop->keyed, &k->node);
    return ok;
}

// The context with this side's key, ready for its next record.
static EVP_CIPHER_CTX *ready(struct tls_loop *loop, struct side *s, uint32_t suite, bool sealing, const unsigned char *header) {
    if (s->keyed == NULL && !key_up(loop, s, suite, sealing))
        return NULL;
    if (loop->keyed.prev != &s->keyed->node) {
        list_remove(&s->keyed->node);
        list_push_back(&loop->keyed, &s->keyed->node);
    }
    unsigned char nonce[12];
    memcpy(nonce, s->iv, sizeof nonce);
    for (int i = 0; i < 8; i++)
        nonce[11 - i] ^= (unsigned char)(s->seq >> (8 * i));
    int n;
    EVP_CIPHER_CTX *c = s->keyed->ctx;
    return EVP_CipherInit_ex2(c, NULL, NULL, nonce, -1, NULL) == 1 && EVP_CipherUpdate(c, NULL, &n, header, HEADER) == 1 ? c : NULL;
}

// --- sealing ---------------------------------------------------------------------------------------------------------------

static void put_header(unsigned char *to, size_t n) {
    to[0] = TYPE_DATA;
    to[1] = 3;
    to[2] = 3;
    to[3] = (unsigned char)(n >> 8);
    to[4] = (unsigned char)n;
}

static ssize_t read_file(const struct piece *p, size_t off, unsigned char *to, size_t n) {
    size_t got = 0;
    while (got < n) { // whoever gave the file has seen to it that it is in memory (file_warm)
        ssize_t r = pread(p->file->fd, to + got, n - got, p->off + (off_t)(off + got));
        if (r < 0 && errno == EINTR)
            continue;
        if (r <= 0)
            return r < 0 ? -errno : -EIO;
        got += (size_t)r;
    }
    return (ssize_t)got;
}

// The next n bytes of the pieces as one record of `type` at `to`, which has room for them and RECORD_EXTRA. 0 or -errno.
static int seal_one(struct tls_loop *loop, struct tls *t, unsigned char *to, int type, const struct piece **p, size_t *off, size_t n) {
    struct tls_records *r = t->records;
    put_header(to, n + RECORD_EXTRA - HEADER);
    EVP_CIPHER_CTX *c = ready(loop, &r->out, r->suite, true, to);
    unsigned char *at = to + HEADER, kind = (unsigned char)type;
    int k;
    if (c == NULL)
        return -EPIPE;
    while (n > 0) {
        size_t take = MIN(n, (*p)->n - *off);
        const unsigned char *from = at;
        if ((*p)->kind == PIECE_MEM) {
            from = (const unsigned char *)(*p)->p + *off;
        } else {
            ssize_t got = read_file(*p, *off, at, take);
            if (got < 0)
                return (int)got;
        }
        if (EVP_CipherUpdate(c, at, &k, from, (int)take) != 1)
            return -EPIPE;
        at += take;
        n -= take;
        *off += take;
        if (*off == (*p)->n) {
            *p = (*p)->next;
            *off = 0;
        }
    }
    if (EVP_CipherUpdate(c, at, &k, &kind, 1) != 1 || EVP_CipherFinal_ex(c, at + 1, &k) != 1 ||
        EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, TAG, at + 1) != 1)
        return -EPIPE;
    r->out.seq++;
    return 0;
}

// A message of our own into t->out.
static bool say(struct link *l, int type, const char *bytes, size_t n) {
    struct tls *t = l->tls;
    unsigned char record[16 + RECORD_EXTRA];
    const struct piece one = {.kind = PIECE_MEM, .p = bytes, .n = n}, *p = &one;
    size_t off = 0;
    if (n > 16 || seal_one(tls_loop(), t, record, type, &p, &off, n) != 0) {
        ERR_clear_error();
        return false;
    }
    chain_add_copy(&t->out, str_n((const char *)record, n + RECORD_EXTRA));
    return true;
}

static bool next_secret(struct tls_loop *loop, struct side *s, uint32_t suite) {
    EVP_CIPHER *cipher;
    struct tls_hash *hash;
    unsigned char next[TLS_HASH_MAX];
    bool ok = suite_of(loop, suite, &cipher, &hash) && tls_expand_label(hash, s->secret, STR("traffic upd"), STR(""), next, hash->n);
    if (ok)
        memcpy(s->secret, next, sizeof next);
    OPENSSL_cleanse(next, sizeof next);
    give_up(loop, s);
    s->seq = 0;
    return ok;
}

// RFC 8446 4.6.3: from the next record on our key is another.
static bool change_key(struct link *l) {
    static const char message[] = {KEY_UPDATE, 0, 0, 1, UPDATE_NOT_REQUESTED};
    struct tls_records *r = l->tls->records;
    return say(l, TYPE_HANDSHAKE, message, sizeof message) && next_secret(tls_loop(), &r->out, r->suite);
}

// How many records so many bytes will be.
static size_t count_records(struct tls *t, size_t want) {
    size_t n = 0, burst = t->burst;
    for (size_t left = want, k; left > 0; left -= k, t->burst += k, n++)
        k = MIN(left, tls_record_size(t));
    t->burst = burst;
    return n;
}

int tls_records_seal(struct link *l, const struct chain *from, size_t want) {
    struct tls *t = l->tls;
    struct tls_loop *loop = tls_loop();
    if (UNLIKELY(t->records->out.seq >= rekey_after) && !change_key(l))
        return -EPIPE;
    const struct piece *p = from->head;
    size_t off = 0, at = 0;
    struct block *block = block_new(t->out.pool, want + count_records(t, want) * RECORD_EXTRA);
    int err = 0;
    while (t->owed < want) {
        size_t n = MIN(want - t->owed, tls_record_size(t));
        CHECK(at + n + RECORD_EXTRA <= block->size);
        err = seal_one(loop, t, (unsigned char *)block->data + at, TYPE_DATA, &p, &off, n);
        if (UNLIKELY(err != 0))
            break;
        at += n + RECORD_EXTRA;
        t->owed += n;
        t->burst += n;
    }
    if (at != 0)
        chain_give_block(&t->out, block, block->data, at);
    else
        block_unref(block);
    if (UNLIKELY(err != 0))
        ERR_clear_error();
    return t->owed != 0 ? 0 : err;
}

bool tls_records_goodbye(struct link *l) {
    static const char alert[] = {1, CLOSE_NOTIFY};
    return say(l, TYPE_ALERT, alert, sizeof alert);
}

// --- opening ---------------------------------------------------------------------------------------------------------------

// The connection is over: the peer is told, and the log in the words that OpenSSL has.
static ssize_t refuse(struct link *l, int alert, int reason) {
    const char text[] = {2, (char)alert};
    struct tls *t = l->tls;
    ERR_clear_error();
    if (say(l, TYPE_ALERT, text, sizeof text))
        tls_flush(l, false);
    ERR_raise(ERR_LIB_SSL, reason);
    t->failed = l->gone = l->failed = l->readable = true;
    struct tls_failure why;
    tls_fail_call(&why, LOG_INFO, 0, "SSL_read");
    log_msg((enum log_level)why.level, why.err, "%s", why.text);
    return -ECONNRESET;
}

// Opens a record of n bytes behind its header, to `to`: bytes of plain text and its kind, or an error, which was told.
static ssize_t open_one(struct link *l, const unsigned char *record, size_t n, unsigned char *to, int *type) {
    struct tls_records *r = l->tls->records;
    int k = 0;
    // GCM's tag is given before the end, and the end says whether it fits.
    EVP_CIPHER_CTX *c = ready(tls_loop(), &r->in, r->suite, false, record);
    const unsigned char *tag = record + HEADER + n - TAG;
    if (c == NULL)
        return refuse(l, INTERNAL_ERROR, ERR_R_INTERNAL_ERROR);
    unsigned char spare[TAG];
    if (EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, TAG, (void *)(uintptr_t)tag) != 1 ||
        EVP_CipherUpdate(c, to, &k, record + HEADER, (int)(n - TAG)) != 1 || EVP_CipherFinal_ex(c, spare, &k) != 1)
        return refuse(l, BAD_RECORD_MAC, SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC);
    r->in.seq++;
    size_t end = n - TAG;
    while (end > 0 && to[end - 1] == 0) // padding
        end--;
    if (end == 0)
        return refuse(l, UNEXPECTED_MESSAGE, SSL_R_BAD_RECORD_TYPE);
    *type = to[--end];
    return end > PLAIN_MAX ? refuse(l, RECORD_OVERFLOW, SSL_R_DATA_LENGTH_TOO_LONG) : (ssize_t)end;
}

// What is no data: 1 when reading goes on, 0 at the end, -errno.
static ssize_t take_message(struct link *l, int type, const unsigned char *p, size_t n) {
    struct tls *t = l->tls;
    struct tls_records *r = t->records;
    if (++r->silent > SILENT_MAX)
        return refuse(l, UNEXPECTED_MESSAGE, SSL_R_RECORD_TOO_SMALL);
    if (type == TYPE_HANDSHAKE) {
        if (n != 5 || p[0] != KEY_UPDATE || p[1] != 0 || p[2] != 0 || p[3] != 1)
            return refuse(l, UNEXPECTED_MESSAGE, SSL_R_UNEXPECTED_MESSAGE);
        if (p[4] != UPDATE_NOT_REQUESTED && p[4] != UPDATE_REQUESTED)
            return refuse(l, 47, SSL_R_BAD_KEY_UPDATE);
        if (!next_secret(tls_loop(), &r->in, r->suite) || (p[4] == UPDATE_REQUESTED && !change_key(l)))
            return refuse(l, INTERNAL_ERROR, ERR_R_INTERNAL_ERROR);
        return t->out.bytes > TLS_OUT_HARD ? refuse(l, UNEXPECTED_MESSAGE, SSL_R_BAD_KEY_UPDATE) : 1;
    }
    if (type == TYPE_DATA)
        return 1; // empty
    if (type != TYPE_ALERT)
        return refuse(l, UNEXPECTED_MESSAGE, SSL_R_UNEXPECTED_RECORD);
    if (n != 2)
        return refuse(l, DECODE_ERROR, SSL_R_INVALID_ALERT);
    if (p[1] == USER_CANCELED)
        return 1;
    t->ended = true;
    if (p[1] == CLOSE_NOTIFY)
        return 0;
    ERR_clear_error();
    ERR_raise_data(ERR_LIB_SSL, SSL_AD_REASON_OFFSET + p[1], "SSL alert number %d", p[1]);
    t->failed = l->gone = l->failed = l->readable = true;
    struct tls_failure why;
    tls_fail_call(&why, LOG_INFO, 0, "SSL_read");
    log_msg((enum log_level)why.level, why.err, "%s", why.text);
    return -ECONNRESET;
}

static const unsigned char *record_at(const struct tls *t) { return (const unsigned char *)t->in->data + t->in_at; }
static size_t length_at(const struct tls *t) { return (size_t)record_at(t)[3] << 8 | record_at(t)[4]; }
static size_t there(const struct tls *t) { return t->in != NULL ? t->in_end - t->in_at : 0; }
static bool is_wrong(const struct tls *t) {
    const unsigned char *h = record_at(t);
    return h[0] != TYPE_DATA || h[1] != 3 || length_at(t) > CIPHER_MAX || length_at(t) < 1 + TAG;
}
// There is something to do without receiving more.
static bool is_whole(const struct tls *t) { return there(t) >= HEADER && (is_wrong(t) || there(t) >= HEADER + length_at(t)); }

static void drop_in(struct tls *t) {
    block_unref(t->in);
    t->in = NULL;
    t->in_at = t->in_end = 0;
}

// Room behind what is there, for the rest of a record at least: in a larger block when this one is full.
static void make_room(struct link *l, struct tls *t) {
    size_t have = there(t), need = have >= HEADER ? HEADER + length_at(t) : HEADER;
    if (t->in != NULL && t->in->size - t->in_at >= need && t->in_end < t->in->size)
        return;
    size_t size = t->greedy || need > TLS_IN_SMALL ? TLS_IN_LARGE : TLS_IN_SMALL;
    struct block *b = block_new(l->loop->blocks, MAX(size, need));
    if (have != 0)
        memcpy(b->data, record_at(t), have);
    drop_in(t);
    t->in = b;
    t->in_end = (uint32_t)have;
}

// More cipher text: bytes, 0 at the end, -errno.
static ssize_t receive(struct link *l, struct tls *t) {
    if (!l->readable)
        return -EAGAIN;
    make_room(l, t);
    size_t room = t->in->size - t->in_end;
    ssize_t n = t->lower->read(l, t->in->data + t->in_end, room);
    if (n > 0) {
        t->in_end += (uint32_t)n;
        t->greedy = (size_t)n == room;
    } else if (there(t) == 0) {
        drop_in(t);
    }
    return n;
}

static ssize_t refuse_header(struct link *l, const struct tls *t) {
    const unsigned char *h = record_at(t);
    if (h[1] != 3)
        return refuse(l, UNEXPECTED_MESSAGE, SSL_R_WRONG_VERSION_NUMBER);
    if (h[0] != TYPE_DATA)
        return refuse(l, UNEXPECTED_MESSAGE, SSL_R_BAD_RECORD_TYPE);
    return length_at(t) > CIPHER_MAX ? refuse(l, RECORD_OVERFLOW, SSL_R_ENCRYPTED_LENGTH_TOO_LONG)
                                     : refuse(l, BAD_RECORD_MAC, SSL_R_LENGTH_TOO_SHORT);
}

// A whole record at in_at, or what came instead: 1, 0 at the end of the stream, -errno.
static ssize_t next_record(struct link *l, struct tls *t) {
    for (;;) {
        if (is_whole(t))
            return is_wrong(t) ? refuse_header(l, t) : 1;
        ssize_t got = receive(l, t);
        if (got <= 0) {
            t->ended |= got == 0;
            if (got < 0 && got != -EAGAIN)
                t->failed = true;
            return got;
        }
    }
}

// What was opened before, as far as there is room.
static size_t take_plain(struct tls *t, char *to, size_t n) {
    struct tls_records *r = t->records;
    size_t k = MIN(n, (size_t)(r->plain_end - r->plain_at));
    memcpy(to, t->in->data + r->plain_at, k);
    r->plain_at += (uint32_t)k;
    if (r->plain_at == r->plain_end)
        r->plain_at = r->plain_end = 0;
    if (r->plain_end == 0 && there(t) == 0)
        drop_in(t);
    return k;
}

// Opens the record at in_at, straight to `to` where it fits, else in its place. Bytes at `to`, 0 at the peer's end, -errno,
// -EINPROGRESS: none yet.
static ssize_t take_record(struct link *l, struct tls *t, char *to, size_t room) {
    struct tls_records *r = t->records;
    unsigned char *record = (unsigned char *)t->in->data + t->in_at;
    size_t n = length_at(t);
    bool straight = n - TAG <= room;
    unsigned char *plain = straight ? (unsigned char *)to : record + HEADER;
    int type = TYPE_ALERT;
    ssize_t got = open_one(l, record, n, plain, &type);
    if (got < 0)
        return got;
    t->in_at += (uint32_t)(HEADER + n);
    if (type != TYPE_DATA || got == 0) {
        ssize_t go = take_message(l, type, plain, (size_t)got);
        if (there(t) == 0)
            drop_in(t);
        return go == 1 ? -EINPROGRESS : go;
    }
    r->silent = 0;
    if (straight) {
        if (there(t) == 0)
            drop_in(t);
        return got;
    }
    r->plain_at = (uint32_t)(plain - (unsigned char *)t->in->data);
    r->plain_end = r->plain_at + (uint32_t)got;
    return (ssize_t)take_plain(t, to, room);
}

ssize_t tls_records_read(struct link *l, char *to, size_t room) {
    struct tls *t = l->tls;
    struct tls_records *r = t->records;
    size_t total = 0;
    t->to_tell = false;
    while (total < room) {
        ssize_t n;
        if (r->plain_end != 0) {
            n = (ssize_t)take_plain(t, to + total, room - total);
        } else if (t->ended) {
            n = 0;
        } else if (total > 0 && !is_whole(t)) {
            break; // whoever wants more asks again
        } else {
            n = next_record(l, t);
            if (n == 1)
                n = take_record(l, t, to + total, room - total);
        }
        if (n == -EINPROGRESS)
            continue;
        if (n <= 0 && total > 0) { // told at the next call
            t->to_tell = n != -EAGAIN;
            break;
        }
        if (n <= 0)
            return n;
        total += (size_t)n;
        t->plain_in += (uint64_t)n;
    }
    return (ssize_t)total;
}

bool tls_records_pending(const struct tls *t) { return t->records->plain_end != 0 || is_whole(t); }

// --- from an SSL to this -----------------------------------------------------------------------------------------------------

static void on_secret(void *arg, bool of_server, const unsigned char *secret, size_t n) {
    struct tls_loop *loop = arg;
    struct tls *t = loop->current != NULL ? loop->current->tls : NULL;
    if (t == NULL || !t->shaking || !SSL_is_server(t->ssl))
        return;
    if (t->records == NULL)
        t->records = calloc(1, sizeof *t->records);
    if (t->records == NULL)
        return;
    memcpy((of_server ? &t->records->out : &t->records->in)->secret, secret, n);
    t->records->have[of_server] = true;
}

// Counts the records that OpenSSL seals with the key that will be ours: tickets.
static void on_record(int write, int version, int type, const void *p, size_t n, SSL *ssl, void *arg) {
    struct tls_records *r = type == SSL3_RT_HEADER && write ? tls_loop()->current->tls->records : NULL;
    if (r != NULL && r->have[1])
        r->before++;
}

void tls_records_attach(struct tls_loop *loop) {
    list_init(&loop->keyed);
    loop->kdf.on_secret = on_secret;
    loop->kdf.arg = loop;
}

void tls_records_watch(SSL *ssl) { SSL_set_msg_callback(ssl, on_record); }

void tls_records_free(struct tls *t) {
    struct tls_records *r = t->records;
    if (r == NULL)
        return;
    give_up(tls_loop(), &r->in);
    give_up(tls_loop(), &r->out);
    OPENSSL_cleanse(r, sizeof *r);
    free(r);
    t->records = NULL;
}

void link_tls_settle(struct link *l) {
    struct tls *t = l->tls;
    struct tls_records *r = t != NULL ? t->records : NULL;
    EVP_CIPHER *cipher;
    struct tls_hash *hash;
    if (r == NULL || t->ssl == NULL || t->failed || t->shaking || t->early || t->early_write || t->keep_ssl)
        return; // TLS 1.2, or our side is the client's, or the handshake has not ended
    bool ok = r->have[0] && r->have[1] && SSL_version(t->ssl) == TLS1_3_VERSION && SSL_is_init_finished(t->ssl) &&
              !SSL_has_pending(t->ssl) && tls_saved_of(l) != NULL && t->saved->final;
    r->suite = ok ? SSL_CIPHER_get_id(SSL_get_current_cipher(t->ssl)) : 0;
    if (!ok || !suite_of(tls_loop(), r->suite, &cipher, &hash)) {
        tls_records_free(t);
        return;
    }
    r->out.seq = r->before;
    unsigned limit = SSL_SESSION_get_max_fragment_length(SSL_get0_session(t->ssl)); // RFC 6066 4: 512 << (limit - 1) bytes
    if (limit != TLSEXT_max_fragment_length_DISABLED)
        t->record = MIN(t->record != 0 ? t->record : (uint32_t)TLS_RECORD_MAX, 512u << (limit - 1));
    SSL_set_quiet_shutdown(t->ssl, 1);
    SSL_set_shutdown(t->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN); // a session of it stays good
    SSL_free(t->ssl);
    t->ssl = NULL;
}
