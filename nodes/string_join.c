/* string_join.c - texts one behind the other. */
#include <stdlib.h>

#include "base/str.h"
#include "node.h"

typedef struct params {
    const tb_value *texts;
    const char *separator;
} params;

static const tb_input_def inputs[] = {
    TB_IN_PORT(params, texts, "*", TB_IN_LIST, "A list of texts and numbers."),
    TB_IN_STRING(params, separator, ", ", 0, "What stands between them."),
    { 0 },
};

static const tb_output_def outputs[] = {
    { .name = "text", .type = "STRING", .doc = "All of them." },
    { 0 },
};

/* Lists inside lists are taken apart: a literal list is one value. */
static tb_status add(tb_str *out, const tb_value *v, const char *separator, bool *first,
                     tb_err *err)
{
    const tb_kind k = tb_value_kind(v);
    if (k == TB_LIST) {
        for (int i = 0; i < tb_list_count(v); i++)
            TB_TRY(add(out, tb_list_at(v, i), separator, first, err));
        return TB_OK;
    }
    if (!*first)
        tb_str_add(out, separator);
    *first = false;
    if (k == TB_STRING)
        tb_str_add(out, tb_value_as_string(v));
    else if (k == TB_INT)
        tb_str_addf(out, "%lld", (long long)tb_value_as_int(v));
    else if (k == TB_FLOAT)
        tb_str_addf(out, "%.10g", tb_value_as_float(v));
    else
        return tb_err_set(err, TB_EINVAL, "texts must be a list of texts and numbers, got %s in it",
                          k == TB_BOOLEAN  ? "a boolean"
                          : k == TB_TENSOR ? "a tensor"
                                           : "another kind of value");
    return TB_OK;
}

static tb_status run(tb_job *job, const void *vp, tb_err *err)
{
    const params *p = vp;
    tb_str out = TB_STR_INIT;
    bool first = true;
    tb_str_add(&out, "");
    const tb_status st = add(&out, p->texts, p->separator, &first, err);
    if (st == TB_OK)
        tb_job_set_take(job, 0, tb_value_string(out.s));
    tb_str_free(&out);
    return st;
}

const tb_node_def tb_node_string_join = {
    .abi = TB_NODE_ABI,
    .version = 1,
    .name = "string_join",
    .title = "Join texts",
    .category = "text",
    .doc = "Put texts one behind the other.",
    .flags = TB_NODE_INLINE,
    .params_size = sizeof(params),
    .inputs = inputs,
    .outputs = outputs,
    .run = run,
    .example = "return tb.string_join { texts = { \"a red ball\", \"by day\" } }",
};
