/* empty_latent.c - a latent without a picture in it, of a given size.
 *
 * It is marked as empty, with its size in pixels, so that latent_noise can give it the channels and
 * the scale of whichever model will denoise it.
 */
#include <string.h>

#include "node.h"

typedef struct params {
    int64_t width, height, frames, batch, channels, stride;
} params;

static const tb_input_def inputs[] = {
    TB_IN_INT(params, width, 64, 16, 16384, "pixels", "Width."),
    TB_IN_INT(params, height, 64, 16, 16384, "pixels", "Height."),
    TB_IN_INT(params, frames, 17, 1, 16384, "frames", "Video frames."),
    TB_IN_INT(params, batch, 1, 1, 4096, "latents", "How many, as a list."),
    TB_IN_INT(params, channels, 16, 1, 1024, "", "Latent channels."),
    TB_IN_INT(params, stride, 8, 1, 64, "pixels", "Pixels that one latent cell covers."),
    { 0 },
};

static const tb_output_def outputs[] = {
    { .name = "latent",
      .type = "LATENT",
      .is_list = true,
      .shape = "C,T,H,W",
      .doc = "Zeros, marked as empty." },
    { 0 },
};

static tb_shape shape_of(const params *p)
{
    return TB_SHAPE(p->channels, (p->frames - 1) / 4 + 1, p->height / p->stride,
                    p->width / p->stride);
}

static tb_status check(const params *p, tb_err *err)
{
    if (p->width >= p->stride && p->height >= p->stride)
        return TB_OK;
    return tb_err_set(err, TB_EINVAL,
                      "width and height must be at least stride, %lld, got %lldx%lld",
                      (long long)p->stride, (long long)p->width, (long long)p->height);
}

static tb_status plan(tb_job *job, const void *vp, tb_err *err)
{
    const params *p = vp;
    static const char *const sizes[] = { "width", "height", "frames", "channels", "stride" };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        if (!tb_job_plan_known(job, sizes[i]))
            return TB_OK;
    TB_TRY(check(p, err));
    const tb_shape shape = shape_of(p);
    tb_job_plan_output(job, 0, TB_F32, &shape);
    return TB_OK;
}

static tb_status run(tb_job *job, const void *vp, tb_err *err)
{
    const params *p = vp;
    const tb_shape shape = shape_of(p);
    TB_TRY(check(p, err));
    tb_tensor *zeros = tb_tensor_new(TB_F32, &shape, err);
    if (!zeros)
        return TB_ENOMEM;
    memset(tb_tensor_f32_mut(zeros), 0, tb_tensor_bytes(zeros));
    for (int64_t i = 0; i < p->batch; i++) {
        tb_value *latent = tb_value_record();
        tb_record_set_take(latent, "samples", tb_value_tensor_take(tb_tensor_ref(zeros)));
        tb_record_set_take(latent, "state", tb_value_string("clean"));
        tb_record_set_take(latent, "empty", tb_value_bool(true));
        tb_record_set_take(latent, "width", tb_value_int(p->width));
        tb_record_set_take(latent, "height", tb_value_int(p->height));
        tb_record_set_take(latent, "index", tb_value_int(i));
        tb_job_set_take(job, 0, latent);
    }
    tb_tensor_unref(&zeros);
    return TB_OK;
}

const tb_node_def tb_node_empty_latent = {
    .abi = TB_NODE_ABI,
    .version = 1,
    .name = "empty_latent",
    .title = "Empty latent",
    .category = "latent",
    .doc = "Makes a latent without a picture in it.",
    .flags = TB_NODE_FORGET,
    .params_size = sizeof(params),
    .inputs = inputs,
    .outputs = outputs,
    .plan = plan,
    .run = run,
    .example = "return tb.empty_latent { width = 32, height = 32, frames = 5, batch = 2 }",
};
