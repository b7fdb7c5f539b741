// Directives that name clients by their networks.
#pragma once
#include "conf/conf.h"

// Adds what the directive's argument names to a list of struct cidr: "address", "CIDR", "unix:", or a host name, which is resolved
// now (all its addresses). False: reported in nginx's words.
bool take_network(struct conf_cx *cx, const struct conf_row *row, struct conf_list *list, const struct conf_node *node);
