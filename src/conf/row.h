// Directives as rows. One row is a directive: name, places, type, storage, default, range and a sentence of manual. Parsing,
// errors, inheritance, the reference manual and `weir help` come from it. Families ("*_read_timeout" for proxy_, fastcgi_...)
// are written once.
//
//   static const struct conf_row rows[] = {
//       ROW_MSEC("client_header_timeout", IN_HTTP | IN_SERVER, struct http_core, header_timeout, "60s", 0, 0,
//                "How long a client may take to send the head of a request."),
//   };
#pragma once
#include "conf/tree.h"
#include "conf/vars.h"

struct conf;
struct conf_cx;
struct scope;
struct feature;
struct conf_row;

// Where a directive may stand. A scope has exactly one of these.
enum conf_place {
    IN_MAIN = 1 << 0,
    IN_EVENTS = 1 << 1,
    IN_HTTP = 1 << 2,
    IN_SERVER = 1 << 3,
    IN_LOCATION = 1 << 4,
    IN_SERVER_IF = 1 << 5,   // nginx docs: "if" in server
    IN_IF = 1 << 6,          // "if" in location
    IN_LIMIT_EXCEPT = 1 << 7,
    IN_UPSTREAM = 1 << 8,
    IN_HTTP_ALL = IN_HTTP | IN_SERVER | IN_LOCATION,
};

// Stores the directive's value into `conf` (the feature's struct of this scope), or reports with conf_err and returns false.
typedef bool conf_set_fn(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node);
// Opens a block: `inner` is the new scope whose values were copied from outside; attach data to it. `conf` is inner's own
// struct of the row's feature (so the feature's finish runs for every block that it opens); cx->scope is still the outer
// scope, whose struct is conf_own(cx, cx->scope, feature).
typedef bool conf_open_fn(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node,
                          struct scope *inner);

enum {
    ROW_LISTED = 1,   // may come several times; the first one in a block replaces what was inherited
    ROW_REPEAT = 2,   // may come several times and the setter does as it likes
    ROW_IGNORED = 4,  // accepted for nginx's sake; help says what weir does instead. `set` judges the value and stores it nowhere
    ROW_NO_SHARE = 8, // the manual lists it but no family member inherits it
};

struct conf_row {
    const char *name;
    uint32_t places;
    uint16_t min_args, max_args; // without the name; max 0xffff: any
    uint16_t flags;
    uint16_t block;       // enum conf_place of the inner scope; 0xffff: a block of data whose children `set` reads; 0: none
    conf_set_fn *set;
    conf_open_fn *open;
    size_t offset;        // of the field in the feature's struct
    const char *dflt;     // as a user would write it; NULL: none. Parsed into the outermost struct before the text is
    int64_t min, max;     // of numbers, sizes, times; both 0: no range
    const void *extra;    // words of an enum...
    const char *help;     // one sentence
    const char *syntax;   // what follows the name in the manual; NULL: derived from the type
};

#define FIELD_AT(S, f, T) (offsetof(S, f) + 0 * sizeof(char[_Generic(((S *)0)->f, T: 1)]))

// Scalars. Set twice in one block: `"x" directive is duplicate`. Units and wording of errors as nginx's.
#define ROW_FLAG(n, in, S, f, d, h)  {n, in, 1, 1, 0, 0, conf_set_flag, NULL, FIELD_AT(S, f, bool), d, 0, 0, NULL, h}
#define ROW_NUM(n, in, S, f, d, lo, hi, h) {n, in, 1, 1, 0, 0, conf_set_num, NULL, FIELD_AT(S, f, int64_t), d, lo, hi, NULL, h}
#define ROW_SIZE(n, in, S, f, d, lo, hi, h) {n, in, 1, 1, 0, 0, conf_set_size, NULL, FIELD_AT(S, f, uint64_t), d, lo, hi, NULL, h}
#define ROW_MSEC(n, in, S, f, d, lo, hi, h) {n, in, 1, 1, 0, 0, conf_set_msec, NULL, FIELD_AT(S, f, uint64_t), d, lo, hi, NULL, h}
#define ROW_SEC(n, in, S, f, d, lo, hi, h) {n, in, 1, 1, 0, 0, conf_set_sec, NULL, FIELD_AT(S, f, int64_t), d, lo, hi, NULL, h}
#define ROW_STR(n, in, S, f, d, h)   {n, in, 1, 1, 0, 0, conf_set_str, NULL, FIELD_AT(S, f, struct str), d, 0, 0, NULL, h}
#define ROW_TMPL(n, in, S, f, d, h)  {n, in, 1, 1, 0, 0, conf_set_tmpl, NULL, FIELD_AT(S, f, struct tmpl *), d, 0, 0, NULL, h}
// One word of a table: struct conf_word words[] ending with {NULL}. Field int.
#define ROW_ENUM(n, in, S, f, d, w, h) {n, in, 1, 1, 0, 0, conf_set_enum, NULL, FIELD_AT(S, f, int), d, 0, 0, w, h}
// Several words, or'ed: field unsigned.
// As in nginx, what comes again in a block adds words.
#define ROW_BITS(n, in, S, f, d, w, h) {n, in, 1, 0xffff, ROW_REPEAT, 0, conf_set_bits, NULL, FIELD_AT(S, f, unsigned), d, 0, 0, w, h}
// "8 4k": struct conf_bufs.
#define ROW_BUFS(n, in, S, f, d, h)  {n, in, 2, 2, 0, 0, conf_set_bufs, NULL, FIELD_AT(S, f, struct conf_bufs), d, 0, 0, NULL, h}
// Whatever else: the feature's own setter.
#define ROW_FN(n, in, lo, hi, fl, fn, d, h) {n, in, lo, hi, fl, 0, fn, NULL, 0, d, 0, 0, NULL, h}
// The same with the syntax that the manual shows: "<i>uri</i> [flag]" is written "uri [flag]".
#define ROW_FNS(n, in, lo, hi, fl, fn, d, syn, h) {n, in, lo, hi, fl, 0, fn, NULL, 0, d, 0, 0, NULL, h, syn}
// A block that is a scope, and a block of data.
#define ROW_BLOCK(n, in, lo, hi, inner, fn, h) {n, in, lo, hi, ROW_REPEAT, inner, NULL, fn, 0, NULL, 0, 0, NULL, h}
#define ROW_DATA(n, in, lo, hi, fl, fn, h) {n, in, lo, hi, fl, 0xffff, fn, NULL, 0, NULL, 0, 0, NULL, h}
// Accepted and without effect: any arguments, or one of a type (conf_set_num...), which must be well-formed as in nginx.
#define ROW_NOOP_OF(n, in, type, h)  {n, in, 1, 1, ROW_IGNORED, 0, type, NULL, 0, NULL, 0, 0, NULL, h}
#define ROW_NOOP(n, in, lo, hi, h) {n, in, lo, hi, ROW_IGNORED | ROW_REPEAT, 0, conf_set_nothing, NULL, 0, NULL, 0, 0, NULL, h}

struct conf_word {
    const char *word;
    int value;
};
struct conf_bufs {
    uint64_t count, size;
};

conf_set_fn conf_set_flag, conf_set_num, conf_set_size, conf_set_msec, conf_set_sec, conf_set_str, conf_set_tmpl,
    conf_set_enum, conf_set_bits, conf_set_bufs, conf_set_nothing;

// A list value: the array is shared with outer scopes until this block appends (copy on first use). Elements of one size.
struct conf_list {
    void *at;
    size_t count;
};
// For ROW_LISTED setters: room for one more element of `size` bytes, zeroed; the first call in a block starts a new list.
void *conf_list_add(struct conf_cx *cx, const struct conf_row *row, struct conf_list *list, size_t size);
#define conf_list_each(type, var, list) \
    for (type *var = (list).at, *var##_end = (list).count > 0 ? var + (list).count : var; var < var##_end; var++)

// nginx's number formats: "10k" "1m" "1g", "1h30m" "500ms" "30" (seconds), "on".
bool conf_parse_size(struct str s, uint64_t *bytes) MUST_USE;
bool conf_parse_offset(struct str s, uint64_t *bytes) MUST_USE; // also g
bool conf_parse_msec(struct str s, uint64_t *ms) MUST_USE;      // "30" is seconds, as in nginx
bool conf_parse_sec(struct str s, int64_t *sec) MUST_USE;
bool conf_parse_num(struct str s, int64_t *n) MUST_USE;

// A feature: what a user can say about one thing, with its variables and its hooks. Static object; `index` is given at
// start-up, once.
struct feature {
    const char *name;             // as the manual calls it
    const char *family;           // rows named "*_x" become "FAMILY_x"; NULL: none
    const struct conf_row *rows;
    size_t nrows;
    size_t conf_size;             // of the struct per scope; 0: none
    const struct var_def *vars;
    size_t nvars;
    // After a block's own rows and before its inner blocks: what follows from several values. Called for the outermost
    // scope and for each block that has a struct of its own (it used a row of the feature, or the feature opened it); other
    // blocks share the outer struct, whose finish has run. May be NULL.
    bool (*finish)(struct conf_cx *cx, struct scope *s, void *conf);
    // When the whole tree is built, for each scope, outer before inner: puts hooks into plans. May be NULL.
    bool (*bind)(struct conf_cx *cx, struct scope *s, void *conf);
    // Once for the whole configuration, before binding: names that refer to each other. May be NULL.
    bool (*link)(struct conf_cx *cx, struct scope *root);
    // Work that goes on beside requests (addresses that change, checks of servers): called on the first loop of the worker,
    // outside of tasks, when the snapshot comes into force and when it goes out of it. Must not wait: they make and cancel
    // tasks and timers. Each start is followed by one stop. What is still unwinding after it holds the snapshot itself. May
    // be NULL.
    void (*start)(struct conf *c);
    void (*stop)(struct conf *c);
    unsigned index;
};
