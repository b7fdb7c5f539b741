// TLS on links, by OpenSSL. A link over a socket (or memory) becomes one over TLS in its place: whoever holds it goes on
// reading and writing, and what he reads is plain text.
//
// A tls_config is what one server block, or one location towards its back ends, says: certificates, what may be negotiated,
// who is trusted. It is immutable but for certificates that change on disk. Each loop makes an SSL_CTX of its own from it,
// when it first needs one, in an OpenSSL library context of its own: OpenSSL 3.0 locks around nearly everything that
// threads share, so loops share nothing.
//
//   tls_config ── material (texts of certificates, keys, lists; one at a time, counted)
//        └── per loop: SSL_CTX ──► OSSL_LIB_CTX of the loop
#pragma once
#include "io/link.h"
#include "base/sbuf.h"

// --- what is said --------------------------------------------------------------------------------------------------------

enum tls_protocols { // bits
    TLS_SSL2 = 1, TLS_SSL3 = 2, TLS_1_0 = 4, TLS_1_1 = 8, TLS_1_2 = 16, TLS_1_3 = 32,
};
enum tls_verify { TLS_VERIFY_OFF, TLS_VERIFY_ON, TLS_VERIFY_OPTIONAL, TLS_VERIFY_OPTIONAL_NO_CA };

struct tls_pair { // names of files, or "data:" and the text itself
    struct str cert, key;
};
struct tls_command { // ssl_conf_command
    struct str name, value;
};
struct tls_cache;
struct tls_tickets;

// All strings are NUL-terminated and live as long as the config.
struct tls_settings {
    bool server;
    const struct tls_pair *pairs;
    size_t npairs;
    const struct str *passwords; // of encrypted keys, in the order to be tried
    size_t npasswords;
    unsigned protocols;          // bits; 0: what the library allows
    struct str ciphers, curves, dhparam; // "": the library's; dhparam is a file
    struct str client_ca;        // file: trusted, and its names are sent to clients
    struct str trusted_ca, crl;  // files
    enum tls_verify verify;
    int64_t depth;
    bool prefer_server_ciphers, tickets, early_data;
    bool session_off;            // session_cache off: clients are told that none is kept
    bool builtin;                // a cache of each loop's own, of `builtin_size` sessions
    int64_t builtin_size;
    struct tls_cache *cache;     // shared by all loops; NULL: none
    int64_t timeout_s;           // of sessions
    struct tls_tickets *ticket_keys; // NULL: those that the process makes and changes itself
    const struct tls_command *commands;
    size_t ncommands;
    size_t record;               // plain bytes in a record; 0: small ones first, large ones in bulk
    bool stapling, stapling_verify; // OCSP responses go with handshakes
    struct str stapling_file;    // DER of an OCSP response, instead of asking
    struct str responder;        // URL, instead of the certificate's
    struct log_file *key_log;    // SSLKEYLOGFILE lines go there; NULL: nowhere
    bool watched;                // handshakes look now and then whether files have changed
    struct str id;               // sessions of one id are refused by any other
};

struct tls_config;
// Reads all files and tries everything once. NULL, and why not in nginx's words in *why. From any thread.
struct tls_config *tls_config_new(const struct tls_settings *s, struct sbuf *why); // counted: one reference
struct tls_config *tls_config_ref(struct tls_config *c);
// Any thread; NULL does nothing. Connections that were made with it need it no more; a handshake under way does.
void tls_config_unref(struct tls_config *c);
// Looks whether files of certificates and keys have changed, and takes what they say now for new handshakes. What cannot be
// read or does not fit together is reported in *why (once for each change) and the old stays. Blocks: from a helper thread.
bool tls_config_refresh(struct tls_config *c, struct sbuf *why);
// Why no OCSP response can be had for the i-th certificate, in nginx's words; NULL: it can.
const char *tls_staple_problem(struct tls_config *c, size_t i);

// --- handshakes ------------------------------------------------------------------------------------------------------------

// Why a handshake, or a read or write after it, failed: for the error log.
struct tls_failure {
    int level;  // enum log_level
    int err;    // errno or 0
    char text[480];
};

struct tls_accept {
    struct tls_config *config;
    struct str alpn;        // names that the server knows, the best first, each with a length byte in front; "": no ALPN
    struct str server_name; // that the choice of the config was made by; "": none
    const char *hello;      // bytes that were received already
    size_t hello_n;
};
// The server's side. 0, or -errno with *why filled. The link is over TLS afterwards in any case (of use only for link_free).
// Waits.
int link_tls_accept(struct link *l, const struct tls_accept *a, uint64_t timeout_ms, struct tls_failure *why);

// The server's side, when nobody needs the handshake any more: gives back what OpenSSL holds for it, and the connection goes on
// without (TLS 1.3; others stay as they are). Facts stay.
void link_tls_settle(struct link *l);
// What is written next is the last: when the chain is out, the end of TLS goes with it. Nothing without TLS.
void link_tls_last(struct link *l);

struct tls_connect {
    struct tls_config *config;
    struct str server_name; // to be sent (SNI), NUL-terminated; "": none
    struct str verify_name; // that the certificate must be for, NUL-terminated; "": it is not verified
    struct str alpn;        // to be offered
    struct str session_key; // sessions are kept under it for the next connection; "": none are
};
// The client's side; a server that does not prove its name is -EPROTO. Waits.
int link_tls_connect(struct link *l, const struct tls_connect *t, uint64_t timeout_ms, struct tls_failure *why);
// "SSL: error:..." of what went wrong on this thread last, as nginx writes it; the queue of errors is empty afterwards.
void tls_errors(struct sbuf *to);

// --- facts -----------------------------------------------------------------------------------------------------------------

struct str link_tls_alpn(const struct link *l);        // negotiated; "" when none. Lives as long as the link
struct str link_tls_server_name(const struct link *l); // that the client asked for; "" when none
bool link_tls_early(const struct link *l);             // its handshake has not ended: what is read may be a replay

// $ssl_*: text in the arena. False: there is none.
struct arena;
typedef bool tls_fact_fn(const struct link *l, struct arena *a, struct str *out);
tls_fact_fn tls_fact_protocol, tls_fact_cipher, tls_fact_ciphers, tls_fact_curve, tls_fact_curves, tls_fact_session_id,
    tls_fact_session_reused, tls_fact_early_data, tls_fact_client_cert, tls_fact_client_raw_cert, tls_fact_client_escaped_cert,
    tls_fact_client_fingerprint, tls_fact_client_s_dn, tls_fact_client_i_dn, tls_fact_client_s_dn_legacy,
    tls_fact_client_i_dn_legacy, tls_fact_client_serial, tls_fact_client_v_start, tls_fact_client_v_end,
    tls_fact_client_v_remain, tls_fact_client_verify, tls_fact_sigalg, tls_fact_client_sigalg;
// What the client's certificate is worth: 0, or X509_V_ERR_*; *text explains. *present: one was sent. X509_V_OK with a
// *text is what link_tls_distrust said; without, *text is NULL.
long link_tls_verify_result(const struct link *l, bool *present, const char **text);
// The client's certificate is not to be trusted though it verifies, for this reason (a constant).
void link_tls_distrust(struct link *l, const char *why);

// --- sessions --------------------------------------------------------------------------------------------------------------

// A cache that all loops share, of at most `bytes` of sessions: ssl_session_cache shared:NAME:SIZE.
struct tls_cache *tls_cache_new(size_t bytes);
void tls_cache_free(struct tls_cache *c); // counted inside: contexts may go on using it
size_t tls_cache_bytes(const struct tls_cache *c); // of sessions now
size_t tls_cache_size(const struct tls_cache *c);  // as it was made

// Keys of session tickets from files of 48 or 80 bytes, the first for new tickets.
struct tls_tickets *tls_tickets_of_files(const struct str *paths, size_t n, struct sbuf *why);
void tls_tickets_free(struct tls_tickets *t);
