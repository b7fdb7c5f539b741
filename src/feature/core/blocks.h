// What the blocks http, server and location share while they are read.
#pragma once
#include "http/route.h"
#include "http/vhost.h"

extern struct feature feature_http, feature_server, feature_location, feature_listen, feature_server_name;

// The server whose block, or whose location's block, is being read.
static inline struct server *server_being_read(const struct conf_cx *cx) {
    const struct scope *s = cx->scope;
    while (s != NULL && s->place != IN_SERVER)
        s = s->outer;
    return s != NULL ? s->data : NULL;
}
