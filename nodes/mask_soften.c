/* mask_soften.c - a mask that rises slowly from its edge inward. */
#include "node.h"

typedef struct params {
    const tb_value *mask;
    int64_t edge;
} params;

static const tb_input_def inputs[] = {
    TB_IN_PORT(params, mask, "MASK", 0, "The mask."),
    TB_IN_INT(params, edge, 4, 0, 4096, "pixels",
              "How wide the soft edge is; it lies where the mask is 1, and where that is 0 it "
              "stays 0."),
    { 0 },
};

static const tb_output_def outputs[] = {
    { .name = "mask", .type = "MASK", .shape = "frames,H,W", .doc = "With a soft edge." },
    { 0 },
};

/* No value is more than `rise` above its neighbour in the line of n values, `stride` apart. */
static void limit_rise(float *m, int64_t n, int64_t stride, float rise)
{
    for (int64_t i = 1; i < n; i++)
        if (m[i * stride] > m[(i - 1) * stride] + rise)
            m[i * stride] = m[(i - 1) * stride] + rise;
    for (int64_t i = n - 2; i >= 0; i--)
        if (m[i * stride] > m[(i + 1) * stride] + rise)
            m[i * stride] = m[(i + 1) * stride] + rise;
}

/* Rows, then columns: the least over all pixels of their value plus the way from there, counted
 * along rows and columns (the distance transform of Rosenfeld and Pfaltz, 1966). */
static void soften(const float *from, int64_t height, int64_t width, float rise, float *m)
{
    for (int64_t i = 0; i < height * width; i++)
        m[i] = from[i];
    for (int64_t y = 0; y < height; y++)
        limit_rise(m + y * width, width, 1, rise);
    for (int64_t x = 0; x < width; x++)
        limit_rise(m + x, height, width, rise);
}

static tb_status plan(tb_job *job, const void *vp, tb_err *err)
{
    tb_shape shape;
    (void)vp, (void)err;
    if (tb_job_plan_shape(job, "mask", &shape))
        tb_job_plan_output(job, 0, TB_F32, &shape);
    return TB_OK;
}

static tb_status run(tb_job *job, const void *vp, tb_err *err)
{
    const params *p = vp;
    const tb_tensor *mask = tb_value_want(p->mask, NULL, &TB_SHAPE(-1, -1, -1),
                                          "mask must be MASK f32 [frames,height,width]", err);
    tb_tensor *out = mask ? tb_tensor_new(TB_F32, tb_tensor_shape(mask), err) : NULL;
    if (!out)
        return err->status;
    const int64_t height = tb_tensor_dim(mask, 1), width = tb_tensor_dim(mask, 2);
    for (int64_t i = 0; i < tb_tensor_dim(mask, 0); i++)
        soften(tb_tensor_f32(mask) + i * height * width, height, width, 1 / (float)(p->edge + 1),
               tb_tensor_f32_mut(out) + i * height * width);
    tb_job_set_take(job, 0, tb_value_tensor_take(out));
    return TB_OK;
}

const tb_node_def tb_node_mask_soften = {
    .abi = TB_NODE_ABI,
    .version = 1,
    .name = "mask_soften",
    .title = "Soften mask",
    .category = "image",
    .doc = "Gives a mask a soft edge, inward.",
    .flags = TB_NODE_FORGET,
    .params_size = sizeof(params),
    .inputs = inputs,
    .outputs = outputs,
    .plan = plan,
    .run = run,
    .example =
        "local picture = tb.load_image { path = \"docs/frames.png\", width = 32, height = 32 }\n"
        "local box = tb.box_mask { image = picture, x = 8, y = 8, width = 16, height = 16 }\n"
        "return tb.mask_soften { mask = box.inside, edge = 4 }",
};
