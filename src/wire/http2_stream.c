// Streams of an HTTP/2 session: opening, closing, windows; the budget that all frames are charged to; RFC 9218 priorities.
#include "wire/http2_private.h"

static unsigned bucket_of(uint32_t id) { return id >> 1 & (H2_BUCKETS - 1); }

void h2_stream_open(struct h2_session *s, struct h2_stream *st, uint32_t id, bool end_stream) {
    if (id == 0) {
        id = s->next_local;
        s->next_local += 2;
    }
    *st = (struct h2_stream){
        .id = id,
        .state = end_stream ? H2_HALF_REMOTE : H2_OPEN,
        .send_window = (int32_t)s->peer_initial_window,
        .recv_window = (int32_t)(s->settings_acked ? s->limits.initial_window : MAX(s->limits.initial_window, (uint32_t)H2_WINDOW_DEFAULT)),
        .window = s->limits.initial_window,
        .expected = -1,
        .head_seen = s->server, // its head is what opened it
        .urgency = H2_URGENCY_USUAL,
        .next = s->buckets[bucket_of(id)],
    };
    s->buckets[bucket_of(id)] = st;
    s->open++;
}

struct h2_stream *h2_stream_find(const struct h2_session *s, uint32_t id) {
    struct h2_stream *st = s->buckets[bucket_of(id)];
    while (st != NULL && st->id != id)
        st = st->next;
    return st;
}

static bool unlink_stream(struct h2_session *s, struct h2_stream *st) {
    for (struct h2_stream **at = &s->buckets[bucket_of(st->id)]; *at != NULL; at = &(*at)->next) {
        if (*at == st) {
            *at = st->next;
            s->open--;
            return true;
        }
    }
    return false;
}

void h2_note_closed(struct h2_session *s, uint32_t id, enum closed how) {
    if (how == CLOSED_BY_US)
        s->resets[s->resets_at++ % H2_RESETS] = id;
    else
        s->recent[s->recent_at++ % H2_RECENT] = id << 2 | how; // an id has 31 bits: its highest is lost, and so many streams no connection has
}

void h2_close(struct h2_session *s, struct h2_stream *st, enum closed how) {
    if (st->state == H2_CLOSED)
        return;
    st->state = H2_CLOSED;
    unlink_stream(s, st);
    h2_note_closed(s, st->id, how);
}

void h2_stream_move(struct h2_session *s, struct h2_stream *from, struct h2_stream *to) {
    *to = *from;
    for (struct h2_stream **at = &s->buckets[bucket_of(from->id)]; *at != NULL; at = &(*at)->next) {
        if (*at == from) {
            *at = to;
            break;
        }
    }
}

void h2_stream_forget(struct h2_session *s, struct h2_stream *st) {
    if (st->state == H2_IDLE || st->state == H2_CLOSED)
        return;
    h2_close(s, st, CLOSED_BY_END);
}

bool h2_may_open(const struct h2_session *s) {
    return !s->server && !s->failed && !s->goaway_received && !s->goaway_sent && s->open < s->peer_max_streams &&
           s->next_local < H2_WINDOW_MAX - 2;
}

void h2_consumed(struct h2_session *s, struct h2_stream *st, size_t n) {
    if (st->state != H2_OPEN && st->state != H2_HALF_LOCAL)
        return;
    st->consumed += (uint32_t)n;
    if (st->consumed < st->window / 2)
        return;
    h2_put_window(s, st->id, st->consumed);
    st->recv_window += (int32_t)st->consumed;
    st->consumed = 0;
}

void h2_grow_window(struct h2_session *s, struct h2_stream *st, uint32_t size) {
    if (size <= st->window || (st->state != H2_OPEN && st->state != H2_HALF_LOCAL))
        return;
    uint32_t more = size - st->window + st->consumed;
    h2_put_window(s, st->id, more);
    st->recv_window += (int32_t)more;
    st->window = size;
    st->consumed = 0;
}

// --- the budget --------------------------------------------------------------------------------------------------------------

bool h2_charge(struct h2_session *s, enum h2_cost kind, int cost) {
    s->charged[kind] += (uint32_t)cost;
    s->budget -= cost;
    return s->budget > 0;
}

void h2_credit(struct h2_session *s, int amount) { s->budget = MIN(s->budget + amount, (int32_t)H2_BUDGET_MAX); }

const char *h2_costliest(const struct h2_session *s, uint32_t *sum) {
    static const char *const names[H2_COSTS] = {"resets", "PING", "SETTINGS", "WINDOW_UPDATE", "PRIORITY", "empty frames", "CONTINUATION", "others"};
    unsigned most = 0;
    for (unsigned i = 1; i < H2_COSTS; i++) {
        if (s->charged[i] > s->charged[most])
            most = i;
    }
    *sum = s->charged[most];
    return names[most];
}

// --- priorities ----------------------------------------------------------------------------------------------------------------

void h2_take_early_priority(struct h2_session *s, struct h2_stream *st) {
    for (unsigned i = 0; i < H2_EARLY; i++) {
        if (s->early[i].id != st->id)
            continue;
        st->urgency = s->early[i].urgency;
        st->incremental = s->early[i].incremental;
        s->early[i].id = 0;
    }
}

void h2_parse_priority(struct str value, uint8_t *urgency, bool *incremental) {
    struct str part;
    while (str_split(&value, ',', &part)) {
        part = str_trim(part);
        ssize_t semicolon = str_chr(part, ';'); // parameters mean nothing here
        if (semicolon >= 0)
            part = str_trim(str_head(part, (size_t)semicolon));
        if (part.n == 3 && part.p[0] == 'u' && part.p[1] == '=' && part.p[2] >= '0' && part.p[2] <= '7')
            *urgency = (uint8_t)(part.p[2] - '0');
        else if (str_eq(part, STR("i")) || str_eq(part, STR("i=?1")))
            *incremental = true;
        else if (str_eq(part, STR("i=?0")))
            *incremental = false;
    }
}
