// hold PORT COUNT: opens COUNT keep-alive connections, sends one request on each, prints "ready ANSWERED" and holds
// them idle. At the next line on standard input it sends a second request on each, prints "alive ANSWERED" and ends; at
// the end of input it just ends. A server that drops idle connections to look lean is thereby found out.
#include "common.h"

#include <poll.h>

static const char request[] = "GET /200 HTTP/1.1\r\nHost: localhost\r\nUser-Agent: hold\r\n\r\n";

// True when a whole answer with status 200 came back.
static bool answered(int fd) {
    char b[8192];
    size_t have = 0;
    if (fd < 0 || send(fd, request, sizeof request - 1, MSG_NOSIGNAL) != (ssize_t)sizeof request - 1)
        return false;
    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        ssize_t n = poll(&p, 1, 5000) == 1 ? recv(fd, b + have, sizeof b - have, 0) : -1;
        if (n <= 0)
            return false;
        have += (size_t)n;
        char *end = head_end(b, have), *from, *to;
        if (end && have - (size_t)(end - b) >= (size_t)head_scan(b, end, "server", &from, &to))
            return !memcmp(b, "HTTP/1.1 200", 12);
    }
}

// How many of the connections answer. After a few that do not, each of which may take seconds, nothing more is to be
// learnt.
static int ask_all(int *fds, int count, int port) {
    int good = 0;
    for (int i = 0; i < count && i - good < 5; i++) {
        if (port)
            fds[i] = connect_to(port);
        good += answered(fds[i]);
    }
    return good;
}

int main(int argc, char **argv) {
    int count = argc == 3 ? (int)strtol(argv[2], NULL, 10) : 0;
    if (count <= 0) {
        fprintf(stderr, "usage: hold PORT COUNT\n");
        return 2;
    }
    int port = port_arg(argv[1]);
    int *fds = calloc((size_t)count, sizeof *fds);
    if (!fds)
        die("calloc");
    printf("ready %d\n", ask_all(fds, count, port));
    fflush(stdout);
    char line[16];
    if (!fgets(line, sizeof line, stdin))
        return 0;
    printf("alive %d\n", ask_all(fds, count, 0));
    return 0;
}
