/* string_format.c - a text with places for values. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "node.h"

typedef struct params {
    const char *template;
    const tb_value *a, *b, *c, *d;
} params;

static const tb_input_def inputs[] = {
    TB_IN_STRING(
        params, template, NULL, TB_IN_MULTILINE,
        "{a} .. {d} are places; {a:04} fills with zeros, {a:.2} rounds; {{ and }} are braces."),
    TB_IN_PORT(params, a, "*", TB_IN_OPTIONAL, "What {a} stands for."),
    TB_IN_PORT(params, b, "*", TB_IN_OPTIONAL, "What {b} stands for."),
    TB_IN_PORT(params, c, "*", TB_IN_OPTIONAL, "What {c} stands for."),
    TB_IN_PORT(params, d, "*", TB_IN_OPTIONAL, "What {d} stands for."),
    { 0 },
};

static const tb_output_def outputs[] = {
    { .name = "text", .type = "STRING", .doc = "The text with the values in their places." },
    { 0 },
};

/* A place: "{a}", "{a:04}", "{a:8.3}". */
typedef struct place {
    char name;
    bool zeros;
    int width, digits; /* digits < 0: as many as it takes */
} place;

static bool read_number(const char **s, int *out)
{
    const char *start = *s;
    for (*out = 0; isdigit((unsigned char)**s) && *s - start < 2; ++*s)
        *out = *out * 10 + (**s - '0');
    return *s > start;
}

/* *s stands behind the "{" and moves behind the "}". */
static bool read_place(const char **s, place *p)
{
    *p = (place){ .name = **s, .digits = -1 };
    if (p->name < 'a' || p->name > 'd')
        return false;
    ++*s;
    if (**s == ':') {
        ++*s;
        p->zeros = **s == '0';
        read_number(s, &p->width);
        if (**s == '.') {
            ++*s;
            if (!read_number(s, &p->digits))
                return false;
        }
    }
    return *(*s)++ == '}';
}

static tb_status put_value(tb_str *out, const place *p, const tb_value *v, tb_err *err)
{
    switch (tb_value_kind(v)) {
    case TB_STRING: tb_str_addf(out, "%*s", p->width, tb_value_as_string(v)); return TB_OK;
    case TB_BOOLEAN: tb_str_add(out, tb_value_as_bool(v) ? "true" : "false"); return TB_OK;
    case TB_INT:
        tb_str_addf(out, p->zeros ? "%0*lld" : "%*lld", p->width, (long long)tb_value_as_int(v));
        return TB_OK;
    case TB_FLOAT:
        if (p->digits < 0)
            tb_str_addf(out, p->zeros ? "%0*.10g" : "%*.10g", p->width, tb_value_as_float(v));
        else
            tb_str_addf(out, p->zeros ? "%0*.*f" : "%*.*f", p->width, p->digits,
                        tb_value_as_float(v));
        return TB_OK;
    case TB_NONE:
    case TB_TENSOR:
    case TB_RECORD:
    case TB_LIST: break;
    }
    return tb_err_set(
        err, TB_EINVAL, "%c must be a text, a number or a boolean to stand in a text, got %s",
        p->name, tb_value_kind(v) == TB_TENSOR ? "a tensor" : "another kind of value");
}

static tb_status put_place(tb_str *out, const char **s, const params *p, tb_err *err)
{
    const char *start = *s;
    place at;
    if (!read_place(s, &at))
        return tb_err_set(
            err, TB_EINVAL,
            "template must have {a}, {b}, {c} or {d} as places and {{ for a brace, got '%.20s'",
            start - 1);
    const tb_value *const values[] = { p->a, p->b, p->c, p->d };
    const tb_value *v = values[at.name - 'a'];
    if (!v)
        return tb_err_set(err, TB_EINVAL, "template has a place {%c}, but %c is not connected",
                          at.name, at.name);
    return put_value(out, &at, v, err);
}

static tb_status fill(tb_str *out, const params *p, tb_err *err)
{
    for (const char *s = p->template; *s;) {
        const size_t plain = strcspn(s, "{}");
        tb_str_addn(out, s, plain);
        s += plain;
        if (!*s)
            break;
        if (s[1] == s[0]) {
            tb_str_addn(out, s, 1);
            s += 2;
        } else if (*s++ == '{') {
            TB_TRY(put_place(out, &s, p, err));
        } else {
            return tb_err_set(err, TB_EINVAL, "template has a } without a {; write }} for a brace");
        }
    }
    return TB_OK;
}

static tb_status run(tb_job *job, const void *vp, tb_err *err)
{
    tb_str out = TB_STR_INIT;
    tb_str_add(&out, "");
    const tb_status st = fill(&out, vp, err);
    if (st == TB_OK)
        tb_job_set_take(job, 0, tb_value_string(out.s));
    tb_str_free(&out);
    return st;
}

const tb_node_def tb_node_string_format = {
    .abi = TB_NODE_ABI,
    .version = 1,
    .name = "string_format",
    .title = "Format text",
    .category = "text",
    .doc = "Put values into the places of a text.",
    .flags = TB_NODE_INLINE,
    .params_size = sizeof(params),
    .inputs = inputs,
    .outputs = outputs,
    .run = run,
    .example =
        "return tb.string_format { template = \"{a} in {b}\", a = \"a ball\", b = \"the rain\" }",
};
