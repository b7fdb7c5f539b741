// autoindex: the listing of a directory, as HTML, XML, JSON or JSONP, in nginx's exact form. The directory is read on a
// helper thread, so that a slow disk stalls no loop; the text is made when the body is first asked for, because its form
// depends on the charset that later hooks put into Content-Type.
#include "base/date.h"
#include "feature/content/directory.h"
#include "io/inbox.h"
#include "io/loop.h"
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>

enum { NAME_WIDTH = 50, CALLBACK_MAX = 128, TEXT_MAX = 1 << 30 };

enum format { FORMAT_HTML, FORMAT_JSON, FORMAT_JSONP, FORMAT_XML };

struct autoindex_conf {
    bool on, exact_size, local_time;
    int format;
};

struct entry {
    struct str name;
    bool is_dir, is_file;
    off_t size;
    int64_t mtime_s;
};

// --- reading the directory -----------------------------------------------------------------------------------------------

struct listing {
    struct arena arena; // of the heap: a helper thread fills it
    const char *path;
    struct entry *at;
    size_t count, cap;
    const char *failed; // the call that did
};

// False: the entry is not listed. A link to nothing is listed as itself.
static bool describe(DIR *dir, struct entry *e, const char *name) {
    struct stat st;
    if (fstatat(dirfd(dir), name, &st, 0) != 0) {
        if (errno != ENOENT && errno != ELOOP)
            return false;
        if (fstatat(dirfd(dir), name, &st, AT_SYMLINK_NOFOLLOW) != 0)
            return false;
    }
    e->is_dir = S_ISDIR(st.st_mode);
    e->is_file = S_ISREG(st.st_mode);
    e->size = st.st_size;
    e->mtime_s = st.st_mtim.tv_sec;
    return true;
}

static int by_name(const void *a, const void *b) {
    const struct entry *x = a, *y = b;
    if (x->is_dir != y->is_dir)
        return x->is_dir ? -1 : 1;
    return str_cmp(x->name, y->name);
}

static struct entry *listing_add(struct listing *l) {
    if (l->count == l->cap) {
        l->cap = MAX(l->cap * 2, (size_t)64);
        l->at = xrealloc(l->at, l->cap * sizeof *l->at);
    }
    return &l->at[l->count];
}

static void add_entry(void *arg, DIR *dir, const struct dirent *d) {
    struct listing *l = arg;
    struct entry *e = listing_add(l);
    if (!describe(dir, e, d->d_name))
        return;
    e->name = arena_dup(&l->arena, str_c(d->d_name));
    l->count++;
}

// On a helper thread.
static int read_listing(void *arg) {
    struct listing *l = arg;
    int err = directory_read(l->path, add_entry, l, &l->failed);
    if (err == 0 && l->count != 0)
        qsort(l->at, l->count, sizeof *l->at, by_name);
    return err;
}

static void listing_free(void *arg) {
    struct listing *l = arg;
    free(l->at);
    arena_done(&l->arena);
}

// --- text ----------------------------------------------------------------------------------------------------------------

static const char spaces[] = "                                                  "; // NAME_WIDTH

static void put_html(struct sbuf *b, struct str s, struct arena *a) { sbuf_str(b, uri_escape(s, URI_ESCAPE_HTML, a)); }

// Bytes of the first `width` characters; *chars: how many there are in all, at most. Bytes that are no UTF-8 count as one.
static size_t cut_utf8(struct str s, size_t width, size_t *chars) {
    size_t at = 0, cut = s.n;
    *chars = 0;
    while (at < s.n) {
        if (*chars == width)
            cut = at;
        unsigned char c = (unsigned char)s.p[at];
        size_t len = c < 0xc2 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 1, i = 1;
        while (i < len && at + i < s.n && ((unsigned char)s.p[at + i] & 0xc0) == 0x80)
            i++;
        at += i == len ? len : 1;
        (*chars)++;
    }
    return cut;
}

static void put_size(struct sbuf *b, off_t size) {
    static const struct {
        off_t from;
        int shift;
        char unit;
    } units[] = {{(1 << 30) - 1, 30, 'G'}, {(1 << 20) - 1, 20, 'M'}, {9999, 10, 'K'}};
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        if (size <= units[i].from)
            continue;
        off_t whole = size >> units[i].shift, rest = size - (whole << units[i].shift);
        whole += rest >= (off_t)1 << (units[i].shift - 1);
        sbuf_printf(b, "%6lld%c", (long long)whole, units[i].unit);
        return;
    }
    sbuf_printf(b, " %6lld", (long long)size);
}

static void put_html_time(struct sbuf *b, int64_t s, int zone_min) {
    char log[DATE_LOG_LEN]; // 14/Nov/2023:22:13:20 +0000
    date_log(s, zone_min, log);
    log[2] = log[6] = '-';
    sbuf_put(b, log, 11);
    sbuf_chr(b, ' ');
    sbuf_put(b, log + 12, 5);
}

static void put_html_entry(struct sbuf *b, const struct entry *e, const struct autoindex_conf *c, bool utf8, int zone_min,
                           struct arena *a) {
    sbuf_lit(b, "<a href=\"");
    sbuf_str(b, uri_escape(e->name, URI_ESCAPE_COMPONENT, a));
    sbuf_str(b, e->is_dir ? STR("/\">") : STR("\">"));
    size_t chars = e->name.n, cut = NAME_WIDTH - 3;
    if (utf8)
        cut = cut_utf8(e->name, NAME_WIDTH - 3, &chars);
    bool whole = chars <= NAME_WIDTH;
    put_html(b, whole ? e->name : str_head(e->name, cut), a);
    if (!whole)
        sbuf_lit(b, "..&gt;");
    else if (e->is_dir && chars < NAME_WIDTH)
        sbuf_chr(b, '/'), chars++;
    sbuf_lit(b, "</a>");
    if (whole)
        sbuf_put(b, spaces, NAME_WIDTH - chars);
    sbuf_chr(b, ' ');
    put_html_time(b, e->mtime_s, c->local_time ? zone_min : 0);
    if (c->exact_size && e->is_dir)
        sbuf_printf(b, "%20s", "-");
    else if (c->exact_size)
        sbuf_printf(b, " %19lld", (long long)e->size);
    else if (e->is_dir)
        sbuf_lit(b, "       -");
    else {
        sbuf_chr(b, ' ');
        put_size(b, e->size);
    }
    sbuf_lit(b, "\r\n");
}

static void put_json_name(struct sbuf *b, struct str s) {
    static const char hex[] = "0123456789ABCDEF";
    static const char letters[32] = {['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'};
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c == '"' || c == '\\')
            sbuf_chr(b, '\\');
        if (c >= 0x20) {
            sbuf_chr(b, (char)c);
        } else if (letters[c] != '\0') {
            sbuf_chr(b, '\\');
            sbuf_chr(b, letters[c]);
        } else {
            const char escape[] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
            sbuf_put(b, escape, sizeof escape);
        }
    }
}

static void put_json_entry(struct sbuf *b, const struct entry *e) {
    char date[DATE_HTTP_LEN];
    date_http(e->mtime_s, date);
    sbuf_lit(b, "{ \"name\":\"");
    put_json_name(b, e->name);
    sbuf_printf(b, "\", \"type\":\"%s\", \"mtime\":\"%.*s\"", e->is_dir ? "directory" : e->is_file ? "file" : "other",
                DATE_HTTP_LEN, date);
    if (e->is_file)
        sbuf_printf(b, ", \"size\":%lld", (long long)e->size);
    sbuf_lit(b, " }");
}

static void put_xml_entry(struct sbuf *b, const struct entry *e, struct arena *a) {
    const char *type = e->is_dir ? "directory" : e->is_file ? "file" : "other";
    char date[DATE_ISO_LEN];
    date_iso(e->mtime_s, 0, date);
    sbuf_printf(b, "<%s mtime=\"%.19sZ\"", type, date);
    if (e->is_file)
        sbuf_printf(b, " size=\"%lld\"", (long long)e->size);
    sbuf_chr(b, '>');
    put_html(b, e->name, a);
    sbuf_printf(b, "</%s>\r\n", type);
}

// --- the body ------------------------------------------------------------------------------------------------------------

struct index_body {
    struct body body;
    struct req *r;
    const struct autoindex_conf *conf;
    struct listing *listing;
    struct str callback; // JSONP
    struct str uri;
    struct str left;     // p NULL: not made yet
};

static int zone_minutes(struct loop *l) {
    time_t now = (time_t)(loop_wall_ms(l) / 1000);
    struct tm tm;
    return localtime_r(&now, &tm) != NULL ? (int)(tm.tm_gmtoff / 60) : 0;
}

static void make_html(struct index_body *b, struct sbuf *out) {
    struct arena *a = &b->r->arena;
    struct str title = uri_escape(b->uri, URI_ESCAPE_HTML, a);
    bool utf8 = str_ifind(head_value(&b->r->out, FIELD_CONTENT_TYPE), STR("charset=utf-8")) >= 0;
    int zone = b->conf->local_time ? zone_minutes(b->r->loop) : 0;
    sbuf_lit(out, "<html>\r\n<head><title>Index of ");
    sbuf_str(out, title);
    sbuf_lit(out, "</title></head>\r\n<body>\r\n<h1>Index of ");
    sbuf_str(out, title);
    sbuf_lit(out, "</h1><hr><pre><a href=\"../\">../</a>\r\n");
    for (size_t i = 0; i < b->listing->count; i++)
        put_html_entry(out, &b->listing->at[i], b->conf, utf8, zone, &b->listing->arena);
    sbuf_lit(out, "</pre><hr></body>\r\n</html>\r\n");
}

static void make_json(struct index_body *b, struct sbuf *out) {
    if (b->callback.n != 0) {
        sbuf_lit(out, "/* callback */\r\n");
        sbuf_str(out, b->callback);
        sbuf_chr(out, '(');
    }
    sbuf_chr(out, '[');
    for (size_t i = 0; i < b->listing->count; i++) {
        sbuf_str(out, i == 0 ? STR("\r\n") : STR(",\r\n"));
        put_json_entry(out, &b->listing->at[i]);
    }
    sbuf_lit(out, "\r\n]");
    if (b->callback.n != 0)
        sbuf_lit(out, ");");
}

static void make_text(struct index_body *b) {
    struct sbuf out;
    sbuf_init_arena(&out, &b->listing->arena, 256 + 200 * b->listing->count, TEXT_MAX);
    switch (b->conf->format) {
    case FORMAT_JSON:
    case FORMAT_JSONP:
        make_json(b, &out);
        break;
    case FORMAT_XML:
        sbuf_lit(&out, "<?xml version=\"1.0\"?>\r\n<list>\r\n");
        for (size_t i = 0; i < b->listing->count; i++)
            put_xml_entry(&out, &b->listing->at[i], &b->listing->arena);
        sbuf_lit(&out, "</list>\r\n");
        break;
    default:
        make_html(b, &out);
        break;
    }
    b->left = sbuf_view(&out);
}

static ssize_t read_index(struct body *body, struct chain *to, size_t room, enum body_wait wait) {
    struct index_body *b = container_of(body, struct index_body, body);
    if (b->left.p == NULL)
        make_text(b);
    size_t n = MIN(room, b->left.n);
    chain_add_const(to, b->left.p, n);
    b->left = str_from(b->left, n);
    return (ssize_t)n;
}

static const struct body_ops index_ops = {"autoindex", read_index, NULL, NULL};

// --- the handler ---------------------------------------------------------------------------------------------------------

// The argument of ?callback=: an empty one asks for JSON.
static bool take_callback(struct req *r, struct str *callback) {
    *callback = STR_NONE;
    if (!uri_arg(r->args, STR("callback"), callback))
        return true;
    for (size_t i = 0; i < callback->n; i++) {
        unsigned char c = (unsigned char)callback->p[i];
        if (!ascii_is_alpha(c) && !ascii_is_digit(c) && c != '_' && c != '.') {
            log_msg(LOG_ERR, 0, "client sent invalid callback name: \"" STR_FMT "\"", STR_ARG(*callback));
            return false;
        }
    }
    if (callback->n > CALLBACK_MAX)
        log_msg(LOG_ERR, 0, "client sent too long callback name: \"" STR_FMT "\"", STR_ARG(*callback));
    return callback->n <= CALLBACK_MAX;
}

static struct str content_type(const struct autoindex_conf *c, struct str callback) {
    switch (c->format) {
    case FORMAT_JSON:
        return STR("application/json");
    case FORMAT_JSONP:
        return callback.n != 0 ? STR("application/javascript") : STR("application/json");
    case FORMAT_XML:
        return STR("text/xml; charset=utf-8");
    default:
        return STR("text/html");
    }
}

static enum step list_directory(struct req *r, const void *conf) {
    const struct autoindex_conf *c = conf;
    if (r->uri.n == 0 || r->uri.p[r->uri.n - 1] != '/' || (r->method != METHOD_GET && r->method != METHOD_HEAD))
        return STEP_NEXT;
    struct str path, callback = STR_NONE;
    if (!directory_of(r, &path))
        return answer_status(r, 500);
    if (c->format == FORMAT_JSONP && !take_callback(r, &callback))
        return answer_status(r, 400);
    struct listing *l = arena_new(&r->arena, struct listing);
    arena_init(&l->arena, NULL);
    arena_cleanup(&r->arena, listing_free, l);
    l->path = path.p;
    int err = helper_run(read_listing, l);
    if (err != 0)
        return answer_status(r, file_refused(r, path, err, l->failed));
    struct index_body *b = arena_new(&r->arena, struct index_body);
    body_init(&b->body, &index_ops, -1);
    b->body.in_memory = true;
    b->r = r;
    b->conf = c;
    b->listing = l;
    b->callback = callback;
    b->uri = r->uri;
    head_set(&r->out, FIELD_CONTENT_TYPE, content_type(c, callback));
    return answer_ready(r, 200, &b->body, -1);
}

static bool bind_autoindex(struct conf_cx *cx, struct scope *s, void *conf) {
    const struct autoindex_conf *c = conf;
    if (c->on && (s->place & (IN_SERVER | IN_LOCATION | IN_IF | IN_LIMIT_EXCEPT)))
        plan_add(cx, s, STAGE_CONTENT, ORDER_AUTOINDEX, list_directory, c, "autoindex");
    return true;
}

static const struct conf_word formats[] = {
    {"html", FORMAT_HTML}, {"json", FORMAT_JSON}, {"jsonp", FORMAT_JSONP}, {"xml", FORMAT_XML}, {NULL}};

#define S struct autoindex_conf
static const struct conf_row rows[] = {
    ROW_FLAG("autoindex", IN_HTTP_ALL, S, on, "off", "A URI that ends with a slash is answered with a listing of its directory."),
    ROW_FLAG("autoindex_exact_size", IN_HTTP_ALL, S, exact_size, "on",
             "HTML listings show sizes in bytes, not in kilobytes, megabytes and gigabytes."),
    ROW_ENUM("autoindex_format", IN_HTTP_ALL, S, format, "html", formats, "The form of a listing: html, xml, json or jsonp."),
    ROW_FLAG("autoindex_localtime", IN_HTTP_ALL, S, local_time, "off", "HTML listings show times of the local zone, not UTC."),
};

struct feature feature_autoindex = {.name = "autoindex",
                                    .rows = rows,
                                    .nrows = ARRAY_LEN(rows),
                                    .conf_size = sizeof(struct autoindex_conf),
                                    .bind = bind_autoindex};
