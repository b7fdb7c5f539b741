// What the files of ssi share: ssi.c finds commands in a body and puts the answer together, ssi_run.c carries commands out.
#pragma once
#include "feature/content/ssi_command.h"
#include "feature/response/type_list.h"
#include "http/filter.h"
#include "http/regex.h"

enum { SSI_SET_MAX = 1 << 20 /* bytes of an answer that goes into a variable */ };

extern struct feature feature_ssi;

struct ssi_conf {
    bool on, last_modified, silent_errors;
    struct type_list types;
    uint64_t min_file_chunk, value_length;
};

struct ssi_var { // by `set`, and captures by name
    struct str name, value;
    struct ssi_var *next;
};

struct ssi_block {
    struct str name;
    struct sbuf text;
    struct ssi_block *next;
};

// Of a request; variables and blocks are those of the client's request.
struct ssi_ctx {
    struct ssi_var *vars;
    struct ssi_block *blocks;
    struct str timefmt, errmsg;
    struct str captures[10];
    unsigned ncaptures;
};

// A part of the answer, in order: text, or what a subrequest yields.
struct ssi_item {
    struct ssi_item *next;
    struct chain text;
    struct body *sub; // NULL: text
    struct req *req;  // of sub
    struct str stub;  // name of the block that stands for an empty answer
    bool wait;        // nothing behind it is looked at before it is through
    bool any;         // gave bytes
};

enum ssi_condition { SSI_NONE, SSI_IF, SSI_ELSE };

struct ssi_body {
    struct filter filter;
    struct req *r;
    const struct ssi_conf *conf;
    struct chain in;
    struct ssi_item *first, **last;
    // where the search is
    unsigned matched;      // bytes of "<!--#" that were seen
    bool in_command, have_command, too_long;
    struct ssi_end end;
    struct sbuf command;
    // what is in force
    enum ssi_condition condition;
    bool mute, chosen;     // output goes nowhere; a branch was taken
    struct ssi_block *block; // being collected
    bool ended;
};

struct ssi_ctx *ssi_ctx(struct req *r);
// A text as if it were an answer with commands: for stubs.
struct body *ssi_body_of_text(struct req *r, const struct ssi_conf *c, struct str text);
struct ssi_item *ssi_add_item(struct ssi_body *b);
void ssi_put(struct ssi_body *b, struct str text); // where the search is; copied
// Carries out the command in b->command. -EAGAIN: it would have to wait, and must not; -ECANCELED. Waits with BODY_WAIT.
int ssi_run(struct ssi_body *b, enum body_wait wait);
