/* params_value.c - is a value what its declaration asks for? Texts, as they come from a command
 * line, are converted.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/str.h"
#include "script/host.h"

static const char *name_of(const json_t *spec)
{
    const char *name = json_string_value(json_object_get(spec, "name"));
    return name ? name : "the value";
}

/* What was given, short, in quotes when it is text. */
static const char *shown(const json_t *v, char *buf, size_t n)
{
    char *text = json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(6));
    if (json_is_string(v))
        snprintf(buf, n, "'%.60s'", json_string_value(v));
    else
        snprintf(buf, n, "%.60s", text ? text : "?");
    free(text);
    return buf;
}

static json_t *refuse(const json_t *spec, const char *wanted, const json_t *given, tb_err *err)
{
    char got[100];
    tb_err_set(err, TB_EINVAL, "%s must be %s, got %s", name_of(spec), wanted,
               shown(given, got, sizeof got));
    return NULL;
}

/* The number itself, or NULL: "1..1000", "at least 0", "at most 30". Consumes v. */
static json_t *in_range(const json_t *spec, json_t *v, tb_err *err)
{
    const json_t *lo = json_object_get(spec, "min"), *hi = json_object_get(spec, "max");
    const double a = json_number_value(lo), b = json_number_value(hi), x = json_number_value(v);
    char wanted[80];
    if ((!lo || x >= a) && (!hi || x <= b))
        return v;
    if (lo && hi)
        snprintf(wanted, sizeof wanted, "%.15g..%.15g", a, b);
    else
        snprintf(wanted, sizeof wanted, "%s %.15g", lo ? "at least" : "at most", lo ? a : b);
    refuse(spec, wanted, v, err);
    json_decref(v);
    return NULL;
}

static json_t *convert_int(const json_t *spec, const json_t *given, tb_err *err)
{
    char *end = NULL;
    const char *text = json_string_value(given);
    long long v = json_integer_value(given);
    errno = 0;
    if (text)
        v = strtoll(text, &end, 10);
    if (json_is_real(given) && floor(json_real_value(given)) == json_real_value(given) &&
        fabs(json_real_value(given)) < 9e15)
        v = (long long)json_real_value(given);
    else if (text ? end == text || *end || errno : !json_is_integer(given))
        return refuse(spec, "an integer", given, err);
    return in_range(spec, json_integer(v), err);
}

static json_t *convert_float(const json_t *spec, const json_t *given, tb_err *err)
{
    char *end = NULL;
    const char *text = json_string_value(given);
    const double v = text ? strtod(text, &end) : json_number_value(given);
    if (text ? end == text || *end || !isfinite(v) : !json_is_number(given))
        return refuse(spec, "a number", given, err);
    return in_range(spec, json_real(v), err);
}

static json_t *convert_bool(const json_t *spec, const json_t *given, tb_err *err)
{
    static const char *const yes[] = { "true", "yes", "on", "1" };
    static const char *const no[] = { "false", "no", "off", "0" };
    const char *text = json_string_value(given);
    if (json_is_boolean(given))
        return json_boolean(json_is_true(given));
    for (size_t i = 0; text && i < sizeof yes / sizeof *yes; i++)
        if (strcasecmp(text, yes[i]) == 0 || strcasecmp(text, no[i]) == 0)
            return json_boolean(strcasecmp(text, yes[i]) == 0);
    return refuse(spec, "true or false", given, err);
}

static json_t *convert_choice(const json_t *spec, const json_t *given, tb_err *err)
{
    tb_str wanted = TB_STR_INIT;
    size_t i;
    json_t *choice;
    const json_t *list = json_object_get(spec, "choices");
    if (!list && json_is_string(given)) /* of files: looked for when the graph is checked */
        return json_incref((json_t *)(uintptr_t)given);
    json_array_foreach(list, i, choice)
    {
        if (json_equal(choice, given)) {
            tb_str_free(&wanted);
            return json_incref(choice);
        }
        tb_str_addf(&wanted, "%s%s", i ? ", " : "one of ", json_string_value(choice));
    }
    refuse(spec, wanted.len ? wanted.s : "one of none", given, err);
    tb_str_free(&wanted);
    return NULL;
}

json_t *tbi_param_convert(const json_t *spec, const json_t *given, tb_err *err)
{
    const char *type = json_string_value(json_object_get(spec, "type"));
    if (strcmp(type, "INT") == 0)
        return convert_int(spec, given, err);
    if (strcmp(type, "FLOAT") == 0)
        return convert_float(spec, given, err);
    if (strcmp(type, "BOOLEAN") == 0)
        return convert_bool(spec, given, err);
    if (strcmp(type, "COMBO") == 0)
        return convert_choice(spec, given, err);
    if (strcmp(type, "STRING") == 0)
        return json_is_string(given) ? json_deep_copy(given) : refuse(spec, "text", given, err);
    return json_deep_copy(given);
}
