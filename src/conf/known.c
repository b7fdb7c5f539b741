// Which module of nginx documents a directive.
#include "conf/build.h"
#include "conf/known.h"

const char *known_module(struct str directive) {
    size_t low = 0, high = ARRAY_LEN(known_directives);
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int order = str_cmp(directive, str_c(known_directives[mid].name));
        if (order == 0)
            return known_modules[known_directives[mid].module];
        if (order < 0)
            high = mid;
        else
            low = mid + 1;
    }
    return NULL;
}
