#include "app/signals.h"
#include "io/log.h"
#include <signal.h>
#include <stdio.h>

static const struct {
    unsigned number;
    const char *name, *words;
} known[] = {{SIGHUP, "SIGHUP", ", reconfiguring"}, {SIGUSR1, "SIGUSR1", ", reopening logs"}, {SIGUSR2, "SIGUSR2", ", changing binary"},
             {SIGWINCH, "SIGWINCH", ", stop accepting connections"}, {SIGQUIT, "SIGQUIT", ", shutting down"},
             {SIGTERM, "SIGTERM", ", exiting"}, {SIGINT, "SIGINT", ", exiting"}, {SIGCHLD, "SIGCHLD", ""}};

const char *signal_words(unsigned number) {
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        if (known[i].number == number)
            return known[i].words;
    }
    return "";
}

void signal_note(const struct signalfd_siginfo *info, const char *words) {
    const char *name = "";
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        if (known[i].number == info->ssi_signo)
            name = known[i].name;
    }
    char from[32] = "";
    if (info->ssi_pid != 0)
        snprintf(from, sizeof from, " from %d", (int)info->ssi_pid);
    log_msg(LOG_NOTICE, 0, "signal %u (%s) received%s%s", info->ssi_signo, name, from, words);
}

bool signal_of_a_window(const struct signalfd_siginfo *info) { return info->ssi_signo == SIGWINCH && info->ssi_code > 0; }
