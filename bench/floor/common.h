// What the tools of the benchmark share: sockets on loopback, and just enough of HTTP/1.1 to find the end of a head,
// its content-length and one line of it. They talk to programs we start ourselves; nothing here defends itself against
// hostile bytes, and none of it belongs in weir.
#ifndef BENCH_COMMON_H
#define BENCH_COMMON_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#ifdef __AVX2__
#include <immintrin.h>

// Points i at the first byte not searched when nothing was found.
static inline char *head_end_wide(char *p, size_t n, size_t *i) {
    const __m256i nl = _mm256_set1_epi8('\n');
    for (; *i + 34 <= n; *i += 32) {
        __m256i a = _mm256_loadu_si256((const void *)(p + *i));
        __m256i b = _mm256_loadu_si256((const void *)(p + *i + 2));
        uint32_t hits =
            (uint32_t)_mm256_movemask_epi8(_mm256_and_si256(_mm256_cmpeq_epi8(a, nl), _mm256_cmpeq_epi8(b, nl)));
        for (; hits; hits &= hits - 1) {
            char *at = p + *i + __builtin_ctz(hits);
            if (at[1] == '\r')
                return at + 3;
        }
    }
    return NULL;
}
#else
static inline char *head_end_wide(char *p, size_t n, size_t *i) {
    for (char *at = p; (size_t)(at - p) + 2 < n; at++) {
        at = memchr(at, '\n', n - 2 - (size_t)(at - p));
        if (!at)
            break;
        if (at[1] == '\r' && at[2] == '\n')
            return at + 3;
    }
    *i = n;
    return NULL;
}
#endif

// The byte after the empty line that ends a head, NULL when the head is not complete.
static inline char *head_end(char *p, size_t n) {
    size_t i = 0;
    char *end = head_end_wide(p, n, &i);
    for (; !end && i + 2 < n; i++)
        if (p[i] == '\n' && p[i + 1] == '\r' && p[i + 2] == '\n')
            end = p + i + 3;
    return end;
}

// Walks the lines of the head [p, end). Returns its content-length, 0 without one; [*from, *to) becomes the line of the
// field `name` (lower case), NULL without one.
static inline int64_t head_scan(char *p, char *end, const char *name, char **from, char **to) {
    static const char cl[] = "content-length";
    int64_t length = 0;
    size_t len = strlen(name);
    *from = *to = NULL;
    char *line = memchr(p, '\n', (size_t)(end - p));
    while (line && *++line != '\r') {
        char *next = memchr(line, '\n', (size_t)(end - line));
        if (!next)
            break;
        size_t n = (size_t)(next - line);
        int first = *line | 32;
        if (first == 'c' && n > sizeof cl && line[sizeof cl - 1] == ':' && !strncasecmp(line, cl, sizeof cl - 1)) {
            length = strtoll(line + sizeof cl, NULL, 10);
        } else if (first == name[0] && n > len && line[len] == ':' && !strncasecmp(line, name, len)) {
            *from = line;
            *to = next + 1;
        }
        line = next;
    }
    return length;
}

static inline void die(const char *what) {
    perror(what);
    exit(1);
}

static inline struct sockaddr_in loopback(int port) {
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

// A non-blocking listener; accepted sockets inherit TCP_NODELAY.
static inline int listen_on(int port) {
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct sockaddr_in a = loopback(port);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (bind(fd, (void *)&a, sizeof a) || listen(fd, 4096))
        die("listen");
    return fd;
}

// A connected blocking socket, or -1.
static inline int connect_to(int port) {
    int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in a = loopback(port);
    if (fd < 0)
        return -1;
    if (connect(fd, (void *)&a, sizeof a)) {
        close(fd);
        return -1;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

static inline int port_arg(const char *s) {
    int port = (int)strtol(s, NULL, 10);
    if (port <= 0 || port > 65535) {
        fprintf(stderr, "bad port \"%s\"\n", s);
        exit(2);
    }
    return port;
}

#endif
