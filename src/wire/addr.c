// Socket addresses to text and back, in nginx's words where something is wrong.
#include "wire/addr.h"
#include <arpa/inet.h>

static bool refuse(const char **why, const char *word) {
    *why = word;
    return false;
}

// Dotted quad, decimal (leading zeros do not mean octal, as in nginx).
static bool parse_ipv4(struct str text, struct in_addr *to) {
    uint32_t address = 0;
    struct str octet;
    unsigned octets = 0;
    while (str_split(&text, '.', &octet)) {
        uint64_t value;
        if (++octets > 4 || octet.n > 3 || !str_u64(octet, 255, &value))
            return false;
        address = address << 8 | (uint32_t)value;
    }
    to->s_addr = htonl(address);
    return octets == 4;
}

static bool parse_ipv6(struct str text, struct in6_addr *to) {
    char z[INET6_ADDRSTRLEN];
    if (text.n == 0 || text.n >= sizeof(z) || memchr(text.p, '\0', text.n) != NULL)
        return false;
    memcpy(z, text.p, text.n);
    z[text.n] = '\0';
    return inet_pton(AF_INET6, z, to) == 1;
}

static void set_ipv4(struct addr *a, struct in_addr in) {
    a->in4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = in};
}

static void set_ipv6(struct addr *a, struct in6_addr in6) {
    a->in6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_addr = in6};
}

bool addr_parse_ip(struct addr *a, struct str text) {
    struct in_addr in;
    struct in6_addr in6;
    if (parse_ipv4(text, &in)) {
        set_ipv4(a, in);
        return true;
    }
    if (text.n >= 2 && text.p[0] == '[' && text.p[text.n - 1] == ']')
        text = str_n(text.p + 1, text.n - 2);
    if (!parse_ipv6(text, &in6))
        return false;
    set_ipv6(a, in6);
    return true;
}

static bool parse_unix(struct addr_full *a, struct str path, const char **why) {
    if (path.n == 0)
        return refuse(why, "no path in the unix domain socket");
    if (path.n >= sizeof(a->un.sun_path))
        return refuse(why, "too long path in the unix domain socket");
    if (memchr(path.p, '\0', path.n) != NULL)
        return refuse(why, "invalid host");
    *a = (struct addr_full){.len = sizeof(a->un)};
    a->un.sun_family = AF_UNIX;
    memcpy(a->un.sun_path, path.p, path.n);
    return true;
}

// Cuts ":port" off. False when there is a colon and no good port behind it.
static bool split_port(struct str *text, uint64_t *port) {
    ssize_t colon = str_chr(*text, ':');
    if (colon < 0)
        return true;
    struct str digits = str_from(*text, (size_t)colon + 1);
    text->n = (size_t)colon;
    return str_u64(digits, 65535, port) && *port != 0;
}

static void finish(struct addr_full *a, struct addr ip, uint64_t port) {
    *a = (struct addr_full){.len = ip.sa.sa_family == AF_INET ? sizeof(ip.in4) : sizeof(ip.in6)};
    a->ip = ip;
    addr_set_port(&a->sa, (unsigned)port);
}

static bool parse_bracketed(struct addr_full *a, struct str text, uint64_t port, bool may_have_port, const char **why) {
    ssize_t bracket = str_chr(text, ']');
    if (bracket < 0)
        return refuse(why, "invalid host");
    struct str rest = str_from(text, (size_t)bracket + 1);
    if (rest.n != 0 && (rest.p[0] != ':' || !may_have_port))
        return refuse(why, "invalid host");
    if (bracket == 1)
        return refuse(why, "no host");
    if (!split_port(&rest, &port))
        return refuse(why, "invalid port");
    struct in6_addr in6;
    struct addr ip;
    if (!parse_ipv6(str_n(text.p + 1, (size_t)bracket - 1), &in6))
        return refuse(why, "invalid IPv6 address");
    set_ipv6(&ip, in6);
    finish(a, ip, port);
    return true;
}

static bool all_digits(struct str text) {
    size_t i = 0;
    while (i < text.n && ascii_is_digit((unsigned char)text.p[i]))
        i++;
    return i == text.n && i != 0;
}

bool addr_parse(struct addr_full *a, struct str text, int default_port, bool wildcard, const char **why) {
    bool may_have_port = default_port >= 0 && default_port <= 65535;
    uint64_t port = may_have_port ? (uint64_t)default_port : 0;
    struct in_addr in = {.s_addr = htonl(INADDR_ANY)};
    struct addr ip;
    if (str_istarts(text, STR("unix:")))
        return parse_unix(a, str_from(text, 5), why);
    if (text.n != 0 && text.p[0] == '[')
        return parse_bracketed(a, text, port, may_have_port, why);
    if (wildcard && all_digits(text)) {
        if (!str_u64(text, 65535, &port) || port == 0)
            return refuse(why, "invalid port");
    } else {
        struct str host = text;
        bool good_port = !may_have_port || split_port(&host, &port);
        if (!good_port)
            return refuse(why, "invalid port");
        if (host.n == 0)
            return refuse(why, "no host");
        if (str_chr(host, '/') >= 0 || str_chr(host, ':') >= 0)
            return refuse(why, "invalid host");
        if (!(wildcard && str_eq(host, STR("*"))) && !parse_ipv4(host, &in))
            return refuse(why, addr_is_name);
    }
    set_ipv4(&ip, in);
    finish(a, ip, port);
    return true;
}

const char addr_is_name[] = "host not found";

static char *put_octet(char *to, unsigned n) {
    if (n >= 100)
        *to++ = (char)('0' + n / 100);
    if (n >= 10)
        *to++ = (char)('0' + n / 10 % 10);
    *to++ = (char)('0' + n % 10);
    return to;
}

static void put_ipv4(struct sbuf *b, struct in_addr a) {
    unsigned char octets[4];
    memcpy(octets, &a, sizeof(octets));
    char text[16], *to = put_octet(text, octets[0]);
    for (int i = 1; i < 4; i++) {
        *to++ = '.';
        to = put_octet(to, octets[i]);
    }
    sbuf_put(b, text, (size_t)(to - text));
}

static void put_ipv6(struct sbuf *b, const struct in6_addr *in6) {
    char z[INET6_ADDRSTRLEN];
    if (inet_ntop(AF_INET6, in6, z, sizeof(z)) != NULL)
        sbuf_str(b, str_c(z));
}

void addr_put(struct sbuf *b, const struct sockaddr *sa, bool with_port) {
    if (sa->sa_family == AF_INET6) {
        sbuf_chr(b, '[');
        put_ipv6(b, &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr);
        sbuf_chr(b, ']');
    } else {
        addr_put_ip(b, sa);
    }
    if (sa->sa_family == AF_UNIX) {
        const struct sockaddr_un *un = (const struct sockaddr_un *)(const void *)sa;
        sbuf_put(b, un->sun_path, strnlen(un->sun_path, sizeof(un->sun_path)));
    } else if (with_port) {
        sbuf_chr(b, ':');
        sbuf_u64(b, addr_port(sa));
    }
}

void addr_put_ip(struct sbuf *b, const struct sockaddr *sa) {
    if (sa->sa_family == AF_INET)
        put_ipv4(b, ((const struct sockaddr_in *)(const void *)sa)->sin_addr);
    else if (sa->sa_family == AF_INET6)
        put_ipv6(b, &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr);
    else if (sa->sa_family == AF_UNIX)
        sbuf_lit(b, "unix:");
}

unsigned addr_port(const struct sockaddr *sa) {
    if (sa->sa_family == AF_INET)
        return ntohs(((const struct sockaddr_in *)(const void *)sa)->sin_port);
    if (sa->sa_family == AF_INET6)
        return ntohs(((const struct sockaddr_in6 *)(const void *)sa)->sin6_port);
    return 0;
}

void addr_set_port(struct sockaddr *sa, unsigned port) {
    if (sa->sa_family == AF_INET)
        ((struct sockaddr_in *)(void *)sa)->sin_port = htons((uint16_t)port);
    else if (sa->sa_family == AF_INET6)
        ((struct sockaddr_in6 *)(void *)sa)->sin6_port = htons((uint16_t)port);
}

struct str addr_bytes(const struct sockaddr *sa) {
    if (sa->sa_family == AF_INET)
        return str_n((const char *)&((const struct sockaddr_in *)(const void *)sa)->sin_addr, 4);
    if (sa->sa_family == AF_INET6)
        return str_n((const char *)&((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr, 16);
    return sa->sa_family == AF_UNIX ? STR("unix:") : STR_NONE;
}

bool addr_eq(const struct sockaddr *a, const struct sockaddr *b) {
    if (a->sa_family != b->sa_family)
        return false;
    if (a->sa_family == AF_UNIX)
        return strncmp(((const struct sockaddr_un *)(const void *)a)->sun_path,
                       ((const struct sockaddr_un *)(const void *)b)->sun_path,
                       sizeof(((struct sockaddr_un *)0)->sun_path)) == 0;
    return addr_port(a) == addr_port(b) && str_eq(addr_bytes(a), addr_bytes(b));
}

// Clears the bits below c->bits; says whether one was set.
static bool clear_host_bits(struct cidr *c, size_t size) {
    bool any = false;
    for (size_t i = 0; i < size; i++) {
        unsigned keep = c->bits >= 8 * (i + 1) ? 8 : c->bits > 8 * i ? c->bits - 8 * i : 0;
        uint8_t mask = (uint8_t)(0xff00 >> keep);
        any |= (c->bytes[i] & ~mask) != 0;
        c->bytes[i] &= mask;
    }
    return any;
}

bool cidr_parse(struct cidr *c, struct str text, bool *truncated) {
    ssize_t slash = str_chr(text, '/');
    struct addr ip;
    struct str address = slash >= 0 ? str_head(text, (size_t)slash) : text;
    if ((address.n != 0 && address.p[0] == '[') || !addr_parse_ip(&ip, address))
        return false;
    struct str bytes = addr_bytes(&ip.sa);
    uint64_t bits = bytes.n * 8;
    if (slash >= 0 && !str_u64(str_from(text, (size_t)slash + 1), bits, &bits))
        return false;
    struct cidr network = {.family = (uint8_t)ip.sa.sa_family, .bits = (uint8_t)bits};
    memcpy(network.bytes, bytes.p, bytes.n);
    *truncated = clear_host_bits(&network, bytes.n);
    *c = network;
    return true;
}

bool cidr_has(const struct cidr *c, const struct sockaddr *sa) {
    static const char mapped[12] = "\0\0\0\0\0\0\0\0\0\0\xff\xff";
    if (sa->sa_family != AF_INET && sa->sa_family != AF_INET6)
        return false;
    struct str bytes = addr_bytes(sa);
    sa_family_t family = sa->sa_family;
    if (family == AF_INET6 && c->family == AF_INET && memcmp(bytes.p, mapped, sizeof(mapped)) == 0) {
        bytes = str_from(bytes, sizeof(mapped));
        family = AF_INET;
    }
    if (family != c->family)
        return false;
    size_t whole = c->bits / 8, rest = c->bits % 8;
    if (memcmp(bytes.p, c->bytes, whole) != 0)
        return false;
    return rest == 0 || (((uint8_t)bytes.p[whole] ^ c->bytes[whole]) & (0xff00 >> rest) & 0xff) == 0;
}
