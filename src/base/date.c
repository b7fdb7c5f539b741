// The Gregorian calendar without libc. Years 0 to 9999: times outside are shown as the nearest end.
#include "base/date.h"

static const char day_names[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
static const char long_days[7][10] = {"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"};
static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

enum { DAY_S = 86400, ERA_DAYS = 146097 };                          // an era is 400 years
static const int64_t first_s = -62167219200, last_s = 253402300799; // 0000-01-01, 9999-12-31 23:59:59

struct civil {
    unsigned year, month, day; // month 1 to 12
    unsigned weekday;          // 0 is Sunday
    unsigned hour, min, sec;
};

// Days since 1970-01-01. Years are counted from March, so that the leap day is a year's last. Years 0 to 9999.
static int64_t days_of(unsigned year, unsigned month, unsigned day) {
    unsigned y = year + 400 - (month <= 2); // one era later, so that nothing is negative
    unsigned era = y / 400, of_era = y % 400;
    unsigned of_year = (153 * (month + (month > 2 ? -3u : 9u)) + 2) / 5 + day - 1;
    unsigned day_of_era = of_era * 365 + of_era / 4 - of_era / 100 + of_year;
    return ((int64_t)era - 1) * ERA_DAYS + day_of_era - 719468;
}

static struct civil civil_of(int64_t unix_s) {
    unix_s = MAX(first_s, MIN(last_s, unix_s));
    uint64_t s = (uint64_t)(unix_s - first_s); // not negative any more
    uint64_t days = s / DAY_S;
    unsigned left = (unsigned)(s % DAY_S);
    struct civil c = {.weekday = (unsigned)((days + 6) % 7)}; // 0000-01-01 was a Saturday
    c.hour = left / 3600;
    c.min = left / 60 % 60;
    c.sec = left % 60;

    unsigned d = (unsigned)days + ERA_DAYS - 60; // since 0000-03-01, one era later
    unsigned era = d / ERA_DAYS, of_era = d % ERA_DAYS;
    unsigned y = (of_era - of_era / 1460 + of_era / 36524 - of_era / (ERA_DAYS - 1)) / 365;
    unsigned of_year = of_era - (365 * y + y / 4 - y / 100);
    unsigned m = (5 * of_year + 2) / 153; // 0 is March
    c.day = of_year - (153 * m + 2) / 5 + 1;
    c.month = m < 10 ? m + 3 : m - 9;
    c.year = y + era * 400 - 400 + (c.month <= 2);
    return c;
}

static inline char *put2(char *to, unsigned v) {
    to[0] = (char)('0' + v / 10);
    to[1] = (char)('0' + v % 10);
    return to + 2;
}
static inline char *put4(char *to, unsigned v) {
    return put2(put2(to, v / 100), v % 100);
}
static inline char *put_chr(char *to, char c) {
    *to = c;
    return to + 1;
}
static inline char *put_name(char *to, const char *name) {
    memcpy(to, name, 3);
    return to + 3;
}
static char *put_time(char *to, const struct civil *c) {
    to = put_chr(put2(to, c->hour), ':');
    to = put_chr(put2(to, c->min), ':');
    return put2(to, c->sec);
}
static char *put_zone(char *to, int zone_min, bool colon) {
    unsigned east = (unsigned)(zone_min < 0 ? -zone_min : zone_min);
    to = put_chr(to, zone_min < 0 ? '-' : '+');
    to = put2(to, east / 60);
    if (colon)
        to = put_chr(to, ':');
    return put2(to, east % 60);
}

static struct civil local_civil(int64_t unix_s, int *zone_min) {
    *zone_min = MAX(-5999, MIN(5999, *zone_min)); // what two digits of hours can say
    return civil_of(MAX(first_s, MIN(last_s, unix_s)) + *zone_min * 60);
}

void date_http(int64_t unix_s, char *to) {
    struct civil c = civil_of(unix_s);
    to = put_name(to, day_names[c.weekday]);
    to = put_chr(put_chr(to, ','), ' ');
    to = put_chr(put2(to, c.day), ' ');
    to = put_chr(put_name(to, months[c.month - 1]), ' ');
    to = put_chr(put4(to, c.year), ' ');
    to = put_chr(put_time(to, &c), ' ');
    put_name(to, "GMT");
}

void date_log(int64_t unix_s, int zone_min, char *to) {
    struct civil c = local_civil(unix_s, &zone_min);
    to = put_chr(put2(to, c.day), '/');
    to = put_chr(put_name(to, months[c.month - 1]), '/');
    to = put_chr(put4(to, c.year), ':');
    to = put_chr(put_time(to, &c), ' ');
    put_zone(to, zone_min, false);
}

static char *put_ymd(char *to, const struct civil *c, char sep) {
    to = put_chr(put4(to, c->year), sep);
    to = put_chr(put2(to, c->month), sep);
    return put2(to, c->day);
}

void date_iso(int64_t unix_s, int zone_min, char *to) {
    struct civil c = local_civil(unix_s, &zone_min);
    to = put_chr(put_ymd(to, &c, '-'), 'T');
    put_zone(put_time(to, &c), zone_min, true);
}

void date_error(int64_t unix_s, int zone_min, char *to) {
    struct civil c = local_civil(unix_s, &zone_min);
    put_time(put_chr(put_ymd(to, &c, '/'), ' '), &c);
}

// Reading: each take_ function takes its text off the front, or says false.
static inline bool take(struct str *s, struct str text) {
    if (text.n == 1 ? s->n == 0 || s->p[0] != text.p[0] : !str_istarts(*s, text))
        return false;
    *s = str_from(*s, text.n);
    return true;
}

static bool take_digits(struct str *s, unsigned count, unsigned *v) {
    unsigned number = 0;
    if (s->n < count)
        return false;
    for (unsigned i = 0; i < count; i++) {
        if (!ascii_is_digit((unsigned char)s->p[i]))
            return false;
        number = number * 10 + (unsigned)(s->p[i] - '0');
    }
    *v = number;
    *s = str_from(*s, count);
    return true;
}

// Three letters as one number, without their case. Only a letter gives a letter's value.
static inline uint32_t three(const char *p) {
    return ((uint32_t)(unsigned char)p[0] | (uint32_t)(unsigned char)p[1] << 8 | (uint32_t)(unsigned char)p[2] << 16) |
           0x202020;
}

// The number of the name that s begins with, or -1.
static int name_index(struct str s, const char (*names)[4], int count) {
    if (s.n < 3)
        return -1;
    uint32_t wanted = three(s.p);
    while (--count >= 0 && three(names[count]) != wanted) {
    }
    return count;
}

static bool take_day_name(struct str *s, bool is_long) {
    int i = name_index(*s, day_names, 7);
    return i >= 0 && take(s, is_long ? str_c(long_days[i]) : str_n(day_names[i], 3));
}

static bool take_month(struct str *s, unsigned *month) {
    int i = name_index(*s, months, 12);
    if (i < 0)
        return false;
    *month = (unsigned)i + 1;
    *s = str_from(*s, 3);
    return true;
}

static bool take_time(struct str *s, struct civil *c) {
    return take_digits(s, 2, &c->hour) && take(s, STR(":")) && take_digits(s, 2, &c->min) && take(s, STR(":")) &&
           take_digits(s, 2, &c->sec) && c->hour <= 23 && c->min <= 59 && c->sec <= 60; // 60: a leap second
}

static unsigned days_in_month(unsigned year, unsigned month) {
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return month == 2 ? 28 + leap : 30 + ((month + month / 8) & 1);
}

static bool unix_of(const struct civil *c, int64_t *unix_s) {
    if (c->day < 1 || c->day > days_in_month(c->year, c->month))
        return false;
    *unix_s = days_of(c->year, c->month, c->day) * DAY_S + (int64_t)(c->hour * 3600 + c->min * 60 + c->sec);
    return true;
}

// RFC 9110 5.6.7: more than 50 years ahead means the latest past year with these digits.
static unsigned full_year(const struct civil *c, int64_t now_s) {
    struct civil now = civil_of(now_s);
    unsigned year = now.year + 50 - (now.year + 50 - c->year) % 100; // the latest not after now.year + 50
    uint64_t there = ((c->month * 32 + c->day) * 24 + c->hour) * 3600 + c->min * 60 + c->sec;
    uint64_t here = ((now.month * 32 + now.day) * 24 + now.hour) * 3600 + now.min * 60 + now.sec;
    return year == now.year + 50 && there > here && year >= 100 ? year - 100 : year;
}

static bool parse_imf(struct str s, struct civil *c) {
    return take_day_name(&s, false) && take(&s, STR(", ")) && take_digits(&s, 2, &c->day) && take(&s, STR(" ")) &&
           take_month(&s, &c->month) && take(&s, STR(" ")) && take_digits(&s, 4, &c->year) && take(&s, STR(" ")) &&
           take_time(&s, c) && take(&s, STR(" GMT")) && s.n == 0;
}

static bool parse_rfc850(struct str s, struct civil *c) {
    return take_day_name(&s, true) && take(&s, STR(", ")) && take_digits(&s, 2, &c->day) && take(&s, STR("-")) &&
           take_month(&s, &c->month) && take(&s, STR("-")) && take_digits(&s, 2, &c->year) && take(&s, STR(" ")) &&
           take_time(&s, c) && take(&s, STR(" GMT")) && s.n == 0;
}

static bool parse_asctime(struct str s, struct civil *c) {
    return take_day_name(&s, false) && take(&s, STR(" ")) && take_month(&s, &c->month) && take(&s, STR(" ")) &&
           (take(&s, STR(" ")) ? take_digits(&s, 1, &c->day) : take_digits(&s, 2, &c->day)) && take(&s, STR(" ")) &&
           take_time(&s, c) && take(&s, STR(" ")) && take_digits(&s, 4, &c->year) && s.n == 0;
}

bool date_parse(struct str s, int64_t now_s, int64_t *unix_s) {
    struct civil c = {0};
    if (s.n == DATE_HTTP_LEN && parse_imf(s, &c))
        return unix_of(&c, unix_s);
    if (s.n == 24 && parse_asctime(s, &c))
        return unix_of(&c, unix_s);
    if (!parse_rfc850(s, &c))
        return false;
    c.year = full_year(&c, now_s);
    return unix_of(&c, unix_s);
}
