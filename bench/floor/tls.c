// TLS clients for the benchmark.
//
//   tls full|resumed PORT SECONDS PATH LENGTH    a request on each new connection; prints "result CONNECTIONS MICROSECONDS",
//                                                of CLIENTS clients,
//                                                after it has checked each answer's length, and that sessions were resumed
//   tls hold PORT COUNT                          "ready N": so many idle connections; a line on stdin asks each of them again,
//                                                "alive N" says how many answered; ends with stdin
#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { CLIENTS = 8 };

static SSL_CTX *ctx;
static SSL_SESSION *latest;

static int keep_session(SSL *ssl, SSL_SESSION *s) {
    SSL_SESSION_free(latest);
    latest = s;
    return 1;
}

static long long now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000LL + t.tv_nsec / 1000;
}

static SSL *connect_to(int port, SSL_SESSION *session) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof a) != 0)
        return NULL;
    SSL *ssl = SSL_new(ctx);
    if (ssl == NULL || SSL_set_fd(ssl, fd) != 1)
        return NULL;
    if (session != NULL)
        SSL_set_session(ssl, session);
    return SSL_connect(ssl) == 1 ? ssl : NULL;
}

static void end(SSL *ssl) {
    int fd = SSL_get_fd(ssl);
    SSL_shutdown(ssl);
    SSL_free(ssl);
    close(fd);
}

// Asks, and reads head and body: whether the answer is 200 with so many bytes.
static int ask(SSL *ssl, const char *path, int length, int last) {
    char b[65536];
    int n = snprintf(b, sizeof b, "GET %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n", path, last ? "Connection: close\r\n" : "");
    if (SSL_write(ssl, b, n) != n)
        return 0;
    int have = 0;
    for (;;) {
        int r = SSL_read(ssl, b + have, (int)sizeof b - 1 - have);
        if (r <= 0)
            return 0;
        have += r;
        b[have] = '\0';
        const char *head = strstr(b, "\r\n\r\n");
        if (head != NULL && have - (int)(head + 4 - b) >= length)
            return strncmp(b, "HTTP/1.1 200 ", 13) == 0 && have - (int)(head + 4 - b) == length;
    }
}

// One client: how many connections until then, or -1 with a word about what was wrong.
static long long client(int resumed, int port, long long until, const char *path, int length) {
    long long count = 0;
    while (now_us() < until) {
        SSL *ssl = connect_to(port, resumed ? latest : NULL);
        if (ssl == NULL || !ask(ssl, path, length, 1)) {
            fprintf(stderr, "failed: connection %lld\n", count);
            return -1;
        }
        if (SSL_session_reused(ssl) != (resumed && count > 0)) {
            fprintf(stderr, "failed: connection %lld was %sresumed\n", count, resumed ? "not " : "");
            return -1;
        }
        end(ssl);
        count++;
    }
    return count;
}

// Several clients at once, as processes: a server that meets one at a time would mostly be waking up.
static int run(int resumed, int port, int seconds, const char *path, int length) {
    long long begin = now_us(), total = 0, count;
    int p[2], failed = pipe(p);
    for (int i = 0; i < CLIENTS; i++) {
        if (fork() == 0) {
            count = client(resumed, port, begin + seconds * 1000000LL, path, length);
            _exit(write(p[1], &count, sizeof count) != sizeof count);
        }
    }
    for (int i = 0; i < CLIENTS; i++) {
        if (read(p[0], &count, sizeof count) != sizeof count || count < 0)
            failed = 1;
        else
            total += count;
    }
    while (wait(NULL) > 0)
        ;
    if (!failed)
        printf("result %lld %lld\n", total, now_us() - begin);
    return failed;
}

static int hold(int port, int count) {
    SSL **all = calloc((size_t)count, sizeof *all);
    int n = 0;
    for (; all != NULL && n < count; n++) {
        all[n] = connect_to(port, NULL);
        if (all[n] == NULL || !ask(all[n], "/200", 200, 0))
            break;
    }
    printf("ready %d\n", n);
    fflush(stdout);
    char line[16];
    while (fgets(line, sizeof line, stdin) != NULL) {
        int alive = 0;
        for (int i = 0; i < n; i++)
            alive += ask(all[i], "/200", 200, 0);
        printf("alive %d\n", alive);
        fflush(stdout);
    }
    return 0;
}

int main(int argc, char **argv) {
    ctx = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ctx, keep_session);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
    if (argc == 6 && (strcmp(argv[1], "full") == 0 || strcmp(argv[1], "resumed") == 0))
        return run(argv[1][0] == 'r', atoi(argv[2]), atoi(argv[3]), argv[4], atoi(argv[5]));
    if (argc == 4 && strcmp(argv[1], "hold") == 0)
        return hold(atoi(argv[2]), atoi(argv[3]));
    return 2;
}
