// The table of known field names (RFC 9110 and friends): one fact, one table. It serves HTTP/1, HPACK, the hop-by-hop
// rules and $http_*. X(ID, "Name-As-Written", flags)
//   HOP   connection-specific (RFC 9110 7.6.1): never forwarded
//   ONE   must not come twice in a request (RFC 9110 5.3; the set is nginx's): admit refuses
//   LIST  several lines mean one comma-separated list
// At most 127 rows: sets of fields are 128 bits.
#pragma once

#define KNOWN_FIELDS(X)                                                                                                \
    X(ACCEPT, "Accept", LIST)                                                                                          \
    X(ACCEPT_ENCODING, "Accept-Encoding", LIST)                                                                        \
    X(ACCEPT_LANGUAGE, "Accept-Language", LIST)                                                                        \
    X(ACCEPT_RANGES, "Accept-Ranges", LIST)                                                                            \
    X(AGE, "Age", 0)                                                                                                   \
    X(ALLOW, "Allow", LIST)                                                                                            \
    X(AUTHORIZATION, "Authorization", ONE)                                                                             \
    X(CACHE_CONTROL, "Cache-Control", LIST)                                                                            \
    X(CONNECTION, "Connection", HOP | LIST)                                                                            \
    X(CONTENT_DISPOSITION, "Content-Disposition", 0)                                                                   \
    X(CONTENT_ENCODING, "Content-Encoding", LIST)                                                                      \
    X(CONTENT_LANGUAGE, "Content-Language", LIST)                                                                      \
    X(CONTENT_LENGTH, "Content-Length", ONE)                                                                           \
    X(CONTENT_LOCATION, "Content-Location", 0)                                                                         \
    X(CONTENT_RANGE, "Content-Range", ONE)                                                                             \
    X(CONTENT_SECURITY_POLICY, "Content-Security-Policy", 0)                                                           \
    X(CONTENT_TYPE, "Content-Type", 0)                                                                                 \
    X(COOKIE, "Cookie", 0)                                                                                             \
    X(DATE, "Date", 0)                                                                                                 \
    X(DEPTH, "Depth", 0)                                                                                               \
    X(DESTINATION, "Destination", 0)                                                                                   \
    X(ETAG, "ETag", 0)                                                                                                 \
    X(EXPECT, "Expect", ONE | LIST)                                                                                    \
    X(EXPIRES, "Expires", 0)                                                                                           \
    X(FORWARDED, "Forwarded", LIST)                                                                                    \
    X(FROM, "From", 0)                                                                                                 \
    X(HOST, "Host", ONE)                                                                                               \
    X(HTTP2_SETTINGS, "HTTP2-Settings", HOP)                                                                           \
    X(IF_MATCH, "If-Match", ONE | LIST)                                                                                \
    X(IF_MODIFIED_SINCE, "If-Modified-Since", ONE)                                                                     \
    X(IF_NONE_MATCH, "If-None-Match", ONE | LIST)                                                                      \
    X(IF_RANGE, "If-Range", ONE)                                                                                       \
    X(IF_UNMODIFIED_SINCE, "If-Unmodified-Since", ONE)                                                                 \
    X(KEEP_ALIVE, "Keep-Alive", HOP)                                                                                   \
    X(LAST_MODIFIED, "Last-Modified", 0)                                                                               \
    X(LINK, "Link", LIST)                                                                                              \
    X(LOCATION, "Location", 0)                                                                                         \
    X(ORIGIN, "Origin", 0)                                                                                             \
    X(OVERWRITE, "Overwrite", 0)                                                                                       \
    X(PRAGMA, "Pragma", LIST)                                                                                          \
    X(PRIORITY, "Priority", 0)                                                                                         \
    X(PROXY_AUTHENTICATE, "Proxy-Authenticate", LIST)                                                                  \
    X(PROXY_AUTHORIZATION, "Proxy-Authorization", HOP)                                                                 \
    X(PROXY_CONNECTION, "Proxy-Connection", HOP)                                                                       \
    X(RANGE, "Range", 0)                                                                                               \
    X(REFERER, "Referer", 0)                                                                                           \
    X(REFRESH, "Refresh", 0)                                                                                           \
    X(RETRY_AFTER, "Retry-After", 0)                                                                                   \
    X(SERVER, "Server", 0)                                                                                             \
    X(SET_COOKIE, "Set-Cookie", 0)                                                                                     \
    X(STRICT_TRANSPORT_SECURITY, "Strict-Transport-Security", 0)                                                       \
    X(TE, "TE", HOP | LIST)                                                                                            \
    X(TRAILER, "Trailer", LIST)                                                                                        \
    X(TRANSFER_ENCODING, "Transfer-Encoding", HOP | ONE | LIST)                                                        \
    X(UPGRADE, "Upgrade", HOP | LIST)                                                                                  \
    X(USER_AGENT, "User-Agent", 0)                                                                                     \
    X(VARY, "Vary", LIST)                                                                                              \
    X(VIA, "Via", LIST)                                                                                                \
    X(WARNING, "Warning", LIST)                                                                                        \
    X(WWW_AUTHENTICATE, "WWW-Authenticate", LIST)                                                                      \
    X(X_ACCEL_BUFFERING, "X-Accel-Buffering", 0)                                                                       \
    X(X_ACCEL_CHARSET, "X-Accel-Charset", 0)                                                                           \
    X(X_ACCEL_EXPIRES, "X-Accel-Expires", 0)                                                                           \
    X(X_ACCEL_LIMIT_RATE, "X-Accel-Limit-Rate", 0)                                                                     \
    X(X_ACCEL_REDIRECT, "X-Accel-Redirect", 0)                                                                         \
    X(X_FORWARDED_FOR, "X-Forwarded-For", LIST)                                                                        \
    X(X_FORWARDED_HOST, "X-Forwarded-Host", 0)                                                                         \
    X(X_FORWARDED_PORT, "X-Forwarded-Port", 0)                                                                         \
    X(X_FORWARDED_PROTO, "X-Forwarded-Proto", 0)                                                                       \
    X(X_PAD, "X-Pad", 0)                                                                                               \
    X(X_POWERED_BY, "X-Powered-By", 0)                                                                                 \
    X(X_REAL_IP, "X-Real-IP", 0)                                                                                       \
    X(X_REQUEST_ID, "X-Request-ID", 0)

enum { FIELD_HOP = 1, FIELD_ONE = 2, FIELD_LIST = 4 };

enum field_id {
    FIELD_UNKNOWN = 0,
#define X(id, name, flags) FIELD_##id,
    KNOWN_FIELDS(X)
#undef X
        FIELD_COUNT
};
