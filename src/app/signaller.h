// -s SIGNAL: tells the running weir, and for a reload hears from it what became of that.
#pragma once
#include "conf/conf.h"

// To the process in the configuration's pid file. The exit code: of a reload 1, after its reason on stderr, when the new
// configuration was not taken. Of a server that does not answer such questions (nginx) it is that of the signal.
int signaller_send(const struct conf *c, struct str name);

// The supervisor's side: to the process that sent a signal, if it listens. `last`: the result; else only that it comes.
enum signaller_result { RELOAD_BEGUN = 'b', RELOAD_DONE = 'd', RELOAD_FAILED = 'f' };
void signaller_answer(pid_t to, enum signaller_result result, struct str why);
