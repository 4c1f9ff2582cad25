/* lua_text.c - names, texts, numbers and tables as Lua source. */
#include "script/lua_text.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define MAX_DEPTH 32

/* ------------------------------------------------------------------------------ Lua's tokens */

static bool is_identifier(const char *s)
{
    static const char *const words[] = { "and",   "break", "do",       "else", "elseif", "end",
                                         "false", "for",   "function", "goto", "if",     "in",
                                         "local", "nil",   "not",      "or",   "repeat", "return",
                                         "then",  "true",  "until",    "while" };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(s, words[i]) == 0)
            return false;
    if (!*s || (*s >= '0' && *s <= '9'))
        return false;
    return strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") ==
           strlen(s);
}

void tbi_lua_text(tb_str *b, const char *s, size_t n)
{
    tb_str_add(b, "\"");
    for (size_t i = 0; i < n; i++) {
        const unsigned char c = (unsigned char)s[i];
        if (c == '"' || c == '\\')
            tb_str_addf(b, "\\%c", c);
        else if (c == '\n')
            tb_str_add(b, "\\n");
        else if (c < ' ' || c == 127)
            tb_str_addf(b, "\\%03d", c);
        else
            tb_str_addn(b, &s[i], 1);
    }
    tb_str_add(b, "\"");
}

/* name = or ["odd name"] = */
void tbi_lua_key(tb_str *b, const char *name)
{
    if (is_identifier(name)) {
        tb_str_add(b, name);
    } else {
        tb_str_add(b, "[");
        tbi_lua_text(b, name, strlen(name));
        tb_str_add(b, "]");
    }
    tb_str_add(b, " = ");
}

/* base.name or base["odd name"] */
void tbi_lua_field(tb_str *b, const char *base, const char *name)
{
    tb_str_add(b, base);
    if (is_identifier(name)) {
        tb_str_addf(b, ".%s", name);
        return;
    }
    tb_str_add(b, "[");
    tbi_lua_text(b, name, strlen(name));
    tb_str_add(b, "]");
}

/* The shortest digits that give the number back, with a point: 5.0 is no integer. */
static void put_real(tb_str *b, double v)
{
    char text[40];
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, v);
        if (strtod(text, NULL) == v)
            break;
    }
    tb_str_addf(b, "%s%s", text, strpbrk(text, ".en") ? "" : ".0");
}

/* ---------------------------------------------------------------------------------- literals */

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Keys of an object, sorted. Freed by free(). */
const char **tbi_sorted_keys(const json_t *object, size_t *n)
{
    const char **keys = tb_xcalloc(json_object_size(object) + 1, sizeof *keys), *key;
    json_t *value;
    *n = 0;
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        (void)value;
        keys[(*n)++] = key;
    }
    qsort(keys, *n, sizeof *keys, by_text);
    return keys;
}

static tb_status put_literal(tb_str *b, const json_t *v, int depth, tb_err *err);

static tb_status put_list(tb_str *b, const json_t *list, int depth, tb_err *err)
{
    size_t i;
    json_t *element;
    tb_str_add(b, "{");
    json_array_foreach(list, i, element)
    {
        tb_str_add(b, i ? ", " : " ");
        TB_TRY(put_literal(b, element, depth + 1, err));
    }
    tb_str_add(b, i ? " }" : "}");
    return TB_OK;
}

static tb_status put_object(tb_str *b, const json_t *object, int depth, tb_err *err)
{
    size_t n;
    tb_status st = TB_OK;
    if (json_object_size(object) == 0)
        return tb_err_set(err, TB_EINVAL,
                          "an empty object cannot be written as Lua, where it is a list");
    const char **keys = tbi_sorted_keys(object, &n);
    tb_str_add(b, "{ ");
    for (size_t i = 0; i < n && st == TB_OK; i++) {
        tb_str_add(b, i ? ", " : "");
        tbi_lua_key(b, keys[i]);
        st = put_literal(b, json_object_get(object, keys[i]), depth + 1, err);
    }
    tb_str_add(b, " }");
    free(keys);
    return st;
}

static tb_status put_literal(tb_str *b, const json_t *v, int depth, tb_err *err)
{
    const json_t *wrapped = depth == 0 ? json_object_get(v, "__value__") : NULL;
    if (depth > MAX_DEPTH)
        return tb_err_set(err, TB_ELIMIT, "a literal is nested deeper than %d", MAX_DEPTH);
    switch (json_typeof(v)) {
    case JSON_TRUE: tb_str_add(b, "true"); break;
    case JSON_FALSE: tb_str_add(b, "false"); break;
    case JSON_INTEGER: tb_str_addf(b, "%lld", (long long)json_integer_value(v)); break;
    case JSON_REAL: put_real(b, json_real_value(v)); break;
    case JSON_STRING: tbi_lua_text(b, json_string_value(v), json_string_length(v)); break;
    case JSON_ARRAY:
        if (depth == 0)
            return tb_err_set(err, TB_EINVAL, "a literal list is written { \"__value__\": [...] }");
        return put_list(b, v, depth, err);
    case JSON_OBJECT:
        if (tb_json_long_int(v)) { /* Lua would take the number for a real */
            tbi_lua_text(b, tb_json_long_int(v), strlen(tb_json_long_int(v)));
            break;
        }
        return wrapped ? put_list(b, wrapped, depth, err) : put_object(b, v, depth, err);
    case JSON_NULL:
    default: tb_str_add(b, "tb.null");
    }
    return TB_OK;
}

tb_status tbi_lua_literal(tb_str *b, const json_t *v, tb_err *err)
{
    return put_literal(b, v, 0, err);
}

tb_status tbi_lua_plain(tb_str *b, const json_t *v, tb_err *err)
{
    return put_literal(b, v, 1, err);
}
