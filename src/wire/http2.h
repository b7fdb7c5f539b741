// HTTP/2 (RFC 9113) as a state machine, for both sides: bytes in, events out; answers of the protocol itself (acknowledgements,
// windows, resets, GOAWAY) are appended to a chain, and so is what the owner sends. No I/O and no clock; whoever owns the session moves the
// chain to the peer.
//
//   bytes ──► h2_input ──► event ──► owner          owner ──► h2_put_headers, h2_put_data, h2_reset ──┐
//                └── SETTINGS ack, PING ack, WINDOW_UPDATE, RST_STREAM, GOAWAY ──────────────────────┴──► session.out
//
// All that a peer can make us do is charged to one budget, so that no kind of flood is cheap (see h2_charge).
#pragma once
#include "base/chain.h"
#include "wire/hpack.h"

#define H2_PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

enum h2_frame_type {
    H2_DATA = 0, H2_HEADERS = 1, H2_PRIORITY = 2, H2_RST_STREAM = 3, H2_SETTINGS = 4, H2_PUSH_PROMISE = 5, H2_PING = 6,
    H2_GOAWAY = 7, H2_WINDOW_UPDATE = 8, H2_CONTINUATION = 9, H2_PRIORITY_UPDATE = 16 /* RFC 9218 */,
};
enum h2_flag { H2_END_STREAM = 1, H2_ACK = 1, H2_END_HEADERS = 4, H2_PADDED = 8, H2_HAS_PRIORITY = 0x20 };
enum h2_setting {
    H2_HEADER_TABLE_SIZE = 1, H2_ENABLE_PUSH = 2, H2_MAX_CONCURRENT_STREAMS = 3, H2_INITIAL_WINDOW_SIZE = 4,
    H2_MAX_FRAME_SIZE = 5, H2_MAX_HEADER_LIST_SIZE = 6, H2_ENABLE_CONNECT_PROTOCOL = 8 /* RFC 8441 */,
    H2_NO_RFC7540_PRIORITIES = 9 /* RFC 9218 */,
};
// X(code, NAME)
#define H2_ERRORS(X)                                                                                                   \
    X(0, NO_ERROR) X(1, PROTOCOL_ERROR) X(2, INTERNAL_ERROR) X(3, FLOW_CONTROL_ERROR) X(4, SETTINGS_TIMEOUT)           \
    X(5, STREAM_CLOSED) X(6, FRAME_SIZE_ERROR) X(7, REFUSED_STREAM) X(8, CANCEL) X(9, COMPRESSION_ERROR)               \
    X(10, CONNECT_ERROR) X(11, ENHANCE_YOUR_CALM) X(12, INADEQUATE_SECURITY) X(13, HTTP_1_1_REQUIRED)
enum h2_error {
#define X(code, name) H2_##name = code,
    H2_ERRORS(X)
#undef X
};
const char *h2_error_name(uint32_t code); // "PROTOCOL_ERROR"; "unknown" for others
const char *h2_frame_name(unsigned type);

enum { H2_FRAME_HEAD = 9, H2_FRAME_MIN_MAX = 16384, H2_WINDOW_DEFAULT = 65535, H2_WINDOW_MAX = 0x7fffffff };

struct h2_frame {
    uint32_t length, stream;
    uint8_t type, flags;
};
struct h2_frame h2_frame_parse(const unsigned char *p);
void h2_frame_put(unsigned char *to, uint32_t length, unsigned type, unsigned flags, uint32_t stream);

// --- streams ---------------------------------------------------------------------------------------------------------------

enum h2_state { H2_IDLE, H2_OPEN, H2_HALF_LOCAL /* we ended */, H2_HALF_REMOTE /* the peer ended */, H2_CLOSED };
const char *h2_state_name(enum h2_state s);

// Owned by the session's owner, who embeds it; linked into the session from h2_stream_open until it is closed.
struct h2_stream {
    uint32_t id;
    enum h2_state state;
    int32_t send_window;   // below 0 after the peer lowered SETTINGS_INITIAL_WINDOW_SIZE
    int32_t recv_window;   // what the peer may still send
    uint32_t window;       // size of the receive window that is kept up
    uint32_t consumed;     // and not announced to the peer yet
    int64_t expected;      // bytes of DATA still to come by Content-Length; -1: not said
    bool head_seen;        // the final head came: the next block is trailers
    bool no_data;          // DATA on it is malformed (a response to HEAD)
    uint8_t urgency;       // RFC 9218: 0 first ... 7 last
    bool incremental;
    struct h2_stream *next;
};

enum h2_event_kind {
    H2_EV_MORE,         // all bytes were used
    H2_EV_HEADERS,      // a whole block: call h2_next_field until it ends, before anything else
    H2_EV_DATA,         // a piece of a body, inside the input; may be empty when it ends the stream
    H2_EV_RESET,        // the peer reset the stream, which is closed now
    H2_EV_STREAM_ERROR, // the peer broke a rule; the stream was reset and is closed now
    H2_EV_WINDOW,       // there is more room to send: on `stream`, or, NULL, on all
    H2_EV_GOAWAY,       // the peer takes no more streams above ev.last
    H2_EV_PRIORITY,     // the peer changed the stream's urgency
    H2_EV_PONG,         // the answer to h2_put_ping
    H2_EV_ACKED,        // the peer knows our settings
    H2_EV_ERROR,        // the connection is over: GOAWAY was put, nothing more is read
};

struct h2_event {
    enum h2_event_kind kind;
    struct h2_stream *stream; // NULL: of the connection; or a new one (HEADERS): see `id`
    uint32_t id;
    bool end_stream;
    const char *p;            // DATA
    size_t n;
    uint32_t code;            // RESET, ERROR, STREAM_ERROR, GOAWAY: enum h2_error
    uint32_t last;            // GOAWAY
    const char *why;          // ERROR, STREAM_ERROR: for the log
    uint64_t seen, limit;     // ERROR: which limit was met, and what was seen; 0: none
};

// --- the session -------------------------------------------------------------------------------------------------------------

enum { H2_BUCKETS = 32, H2_RECENT = 32, H2_RESETS = 128, H2_EARLY = 4, H2_URGENCY_USUAL = 3 };

// What is charged to the budget, by kind: for the log.
enum h2_cost { H2_COST_RESET, H2_COST_PING, H2_COST_SETTINGS, H2_COST_WINDOW, H2_COST_PRIORITY, H2_COST_EMPTY, H2_COST_CONTINUATION, H2_COST_OTHER, H2_COSTS };
enum { H2_BUDGET_MAX = 4000, H2_BUDGET_PER_SECOND = 1000, H2_CHARGE_RESET = 10 };

struct h2_limits {
    uint32_t max_streams;    // that the peer may open at once; 0: none (clients)
    uint32_t initial_window; // of each stream, for the peer
    uint32_t max_block;      // bytes of one header block, compressed; more is ENHANCE_YOUR_CALM
    uint32_t max_list;       // announced as SETTINGS_MAX_HEADER_LIST_SIZE; 0: not
    bool connect_protocol;   // announce RFC 8441
};

struct h2_session {
    bool server, preface_seen, settings_seen, settings_acked;
    bool failed;              // an H2_EV_ERROR was given
    bool goaway_sent, goaway_received;
    bool peer_connect_protocol, peer_no_priorities;
    uint8_t data_flags;       // of the DATA frame being read
    struct h2_limits limits;
    struct chain *out;
    struct hpack_decoder decoder;
    struct hpack_encoder encoder;
    uint32_t peer_max_frame, peer_initial_window, peer_max_streams;
    int64_t send_window, recv_window; // of the connection
    uint32_t last_peer;       // highest stream that the peer opened
    uint32_t next_local;      // next one that we open
    uint32_t open;            // linked streams
    uint32_t goaway_last;     // of the peer's GOAWAY
    uint32_t goaway_told;     // of ours: another must not say more (RFC 9113 6.8)
    struct h2_stream *buckets[H2_BUCKETS];
    uint32_t recent[H2_RECENT]; // ended lately, or reset by the peer: id, and below it how (enum closed)
    uint32_t resets[H2_RESETS]; // ids that we reset lately while the peer could still send: others that end do not push them out
    uint8_t recent_at, resets_at;
    uint8_t early_at;
    struct h2_priority {
        uint32_t id; // 0: none
        uint8_t urgency;
        bool incremental;
    } early[H2_EARLY];       // PRIORITY_UPDATE of streams that are still to come, the latest ones
    // input
    unsigned char head[H2_FRAME_HEAD];
    uint8_t head_n;           // bytes of the frame's head that are there
    uint8_t preface_n;
    uint16_t pad_left;
    bool in_frame, pad_known;
    struct h2_frame frame;
    uint32_t left;            // payload bytes not seen yet
    struct sbuf gathered;     // payload of a frame that came in pieces
    struct sbuf block;        // header block that came in several frames
    uint32_t block_stream;    // expects CONTINUATION for it; 0: none
    bool block_end_stream;
    unsigned continuations;
    const char *fields, *fields_end; // of the block of H2_EV_HEADERS
    // budget
    int32_t budget;
    uint64_t budget_ms;
    uint32_t charged[H2_COSTS];
};

// `out` outlives the session. Puts our SETTINGS (and, as a client, the preface). As a server the preface is expected first.
void h2_init(struct h2_session *s, bool server, const struct h2_limits *lim, struct chain *out, uint64_t now_ms);
void h2_done(struct h2_session *s); // streams must be closed or forgotten by their owner
void h2_trim(struct h2_session *s); // gives back what only input in pieces needed: when the connection goes idle
size_t h2_memory(const struct h2_session *s); // heap bytes, besides the struct

// Reads bytes up to the next event; *used of them were read. DATA points into p. After H2_EV_ERROR call it no more.
void h2_input(struct h2_session *s, const char *p, size_t n, size_t *used, struct h2_event *ev, uint64_t now_ms);
// The fields of the block of the last H2_EV_HEADERS, one by one, into the arena. HPACK_ERROR: call h2_fail(COMPRESSION_ERROR).
enum hpack_result h2_next_field(struct h2_session *s, struct arena *a, struct hpack_field *f);

// A stream that the peer asked for (its id from the event) or one of our own (id 0: the next). Zero what precedes.
void h2_stream_open(struct h2_session *s, struct h2_stream *st, uint32_t id, bool end_stream);
struct h2_stream *h2_stream_find(const struct h2_session *s, uint32_t id);
// The stream goes on as another object: `to` takes the place of `from`, which may go.
void h2_stream_move(struct h2_session *s, struct h2_stream *from, struct h2_stream *to);
// Unlinked without a word to the peer: it was closed, or the connection is gone. Harmless when it is not linked.
void h2_stream_forget(struct h2_session *s, struct h2_stream *st);
bool h2_may_open(const struct h2_session *s); // as a client: the peer takes one more stream

// The owner has taken n bytes of the body: the peer may send as many more.
void h2_consumed(struct h2_session *s, struct h2_stream *st, size_t n);
// The receive window of the stream becomes at least that large.
void h2_grow_window(struct h2_session *s, struct h2_stream *st, uint32_t size);
// What may be sent on the stream now.
size_t h2_room(const struct h2_session *s, const struct h2_stream *st);
// A block made with the session's encoder, as HEADERS and CONTINUATION.
void h2_put_headers(struct h2_session *s, struct h2_stream *st, struct str block, bool end_stream);
// n bytes (<= h2_room) from the front of `from`, in frames that the peer takes.
void h2_put_data(struct h2_session *s, struct h2_stream *st, struct chain *from, size_t n, bool end_stream);
void h2_reset(struct h2_session *s, struct h2_stream *st, uint32_t code); // RST_STREAM, unless closed; closes
void h2_refuse(struct h2_session *s, uint32_t id, uint32_t code); // of a stream that was never opened; its block was read
void h2_put_goaway(struct h2_session *s, uint32_t code);
void h2_put_ping(struct h2_session *s, const char data[8]);
// A connection error: GOAWAY is put and *ev filled.
void h2_fail(struct h2_session *s, struct h2_event *ev, uint32_t code, const char *why);
void h2_fail_limit(struct h2_session *s, struct h2_event *ev, const char *why, uint64_t seen, uint64_t limit); // ENHANCE_YOUR_CALM

// Charges `cost` of a kind: true while there is budget. Time gives it back, and so does useful work (h2_credit).
bool h2_charge(struct h2_session *s, enum h2_cost kind, int cost);
void h2_credit(struct h2_session *s, int amount);
const char *h2_costliest(const struct h2_session *s, uint32_t *sum); // which kind was charged most

// "u=1, i" of RFC 9218 (structured fields): members that are unknown or malformed are ignored.
void h2_parse_priority(struct str value, uint8_t *urgency, bool *incremental);
// As a server, when a stream was opened and its head read: a PRIORITY_UPDATE that came before it counts more than its field.
void h2_take_early_priority(struct h2_session *s, struct h2_stream *st);
