// Parts of a body that is read in order (a back end's), with every split of it and small rooms.
#include "feature/response/range.h"
#include "feature/test_site.h"
#include "http/body_test_tools.h"

static const struct hook *range_hook(const struct scope *s) {
    const struct plan *p = s->plan;
    for (unsigned i = 0; i < p->stage[STAGE_RESPONSE].count; i++) {
        if (strcmp(p->stage[STAGE_RESPONSE].at[i].name, "range") == 0)
            return &p->stage[STAGE_RESPONSE].at[i];
    }
    test_fail(__FILE__, __LINE__, "no hook of range");
}

static struct str content(struct str all) { // without the boundaries, which differ
    ssize_t at = str_find(all, STR("\r\n\r\n"));
    return at >= 0 ? str_from(all, (size_t)at + 4) : all;
}

static void one(struct site *s, const char *range, size_t split, size_t room, bool slow, unsigned status, const char *want) {
    const struct vhosts *v = http_world(s->conf)->at[0];
    struct req *r = req_new(s->loop, NULL, s->conf, v->fallback, NULL);
    r->in.version = 11;
    head_add_known(&r->in, FIELD_RANGE, str_c(range));
    struct script_body b;
    script_init(&b, STR("0123456789"), &split, split != 0, 0);
    b.slow = slow;
    answer_ready(r, 200, &b.body, 10);
    range_allow(r, NULL);
    const struct hook *h = range_hook(r->scope);
    h->fn(r, h->conf);
    EXPECT_INT(r->out.status, status);
    struct sbuf got;
    sbuf_init_heap(&got, 4096);
    EXPECT_INT(body_text(r->out_body, room, &got), 0);
    EXPECT_INT(r->out_length, got.n);
    if (want != NULL)
        EXPECT_STR(content(sbuf_view(&got)), str_c(want));
    else
        EXPECT(str_find(sbuf_view(&got), STR("bytes 1-2/10\r\n\r\n12\r\n--")) >= 0 &&
               str_find(sbuf_view(&got), STR("bytes 7-9/10\r\n\r\n789\r\n--")) >= 0);
    sbuf_done(&got);
    req_free(r);
    EXPECT_INT(b.frees, 1);
}

static void in_order(void *arg) {
    struct site *s = arg;
    for (size_t split = 0; split < 10; split++) {
        for (size_t room = 1; room < 400; room = room * 3 + 1) {
            one(s, "bytes=3-6", split, room, split % 2, 206, "3456");
            one(s, "bytes=-1", split, room, split % 2, 206, "9");
            one(s, "bytes=0-", split, room, split % 2, 206, "0123456789");
            one(s, "bytes=1-2,7-9", split, room, split % 2, 206, NULL);
            one(s, "bytes=7-9,1-2", split, room, split % 2, 200, "0123456789"); // it cannot go back: all of it
        }
    }
}

TEST(parts_of_a_body_in_order) {
    struct site s;
    site_open(&s, STR("/x"), STR("events {} http { server { } }"));
    EXPECT(s.conf != NULL);
    EXPECT(task_new(in_order, &s, "test") != NULL);
    for (int i = 0; i < 100000 && task_count(s.loop) > 0; i++)
        loop_turn(s.loop, 10);
    EXPECT_INT(task_count(s.loop), 0);
    site_close(&s);
}
