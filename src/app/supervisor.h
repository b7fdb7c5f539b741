// The supervisor: opens what needs privilege, keeps one worker alive, turns signals into what nginx's master does. Reads
// nothing from the network.
#pragma once
#include "conf/conf.h"

// From a loaded configuration to the end of everything. Returns the exit code. Takes over the reference.
// `ready` is called when all sockets listen (may be NULL): for the embedded configuration's greeting.
int supervisor_run(struct conf *c, void (*ready)(void));
// -s SIGNAL: to the process in the configuration's pid file. Exit code.
int supervisor_signal(const struct conf *c, struct str name);
