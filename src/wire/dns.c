// See dns.h. A cursor over the message answers false at its end instead of reading beyond; a name is decompressed into a
// buffer of its largest size, and each pointer must lead to before the place where the name began, so that none can loop.
#include "wire/dns.h"

enum { HEAD = 12, FLAG_RESPONSE = 0x8000, FLAG_TRUNCATED = 0x0200, FLAG_RECURSE = 0x0100, CLASS_IN = 1, LABEL_MAX = 63,
       POINTER = 0xc0, TTL_MAX = 0x7fffffff };

// --- writing ---------------------------------------------------------------------------------------------------------------------

static struct str without_dot(struct str name) {
    return name.n > 1 && name.p[name.n - 1] == '.' ? str_head(name, name.n - 1) : name;
}

bool dns_name_ok(struct str name) {
    struct str rest = without_dot(name), label;
    if (rest.n == 0 || rest.n > DNS_NAME_MAX)
        return false;
    while (str_split(&rest, '.', &label))
        if (label.n == 0 || label.n > LABEL_MAX || str_chr(label, '\0') >= 0)
            return false;
    return true;
}

static void put16(struct sbuf *b, unsigned v) {
    sbuf_chr(b, (char)(v >> 8));
    sbuf_chr(b, (char)v);
}

static void put_name(struct sbuf *b, struct str name) {
    struct str rest = without_dot(name), label;
    while (str_split(&rest, '.', &label)) {
        sbuf_chr(b, (char)label.n);
        sbuf_str(b, label);
    }
    sbuf_chr(b, 0);
}

void dns_put_query(struct sbuf *b, uint16_t id, struct str name, enum dns_type type) {
    put16(b, id);
    put16(b, FLAG_RECURSE);
    put16(b, 1); // one question
    put16(b, 0);
    put16(b, 0);
    put16(b, 1); // OPT
    put_name(b, name);
    put16(b, type);
    put16(b, CLASS_IN);
    sbuf_chr(b, 0);
    put16(b, DNS_OPT);
    put16(b, DNS_UDP_MAX);
    put16(b, 0);
    put16(b, 0);
    put16(b, 0);
}

// --- reading ---------------------------------------------------------------------------------------------------------------------

struct cursor {
    const unsigned char *p;
    size_t n, at; // at <= n
};

static bool get16(struct cursor *c, unsigned *v) {
    if (c->n - c->at < 2)
        return false;
    *v = (unsigned)c->p[c->at] << 8 | c->p[c->at + 1];
    c->at += 2;
    return true;
}

static bool get32(struct cursor *c, uint32_t *v) {
    unsigned high, low;
    if (!get16(c, &high) || !get16(c, &low))
        return false;
    *v = (uint32_t)high << 16 | low;
    return true;
}

struct name {
    char text[DNS_NAME_MAX + 1]; // lower case, NUL-terminated
    size_t n;
};

static bool add_label(struct name *name, const unsigned char *label, size_t n) {
    if (name->n + (name->n != 0) + n > DNS_NAME_MAX)
        return false;
    if (name->n != 0)
        name->text[name->n++] = '.';
    for (size_t i = 0; i < n; i++) {
        if (label[i] == '\0' || label[i] == '.')
            return false; // could be taken for another name
        name->text[name->n++] = (char)ascii_lower(label[i]);
    }
    return true;
}

// The name at the cursor, which goes behind it.
static bool get_name(struct cursor *c, struct name *name) {
    size_t at = c->at, limit = c->at;
    bool jumped = false;
    name->n = 0;
    for (;;) {
        if (at >= c->n)
            return false;
        unsigned len = c->p[at++];
        if (len == 0)
            break;
        if ((len & POINTER) == POINTER) {
            if (at >= c->n)
                return false;
            size_t to = (size_t)(len & ~(unsigned)POINTER) << 8 | c->p[at++];
            if (!jumped)
                c->at = at;
            jumped = true;
            if (to >= limit)
                return false;
            at = limit = to;
            continue;
        }
        if (len > LABEL_MAX || c->n - at < len || !add_label(name, c->p + at, len))
            return false;
        at += len;
    }
    if (!jumped)
        c->at = at;
    name->text[name->n] = '\0';
    return true;
}

struct record {
    struct name owner;
    unsigned type, class;
    uint32_t ttl;
    struct cursor data; // over the whole message, for names; ends with the record
};

static bool get_record(struct cursor *c, struct record *r) {
    unsigned len;
    if (!get_name(c, &r->owner) || !get16(c, &r->type) || !get16(c, &r->class) || !get32(c, &r->ttl) || !get16(c, &len) ||
        c->n - c->at < len)
        return false;
    r->data = (struct cursor){c->p, c->at + len, c->at};
    c->at += len;
    if (r->ttl > TTL_MAX) // RFC 2181 8
        r->ttl = 0;
    return true;
}

static bool is_name(const struct name *name, struct str text) {
    text = without_dot(text);
    return name->n == text.n && str_ieq(str_n(name->text, name->n), text);
}

static void lower_ttl(struct dns_answer *a, uint32_t ttl) {
    a->ttl = a->has_ttl ? MIN(a->ttl, ttl) : ttl;
    a->has_ttl = true;
}

static bool take_record(struct dns_answer *a, struct record *r) {
    struct dns_record *to = &a->at[a->count];
    size_t len = r->data.n - r->data.at;
    if (r->type == DNS_SRV) {
        unsigned priority, weight, port;
        struct name target;
        if (!get16(&r->data, &priority) || !get16(&r->data, &weight) || !get16(&r->data, &port) ||
            !get_name(&r->data, &target))
            return false;
        if (target.n == 0 || port == 0)
            return true; // "." says that there is no such service
        to->priority = (uint16_t)priority;
        to->weight = (uint16_t)weight;
        to->port = (uint16_t)port;
        memcpy(to->target, target.text, target.n + 1);
    } else {
        if (len != (r->type == DNS_A ? 4 : 16))
            return false;
        memcpy(to->addr, r->data.p + r->data.at, len);
    }
    lower_ttl(a, r->ttl);
    a->count++;
    return true;
}

// The records of the asked type that `name` has in the answers; *alias is where it leads to instead.
static bool records_of(struct dns_answer *a, struct cursor c, unsigned count, struct str name, enum dns_type type,
                       struct name *alias, bool *is_alias) {
    *is_alias = false;
    for (unsigned i = 0; i < count; i++) {
        struct record r;
        if (!get_record(&c, &r))
            return false;
        if (r.class != CLASS_IN || !is_name(&r.owner, name))
            continue;
        if (r.type == DNS_CNAME && !*is_alias) {
            if (!get_name(&r.data, alias))
                return false;
            *is_alias = true;
            lower_ttl(a, r.ttl);
        } else if (r.type == type && a->count < DNS_RECORDS_MAX && !take_record(a, &r)) {
            return false;
        }
    }
    return true;
}

static bool skip_records(struct cursor *c, unsigned count) {
    struct record r;
    for (unsigned i = 0; i < count; i++)
        if (!get_record(c, &r))
            return false;
    return true;
}

// How long a negative answer holds (RFC 2308): the least of the SOA's TTL and its last number.
static bool negative_ttl(struct dns_answer *a, struct cursor c, unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        struct record r;
        struct name name;
        uint32_t minimum = 0;
        if (!get_record(&c, &r))
            return false;
        if (r.type != DNS_SOA)
            continue;
        if (!get_name(&r.data, &name) || !get_name(&r.data, &name))
            return false;
        for (int k = 0; k < 5; k++)
            if (!get32(&r.data, &minimum))
                return false;
        lower_ttl(a, MIN(r.ttl, minimum));
    }
    return true;
}

static enum dns_result read_answers(struct dns_answer *a, struct cursor c, unsigned answers, unsigned authorities,
                                    struct str name, enum dns_type type) {
    struct name alias, next;
    struct cursor behind = c;
    if (!skip_records(&behind, answers))
        return DNS_MALFORMED;
    for (int i = 0; i < DNS_CHAIN_MAX; i++) {
        bool is_alias;
        if (!records_of(a, c, answers, name, type, &next, &is_alias))
            return DNS_MALFORMED;
        if (a->count != 0 || !is_alias)
            break;
        alias = next;
        name = str_n(alias.text, alias.n);
    }
    if (a->count == 0 && !negative_ttl(a, behind, authorities))
        return DNS_MALFORMED;
    return DNS_ANSWER;
}

enum dns_result dns_parse(struct dns_answer *a, struct str message, uint16_t id, struct str name, enum dns_type type) {
    struct cursor c = {(const unsigned char *)message.p, message.n, 0};
    unsigned its_id, flags, questions, answers, authorities, others, asked, class;
    struct name question;
    a->rcode = a->count = a->ttl = 0;
    a->has_ttl = a->truncated = false;
    if (!get16(&c, &its_id) || !get16(&c, &flags) || !get16(&c, &questions) || !get16(&c, &answers) ||
        !get16(&c, &authorities) || !get16(&c, &others) || its_id != id || (flags & FLAG_RESPONSE) == 0)
        return DNS_NOT_OURS;
    a->rcode = flags & 15;
    // A server that cannot read the question need not repeat it.
    if (questions == 0 && (a->rcode == DNS_FORMERR || a->rcode == DNS_NOTIMP || a->rcode == DNS_REFUSED))
        return DNS_ANSWER;
    if (questions != 1 || !get_name(&c, &question) || !get16(&c, &asked) || !get16(&c, &class) || asked != (unsigned)type ||
        class != CLASS_IN || !is_name(&question, name))
        return DNS_NOT_OURS;
    a->truncated = (flags & FLAG_TRUNCATED) != 0;
    if (a->truncated || (a->rcode != DNS_OK && a->rcode != DNS_NXDOMAIN))
        return DNS_ANSWER;
    return read_answers(a, c, answers, authorities, name, type);
}
