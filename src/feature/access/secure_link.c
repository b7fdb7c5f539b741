// secure_link, secure_link_md5, secure_link_secret: links that carry a hash of themselves, and perhaps the time they expire.
#include "base/base64.h"
#include "http/answer.h"
#include "io/loop.h"
#include "wire/hex.h"
#include <openssl/evp.h>

struct secure_link_conf {
    struct tmpl *link; // "hash" or "hash,expires"
    struct tmpl *text; // what is hashed
    struct str secret; // of the older form; empty: none
};

struct feature feature_secure_link;

enum { HASH = 16 };

static bool md5(const struct str *parts, size_t n, unsigned char *to) {
    EVP_MD_CTX *cx = EVP_MD_CTX_new();
    bool ok = cx != NULL && EVP_DigestInit_ex(cx, EVP_md5(), NULL) == 1;
    for (size_t i = 0; ok && i < n; i++)
        ok = EVP_DigestUpdate(cx, parts[i].p != NULL ? parts[i].p : "", parts[i].n) == 1;
    ok = ok && EVP_DigestFinal_ex(cx, to, NULL) == 1;
    EVP_MD_CTX_free(cx);
    return ok;
}

// As long for a wrong hash as for a right one.
static bool same(const unsigned char *a, const unsigned char *b) {
    unsigned differ = 0;
    for (size_t i = 0; i < HASH; i++)
        differ |= a[i] ^ b[i];
    return differ == 0;
}

// The part behind the comma; false when it is no time.
static bool expiry_of(struct str link, struct str *text, int64_t *expires) {
    ssize_t comma = str_chr(link, ',');
    uint64_t n;
    *text = STR_NONE;
    *expires = 0;
    if (comma < 0)
        return true;
    *text = str_from(link, (size_t)comma + 1);
    if (!str_u64(*text, INT64_MAX, &n) || n == 0)
        return false;
    *expires = (int64_t)n;
    return true;
}

// base64url; padding is harmless, even when there is too little, and so are the bits that nothing stands for (nginx).
static bool take_hash(struct str link, unsigned char *hash) {
    enum { SIGNS = 22, TEXT = 24 };
    char text[TEXT], storage[TEXT];
    struct sbuf bytes;
    sbuf_init_fixed(&bytes, storage, sizeof(storage));
    if (link.n > TEXT)
        return false;
    while (link.n != 0 && link.p[link.n - 1] == '=')
        link.n--;
    if (link.n != SIGNS)
        return false;
    memcpy(text, link.p, SIGNS);
    memcpy(text + SIGNS, "AA", 2);
    if (!base64url_decode(&bytes, str_n(text, TEXT)))
        return false;
    memcpy(hash, storage, HASH);
    return true;
}

static bool by_md5(struct eval *e, const struct secure_link_conf *c, struct str *out) {
    struct req *r = e->req;
    struct str link = tmpl_eval(c->link, e), expires_text;
    int64_t expires;
    if (!expiry_of(link, &expires_text, &expires))
        return false;
    if (expires_text.p != NULL)
        link = str_head(link, (size_t)(expires_text.p - 1 - link.p));
    unsigned char given[HASH], want[HASH];
    if (!take_hash(link, given))
        return false;
    struct str text = tmpl_eval(c->text, e);
    if (!md5(&text, 1, want) || !same(want, given))
        return false;
    *out = expires != 0 && expires < (int64_t)(loop_wall_ms(r->loop) / 1000) ? STR("0") : STR("1");
    return true;
}

static bool hex_decode(struct str hex, unsigned char *to) {
    for (size_t i = 0; i < HASH; i++) {
        int high = hex_digit((unsigned char)hex.p[2 * i]), low = hex_digit((unsigned char)hex.p[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        to[i] = (unsigned char)(high << 4 | low);
    }
    return true;
}

// "/prefix/hash/link": the link when the hash is that of link and secret.
static bool by_secret(const struct req *r, struct str secret, struct str *out) {
    struct str rest = r->unparsed_uri;
    for (int slashes = 0; slashes < 2; slashes++) {
        ssize_t slash = rest.n > 1 ? str_chr(str_from(rest, 1), '/') : -1;
        if (slash < 0)
            return false;
        struct str part = str_n(rest.p + 1, (size_t)slash);
        rest = str_from(rest, (size_t)slash + 1);
        if (slashes == 0)
            continue;
        unsigned char given[HASH], want[HASH];
        struct str link = str_from(rest, 1), parts[2] = {link, secret};
        if (part.n != 2 * HASH || link.n == 0 || !hex_decode(part, given) || !md5(parts, 2, want) || !same(given, want))
            return false;
        *out = link;
    }
    return true;
}

static bool get_link(struct eval *e, const struct var *v, struct str *out) {
    const struct req *r = e->req;
    const struct secure_link_conf *c = req_conf(r, &feature_secure_link);
    if (c->secret.n != 0)
        return by_secret(r, c->secret, out);
    return c->link != NULL && c->text != NULL && by_md5(e, c, out);
}

// Known as soon as $secure_link was asked for; here it may be asked at any time.
static bool get_expires(struct eval *e, const struct var *v, struct str *out) {
    const struct secure_link_conf *c = req_conf(e->req, &feature_secure_link);
    int64_t expires;
    return c->link != NULL && c->secret.n == 0 && expiry_of(tmpl_eval(c->link, e), out, &expires) && out->p != NULL;
}

static bool finish(struct conf_cx *cx, struct scope *s, void *conf) {
    const struct secure_link_conf *c = conf;
    if (c->secret.n != 0 && (c->link != NULL || c->text != NULL))
        return conf_err(cx, s->node, "\"secure_link_secret\" cannot be mixed with \"secure_link\" and \"secure_link_md5\"");
    return true;
}

static const struct var_def vars[] = {
    {"secure_link", false, 0, get_link, NULL, 0, "\"1\" for a link whose hash is right, \"0\" when it has expired; else empty."},
    {"secure_link_expires", false, 0, get_expires, NULL, 0, "When the link expires, as it says."},
};

#define S struct secure_link_conf
static const struct conf_row rows[] = {
    ROW_TMPL("secure_link", IN_HTTP_ALL, S, link, NULL, "The hash of a link, and behind a comma the time when it expires."),
    ROW_TMPL("secure_link_md5", IN_HTTP_ALL, S, text, NULL, "The text whose MD5 hash the link must carry."),
    ROW_STR("secure_link_secret", IN_HTTP_ALL, S, secret, NULL, "A secret word for links of the form /prefix/hash/link."),
};
#undef S

struct feature feature_secure_link = {.name = "secure_link",
                                      .rows = rows,
                                      .nrows = ARRAY_LEN(rows),
                                      .conf_size = sizeof(struct secure_link_conf),
                                      .vars = vars,
                                      .nvars = ARRAY_LEN(vars),
                                      .finish = finish};
