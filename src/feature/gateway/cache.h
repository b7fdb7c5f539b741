// What the files of the response cache's rows and requests share. cache.c: zones, variables; cache_rows.c: *_cache and its
// family; cache_serve.c: a request's way; cache_answer.c: what is kept, and answers from it.
#pragma once
#include "cache/cache.h"
#include "feature/gateway/gateway.h"

// One *_cache_path.
struct cache_zone {
    struct str name;
    const char *family; // "proxy"
    const struct conf_node *node;
    struct cache_params params;
    struct zone *zone;  // from link on
    struct cache_zone *next;
};
struct cache_zones {
    struct cache_zone *first;
};
extern struct feature feature_cache; // variables, zones; req_ctx: struct cache_run
struct cache_zones *cache_zones_of(const struct scope *s);

struct cache_valid {
    unsigned status; // 0: any
    int64_t seconds;
};

struct cache_conf {
    bool on;                  // there is a *_cache that is not off
    struct tmpl *name;        // with variables; else zone
    struct str zone_name;
    const struct scope *set;  // the block that says so
    const struct conf_node *node;
    struct cache_zone *zone;
    struct tmpl *key;         // NULL: the default one of proxy; others have none
    struct conf_list valid;   // struct cache_valid, the first that fits counts
    struct conf_list bypass, no_cache, purge; // struct condition: any of them
    unsigned methods;         // bits of enum method
    unsigned use_stale;       // bits of enum next_upstream
    int64_t min_uses;
    bool lock, revalidate, background_update, convert_head;
    uint64_t lock_timeout, lock_age; // ms
    uint64_t max_range_offset;       // UINT64_MAX: no limit
};

enum cache_status { CACHE_SAYS_NOTHING, CACHE_SAYS_MISS, CACHE_SAYS_BYPASS, CACHE_SAYS_EXPIRED, CACHE_SAYS_STALE,
    CACHE_SAYS_UPDATING, CACHE_SAYS_REVALIDATED, CACHE_SAYS_HIT };

// One request's way through the cache; req_ctx of feature_cache.
struct cache_run {
    struct req *r;
    struct exchange *x;
    const struct gateway_rewrite *rw;
    const struct cache_conf *c;
    struct cache_ask ask;
    enum cache_status says;
    struct cache_ask *taken; // in the background: goes on where this was
    bool background;
    bool store;              // the answer may be kept
    bool far;                // of a Range that begins far behind: passed on, where the cache has nothing
    bool validates;          // the back end was asked whether the object is still good
    uint64_t waited_since;   // ms; 0: not
};

int64_t cache_now_s(const struct req *r);
int64_t cache_valid_for(const struct cache_conf *c, unsigned status); // seconds; 0: not said
bool cache_any_holds(struct req *r, struct conf_list conditions);

// The object of run->ask is the answer. STEP_NEXT: it is not to be had any more, because its file failed while it came in.
enum step cache_answer_object(struct cache_run *run);
// The back end has answered (x->head): keeps it, where it may be kept, and passes it on.
enum step cache_answer_fetched(struct cache_run *run);
// It said 304 to a question of ours.
enum step cache_answer_validated(struct cache_run *run);
