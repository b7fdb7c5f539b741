// Freshness of responses: the input is field lines. Whatever they say, what holds lies in bounds.
#include "wire/freshness.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const int64_t now = 1577934245, most = (int64_t)1 << 31;
    if (size < 1 || size > 4096)
        return 0;
    struct arena arena;
    arena_init(&arena, NULL);
    struct head h;
    head_init(&h, &arena);
    struct str rest = str_n((const char *)data + 1, size - 1), line = STR_NONE;
    while (rest.n != 0 && str_split(&rest, '\n', &line)) {
        ssize_t colon = str_chr(line, ':');
        struct str name = colon < 0 ? STR("Cache-Control") : str_head(line, (size_t)colon);
        head_add(&h, field_id_of(name), name, str_trim(colon < 0 ? line : str_from(line, (size_t)colon + 1)));
    }
    struct freshness f;
    freshness_of(&h, data[0] & 7, now, &f);
    CHECK(f.kind <= FRESHNESS_UNTIL && f.age >= 0 && f.age <= most);
    CHECK(f.while_revalidate >= 0 && f.while_revalidate <= most && f.if_error >= 0 && f.if_error <= most);
    CHECK(!f.by_origin || f.kind != FRESHNESS_UNTIL || f.until > now);
    CHECK(f.kind != FRESHNESS_UNTIL || (f.until > -most && f.until <= INT64_MAX / 2));
    CHECK(freshness_seconds(line) >= -1);
    arena_done(&arena);
    return 0;
}
