// A request: one, whichever protocol brought it. It lives on one loop, in its own arena, from the first byte of its head to
// its log line. It has no field for any feature: a feature asks for its own state, req_ctx(r, &feature_x).
#pragma once
#include "http/body.h"
#include "http/core.h"
#include "http/plan.h"
#include "io/link.h"
#include "io/log.h"
#include "wire/uri.h"

struct conn;
struct codec;
struct tape;
struct server; // vhost.h
struct sub;    // subrequest.c
struct subs;

enum { REQ_MAGIC = 0x57524551, REQ_URI_CHANGES_MAX = 10 }; // as in nginx; rewrites and internal redirects together

// How a request ends up. Set by hooks through answer.h; read by run.c.
enum { BODY_MEMORY_EACH = 2 << 20 }; // bytes of a buffered body in memory above client_body_buffer_size, budget permitting

enum outcome { OUTCOME_NONE, OUTCOME_ANSWER, OUTCOME_STATUS, OUTCOME_GOTO, OUTCOME_CLOSE };

// Something that the request holds to its very end, and to the end of the tunnel that it may become.
struct req_end {
    struct req_end *next;
    void (*fn)(void *arg);
    void *arg;
};

struct req {
    uint32_t magic;
    struct arena arena;
    struct loop *loop;
    struct conn *conn;         // NULL for none (tests)
    const struct codec *codec;
    void *codec_state;
    struct conf *conf;         // of the connection, which holds the reference
    struct req *main;          // itself, or the request that this one is a part of
    struct req *parent;        // NULL for a main request
    struct sub *sub;           // of a subrequest; NULL for a main request
    struct subs *subs;         // of a main request: its subrequests; NULL until there was one
    struct task *task;         // that runs it

    // what came
    struct head in;            // head of the request
    struct uri_target target;  // as the client wrote it
    struct str request_line;   // for $request and logs: as received, control bytes kept
    struct str host, port;     // from Host or the target: lower-cased name; may be empty
    struct body *body;         // of the request; NULL: none
    struct body *tunnel_in;    // of an extended CONNECT (RFC 8441) that asks as an upgrade: what the client sends afterwards
    int64_t content_length;    // -1: not given
    bool chunked_in;
    struct tape *body_tape;    // buffered body; see req_buffer_body
    struct str body_file;      // its name, with client_body_in_file_only; NUL-terminated
    uint64_t head_bytes;       // for $request_length
    uint64_t body_bytes_in;

    // where it is
    struct str uri, args;      // normalised path; query without '?'. Change through req_set_uri
    struct str unparsed_uri;   // $request_uri
    bool valid_unparsed_uri;   // uri is still what unparsed_uri says (proxy_pass without URI may use it as it is)
    enum method method;
    struct str method_text;
    struct scope *server_scope, *scope; // scope: location in force
    const struct server *server;
    bool content_only;         // a clone of its parent: begins with the content of `scope`, and has no response hooks
    bool internal;             // by error_page, index, try_files, rewrite...
    bool uri_changed;          // by rewrite: route again
    bool uri_goes_whole;       // by `rewrite ... break`: proxy_pass sends uri as it is, and its own URI part does not count
    bool uri_below_alias;      // by try_files in a regex location with alias: the URI goes behind the alias
    uint8_t uri_changes;       // rewrites that went back to routing, and internal redirects
    unsigned error_status;     // that an error_page's answer keeps, 0 else
    bool in_error_page;        // error_page was taken once (recursive_error_pages)
    struct str captures[10];   // of the last regex (location, server_name, rewrite...): owned by the arena
    unsigned ncaptures;

    // what goes
    enum outcome outcome;
    unsigned outcome_status;
    struct str goto_uri, goto_args; // OUTCOME_GOTO; goto_uri "@name" for named locations
    struct head out;
    struct body *out_body;      // NULL: none
    int64_t out_length;         // -1: unknown
    struct head *out_trailers;
    int64_t last_modified;      // unix s of the answer, -1 or LAST_MODIFIED_UNREAD: read it by answer_last_modified()
    bool conditions_judged;     // by a back end: If-Match and so on were for it
    bool built_in_page;         // out_body is a page that this server made of a status
    struct str location;        // of a redirect, a path that the codec makes absolute (answer_absolute); else in `out`
    bool head_only;             // HEAD, or a status without body
    bool head_sent, keepalive, chunked_out;
    bool body_failed;           // out_body gave an error while it was sent
    bool pipelined;             // its head was there before the last answer was sent
    bool completed;             // answered to the end
    bool client_gone;           // it ended its side before the request was whole: an answer has no reader
    bool linger;               // the client may still be sending when the answer is out
    uint64_t head_bytes_out, body_bytes_out; // on the wire

    // Set by who answers 101 (to a stream with tunnel_in: 200): called instead of the log stage when the head is out and the
    // connection, or the stream, no longer HTTP's. Takes over the request and that. Waits.
    void (*take_over)(struct req *r);
    struct req_end *ends;
    struct req_move *moves;     // of req_on_keep

    uint64_t start_ms;          // loop clock when its first byte was there
    struct eval eval;           // variables
    void **ctx;                 // by feature index; NULL until asked
    struct log_context log;
    bool debugging;             // lines of level debug are wanted: see debug.h
    char ended_by, ended_in;    // who ended it before its time, and in which phase; 0: nobody. $termination; see req_ended
    const char *hint;           // for the error log: what to look at next, ", hint: ..."; NULL: none
    const char *phase;          // for the error log: " while " and this, when not NULL ("reading client request line")
    struct str asked;           // for the error log: URL of the peer being asked, ", upstream: ..."
    struct addr client_addr;    // what realip may replace: $remote_addr
    struct str client_text;     // made on demand
};

// A protocol's side of a request.
struct codec {
    const char *name; // "HTTP/1.1"
    // Sends an interim answer (100, 103). 0 or -errno. Waits.
    int (*interim)(struct req *r, unsigned status, const struct head *fields);
    // Sends r->out and pulls r->out_body to the end. 0, or -errno when the client went or the body failed (r->body_failed). A
    // body that fails before head_sent leaves the link as it was: another answer may be sent. Waits.
    int (*send)(struct req *r);
    bool upgrades; // a connection can become a tunnel (req.take_over)
    // A client that goes away (its connection, or its stream of HTTP/2) cancels that task; false: somebody watches already. NULL
    // ends it. Not for requests without a connection.
    bool (*watch)(struct req *r, struct task *t);
    bool (*gone)(const struct req *r); // the client has gone away, as far as is known
    // For req.take_over: the request's stream as a link, which ends it when it is freed. The request is no longer the stream's,
    // and may be freed; the connection lives at least as long as the link. drop(arg) is called when the loop ends before that,
    // and must free the link. No member: it is the connection (req.conn) that is taken over.
    struct link *(*stream_link)(struct req *r, void (*drop)(void *arg), void *arg);
};

// Allocated in its own arena. `conf` must outlive it. Scope and server are those of `fallback` until vhost_find chose.
struct req *req_new(struct loop *l, struct conn *c, struct conf *conf, const struct server *fallback,
                    const struct codec *codec);
void req_set_server(struct req *r, const struct server *s); // server, server_scope, scope, log
void req_set_log(struct req *r); // the error log of r->scope
// Subrequests, bodies, tape, contexts, arena. Waits for subrequests in the background: what the head points into must live
// until it returns. NULL does nothing.
void req_free(struct req *r);
void req_release(struct req *r, struct arena *keep); // for subrequest.c: all but the memory, which moves to *keep

// fn(arg) when the request has ended; when it becomes a tunnel, then when that has. `arg` must not lie in the request's arena:
// that goes earlier. What may end with the arena uses arena_cleanup.
// fn may wait, shielded, for tasks of the request: that is before its body and its arena go, and after its answer was sent and
// logged.
void req_on_end(struct req *r, void (*fn)(void *arg), void *arg);
// For what is given back by an arena_cleanup, but counts as long as a tunnel lasts, too: when the request is made small,
// m->fn moves it to memory of its own and gives that to req_on_end. *m lies in the arena, as a part of what is moved.
struct req_move {
    struct req_move *next;
    void (*fn)(struct req *r, struct req_move *m);
};
void req_on_keep(struct req *r, struct req_move *m);
void req_ends_run(struct req_end **ends); // latest first; frees them

// Notes who ended the request and in which phase, for $termination; the first one who says so counts. Letters as in
// docs/logs.md.
static inline void req_ended(struct req *r, char who, char phase) {
    if (r->ended_by == 0) {
        r->ended_by = who;
        r->ended_in = phase;
    }
}

// A feature's own state, NULL when it has none yet.
static inline void *req_ctx(const struct req *r, const struct feature *f) { return r->ctx ? r->ctx[f->index] : NULL; }
void req_set_ctx(struct req *r, const struct feature *f, void *state);
void *req_ctx_make(struct req *r, const struct feature *f, size_t size); // zeroed on first call

static inline const struct http_core *req_core(const struct req *r) {
    return (const struct http_core *)scope_conf(r->scope, &feature_http_core);
}
static inline const struct log *scope_error_log(const struct scope *s) {
    return ((const struct error_log_conf *)scope_conf(s, &feature_error_log))->log;
}
static inline const void *req_conf(const struct req *r, const struct feature *f) { return scope_conf(r->scope, f); }

bool req_is_msie(const struct req *r); // Internet Explorer, by its User-Agent
void req_set_uri(struct req *r, struct str uri, struct str args); // normalised already
struct str req_exten(const struct req *r);                        // of r->uri
static inline struct str req_eval(struct req *r, const struct tmpl *t) { return tmpl_eval(t, &r->eval); }
struct str req_client_text(struct req *r); // $remote_addr
// Sets $1..$9 from PCRE2-style offsets into `subject`; copies the subject when it is not of the arena (`copy`).
void req_set_captures(struct req *r, struct str subject, const size_t *ovector, unsigned pairs, bool copy);

// Reads the whole request body into r->body_tape, in memory up to client_body_buffer_size and the worker's budget, then in a
// temp file; afterwards r->body_tape may be read any number of times (tape_reader). 0; or the status to answer: 413, 408,
// 400, 500, or 499 when the client went. Does nothing when there is no body or it was read already. Waits.
unsigned req_buffer_body(struct req *r);
// The status for a failed read of r->body.
unsigned req_body_error_status(struct req *r, ssize_t err);

// While it is on, a client that goes away cancels the calling task. False, and nothing changes, when somebody watches already
// or there is no connection. Ended by the same task.
bool req_watch_client(struct req *r);
void req_unwatch_client(struct req *r);

// File path of the URI by root or alias, NUL-terminated: nginx $request_filename. False (and logged) when it cannot be.
bool req_map_path(struct req *r, struct str *path);
unsigned req_unmapped_status(const struct req *r); // that answers when it cannot be
bool req_document_root(struct req *r, struct str *root); // $document_root
