/* json.c - what we add to jansson. */
#include "base/json.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/str.h"

#define LONG_FIELD "\"$int\":"

/* ------------------------------------------------------------------ integers beyond 63 bits: in */

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
    while (p < end && *p && strchr("+-.0123456789eE", *p))
        p++;
    return (size_t)(p - s);
}

/* Copied as it is, or as the object that stands for it. */
static void add_number(tb_str *out, const char *s, size_t n)
{
    const bool whole = strspn(s, "-0123456789") >= n;
    char *digits = tb_xstrndup(s, n);
    errno = 0;
    if (whole)
        strtoll(digits, NULL, 10);
    if (whole && errno == ERANGE)
        tb_str_addf(out, "{" LONG_FIELD "\"%s\"}", digits);
    else
        tb_str_addn(out, s, n);
    free(digits);
}

/* The text with the integers written in their long form. */
static tb_str with_long_ints(const char *text, size_t n)
{
    tb_str out = TB_STR_INIT;
    const char *end = text + n;
    for (const char *p = text; p < end;) {
        size_t k = 1;
        if (*p == '"') {
            k = string_length(p, end);
            tb_str_addn(&out, p, k);
        } else if ((*p >= '0' && *p <= '9') || *p == '-') {
            k = number_length(p, end);
            add_number(&out, p, k);
        } else {
            tb_str_addn(&out, p, 1);
        }
        p += k;
    }
    return out;
}

static json_t *load(const char *text, size_t n, json_error_t *je)
{
    return json_loadb(text, n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, je);
}

json_t *tb_json_parse(const char *text, size_t n, const char *what, tb_err *err)
{
    json_error_t je, again;
    json_t *v = load(text, n, &je);
    if (!v && json_error_code(&je) == json_error_numeric_overflow) {
        tb_str longer = with_long_ints(text, n);
        v = load(longer.s, longer.len, &again);
        tb_str_free(&longer);
    }
    if (!v)
        tb_err_set(err, TB_EFORMAT, "%s is not valid JSON: %s at line %d, column %d", what, je.text,
                   je.line, je.column);
    return v;
}

json_t *tb_json_load(const char *path, size_t max_bytes, tb_err *err)
{
    char *text = NULL;
    size_t n = 0;
    if (tb_fs_read(path, max_bytes, &text, &n, err) != TB_OK)
        return NULL;
    json_t *v = tb_json_parse(text, n, path, err);
    free(text);
    return v;
}

char *tb_json_canonical(const json_t *v)
{
    return json_dumps(v, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY | JSON_REAL_PRECISION(17));
}

char *tb_json_pretty(const json_t *v)
{
    return tb_json_long_ints_take(
        json_dumps(v, JSON_INDENT(2) | JSON_ENCODE_ANY | JSON_REAL_PRECISION(17)));
}

/* ----------------------------------------------------------------------------------------- out */

const char *tb_json_long_int(const json_t *v)
{
    const char *digits = json_string_value(json_object_get(v, "$int"));
    const char *p = digits && *digits == '-' ? digits + 1 : digits;
    return p && *p && json_object_size(v) == 1 && strspn(p, "0123456789") == strlen(p) ? digits
                                                                                       : NULL;
}

json_t *tb_json_of_uint64(uint64_t v)
{
    char digits[24];
    if (v <= INT64_MAX)
        return json_integer((json_int_t)v);
    snprintf(digits, sizeof digits, "%" PRIu64, v);
    return json_pack("{ss}", "$int", digits);
}

#define BLANKS " \n"

/* The digits of a long integer whose field is at `field`, and all that is written for it. Inside of
 * a text the field would stand with a backslash. */
static const char *long_int_at(const char *text, const char *field, size_t *digits,
                               const char **begin, const char **end)
{
    const char *open = field, *p = field + strlen(LONG_FIELD);
    while (open > text && strchr(BLANKS, open[-1]))
        open--;
    p += strspn(p, BLANKS);
    if (open == text || open[-1] != '{' || *p != '"')
        return NULL;
    *digits = strspn(p + 1, "-0123456789");
    const char *close = p + 1 + *digits;
    if (!*digits || *close != '"')
        return NULL;
    close += 1 + strspn(close + 1, BLANKS);
    *begin = open - 1;
    *end = close + 1;
    return *close == '}' ? p + 1 : NULL;
}

char *tb_json_long_ints_take(char *text)
{
    const char *p = text, *field = text ? strstr(text, LONG_FIELD) : NULL;
    tb_str out = TB_STR_INIT;
    if (!field)
        return text;
    for (; field; field = strstr(field + 1, LONG_FIELD)) {
        const char *begin, *end;
        size_t n;
        const char *digits = long_int_at(p, field, &n, &begin, &end);
        if (!digits)
            continue;
        tb_str_addn(&out, p, (size_t)(begin - p));
        tb_str_addn(&out, digits, n);
        p = end;
    }
    tb_str_add(&out, p);
    free(text);
    return tb_str_take(&out);
}
