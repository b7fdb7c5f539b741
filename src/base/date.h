// Calendar time as text. Pure: the caller brings the time. Years 0 to 9999; a time outside is written as the nearest end.
#pragma once
#include "base/str.h"

enum { DATE_HTTP_LEN = 29, DATE_LOG_LEN = 26, DATE_ISO_LEN = 25, DATE_ERROR_LEN = 19 };

// RFC 9110 5.6.7 IMF-fixdate, "Sun, 06 Nov 1994 08:49:37 GMT". Writes DATE_HTTP_LEN bytes, no NUL.
void date_http(int64_t unix_s, char *to);
// nginx $time_local "06/Nov/1994:08:49:37 +0000"; offset of the zone in minutes east.
void date_log(int64_t unix_s, int zone_min, char *to);
// nginx $time_iso8601 "1994-11-06T08:49:37+00:00".
void date_iso(int64_t unix_s, int zone_min, char *to);
// nginx's error log "1994/11/06 08:49:37".
void date_error(int64_t unix_s, int zone_min, char *to);
// The three forms of RFC 9110 5.6.7 (IMF-fixdate, RFC 850, asctime). False when it is none. now_s resolves RFC 850's
// two-digit years. Strict, except that case does not count (RFC 9111 4.2) and that the day of the week, which must be
// one, need not be the right one.
bool date_parse(struct str s, int64_t now_s, int64_t *unix_s) MUST_USE;
