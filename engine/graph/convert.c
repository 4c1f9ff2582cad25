/* convert.c - literals and linked scalars into the declared type of an input. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "graph/program.h"

static bool is(const tb_input_def *in, const char *type)
{
    return strcmp(in->type, type) == 0;
}

static const char *const scalars[] = { "INT", "FLOAT", "STRING", "BOOLEAN", "COMBO" };

bool tb_input_is_scalar(const tb_input_def *in)
{
    for (size_t i = 0; i < sizeof scalars / sizeof *scalars; i++)
        if (is(in, scalars[i]))
            return !(in->flags & TB_IN_LIST);
    return false;
}

bool tb_input_takes_literal(const tb_input_def *in)
{
    for (const char *p = in->type; *p;) {
        const size_t k = strcspn(p, ",");
        for (size_t i = 0; i < sizeof scalars / sizeof *scalars; i++)
            if (strncmp(p, scalars[i], k) == 0 && !scalars[i][k])
                return true;
        p += k + (p[k] == ',');
    }
    return is(in, "*");
}

/* A scalar for a message: 'abc', 5, 2.5, true. */
static const char *show(const tb_value *v, char *buf, size_t n)
{
    switch (tb_value_kind(v)) {
    case TB_BOOLEAN: snprintf(buf, n, "%s", tb_value_as_bool(v) ? "true" : "false"); break;
    case TB_INT:
        snprintf(buf, n, tb_value_is_unsigned(v) ? "%llu" : "%lld", (long long)tb_value_as_int(v));
        break;
    case TB_FLOAT: snprintf(buf, n, "%.17g", tb_value_as_float(v)); break;
    case TB_STRING: snprintf(buf, n, "'%.60s'", tb_value_as_string(v)); break;
    case TB_TENSOR: snprintf(buf, n, "a tensor"); break;
    case TB_RECORD: snprintf(buf, n, "a record"); break;
    case TB_LIST: snprintf(buf, n, "a list"); break;
    case TB_NONE: snprintf(buf, n, "nothing"); break;
    }
    return buf;
}

static bool number_of(const tb_value *v, double *out)
{
    const tb_kind k = tb_value_kind(v);
    if (k == TB_INT || k == TB_FLOAT) {
        *out = tb_value_as_float(v);
        return true;
    }
    if (k != TB_STRING || !*tb_value_as_string(v))
        return false;
    char *end = NULL;
    *out = strtod(tb_value_as_string(v), &end);
    return *end == 0;
}

static bool integer_of(const tb_value *v, int64_t *out)
{
    const tb_kind k = tb_value_kind(v);
    double d = 0;
    if (k == TB_INT) {
        *out = tb_value_as_int(v);
        return !tb_value_is_unsigned(v);
    }
    if (k == TB_STRING) {
        char *end = NULL;
        errno = 0;
        *out = strtoll(tb_value_as_string(v), &end, 10);
        if (*tb_value_as_string(v) && *end == 0)
            return errno == 0;
    }
    if (!number_of(v, &d) || d != floor(d) || fabs(d) > 9007199254740992.0)
        return false;
    *out = (int64_t)d;
    return true;
}

static tb_value *wrong_type(const tb_input_def *in, const char *wanted, const tb_value *v,
                            tb_err *err)
{
    char buf[128];
    tb_err_set(err, TB_EINVAL, "%s must be %s, got %s", in->name, wanted, show(v, buf, sizeof buf));
    tb_err_reason(err, "invalid_input_type");
    return NULL;
}

static void out_of_range(bool below, tb_err *err)
{
    tb_err_reason(err, below ? "value_smaller_than_min" : "value_bigger_than_max");
}

bool tb_input_is_seed(const tb_input_def *in)
{
    return is(in, "INT") && (in->flags & TB_IN_SEED || strcmp(in->name, "seed") == 0 ||
                             strcmp(in->name, "noise_seed") == 0);
}

/* A number above INT64_MAX, perhaps as text. NULL: it is none. */
static tb_value *unsigned_of(const tb_value *v)
{
    if (tb_value_kind(v) == TB_INT && tb_value_is_unsigned(v))
        return tb_value_ref(v);
    const char *s = tb_value_kind(v) == TB_STRING ? tb_value_as_string(v) : "";
    char *end = NULL;
    errno = 0;
    const unsigned long long u = *s >= '0' && *s <= '9' ? strtoull(s, &end, 10) : 0;
    return u > INT64_MAX && *end == 0 && errno == 0 ? tb_value_uint(u) : NULL;
}

/* Seeds have 64 bits; for others it is too much. Consumes u. */
static tb_value *to_seed(const tb_input_def *in, tb_value *u, tb_err *err)
{
    char buf[40];
    if (tb_input_is_seed(in) && in->i_max == INT64_MAX)
        return u;
    tb_err_set(err, TB_EINVAL, "%s must be %lld..%lld, got %s", in->name, (long long)in->i_min,
               (long long)in->i_max, show(u, buf, sizeof buf));
    out_of_range(false, err);
    tb_value_unref(&u);
    return NULL;
}

static tb_value *to_int(const tb_input_def *in, const tb_value *v, tb_err *err)
{
    int64_t i = 0;
    tb_value *u = unsigned_of(v);
    if (u)
        return to_seed(in, u, err);
    if (!integer_of(v, &i))
        return wrong_type(in, "an integer", v, err);
    if (i >= in->i_min && i <= in->i_max)
        return tb_value_int(i);
    if (in->i_max == INT64_MAX)
        tb_err_set(err, TB_EINVAL, "%s must be %lld or more, got %lld", in->name,
                   (long long)in->i_min, (long long)i);
    else
        tb_err_set(err, TB_EINVAL, "%s must be %lld..%lld, got %lld", in->name,
                   (long long)in->i_min, (long long)in->i_max, (long long)i);
    out_of_range(i < in->i_min, err);
    return NULL;
}

static tb_value *to_float(const tb_input_def *in, const tb_value *v, tb_err *err)
{
    double f = 0;
    if (!number_of(v, &f) || isnan(f))
        return wrong_type(in, "a number", v, err);
    if (f >= in->f_min && f <= in->f_max)
        return tb_value_float(f);
    tb_err_set(err, TB_EINVAL, "%s must be %g..%g, got %g", in->name, in->f_min, in->f_max, f);
    out_of_range(f < in->f_min, err);
    return NULL;
}

static tb_value *to_bool(const tb_input_def *in, const tb_value *v, tb_err *err)
{
    const tb_kind k = tb_value_kind(v);
    if (k == TB_BOOLEAN)
        return tb_value_ref(v);
    if (k == TB_INT && (tb_value_as_int(v) == 0 || tb_value_as_int(v) == 1))
        return tb_value_bool(tb_value_as_int(v));
    if (k == TB_STRING && strcmp(tb_value_as_string(v), "true") == 0)
        return tb_value_bool(true);
    if (k == TB_STRING && strcmp(tb_value_as_string(v), "false") == 0)
        return tb_value_bool(false);
    return wrong_type(in, "true or false", v, err);
}

static bool is_choice(const char *choices, const char *s)
{
    const size_t n = strlen(s);
    for (const char *p = choices; p && *p;) {
        const size_t k = strcspn(p, "|");
        if (k == n && memcmp(p, s, n) == 0)
            return true;
        p += k + (p[k] == '|');
    }
    return false;
}

static tb_value *to_text(const tb_input_def *in, const tb_value *v, tb_err *err)
{
    char buf[128];
    const tb_kind k = tb_value_kind(v);
    if (k != TB_STRING && k != TB_INT && k != TB_FLOAT)
        return wrong_type(in, "a text", v, err);
    const char *s = k == TB_STRING ? tb_value_as_string(v) : show(v, buf, sizeof buf);
    if (is(in, "COMBO") && in->choices && !is_choice(in->choices, s)) {
        tb_err_set(err, TB_EINVAL, "%s must be one of %s, got '%.60s'", in->name, in->choices, s);
        tb_err_reason(err, "value_not_in_list");
        return NULL;
    }
    return k == TB_STRING ? tb_value_ref(v) : tb_value_string(s);
}

static tb_value *convert(const tb_input_def *in, const tb_value *v, tb_err *err)
{
    if (is(in, "INT"))
        return to_int(in, v, err);
    if (is(in, "FLOAT"))
        return to_float(in, v, err);
    if (is(in, "BOOLEAN"))
        return to_bool(in, v, err);
    return to_text(in, v, err);
}

/* ------------------------------------------------------------------------------------- lenient */

/* A number as a text that reads back as it; 5.0 stays a real. */
static tb_value *text_of_real(double f)
{
    char buf[40];
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(buf, sizeof buf, "%.*g", digits, f);
        if (strtod(buf, NULL) == f)
            break;
    }
    if (!strpbrk(buf, ".en"))
        snprintf(buf + strlen(buf), sizeof buf - strlen(buf), ".0");
    return tb_value_string(buf);
}

static tb_value *text_of_bool(bool b)
{
    return tb_value_string(b ? "True" : "False");
}

static tb_value *trimmed(const char *s)
{
    s += strspn(s, " \t\r\n");
    size_t n = strlen(s);
    while (n && strchr(" \t\r\n", s[n - 1]))
        n--;
    char *text = tb_xstrndup(s, n);
    tb_value *v = tb_value_string(text);
    free(text);
    return v;
}

static bool is_true(const tb_value *v)
{
    switch (tb_value_kind(v)) {
    case TB_NONE: return false;
    case TB_BOOLEAN: return tb_value_as_bool(v);
    case TB_INT: return tb_value_as_int(v) != 0;
    case TB_FLOAT: return tb_value_as_float(v) != 0;
    case TB_STRING: return *tb_value_as_string(v) != 0;
    case TB_LIST: return tb_list_count(v) > 0;
    case TB_RECORD: return tb_record_count(v) > 0;
    case TB_TENSOR: break;
    }
    return true;
}

/* What ComfyUI's int(), float(), str() and bool() make of a value, before it is checked. */
static tb_value *soften(const tb_input_def *in, const tb_value *v)
{
    const tb_kind k = tb_value_kind(v);
    const bool number = is(in, "INT") || is(in, "FLOAT");
    if (is(in, "BOOLEAN"))
        return tb_value_bool(is_true(v));
    if (number && k == TB_BOOLEAN)
        return tb_value_int(tb_value_as_bool(v));
    if (number && k == TB_STRING)
        return trimmed(tb_value_as_string(v));
    if (is(in, "INT") && k == TB_FLOAT)
        return tb_value_float(trunc(tb_value_as_float(v)));
    if (is(in, "STRING") && k == TB_FLOAT)
        return text_of_real(tb_value_as_float(v));
    if (is(in, "STRING") && k == TB_BOOLEAN)
        return text_of_bool(tb_value_as_bool(v));
    return tb_value_ref(v);
}

tb_value *tb_input_convert_computed(const tb_input_def *in, const tb_value *v, bool lenient,
                                    tb_err *err)
{
    const bool bits = tb_value_kind(v) == TB_INT && tb_value_as_int(v) < 0 && in->i_min == 0 &&
                      tb_input_is_seed(in);
    return bits ? tb_value_uint((uint64_t)tb_value_as_int(v))
                : tb_input_convert(in, v, lenient, err);
}

tb_value *tb_input_convert(const tb_input_def *in, const tb_value *v, bool lenient, tb_err *err)
{
    if (!tb_input_is_scalar(in))
        return tb_value_ref(v);
    tb_value *given = lenient ? soften(in, v) : tb_value_ref(v);
    tb_value *converted = convert(in, given, err);
    tb_value_unref(&given);
    return converted;
}

tb_value *tb_input_default(const tb_input_def *in)
{
    if (in->required)
        return NULL;
    if (is(in, "INT"))
        return tb_value_int(in->i_default);
    if (is(in, "FLOAT"))
        return tb_value_float(in->f_default);
    if (is(in, "BOOLEAN"))
        return tb_value_bool(in->i_default);
    return (is(in, "STRING") || is(in, "COMBO")) && in->s_default ? tb_value_string(in->s_default)
                                                                  : NULL;
}

void tb_params_fill(const tb_type *t, const tb_value *const *values, void *params)
{
    memset(params, 0, t->def->params_size);
    for (int i = 0; i < t->input_count; i++) {
        const tb_input_def *in = &t->def->inputs[i];
        void *field = (char *)params + in->offset;
        const tb_value *v = values[i];
        if (!tb_input_is_scalar(in))
            *(const tb_value **)field = v;
        else if (!v)
            continue;
        else if (is(in, "INT"))
            *(int64_t *)field = tb_value_as_int(v);
        else if (is(in, "FLOAT"))
            *(double *)field = tb_value_as_float(v);
        else if (is(in, "BOOLEAN"))
            *(bool *)field = tb_value_as_bool(v);
        else
            *(const char **)field = tb_value_as_string(v);
    }
}
