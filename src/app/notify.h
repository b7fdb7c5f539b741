// What systemd is told (sd_notify(3), without its library): only if NOTIFY_SOCKET is set.
#pragma once
#include "base/str.h"

void notify_ready(void);     // READY=1, with MAINPID
void notify_reloading(void); // RELOADING=1 with the time that Type=notify-reload wants
void notify_stopping(void);
void notify_alive(void);     // WATCHDOG=1
void notify_main_process(pid_t pid); // who is it now, after an upgrade
uint64_t notify_watchdog_ms(void);   // how often notify_alive is due; 0: no watchdog
