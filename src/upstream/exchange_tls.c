// A fresh connection to a peer becomes one over TLS.
#include "io/loop.h"
#include "upstream/exchange_private.h"

static const char shaking[] = "SSL handshaking to upstream";

// Sessions are for one peer and one way to speak to it.
static struct str session_key(struct exchange *x) {
    struct arena *a = &x->r->arena;
    return x->tls->reuse ? arena_printf(a, "%llx " STR_FMT, (unsigned long long)x->tls->tag, STR_ARG(x->peer->name)) : STR("");
}

static const char *hint_of(struct exchange *x, int err, struct str text) {
    struct arena *a = &x->r->arena;
    if (err == -ETIMEDOUT)
        return "does that port speak TLS? else it is overloaded";
    if (str_find(text, STR("does not match")) >= 0)
        return arena_printf(a, "the server's certificate is for other names: see %s_ssl_name", x->family).p;
    if (str_find(text, STR("certificate verify error")) >= 0)
        return arena_printf(a, "is the authority of the server's certificate in %s_ssl_trusted_certificate, and in time?", x->family).p;
    return arena_printf(a, "does that port speak TLS, in one of the versions of %s_ssl_protocols?", x->family).p;
}

int exchange_secure(struct exchange *x) {
    const struct upstream_tls *u = x->tls;
    struct tls_connect c = {
        .config = u->config,
        .server_name = u->server_name,
        .verify_name = u->verify_name,
        .alpn = u->alpn,
        .session_key = session_key(x),
    };
    struct tls_failure why;
    int err = link_tls_connect(x->link, &c, x->gw->connect_timeout, &why);
    if (err == 0)
        return 0;
    link_free(x->link);
    x->link = NULL;
    if (err == -ECANCELED)
        return err;
    x->end_who = err == -ETIMEDOUT ? 's' : 'S';
    x->end_phase = 'C';
    x->hint = hint_of(x, err, str_c(why.text));
    if (err == -ETIMEDOUT)
        exchange_log(x, LOG_ERR, ETIMEDOUT, shaking, exchange_note(x, "connect_timeout", x->gw->connect_timeout, "ms"),
                     "upstream timed out");
    else
        exchange_log(x, why.level == LOG_INFO ? LOG_ERR : why.level, why.err, shaking, NULL, "%s", why.text);
    return err == -ETIMEDOUT ? TRY_TLS_LATE : TRY_TLS_FAILED;
}
