// Tree to scopes: private to conf/.
#pragma once
#include "conf/conf.h"

// A row under the name that a user writes (families expanded). Rows of one name form a chain.
struct named_row {
    struct str name;
    const struct feature *feature;
    const struct conf_row *row;
    struct named_row *next;
};

// All names of some features. Read-only once made.
struct names {
    struct map by_name; // -> struct named_row, first of its chain
    struct arena arena;
};
void names_init(struct names *n, struct feature *const *features, size_t nfeatures);
void names_done(struct names *n);
struct named_row *names_find(const struct names *n, struct str name);
// Up to three names near to this one, best first, as `"a", "b"`; empty when none. places 0: any.
struct str names_near(const struct names *n, struct str name, uint32_t places, struct arena *arena);
struct str names_of_places(uint32_t places, struct arena *arena); // "http, server, location"

// The module of nginx that documents a directive weir may lack, as "ngx_http_dav_module"; NULL: none does.
const char *known_module(struct str directive);
// For directives of nginx's modules that weir will not have: what it offers in their place. NULL for others.
const char *known_instead(struct str directive);
const char *known_name(size_t i); // of the table, in order; NULL behind the last

// That a row, or a list, was used in the block being read.
struct set_mark {
    const struct feature *feature;
    const struct conf_row *row;
    const struct conf_list *list;
};

struct conf_build {
    struct names names;
    struct set_mark *marks; // a stack: those of the block being read are at [base..nmarks)
    size_t nmarks, base, cap;
    const struct conf_node **failed; // directives and blocks not read: what they would have made is not missed
    size_t nfailed, failed_cap;
    bool complained_place;          // a misplaced directive outside all blocks was reported
    size_t scopes, arrays, structs; // made or copied, for tests
};

bool conf_build(struct conf_cx *cx); // conf->root from conf->tree; false when errors were reported
