// The listening sockets of the supervisor: opened for a configuration, kept from the one before, inherited from whoever
// started weir (nginx's or weir's binary upgrade, systemd).
#pragma once
#include "conf/conf.h"
#include "wire/addr.h"

struct socket {
    struct addr_full addr;
    int fd;
    bool fresh; // opened for this configuration, not kept from the one before
};
struct sockets {
    struct socket *at;
    unsigned count;
};

// All sockets of a configuration. What `have` holds for an address is used again; the rest is opened, with five tries where
// an address is in use. False after [emerg] lines (the last also in `why`, which may be NULL): then nothing was changed.
bool sockets_open(struct sockets *s, const struct conf *c, const struct sockets *have, struct sbuf *why) MUST_USE;
// For -t: whether the addresses can be had. One in use may be the running server's, and is none. False after [emerg] lines.
bool sockets_try(const struct conf *c) MUST_USE;
// Closes what `s` has and `next` (may be NULL) has not, and forgets s. `files`: the files of its Unix sockets go too. `refuse`:
// a TCP socket that others still hold takes no new connection from now on; what is in its queue can still be accepted.
void sockets_close(struct sockets *s, const struct sockets *next, bool files, bool refuse);
const struct socket *sockets_find(const struct sockets *s, const struct sockaddr *sa);
// Of the fresh ones: given up again, when a configuration turned out not to work.
void sockets_undo(struct sockets *s);
// From the environment: NGINX="3;4;" or LISTEN_FDS. Takes the variables out of it. Returns whether it was an upgrade.
bool sockets_inherit(struct sockets *s);
bool sockets_inherited(void); // whether there is an upgrade's variable, before it is taken
// The value of NGINX for a new binary, malloc'd; the descriptors are made to survive an exec in the calling process.
char *sockets_bequeath(const struct sockets *s);
