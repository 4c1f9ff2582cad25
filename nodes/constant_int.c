/* constant_int.c - an integer to be linked to several inputs. */
#include "node.h"

typedef struct params {
    int64_t value;
} params;

static const tb_input_def inputs[] = {
    TB_IN_INT(params, value, 0, INT64_MIN, INT64_MAX, "", "The number."),
    { 0 },
};

static const tb_output_def outputs[] = {
    { .name = "value", .type = "INT", .doc = "The same." },
    { 0 },
};

static tb_status run(tb_job *job, const void *vp, tb_err *err)
{
    const params *p = vp;
    (void)err;
    tb_job_set_take(job, 0, tb_value_int(p->value));
    return TB_OK;
}

const tb_node_def tb_node_constant_int = {
    .abi = TB_NODE_ABI,
    .version = 1,
    .name = "constant_int",
    .title = "Integer",
    .category = "constant",
    .doc = "A whole number, to be linked to several inputs.",
    .flags = TB_NODE_INLINE,
    .params_size = sizeof(params),
    .inputs = inputs,
    .outputs = outputs,
    .run = run,
    .example = "return tb.constant_int { value = 7 }",
};
