// Names as variables spell them.
#include "wire/head.h"

bool field_is_variable(struct str field, struct str variable) {
    if (field.n != variable.n)
        return false;
    for (size_t i = 0; i < field.n; i++) {
        unsigned char c = ascii_lower((unsigned char)field.p[i]);
        if ((c == '-' ? '_' : c) != ascii_lower((unsigned char)variable.p[i]))
            return false;
    }
    return true;
}

bool cookie_find(struct str cookies, struct str name, struct str *value) {
    struct str rest = cookies, pair;
    while (str_split(&rest, ';', &pair)) {
        pair = str_trim(pair);
        ssize_t eq = str_chr(pair, '=');
        if (eq >= 0 && str_ieq(str_trim(str_head(pair, (size_t)eq)), name)) {
            *value = str_trim(str_from(pair, (size_t)eq + 1));
            return true;
        }
    }
    return false;
}
