/* latent_blend.c - between two latents of the same size. */
#include "models/tensor_ops.h"
#include "node.h"

typedef struct params {
    const tb_value *a, *b;
    double amount;
    const char *mode;
} params;

static const tb_input_def inputs[] = {
    TB_IN_PORT(params, a, "LATENT", 0, "The latent at amount 0."),
    TB_IN_PORT(params, b, "LATENT", 0, "The latent at amount 1."),
    TB_IN_FLOAT(params, amount, 0.5, 0, 1, "", "How much of b."),
    TB_IN_COMBO(params, mode, "mix", "mix|slerp",
                "mix: straight. slerp: along an arc, which keeps the strength of noise."),
    { 0 },
};

static const tb_output_def outputs[] = {
    { .name = "latent", .type = "LATENT", .shape = "C,T,H,W", .doc = "What lies between." },
    { 0 },
};

static tb_tensor *blend(void *ctx, const tb_tensor *const *in, int n, tb_err *err)
{
    const params *p = ctx;
    (void)n;
    return p->mode[0] == 's' ? tb_tensor_slerp(in[0], in[1], p->amount, err)
                             : tb_tensor_mix(in[0], in[1], p->amount, err);
}

static tb_status run(tb_job *job, const void *vp, tb_err *err)
{
    params p = *(const params *)vp;
    const tb_value *both[] = { p.a, p.b };
    if (!tb_value_want(p.a, "samples", &TB_SHAPE(-1, -1, -1, -1),
                       "a must be LATENT with samples f32 [channels,frames,height,width]", err) ||
        !tb_value_want(p.b, "samples", &TB_SHAPE(-1, -1, -1, -1),
                       "b must be LATENT with samples f32 [channels,frames,height,width]", err))
        return err->status;
    tb_value *out = tb_record_map(both, 2, "samples", blend, &p, err);
    if (!out)
        return err->status;
    tb_job_set_take(job, 0, out);
    return TB_OK;
}

static tb_status plan(tb_job *job, const void *vp, tb_err *err)
{
    tb_shape shape;
    (void)vp, (void)err;
    if (tb_job_plan_shape(job, "a", &shape))
        tb_job_plan_output(job, 0, TB_F32, &shape);
    return TB_OK;
}

const tb_node_def tb_node_latent_blend = {
    .abi = TB_NODE_ABI,
    .version = 1,
    .name = "latent_blend",
    .title = "Blend latents",
    .category = "latent",
    .doc = "Go part of the way from one latent to another.",
    .params_size = sizeof(params),
    .inputs = inputs,
    .outputs = outputs,
    .plan = plan,
    .run = run,
    .example =
        "local m = tb.load_model {}\n"
        "local function noise(seed)\n"
        "  return tb.noise_init { model = m.model, size = \"32x32\", frames = 1, seed = seed }\n"
        "end\n"
        "return tb.latent_blend { a = noise(1), b = noise(2), amount = 0.5, mode = \"slerp\" }",
};
