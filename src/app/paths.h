// Where things are when nobody says otherwise: nginx's names under weir's prefix.
#pragma once

#define WEIR_PREFIX     "/usr/local/weir/"
#define WEIR_CONF       "conf/nginx.conf"    // under the prefix
#define WEIR_ERROR_LOG  "logs/error.log"     // under the prefix
#define NGINX_VERSION   "1.31.5"             // whose language and conventions are spoken
