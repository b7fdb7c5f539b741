#include "base/test.h"
#include "base/arena.h"
#include "io/tls_private.h"
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

// Both ends of a connection on one loop, over memory links of small room: every record is cut somewhere.

static struct arena arena;
static struct tls_config *server_conf, *client_conf;
static struct link *server_link, *client_link;
static void (*server_body)(void), (*client_body)(void);
static size_t room;

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
    struct tls_settings c = {.protocols = protocols, .ciphers = STR("HIGH"), .depth = 1};
    server_conf = config_of(&s);
    client_conf = config_of(&c);
    struct loop *l = loop_new(0);
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
    for (size_t i = 0; i < ARRAY_LEN(rooms); i++) {
        converse(TLS_1_3, rooms[i], server_sends, client_receives);
        converse(TLS_1_2, rooms[i], server_sends, client_receives);
    }
}

TEST(tls_client_sends) {
    static const size_t rooms[] = {100, 70000};
    for (size_t i = 0; i < ARRAY_LEN(rooms); i++) {
        converse(TLS_1_3, rooms[i], server_receives, client_sends);
        converse(TLS_1_2, rooms[i], server_receives, client_sends);
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
TEST(tls_partial_writes) { converse(TLS_1_3, 300, server_writes_to_a_full_link, client_takes_1000); }

// An idle link holds no buffer.
static void server_is_idle(void) {
    char b[8];
    EXPECT_INT(link_read_into(server_link, b, sizeof b, SOON), 5);
    EXPECT_INT(link_try_read_into(server_link, b, sizeof b), -EAGAIN);
    EXPECT(server_link->tls->in == NULL && chain_empty(&server_link->tls->out));
    EXPECT(link_alive(server_link));
    EXPECT_INT(link_read_into(server_link, b, sizeof b, SOON), 0);
}
static void client_says_hello(void) {
    struct chain c;
    chain_init(&c, client_link->loop->blocks);
    chain_add_const(&c, "hello", 5);
    EXPECT_INT(link_write(client_link, &c, SOON), 5);
    task_sleep_ms(20);
}
TEST(tls_idle) { converse(TLS_1_3, 100000, server_is_idle, client_says_hello); }

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
