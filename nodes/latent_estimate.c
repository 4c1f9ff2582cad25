/* latent_estimate.c - what a state on the way is expected to become: its clean estimate. */
#include "graph/records.h"
#include "node.h"

typedef struct params {
    const tb_value *latent;
} params;

static const tb_input_def inputs[] = {
    TB_IN_PORT(params, latent, "LATENT", 0, "What sampler_step gives."),
    { 0 },
};

static const tb_output_def outputs[] = {
    { .name = "latent", .type = "LATENT", .shape = "C,T,H,W", .doc = "A latent without noise." },
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
    const tb_tensor *x = tb_record_f32(p->latent, "the latent", "samples", 4, err), *clean;
    if (!x)
        return TB_EINVAL;
    TB_TRY(tb_record_f32_like(p->latent, "the latent", "x0", tb_tensor_shape(x), &clean, err));
    tb_value *out = tb_record_copy(p->latent);
    tb_latent_forget(out);
    tb_record_set_take(
        out, "samples",
        tb_value_tensor_take(tb_tensor_ref((tb_tensor *)(uintptr_t)(clean ? clean : x))));
    tb_record_set_take(out, "state", tb_value_string("clean"));
    tb_job_set_take(job, 0, out);
    return TB_OK;
}

const tb_node_def tb_node_latent_estimate = {
    .abi = TB_NODE_ABI,
    .version = 1,
    .name = "latent_estimate",
    .title = "Clean estimate",
    .category = "latent",
    .doc = "What a latent that is still noisy is expected to become; others pass as they are.",
    .flags = TB_NODE_FORGET,
    .params_size = sizeof(params),
    .inputs = inputs,
    .outputs = outputs,
    .plan = plan,
    .run = run,
    .example = "local m = tb.load_model {}\n"
               "local x = tb.noise_init { model = m.model, size = \"32x32\", frames = 1 }\n"
               "return tb.latent_estimate { latent = x }",
};
