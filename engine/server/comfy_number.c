/* comfy_number.c - JSON with integers beyond 2^63-1.
 *
 * ComfyUI's seeds go to 2^64-1, the engine's integers are signed. Such a number loses 2^63 on the
 * way in: all seeds are taken, and two of them give different noise unless they are exactly 2^63
 * apart. What is stored and told back is the number that ran.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "server/comfy_internal.h"

enum { DIGITS = 19 }; /* fewer fit always */

static size_t string_length(const char *s, const char *end)
{
    const char *p = s + 1;
    while (p < end && *p != '"')
        p += *p == '\\' && p + 1 < end ? 2 : 1;
    return (size_t)(p < end ? p + 1 - s : end - s);
}

static size_t number_length(const char *s, const char *end)
{
    const char *p = s;
    while (p < end && strchr("+-.0123456789eE", *p) && *p)
        p++;
    return (size_t)(p - s);
}

static void add_number(tb_str *out, const char *s, size_t n)
{
    char digits[24];
    char *stop;
    errno = 0;
    if (n >= DIGITS && n < sizeof digits && *s != '-') {
        memcpy(digits, s, n);
        digits[n] = 0;
        const unsigned long long v = strtoull(digits, &stop, 10);
        if (*stop == 0 && errno == 0 && v > INT64_MAX) {
            tb_str_addf(out, "%llu", v - INT64_MAX - 1);
            return;
        }
    }
    tb_str_addn(out, s, n);
}

json_t *tbs_parse_unsigned(const char *text, size_t n, tb_err *err)
{
    tb_str out = TB_STR_INIT;
    const char *end = text + n;
    for (const char *p = text; p < end;) {
        const bool digit = *p >= '0' && *p <= '9';
        size_t k = 1;
        if (*p == '"') {
            k = string_length(p, end);
            tb_str_addn(&out, p, k);
        } else if (digit || *p == '-') {
            k = number_length(p, end);
            add_number(&out, p, k);
        } else {
            tb_str_addn(&out, p, 1);
        }
        p += k;
    }
    json_t *j = tb_json_parse(out.s ? out.s : "", out.len, "the body", err);
    tb_str_free(&out);
    return j;
}
