// $proxy_protocol_*: what the PROXY header of a connection said (listen ... proxy_protocol).
#include "http/conn.h"

static const struct proxy_info *info(struct eval *e) {
    const struct req *r = e->req;
    return r->conn != NULL ? r->conn->proxied : NULL;
}

static const struct addr *address(struct eval *e, const struct var *v) {
    const struct proxy_info *p = info(e);
    if (p == NULL || !p->has_addrs)
        return NULL;
    return (const struct addr *)((const char *)p + v->data);
}

static bool get_addr(struct eval *e, const struct var *v, struct str *out) {
    const struct addr *a = address(e, v);
    if (a == NULL)
        return false;
    struct sbuf b;
    sbuf_init_arena(&b, e->arena, 48, ADDR_TEXT_MAX);
    addr_put_ip(&b, &a->sa);
    *out = sbuf_view(&b);
    return true;
}

static bool get_port(struct eval *e, const struct var *v, struct str *out) {
    const struct addr *a = address(e, v);
    if (a == NULL)
        return false;
    *out = arena_printf(e->arena, "%u", addr_port(&a->sa));
    return true;
}

struct tlv_name {
    const char *name;
    unsigned type;
};
static const struct tlv_name names[] = {{"alpn", 0x01}, {"authority", 0x02}, {"unique_id", 0x05}, {"ssl", 0x20}, {"netns", 0x30}};
static const struct tlv_name ssl_names[] = {{"version", 0x21}, {"cn", 0x22}, {"cipher", 0x23}, {"sig_alg", 0x24}, {"key_alg", 0x25}};

enum { SSL_TLV = 0x20, SSL_FIXED = 5 }; // client flags and the result of the verification, then more TLVs

static bool type_of(const struct tlv_name *table, size_t n, struct str name, unsigned *type) {
    for (size_t i = 0; i < n; i++) {
        if (str_eq(name, str_c(table[i].name))) {
            *type = table[i].type;
            return true;
        }
    }
    uint64_t hex;
    if (!str_starts(name, STR("0x")) || !str_hex_u64(str_from(name, 2), 255, &hex))
        return false;
    *type = (unsigned)hex;
    return true;
}

// $proxy_protocol_tlv_NAME, $proxy_protocol_tlv_0xNN; those within the TLS one as ssl_NAME or ssl_0xNN.
static bool get_tlv(struct eval *e, const struct var *v, struct str *out) {
    const struct proxy_info *p = info(e);
    unsigned type;
    if (p == NULL)
        return false;
    struct str tlvs = str_n(p->tlvs, p->ntlvs), tls;
    if (!str_starts(v->rest, STR("ssl_")))
        return type_of(names, ARRAY_LEN(names), v->rest, &type) && proxy_tlv(tlvs, type, out);
    if (!proxy_tlv(tlvs, SSL_TLV, &tls) || tls.n < SSL_FIXED)
        return false;
    struct str name = str_from(v->rest, 4);
    if (str_eq(name, STR("verify"))) {
        unsigned result = 0;
        for (unsigned i = 1; i < SSL_FIXED; i++)
            result = result << 8 | (unsigned char)tls.p[i];
        *out = arena_printf(e->arena, "%u", result);
        return true;
    }
    return type_of(ssl_names, ARRAY_LEN(ssl_names), name, &type) && proxy_tlv(str_from(tls, SSL_FIXED), type, out);
}

#define AT(field) offsetof(struct proxy_info, field)
static const struct var_def vars[] = {
    {"proxy_protocol_addr", false, 0, get_addr, NULL, AT(source), "The client's address by the PROXY protocol."},
    {"proxy_protocol_port", false, 0, get_port, NULL, AT(source), "The client's port by the PROXY protocol."},
    {"proxy_protocol_server_addr", false, 0, get_addr, NULL, AT(destination), "The server's address by the PROXY protocol."},
    {"proxy_protocol_server_port", false, 0, get_port, NULL, AT(destination), "The server's port by the PROXY protocol."},
    {"proxy_protocol_tlv_", true, 0, get_tlv, NULL, 0, "A TLV of the PROXY protocol, by name (alpn, authority, unique_id, ssl, "
                                                       "netns, ssl_version, ssl_cn...) or number (0x01)."},
};

struct feature feature_proxy_protocol_variables = {.name = "PROXY protocol variables", .vars = vars, .nvars = ARRAY_LEN(vars)};
