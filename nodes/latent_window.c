/* latent_window.c - some frames of a latent that runs in a circle, with their noise.
 *
 * What a window of a long video, or of a loop, shows the model (scripts/lib/windows.lua).
 */
#include "models/tensor_ops.h"
#include "node.h"

typedef struct params {
    const tb_value *latent;
    int64_t start, count, length;
} params;

static const tb_input_def inputs[] = {
    TB_IN_PORT(params, latent, "LATENT", 0, "The latent."),
    TB_IN_INT(params, start, 0, -1000000, 1000000, "latent frames",
              "The first one; behind the last frame comes the first one again."),
    TB_IN_INT(params, count, 5, 1, 1000000, "latent frames", "How many."),
    TB_IN_INT(params, length, 0, 0, 1000000, "latent frames",
              "How many the latent must have; 0: any number."),
    { 0 },
};

static const tb_output_def outputs[] = {
    { .name = "latent", .type = "LATENT", .shape = "C,T,H,W", .doc = "Those frames." },
    { 0 },
};

static tb_status check_length(const params *p, int64_t frames, tb_err *err)
{
    if (p->length == 0 || p->length == frames)
        return TB_OK;
    return tb_err_set(
        err, TB_EINVAL,
        "windows are laid out for %lld latent frames, the latent has %lld; set length "
        "to that",
        (long long)p->length, (long long)frames);
}

static tb_status plan(tb_job *job, const void *vp, tb_err *err)
{
    const params *p = vp;
    tb_shape shape;
    if (!tb_job_plan_shape(job, "latent", &shape) || shape.n != 4 ||
        !tb_job_plan_known(job, "count") || !tb_job_plan_known(job, "length"))
        return TB_OK;
    TB_TRY(check_length(p, shape.d[1], err));
    shape.d[1] = p->count;
    tb_job_plan_output(job, 0, TB_F32, &shape);
    return TB_OK;
}

static tb_tensor *cut(void *ctx, const tb_tensor *const *in, int n, tb_err *err)
{
    const params *p = ctx;
    (void)n;
    return tb_tensor_ring(in[0], 1, p->start, p->count, err);
}

static tb_status run(tb_job *job, const void *vp, tb_err *err)
{
    params p = *(const params *)vp;
    const tb_tensor *samples =
        tb_value_want(p.latent, "samples", &TB_SHAPE(-1, -1, -1, -1),
                      "latent must be LATENT with samples f32 [channels,frames,height,width]", err);
    if (!samples)
        return err->status;
    TB_TRY(check_length(&p, tb_tensor_dim(samples, 1), err));
    tb_value *out = tb_record_map(&p.latent, 1, "samples", cut, &p, err);
    if (!out)
        return err->status;
    tb_job_set_take(job, 0, out);
    return TB_OK;
}

const tb_node_def tb_node_latent_window = {
    .abi = TB_NODE_ABI,
    .version = 1,
    .name = "latent_window",
    .title = "Window of a latent",
    .category = "latent",
    .doc = "Takes some frames of a latent whose end is followed by its beginning.",
    .flags = TB_NODE_FORGET,
    .params_size = sizeof(params),
    .inputs = inputs,
    .outputs = outputs,
    .plan = plan,
    .run = run,
    .example =
        "local m = tb.load_model {}\n"
        "local x = tb.noise_init { model = m.model, size = \"32x32\", frames = 9 }\n"
        "return tb.latent_window { latent = x, start = 2, count = 2 } -- the last, the first",
};
