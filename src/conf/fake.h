// For the tests of conf/: a few made-up features, files in memory, and errors as text.
#pragma once
#include "base/test.h"
#include "conf/conf.h"
#include <fnmatch.h>
#include <stdlib.h>

struct fake {
    bool daemon, flag;
    int64_t num, connections, secs, derived;
    uint64_t size, time;
    struct str text;
    struct tmpl *tmpl;
    int mode;
    unsigned bits;
    struct conf_bufs bufs;
    struct conf_list items;
    struct conf_list pairs;
    unsigned finishes;
    char order[64]; // what happened in this block: letters
};
struct fake_other {
    int64_t num;
    unsigned opened;
};
extern struct feature fake_core, fake_other, fake_proxy, fake_fastcgi;
extern struct feature *const fake_features[];
enum { FAKE_FEATURES = 4 };

struct fake_file {
    const char *path, *text;
};
// A configuration loaded from files; the first is the main one.
struct fake_load {
    struct conf *conf;
    struct arena arena;
    struct conf_errors errors;
    struct str said; // one line an error: `text in FILE:LINE [hint]`, warnings with "warning: " before
    struct zones *zones;
};
void fake_load_files(struct fake_load *l, const struct fake_file *files, size_t count, const char *extra);
void fake_load(struct fake_load *l, const char *text); // as file "F"
void fake_done(struct fake_load *l);
struct scope *fake_inner(struct scope *s, unsigned n); // the n-th block inside, from 0
#define FAKE(s)  ((struct fake *)scope_conf((s), &fake_core))
#define OTHER(s) ((struct fake_other *)scope_conf((s), &fake_other))
