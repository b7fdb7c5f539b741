#include "base/test.h"
#include "base/arena.h"
#include "io/tls_private.h"
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/pem.h>
#include <openssl/provider.h>
#include <openssl/x509.h>

// Both ends of a connection on one loop, over memory links of small room: every record is cut somewhere.

static struct arena arena;
static struct tls_config *server_conf, *client_conf;
static struct link *server_link, *client_link;
static void (*server_body)(void), (*client_body)(void);
static size_t room;
static const struct tls_command *client_command;
static void (*change_client)(SSL_CTX *ctx);
static bool settled; // the server goes on without its SSL, where it can

static struct str text_of(BIO *b) {
    char *p;
    long n = BIO_get_mem_data(b, &p);
    struct str parts[2] = {STR("data:"), str_n(p, (size_t)n)};
    struct str joined = arena_dup(&arena, arena_join(&arena, parts, 2));
    BIO_free(b);
    return joined;
}

// A certificate of localhost that signs itself.
static struct tls_pair make_pair(void) {
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *x = X509_new();
    X509_set_version(x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
    X509_gmtime_adj(X509_getm_notBefore(x), -100);
    X509_gmtime_adj(X509_getm_notAfter(x), 1000);
    X509_set_pubkey(x, key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC, (const unsigned char *)"localhost", -1, -1, 0);
    X509_set_issuer_name(x, X509_get_subject_name(x));
    EXPECT(X509_sign(x, key, EVP_sha256()) > 0);
    BIO *cert = BIO_new(BIO_s_mem()), *priv = BIO_new(BIO_s_mem());
    EXPECT(PEM_write_bio_X509(cert, x) == 1 && PEM_write_bio_PrivateKey(priv, key, NULL, NULL, 0, NULL, NULL) == 1);
    X509_free(x);
    EVP_PKEY_free(key);
    return (struct tls_pair){text_of(cert), text_of(priv)};
}

static struct tls_config *config_of(const struct tls_settings *s) {
    struct sbuf why;
    sbuf_init_arena(&why, &arena, 256, 4096);
    struct tls_config *c = tls_config_new(s, &why);
    if (c == NULL)
        test_fail(__FILE__, __LINE__, "%s", sbuf_cstr(&why));
    return c;
}

static void run_server(void *arg) {
    struct tls_accept a = {.config = server_conf, .alpn = STR("\x02h2\x08http/1.1"), .server_name = STR("localhost"), .hello = ""};
    struct tls_failure why = {0};
    int err = link_tls_accept(server_link, &a, 5000, &why);
    if (err != 0 && server_body != NULL)
        test_fail(__FILE__, __LINE__, "accept: %d %s", err, why.text);
    if (settled)
        link_tls_settle(server_link);
    if (server_body != NULL)
        server_body();
    link_free(server_link);
}

static void run_client(void *arg) {
    struct tls_connect c = {.config = client_conf,
                            .server_name = STR("localhost"),
                            .verify_name = STR(""),
                            .alpn = STR("\x08http/1.1"),
                            .session_key = STR("peer")};
    struct tls_failure why = {0};
    int err = link_tls_connect(client_link, &c, 5000, &why);
    if (err != 0)
        test_fail(__FILE__, __LINE__, "connect: %d %s", err, why.text);
    client_body();
    link_free(client_link);
}

static void converse(unsigned protocols, size_t link_room, void (*server)(void), void (*client)(void)) {
    room = link_room;
    server_body = server;
    client_body = client;
    arena_init(&arena, NULL);
    struct tls_pair pair = make_pair();
    struct tls_settings s = {.server = true, .pairs = &pair, .npairs = 1, .protocols = protocols, .ciphers = STR("HIGH"),
                             .curves = STR("auto"), .tickets = true, .timeout_s = 300, .id = STR("test"), .depth = 1};
    struct tls_settings c = {.protocols = protocols, .ciphers = STR("HIGH"), .depth = 1, .commands = client_command,
                             .ncommands = client_command != NULL};
    server_conf = config_of(&s);
    client_conf = config_of(&c);
    struct loop *l = loop_new(0);
    if (change_client != NULL)
        change_client(tls_context_of(client_conf));
    EXPECT(link_pair(&server_link, &client_link, room));
    EXPECT(task_new(run_server, NULL, "server") != NULL && task_new(run_client, NULL, "client") != NULL);
    while (task_count(l) > 0)
        loop_turn(l, 1000);
    loop_free(l);
    tls_config_unref(server_conf);
    tls_config_unref(client_conf);
    arena_done(&arena);
}

enum { BODY = 200000, SOON = 5000 };

static char byte_at(size_t i) { return (char)(i * 7 + i / 251); }

static void send_body(struct link *l, size_t piece) {
    struct chain c;
    chain_init(&c, l->loop->blocks);
    for (size_t at = 0; at < BODY; at += piece) {
        char b[5000];
        size_t n = MIN(piece, BODY - at);
        for (size_t i = 0; i < n; i++)
            b[i] = byte_at(at + i);
        chain_add_copy(&c, str_n(b, n));
        if (c.bytes > 60000)
            EXPECT(link_write(l, &c, SOON) > 0);
    }
    EXPECT(chain_empty(&c) || link_write(l, &c, SOON) > 0);
    EXPECT(chain_empty(&c));
    EXPECT_INT(link_plain_out(l), BODY);
    EXPECT(link_bytes_out(l) > BODY);
}

static void receive_body(struct link *l, size_t step) {
    char b[9000];
    size_t at = 0;
    while (at < BODY) {
        ssize_t n = link_read_into(l, b, MIN(step, BODY - at), SOON);
        if (n <= 0)
            test_fail(__FILE__, __LINE__, "read at %zu: %zd", at, n);
        for (ssize_t i = 0; i < n; i++)
            EXPECT(b[i] == byte_at(at + (size_t)i));
        at += (size_t)n;
    }
    EXPECT_INT(link_plain_in(l), BODY);
}

static void server_sends(void) {
    EXPECT_STR(link_tls_alpn(server_link), STR("http/1.1"));
    EXPECT_STR(link_tls_server_name(server_link), STR("localhost"));
    EXPECT(link_is_tls(server_link));
    send_body(server_link, 4777);
    link_shutdown_write(server_link);
    char b[8];
    EXPECT_INT(link_read_into(server_link, b, sizeof b, SOON), 0); // the client's end
}

static void client_receives(void) {
    EXPECT_STR(link_tls_alpn(client_link), STR("http/1.1"));
    receive_body(client_link, 8999);
    char b[8];
    EXPECT_INT(link_read_into(client_link, b, sizeof b, SOON), 0); // close_notify
}

static void client_sends(void) { send_body(client_link, 333); }
static void server_receives(void) { receive_body(server_link, 61); }

TEST(tls_server_sends) {
    static const size_t rooms[] = {100, 5000, 1000000};
    for (size_t i = 0; i < 2 * ARRAY_LEN(rooms); i++) {
        settled = i % 2 != 0;
        converse(TLS_1_3, rooms[i / 2], server_sends, client_receives);
        converse(TLS_1_2, rooms[i / 2], server_sends, client_receives);
    }
}

TEST(tls_client_sends) {
    static const size_t rooms[] = {100, 70000};
    for (size_t i = 0; i < 2 * ARRAY_LEN(rooms); i++) {
        settled = i % 2 != 0;
        converse(TLS_1_3, rooms[i / 2], server_receives, client_sends);
        converse(TLS_1_2, rooms[i / 2], server_receives, client_sends);
    }
}

// What a write could not send stays in the writer's chain, and no byte of it goes twice.
static void server_writes_to_a_full_link(void) {
    struct chain c;
    chain_init(&c, server_link->loop->blocks);
    char b[1000];
    for (size_t i = 0; i < sizeof b; i++)
        b[i] = byte_at(i);
    chain_add_copy(&c, str_n(b, sizeof b));
    ssize_t n = link_try_write(server_link, &c, false);
    EXPECT_INT(n, -EAGAIN);
    EXPECT_INT(c.bytes, 1000);
    EXPECT_INT(link_plain_out(server_link), 0);
    EXPECT(link_memory(server_link) > 1000); // sealed and waiting
    EXPECT_INT(link_write(server_link, &c, SOON), 1000);
    EXPECT_INT(link_plain_out(server_link), 1000);
}
static void client_takes_1000(void) {
    char b[2000];
    size_t at = 0;
    while (at < 1000) {
        ssize_t n = link_read_into(client_link, b + at, sizeof b - at, SOON);
        EXPECT(n > 0);
        at += (size_t)n;
    }
    EXPECT_INT(at, 1000);
    for (size_t i = 0; i < at; i++)
        EXPECT(b[i] == byte_at(i));
}
TEST(tls_partial_writes) {
    for (int i = 0; i < 2; i++) {
        settled = i != 0;
        converse(TLS_1_3, 300, server_writes_to_a_full_link, client_takes_1000);
    }
}

// An idle link holds no buffer.
static bool seen_idle;

static void server_is_idle(void) {
    char b[8];
    EXPECT_INT(link_read_into(server_link, b, sizeof b, SOON), 5);
    EXPECT_INT(link_try_read_into(server_link, b, sizeof b), -EAGAIN);
    if (server_link->tls->hold)
        task_sleep_ms(2 * TLS_HOLD_MS);
    EXPECT(server_link->tls->in == NULL && chain_empty(&server_link->tls->out));
    EXPECT(link_alive(server_link));
    seen_idle = true;
    EXPECT_INT(link_read_into(server_link, b, sizeof b, SOON), 0);
}
static void client_says_hello(void) {
    struct chain c;
    chain_init(&c, client_link->loop->blocks);
    chain_add_const(&c, "hello", 5);
    EXPECT_INT(link_write(client_link, &c, SOON), 5);
}
static void client_stays_a_while(void) {
    seen_idle = false;
    client_says_hello();
    while (!seen_idle)
        task_sleep_ms(1);
}
TEST(tls_idle) {
    for (int i = 0; i < 2; i++) {
        settled = i != 0;
        converse(TLS_1_3, 100000, server_is_idle, client_stays_a_while);
    }
}

// --- without an SSL ----------------------------------------------------------------------------------------------------------

static const char *suite;

static void converse_settled(void (*server)(void), void (*client)(void)) {
    settled = true;
    converse(TLS_1_3, 100000, server, client);
}

static void server_has_no_ssl(void) {
    struct arena a;
    struct str text;
    arena_init(&a, NULL);
    EXPECT(server_link->tls->ssl == NULL && server_link->tls->records != NULL);
    EXPECT(tls_fact_cipher(server_link, &a, &text));
    EXPECT_STR(text, str_c(suite));
    EXPECT(tls_fact_protocol(server_link, &a, &text));
    EXPECT_STR(text, STR("TLSv1.3"));
    EXPECT(tls_fact_ciphers(server_link, &a, &text) && str_find(text, str_c(suite)) >= 0);
    EXPECT(tls_fact_curve(server_link, &a, &text) && tls_fact_curves(server_link, &a, &text));
    EXPECT(!tls_fact_client_serial(server_link, &a, &text));
    EXPECT_STR(link_tls_alpn(server_link), STR("http/1.1"));
    arena_done(&a);
    receive_body(server_link, 5000);
    send_body(server_link, 4000);
}
static void client_uses_suite(void) {
    EXPECT_STR(str_c(SSL_get_cipher_name(client_link->tls->ssl)), str_c(suite));
    send_body(client_link, 777);
    receive_body(client_link, 3000);
}
TEST(tls_records_of_each_suite) {
    static const char *const suites[] = {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"};
    for (size_t i = 0; i < ARRAY_LEN(suites); i++) {
        suite = suites[i];
        struct tls_command only = {STR("Ciphersuites"), str_c(suite)};
        client_command = &only;
        converse_settled(server_has_no_ssl, client_uses_suite);
        client_command = NULL;
    }
}

static void echo(void) {
    char b[100];
    ssize_t n;
    while ((n = link_read_into(server_link, b, sizeof b, SOON)) > 0) {
        struct chain c;
        chain_init(&c, server_link->loop->blocks);
        chain_add_copy(&c, str_n(b, (size_t)n));
        EXPECT(link_write(server_link, &c, SOON) == n);
    }
    EXPECT_INT(n, 0);
}
static void say_and_hear(const char *text) {
    struct chain c;
    char b[100];
    chain_init(&c, client_link->loop->blocks);
    chain_add_copy(&c, str_c(text));
    EXPECT(link_write(client_link, &c, SOON) > 0);
    ssize_t n = link_read_into(client_link, b, sizeof b, SOON);
    EXPECT_INT(n, (ssize_t)strlen(text));
    EXPECT_STR(str_n(b, (size_t)n), str_c(text));
}
// RFC 8446 4.6.3: keys change, with and without asking for the same.
static void client_changes_keys(void) {
    say_and_hear("before");
    for (int i = 0; i < 5; i++) {
        EXPECT(SSL_key_update(client_link->tls->ssl, i % 2 != 0 ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED) == 1);
        say_and_hear("in between");
        say_and_hear("and once more");
    }
}
TEST(tls_records_change_keys) { converse_settled(echo, client_changes_keys); }

static int key_updates;
static void count_key_updates(int write_p, int version, int type, const void *p, size_t n, SSL *ssl, void *arg) {
    key_updates += !write_p && type == SSL3_RT_HANDSHAKE && n == 5 && *(const unsigned char *)p == SSL3_MT_KEY_UPDATE;
}
static void client_takes_all(void) {
    key_updates = 0;
    SSL_set_msg_callback(client_link->tls->ssl, count_key_updates);
    receive_body(client_link, 8000);
    EXPECT(key_updates >= 2);
}
static void server_sends_much(void) { send_body(server_link, 1000); }

// RFC 6066 4: the client says how much it takes.
static size_t largest_read;
static void see_what_comes(int write_p, int version, int type, const void *p, size_t n, SSL *ssl, void *arg) {
    const unsigned char *h = p;
    if (!write_p && type == SSL3_RT_HEADER && n == 5)
        largest_read = MAX(largest_read, (size_t)h[3] << 8 | h[4]);
}
static void client_takes_little(void) {
    EXPECT_INT(SSL_SESSION_get_max_fragment_length(SSL_get0_session(client_link->tls->ssl)), TLSEXT_max_fragment_length_1024);
    largest_read = 0;
    SSL_set_msg_callback(client_link->tls->ssl, see_what_comes);
    receive_body(client_link, 8000);
    EXPECT_INT(largest_read, 1024 + 17);
}
static void limit_fragments(SSL_CTX *ctx) { SSL_CTX_set_tlsext_max_fragment_length(ctx, TLSEXT_max_fragment_length_1024); }
TEST(tls_records_of_limited_size) {
    change_client = limit_fragments;
    converse_settled(server_sends_much, client_takes_little);
}

// What one key may seal is bounded (RFC 8446 5.5).
TEST(tls_records_change_tired_keys) {
    tls_records_rekey_after(3);
    converse_settled(server_sends_much, client_takes_all);
    tls_records_rekey_after(0);
}

// More connections than contexts: who comes again gets its key anew.
static void client_speaks_in_turn(void) {
    for (int i = 0; i < 20; i++) {
        say_and_hear("turn");
        tls_keyed_forget(tls_loop());
    }
}
TEST(tls_records_take_turns_with_contexts) { converse_settled(echo, client_speaks_in_turn); }

// What a peer may not send ends the connection, and nothing else.
static const char *sent;
static size_t sent_n;
static void server_refuses(void) {
    char b[100];
    EXPECT_INT(link_read_into(server_link, b, sizeof b, SOON), -ECONNRESET);
    EXPECT_INT(link_read_into(server_link, b, sizeof b, SOON), -ECONNRESET);
}
static void client_sends_raw(void) {
    struct chain c;
    chain_init(&c, client_link->loop->blocks);
    chain_add_const(&c, sent, sent_n);
    EXPECT_INT(tls_flush(client_link, false), 0); // the handshake's last message
    while (!chain_empty(&c) && client_link->tls->lower->write(client_link, &c, false) > 0)
        continue;
    char b[10];
    EXPECT_INT(link_read_into(client_link, b, sizeof b, SOON), -ECONNRESET); // an alert
}
TEST(tls_records_refuse) {
    static const struct str bad[] = {
        STR("\x16\x03\x03\x00\x20" "a record in the clear"), STR("\x17\x03\x03\x00\x14" "no record of anybody"),
        STR("\x17\x03\x03\x41\x01"), STR("\x17\x03\x03\x00\x10" "sixteen bytes .."), STR("\x17\x02\x03\x00\x20"),
        STR("\x14\x03\x03\x00\x01\x01"), STR("\x15\x03\x03\x00\x02\x02\x28"), STR("GET / HTTP/1.1\r\n\r\n"),
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        sent = bad[i].p;
        sent_n = bad[i].n;
        converse_settled(server_refuses, client_sends_raw);
    }
}

// Messages without end and data are not answered for ever.
static void client_floods_with_key_updates(void) {
    for (int i = 0; i < 100; i++) {
        if (SSL_key_update(client_link->tls->ssl, SSL_KEY_UPDATE_NOT_REQUESTED) != 1)
            break;
        tls_enter(client_link);
        if (SSL_do_handshake(client_link->tls->ssl) != 1 || tls_flush(client_link, false) != 0)
            break;
    }
    char b[10];
    EXPECT(link_read_into(client_link, b, sizeof b, SOON) <= 0);
}
TEST(tls_records_end_floods) { converse_settled(server_refuses, client_floods_with_key_updates); }

static void server_sends_its_last(void) {
    struct chain c;
    chain_init(&c, server_link->loop->blocks);
    chain_add_const(&c, "bye", 3);
    link_tls_last(server_link);
    EXPECT_INT(link_write(server_link, &c, SOON), 3);
    size_t sent_then = link_bytes_out(server_link);
    link_shutdown_write(server_link);
    EXPECT_INT(link_bytes_out(server_link), sent_then); // the end went with the last byte
}
static void client_hears_the_end(void) {
    char b[10];
    EXPECT_INT(link_read_into(client_link, b, sizeof b, SOON), 3);
    EXPECT_INT(link_read_into(client_link, b, sizeof b, SOON), 0);
}
TEST(tls_the_end_goes_with_the_last_byte) {
    for (int i = 0; i < 3; i++) {
        settled = i != 0;
        converse(i == 2 ? TLS_1_2 : TLS_1_3, 100000, server_sends_its_last, client_hears_the_end);
    }
}

// The key schedule is that of OpenSSL's own provider, and libssl uses it.
static void derive(OSSL_LIB_CTX *lib, const char *hash, int mode, struct str salt, unsigned char *out, size_t n) {
    unsigned char key[48], data[48];
    memset(key, 7, sizeof key);
    memset(data, 9, sizeof data);
    EVP_KDF *kdf = EVP_KDF_fetch(lib, "TLS13-KDF", NULL);
    EXPECT(kdf != NULL);
    EXPECT(lib == NULL || strcmp(OSSL_PROVIDER_get0_name(EVP_KDF_get0_provider(kdf)), "weir") == 0);
    EVP_KDF_CTX *c = EVP_KDF_CTX_new(kdf);
    OSSL_PARAM p[8], *at = p;
    *at++ = OSSL_PARAM_construct_int("mode", &mode);
    *at++ = OSSL_PARAM_construct_utf8_string("digest", (char *)(uintptr_t)hash, 0);
    *at++ = OSSL_PARAM_construct_octet_string("key", key, mode == EVP_KDF_HKDF_MODE_EXTRACT_ONLY ? 32 : n);
    *at++ = OSSL_PARAM_construct_octet_string("prefix", (char *)(uintptr_t)"tls13 ", 6);
    *at++ = OSSL_PARAM_construct_octet_string("label", (char *)(uintptr_t)"derived", 7);
    if (mode == EVP_KDF_HKDF_MODE_EXPAND_ONLY)
        *at++ = OSSL_PARAM_construct_octet_string("data", data, n);
    else if (salt.n != 0)
        *at++ = OSSL_PARAM_construct_octet_string("salt", (char *)(uintptr_t)salt.p, salt.n);
    *at = OSSL_PARAM_construct_end();
    EXPECT(EVP_KDF_derive(c, out, n, p) == 1);
    EVP_KDF_CTX_free(c);
    EVP_KDF_free(kdf);
}
TEST(tls_kdf_is_that_of_openssl) {
    struct loop *l = loop_new(0);
    for (int i = 0; i < 6; i++) {
        unsigned char ours[48] = {0}, theirs[48] = {1};
        const char *hash = i % 2 != 0 ? "SHA384" : "SHA256";
        size_t n = i % 2 != 0 ? 48 : 32;
        int mode = i < 2 ? EVP_KDF_HKDF_MODE_EXPAND_ONLY : EVP_KDF_HKDF_MODE_EXTRACT_ONLY;
        struct str salt = i < 4 ? STR("") : str_n("0123456789abcdef0123456789abcdef0123456789abcdef", n);
        derive(tls_loop()->lib, hash, mode, salt, ours, n);
        derive(NULL, hash, mode, salt, theirs, n);
        EXPECT(memcmp(ours, theirs, n) == 0);
    }
    loop_free(l);
}

// Records grow: the first are small, those of bulk are large.
static size_t first_record, largest_record;
static void see_records(int write_p, int version, int type, const void *p, size_t n, SSL *ssl, void *arg) {
    const unsigned char *h = p;
    if (!write_p || type != SSL3_RT_HEADER || n != 5 || h[0] != 23)
        return;
    size_t len = (size_t)h[3] << 8 | h[4];
    first_record = first_record == 0 ? len : first_record;
    largest_record = MAX(largest_record, len);
}
static void server_sends_seen(void) {
    first_record = largest_record = 0;
    SSL_set_msg_callback(server_link->tls->ssl, see_records);
    send_body(server_link, 4096);
}
TEST(tls_record_sizes) {
    converse(TLS_1_3, 1000000, server_sends_seen, client_receives);
    EXPECT(first_record < 1460);
    EXPECT(largest_record > 16384);
}

// --- tickets -----------------------------------------------------------------------------------------------------------------

static bool resumed;
static void client_asks(void) {
    resumed = SSL_session_reused(client_link->tls->ssl);
    say_and_hear("hello");
}
// Keys change every hour, and tickets of the last day are still good.
TEST(tls_ticket_keys_change) {
    static const struct {
        int64_t hours;
        bool resumed;
    } each[] = {{0, false}, {0, true}, {1, true}, {20, true}, {23, true}, {26, false}, {0, true}, {1000, false}};
    arena_init(&arena, NULL);
    struct tls_pair pair = make_pair();
    struct tls_settings s = {.server = true, .pairs = &pair, .npairs = 1, .protocols = TLS_1_3, .ciphers = STR("HIGH"),
                             .curves = STR("auto"), .tickets = true, .timeout_s = 300, .id = STR("test")};
    struct tls_settings c = {.protocols = TLS_1_3, .ciphers = STR("HIGH"), .depth = 1};
    server_conf = config_of(&s);
    client_conf = config_of(&c);
    server_body = echo;
    client_body = client_asks;
    struct loop *l = loop_new(0);
    for (size_t i = 0; i < ARRAY_LEN(each); i++) {
        tls_tickets_age(each[i].hours * 3600);
        EXPECT(link_pair(&server_link, &client_link, 100000));
        EXPECT(task_new(run_server, NULL, "server") != NULL && task_new(run_client, NULL, "client") != NULL);
        while (task_count(l) > 0)
            loop_turn(l, 1000);
        if (resumed != each[i].resumed)
            test_fail(__FILE__, __LINE__, "case %zu: resumed %d", i, resumed);
    }
    loop_free(l);
    tls_config_unref(server_conf);
    tls_config_unref(client_conf);
    arena_done(&arena);
}

// --- the cache of sessions ---------------------------------------------------------------------------------------------------

TEST(tls_cache_is_bounded) {
    arena_init(&arena, NULL);
    struct tls_cache *cache = tls_cache_new(4096);
    struct tls_pair pair = make_pair();
    struct tls_settings s = {.server = true, .pairs = &pair, .npairs = 1, .protocols = TLS_1_2, .ciphers = STR("HIGH"),
                             .curves = STR("auto"), .cache = cache, .timeout_s = 300, .id = STR("test")};
    struct tls_settings c = {.protocols = TLS_1_2, .ciphers = STR("HIGH"), .depth = 1};
    server_conf = config_of(&s);
    client_conf = config_of(&c);
    server_body = NULL;
    client_body = client_says_hello;
    struct loop *l = loop_new(0);
    for (int i = 0; i < 40; i++) {
        EXPECT(link_pair(&server_link, &client_link, 100000));
        EXPECT(task_new(run_server, NULL, "server") != NULL && task_new(run_client, NULL, "client") != NULL);
        while (task_count(l) > 0)
            loop_turn(l, 1000);
        EXPECT(tls_cache_bytes(cache) > 0 && tls_cache_bytes(cache) <= tls_cache_size(cache));
        SSL_CTX_flush_sessions(tls_context_of(client_conf), 0);
    }
    loop_free(l);
    tls_config_unref(server_conf);
    tls_config_unref(client_conf);
    tls_cache_free(cache);
    arena_done(&arena);
}
