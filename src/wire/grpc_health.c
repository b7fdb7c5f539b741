// Protocol buffers, as much of them as the two messages need: field 1 of each. Other fields are stepped over.
#include "wire/grpc_health.h"

enum { PREFIX = 5, VARINT_BYTES = 10 };
enum wire_type { VARINT, FIXED64, BYTES, FIXED32 = 5 };

static void put_varint(struct sbuf *to, uint64_t n) {
    for (; n >= 128; n >>= 7)
        sbuf_chr(to, (char)((n & 127) | 128));
    sbuf_chr(to, (char)n);
}

void grpc_health_put(struct sbuf *to, struct str service) {
    char room[VARINT_BYTES + 1];
    struct sbuf field;
    sbuf_init_fixed(&field, room, sizeof(room));
    if (service.n != 0) {
        sbuf_chr(&field, 1 << 3 | BYTES);
        put_varint(&field, service.n);
    }
    size_t n = field.n + service.n;
    const char prefix[PREFIX] = {0, (char)(n >> 24), (char)(n >> 16), (char)(n >> 8), (char)n};
    sbuf_put(to, prefix, PREFIX);
    sbuf_str(to, sbuf_view(&field));
    sbuf_str(to, service);
}

// Takes a number from the front; false when there is none.
static bool take_varint(struct str *s, uint64_t *to) {
    uint64_t n = 0;
    for (size_t i = 0; i < s->n && i < VARINT_BYTES; i++) {
        unsigned char c = (unsigned char)s->p[i];
        n |= (uint64_t)(c & 127) << (7 * i);
        if (c < 128) {
            *to = n;
            *s = str_from(*s, i + 1);
            return true;
        }
    }
    return false;
}

static bool step_over(struct str *s, unsigned type) {
    uint64_t n;
    switch (type) {
    case FIXED64: n = 8; break;
    case FIXED32: n = 4; break;
    case BYTES:
        if (!take_varint(s, &n))
            return false;
        break;
    default: return false;
    }
    if (n > s->n)
        return false;
    *s = str_from(*s, (size_t)n);
    return true;
}

int grpc_health_parse(struct str body) {
    if (body.n < PREFIX || body.p[0] != 0) // a compressed one was not asked for
        return GRPC_HEALTH_MALFORMED;
    uint64_t status = GRPC_HEALTH_UNKNOWN, key;
    size_t n = 0;
    for (size_t i = 1; i < PREFIX; i++)
        n = n << 8 | (unsigned char)body.p[i];
    struct str s = str_from(body, PREFIX);
    if (s.n != n)
        return GRPC_HEALTH_MALFORMED;
    while (s.n != 0) {
        if (!take_varint(&s, &key))
            return GRPC_HEALTH_MALFORMED;
        bool ok = (key & 7) == VARINT ? take_varint(&s, key >> 3 == 1 ? &status : &key) : step_over(&s, key & 7);
        if (!ok)
            return GRPC_HEALTH_MALFORMED;
    }
    return status > INT_MAX ? GRPC_HEALTH_MALFORMED : (int)status;
}
