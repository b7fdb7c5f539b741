// A small world for tests of upstream/: a configuration, a loop, a request, and back ends on loopback that play a script.
#pragma once
#include "base/test.h"
#include "io/loop.h"
#include "upstream/h1_client.h"
#include "upstream/state.h"

struct world {
    struct loop *loop;
    struct conf *conf;
    struct arena arena; // of errors
    struct zones *zones;
};
// A group "back" of these servers in the configuration; `directives` stand in the location that proxies to it.
void world_begin(struct world *w, const char *servers, const char *directives);
void world_end(struct world *w);
// A request to the location, as if `method uri` had come with these fields ("Name: value\r\n..."). body NULL: none.
struct req *world_request(struct world *w, const char *method, const char *uri, const char *fields, const char *body);
// The exchange that proxy_pass would make.
struct exchange *world_exchange(struct req *r);
// Runs fn(arg) as a task until it ends.
void world_run(struct world *w, void (*fn)(void *arg), void *arg);

// What a back end sends over a link in memory, and what comes of it.
struct reply {
    const char *bytes;
    unsigned status;     // 0: refused
    const char *body;
    int end;             // what the body ends with
    bool keep;           // the connection may be used again, wherever the reply was cut
    bool close;          // the back end ends the connection behind the bytes
    const char *method;  // of the request; NULL: GET
    const char *trailer; // the value of the only one; NULL: not looked at
};
// Sends a reply in two pieces, the first of `cut` bytes; its body is pulled in pieces of at most `room`. `prepare` (may be NULL)
// changes the exchange first.
void world_reply(struct world *w, const struct reply *reply, size_t cut, size_t room, void (*prepare)(struct exchange *x));

// One connection's part of a script: what is sent for each request that arrives on it, then what happens.
enum script_end { SCRIPT_CLOSE, SCRIPT_RESET, SCRIPT_HOLD };
struct script {
    const char *answers[4]; // one for each request on the connection; a NULL ends
    enum script_end end;
    bool early;             // does not read the request first
};
struct backend {
    unsigned port;
    int fd;
    const struct script *scripts; // [count], one for each connection in turn
    unsigned count, accepted;
    char seen[65536];             // all requests
    size_t seen_n;
    unsigned long thread;
    int held[16];
    unsigned nheld;
};
void backend_begin(struct backend *b, const struct script *scripts, unsigned count);
void backend_end(struct backend *b); // waits for its thread
