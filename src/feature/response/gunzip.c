// gunzip: answers that came compressed with gzip, for clients that do not accept it.
#include "feature/response/compress.h"
#include "http/plan.h"
#include "io/loop.h"
#include <zlib.h>

enum { IN_ROOM = 32 << 10, OUT_BLOCK = 16 << 10 };

struct gunzip_conf {
    bool on;
    struct conf_bufs buffers; // accepted
};

struct gunzip_body {
    struct filter filter;
    z_stream z;
    struct chain in;
    bool more;    // output is left inside of zlib
    bool between; // two members, or behind the last one
    bool ended;
    int error;
};

static void end_stream(void *arg) { inflateEnd(arg); }

static int failed(struct gunzip_body *g, int res) {
    log_msg(LOG_ERR, 0, "inflate() failed: %d, %s", res, g->z.msg != NULL ? g->z.msg : "no more bytes");
    return -EPROTO;
}

// One output block from what is in g->in: bytes, 0 when more input is needed, or -EPROTO.
static ssize_t inflate_some(struct gunzip_body *g, struct chain *to, size_t room) {
    struct block *b = block_new(to->pool, MIN(room, (size_t)OUT_BLOCK));
    size_t size = MIN(room, (size_t)b->size);
    g->z.next_out = (Bytef *)b->data;
    g->z.avail_out = (uInt)size;
    int res = Z_OK;
    while (g->z.avail_out != 0 && (g->more || !chain_empty(&g->in))) {
        struct piece *p = g->in.head;
        if (g->between) {
            inflateReset(&g->z);
            g->between = false;
        }
        g->z.next_in = (Bytef *)(uintptr_t)(p != NULL ? p->p : NULL);
        g->z.avail_in = p != NULL ? (uInt)p->n : 0;
        res = inflate(&g->z, Z_NO_FLUSH);
        if (p != NULL)
            chain_drop(&g->in, p->n - g->z.avail_in);
        g->more = g->z.avail_out == 0;
        if (res == Z_STREAM_END)
            g->between = true;
        else if (res != Z_OK && res != Z_BUF_ERROR)
            break;
    }
    size_t n = size - g->z.avail_out;
    if (n != 0)
        chain_give_block(to, b, b->data, n);
    else
        block_unref(b);
    bool bad = res != Z_OK && res != Z_BUF_ERROR && res != Z_STREAM_END;
    if (bad)
        g->error = failed(g, res); // what came before the broken byte is given first
    return n == 0 && bad ? g->error : (ssize_t)n;
}

static ssize_t read_gunzip(struct body *b, struct chain *to, size_t room, enum body_wait wait) {
    struct gunzip_body *g = container_of(b, struct gunzip_body, filter.body);
    while (g->error == 0) {
        ssize_t n = inflate_some(g, to, room); // zlib may hold output even without more input
        if (n != 0)
            return n;
        if (g->ended)
            break;
        n = filter_pull(&g->filter, &g->in, IN_ROOM, wait);
        if (n < 0)
            return n;
        if (n == 0) {
            g->ended = true;
            if (!g->between)
                g->error = failed(g, Z_BUF_ERROR);
        }
    }
    return g->error;
}

static void free_gunzip(struct body *b) {
    struct gunzip_body *g = container_of(b, struct gunzip_body, filter.body);
    chain_done(&g->in);
    filter_done(&g->filter);
}

static const struct body_ops gunzip_ops = {"gunzip", read_gunzip, filter_ahead, free_gunzip};

static enum step run_gunzip(struct req *r, const void *conf) {
    if (!str_ieq(head_value(&r->out, FIELD_CONTENT_ENCODING), STR("gzip")) || !filter_prepare(r))
        return STEP_NEXT;
    compress_vary(r);
    if (gzip_ok(r))
        return STEP_NEXT;
    if (r->out_body != NULL) {
        struct gunzip_body *g = arena_new(&r->arena, struct gunzip_body);
        if (inflateInit2(&g->z, MAX_WBITS + 16) != Z_OK) {
            log_msg(LOG_ALERT, 0, "inflateInit2() failed, the answer goes out as it is");
            return STEP_NEXT;
        }
        arena_cleanup(&r->arena, end_stream, &g->z);
        filter_wrap(r, &g->filter, &gunzip_ops);
        chain_init(&g->in, loop_blocks(r->loop));
    }
    head_drop(&r->out, FIELD_CONTENT_ENCODING);
    filter_forget_length(r);
    filter_weaken_etag(r);
    return STEP_NEXT;
}

static bool bind_gunzip(struct conf_cx *cx, struct scope *s, void *conf) {
    const struct gunzip_conf *c = conf;
    if (c->on)
        plan_add(cx, s, STAGE_RESPONSE, RESPONSE_GUNZIP, run_gunzip, c, "gunzip");
    return true;
}

static const struct conf_row rows[] = {
    ROW_FLAG("gunzip", IN_HTTP_ALL, struct gunzip_conf, on, "off",
             "Decompresses answers that came with gzip, for clients that do not accept it."),
    ROW_BUFS("gunzip_buffers", IN_HTTP_ALL, struct gunzip_conf, buffers, "32 4k",
             "Accepted; decompressed bytes go out as they are taken."),
};

struct feature feature_gunzip = {.name = "gunzip",
                                 .rows = rows,
                                 .nrows = ARRAY_LEN(rows),
                                 .conf_size = sizeof(struct gunzip_conf),
                                 .bind = bind_gunzip};
