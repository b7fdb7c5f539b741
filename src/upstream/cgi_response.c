// Heads of CGI responses.
#include "upstream/cgi_response.h"

// nginx: Status says it; else a Location means 302; else it is 200.
static int find_status(struct exchange *x) {
    struct head *h = &x->head;
    h->version = 11;
    h->reason = STR_NONE;
    struct field *status = head_find_name(h, STR("Status"));
    if (status == NULL) {
        h->status = head_has(h, FIELD_LOCATION) ? 302 : 200;
        return 0;
    }
    uint64_t code;
    struct str digits = str_head(status->value, MIN(status->value.n, (size_t)3));
    bool ends = status->value.n == 3 || (status->value.n > 3 && status->value.p[3] == ' ');
    if (digits.n != 3 || !ends || !str_u64(digits, 999, &code) || code < 200) {
        exchange_log(x, LOG_ERR, 0, "reading response header from upstream", NULL, "upstream sent invalid status \"" STR_FMT "\"",
                     STR_ARG(status->value));
        return -EPROTO;
    }
    h->status = (unsigned)code;
    h->reason = str_from(status->value, MIN(status->value.n, (size_t)4));
    if (h->reason.n == 0)
        h->reason = STR_NONE;
    return 0;
}

int cgi_parse_head(struct incoming *in, struct http1_parse *ps, bool status_line, size_t *end) {
    struct exchange *x = in->x;
    struct http1_limits lim;
    incoming_limits(in, &lim);
    if (status_line && in->n < 5 && memcmp(in->block->data, "HTTP/", in->n) == 0)
        return 1;
    bool http = status_line && in->n >= 5 && memcmp(in->block->data, "HTTP/", 5) == 0;
    head_init(&x->head, &x->r->arena);
    enum http1_result res = http ? http1_parse_response(ps, &x->head, in->block->data, in->n, &lim)
                                 : http1_parse_trailers(ps, &x->head, in->block->data, in->n, &lim);
    if (res == HTTP1_OK) {
        *end = ps->end;
        return http ? 0 : find_status(x);
    }
    if (res != HTTP1_MORE)
        return response_malformed(in, res, ps);
    return in->n >= in->limit ? response_too_big(in) : 1;
}

int cgi_find_length(struct exchange *x) {
    const struct head *h = &x->head;
    struct field *cl = head_find(h, FIELD_CONTENT_LENGTH);
    x->body_length = -1;
    x->chunked = false;
    if (cl == NULL)
        return 0;
    if (head_find_next(h, cl) != NULL)
        return response_refuse(x, "upstream sent duplicate header line: \"Content-Length\"");
    x->body_length = http1_content_length(cl->value, false);
    return x->body_length < 0 ? response_refuse(x, "upstream sent invalid \"Content-Length\" header") : 0;
}
