// $ssl_*: what is known of the client's connection.
#include "http/conn.h"
#include "http/https.h"

static const struct link *link_of(struct eval *e) {
    const struct req *r = e->req;
    return r->conn != NULL && r->conn->link != NULL && link_is_tls(r->conn->link) ? r->conn->link : NULL;
}

static bool get_fact(struct eval *e, const struct var *v, struct str *out) {
    static tls_fact_fn *const facts[] = {
        tls_fact_protocol,           tls_fact_cipher,              tls_fact_ciphers,
        tls_fact_curve,              tls_fact_curves,              tls_fact_session_id,
        tls_fact_session_reused,     tls_fact_early_data,          tls_fact_client_cert,
        tls_fact_client_raw_cert,    tls_fact_client_escaped_cert, tls_fact_client_fingerprint,
        tls_fact_client_s_dn,        tls_fact_client_i_dn,         tls_fact_client_s_dn_legacy,
        tls_fact_client_i_dn_legacy, tls_fact_client_serial,       tls_fact_client_v_start,
        tls_fact_client_v_end,       tls_fact_client_v_remain,     tls_fact_client_verify,
        tls_fact_sigalg,             tls_fact_client_sigalg,
    };
    const struct link *l = link_of(e);
    return l != NULL && facts[v->data](l, e->arena, out);
}

static bool get_server_name(struct eval *e, const struct var *v, struct str *out) {
    const struct req *r = e->req;
    *out = r->conn != NULL ? https_server_name(r->conn) : STR("");
    return out->n != 0;
}

static bool get_alpn(struct eval *e, const struct var *v, struct str *out) {
    const struct link *l = link_of(e);
    *out = l != NULL ? link_tls_alpn(l) : STR("");
    return out->n != 0;
}

static const struct var_def vars[] = {
    {"ssl_protocol", false, 0, get_fact, NULL, 0, "Version of TLS."},
    {"ssl_cipher", false, 0, get_fact, NULL, 1, "Cipher of the connection."},
    {"ssl_ciphers", false, 0, get_fact, NULL, 2, "Ciphers that the client offered; unknown ones in hex."},
    {"ssl_curve", false, 0, get_fact, NULL, 3, "Group of the key exchange."},
    {"ssl_curves", false, 0, get_fact, NULL, 4, "Groups that the client offered; unknown ones in hex."},
    {"ssl_session_id", false, 0, get_fact, NULL, 5, "Id of the session."},
    {"ssl_session_reused", false, 0, get_fact, NULL, 6, "\"r\" when a session was resumed, else \".\"."},
    {"ssl_early_data", false, VAR_VOLATILE, get_fact, NULL, 7, "\"1\" for early data before the handshake's end."},
    {"ssl_client_cert", false, 0, get_fact, NULL, 8, "The client's certificate in PEM, its lines indented by tabs."},
    {"ssl_client_raw_cert", false, 0, get_fact, NULL, 9, "The client's certificate in PEM."},
    {"ssl_client_escaped_cert", false, 0, get_fact, NULL, 10, "The client's certificate in PEM, URL-encoded."},
    {"ssl_client_fingerprint", false, 0, get_fact, NULL, 11, "SHA1 of the client's certificate."},
    {"ssl_client_s_dn", false, 0, get_fact, NULL, 12, "Subject of the client's certificate (RFC 2253)."},
    {"ssl_client_i_dn", false, 0, get_fact, NULL, 13, "Issuer of the client's certificate (RFC 2253)."},
    {"ssl_client_s_dn_legacy", false, 0, get_fact, NULL, 14, "Subject of the client's certificate, \"/C=...\"."},
    {"ssl_client_i_dn_legacy", false, 0, get_fact, NULL, 15, "Issuer of the client's certificate, \"/C=...\"."},
    {"ssl_client_serial", false, 0, get_fact, NULL, 16, "Serial number of the client's certificate."},
    {"ssl_client_v_start", false, 0, get_fact, NULL, 17, "When the client's certificate begins to be valid."},
    {"ssl_client_v_end", false, 0, get_fact, NULL, 18, "When the client's certificate ends."},
    {"ssl_client_v_remain", false, 0, get_fact, NULL, 19, "Days until the client's certificate ends."},
    {"ssl_client_verify", false, 0, get_fact, NULL, 20, "SUCCESS, FAILED:reason, or NONE."},
    {"ssl_sigalg", false, 0, get_fact, NULL, 21, "Signature algorithm of the server's certificate in the handshake."},
    {"ssl_client_sigalg", false, 0, get_fact, NULL, 22, "Signature algorithm of the client's certificate in the handshake."},
    {"ssl_server_name", false, VAR_VOLATILE, get_server_name, NULL, 0, "The name that the client asked for (SNI)."},
    {"ssl_alpn_protocol", false, 0, get_alpn, NULL, 0, "The protocol that ALPN chose."},
};

struct feature feature_ssl_variables = {.name = "ssl variables", .vars = vars, .nvars = ARRAY_LEN(vars)};
