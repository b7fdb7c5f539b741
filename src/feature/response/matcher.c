// Several short texts searched for at once.
#include "feature/response/matcher.h"

void matcher_init(struct matcher *m, const struct str *texts, unsigned count, struct arena *a) {
    *m = (struct matcher){.count = count, .texts = arena_array(a, struct str, MAX(count, 1u))};
    for (unsigned i = 0; i < count; i++) {
        m->texts[i] = arena_lower(a, texts[i]);
        size_t n = texts[i].n;
        if (n == 0)
            continue;
        m->shortest = m->shortest == 0 ? n : MIN(m->shortest, n);
        m->longest = MAX(m->longest, n);
    }
    if (m->shortest == 0)
        return;
    size_t window = MIN(m->shortest, (size_t)255);
    m->shortest = window;
    memset(m->skip, (int)window, sizeof(m->skip));
    for (unsigned i = 0; i < count; i++) {
        struct str t = m->texts[i];
        if (t.n == 0)
            continue;
        for (size_t k = 0; k < window; k++) {
            unsigned char c = (unsigned char)t.p[k];
            uint8_t far = (uint8_t)(window - 1 - k);
            m->skip[c] = MIN(m->skip[c], far);
            if (ascii_is_alpha(c))
                m->skip[c & ~0x20] = MIN(m->skip[c & ~0x20], far);
        }
        unsigned char c = (unsigned char)t.p[0];
        m->first[c] = true;
        if (ascii_is_alpha(c))
            m->first[c & ~0x20] = true;
    }
}

size_t matcher_scan(const struct matcher *m, const char *p, size_t n, size_t at) {
    size_t last = m->shortest - 1;
    while (at + last < n) {
        uint8_t skip = m->skip[(unsigned char)p[at + last]];
        if (skip != 0)
            at += skip;
        else if (!m->first[(unsigned char)p[at]])
            at++;
        else
            return at;
    }
    return n;
}

static bool same(const char *p, const char *lower, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (ascii_lower((unsigned char)p[i]) != (unsigned char)lower[i])
            return false;
    }
    return true;
}

int matcher_at(const struct matcher *m, const char *p, size_t n, bool last, const bool *done) {
    for (unsigned i = 0; i < m->count; i++) {
        struct str t = m->texts[i];
        if (t.n == 0 || (last && t.n > n) || (done != NULL && done[i]) || !same(p, t.p, MIN(t.n, n)))
            continue;
        return t.n <= n ? (int)i : MATCH_MORE;
    }
    return MATCH_NONE;
}
