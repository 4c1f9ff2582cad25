/* tokenizer_utf8.c - UTF-8, one character at a time. */
#include "formats/tokenizer_utf8.h"

static int length_of(uint8_t lead)
{
    return lead < 0x80   ? 1
           : lead < 0xc2 ? 0
           : lead < 0xe0 ? 2
           : lead < 0xf0 ? 3
           : lead < 0xf5 ? 4
                         : 0;
}

int tb_utf8_decode(const char *s, size_t n, uint32_t *code)
{
    static const uint32_t smallest[] = { 0, 0, 0x80, 0x800, 0x10000 };
    static const uint8_t mask[] = { 0, 0x7f, 0x1f, 0x0f, 0x07 };
    const int len = length_of((uint8_t)*s);
    if (!len || (size_t)len > n)
        return 0;
    uint32_t c = (uint8_t)*s & mask[len];
    for (int i = 1; i < len; i++) {
        if (((uint8_t)s[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | ((uint8_t)s[i] & 0x3f);
    }
    if (c < smallest[len] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
        return 0;
    if (code)
        *code = c;
    return len;
}

int tb_utf8_encode(uint32_t c, char out[4])
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    const int len = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const uint8_t lead[] = { 0, 0, 0xc0, 0xe0, 0xf0 };
    for (int i = len - 1; i > 0; i--, c >>= 6)
        out[i] = (char)(0x80 | (c & 0x3f));
    out[0] = (char)(lead[len] | c);
    return len;
}

bool tb_utf8_is_space(uint32_t c)
{
    return (c >= 9 && c <= 13) || c == ' ' || c == 0x85 || c == 0xa0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f ||
           c == 0x205f || c == 0x3000;
}
