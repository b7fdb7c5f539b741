// SSI commands as text: finding them in a stream, and taking them apart. Pure.
#pragma once
#include "base/arena.h"

enum { SSI_PARAMS_MAX = 16, SSI_COMMAND_MAX = 32 << 10 };

struct ssi_command {
    struct str name;
    unsigned count;
    struct {
        struct str name, value;
    } params[SSI_PARAMS_MAX];
};

// Where the text of a command ends: fed byte by byte with what stands behind "<!--#".
struct ssi_end {
    unsigned dashes; // that stand directly before, at most 2
    char quote, last;
    bool escaped;
};
// True with the '>' of "-->" that ends it.
bool ssi_end_feed(struct ssi_end *e, char c);
// The text between "<!--#" and "-->", which is changed: backslashes before quotes and backslashes go. NULL, or what is wrong.
const char *ssi_parse(char *text, size_t n, struct ssi_command *c);
struct str ssi_param(const struct ssi_command *c, const char *name); // STR_NONE: not given
