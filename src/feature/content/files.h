// What the features that look at files share.
#pragma once
#include "http/answer.h"
#include "http/plan.h"
#include "io/file.h"

// Behind gateways, which answer first.
enum { ORDER_DAV = 20, ORDER_RANDOM_INDEX = 40, ORDER_INDEX = 50, ORDER_AUTOINDEX = 60, ORDER_FLV = 85, ORDER_PRECOMPRESSED = 90,
       ORDER_STATIC = 100 };

extern struct feature feature_open_file_cache, feature_disable_symlinks;

// A file that was looked up.
struct found_file {
    struct file_ref *file; // counted for the caller; NULL of file_look, and of directories from the cache
    struct file_info info;
    const char *call;      // that failed, for file_refused
};
// Opens the file for reading, or only looks at it, as disable_symlinks and open_file_cache of the request's location say: 0
// or -errno. path is NUL-terminated.
int file_get(struct req *r, struct str path, struct found_file *out);
int file_look(struct req *r, struct str path, struct found_file *out);

// The status for a file that cannot be had, logged in nginx's words (`open() "..." failed`). err negative.
unsigned file_refused(struct req *r, struct str path, int err, const char *call);
// The body of an answer that is the whole file; NULL when it is empty. Takes over the reference. May wait for a disk.
struct body *file_body(struct req *r, struct file_ref *f, const struct file_info *info);
// Content-Type of the URI, Last-Modified and ETag of the file.
void file_describe(struct req *r, const struct file_info *info);

// For open_file_cache.c: what disable_symlinks says here. `trusted` bytes of the path are not looked at.
enum links { LINKS_FOLLOWED, LINKS_REFUSED, LINKS_OWN };
enum links links_wanted(struct req *r, struct str path, size_t *trusted);
