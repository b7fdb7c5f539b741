// gRPC-Web: the frame of trailers, base64 in pieces, and the names of its types.
#include "wire/grpc_web.h"

void grpc_web_put_trailers(struct sbuf *to, const struct head *trailers) {
    size_t at = to->n;
    unsigned char head[GRPC_FRAME_HEAD] = {GRPC_WEB_TRAILERS};
    sbuf_put(to, head, sizeof head);
    head_each(f, trailers) {
        char *name = sbuf_room(to, f->name.n + f->value.n + 4);
        if (name == NULL)
            return;
        for (size_t i = 0; i < f->name.n; i++)
            name[i] = (char)ascii_lower((unsigned char)f->name.p[i]);
        to->n += f->name.n;
        sbuf_lit(to, ": ");
        sbuf_str(to, f->value);
        sbuf_lit(to, "\r\n");
    }
    if (to->overflow)
        return;
    size_t n = to->n - at - GRPC_FRAME_HEAD;
    for (unsigned i = 0; i < 4; i++)
        to->p[at + 1 + i] = (char)(n >> (24 - 8 * i));
}

static int value_of(unsigned char c) {
    if (ascii_is_alpha(c))
        return c >= 'a' ? c - 'a' + 26 : c - 'A';
    if (ascii_is_digit(c))
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

// '=': the third or the fourth place of a quantum.
static bool take_padding(struct grpc_web_decoder *d, struct sbuf *out) {
    if (d->letters < 2)
        return false;
    if (!d->padded) {
        if (d->letters == 2) {
            sbuf_chr(out, (char)(d->bits >> 4));
        } else {
            sbuf_chr(out, (char)(d->bits >> 10));
            sbuf_chr(out, (char)(d->bits >> 2));
        }
    }
    d->padded = true;
    if (++d->letters == 4)
        *d = (struct grpc_web_decoder){0};
    return true;
}

bool grpc_web_decode(struct grpc_web_decoder *d, struct sbuf *out, struct str text) {
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        if (c == '=') {
            if (!take_padding(d, out))
                return false;
            continue;
        }
        int v = value_of(c);
        if (v < 0 || d->padded)
            return false;
        d->bits = d->bits << 6 | (uint32_t)v;
        if (++d->letters < 4)
            continue;
        char bytes[3] = {(char)(d->bits >> 16), (char)(d->bits >> 8), (char)d->bits};
        sbuf_put(out, bytes, sizeof bytes);
        *d = (struct grpc_web_decoder){0};
    }
    return true;
}

bool grpc_web_decoded(const struct grpc_web_decoder *d) { return d->letters == 0; }

bool grpc_web_type(struct str type, bool *text, struct str *suffix) {
    ssize_t semicolon = str_chr(type, ';');
    type = str_trim(semicolon >= 0 ? str_head(type, (size_t)semicolon) : type);
    if (!str_istarts(type, STR("application/grpc-web")))
        return false;
    type = str_from(type, 20);
    bool is_text = str_istarts(type, STR("-text"));
    if (is_text)
        type = str_from(type, 5);
    if (type.n != 0 && type.p[0] != '+')
        return false;
    *text = is_text;
    *suffix = type;
    return true;
}
