// The state behind limit_req and limit_conn: entries by key, in a zone of a bounded size that outlives a reload. Shared by all
// loops; sixteen parts with a lock each, so that what is counted is exact and loops rarely meet.
#pragma once
#include "http/req.h"

struct limit_store;

// How much one key has used of its rate, for limit_req.
struct limit_use {
    uint64_t last_ms;  // of the last request that was counted
    uint64_t excess;   // thousandths of a request
};

// Small: how many keys a zone holds is decided by its size. In a zone of limit_req its struct limit_use lies behind the key.
struct limit_entry {
    struct limit_entry *next; // of its bucket
    struct limit_entry *newer, *older;
    uint32_t hash;
    uint32_t count;    // limit_conn: connections; limit_req: decisions under way. Not removed while above 0
    uint16_t key_n;
    char key[];
};
enum { LIMIT_KEY_MAX = UINT16_MAX };

// What a zone is declared with: "limit_req_zone key zone=name:size rate=...".
struct limit_zone {
    struct str name;
    struct tmpl *key;
    uint64_t size;
    uint64_t rate; // limit_req: thousandths of a request a second
    struct zone *zone;
    const struct conf_node *node;
    struct limit_zone *next;
};
static inline struct limit_store *limit_zone_store(const struct limit_zone *z) { return z->zone->state; }

// The zone of that name, made if need be: it may be declared later.
struct limit_zone *limit_zone_named(struct conf_cx *cx, struct limit_zone **all, struct str name, const struct conf_node *node);
// Takes "key" and "name:size" of a declaration; errors in nginx's words. NULL then.
struct limit_zone *limit_zone_declare(struct conf_cx *cx, struct limit_zone **all, struct str zone, const struct conf_node *node);
// In link: opens the state of all zones. The kind is called "limit_req" or "limit_conn".
bool limit_zones_open(struct conf_cx *cx, struct limit_zone *all, const struct zone_kind *kind);
extern const struct zone_kind limit_req_kind, limit_conn_kind;
// A row's limit_*_log_level.
extern const struct conf_word limit_levels[];
// The value of the zone's key for a request. False when the request is not counted: empty, or (logged) above max bytes.
bool limit_key(struct req *r, const struct limit_zone *z, size_t max, struct str *key);

// The part of the store where the key lives, locked until limit_unlock. Do not wait meanwhile.
struct limit_part *limit_lock(struct limit_store *s, struct str key, uint32_t *hash);
void limit_unlock(struct limit_part *p);
struct limit_use *limit_use_of(struct limit_entry *e); // in a zone of limit_req
struct limit_entry *limit_find(struct limit_part *p, struct str key, uint32_t hash); // also makes it the newest; NULL: none
// Makes room by removing old entries without a count; their use begins with none, now. rate 0: limit_conn. NULL: the zone is full.
struct limit_entry *limit_add(struct limit_part *p, struct str key, uint32_t hash, uint64_t now_ms, uint64_t rate);
void limit_remove(struct limit_part *p, struct limit_entry *e);
