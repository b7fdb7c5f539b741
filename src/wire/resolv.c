#include "wire/resolv.h"

// The next word of a line, empty at its end.
static struct str next_word(struct str *line) {
    size_t at = 0;
    while (at < line->n && (line->p[at] == ' ' || line->p[at] == '\t' || line->p[at] == '\r'))
        at++;
    size_t end = at;
    while (end < line->n && line->p[end] != ' ' && line->p[end] != '\t' && line->p[end] != '\r')
        end++;
    struct str word = str_n(line->p + at, end - at);
    *line = str_from(*line, end);
    return word;
}

static struct str without(struct str line, const char *comments) {
    for (; *comments != '\0'; comments++) {
        ssize_t at = str_chr(line, *comments);
        if (at >= 0)
            line = str_head(line, (size_t)at);
    }
    return line;
}

static void add_server(struct resolv_conf *rc, struct str word) {
    const char *why;
    ssize_t zone = str_chr(word, '%'); // a scope is of no use without an interface's index
    struct str text = zone >= 0 ? str_head(word, (size_t)zone) : word;
    char bracketed[64];
    struct sbuf b;
    sbuf_init_fixed(&b, bracketed, sizeof(bracketed));
    bool v6 = str_chr(text, ':') >= 0;
    sbuf_printf(&b, v6 ? "[" STR_FMT "]" : STR_FMT, STR_ARG(text));
    if (rc->nservers < RESOLV_SERVERS && !b.overflow &&
        addr_parse(&rc->servers[rc->nservers], sbuf_view(&b), 53, false, &why))
        rc->nservers++;
}

static void add_search(struct resolv_conf *rc, struct str line, bool one) {
    struct str word;
    rc->nsearch = 0;
    while ((word = next_word(&line)).n != 0 && rc->nsearch < (one ? 1 : RESOLV_SEARCH)) {
        if (!dns_name_ok(word))
            continue;
        if (word.p[word.n - 1] == '.')
            word.n--;
        memcpy(rc->search[rc->nsearch], word.p, word.n);
        rc->search[rc->nsearch++][word.n] = '\0';
    }
}

static void set_options(struct resolv_conf *rc, struct str line) {
    struct str word;
    uint64_t n;
    while ((word = next_word(&line)).n != 0)
        if (str_starts(word, STR("ndots:")) && str_u64(str_from(word, 6), 1000, &n))
            rc->ndots = (unsigned)MIN(n, (uint64_t)15);
}

void resolv_parse(struct resolv_conf *rc, struct str text) {
    struct str line;
    *rc = (struct resolv_conf){.ndots = 1};
    while (str_split(&text, '\n', &line)) {
        line = without(line, "#;");
        struct str word = next_word(&line);
        if (str_eq(word, STR("nameserver")))
            add_server(rc, next_word(&line));
        else if (str_eq(word, STR("search")) || str_eq(word, STR("domain")))
            add_search(rc, line, str_eq(word, STR("domain")));
        else if (str_eq(word, STR("options")))
            set_options(rc, line);
    }
    if (rc->nservers == 0)
        add_server(rc, STR("127.0.0.1"));
}

bool resolv_candidate(const struct resolv_conf *rc, struct str name, unsigned n, char to[DNS_NAME_MAX + 1]) {
    bool absolute = name.n != 0 && name.p[name.n - 1] == '.';
    unsigned dots = 0;
    for (size_t i = 0; i < name.n; i++)
        dots += name.p[i] == '.';
    bool itself_first = absolute || dots >= rc->ndots;
    unsigned itself = itself_first ? 0 : rc->nsearch;
    struct sbuf b;
    sbuf_init_fixed(&b, to, DNS_NAME_MAX + 1);
    sbuf_str(&b, absolute ? str_head(name, name.n - 1) : name);
    if (n != itself) {
        unsigned suffix = n - (itself_first ? 1 : 0);
        if (absolute || suffix >= rc->nsearch)
            return false;
        sbuf_printf(&b, ".%s", rc->search[suffix]);
    }
    sbuf_chr(&b, '\0');
    if (b.overflow || !dns_name_ok(str_c(to)))
        to[0] = '\0'; // too long to be asked for; the next may do
    return true;
}

unsigned hosts_find(struct str text, struct str name, struct addr_full *to, unsigned max) {
    struct str line, word;
    unsigned found = 0;
    if (name.n > 1 && name.p[name.n - 1] == '.')
        name.n--;
    while (found < max && str_split(&text, '\n', &line)) {
        line = without(line, "#");
        struct str address = next_word(&line);
        bool is_its = false;
        while (address.n != 0 && (word = next_word(&line)).n != 0)
            is_its |= str_ieq(word, name);
        if (!is_its)
            continue;
        struct resolv_conf one = {0}; // the same forms of addresses
        add_server(&one, address);
        if (one.nservers == 0)
            continue;
        addr_set_port(&one.servers[0].sa, 0);
        bool twice = false;
        for (unsigned i = 0; i < found; i++)
            twice |= addr_eq(&to[i].sa, &one.servers[0].sa);
        if (!twice)
            to[found++] = one.servers[0];
    }
    return found;
}
