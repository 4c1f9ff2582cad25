/* constant_string.c - a text to be linked to several inputs. */
#include "node.h"

typedef struct params {
    const char *value;
} params;

static const tb_input_def inputs[] = {
    TB_IN_STRING(params, value, "", TB_IN_MULTILINE, "The text."),
    { 0 },
};

static const tb_output_def outputs[] = {
    { .name = "value", .type = "STRING", .doc = "The same." },
    { 0 },
};

static tb_status run(tb_job *job, const void *vp, tb_err *err)
{
    const params *p = vp;
    (void)err;
    tb_job_set_take(job, 0, tb_value_string(p->value));
    return TB_OK;
}

const tb_node_def tb_node_constant_string = {
    .abi = TB_NODE_ABI,
    .version = 1,
    .name = "constant_string",
    .title = "Text",
    .category = "constant",
    .doc = "A text, to be linked to several inputs.",
    .flags = TB_NODE_INLINE,
    .params_size = sizeof(params),
    .inputs = inputs,
    .outputs = outputs,
    .run = run,
    .example = "return tb.constant_string { value = \"a ball\" }",
};
