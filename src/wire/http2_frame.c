// Frames of HTTP/2 as bytes: heads, names, and what the session and its owner put for the peer.
#include "wire/http2_private.h"

const char *h2_error_name(uint32_t code) {
    switch (code) {
#define X(value, name) \
    case value:        \
        return #name;
        H2_ERRORS(X)
#undef X
    }
    return "unknown";
}

const char *h2_frame_name(unsigned type) {
    static const char *const names[] = {"DATA", "HEADERS", "PRIORITY", "RST_STREAM", "SETTINGS", "PUSH_PROMISE", "PING", "GOAWAY", "WINDOW_UPDATE", "CONTINUATION"};
    return type < ARRAY_LEN(names) ? names[type] : type == H2_PRIORITY_UPDATE ? "PRIORITY_UPDATE" : "unknown";
}

const char *h2_state_name(enum h2_state s) {
    static const char *const names[] = {"idle", "open", "half-closed (local)", "half-closed (remote)", "closed"};
    return (unsigned)s < ARRAY_LEN(names) ? names[s] : "?";
}

struct h2_frame h2_frame_parse(const unsigned char *p) {
    return (struct h2_frame){
        .length = (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2],
        .type = p[3],
        .flags = p[4],
        .stream = h2_get32(p + 5) & 0x7fffffff,
    };
}

void h2_frame_put(unsigned char *to, uint32_t length, unsigned type, unsigned flags, uint32_t stream) {
    to[0] = (unsigned char)(length >> 16);
    to[1] = (unsigned char)(length >> 8);
    to[2] = (unsigned char)length;
    to[3] = (unsigned char)type;
    to[4] = (unsigned char)flags;
    h2_set32(to + 5, stream);
}

static void put(struct h2_session *s, const void *p, size_t n) { chain_add_copy(s->out, str_n(p, n)); }

static void put_head(struct h2_session *s, uint32_t length, unsigned type, unsigned flags, uint32_t stream) {
    unsigned char head[H2_FRAME_HEAD];
    h2_frame_put(head, length, type, flags, stream);
    put(s, head, sizeof head);
}

static size_t add_setting(unsigned char *to, unsigned id, uint32_t value) {
    to[0] = (unsigned char)(id >> 8);
    to[1] = (unsigned char)id;
    h2_set32(to + 2, value);
    return 6;
}

void h2_put_settings(struct h2_session *s) {
    unsigned char p[6 * 6];
    size_t n = 0;
    const struct h2_limits *lim = &s->limits;
    if (s->server)
        n += add_setting(p + n, H2_MAX_CONCURRENT_STREAMS, lim->max_streams);
    else
        n += add_setting(p + n, H2_ENABLE_PUSH, 0);
    n += add_setting(p + n, H2_INITIAL_WINDOW_SIZE, lim->initial_window);
    if (lim->max_list != 0)
        n += add_setting(p + n, H2_MAX_HEADER_LIST_SIZE, lim->max_list);
    if (lim->connect_protocol)
        n += add_setting(p + n, H2_ENABLE_CONNECT_PROTOCOL, 1);
    if (s->server)
        n += add_setting(p + n, H2_NO_RFC7540_PRIORITIES, 1);
    put_head(s, (uint32_t)n, H2_SETTINGS, 0, 0);
    put(s, p, n);
}

void h2_put_settings_ack(struct h2_session *s) { put_head(s, 0, H2_SETTINGS, H2_ACK, 0); }

void h2_put_pong(struct h2_session *s, const unsigned char *data) {
    put_head(s, 8, H2_PING, H2_ACK, 0);
    put(s, data, 8);
}

void h2_put_ping(struct h2_session *s, const char data[8]) {
    put_head(s, 8, H2_PING, 0, 0);
    put(s, data, 8);
}

static void put_number(struct h2_session *s, unsigned type, uint32_t stream, uint32_t value) {
    unsigned char frame[H2_FRAME_HEAD + 4];
    h2_frame_put(frame, 4, type, 0, stream);
    h2_set32(frame + H2_FRAME_HEAD, value);
    put(s, frame, sizeof frame);
}

void h2_put_window(struct h2_session *s, uint32_t stream, uint32_t increment) {
    put_number(s, H2_WINDOW_UPDATE, stream, increment);
}
void h2_put_reset(struct h2_session *s, uint32_t stream, uint32_t code) { put_number(s, H2_RST_STREAM, stream, code); }

void h2_put_goaway(struct h2_session *s, uint32_t code) {
    unsigned char frame[H2_FRAME_HEAD + 8];
    h2_frame_put(frame, 8, H2_GOAWAY, 0, 0);
    if (!s->goaway_sent)
        s->goaway_told = s->server ? s->last_peer : 0;
    h2_set32(frame + H2_FRAME_HEAD, s->goaway_told);
    h2_set32(frame + H2_FRAME_HEAD + 4, code);
    put(s, frame, sizeof frame);
    s->goaway_sent = true;
}

// What ends our side of the stream.
static void ended(struct h2_session *s, struct h2_stream *st) {
    if (st->state == H2_OPEN)
        st->state = H2_HALF_LOCAL;
    else
        h2_close(s, st, CLOSED_BY_END);
}

void h2_put_headers(struct h2_session *s, struct h2_stream *st, struct str block, bool end_stream) {
    unsigned type = H2_HEADERS, flags = end_stream ? H2_END_STREAM : 0;
    do {
        size_t n = MIN(block.n, (size_t)s->peer_max_frame);
        if (n == block.n)
            flags |= H2_END_HEADERS;
        put_head(s, (uint32_t)n, type, flags, st->id);
        put(s, block.p, n);
        block = str_from(block, n);
        type = H2_CONTINUATION;
        flags = 0;
    } while (block.n != 0);
    if (end_stream)
        ended(s, st);
}

size_t h2_room(const struct h2_session *s, const struct h2_stream *st) {
    int64_t n = MIN(s->send_window, (int64_t)st->send_window);
    return n > 0 && st->state != H2_CLOSED ? (size_t)n : 0;
}

void h2_put_data(struct h2_session *s, struct h2_stream *st, struct chain *from, size_t n, bool end_stream) {
    CHECK(n <= from->bytes && (n == 0 || n <= h2_room(s, st)));
    st->send_window -= (int32_t)n;
    s->send_window -= (int64_t)n;
    do {
        size_t part = MIN(n, (size_t)s->peer_max_frame);
        n -= part;
        put_head(s, (uint32_t)part, H2_DATA, end_stream && n == 0 ? H2_END_STREAM : 0, st->id);
        chain_move(s->out, from, part);
        h2_credit(s, part != 0);
    } while (n != 0);
    if (end_stream)
        ended(s, st);
}

void h2_reset(struct h2_session *s, struct h2_stream *st, uint32_t code) {
    if (st->state == H2_CLOSED || st->state == H2_IDLE)
        return;
    bool ended = st->state == H2_HALF_REMOTE; // nothing of the peer is on its way (RFC 9113 5.1)
    h2_put_reset(s, st->id, code);
    h2_close(s, st, ended ? CLOSED_BY_END : CLOSED_BY_US);
}

void h2_refuse(struct h2_session *s, uint32_t id, uint32_t code) {
    h2_put_reset(s, id, code);
    h2_note_closed(s, id, CLOSED_BY_US);
}
