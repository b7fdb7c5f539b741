// The configuration as a value: a snapshot, immutable and counted. Loading builds a tree of scopes beside whatever is
// running; nothing of the running one is touched.
#pragma once
#include "conf/row.h"
#include "conf/zone.h"

enum { CONF_MAGIC = 0x57435246, SCOPE_MAGIC = 0x5753434f };

// One block of the configuration. `conf[f->index]` is feature f's struct, shared with the outer scope when this block does
// not say anything of f.
struct scope {
    uint32_t magic;
    uint32_t place; // one bit of enum conf_place
    struct scope *outer, *children, *last_child, *next;
    const struct conf_node *node; // NULL for the root
    void **conf;
    uint64_t *owned; // private: bits of the features whose struct is this block's own; NULL: `conf` is the outer's array
    void *data; // of whoever opened the block: the server, the location...
    void *plan; // of http/: what is in force here
};
#define scope_conf(s, f) ((s)->conf[(f)->index])

struct conf {
    uint32_t magic;
    uint32_t refs;      // atomic
    uint64_t generation;
    struct arena arena; // owns everything
    struct conf_tree tree;
    struct vars vars;
    struct scope *root;
    struct feature *const *features;
    size_t nfeatures;
    struct conf_errors errors; // warnings stay for the log
    struct str path, prefix, conf_prefix;
    struct str error_log; // of struct conf_load
    struct conf_directory *directories; // that must be there when this is in force
    struct conf_reach *reaches;         // that its worker reaches
    unsigned privileges; // enum conf_privilege: what its worker must be allowed beyond an ordinary user
    struct zones *zones;
    uint64_t seed; // for hash tables
    void *world;   // of http/: vhosts, listeners
};

enum conf_privilege { CONF_NET_RAW = 1 }; // bits: local addresses of other machines (proxy_bind ... transparent)

// A directory that the worker writes to. app/ makes what is missing, and gives it to the worker's user.
struct conf_directory {
    struct str path; // NUL-terminated, absolute
    struct conf_directory *next;
};

// A path below which the worker reads, and writes too. One that ends within a name goes on there ("/srv/site-" of
// "/srv/site-$host"). Newest first; the same may be there more than once.
struct conf_reach {
    struct str path; // NUL-terminated, absolute
    bool writes, stem;
    struct conf_reach *next;
};

// While loading. Setters, finish, link and bind get it.
struct tmpl;
struct conf_cx {
    struct conf *conf;
    struct arena *arena;  // the snapshot's
    struct scope *scope;  // being filled
    const struct feature *feature;
    const struct conf_node *node;
    struct conf_build *build; // private
    bool again;           // the row being set stood in this block before
    bool test;            // -t: open nothing that changes the world
};

// Reports an error at `node` (NULL: at the directive being read) in nginx's wording, " in FILE:LINE" comes by itself. Always
// returns false.
bool conf_err(struct conf_cx *cx, const struct conf_node *node, const char *fmt, ...) PRINTF_LIKE(3, 4);
bool conf_err_hint(struct conf_cx *cx, const struct conf_node *node, struct str hint, const char *fmt, ...)
    PRINTF_LIKE(4, 5);
void conf_warn(struct conf_cx *cx, const struct conf_node *node, const char *fmt, ...) PRINTF_LIKE(3, 4);
// The scope's own struct of a feature, to be written: copied from the outer one unless that has been done. For setters and
// openers that write to another feature's struct or to another scope. NULL when f has none. An opener that writes to the
// outer scope does it too late for inner blocks to count on seeing it.
void *conf_own(struct conf_cx *cx, struct scope *s, const struct feature *f);
// Sets one row as if the user had written `name args...;` in this block (compound directives).
bool conf_was_set(struct conf_cx *cx, const struct conf_row *row); // in the block being read
// A file name made absolute as nginx does: relative to the prefix (to the configuration's directory when conf_prefix).
struct str conf_full_path(struct conf_cx *cx, struct str path, bool conf_prefix); // NUL-terminated

// Setters of directives that name such a directory say so, and that it is written to; twice the same does no harm.
void conf_needs_directory(struct conf_cx *cx, struct str path);
// Who reads or writes files while requests are served says where; else a confined worker cannot. `path` is full
// (conf_full_path).
void conf_reach(struct conf_cx *cx, struct str path, bool writes);
// The same for what has variables: the text before the first of them counts, everything when there is none. A name that does
// not begin with a slash is below `prefix`. `stem`: what follows the text may go on within a name.
void conf_reach_tmpl(struct conf_cx *cx, const struct tmpl *t, struct str prefix, bool writes, bool stem);

struct conf_load {
    struct str path;            // of the file
    struct str text;            // instead of a file, when not NONE (embedded default)
    struct str extra;           // -g
    struct str prefix;          // -p
    struct str error_log;       // -e, where the text names none; empty: "logs/error.log" under the prefix
    const struct conf_source *source;
    struct feature *const *features;
    size_t nfeatures;
    struct zones *zones;
    uint64_t seed;
    bool test;
};
// Once, before the first load: gives indices, checks that names are unique. Not thread-safe.
void features_register(struct feature *const *features, size_t n);
// A snapshot with one reference, or NULL when there were errors; *errors (in *arena, the caller's) has all of them and the
// warnings in the order of the text.
struct conf *conf_load(const struct conf_load *load, struct arena *arena, struct conf_errors *errors);
struct conf *conf_ref(struct conf *c);
void conf_unref(struct conf *c); // any thread; NULL does nothing
bool conf_is_last(const struct conf *c); // nobody but the caller has a reference, so that nobody can take one

// The manual: one directive (false when unknown; then *similar is a list of near names), all of them as Markdown, names only.
bool manual_directive(struct feature *const *features, size_t n, struct str name, struct sbuf *out);
bool manual_knows(struct feature *const *features, size_t n, struct str name); // a directive that does something
bool manual_variable(struct feature *const *features, size_t n, struct str name, struct sbuf *out);
void manual_markdown(struct feature *const *features, size_t n, struct sbuf *out);
struct str manual_similar(struct feature *const *features, size_t n, struct str name, struct arena *arena); // "" when none
