// *_store: a response with status 200 is saved as a file while it goes to the client. The file appears when it is whole.
#include "base/date.h"
#include "feature/gateway/gateway.h"
#include "io/file.h"

struct stored {
    struct body body;
    struct body *inner; // owned
    struct req *r;
    struct file_ref *file; // NULL: given up, or done
    struct str path;       // NUL-terminated
    unsigned mode;
    int64_t mtime_s;
    uint64_t written;
};

// The client gets its answer whatever becomes of the file.
static void give_up(struct stored *s, int err, const char *what) {
    if (err != -ECANCELED)
        log_msg(LOG_CRIT, -err, "%s \"" STR_FMT "\" failed, the response is not stored", what, STR_ARG(s->path));
    file_unref(s->file);
    s->file = NULL;
}

static void finish(struct stored *s) {
    int err = temp_file_keep(s->file, s->path.p, s->mode, s->mtime_s);
    if (err != 0) {
        give_up(s, err, "storing");
        return;
    }
    file_unref(s->file);
    s->file = NULL;
}

static ssize_t read_stored(struct body *body, struct chain *to, size_t room, enum body_wait wait) {
    struct stored *s = container_of(body, struct stored, body);
    if (s->file != NULL && wait == BODY_NOWAIT)
        return -EAGAIN; // the file waits
    struct chain piece;
    chain_init(&piece, to->pool);
    ssize_t n = body_read(s->inner, &piece, room, wait);
    if (n > 0 && s->file != NULL) {
        int err = temp_file_write(s->file, (off_t)s->written, &piece);
        s->written += (uint64_t)n;
        if (err != 0)
            give_up(s, err, "writing a temporary file for");
    }
    body->length = s->inner->length;
    body->trailers = s->inner->trailers;
    if (s->file != NULL && n >= 0 && (n == 0 || s->inner->length == 0))
        finish(s);
    chain_append(to, &piece);
    return n;
}

static void free_stored(struct body *body) {
    struct stored *s = container_of(body, struct stored, body);
    file_unref(s->file);
    body_free(s->inner);
}

static const struct body_ops stored_ops = {"store", read_stored, NULL, free_stored};

static bool find_path(struct req *r, const struct gateway_conf *gw, struct str *path) {
    if (gw->store_on)
        return req_map_path(r, path);
    struct str said = req_eval(r, gw->store);
    bool absolute = said.n != 0 && said.p[0] == '/';
    struct str parts[3] = {absolute ? STR("") : r->conf->prefix, absolute ? STR("") : STR("/"), said};
    *path = arena_join(&r->arena, parts, 3);
    return said.n != 0 && memchr(path->p, '\0', path->n) == NULL && !str_ends(*path, STR("/"));
}

struct body *gateway_store(struct exchange *x, struct body *inner) {
    struct req *r = x->r;
    struct str path;
    if (!find_path(r, x->gw, &path))
        return inner;
    struct stored *s = arena_new(&r->arena, struct stored);
    body_init(&s->body, &stored_ops, inner->length);
    s->body.flush = inner->flush;
    s->inner = inner;
    s->r = r;
    s->path = arena_dup(&r->arena, path);
    s->mode = x->gw->store_access;
    if (!date_parse(head_value(&x->head, FIELD_LAST_MODIFIED), INT64_MAX / 2, &s->mtime_s))
        s->mtime_s = -1;
    int err = 0;
    s->file = temp_file_new(x->gw->temp_path.p, &err);
    if (s->file == NULL)
        give_up(s, err, "opening a temporary file for");
    return &s->body;
}
