// Files of objects, private to the room. A file is written without a name and gets it whole; what is read is checked.
//
//   | header, 160 bytes | "\nKEY: key\n" vary "\n" head of the answer | room | body | a checksum for each 256 KiB of the body |
//     magic, version, checksum of itself and the text, lengths, times
//
// The room lets validation write a head that grew a little in place. Anything that does not fit together is no file of ours.
#pragma once
#include "cache/data.h"
#include "cache/cache_private.h"

// Where the body begins in a file of this object; of a large one at a page, which sendfile likes.
uint64_t store_body_at(const struct cache_object *o, bool large);
// A file without a name that holds the beginning of the object's body; its descriptor or -errno. Waits, as does store_write.
int store_create(struct cache *c, struct cache_object *o, const char *body, size_t n);
int store_write(int fd, off_t at, const struct chain *bytes); // 0 or -errno
void store_close(int fd, uint64_t bytes); // of store_create or store_load. Large files are closed elsewhere: they may go now

// What follows runs on any thread and may block on the disk; none waits.

// Completes the file of a complete object (makes it, when the body is in memory). The descriptor (of o->data, or a new one that
// the caller owns), or -errno.
int store_finish(struct cache_object *o);
int store_name(int fd, const char *path); // gives it its name, whatever was there; makes directories. 0 or -errno
// A new head for a file that has its name: in place. False: it has no room for it.
bool store_rewrite(struct cache_object *o);

// What is in a file, without its body unless that is small. NULL and *why: it is no file of ours, or damaged; *err -errno when
// it cannot be opened or read. `quick`: -EAGAIN rather than wait for a disk.
struct cache_object *store_load(struct cache *c, const char *path, bool quick, const char **why, int *err);
// Whether a block of the body agrees with its checksum. Reads it: it is in the page cache afterwards. 0, -EBADMSG, -errno.
int store_check_block(struct cache_data *d, unsigned block);
uint64_t store_size(const struct cache_object *o); // bytes of its file
