/* latent_slice.c - a part of a latent along one axis. */
#include "models/tensor_ops.h"
#include "node.h"

typedef struct params {
    const tb_value *latent;
    const char *axis;
    int64_t start, count;
} params;

static const tb_input_def inputs[] = {
    TB_IN_PORT(params, latent, "LATENT", 0, "The latent."),
    TB_IN_COMBO(params, axis, "frames", "frames|height|width|channels", "Along which axis."),
    TB_IN_INT(params, start, 0, -1000000, 1000000, "",
              "The first one to take; negative counts from the end."),
    TB_IN_INT(params, count, 0, 0, 1000000, "", "How many to take; 0: all to the end."),
    { 0 },
};

static const tb_output_def outputs[] = {
    { .name = "latent", .type = "LATENT", .shape = "C,T,H,W", .doc = "That part." },
    { 0 },
};

static int axis_of(const params *p)
{
    return p->axis[0] == 'c' ? 0 : p->axis[0] == 'f' ? 1 : p->axis[0] == 'h' ? 2 : 3;
}

static tb_status plan(tb_job *job, const void *vp, tb_err *err)
{
    const params *p = vp;
    tb_shape shape;
    if (!tb_job_plan_shape(job, "latent", &shape) || shape.n != 4 ||
        !tb_job_plan_known(job, "axis") || !tb_job_plan_known(job, "start") ||
        !tb_job_plan_known(job, "count"))
        return TB_OK;
    TB_TRY(tb_shape_slice(&shape, axis_of(p), p->axis, p->start, p->count, err));
    tb_job_plan_output(job, 0, TB_F32, &shape);
    return TB_OK;
}

static tb_tensor *slice(void *ctx, const tb_tensor *const *in, int n, tb_err *err)
{
    const params *p = ctx;
    (void)n;
    return tb_tensor_slice(in[0], axis_of(p), p->axis, p->start, p->count, err);
}

static tb_status run(tb_job *job, const void *vp, tb_err *err)
{
    params p = *(const params *)vp;
    if (!tb_value_want(p.latent, "samples", &TB_SHAPE(-1, -1, -1, -1),
                       "latent must be LATENT with samples f32 [channels,frames,height,width]",
                       err))
        return err->status;
    tb_value *out = tb_record_map(&p.latent, 1, "samples", slice, &p, err);
    if (!out)
        return err->status;
    tb_job_set_take(job, 0, out);
    return TB_OK;
}

const tb_node_def tb_node_latent_slice = {
    .abi = TB_NODE_ABI,
    .version = 1,
    .name = "latent_slice",
    .title = "Slice latent",
    .category = "latent",
    .doc = "Take a range of frames, rows, columns or channels out of a latent.",
    .flags = TB_NODE_FORGET,
    .params_size = sizeof(params),
    .inputs = inputs,
    .outputs = outputs,
    .plan = plan,
    .run = run,
    .example = "local m = tb.load_model {}\n"
               "local x = tb.noise_init { model = m.model, size = \"32x32\", frames = 5 }\n"
               "return tb.latent_slice { latent = x, axis = \"frames\", start = -1, count = 1 }",
};
