/* vignette.c - darken the corners of pictures: a complete node of one's own.
 *
 * The file's name is the node's name. See README.md beside it for how it joins the program.
 */
#include "node.h"

typedef struct params {
    const tb_value *images;
    double strength;
} params;

static const tb_input_def inputs[] = {
    TB_IN_PORT(params, images, "IMAGE", 0, "Pictures or frames."),
    TB_IN_FLOAT(params, strength, 0.5, 0, 1, "", "How dark the corners become: 1 is black."),
    { 0 },
};

static const tb_output_def outputs[] = {
    { .name = "images", .type = "IMAGE", .shape = "T,H,W,3", .doc = "The same, corners darkened." },
    { 0 },
};

/* Loop thread, before any work: the output has the shape of the input. */
static tb_status plan(tb_job *job, const void *vp, tb_err *err)
{
    (void)vp;
    (void)err;
    tb_shape shape;
    if (tb_job_plan_shape(job, "images", &shape))
        tb_job_plan_output(job, 0, TB_F32, &shape);
    return TB_OK;
}

/* 1 in the middle, 1 - strength in the corners. */
static float light(double strength, int64_t y, int64_t h, int64_t x, int64_t w)
{
    const double dy = 2.0 * ((double)y + 0.5) / (double)h - 1;
    const double dx = 2.0 * ((double)x + 0.5) / (double)w - 1;
    return (float)(1 - strength * (dx * dx + dy * dy) / 2);
}

/* Worker thread. Inputs are read-only; the result is ours until it is set. */
static tb_status run(tb_job *job, const void *vp, tb_err *err)
{
    const params *p = vp;
    const tb_tensor *in = tb_value_as_tensor(p->images); /* f32 [T,H,W,3] */
    tb_tensor *out = tb_tensor_new(TB_F32, tb_tensor_shape(in), err);
    if (!out)
        return err->status;
    const int64_t h = tb_tensor_dim(in, 1), w = tb_tensor_dim(in, 2);
    const float *from = tb_tensor_f32(in);
    float *to = tb_tensor_f32_mut(out);
    for (int64_t row = 0; row < tb_tensor_dim(in, 0) * h; row++) {
        if (tb_job_canceled(job)) {
            tb_tensor_unref(&out);
            return tb_job_check(job, err);
        }
        for (int64_t x = 0; x < w; x++) {
            const float l = light(p->strength, row % h, h, x, w);
            for (int c = 0; c < 3; c++, from++, to++)
                *to = *from * l;
        }
    }
    tb_job_set_take(job, 0, tb_value_tensor_take(out));
    return TB_OK;
}

const tb_node_def tb_node_vignette = {
    .abi = TB_NODE_ABI,
    .version = 1,
    .name = "vignette",
    .title = "Vignette",
    .category = "image",
    .doc = "Darken the corners of pictures.",
    .params_size = sizeof(params),
    .inputs = inputs,
    .outputs = outputs,
    .plan = plan,
    .run = run,
    .example = "local picture = tb.load_image { path = \"docs/frames.png\", height = 64 }\n"
               "return tb.vignette { images = picture, strength = 0.8 }",
};
