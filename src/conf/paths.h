// Where things are when nobody says otherwise: nginx's names under weir's prefix. A package says otherwise by the build's
// options of the same names (meson_options.txt).
#pragma once

#define NGINX_VERSION "1.31.5" // whose language and conventions are spoken

#ifndef WEIR_PREFIX
#define WEIR_PREFIX     "/usr/local/weir/"  // ends in a slash
#define WEIR_CONF       "conf/nginx.conf"   // these are under the prefix unless they begin with a slash
#define WEIR_ERROR_LOG  "logs/error.log"
#define WEIR_ACCESS_LOG "logs/access.log"
#define WEIR_PID        "/run/weir.pid"
#endif
