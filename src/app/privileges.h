// Who the worker is and what it may do. docs/operations.md says what is left to it.
#pragma once
#include "feature/core/main.h"
#include "io/reach.h"

// Who the worker becomes: `user`, nobody where none is named, who we are if that is not root. name: of the configuration or
// constant; NONE when nobody is to be become. False after an [emerg].
bool privileges_user(const struct main_conf *m, uid_t *uid, gid_t *gid, struct str *name) MUST_USE;
// From root to that user for good: ids, groups, and every capability but those that `keep` stands for (enum conf_privilege).
// False: logged.
bool privileges_drop(struct str user, uid_t uid, gid_t gid, unsigned keep);
// Whether this process may do what `wanted` stands for.
bool privileges_suffice(unsigned wanted);
// For any worker and any opener, before it makes threads: nothing it starts can gain privileges, and, where the kernel has
// Landlock, it starts nothing at all, makes no devices and sends no signals to other processes. With `places` it opens and
// changes files in these only, and reads what the system's libraries need. False: it is not confined to them.
bool privileges_confine(const struct reach_place *places, size_t count);
