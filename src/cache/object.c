// An object's head: made of an answer, renewed by a 304, read from a file.
#include "cache/cache_private.h"
#include "cache/data.h"
#include "cache/object_head.h"
#include "wire/http1.h"
#include <stdlib.h>

enum { FIELDS_MAX = 1 << 16 };

struct cache_object *cache_object_ref(struct cache_object *o) {
    CHECK_OBJ(o, CACHE_OBJECT_MAGIC);
    __atomic_add_fetch(&o->refs, 1, __ATOMIC_RELAXED);
    return o;
}

void cache_object_unref(struct cache_object *o) {
    if (o == NULL)
        return;
    CHECK_OBJ(o, CACHE_OBJECT_MAGIC);
    if (__atomic_sub_fetch(&o->refs, 1, __ATOMIC_ACQ_REL) != 0)
        return;
    cache_data_unref(o->data);
    free((char *)(uintptr_t)o->text.p);
    free(o->head.at);
    o->magic = 0;
    free(o);
}

size_t cache_object_memory(const struct cache_object *o) {
    const struct cache_data *d = o->data;
    return sizeof *o + sizeof *d + o->text.n + o->head.count * sizeof(struct field) + (d->mem != NULL ? d->mem_cap : 0) +
           d->nsums * (sizeof *d->sums + 1) + 128 /* of the heap */;
}

// --- text ----------------------------------------------------------------------------------------------------------------

static bool stays(const struct field *f, struct str named) {
    if (f->id == FIELD_CONTENT_LENGTH || f->id == FIELD_TRAILER || (field_flags(f->id) & FIELD_HOP) != 0)
        return false;
    return named.n == 0 || !list_has_token(named, f->name);
}

static void put_fields(struct sbuf *b, const struct head *h, const struct head *but) {
    struct str named = head_value(h, FIELD_CONNECTION);
    head_each(f, h) {
        if (stays(f, named) && (but == NULL || head_find_name(but, f->name) == NULL))
            http1_put_field(b, f->name, f->value);
    }
}

static void put_front(struct sbuf *b, struct str key, struct str vary, const struct head *h) {
    sbuf_lit(b, "\nKEY: ");
    sbuf_str(b, key);
    sbuf_lit(b, "\n");
    sbuf_str(b, vary);
    sbuf_lit(b, "\n");
    http1_put_status_line(b, 11, h->status, h->reason.p != NULL ? h->reason : status_reason(h->status));
}

// Its strings lie in the text; its fields are counted and copied, so that the object needs no arena.
static bool parse_head(struct cache_object *o, size_t at) {
    struct http1_limits lim = {.max_line = SIZE_MAX, .max_head = SIZE_MAX, .max_fields = FIELDS_MAX};
    struct http1_parse ps = {0};
    struct arena arena;
    arena_init(&arena, NULL);
    struct head h;
    head_init(&h, &arena);
    struct str rest = str_from(o->text, at);
    bool ok = http1_parse_response(&ps, &h, rest.p, rest.n, &lim) == HTTP1_OK && ps.end == rest.n;
    if (ok) {
        o->head = h;
        o->head.arena = NULL;
        o->head.cap = h.count;
        o->head.at = h.count != 0 ? xmalloc(h.count * sizeof *h.at) : NULL;
        if (h.count != 0)
            memcpy(o->head.at, h.at, h.count * sizeof *h.at);
    }
    arena_done(&arena);
    return ok;
}

struct cache_object *object_of_text(const struct cache_id *main, const struct cache_id *id, const struct cache_facts *facts,
                                    char *text, size_t n, size_t key_n, size_t vary_n) {
    struct cache_object *o = xcalloc(1, sizeof *o);
    *o = (struct cache_object){.magic = CACHE_OBJECT_MAGIC, .refs = 1, .main = *main, .id = *id, .facts = *facts, .text = str_n(text, n)};
    list_init(&o->loaded);
    static const struct str before = STR_INIT("\nKEY: ");
    size_t vary_at = before.n + key_n + 1, head_at = vary_at + vary_n + 1;
    bool fits = key_n < n && vary_n < n && head_at < n && str_starts(o->text, before) && text[vary_at - 1] == '\n' &&
                text[head_at - 1] == '\n';
    if (fits) {
        o->key = str_n(text + before.n, key_n);
        o->vary = str_n(text + vary_at, vary_n);
    }
    if (!fits || !parse_head(o, head_at)) {
        cache_object_unref(o);
        return NULL;
    }
    return o;
}

// Takes the text of b.
static struct cache_object *made(struct sbuf *b, const struct cache_object *of) {
    sbuf_lit(b, "\r\n");
    struct cache_object *o = NULL;
    if (!b->overflow)
        o = object_of_text(&of->main, &of->id, &of->facts, memcpy(xmalloc(b->n), b->p, b->n), b->n, of->key.n, of->vary.n);
    sbuf_done(b);
    return o;
}

struct cache_object *cache_object_new(struct cache *c, const struct cache_id *main, const struct cache_id *id, struct str key,
                                      struct str vary, const struct cache_facts *facts, const struct head *head, int64_t length) {
    struct cache_object like = {.main = *main, .id = *id, .key = key, .vary = vary, .facts = *facts};
    struct sbuf b;
    sbuf_init_heap(&b, CACHE_HEAD_MAX + key.n + vary.n);
    put_front(&b, key, vary, head);
    put_fields(&b, head, NULL);
    struct cache_object *o = made(&b, &like);
    if (o != NULL) {
        o->data = cache_data_new(c);
        o->data->promised = length;
    }
    return o;
}

// What a 304 says of the connection, or of a body that it has not, is not of the object (RFC 9111 3.2).
static void new_fields(struct head *to, const struct head *of_304) {
    head_each(f, of_304) {
        if (stays(f, head_value(of_304, FIELD_CONNECTION)) && f->id != FIELD_CONTENT_ENCODING && f->id != FIELD_CONTENT_TYPE &&
            f->id != FIELD_CONTENT_RANGE && f->id != FIELD_VARY)
            head_add(to, f->id, f->name, f->value);
    }
}

struct cache_object *cache_object_renew(struct cache_object *old, const struct cache_facts *facts, const struct head *of_304) {
    struct cache_object like = {.main = old->main, .id = old->id, .key = old->key, .vary = old->vary, .facts = *facts};
    struct arena arena;
    arena_init(&arena, NULL);
    struct head fields;
    head_init(&fields, &arena);
    new_fields(&fields, of_304);
    struct sbuf b;
    sbuf_init_heap(&b, 2 * CACHE_HEAD_MAX + old->key.n + old->vary.n);
    put_front(&b, old->key, old->vary, &old->head);
    put_fields(&b, &old->head, &fields);
    put_fields(&b, &fields, NULL);
    struct cache_object *o = made(&b, &like);
    arena_done(&arena);
    if (o == NULL) // too large: its fields stay as they were
        return NULL;
    o->data = cache_data_ref(old->data);
    return o;
}
