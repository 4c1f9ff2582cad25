/* constant_boolean.c - true or false to be linked to several inputs. */
#include "node.h"

typedef struct params {
    bool value;
} params;

static const tb_input_def inputs[] = {
    TB_IN_BOOL(params, value, false, "Which."),
    { 0 },
};

static const tb_output_def outputs[] = {
    { .name = "value", .type = "BOOLEAN", .doc = "The same." },
    { 0 },
};

static tb_status run(tb_job *job, const void *vp, tb_err *err)
{
    const params *p = vp;
    (void)err;
    tb_job_set_take(job, 0, tb_value_bool(p->value));
    return TB_OK;
}

const tb_node_def tb_node_constant_boolean = {
    .abi = TB_NODE_ABI,
    .version = 1,
    .name = "constant_boolean",
    .title = "Yes or no",
    .category = "constant",
    .doc = "True or false, to be linked to several inputs.",
    .flags = TB_NODE_INLINE,
    .params_size = sizeof(params),
    .inputs = inputs,
    .outputs = outputs,
    .run = run,
    .example = "return tb.constant_boolean { value = true }",
};
