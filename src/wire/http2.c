// The input of an HTTP/2 session: frames are taken apart, judged by RFC 9113, and become events. DATA passes through in pieces;
// every other frame is handled whole, where it lies when it came in one piece.
#include "wire/http2_private.h"

enum {
    COST_PING = 1, COST_SETTINGS = 4, COST_WINDOW = 1, COST_WINDOW_TINY = 3, COST_PRIORITY = 1, COST_EMPTY = 2, COST_CONTINUATION = 4, COST_OTHER = 1,
    CONTINUATIONS_MAX = 64, // of one block: more can only be meant to hurt
    CONTROL_MAX = 16384,
    USEFUL = 512, // bytes of DATA that give budget back: smaller frames would pay for any flood
    TINY = 64, // bytes of room: a client that gives so little at a time wants frames without number
};

void h2_init(struct h2_session *s, bool server, const struct h2_limits *lim, struct chain *out, uint64_t now_ms) {
    *s = (struct h2_session){
        .server = server,
        .preface_seen = !server,
        .limits = *lim,
        .out = out,
        .peer_max_frame = H2_FRAME_MIN_MAX,
        .peer_initial_window = H2_WINDOW_DEFAULT,
        .peer_max_streams = 100, // until it says; what RFC 9113 6.5.2 recommends at least
        .send_window = H2_WINDOW_DEFAULT,
        .recv_window = H2_WINDOW_MAX,
        .next_local = server ? 2 : 1,
        .budget = H2_BUDGET_MAX,
        .budget_ms = now_ms,
    };
    hpack_decoder_init(&s->decoder, HPACK_TABLE_DEFAULT);
    hpack_encoder_init(&s->encoder);
    sbuf_init_heap(&s->gathered, CONTROL_MAX + 1);
    sbuf_init_heap(&s->block, lim->max_block + CONTROL_MAX);
    if (!server)
        chain_add_const(out, H2_PREFACE, sizeof(H2_PREFACE) - 1);
    h2_put_settings(s);
    // Memory is bounded by the windows of the streams; that of the connection is never in the way.
    h2_put_window(s, 0, H2_WINDOW_MAX - H2_WINDOW_DEFAULT);
}

void h2_done(struct h2_session *s) {
    hpack_decoder_done(&s->decoder);
    hpack_encoder_done(&s->encoder);
    sbuf_done(&s->gathered);
    sbuf_done(&s->block);
}

size_t h2_memory(const struct h2_session *s) {
    return hpack_table_memory(&s->decoder.table) + hpack_table_memory(&s->encoder.table) + s->gathered.cap + s->block.cap;
}

void h2_trim(struct h2_session *s) {
    size_t max = s->block.max;
    if (s->in_frame || s->block_stream != 0)
        return;
    sbuf_done(&s->gathered);
    sbuf_done(&s->block);
    sbuf_init_heap(&s->gathered, CONTROL_MAX + 1);
    sbuf_init_heap(&s->block, max);
}

void h2_fail(struct h2_session *s, struct h2_event *ev, uint32_t code, const char *why) {
    if (!s->failed)
        h2_put_goaway(s, code);
    s->failed = true;
    *ev = (struct h2_event){.kind = H2_EV_ERROR, .code = code, .why = why};
}

void h2_fail_limit(struct h2_session *s, struct h2_event *ev, const char *why, uint64_t seen, uint64_t limit) {
    h2_fail(s, ev, H2_ENHANCE_YOUR_CALM, why);
    ev->seen = seen;
    ev->limit = limit;
}

// --- judgements ----------------------------------------------------------------------------------------------------------------

static bool fail(struct h2_session *s, struct h2_event *ev, uint32_t code, const char *why) {
    h2_fail(s, ev, code, why);
    return true;
}

static bool fail_limit(struct h2_session *s, struct h2_event *ev, const char *why, uint64_t seen, uint64_t limit) {
    h2_fail_limit(s, ev, why, seen, limit);
    return true;
}

static const char too_large[] = "peer sent too large header block, in bytes";

static bool pay(struct h2_session *s, struct h2_event *ev, enum h2_cost kind, int cost) {
    if (h2_charge(s, kind, cost))
        return false;
    return fail(s, ev, H2_ENHANCE_YOUR_CALM, "http2 flood detected");
}

// A stream error: of a linked stream, or of one that is closed already.
static bool fail_stream(struct h2_session *s, struct h2_event *ev, uint32_t id, uint32_t code, const char *why) {
    struct h2_stream *st = h2_stream_find(s, id);
    if (pay(s, ev, H2_COST_RESET, H2_CHARGE_RESET))
        return true;
    if (st == NULL) {
        h2_put_reset(s, id, code);
        return false;
    }
    h2_reset(s, st, code);
    *ev = (struct h2_event){.kind = H2_EV_STREAM_ERROR, .stream = st, .id = id, .code = code, .why = why};
    return true;
}

static bool is_idle(const struct h2_session *s, uint32_t id) {
    bool peers = (id & 1) == s->server;
    return peers ? id > s->last_peer : id >= s->next_local;
}

static enum closed how_closed(const struct h2_session *s, uint32_t id) {
    for (unsigned i = 0; i < H2_RESETS; i++) {
        if (s->resets[i] == id)
            return CLOSED_BY_US;
    }
    for (unsigned i = 0; i < H2_RECENT; i++) {
        if (s->recent[i] >> 2 == (id & 0x3fffffff) && s->recent[i] != 0)
            return (enum closed)(s->recent[i] & 3);
    }
    // A server opens nothing by itself: whatever else it sends on one of our streams was on its way when we reset that.
    return s->server || is_idle(s, id) ? CLOSED_NOT : CLOSED_BY_US;
}

// --- frames that are handled whole: true when an event is there -------------------------------------------------------------------

static bool apply_initial_window(struct h2_session *s, uint32_t value) {
    int64_t change = (int64_t)value - s->peer_initial_window;
    for (unsigned i = 0; i < H2_BUCKETS; i++) {
        for (struct h2_stream *st = s->buckets[i]; st != NULL; st = st->next) {
            if (st->send_window + change > H2_WINDOW_MAX)
                return false;
            st->send_window = (int32_t)(st->send_window + change);
        }
    }
    s->peer_initial_window = value;
    return true;
}

// RFC 9113 6.9.3: until the peer has our SETTINGS it may fill windows of the default size.
static void lower_windows(struct h2_session *s) {
    int32_t less = H2_WINDOW_DEFAULT - (int32_t)MIN(s->limits.initial_window, (uint32_t)H2_WINDOW_DEFAULT);
    for (unsigned i = 0; i < H2_BUCKETS; i++) {
        for (struct h2_stream *st = s->buckets[i]; st != NULL; st = st->next)
            st->recv_window -= less;
    }
}

// 0, or what is wrong with it.
static uint32_t apply_setting(struct h2_session *s, unsigned id, uint32_t value) {
    switch (id) {
    case H2_HEADER_TABLE_SIZE:
        hpack_encoder_limit(&s->encoder, value);
        return 0;
    case H2_ENABLE_PUSH:
        return value > 1 || (!s->server && value != 0) ? H2_PROTOCOL_ERROR : 0;
    case H2_MAX_CONCURRENT_STREAMS:
        s->peer_max_streams = value;
        return 0;
    case H2_INITIAL_WINDOW_SIZE:
        return value > H2_WINDOW_MAX || !apply_initial_window(s, value) ? H2_FLOW_CONTROL_ERROR : 0;
    case H2_MAX_FRAME_SIZE:
        if (value < H2_FRAME_MIN_MAX || value > 0xffffff)
            return H2_PROTOCOL_ERROR;
        s->peer_max_frame = value;
        return 0;
    case H2_ENABLE_CONNECT_PROTOCOL:
        if (value > 1 || (s->peer_connect_protocol && value == 0))
            return H2_PROTOCOL_ERROR;
        s->peer_connect_protocol = value == 1;
        return 0;
    case H2_NO_RFC7540_PRIORITIES:
        if (value > 1)
            return H2_PROTOCOL_ERROR;
        s->peer_no_priorities = value == 1;
        return 0;
    default:
        return 0;
    }
}

static bool on_settings(struct h2_session *s, const unsigned char *p, struct h2_event *ev) {
    uint32_t n = s->frame.length;
    if (s->frame.stream != 0)
        return fail(s, ev, H2_PROTOCOL_ERROR, "peer sent SETTINGS frame with incorrect identifier");
    if (s->frame.flags & H2_ACK) {
        if (n != 0)
            return fail(s, ev, H2_FRAME_SIZE_ERROR, "peer sent SETTINGS frame with the ACK flag and nonzero length");
        if (s->settings_acked)
            return pay(s, ev, H2_COST_SETTINGS, COST_SETTINGS);
        s->settings_acked = true;
        lower_windows(s);
        *ev = (struct h2_event){.kind = H2_EV_ACKED};
        return true;
    }
    if (n % 6 != 0)
        return fail(s, ev, H2_FRAME_SIZE_ERROR, "peer sent SETTINGS frame with incorrect length");
    if (s->settings_seen && pay(s, ev, H2_COST_SETTINGS, COST_SETTINGS + (int)(n / 6)))
        return true;
    s->settings_seen = true;
    for (uint32_t i = 0; i < n; i += 6) {
        uint32_t wrong = apply_setting(s, (unsigned)p[i] << 8 | p[i + 1], h2_get32(p + i + 2));
        if (wrong != 0)
            return fail(s, ev, wrong, "peer sent SETTINGS frame with an incorrect value");
    }
    h2_put_settings_ack(s);
    *ev = (struct h2_event){.kind = H2_EV_WINDOW};
    return true;
}

static bool on_ping(struct h2_session *s, const unsigned char *p, struct h2_event *ev) {
    if (s->frame.length != 8)
        return fail(s, ev, H2_FRAME_SIZE_ERROR, "peer sent PING frame with incorrect length");
    if (s->frame.stream != 0)
        return fail(s, ev, H2_PROTOCOL_ERROR, "peer sent PING frame with incorrect identifier");
    if (pay(s, ev, H2_COST_PING, COST_PING))
        return true;
    if ((s->frame.flags & H2_ACK) == 0) {
        h2_put_pong(s, p);
        return false;
    }
    *ev = (struct h2_event){.kind = H2_EV_PONG};
    return true;
}

static bool on_window(struct h2_session *s, const unsigned char *p, struct h2_event *ev) {
    uint32_t id = s->frame.stream;
    if (s->frame.length != 4)
        return fail(s, ev, H2_FRAME_SIZE_ERROR, "peer sent WINDOW_UPDATE frame with incorrect length");
    uint32_t by = h2_get32(p) & 0x7fffffff;
    if (pay(s, ev, H2_COST_WINDOW, by != 0 && by < TINY ? COST_WINDOW_TINY : COST_WINDOW))
        return true;
    if (id == 0) {
        if (by == 0)
            return fail(s, ev, H2_PROTOCOL_ERROR, "peer sent WINDOW_UPDATE frame with incorrect window increment 0");
        if (s->send_window + by > H2_WINDOW_MAX)
            return fail(s, ev, H2_FLOW_CONTROL_ERROR, "peer violated connection flow control: too large WINDOW_UPDATE");
        s->send_window += by;
        *ev = (struct h2_event){.kind = H2_EV_WINDOW};
        return true;
    }
    if (is_idle(s, id))
        return fail(s, ev, H2_PROTOCOL_ERROR, "peer sent WINDOW_UPDATE frame for an idle stream");
    struct h2_stream *st = h2_stream_find(s, id);
    if (st == NULL)
        return false;
    if (by == 0)
        return fail_stream(s, ev, id, H2_PROTOCOL_ERROR, "peer sent WINDOW_UPDATE frame with incorrect window increment 0");
    if ((int64_t)st->send_window + by > H2_WINDOW_MAX)
        return fail_stream(s, ev, id, H2_FLOW_CONTROL_ERROR, "peer violated flow control: too large WINDOW_UPDATE");
    st->send_window = (int32_t)(st->send_window + (int64_t)by);
    *ev = (struct h2_event){.kind = H2_EV_WINDOW, .stream = st, .id = id};
    return true;
}

static bool on_reset(struct h2_session *s, const unsigned char *p, struct h2_event *ev) {
    uint32_t id = s->frame.stream;
    if (s->frame.length != 4)
        return fail(s, ev, H2_FRAME_SIZE_ERROR, "peer sent RST_STREAM frame with incorrect length");
    if (id == 0 || is_idle(s, id))
        return fail(s, ev, H2_PROTOCOL_ERROR, "peer sent RST_STREAM frame with incorrect identifier");
    struct h2_stream *st = h2_stream_find(s, id);
    if (pay(s, ev, H2_COST_RESET, st != NULL && s->server ? H2_CHARGE_RESET : COST_OTHER))
        return true;
    if (st == NULL)
        return false;
    h2_close(s, st, CLOSED_BY_PEER);
    *ev = (struct h2_event){.kind = H2_EV_RESET, .stream = st, .id = id, .code = h2_get32(p)};
    return true;
}

static bool on_goaway(struct h2_session *s, const unsigned char *p, struct h2_event *ev) {
    if (s->frame.stream != 0)
        return fail(s, ev, H2_PROTOCOL_ERROR, "peer sent GOAWAY frame with incorrect identifier");
    if (s->frame.length < 8)
        return fail(s, ev, H2_FRAME_SIZE_ERROR, "peer sent GOAWAY frame with incorrect length");
    if (pay(s, ev, H2_COST_OTHER, COST_OTHER))
        return true;
    s->goaway_received = true;
    s->goaway_last = h2_get32(p) & 0x7fffffff;
    *ev = (struct h2_event){.kind = H2_EV_GOAWAY, .last = s->goaway_last, .code = h2_get32(p + 4)};
    return true;
}

static bool on_priority(struct h2_session *s, const unsigned char *p, struct h2_event *ev) {
    uint32_t id = s->frame.stream;
    if (id == 0)
        return fail(s, ev, H2_PROTOCOL_ERROR, "peer sent PRIORITY frame with incorrect identifier");
    if (pay(s, ev, H2_COST_PRIORITY, COST_PRIORITY))
        return true;
    // On a stream that is idle there is nothing to reset (RFC 9113 5.1): its connection answers for it.
    uint32_t wrong = s->frame.length != 5 ? H2_FRAME_SIZE_ERROR : (h2_get32(p) & 0x7fffffff) == id ? H2_PROTOCOL_ERROR : 0;
    if (wrong == 0)
        return false; // its weights mean nothing: RFC 9113 5.3.2
    const char *why = wrong == H2_PROTOCOL_ERROR ? "peer sent PRIORITY frame for a stream that depends on itself"
                                                 : "peer sent PRIORITY frame with incorrect length";
    return is_idle(s, id) ? fail(s, ev, wrong, why) : fail_stream(s, ev, id, wrong, why);
}

// RFC 9218 7.1: the latest of each stream, within bounds.
static void keep_early(struct h2_session *s, struct h2_priority given) {
    for (unsigned i = 0; i < H2_EARLY; i++) {
        if (s->early[i].id == given.id) {
            s->early[i] = given;
            return;
        }
    }
    s->early[s->early_at++ % H2_EARLY] = given;
}

static bool on_priority_update(struct h2_session *s, const unsigned char *p, struct h2_event *ev) {
    if (s->frame.stream != 0 || !s->server)
        return fail(s, ev, H2_PROTOCOL_ERROR, "peer sent PRIORITY_UPDATE frame with incorrect identifier");
    if (s->frame.length < 4)
        return fail(s, ev, H2_FRAME_SIZE_ERROR, "peer sent PRIORITY_UPDATE frame with incorrect length");
    uint32_t id = h2_get32(p) & 0x7fffffff;
    if (id == 0)
        return fail(s, ev, H2_PROTOCOL_ERROR, "peer sent PRIORITY_UPDATE frame for stream 0");
    if (pay(s, ev, H2_COST_PRIORITY, COST_PRIORITY))
        return true;
    struct h2_priority given = {id, H2_URGENCY_USUAL, false}; // what a frame leaves out has its default (RFC 9218 7)
    h2_parse_priority(str_n((const char *)p + 4, s->frame.length - 4), &given.urgency, &given.incremental);
    struct h2_stream *st = h2_stream_find(s, id);
    if (st == NULL && (id & 1) != 0 && is_idle(s, id))
        keep_early(s, given);
    if (st == NULL)
        return false;
    st->urgency = given.urgency;
    st->incremental = given.incremental;
    *ev = (struct h2_event){.kind = H2_EV_PRIORITY, .stream = st, .id = id};
    return true;
}

// --- header blocks -----------------------------------------------------------------------------------------------------------------

// A block that nobody waits for is read for the sake of the table.
static bool drain_block(struct h2_session *s, struct h2_event *ev) {
    struct arena scratch;
    struct hpack_field f;
    enum hpack_result r;
    arena_init(&scratch, NULL);
    while ((r = h2_next_field(s, &scratch, &f)) == HPACK_FIELD)
        arena_done(&scratch);
    arena_done(&scratch);
    return r == HPACK_ERROR && fail(s, ev, H2_COMPRESSION_ERROR, "peer sent an invalid header block");
}

// The block is whole: which stream is it for?
static bool block_event(struct h2_session *s, const char *p, size_t n, struct h2_event *ev) {
    uint32_t id = s->block_stream;
    s->block_stream = 0;
    s->fields = p;
    s->fields_end = p + n;
    hpack_block_begin(&s->decoder);
    struct h2_stream *st = h2_stream_find(s, id);
    if (st == NULL && (!s->server || how_closed(s, id) != CLOSED_NOT))
        return drain_block(s, ev);
    *ev = (struct h2_event){.kind = H2_EV_HEADERS, .stream = st, .id = id, .end_stream = s->block_end_stream};
    if (st == NULL)
        return true;
    if (s->block_end_stream) {
        if (st->state == H2_OPEN)
            st->state = H2_HALF_REMOTE;
        else
            h2_close(s, st, CLOSED_BY_END);
    }
    return true;
}

// Which streams may get a block now; *ev is filled and true returned when this one may not.
static bool refuse_block(struct h2_session *s, uint32_t id, struct h2_event *ev) {
    if (id == 0 || (id & 1) == 0)
        return fail(s, ev, H2_PROTOCOL_ERROR, "peer sent HEADERS frame with incorrect identifier");
    struct h2_stream *st = h2_stream_find(s, id);
    if (st != NULL) {
        if (st->state == H2_HALF_REMOTE)
            return fail(s, ev, H2_STREAM_CLOSED, "peer sent HEADERS frame for a stream that it had ended");
        return false;
    }
    if (s->server && id > s->last_peer) {
        s->last_peer = id;
        return false;
    }
    switch (how_closed(s, id)) {
    case CLOSED_BY_US: // it may not know yet: the block is read for the sake of the table
        return false;
    case CLOSED_BY_END:
    case CLOSED_BY_PEER:
        return fail(s, ev, H2_STREAM_CLOSED, "peer sent HEADERS frame for a closed stream");
    default:
        return fail(s, ev, H2_PROTOCOL_ERROR, "peer sent HEADERS frame with incorrect identifier");
    }
}

static bool on_headers(struct h2_session *s, const unsigned char *p, struct h2_event *ev) {
    size_t n = s->frame.length, pad = 0;
    uint32_t id = s->frame.stream;
    if (s->frame.flags & H2_PADDED) {
        if (n < 1)
            return fail(s, ev, H2_FRAME_SIZE_ERROR, "peer sent padded HEADERS frame with incorrect length");
        pad = *p++;
        n--;
    }
    bool itself = false;
    if (s->frame.flags & H2_HAS_PRIORITY) {
        if (n < 5)
            return fail(s, ev, H2_FRAME_SIZE_ERROR, "peer sent HEADERS frame with incorrect length");
        itself = (h2_get32(p) & 0x7fffffff) == id;
        p += 5;
        n -= 5;
    }
    if (pad > n)
        return fail(s, ev, H2_PROTOCOL_ERROR, "peer sent padded HEADERS frame with incorrect length");
    n -= pad;
    if (refuse_block(s, id, ev))
        return true;
    if (itself)
        return fail(s, ev, H2_PROTOCOL_ERROR, "peer sent HEADERS frame for a stream that depends on itself");
    s->block_stream = id;
    s->block_end_stream = (s->frame.flags & H2_END_STREAM) != 0;
    s->continuations = 0;
    if (n == 0 && pay(s, ev, H2_COST_EMPTY, COST_EMPTY))
        return true;
    if (n > s->limits.max_block)
        return fail_limit(s, ev, too_large, n, s->limits.max_block);
    if (s->frame.flags & H2_END_HEADERS)
        return block_event(s, (const char *)p, n, ev);
    s->block.n = 0;
    sbuf_put(&s->block, p, n);
    return false;
}

static bool on_continuation(struct h2_session *s, const unsigned char *p, struct h2_event *ev) {
    size_t n = s->frame.length;
    if (pay(s, ev, H2_COST_CONTINUATION, COST_CONTINUATION))
        return true;
    if (++s->continuations > CONTINUATIONS_MAX)
        return fail_limit(s, ev, "peer sent too many CONTINUATION frames for one header block", s->continuations, CONTINUATIONS_MAX);
    if (s->block.n + n > s->limits.max_block)
        return fail_limit(s, ev, too_large, s->block.n + n, s->limits.max_block);
    sbuf_put(&s->block, p, n);
    return (s->frame.flags & H2_END_HEADERS) != 0 && block_event(s, s->block.p, s->block.n, ev);
}

enum hpack_result h2_next_field(struct h2_session *s, struct arena *a, struct hpack_field *f) {
    return hpack_next(&s->decoder, &s->fields, s->fields_end, a, f);
}

// --- DATA ----------------------------------------------------------------------------------------------------------------------------

// The head of a DATA frame. True: an event is there, or (left is 0) nothing of it is to be given.
static bool begin_data(struct h2_session *s, struct h2_event *ev) {
    uint32_t id = s->frame.stream, n = s->frame.length;
    s->data_flags = s->frame.flags;
    s->pad_known = (s->frame.flags & H2_PADDED) == 0;
    s->pad_left = 0;
    if (id == 0 || is_idle(s, id))
        return fail(s, ev, H2_PROTOCOL_ERROR, "peer sent DATA frame with incorrect identifier");
    if (!s->pad_known && n == 0)
        return fail(s, ev, H2_FRAME_SIZE_ERROR, "peer sent padded DATA frame with incorrect length");
    if (n > s->recv_window)
        return fail(s, ev, H2_FLOW_CONTROL_ERROR, "peer violated connection flow control");
    s->recv_window -= n;
    if (s->recv_window < H2_WINDOW_MAX / 2) {
        h2_put_window(s, 0, (uint32_t)(H2_WINDOW_MAX - s->recv_window));
        s->recv_window = H2_WINDOW_MAX;
    }
    if (n == 0 && (s->frame.flags & H2_END_STREAM) == 0 && pay(s, ev, H2_COST_EMPTY, COST_EMPTY))
        return true;
    struct h2_stream *st = h2_stream_find(s, id);
    if (st == NULL) {
        if (how_closed(s, id) == CLOSED_BY_US)
            return pay(s, ev, H2_COST_OTHER, COST_OTHER);
        return fail_stream(s, ev, id, H2_STREAM_CLOSED, "peer sent DATA frame for a closed stream");
    }
    if (st->state == H2_HALF_REMOTE)
        return fail_stream(s, ev, id, H2_STREAM_CLOSED, "peer sent DATA frame for a stream that it had ended");
    if (!st->head_seen)
        return fail_stream(s, ev, id, H2_PROTOCOL_ERROR, "peer sent DATA frame before the head");
    if ((int64_t)n > st->recv_window)
        return fail_stream(s, ev, id, H2_FLOW_CONTROL_ERROR, "peer violated flow control");
    st->recv_window -= (int32_t)n;
    h2_credit(s, n >= USEFUL);
    return false;
}

// Data has come to its end: does its length hold what was promised?
static bool wrong_length(struct h2_session *s, struct h2_stream *st, size_t n, bool last, struct h2_event *ev) {
    if (st->no_data && n != 0)
        return fail_stream(s, ev, st->id, H2_PROTOCOL_ERROR, "peer sent DATA where no body may be");
    if (st->expected < 0)
        return false;
    if ((uint64_t)n > (uint64_t)st->expected)
        return fail_stream(s, ev, st->id, H2_PROTOCOL_ERROR, "peer sent more DATA than its content-length says");
    st->expected -= (int64_t)n;
    if (last && st->expected != 0)
        return fail_stream(s, ev, st->id, H2_PROTOCOL_ERROR, "peer sent less DATA than its content-length says");
    return false;
}

// Bytes of a DATA frame: *used of them. True when an event is there.
static bool read_data(struct h2_session *s, const char *p, size_t n, size_t *used, struct h2_event *ev) {
    *used = 0;
    struct h2_stream *st = h2_stream_find(s, s->frame.stream);
    bool open = st != NULL && st->state != H2_HALF_REMOTE;
    if (!s->pad_known) {
        if (n == 0)
            return false;
        s->pad_left = *(const unsigned char *)p;
        s->pad_known = true;
        *used = 1;
        s->left--;
        if (s->pad_left > s->left)
            return fail(s, ev, H2_PROTOCOL_ERROR, "peer sent padded DATA frame with incorrect length");
        if (s->pad_left == s->left && (s->data_flags & H2_END_STREAM) == 0 && pay(s, ev, H2_COST_EMPTY, COST_EMPTY))
            return true; // padding alone
        if (open)
            h2_consumed(s, st, s->pad_left + 1u);
        p++;
        n--;
    }
    size_t body = MIN(n, (size_t)(s->left - s->pad_left));
    s->left -= (uint32_t)body;
    *used += body;
    bool over = s->left == s->pad_left; // all data of this frame is there
    if (over) {
        size_t skip = MIN(n - body, (size_t)s->left);
        s->left -= (uint32_t)skip;
        s->pad_left = (uint16_t)(s->pad_left - skip);
        *used += skip;
    }
    s->in_frame = s->left != 0;
    if (!open)
        return false;
    bool last = over && (s->data_flags & H2_END_STREAM) != 0;
    if (wrong_length(s, st, body, last, ev))
        return true;
    if (body == 0 && !last)
        return false;
    if (over)
        s->data_flags &= (uint8_t)~H2_END_STREAM; // said once, though padding may follow
    *ev = (struct h2_event){.kind = H2_EV_DATA, .stream = st, .id = st->id, .end_stream = last, .p = p, .n = body};
    if (last && st->state == H2_HALF_LOCAL)
        h2_close(s, st, CLOSED_BY_END);
    else if (last)
        st->state = H2_HALF_REMOTE;
    return true;
}

// --- input -----------------------------------------------------------------------------------------------------------------------------

// Checks that a frame's head alone allows. True when an event is there.
static bool begin_frame(struct h2_session *s, struct h2_event *ev) {
    const struct h2_frame *f = &s->frame;
    if (!s->settings_seen && (f->type != H2_SETTINGS || (f->flags & H2_ACK)))
        return fail(s, ev, H2_PROTOCOL_ERROR, "peer sent another frame before SETTINGS");
    if (f->length > H2_FRAME_MIN_MAX)
        return fail(s, ev, H2_FRAME_SIZE_ERROR, "peer sent too large frame");
    if (s->block_stream != 0 && (f->type != H2_CONTINUATION || f->stream != s->block_stream))
        return fail(s, ev, H2_PROTOCOL_ERROR, "peer sent inappropriate frame while CONTINUATION was expected");
    if (s->block_stream == 0 && f->type == H2_CONTINUATION)
        return fail(s, ev, H2_PROTOCOL_ERROR, "peer sent unexpected CONTINUATION frame");
    if (f->type == H2_PUSH_PROMISE)
        return fail(s, ev, H2_PROTOCOL_ERROR, "peer sent PUSH_PROMISE frame");
    if (f->type == H2_DATA)
        return begin_data(s, ev);
    return false;
}

static bool whole_frame(struct h2_session *s, const unsigned char *p, struct h2_event *ev) {
    switch (s->frame.type) {
    case H2_HEADERS:
        return on_headers(s, p, ev);
    case H2_CONTINUATION:
        return on_continuation(s, p, ev);
    case H2_PRIORITY:
        return on_priority(s, p, ev);
    case H2_RST_STREAM:
        return on_reset(s, p, ev);
    case H2_SETTINGS:
        return on_settings(s, p, ev);
    case H2_PING:
        return on_ping(s, p, ev);
    case H2_GOAWAY:
        return on_goaway(s, p, ev);
    case H2_WINDOW_UPDATE:
        return on_window(s, p, ev);
    case H2_PRIORITY_UPDATE:
        return on_priority_update(s, p, ev);
    default:
        return pay(s, ev, H2_COST_OTHER, COST_OTHER); // unknown types are ignored (RFC 9113 5.5)
    }
}

static bool read_preface(struct h2_session *s, const char *p, size_t n, size_t *used, struct h2_event *ev) {
    static const char preface[] = H2_PREFACE;
    size_t part = MIN(n, sizeof(preface) - 1 - s->preface_n);
    if (memcmp(p, preface + s->preface_n, part) != 0)
        return fail(s, ev, H2_PROTOCOL_ERROR, "invalid connection preface");
    s->preface_n = (uint8_t)(s->preface_n + part);
    *used += part;
    s->preface_seen = s->preface_n == sizeof(preface) - 1;
    return false;
}

// The head of the next frame. True when an event is there; the frame is begun when s->in_frame.
static bool read_head(struct h2_session *s, const char *p, size_t n, size_t *used, struct h2_event *ev) {
    size_t part = MIN(n, (size_t)(H2_FRAME_HEAD - s->head_n));
    memcpy(s->head + s->head_n, p, part);
    s->head_n = (uint8_t)(s->head_n + part);
    *used += part;
    if (s->head_n < H2_FRAME_HEAD)
        return false;
    s->head_n = 0;
    s->frame = h2_frame_parse(s->head);
    s->left = s->frame.length;
    s->gathered.n = 0;
    s->in_frame = true;
    return begin_frame(s, ev);
}

// The payload of a frame other than DATA: from the input where it is whole, else gathered. True when an event is there.
static bool read_payload(struct h2_session *s, const char *p, size_t n, size_t *used, struct h2_event *ev) {
    size_t part = MIN(n, (size_t)s->left);
    *used += part;
    s->left -= (uint32_t)part;
    const char *whole = p;
    if (part != s->frame.length) {
        sbuf_put(&s->gathered, p, part);
        if (s->left != 0)
            return false;
        whole = s->gathered.p;
    }
    s->in_frame = false;
    return whole_frame(s, (const unsigned char *)whole, ev);
}

static void refill(struct h2_session *s, uint64_t now_ms) {
    uint64_t passed = now_ms - s->budget_ms;
    if (passed == 0)
        return;
    s->budget_ms = now_ms;
    h2_credit(s, (int)MIN(passed * H2_BUDGET_PER_SECOND / 1000, (uint64_t)H2_BUDGET_MAX));
}

void h2_input(struct h2_session *s, const char *p, size_t n, size_t *used, struct h2_event *ev, uint64_t now_ms) {
    CHECK(!s->failed);
    refill(s, now_ms);
    *used = 0;
    for (;;) {
        bool event, was = s->in_frame;
        size_t part = 0, had = *used;
        if (!s->preface_seen) {
            event = n != had && read_preface(s, p + had, n - had, used, ev);
        } else if (!was) {
            event = n != had && read_head(s, p + had, n - had, used, ev);
        } else if (s->frame.type == H2_DATA) {
            event = read_data(s, p + had, n - had, &part, ev);
            *used += part;
        } else {
            event = read_payload(s, p + had, n - had, used, ev);
        }
        if (event)
            return;
        if (*used == n && (!s->in_frame || s->left != 0 || was == s->in_frame)) {
            *ev = (struct h2_event){.kind = H2_EV_MORE};
            return;
        }
    }
}
