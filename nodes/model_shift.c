/* model_shift.c - another flow shift for a model; schedules ask the model for it. */
#include "node.h"

typedef struct params {
    const tb_value *model;
    double shift;
} params;

static const tb_input_def inputs[] = {
    TB_IN_PORT(params, model, "MODEL", 0, "The diffusion transformer."),
    TB_IN_FLOAT(params, shift, 3, 0, 100, "",
                "Moves steps towards the noisy end; 0: let the schedule choose."),
    { 0 },
};

static const tb_output_def outputs[] = {
    { .name = "model", .type = "MODEL", .doc = "The same weights, with that shift." },
    { 0 },
};

static tb_status run(tb_job *job, const void *vp, tb_err *err)
{
    const params *p = vp;
    if (tb_value_kind(p->model) != TB_RECORD)
        return tb_err_set(err, TB_EINVAL, "model must be one that load_model gives as 'model'");
    tb_value *model = tb_record_copy(p->model);
    tb_record_set_take(model, "shift", tb_value_float(p->shift));
    tb_job_set_take(job, 0, model);
    return TB_OK;
}

const tb_node_def tb_node_model_shift = {
    .abi = TB_NODE_ABI,
    .version = 1,
    .name = "model_shift",
    .title = "Flow shift",
    .category = "model",
    .doc = "Gives a model another flow shift.",
    .flags = TB_NODE_INLINE | TB_NODE_FORGET,
    .params_size = sizeof(params),
    .inputs = inputs,
    .outputs = outputs,
    .run = run,
    .example = "return tb.model_shift { model = tb.load_model {}.model, shift = 5 }",
};
