/* constant_float.c - a real number to be linked to several inputs. */
#include <float.h>

#include "node.h"

typedef struct params {
    double value;
} params;

static const tb_input_def inputs[] = {
    TB_IN_FLOAT(params, value, 0, -DBL_MAX, DBL_MAX, "", "The number."),
    { 0 },
};

static const tb_output_def outputs[] = {
    { .name = "value", .type = "FLOAT", .doc = "The same." },
    { 0 },
};

static tb_status run(tb_job *job, const void *vp, tb_err *err)
{
    const params *p = vp;
    (void)err;
    tb_job_set_take(job, 0, tb_value_float(p->value));
    return TB_OK;
}

const tb_node_def tb_node_constant_float = {
    .abi = TB_NODE_ABI,
    .version = 1,
    .name = "constant_float",
    .title = "Number",
    .category = "constant",
    .doc = "A real number, to be linked to several inputs.",
    .flags = TB_NODE_INLINE,
    .params_size = sizeof(params),
    .inputs = inputs,
    .outputs = outputs,
    .run = run,
    .example = "return tb.constant_float { value = 0.5 }",
};
