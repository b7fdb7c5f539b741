// Hexadecimal digits, for the formats of this room.
#pragma once
#include "base/str.h"

static inline int hex_digit(unsigned char c) { // its value, or -1
    if (ascii_is_digit(c))
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}
