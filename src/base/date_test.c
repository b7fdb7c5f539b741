#include "base/date.h"
#include "base/test.h"
#include <stdio.h>
#include <time.h>

static struct str http(int64_t t, char *to) {
    date_http(t, to);
    return str_n(to, DATE_HTTP_LEN);
}

TEST(forms_of_one_moment) {
    char to[64];
    int64_t t = 784111777;
    memset(to, '#', sizeof(to));
    EXPECT_STR(http(t, to), STR("Sun, 06 Nov 1994 08:49:37 GMT"));
    EXPECT_INT(to[DATE_HTTP_LEN], '#');
    static const struct {
        int zone;
        const char *log, *iso, *error;
    } cases[] = {
        {0, "06/Nov/1994:08:49:37 +0000", "1994-11-06T08:49:37+00:00", "1994/11/06 08:49:37"},
        {60, "06/Nov/1994:09:49:37 +0100", "1994-11-06T09:49:37+01:00", "1994/11/06 09:49:37"},
        {-570, "05/Nov/1994:23:19:37 -0930", "1994-11-05T23:19:37-09:30", "1994/11/05 23:19:37"},
        {345, "06/Nov/1994:14:34:37 +0545", "1994-11-06T14:34:37+05:45", "1994/11/06 14:34:37"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        memset(to, '#', sizeof(to));
        date_log(t, cases[i].zone, to);
        EXPECT_STR(str_n(to, DATE_LOG_LEN), str_c(cases[i].log));
        EXPECT_INT(to[DATE_LOG_LEN], '#');
        memset(to, '#', sizeof(to));
        date_iso(t, cases[i].zone, to);
        EXPECT_STR(str_n(to, DATE_ISO_LEN), str_c(cases[i].iso));
        EXPECT_INT(to[DATE_ISO_LEN], '#');
        memset(to, '#', sizeof(to));
        date_error(t, cases[i].zone, to);
        EXPECT_STR(str_n(to, DATE_ERROR_LEN), str_c(cases[i].error));
        EXPECT_INT(to[DATE_ERROR_LEN], '#');
    }
}

TEST(known_moments) {
    static const struct {
        int64_t t;
        const char *text;
    } cases[] = {
        {0, "Thu, 01 Jan 1970 00:00:00 GMT"},
        {-1, "Wed, 31 Dec 1969 23:59:59 GMT"},
        {951782400, "Tue, 29 Feb 2000 00:00:00 GMT"},
        {951868800, "Wed, 01 Mar 2000 00:00:00 GMT"},
        {INT32_MAX, "Tue, 19 Jan 2038 03:14:07 GMT"},
        {(int64_t)INT32_MAX + 1, "Tue, 19 Jan 2038 03:14:08 GMT"},
        {INT32_MIN, "Fri, 13 Dec 1901 20:45:52 GMT"},
        {UINT32_MAX, "Sun, 07 Feb 2106 06:28:15 GMT"},
        {4107542400, "Mon, 01 Mar 2100 00:00:00 GMT"},
        {253402300799, "Fri, 31 Dec 9999 23:59:59 GMT"},
        {253402300800, "Fri, 31 Dec 9999 23:59:59 GMT"},
        {INT64_MAX, "Fri, 31 Dec 9999 23:59:59 GMT"},
        {-62167219200, "Sat, 01 Jan 0000 00:00:00 GMT"},
        {INT64_MIN, "Sat, 01 Jan 0000 00:00:00 GMT"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char to[64];
        EXPECT_STR(http(cases[i].t, to), str_c(cases[i].text));
    }
}

TEST(every_day_of_ten_thousand_years_agrees_with_libc) {
    for (int64_t day = -719528; day < 2932897; day++) {
        int64_t t = day * 86400 + (day * 7919 % 86400 + 86400) % 86400, back = -1;
        char to[DATE_HTTP_LEN], want[64];
        if (day % 13 == 0 || (day > -800 && day < 50000 && day % 2)) {
            struct tm tm;
            EXPECT(gmtime_r(&(time_t){t}, &tm) != NULL);
            static const char days[] = "SunMonTueWedThuFriSat", months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
            snprintf(want, sizeof(want), "%.3s, %02d %.3s %04d %02d:%02d:%02d GMT", days + tm.tm_wday * 3, tm.tm_mday,
                     months + tm.tm_mon * 3, tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
            EXPECT_STR(http(t, to), str_c(want));
        }
        EXPECT(date_parse(http(t, to), 0, &back));
        EXPECT_INT(back, t);
    }
}

TEST(zones_reach_over_the_ends) {
    char to[64];
    date_iso(INT64_MAX, 60, to);
    EXPECT_STR(str_n(to, DATE_ISO_LEN), STR("9999-12-31T23:59:59+01:00"));
    date_iso(INT64_MIN, -60, to);
    EXPECT_STR(str_n(to, DATE_ISO_LEN), STR("0000-01-01T00:00:00-01:00"));
    date_iso(0, INT_MAX, to);
    EXPECT_STR(str_n(to + 19, 6), STR("+99:59"));
    date_iso(0, INT_MIN, to);
    EXPECT_STR(str_n(to + 19, 6), STR("-99:59"));
}

enum { NOW = 1795420800 }; // 2026-11-23

TEST(the_three_forms_are_read) {
    static const struct {
        const char *text;
        int64_t t;
    } cases[] = {
        {"Sun, 06 Nov 1994 08:49:37 GMT", 784111777},
        {"Sunday, 06-Nov-94 08:49:37 GMT", 784111777},
        {"Sun Nov  6 08:49:37 1994", 784111777},
        {"Sun Nov 16 08:49:37 1994", 784975777},
        {"Sun Nov 06 08:49:37 1994", 784111777},
        {"sUN, 06 nOV 1994 08:49:37 gmt", 784111777}, // RFC 9111 4.2
        {"Mon, 06 Nov 1994 08:49:37 GMT", 784111777}, // the wrong day
        {"Tue, 29 Feb 2000 23:59:59 GMT", 951868799},
        {"Sat, 31 Dec 2016 23:59:60 GMT", 1483228800}, // a leap second
        {"Wednesday, 29-Feb-00 00:00:00 GMT", 951782400},
        {"Thursday, 01-Jan-70 00:00:00 GMT", 3155760000}, // 2070: less than 50 years ahead
        {"Monday, 23-Nov-76 00:00:00 GMT", 3373315200},   // 2076: 50 years ahead, no more
        {"Tuesday, 23-Nov-76 20:00:01 GMT", 217627201},   // 1976
        {"Friday, 31-Dec-99 00:00:00 GMT", 946598400},
        {"Sunday, 31-Dec-28 00:00:00 GMT", 1861833600},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int64_t t = -4711;
        if (!date_parse(str_c(cases[i].text), NOW, &t))
            test_fail(__FILE__, __LINE__, "not read: %s", cases[i].text);
        if (t != cases[i].t)
            test_fail(__FILE__, __LINE__, "%s: got %lld", cases[i].text, (long long)t);
    }
}

TEST(two_digit_years_at_other_times) {
    static const struct {
        int64_t now;
        const char *text, *want;
    } cases[] = {
        {4102444800, "Friday, 01-Jan-49 00:00:00 GMT", "2149"}, // now 2100
        {4102444800, "Friday, 01-Jan-51 00:00:00 GMT", "2051"},
        {4102444799, "Friday, 01-Jan-49 00:00:00 GMT", "2149"}, // now 2099-12-31
        {4102444799, "Friday, 01-Jan-50 00:00:00 GMT", "2050"},
        {0, "Friday, 01-Jan-20 00:00:00 GMT", "2020"}, // now 1970-01-01
        {0, "Friday, 01-Jan-21 00:00:00 GMT", "1921"},
        {0, "Friday, 02-Jan-20 00:00:00 GMT", "1920"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int64_t t;
        char to[64];
        EXPECT(date_parse(str_c(cases[i].text), cases[i].now, &t));
        EXPECT_STR(str_n(http(t, to).p + 12, 4), str_c(cases[i].want));
    }
    int64_t t;
    EXPECT(date_parse(STR("Friday, 01-Jan-99 00:00:00 GMT"), INT64_MIN, &t));
    EXPECT(date_parse(STR("Friday, 01-Jan-99 00:00:00 GMT"), INT64_MAX, &t));
}

TEST(everything_else_is_refused) {
    static const char *const cases[] = {
        "",
        "0",
        "-1",
        "784111777",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sun, 06 Nov 1994 08:49:37 GMT ",
        " Sun, 06 Nov 1994 08:49:37 GMT",
        "Sun, 6 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 94 08:49:37 GMT",
        "Sun, 06  Nov 1994 08:49:37 GMT",
        "Sun 06 Nov 1994 08:49:37 GMT",
        "Sun, 06-Nov-1994 08:49:37 GMT",
        "Sxn, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nox 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:00:00 GMT",
        "Sun, 06 Nov 1994 08:60:37 GMT",
        "Sun, 06 Nov 1994 08:49:61 GMT",
        "Sun, 06 Nov 1994 8:49:37 GMT",
        "Sun, 06 Nov 1994 08.49.37 GMT",
        "Sun, 00 Nov 1994 08:49:37 GMT",
        "Sun, 31 Nov 1994 08:49:37 GMT",
        "Sun, 29 Feb 2001 08:49:37 GMT",
        "Sun, 29 Feb 1900 08:49:37 GMT",
        "Sun, 30 Feb 2000 08:49:37 GMT",
        "Sun, 32 Dec 1994 08:49:37 GMT",
        "Sun, +6 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 +0000",
        "Sun, 06 Nov 1994 08:49:37 GMTT",
        "Sun, 06 Nov 19 4 08:49:37 GMT",
        "Sunday, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06-Nov-94 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 UTC",
        "Sunday, 29-Feb-01 08:49:37 GMT",
        "Sunday 06-Nov-94 08:49:37 GMT",
        "Sun Nov 6 08:49:37 1994",
        "Sun Nov   6 08:49:37 199",
        "Sun Nov  6 08:49:37 1994 ",
        "Sun, Nov  6 08:49:37 1994",
        "Sun Nov  0 08:49:37 1994",
        "Sun Nov  6 08:49:37 94",
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int64_t t = -4711;
        if (date_parse(str_c(cases[i]), NOW, &t) || t != -4711)
            test_fail(__FILE__, __LINE__, "read: %s", cases[i]);
    }
    // Every prefix, and every byte replaced by NUL.
    char text[] = "Sunday, 06-Nov-94 08:49:37 GMT";
    int64_t t = -4711;
    for (size_t n = 0; n < sizeof(text) - 1; n++) {
        EXPECT(!date_parse(str_n(text, n), NOW, &t));
        char kept = text[n];
        text[n] = '\0';
        EXPECT(!date_parse(str_n(text, sizeof(text) - 1), NOW, &t));
        text[n] = kept;
    }
}
