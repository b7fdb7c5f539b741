// ssi: Server Side Includes in answers. The body is searched as it streams by; each include begins to run when it is seen, beside
// those before it, and their answers are put in their places.
#include "feature/content/ssi_private.h"
#include "http/plan.h"
#include "http/subrequest.h"
#include "io/loop.h"
#include <time.h>

enum { IN_ROOM = 32 << 10 };

static const char opening[] = "<!--#";
enum { OPENING = sizeof(opening) - 1 };

struct ssi_ctx *ssi_ctx(struct req *r) {
    struct ssi_ctx *c = req_ctx(r, &feature_ssi);
    if (c != NULL)
        return c;
    c = req_ctx_make(r, &feature_ssi, sizeof *c);
    c->timefmt = STR("%A, %d-%b-%Y %H:%M:%S %Z");
    c->errmsg = STR("[an error occurred while processing the directive]");
    return c;
}

// --- the parts -------------------------------------------------------------------------------------------------------------

struct ssi_item *ssi_add_item(struct ssi_body *b) {
    struct ssi_item *i = arena_new(&b->r->arena, struct ssi_item);
    chain_init(&i->text, loop_blocks(b->r->loop));
    *b->last = i;
    b->last = &i->next;
    return i;
}

static struct chain *text_at_end(struct ssi_body *b) {
    struct ssi_item *i = b->first;
    while (i != NULL && i->next != NULL)
        i = i->next;
    if (i == NULL || i->sub != NULL)
        i = ssi_add_item(b);
    return &i->text;
}

void ssi_put(struct ssi_body *b, struct str text) {
    if (b->block != NULL)
        sbuf_str(&b->block->text, text);
    else if (!b->mute && text.n != 0)
        chain_add_copy(text_at_end(b), text);
}

// n bytes from the front of the input.
static void pass(struct ssi_body *b, size_t n) {
    if (n == 0)
        return;
    if (b->block == NULL && !b->mute) {
        chain_move(text_at_end(b), &b->in, n);
        return;
    }
    if (b->block != NULL)
        sbuf_put(&b->block->text, b->in.head->p, n);
    chain_drop(&b->in, n);
}

static void drop_item(struct ssi_body *b) {
    struct ssi_item *i = b->first;
    chain_done(&i->text);
    body_free(i->sub);
    b->first = i->next;
    if (b->first == NULL)
        b->last = &b->first;
}

// --- the search ------------------------------------------------------------------------------------------------------------

// Bytes of a command, up to its end.
static void collect(struct ssi_body *b) {
    const struct piece *p = b->in.head;
    size_t n = 0;
    while (n < p->n && !b->have_command)
        b->have_command = ssi_end_feed(&b->end, p->p[n++]);
    if (b->command.n + n <= SSI_COMMAND_MAX)
        sbuf_put(&b->command, p->p, n);
    else
        b->too_long = true; // its end is still looked for
    chain_drop(&b->in, n);
}

static void begin_command(struct ssi_body *b) {
    b->matched = 0;
    b->in_command = true;
    b->too_long = false;
    b->end = (struct ssi_end){0};
    sbuf_init_arena(&b->command, &b->r->arena, 256, SSI_COMMAND_MAX);
}

// The first place where the opening stands, or where the piece ends within it.
static size_t opening_in(const struct piece *p) {
    size_t at = 0;
    while (at < p->n) {
        const char *found = memchr(p->p + at, opening[0], p->n - at);
        if (found == NULL)
            return p->n;
        at = (size_t)(found - p->p);
        if (memcmp(found, opening, MIN(p->n - at, (size_t)OPENING)) == 0)
            return at;
        at++;
    }
    return at;
}

static void find_opening(struct ssi_body *b) {
    const struct piece *p = b->in.head;
    if (b->matched == 0) {
        size_t at = opening_in(p);
        b->matched = (unsigned)MIN(p->n - at, (size_t)OPENING);
        pass(b, at);
        chain_drop(&b->in, b->matched);
    } else if (p->p[0] == opening[b->matched]) {
        chain_drop(&b->in, 1);
        b->matched++;
    } else { // the same byte may open anew
        ssi_put(b, str_n(opening, b->matched));
        b->matched = 0;
    }
    if (b->matched == OPENING)
        begin_command(b);
}

static bool waits(const struct ssi_body *b) {
    for (const struct ssi_item *i = b->first; i != NULL; i = i->next) {
        if (i->wait)
            return true;
    }
    return false;
}

// Through what is there of the input. 0, or what a command returned.
static int search(struct ssi_body *b, enum body_wait wait) {
    while (!waits(b)) {
        if (b->have_command) {
            int err = ssi_run(b, wait);
            if (err != 0)
                return err;
            b->have_command = b->in_command = false;
            continue;
        }
        if (chain_empty(&b->in))
            return 0;
        if (b->in_command)
            collect(b);
        else
            find_opening(b);
    }
    return 0;
}

static void at_end(struct ssi_body *b) {
    b->ended = true;
    ssi_put(b, str_n(opening, b->in_command ? 0 : b->matched)); // a command without an end is dropped, as in nginx
    b->matched = 0;
    b->in_command = false;
}

// --- the body --------------------------------------------------------------------------------------------------------------

// What is there of the first part: bytes, 0 when it is through, or an error.
static ssize_t read_item(struct ssi_body *b, struct chain *to, size_t room, enum body_wait wait) {
    struct ssi_item *i = b->first;
    if (i->sub == NULL)
        return (ssize_t)chain_move(to, &i->text, room);
    if (i->stub.n != 0 && i->req != NULL) { // an error or nothing: the block stands for it
        if (wait == BODY_NOWAIT)
            return -EAGAIN;
        int err = subrequest_wait(i->req);
        if (err != 0)
            return err;
    }
    bool failed = i->stub.n != 0 && i->req != NULL && (i->req->outcome != OUTCOME_ANSWER || i->req->built_in_page);
    ssize_t n = failed ? 0 : body_read(i->sub, to, room, wait);
    if (n > 0)
        i->any = true;
    if (n != 0 || i->any || i->stub.n == 0 || i->req == NULL)
        return n;
    struct ssi_block *block = ssi_ctx(b->r->main)->blocks;
    while (block != NULL && !str_eq(block->name, i->stub))
        block = block->next;
    if (block == NULL)
        return 0;
    body_free(i->sub);
    i->sub = ssi_body_of_text(b->r, b->conf, sbuf_view(&block->text));
    i->req = NULL;
    return body_read(i->sub, to, room, wait);
}

// A piece of one part.
static ssize_t read_piece(struct ssi_body *b, struct chain *to, size_t room, enum body_wait wait) {
    for (;;) {
        while (b->first != NULL) {
            ssize_t n = read_item(b, to, room, wait);
            b->filter.body.soon = n == -EAGAIN && b->first->sub != NULL && b->first->sub->soon;
            if (n != 0)
                return n;
            drop_item(b);
        }
        if (!chain_empty(&b->in) || b->have_command) {
            int err = search(b, wait);
            if (err != 0 && b->first == NULL)
                return err;
            continue;
        }
        if (b->ended)
            return 0;
        ssize_t n = filter_pull(&b->filter, &b->in, IN_ROOM, wait);
        if (n < 0)
            return n;
        if (n == 0)
            at_end(b);
    }
}

// Pieces of as many parts as are there: many parts are small.
static ssize_t read_ssi(struct body *body, struct chain *to, size_t room, enum body_wait wait) {
    struct ssi_body *b = container_of(body, struct ssi_body, filter.body);
    size_t got = 0;
    while (got < room) {
        ssize_t n = read_piece(b, to, room - got, got != 0 ? BODY_NOWAIT : wait);
        if (n <= 0 && got == 0)
            return n;
        if (n <= 0)
            break; // an end or an error comes again
        got += (size_t)n;
        if (body->flush)
            break;
    }
    if (b->ended && b->first == NULL && chain_empty(&b->in) && !b->have_command)
        body->length = 0;
    return (ssize_t)got;
}

static void free_ssi(struct body *body) {
    struct ssi_body *b = container_of(body, struct ssi_body, filter.body);
    while (b->first != NULL)
        drop_item(b);
    chain_done(&b->in);
    filter_done(&b->filter);
}

static const struct body_ops ssi_ops = {"ssi", read_ssi, filter_ahead, free_ssi};

static struct ssi_body *make(struct req *r, const struct ssi_conf *c) {
    struct ssi_body *b = arena_new(&r->arena, struct ssi_body);
    b->r = r;
    b->conf = c;
    b->last = &b->first;
    chain_init(&b->in, loop_blocks(r->loop));
    return b;
}

struct body *ssi_body_of_text(struct req *r, const struct ssi_conf *c, struct str text) {
    struct ssi_body *b = make(r, c);
    filter_init(&b->filter, body_of_text(&r->arena, text), &ssi_ops, loop_blocks(r->loop));
    return &b->filter.body;
}

static enum step run(struct req *r, const void *conf) {
    const struct ssi_conf *c = conf;
    if (!filter_prepare(r) || r->out_length == 0 || !type_list_has(&c->types, r))
        return STEP_NEXT;
    ssi_ctx(r);
    if (r == r->main) {
        filter_forget_length(r);
        if (c->last_modified) {
            filter_weaken_etag(r);
        } else {
            head_drop(&r->out, FIELD_LAST_MODIFIED);
            head_drop(&r->out, FIELD_ETAG);
            r->last_modified = -1;
        }
    }
    if (r->out_body != NULL)
        filter_wrap(r, &make(r, c)->filter, &ssi_ops);
    return STEP_NEXT;
}

// --- variables and configuration -------------------------------------------------------------------------------------------

static bool get_date(struct eval *e, const struct var *v, struct str *out) {
    struct req *r = e->req;
    const struct ssi_ctx *c = req_ctx(r, &feature_ssi);
    char format[256], text[512];
    struct str f = c != NULL ? c->timefmt : STR("%A, %d-%b-%Y %H:%M:%S %Z");
    if (f.n >= sizeof(format))
        return false;
    memcpy(format, f.p, f.n);
    format[f.n] = '\0';
    time_t now = (time_t)(loop_wall_ms(r->loop) / 1000);
    struct tm tm;
    if (v->data != 0)
        gmtime_r(&now, &tm);
    else
        localtime_r(&now, &tm);
    size_t n = strftime(text, sizeof(text), format, &tm);
    *out = arena_dup(e->arena, str_n(text, n));
    return n != 0;
}

static bool bind_ssi(struct conf_cx *cx, struct scope *s, void *conf) {
    const struct ssi_conf *c = conf;
    if (c->on)
        plan_add(cx, s, STAGE_RESPONSE, RESPONSE_SSI, run, c, "ssi");
    return true;
}

#define C struct ssi_conf
static const struct conf_row rows[] = {
    ROW_FLAG("ssi", IN_HTTP_ALL | IN_IF, C, on, "off", "Carries out SSI commands in answers."),
    ROW_FLAG("ssi_silent_errors", IN_HTTP_ALL, C, silent_errors, "off", "Commands that fail leave no message in the answer."),
    ROW_FLAG("ssi_last_modified", IN_HTTP_ALL, C, last_modified, "off",
             "Keeps Last-Modified of answers that were searched, and ETag as a weak one."),
    ROW_TYPES("ssi_types", C, types, "text/html", "Content types of answers, besides text/html, that are searched."),
    ROW_SIZE("ssi_min_file_chunk", IN_HTTP_ALL, C, min_file_chunk, "1k", 0, 0, "Accepted; files are read in pieces of some size anyway."),
    ROW_SIZE("ssi_value_length", IN_HTTP_ALL, C, value_length, "256", 0, 0, "How long a value in a command may be."),
};

static const struct var_def vars[] = {
    {"date_local", false, VAR_VOLATILE, get_date, NULL, 0, "The local time, in the format of the SSI command \"config\"."},
    {"date_gmt", false, VAR_VOLATILE, get_date, NULL, 1, "The time in GMT, in the format of the SSI command \"config\"."},
};

struct feature feature_ssi = {.name = "ssi",
                              .rows = rows,
                              .nrows = ARRAY_LEN(rows),
                              .vars = vars,
                              .nvars = ARRAY_LEN(vars),
                              .conf_size = sizeof(C),
                              .bind = bind_ssi};
