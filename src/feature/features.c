#include "feature/features.h"

#define FEATURES(X)                                                                                                    \
    X(main)                                                                                                            \
    X(events)                                                                                                          \
    X(http)                                                                                                            \
    X(server)                                                                                                          \
    X(listen)                                                                                                          \
    X(server_name)                                                                                                     \
    X(ssl)                                                                                                             \
    X(ssl_variables)                                                                                                   \
    X(location)                                                                                                        \
    X(http_core)                                                                                                       \
    X(return)                                                                                                          \
    X(access)                                                                                                          \
    X(try_files)                                                                                                       \
    X(upstream)                                                                                                        \
    X(exchange)                                                                                                        \
    X(gateway_proxy)                                                                                                   \
    X(proxy)                                                                                                           \
    X(index)                                                                                                           \
    X(static)                                                                                                          \
    X(not_modified)                                                                                                    \
    X(expires)                                                                                                         \
    X(add_header)                                                                                                      \
    X(range)                                                                                                           \
    X(error_log)                                                                                                       \
    X(log_format)                                                                                                      \
    X(access_log)                                                                                                      \
    X(request_variables)                                                                                               \
    X(response_variables)                                                                                              \
    X(upstream_variables)                                                                                              \
    X(connection_variables)

#define X(name) extern struct feature feature_##name;
FEATURES(X)
#undef X

struct feature *const all_features[] = {
#define X(name) &feature_##name,
    FEATURES(X)
#undef X
};
const size_t all_features_count = sizeof(all_features) / sizeof(all_features[0]);
