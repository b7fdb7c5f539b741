// The supervisor: opens what needs privilege, keeps one worker alive, turns signals into what nginx's master does. Reads
// nothing from the network.
#pragma once
#include "app/options.h"
#include "conf/conf.h"

// From a loaded configuration to the end of everything. Returns the exit code. Takes over the reference. `o` and `text` are
// what it was loaded from, for reloads; argv is for the execution of a new binary. `ready` is called when all sockets listen
// (may be NULL): for the embedded configuration's greeting.
int supervisor_run(struct conf *c, const struct options *o, struct str text, char **argv, void (*ready)(void));
