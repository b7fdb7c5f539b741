// Range, If-Range and lists of entity tags. One byte for the size and one for the limit, then the value.
#include "wire/conditional.h"
#include "wire/range.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_ranges(struct str value, uint64_t size, size_t max, struct arena *arena) {
    struct range *ranges = NULL;
    size_t count = 0;
    uint64_t bytes = 0;
    if (range_parse(value, size, max, &ranges, &count, arena) != RANGE_SOME)
        return;
    CHECK(count >= 1 && count <= max);
    for (size_t i = 0; i < count; i++) {
        CHECK(ranges[i].first < ranges[i].end && ranges[i].end <= size);
        bytes += ranges[i].end - ranges[i].first;
    }
    CHECK(bytes <= size);
}

static void fuzz_tags(struct str value, struct arena *arena) {
    struct str rest = value, tag, last = STR_NONE;
    while (etag_next(&rest, &tag)) {
        CHECK(tag.n >= 2 && tag.p[tag.n - 1] == '"' && etag_eq_weak(tag, tag));
        CHECK(etag_eq_strong(tag, tag) == (tag.p[0] == '"'));
        last = tag;
    }
    struct head h;
    head_init(&h, arena);
    h.method = METHOD_GET;
    head_add_known(&h, FIELD_IF_NONE_MATCH, value);
    if (last.n != 0)
        CHECK(conditional_check(&h, last, -1, IF_MODIFIED_SINCE_EXACT, 0) == CONDITIONAL_NOT_MODIFIED);
    h.at[0].id = FIELD_IF_MODIFIED_SINCE;
    CHECK(conditional_check(&h, last, -1, IF_MODIFIED_SINCE_EXACT, 0) == CONDITIONAL_GO_ON);
    CHECK(!range_if_range(value, STR_NONE, -1, 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const uint64_t sizes[] = {0, 1, 10, 1000, UINT32_MAX, INT64_MAX};
    if (size < 2 || size > 4096)
        return 0;
    struct str value = str_n((const char *)data + 2, size - 2);
    struct arena arena;
    arena_init(&arena, NULL);
    fuzz_ranges(value, sizes[data[0] % ARRAY_LEN(sizes)], data[1] & 1 ? data[1] : SIZE_MAX, &arena);
    fuzz_tags(value, &arena);
    arena_done(&arena);
    return 0;
}
