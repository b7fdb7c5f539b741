// What the files of TLS share: the state of a link over TLS, contexts, sessions. Private to io/.
#pragma once
#include "io/link_private.h"
#include "io/log.h"
#include "io/timer.h"
#include "io/tls.h"
#include "io/tls_kdf.h"
#include "base/map.h"
#include <openssl/ssl.h>

// What facts are told from. Of a handshake that has ended it is final.
struct tls_saved {
    const char *version;       // constant
    const SSL_CIPHER *cipher;  // constant
    X509 *peer;                // NULL: none
    long verify;
    int group, sigalg, peer_sigalg; // NID_undef: none
    bool reused, final;
    uint8_t session_id_n, alpn_n, cipher_size;
    uint16_t nciphers, ngroups; // bytes of ciphers as they were offered, each of cipher_size
    unsigned char session_id[SSL_MAX_SSL_SESSION_ID_LENGTH];
    char alpn[16];             // what weir speaks is shorter
    const unsigned char *ciphers; // behind the groups
    int groups[];
};
enum { TLS_GROUPS_MAX = 256 };
const struct tls_saved *tls_saved_of(const struct link *l); // NULL: no TLS, no memory
void tls_saved_free(struct tls_saved *s);

// The TLS of a link. Without work to do it holds no buffer.
struct tls {
    struct link *link;
    const struct link_ops *lower; // what the link was before
    SSL *ssl;                // NULL once `records` does without (tls_record.c)
    struct tls_records *records; // being filled during a handshake of TLS 1.3 on the server's side; else NULL
    struct tls_saved *saved; // made when first asked for
    struct block *in;        // cipher text that was received and not read by OpenSSL yet: [in_at, in_end)
    uint32_t in_at, in_end;
    struct chain out;        // cipher text to be sent
    size_t owed;             // bytes of plain text that `out` stands for
    uint64_t plain_in, plain_out;
    size_t burst;            // bytes of plain text since the last pause
    uint64_t last_ms;        // of the last record
    struct tls_peer *peer;   // of the client's side: where sessions are kept; counted
    const struct tls_accept *accept; // during the handshake
    struct list holding;     // in tls_loop.holding while `hold`
    uint64_t hold_ms;        // since when
    const char *distrust;    // why the client's certificate is not good though it verifies; NULL: nobody says so
    uint32_t record;         // plain bytes in a record; 0: as the burst says
    int io_err;              // of the link below, during one call of OpenSSL
    bool shaking : 1;        // in its handshake
    bool failed : 1;         // nothing can be read or written any more
    bool ended : 1;          // the peer sends nothing more
    bool to_tell : 1;        // an end or an error was met behind bytes that were read
    bool greedy : 1;         // the last receive was full
    bool said_goodbye : 1;
    bool hold : 1;           // what is in `out` can wait for the first answer (a session ticket)
    bool keep_ssl : 1;       // the configuration wants something that only OpenSSL does
    bool last : 1;           // the next write is the last: the end goes with it
    bool early : 1;          // reading early data
    bool early_write : 1;    // writing before the handshake has ended
    struct str server_name;  // NUL-terminated, with the struct
    char name[];
};
static inline struct tls *tls_of(const struct link *l) { return l->tls; }

enum {
    TLS_SCRATCH = 16 << 10,
    TLS_IN_SMALL = 4080,     // first receive; most requests fit
    TLS_IN_LARGE = 64 << 10, // when the small one was full
    TLS_OUT_HARD = 1 << 20,  // more than this unsent: the peer makes us answer and does not read
    TLS_RECORD_MAX = 16 << 10,
    TLS_HOLD_MS = 10,        // how long a ticket waits for a first answer that it can go with
};

// What a loop has of OpenSSL's.
struct tls_loop {
    OSSL_LIB_CTX *lib;
    BIO *bio;                // of all its connections: it works for tls_loop.current
    struct link *current;
    size_t hint;             // bytes of cipher text that will come of a seal
    struct list contexts;    // struct tls_context
    struct list peers;       // struct tls_peer, the least lately used first
    struct map peers_by_key;
    struct list keyed;       // of tls_record.c: contexts with keys, the least lately used first
    unsigned nkeyed;
    EVP_CIPHER *aead[3];
    struct list holding;     // struct tls with something held back, the longest first
    struct timer release;
    SSL *any;                // for what OpenSSL answers only to an SSL; NULL until it is needed
    EVP_CIPHER *ticket_cipher;
    struct tls_kdf kdf;
    char scratch[TLS_SCRATCH]; // small pieces that share a record; a session on its way
};
struct tls_loop *tls_loop(void); // of the calling loop

// One config on one loop.
struct tls_context {
    struct list node;        // in tls_loop.contexts
    SSL_CTX *ssl;
    uint64_t version;        // of the material that it was made of
};
// The loop's own context of a config; NULL when it cannot be made (errors are in OpenSSL's queue).
SSL_CTX *tls_context_of(struct tls_config *c);
const struct tls_settings *tls_config_settings(const struct tls_config *c);

// Starts TLS on a link; the link is of another kind afterwards. NULL: no memory.
struct tls *tls_start(struct link *l, SSL *ssl, struct str server_name, size_t record);
extern const struct link_ops link_tls_ops;
BIO *tls_bio_new(struct tls_loop *t);
// Before each call of OpenSSL's on a connection.
struct tls_loop *tls_enter(struct link *l);
void tls_leave(void);
void tls_feed(struct link *l, const char *p, size_t n); // bytes that were received before
// What OpenSSL said about a call on the link: -EAGAIN, 0 at the end, or -errno with *why (may be NULL) filled.
int tls_result(struct link *l, int ret, const char *call, struct tls_failure *why);
// Sends what is in tls->out: 0, -EAGAIN or -errno.
int tls_flush(struct link *l, bool more);

enum { TLS_EARLY_MAX = 16 << 10 }; // bytes of early data that a ticket allows

// For tls_build; the context's app data is its tls_settings.
void tls_cache_attach(SSL_CTX *ctx, struct tls_cache *c);              // tls_session.c
bool tls_tickets_attach(SSL_CTX *ctx);       // tls_ticket.c
void tls_tickets_age(int64_t seconds);       // for tests: as if so much time had passed
void tls_alpn_attach(SSL_CTX *ctx);                                    // tls_handshake.c
void tls_client_attach(SSL_CTX *ctx);                                  // tls_client.c: sessions with back ends
void tls_peer_unref(struct tls_peer *p);
// Waits for the handshake's end.
int tls_shake(struct link *l, uint64_t timeout_ms, struct tls_failure *why);
void tls_fail(struct tls_failure *why, int level, int err, const char *text);
void tls_fail_call(struct tls_failure *why, int level, int err, const char *call); // with what OpenSSL says
void tls_hold_init(struct tls_loop *loop);
void tls_hold(struct link *l); // what is in tls->out waits for the next write, or TLS_HOLD_MS
size_t tls_record_size(const struct tls *t); // plain bytes of the next record

// tls_record.c
void tls_records_attach(struct tls_loop *loop); // secrets come from loop->kdf
void tls_records_watch(SSL *ssl);               // of the server's side, before its handshake
void tls_records_free(struct tls *t);
void tls_keyed_free(struct tls_loop *loop);
void tls_keyed_forget(struct tls_loop *loop); // every link gives its contexts back
// Seals the first `want` bytes of the chain into tls->out; tls->owed is what was sealed. 0 or -errno.
int tls_records_seal(struct link *l, const struct chain *from, size_t want);
bool tls_records_goodbye(struct link *l);
ssize_t tls_records_read(struct link *l, char *to, size_t room);
bool tls_records_pending(const struct tls *t);
void tls_records_rekey_after(uint64_t n); // for tests: our key changes after so many records; 0: as usual
