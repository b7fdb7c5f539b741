#include "feature/features.h"

#define FEATURES(X)                                                                                                    \
    X(main)                                                                                                            \
    X(load_module)                                                                                                     \
    X(events)                                                                                                          \
    X(http)                                                                                                            \
    X(server)                                                                                                          \
    X(listen)                                                                                                          \
    X(server_name)                                                                                                     \
    X(ssl)                                                                                                             \
    X(ssl_ocsp)                                                                                                        \
    X(ssl_variables)                                                                                                   \
    X(location)                                                                                                        \
    X(http_core)                                                                                                       \
    X(http2)                                                                                                           \
    X(rewrite)                                                                                                         \
    X(set)                                                                                                             \
    X(if)                                                                                                              \
    X(break)                                                                                                           \
    X(return)                                                                                                          \
    X(realip)                                                                                                          \
    X(limit_req)                                                                                                       \
    X(limit_conn)                                                                                                      \
    X(access)                                                                                                          \
    X(auth_basic)                                                                                                      \
    X(limit_except)                                                                                                    \
    X(valid_referers)                                                                                                  \
    X(secure_link)                                                                                                     \
    X(auth_request)                                                                                                    \
    X(try_files)                                                                                                       \
    X(mirror)                                                                                                          \
    X(resolver)                                                                                                        \
    X(upstream)                                                                                                        \
    X(upstream_keepalive)                                                                                              \
    X(least_conn)                                                                                                      \
    X(least_time)                                                                                                      \
    X(ip_hash)                                                                                                         \
    X(hash)                                                                                                            \
    X(random)                                                                                                          \
    X(sticky)                                                                                                          \
    X(upstream_queue)                                                                                                  \
    X(exchange)                                                                                                        \
    X(early_hints)                                                                                                     \
    X(exchange_order)                                                                                                  \
    X(match)                                                                                                           \
    X(health_check)                                                                                                    \
    X(cache)                                                                                                           \
    X(gateway_proxy)                                                                                                   \
    X(cache_proxy)                                                                                                     \
    X(gateway_ssl_proxy)                                                                                               \
    X(proxy)                                                                                                           \
    X(dav_methods)                                                                                                     \
    X(gateway_fastcgi)                                                                                                 \
    X(cache_fastcgi)                                                                                                   \
    X(fastcgi)                                                                                                         \
    X(gateway_scgi)                                                                                                    \
    X(cache_scgi)                                                                                                      \
    X(scgi)                                                                                                            \
    X(gateway_uwsgi)                                                                                                   \
    X(gateway_ssl_uwsgi)                                                                                               \
    X(cache_uwsgi)                                                                                                     \
    X(uwsgi)                                                                                                           \
    X(gateway_memcached)                                                                                               \
    X(memcached)                                                                                                       \
    X(gateway_grpc)                                                                                                     \
    X(gateway_ssl_grpc)                                                                                                 \
    X(grpc)                                                                                                             \
    X(grpc_web)                                                                                                         \
    X(empty_gif)                                                                                                       \
    X(stub_status)                                                                                                     \
    X(random_index)                                                                                                    \
    X(index)                                                                                                           \
    X(zstd_static)                                                                                                     \
    X(brotli_static)                                                                                                   \
    X(gzip_static)                                                                                                     \
    X(autoindex)                                                                                                       \
    X(disable_symlinks)                                                                                                \
    X(open_file_cache)                                                                                                 \
    X(flv)                                                                                                             \
    X(mp4)                                                                                                             \
    X(static)                                                                                                          \
    X(slice)                                                                                                           \
    X(not_modified)                                                                                                    \
    X(expires)                                                                                                         \
    X(add_header)                                                                                                      \
    X(userid)                                                                                                          \
    X(range)                                                                                                           \
    X(sub_filter)                                                                                                      \
    X(charset)                                                                                                         \
    X(ssi)                                                                                                             \
    X(addition)                                                                                                        \
    X(post_action)                                                                                                     \
    X(gunzip)                                                                                                          \
    X(gzip)                                                                                                            \
    X(brotli)                                                                                                          \
    X(zstd)                                                                                                            \
    X(limit_rate)                                                                                                      \
    X(error_log)                                                                                                       \
    X(log_format)                                                                                                      \
    X(open_log_file_cache)                                                                                             \
    X(access_log)                                                                                                      \
    X(map)                                                                                                             \
    X(geo)                                                                                                             \
    X(split_clients)                                                                                                   \
    X(browser)                                                                                                         \
    X(request_variables)                                                                                               \
    X(response_variables)                                                                                              \
    X(upstream_variables)                                                                                              \
    X(connection_variables)                                                                                            \
    X(proxy_protocol_variables)

#define X(name) extern struct feature feature_##name;
FEATURES(X)
#undef X

struct feature *const all_features[] = {
#define X(name) &feature_##name,
    FEATURES(X)
#undef X
};
const size_t all_features_count = sizeof(all_features) / sizeof(all_features[0]);
