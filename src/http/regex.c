// Regular expressions by PCRE2. What a match needs (offsets, the JIT's stack) belongs to the thread, which is the loop: a
// match allocates nothing, and the compiled code runs on a stack of its own, so that the small stacks of tasks are enough.
#define PCRE2_CODE_UNIT_WIDTH 8
#include "http/regex.h"
#include "http/req.h"
#include <pcre2.h>
#include <pthread.h>
#include <stdlib.h>

enum {
    JIT_STACK_MIN = 32 << 10,
    JIT_STACK_MAX = 512 << 10,
    MATCH_LIMIT = 1000000, // steps of one match; what needs more is an attack or a mistake
    HEAP_LIMIT_KIB = 8 << 10,
};

struct named_capture {
    unsigned group;
    const struct var *var;
};

struct regex {
    pcre2_code *code;
    struct str pattern;
    unsigned captures; // groups, the whole not counted
    unsigned nnames;
    struct named_capture *names;
    bool complained;   // a failed match was logged; any thread
};

// --- what a thread keeps -------------------------------------------------------------------------------------------------

struct scratch {
    pcre2_match_data *data;
    pcre2_match_context *context;
    pcre2_jit_stack *stack;
};

static __thread struct scratch *scratch;
static pthread_key_t scratch_key;
static pthread_once_t scratch_once = PTHREAD_ONCE_INIT;

static void free_scratch(void *arg) {
    struct scratch *s = arg;
    pcre2_match_data_free(s->data);
    pcre2_match_context_free(s->context);
    pcre2_jit_stack_free(s->stack);
    free(s);
}

static void free_of_main_thread(void) {
    if (scratch != NULL)
        free_scratch(scratch);
    scratch = NULL;
}

static void make_key(void) {
    CHECK(pthread_key_create(&scratch_key, free_scratch) == 0);
    atexit(free_of_main_thread); // whose destructors do not run
}

static COLD void make_scratch(void) {
    pthread_once(&scratch_once, make_key);
    struct scratch *s = xcalloc(1, sizeof *s);
    s->data = pcre2_match_data_create(REGEX_CAPTURES_MAX, NULL);
    s->context = pcre2_match_context_create(NULL);
    CHECK(s->data != NULL && s->context != NULL);
    pcre2_set_match_limit(s->context, MATCH_LIMIT);
    pcre2_set_heap_limit(s->context, HEAP_LIMIT_KIB);
    s->stack = pcre2_jit_stack_create(JIT_STACK_MIN, JIT_STACK_MAX, NULL); // NULL without JIT: then none is needed
    if (s->stack != NULL)
        pcre2_jit_stack_assign(s->context, NULL, s->stack);
    CHECK(pthread_setspecific(scratch_key, s) == 0);
    scratch = s;
}

// --- compiling -----------------------------------------------------------------------------------------------------------

static bool capture_not_found(struct eval *e, const struct var *v, struct str *out) { return false; }

static void free_code(void *arg) { pcre2_code_free(arg); }

static bool name_captures(struct conf_cx *cx, struct regex *re, const struct conf_node *node) {
    uint32_t count = 0, size = 0;
    PCRE2_SPTR table = NULL;
    pcre2_pattern_info(re->code, PCRE2_INFO_NAMECOUNT, &count);
    pcre2_pattern_info(re->code, PCRE2_INFO_NAMEENTRYSIZE, &size);
    pcre2_pattern_info(re->code, PCRE2_INFO_NAMETABLE, &table);
    re->names = arena_array(cx->arena, struct named_capture, count);
    for (uint32_t i = 0; i < count; i++) {
        const unsigned char *entry = table + (size_t)i * size;
        struct str name = arena_dup(cx->arena, str_c((const char *)entry + 2));
        struct var *v = var_make(cx, name, VAR_CHANGEABLE, capture_not_found, NULL, 0, node);
        if (v == NULL)
            return false;
        re->names[re->nnames++] = (struct named_capture){(unsigned)entry[0] << 8 | entry[1], v};
    }
    return true;
}

struct regex *regex_compile(struct conf_cx *cx, struct str pattern, bool nocase, const struct conf_node *node) {
    int code = 0;
    size_t at = 0;
    pcre2_code *compiled = pcre2_compile((PCRE2_SPTR)pattern.p, pattern.n, nocase ? PCRE2_CASELESS : 0, &code, &at, NULL);
    if (compiled == NULL) {
        char text[256];
        pcre2_get_error_message(code, (PCRE2_UCHAR *)text, sizeof(text));
        if (at >= pattern.n)
            conf_err(cx, node, "pcre2_compile() failed: %s in \"" STR_FMT "\"", text, STR_ARG(pattern));
        else
            conf_err(cx, node, "pcre2_compile() failed: %s in \"" STR_FMT "\" at \"" STR_FMT "\"", text, STR_ARG(pattern),
                     STR_ARG(str_from(pattern, at)));
        return NULL;
    }
    arena_cleanup(cx->arena, free_code, compiled);
    pcre2_jit_compile(compiled, PCRE2_JIT_COMPLETE); // without it the interpreter does the same
    struct regex *re = arena_new(cx->arena, struct regex);
    re->code = compiled;
    re->pattern = arena_dup(cx->arena, pattern);
    uint32_t captures = 0;
    pcre2_pattern_info(compiled, PCRE2_INFO_CAPTURECOUNT, &captures);
    re->captures = captures;
    return name_captures(cx, re, node) ? re : NULL;
}

struct regex *regex_compile_text(struct str pattern, bool nocase, struct arena *a, struct str *error) {
    int code = 0;
    size_t at = 0;
    pcre2_code *compiled = pcre2_compile((PCRE2_SPTR)pattern.p, pattern.n, nocase ? PCRE2_CASELESS : 0, &code, &at, NULL);
    if (compiled == NULL) {
        char *text = arena_bytes(a, 256);
        pcre2_get_error_message(code, (PCRE2_UCHAR *)text, 256);
        *error = str_c(text);
        return NULL;
    }
    arena_cleanup(a, free_code, compiled);
    struct regex *re = arena_new(a, struct regex);
    re->code = compiled;
    re->pattern = pattern;
    uint32_t captures = 0;
    pcre2_pattern_info(compiled, PCRE2_INFO_CAPTURECOUNT, &captures);
    re->captures = captures;
    return re;
}

bool regex_next_name(const struct regex *re, unsigned *at, struct str *name, unsigned *capture) {
    uint32_t count = 0, size = 0;
    PCRE2_SPTR table = NULL;
    pcre2_pattern_info(re->code, PCRE2_INFO_NAMECOUNT, &count);
    pcre2_pattern_info(re->code, PCRE2_INFO_NAMEENTRYSIZE, &size);
    pcre2_pattern_info(re->code, PCRE2_INFO_NAMETABLE, &table);
    if (*at >= count)
        return false;
    const unsigned char *entry = table + (size_t)(*at)++ * size;
    *capture = (unsigned)entry[0] << 8 | entry[1];
    *name = str_c((const char *)entry + 2);
    return true;
}

unsigned regex_captures(const struct regex *re) { return re->captures; }

// --- matching ------------------------------------------------------------------------------------------------------------

// The number of pairs in *found, 0: no match.
static unsigned match(const struct regex *re, struct str subject, const size_t **found) {
    if (UNLIKELY(scratch == NULL))
        make_scratch();
    int n = pcre2_match(re->code, (PCRE2_SPTR)(subject.p != NULL ? subject.p : ""), subject.n, 0, 0, scratch->data,
                        scratch->context);
    if (n < 0) {
        bool *complained = &((struct regex *)(uintptr_t)re)->complained;
        if (n != PCRE2_ERROR_NOMATCH && !__atomic_exchange_n(complained, true, __ATOMIC_RELAXED)) {
            char text[256];
            pcre2_get_error_message(n, (PCRE2_UCHAR *)text, sizeof(text));
            log_msg(LOG_ERR, 0, "matching \"" STR_FMT "\" failed (%s) on \"" STR_FMT "\", which counts as no match",
                    STR_ARG(re->pattern), text, STR_ARG(str_head(subject, 200)));
        }
        return 0;
    }
    *found = pcre2_get_ovector_pointer(scratch->data);
    return n == 0 ? REGEX_CAPTURES_MAX : (unsigned)n; // 0: more groups than pairs
}

bool regex_match(const struct regex *re, struct str subject, size_t *ov, unsigned *pairs) {
    const size_t *found = NULL;
    *pairs = match(re, subject, &found);
    if (*pairs == 0)
        return false;
    memcpy(ov, found, 2 * sizeof(*ov) * *pairs);
    return true;
}

bool regex_match_req(const struct regex *re, struct str subject, struct req *r) {
    const size_t *found = NULL;
    unsigned pairs = match(re, subject, &found);
    if (pairs == 0)
        return false;
    if (re->captures == 0 && r->ncaptures == 0)
        return true;
    req_set_captures(r, subject, found, pairs, false);
    for (unsigned i = 0; i < re->nnames; i++) {
        unsigned g = re->names[i].group;
        bool there = g < pairs && found[2 * g] != PCRE2_UNSET && found[2 * g] <= found[2 * g + 1];
        var_put(&r->eval, re->names[i].var,
                there ? str_n(subject.p + found[2 * g], found[2 * g + 1] - found[2 * g]) : STR(""));
    }
    return true;
}
