/* list_part.c - some elements of a list, as a node is called with them: the last one repeats. */
#include "node.h"

typedef struct params {
    const tb_value *values;
    int64_t first, last;
} params;

static const tb_input_def inputs[] = {
    TB_IN_PORT(params, values, "*", TB_IN_LIST, "The list."),
    TB_IN_INT(params, first, 0, 0, INT32_MAX, "", "Element to begin with, from 0."),
    TB_IN_INT(params, last, -1, -1, INT32_MAX, "", "Element to end with; -1: the last one."),
    { 0 },
};

static const tb_output_def outputs[] = {
    { .name = "values",
      .type = "*",
      .is_list = true,
      .doc = "These elements; behind its end the last of the list." },
    { 0 },
};

static tb_status run(tb_job *job, const void *vp, tb_err *err)
{
    const params *p = vp;
    const int64_t end = tb_list_count(p->values) - 1;
    (void)err;
    if (end < 0)
        return TB_OK;
    const int64_t first = p->first < end ? p->first : end;
    const int64_t last = p->last >= 0 && p->last < end ? p->last : end;
    for (int64_t i = first; i <= last; i++)
        tb_job_set_take(job, 0, tb_value_ref(tb_list_at(p->values, (int)i)));
    return TB_OK;
}

const tb_node_def tb_node_list_part = {
    .abi = TB_NODE_ABI,
    .version = 1,
    .name = "list_part",
    .title = "Part of a list",
    .category = "logic",
    .doc = "Some elements of a list of values.",
    .flags = TB_NODE_INLINE | TB_NODE_BLOCKED,
    .params_size = sizeof(params),
    .inputs = inputs,
    .outputs = outputs,
    .run = run,
    .example = "return tb.list_part { values = tb.list_join { a = 1, b = 2 }, last = 1 }",
};
