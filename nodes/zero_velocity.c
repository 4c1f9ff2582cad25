/* zero_velocity.c - an answer of zeros in place of the model's: the zero-init of CFG-Zero* (arXiv
 * 2503.18886), whose first step or steps leave the noise as it is.
 */
#include "graph/records.h"
#include "node.h"

typedef struct params {
    const tb_value *latent;
} params;

static const tb_input_def inputs[] = {
    TB_IN_PORT(params, latent, "LATENT", 0, "Gives the size."),
    { 0 },
};

static const tb_output_def outputs[] = {
    { .name = "velocity", .type = "VELOCITY", .shape = "C,T,H,W", .doc = "Zeros." },
    { 0 },
};

static tb_status plan(tb_job *job, const void *vp, tb_err *err)
{
    (void)vp;
    (void)err;
    tb_shape shape;
    if (tb_job_plan_shape(job, "latent", &shape))
        tb_job_plan_output(job, 0, TB_F32, &shape);
    return TB_OK;
}

static tb_status run(tb_job *job, const void *vp, tb_err *err)
{
    const params *p = vp;
    const tb_tensor *x = tb_record_f32(p->latent, "the latent", "samples", 4, err);
    tb_tensor *zeros = x ? tb_tensor_new_zero(TB_F32, tb_tensor_shape(x), err) : NULL;
    if (!zeros)
        return err->status;
    tb_job_set_take(job, 0, tb_value_tensor_take(zeros));
    return TB_OK;
}

const tb_node_def tb_node_zero_velocity = {
    .abi = TB_NODE_ABI,
    .version = 1,
    .name = "zero_velocity",
    .title = "Zero velocity",
    .category = "sampling",
    .doc = "Stands in for the model's answer in steps that leave the noise as it is.",
    .flags = TB_NODE_FORGET,
    .params_size = sizeof(params),
    .inputs = inputs,
    .outputs = outputs,
    .plan = plan,
    .run = run,
    .example = "local m = tb.load_model {}\n"
               "return tb.zero_velocity {\n"
               "  latent = tb.noise_init { model = m.model, size = \"32x32\", frames = 1 },\n"
               "}",
};
