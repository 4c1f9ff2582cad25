/* latent_concat.c - two latents, one behind the other. */
#include "models/tensor_ops.h"
#include "node.h"

typedef struct params {
    const tb_value *a, *b;
    const char *axis;
} params;

static const tb_input_def inputs[] = {
    TB_IN_PORT(params, a, "LATENT", 0, "What comes first."),
    TB_IN_PORT(params, b, "LATENT", 0, "What follows."),
    TB_IN_COMBO(params, axis, "frames", "frames|height|width|channels", "Along which axis."),
    { 0 },
};

static const tb_output_def outputs[] = {
    { .name = "latent", .type = "LATENT", .shape = "C,T,H,W", .doc = "Both." },
    { 0 },
};

static int axis_of(const params *p)
{
    return p->axis[0] == 'c' ? 0 : p->axis[0] == 'f' ? 1 : p->axis[0] == 'h' ? 2 : 3;
}

static tb_status plan(tb_job *job, const void *vp, tb_err *err)
{
    const params *p = vp;
    tb_shape a, b;
    (void)err;
    if (!tb_job_plan_known(job, "axis") || !tb_job_plan_shape(job, "a", &a) ||
        !tb_job_plan_shape(job, "b", &b) || a.n != 4 || b.n != 4)
        return TB_OK;
    a.d[axis_of(p)] += b.d[axis_of(p)];
    tb_job_plan_output(job, 0, TB_F32, &a);
    return TB_OK;
}

static tb_tensor *concat(void *ctx, const tb_tensor *const *in, int n, tb_err *err)
{
    const params *p = ctx;
    return tb_tensor_concat(in, n, axis_of(p), err);
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
    tb_value *out = tb_record_map(both, 2, "samples", concat, &p, err);
    if (!out)
        return err->status;
    tb_job_set_take(job, 0, out);
    return TB_OK;
}

const tb_node_def tb_node_latent_concat = {
    .abi = TB_NODE_ABI,
    .version = 1,
    .name = "latent_concat",
    .title = "Join latents",
    .category = "latent",
    .doc = "Put one latent behind another along an axis.",
    .flags = TB_NODE_FORGET,
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
        "return tb.latent_concat { a = noise(1), b = noise(2), axis = \"frames\" }",
};
