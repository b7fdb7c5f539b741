// The errors of one reading, in the order of the text, whoever found them.
#include "conf/tree.h"

void conf_errors_init(struct conf_errors *e, struct arena *arena) {
    *e = (struct conf_errors){.arena = arena};
    e->tail = &e->head;
}

bool conf_errors_vadd(struct conf_errors *e, bool warning, const struct conf_file *file, unsigned line, struct str hint,
                      const char *fmt, va_list ap) {
    if (e->errors >= CONF_MAX_ERRORS && !warning)
        return false;
    struct conf_error *err = arena_new(e->arena, struct conf_error);
    struct sbuf text;
    sbuf_init_arena(&text, e->arena, 80, 64 * 1024);
    sbuf_vprintf(&text, fmt, ap);
    *err = (struct conf_error){.warning = warning,
                               .text = sbuf_view(&text),
                               .file = file,
                               .line = line,
                               .hint = hint.n ? arena_dup(e->arena, hint) : STR_NONE,
                               .seq = e->seq};
    *e->tail = err;
    e->tail = &err->next;
    if (warning)
        e->warnings++;
    else
        e->errors++;
    return false;
}

bool conf_errors_add(struct conf_errors *e, bool warning, const struct conf_file *file, unsigned line, struct str hint,
                     const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    conf_errors_vadd(e, warning, file, line, hint, fmt, ap);
    va_end(ap);
    return false;
}

void conf_errors_sort(struct conf_errors *e) {
    // Insertion: nearly all come in order and are appended.
    struct conf_error *sorted = NULL, *last = NULL;
    for (struct conf_error *err = e->head, *next; err != NULL; err = next) {
        next = err->next;
        struct conf_error **at = last != NULL && last->seq <= err->seq ? &last->next : &sorted;
        while (*at != NULL && (*at)->seq <= err->seq)
            at = &(*at)->next;
        err->next = *at;
        *at = err;
        if (err->next == NULL)
            last = err;
    }
    e->head = sorted;
    e->tail = &e->head;
    while (*e->tail != NULL)
        e->tail = &(*e->tail)->next;
}

void conf_error_print(const struct conf_error *e, struct sbuf *out) {
    sbuf_str(out, e->text);
    if (e->file == NULL)
        return;
    sbuf_lit(out, " in ");
    sbuf_str(out, e->file->path);
    if (e->line != 0)
        sbuf_printf(out, ":%u", e->line);
}
