// The command line: nginx's options, and weir's own commands (help, proxy).
#pragma once
#include "base/str.h"

enum command { COMMAND_SERVE, COMMAND_HELP_OPTIONS, COMMAND_VERSION, COMMAND_HELP, COMMAND_PROXY, COMMAND_MANUAL };

struct options {
    enum command command;
    bool show_version, show_configure, show_help; // -v -V -h: may come together
    bool test, dump, quiet;                       // -t -T -q
    struct str signal;                            // -s
    struct str prefix, conf, error_log, directives; // -p -c -e -g; NONE: not given
    struct str args[2];                           // of help and proxy
    unsigned nargs;
};

// False after a message to stderr in nginx's words: exit code 1.
bool options_parse(struct options *o, int argc, char **argv) MUST_USE;
void options_usage(void);                 // to stderr, as all of nginx's own output
void options_version(bool with_configure); // -v, -V
