/* list_join.c - two lists one behind the other. */
#include "node.h"

typedef struct params {
    const tb_value *a, *b;
} params;

static const tb_input_def inputs[] = {
    TB_IN_PORT(params, a, "*", TB_IN_LIST, "The values that come first."),
    TB_IN_PORT(params, b, "*", TB_IN_LIST, "The values behind them."),
    { 0 },
};

static const tb_output_def outputs[] = {
    { .name = "values", .type = "*", .is_list = true, .doc = "All of them." },
    { 0 },
};

static void add(tb_job *job, const tb_value *list)
{
    for (int i = 0; i < tb_list_count(list); i++)
        tb_job_set_take(job, 0, tb_value_ref(tb_list_at(list, i)));
}

static tb_status run(tb_job *job, const void *vp, tb_err *err)
{
    const params *p = vp;
    (void)err;
    add(job, p->a);
    add(job, p->b);
    return TB_OK;
}

const tb_node_def tb_node_list_join = {
    .abi = TB_NODE_ABI,
    .version = 1,
    .name = "list_join",
    .title = "Join lists",
    .category = "logic",
    .doc = "Two lists of values one behind the other; nodes behind it run once for each value.",
    .flags = TB_NODE_INLINE | TB_NODE_BLOCKED,
    .params_size = sizeof(params),
    .inputs = inputs,
    .outputs = outputs,
    .run = run,
    .example = "return tb.list_join { a = 1, b = 2 }",
};
