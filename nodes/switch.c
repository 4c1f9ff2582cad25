/* switch.c - one of two values; the other is never computed. */
#include "node.h"

typedef struct params {
    bool condition;
    const tb_value *on_true, *on_false;
} params;

enum { CONDITION, ON_TRUE, ON_FALSE };

static const tb_input_def inputs[] = {
    TB_IN_BOOL(params, condition, true, "Which one."),
    TB_IN_PORT(params, on_true, "*", TB_IN_LAZY | TB_IN_OPTIONAL,
               "The value when condition is true."),
    TB_IN_PORT(params, on_false, "*", TB_IN_LAZY | TB_IN_OPTIONAL,
               "The value when condition is false."),
    { 0 },
};

static const tb_output_def outputs[] = {
    { .name = "value", .type = "*", .doc = "That value, unchanged." },
    { 0 },
};

static uint64_t need(const void *vp, uint64_t have)
{
    const params *p = vp;
    if (!(have & 1u << CONDITION))
        return 1u << CONDITION;
    return 1u << (p->condition ? ON_TRUE : ON_FALSE);
}

static tb_status plan(tb_job *job, const void *vp, tb_err *err)
{
    const params *p = vp;
    tb_shape shape;
    (void)err;
    if (tb_job_plan_known(job, "condition") &&
        tb_job_plan_shape(job, p->condition ? "on_true" : "on_false", &shape))
        tb_job_plan_output(job, 0, TB_F32, &shape);
    return TB_OK;
}

static tb_status run(tb_job *job, const void *vp, tb_err *err)
{
    const params *p = vp;
    const tb_value *v = p->condition ? p->on_true : p->on_false;
    if (!v)
        return tb_err_set(err, TB_EINVAL, "condition is %s, but on_%s is not connected",
                          p->condition ? "true" : "false", p->condition ? "true" : "false");
    tb_job_set_take(job, 0, tb_value_ref(v));
    return TB_OK;
}

const tb_node_def tb_node_switch = {
    .abi = TB_NODE_ABI,
    .version = 1,
    .name = "switch",
    .title = "Switch",
    .category = "logic",
    .doc = "Pass one of two values on; what leads to the other is not computed.",
    .flags = TB_NODE_INLINE,
    .params_size = sizeof(params),
    .inputs = inputs,
    .outputs = outputs,
    .plan = plan,
    .run = run,
    .need = need,
    .example = "return tb.switch { condition = true, on_true = 1, on_false = 2 }",
};
