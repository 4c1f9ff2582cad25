/* unsupported.c - stands in a composite for what cannot be computed yet.
 *
 * A workflow that holds such a part runs as long as nothing asks for it.
 */
#include "node.h"

typedef struct params {
    const char *what, *instead;
} params;

static const tb_input_def inputs[] = {
    TB_IN_STRING(params, what, NULL, 0, "What cannot be computed, the beginning of the sentence."),
    TB_IN_STRING(params, instead, NULL, 0, "What to do, the rest of it."),
    { 0 },
};

static const tb_output_def outputs[] = {
    { .name = "value", .type = "*", .doc = "Never given." },
    { 0 },
};

static tb_status run(tb_job *job, const void *vp, tb_err *err)
{
    const params *p = vp;
    (void)job;
    return tb_err_set(err, TB_EINVAL, "%s cannot be computed yet; %s", p->what, p->instead);
}

const tb_node_def tb_node_unsupported = {
    .abi = TB_NODE_ABI,
    .version = 1,
    .name = "unsupported",
    .title = "Not supported yet",
    .category = "logic",
    .doc = "Not supported yet: fails with a sentence when it is asked for.",
    .params_size = sizeof(params),
    .inputs = inputs,
    .outputs = outputs,
    .run = run,
    .example = "local never = tb.unsupported { what = \"sound\", instead = \"leave it out\" }\n"
               "return tb.switch { condition = false, on_true = never, on_false = 1 }",
};
