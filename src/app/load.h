// A configuration from a file or from a text inside the program, with all its errors on the terminal.
#pragma once
#include "app/options.h"
#include "base/sbuf.h"
#include "conf/conf.h"

// Where the options say that the configuration is: absolute path.
struct load_paths {
    struct str prefix, conf, error_log;
};

// Makes the paths of the options absolute, so that they mean the same when the process is in another directory: once, first.
void load_settle(struct options *o);
// Reads it with all that it includes. `text`: instead of the file. A snapshot with one reference, or NULL; every error and
// warning has then been printed, one on a line, in nginx's form.
struct conf *load_conf(const struct options *o, struct str text, struct zones *zones);
// The same in a running weir: messages go to the error log (warnings only if asked for), the first error also to `why`.
struct conf *load_conf_again(const struct options *o, struct str text, struct zones *zones, bool warnings, struct sbuf *why);
// -T: the files of a loaded configuration, to stdout.
void load_dump(const struct conf *c);
// The directories for temp files that the configuration names: made where missing, owned by the worker's user. False: an
// [emerg] was printed.
bool load_make_directories(const struct conf *c, uid_t uid, gid_t gid);
// The file that options mean, as a path for messages.
struct str load_conf_path(const struct options *o, struct arena *a);
