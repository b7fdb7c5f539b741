// What hooks say to answer, error_page, and nginx's built-in pages.
#include "http/answer.h"
#include "base/date.h"
#include "http/conn.h"
#include "http/route.h"
#include "http/vhost.h"

struct str location_name(const struct req *r) {
    const struct location *l = scope_location(r->scope);
    return l != NULL ? l->text : STR("");
}

// --- what hooks call -------------------------------------------------------------------------------------------------

enum step answer_status(struct req *r, unsigned status) {
    CHECK_OBJ(r, REQ_MAGIC);
    r->outcome = OUTCOME_STATUS;
    r->outcome_status = status;
    return STEP_DONE;
}

static void drop_answer(struct req *r) {
    body_free(r->out_body);
    r->out_body = NULL;
    r->out_trailers = NULL;
}

enum step answer_ready(struct req *r, unsigned status, struct body *body, int64_t length) {
    CHECK_OBJ(r, REQ_MAGIC);
    if (r->out_body != body)
        drop_answer(r);
    r->built_in_page = false;
    r->outcome = OUTCOME_ANSWER;
    // The answer of an error_page keeps the status that it explains, or has the one that "=code" gave.
    r->out.status = r->error_status != 0 ? r->error_status : status;
    r->out_body = body;
    r->out_length = body == NULL ? 0 : length;
    return STEP_DONE;
}

enum step answer_text(struct req *r, unsigned status, struct str type, struct str text) {
    if (type.p == NULL)
        type = answer_type(r);
    head_set(&r->out, FIELD_CONTENT_TYPE, type);
    return answer_ready(r, status, text.n != 0 ? body_of_text(&r->arena, text) : NULL, (int64_t)text.n);
}

enum step answer_redirect(struct req *r, unsigned status, struct str location) {
    head_drop(&r->out, FIELD_LOCATION);
    r->location = STR_NONE;
    if (location.n != 0 && location.p[0] == '/' && req_core(r)->absolute_redirect)
        r->location = location;
    else
        head_set(&r->out, FIELD_LOCATION, location);
    return answer_status(r, status);
}

enum step answer_goto(struct req *r, struct str uri, struct str args) {
    CHECK(uri.n != 0);
    drop_answer(r);
    r->conditions_judged = false;
    r->last_modified = -1;
    r->outcome = OUTCOME_GOTO;
    r->goto_uri = uri;
    r->goto_args = args;
    return STEP_DONE;
}

void answer_instead(struct req *r, unsigned status) {
    drop_answer(r);
    head_clear(&r->out);
    r->location = STR_NONE;
    r->error_status = 0;
    answer_status(r, status);
}

enum step answer_close(struct req *r, unsigned status) {
    drop_answer(r);
    r->outcome = OUTCOME_CLOSE;
    r->out.status = status;
    r->keepalive = false;
    return STEP_DONE;
}

struct str answer_type(struct req *r) {
    struct str said = head_value(&r->out, FIELD_CONTENT_TYPE); // with an X-Accel-Redirect
    if (said.n != 0)
        return said;
    const struct http_core *core = req_core(r);
    struct str exten = req_exten(r);
    if (exten.n != 0 && core->types != NULL) {
        struct str type = types_find(core->types, exten);
        if (type.p != NULL)
            return type;
    }
    return core->default_type;
}

struct str answer_absolute(struct req *r, struct str path) {
    const struct http_core *core = req_core(r);
    bool tls = r->conn != NULL && link_is_tls(r->conn->link);
    struct sbuf b;
    sbuf_init_arena(&b, &r->arena, path.n + 64, path.n + 1024);
    sbuf_str(&b, tls ? STR("https://") : STR("http://"));
    struct str name = core->server_name_in_redirect ? r->server->name : r->host;
    struct addr_full local = {0};
    bool known = r->conn != NULL && link_local(r->conn->link, &local);
    if (name.n != 0)
        sbuf_str(&b, name);
    else if (known)
        addr_put(&b, &local.sa, false);
    unsigned port = known ? addr_port(&local.sa) : 0;
    if (core->port_in_redirect && port != 0 && port != (tls ? 443u : 80u))
        sbuf_printf(&b, ":%u", port);
    sbuf_str(&b, path);
    return sbuf_view(&b);
}

// --- errors ------------------------------------------------------------------------------------------------------------

// nginx answers these with a closed connection, because the client's idea of the stream may differ from ours.
static bool ends_connection(unsigned status) {
    switch (status) {
    case 400:
    case 413:
    case 414:
    case 494:
    case 495:
    case 496:
    case 497:
    case 500:
    case 501:
        return true;
    default:
        return false;
    }
}

// Statuses of nginx's own that are 400 for the client.
static unsigned visible_status(unsigned status) { return status >= 494 && status <= 497 ? 400 : status; }

static const char *page_title(unsigned status) {
    switch (status) {
    case 302:
        return "302 Found";
    case 401:
        return "401 Authorization Required";
    case 494:
        return "400 Request Header Or Cookie Too Large";
    case 495:
        return "400 The SSL certificate error";
    case 496:
        return "400 No required SSL certificate was sent";
    case 497:
        return "400 The plain HTTP request was sent to HTTPS port";
    case 413:
        return "413 Request Entity Too Large";
    case 414:
        return "414 Request-URI Too Large";
    case 416:
        return "416 Requested Range Not Satisfiable";
    default:
        return NULL;
    }
}

static bool has_page(unsigned status) {
    return (status >= 301 && status <= 303) || status == 307 || status == 308 ||
           (status >= 400 && status <= 429 && status != 417 && status != 418 && !(status >= 422 && status <= 428)) ||
           (status >= 494 && status <= 497) || (status >= 500 && status <= 507 && status != 506);
}

// Old browsers and Chrome show pages of their own in place of short ones (msie_padding).
static bool wants_padding(struct req *r) {
    struct str agent = head_value(&r->in, FIELD_USER_AGENT);
    return req_core(r)->msie_padding && (req_is_msie(r) || str_find(agent, STR("Chrome/")) >= 0);
}

struct str answer_page(struct req *r, unsigned status) {
    if (!has_page(status))
        return STR_NONE;
    struct sbuf b;
    sbuf_init_arena(&b, &r->arena, 256, 4096);
    const char *title = page_title(status);
    char made[80];
    if (title == NULL) {
        struct sbuf t;
        sbuf_init_fixed(&t, made, sizeof made);
        sbuf_printf(&t, "%u " STR_FMT, status, STR_ARG(status_reason(status)));
        title = sbuf_cstr(&t);
    }
    bool own = status >= 494 && status <= 497; // the heading is "400 Bad Request", the title says more
    sbuf_printf(&b, "<html>\r\n<head><title>%s</title></head>\r\n<body>\r\n<center><h1>%s</h1></center>\r\n", title,
                own ? "400 Bad Request" : title);
    if (own)
        sbuf_printf(&b, "<center>%s</center>\r\n", title + 4);
    sbuf_printf(&b, "<hr><center>" STR_FMT "</center>\r\n</body>\r\n</html>\r\n", STR_ARG(answer_server(r)));
    for (int i = 0; i < 6 && status >= 400 && wants_padding(r); i++)
        sbuf_lit(&b, "<!-- a padding to disable MSIE and Chrome friendly error page -->\r\n");
    return sbuf_view(&b);
}

int64_t answer_last_modified(struct req *r) {
    if (r->last_modified == LAST_MODIFIED_UNREAD) {
        int64_t now_s = (int64_t)(loop_wall_ms(r->loop) / 1000);
        if (!date_parse(head_value(&r->out, FIELD_LAST_MODIFIED), now_s, &r->last_modified))
            r->last_modified = -1;
    }
    return r->last_modified;
}

struct str answer_server(struct req *r) {
    const struct http_core *core = req_core(r);
    if (core->server_tokens_text != NULL)
        return req_eval(r, core->server_tokens_text);
    return core->server_tokens == CORE_OFF ? STR("weir") : STR("weir/" WEIR_VERSION);
}

// A redirect that an old browser follows with its fragment (msie_refresh).
static bool refresh(struct req *r, unsigned status) {
    if (!req_core(r)->msie_refresh || (status != 301 && status != 302) || !req_is_msie(r))
        return false;
    struct str to = r->location.n != 0 ? r->location : head_value(&r->out, FIELD_LOCATION);
    struct str parts[3] = {STR("<html><head><meta http-equiv=\"Refresh\" content=\"0; URL="), uri_escape(to, URI_ESCAPE_REFRESH, &r->arena),
                           STR("\"></head><body></body></html>\r\n")};
    r->location = STR_NONE;
    head_drop(&r->out, FIELD_LOCATION);
    head_set(&r->out, FIELD_CONTENT_TYPE, STR("text/html"));
    struct str page = arena_join(&r->arena, parts, 3);
    answer_ready(r, 200, body_of_text(&r->arena, page), (int64_t)page.n);
    return true;
}

// The body of an answer that no error_page makes.
static void built_in(struct req *r, unsigned status) {
    if (UNLIKELY(req_core(r)->msie_refresh) && refresh(r, status))
        return;
    head_drop(&r->out, FIELD_CONTENT_TYPE);
    struct str page = answer_page(r, status);
    unsigned kept = r->error_status;
    r->error_status = 0;
    if (page.n != 0) {
        head_set(&r->out, FIELD_CONTENT_TYPE, STR("text/html"));
        answer_ready(r, visible_status(status), body_of_text(&r->arena, page), (int64_t)page.n);
    } else {
        answer_ready(r, visible_status(status), NULL, 0);
    }
    r->error_status = kept != 0 ? r->out.status : 0; // $status says what is sent
    r->built_in_page = true;
}

// A page of this server is fetched; anything else is where to redirect to.
static void take_error_page(struct req *r, const struct error_page *e, unsigned status) {
    r->error_status = e->answer > 0 ? (unsigned)e->answer : e->answer == 0 ? 0 : visible_status(status);
    struct str uri = req_eval(r, e->uri); // in which $status is the new one
    head_drop(&r->out, FIELD_CONTENT_TYPE);
    if (uri.n != 0 && (uri.p[0] == '/' || uri.p[0] == '@')) {
        struct str args = STR_NONE;
        if (uri.p[0] == '/') {
            // Whatever was asked for, the page is fetched.
            if (r->method != METHOD_HEAD) {
                r->method = METHOD_GET;
                r->method_text = STR("GET");
            }
            ssize_t q = str_chr(uri, '?');
            if (q >= 0) {
                args = str_from(uri, (size_t)q + 1);
                uri.n = (size_t)q;
            }
            struct str normal = uri;
            if (uri_normalise(&normal, req_core(r)->merge_slashes, &r->arena))
                uri = normal;
        }
        answer_goto(r, uri, args);
        return;
    }
    unsigned code = r->error_status;
    r->error_status = 0;
    if (code != 301 && code != 302 && code != 303 && code != 307 && code != 308)
        code = 302;
    head_set(&r->out, FIELD_LOCATION, uri);
    built_in(r, code);
}

void answer_resolve_status(struct req *r) {
    unsigned status = r->outcome_status;
    const struct http_core *core = req_core(r);
    if (status == 444 || status == 499 || status == 408 || r->client_gone) {
        answer_close(r, status);
        return;
    }
    if (ends_connection(status))
        r->keepalive = false;
    bool may = !r->in_error_page || core->recursive_error_pages;
    if (may && status >= 300 && r->uri_changes <= REQ_URI_CHANGES_MAX) {
        conf_list_each(const struct error_page, e, core->error_pages) {
            if (e->status == status) {
                r->in_error_page = true;
                take_error_page(r, e, status);
                return;
            }
        }
    }
    built_in(r, status);
}

// --- completing ----------------------------------------------------------------------------------------------------------

// `return 99`, `error_page 404 =1000 /x`: nginx sends such digits, which no client can read.
static void replace_impossible(struct req *r) {
    log_msg(LOG_ERR, 0, "the configuration answers with %u, which is no status of HTTP: 500 is sent", r->out.status);
    answer_instead(r, 500);
    r->keepalive = false;
    built_in(r, 500);
}

void answer_finish(struct req *r) {
    if (UNLIKELY(r->out.status < 100 || r->out.status > 999))
        replace_impossible(r);
    unsigned status = r->out.status;
    if (r->error_status != 0)
        r->out.reason = STR_NONE; // that of the page's own status
    if (r->error_status != 0 && status != 200 && status != 206 && status != 304)
        head_drop(&r->out, FIELD_LAST_MODIFIED); // the page's, not of what was asked for
    r->head_only = r->method == METHOD_HEAD || status_has_no_body(status);
    if (status_has_no_body(status)) {
        if (status == 204) {
            head_drop(&r->out, FIELD_CONTENT_TYPE);
            head_drop(&r->out, FIELD_CONTENT_LENGTH);
        }
        r->out_length = -1;
    }
    if (r->head_only && r->out_body != NULL) {
        body_free(r->out_body);
        r->out_body = NULL;
    }
}
