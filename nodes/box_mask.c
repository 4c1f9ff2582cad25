/* box_mask.c - a box within pictures, as two masks: inside it, and outside.
 *
 * With a VAE the box grows outward to whole latent cells: a cell is made anew or kept, never half.
 */
#include <inttypes.h>

#include "graph/records.h"
#include "node.h"

typedef struct params {
    const tb_value *image, *vae;
    int64_t x, y, width, height;
} params;

static const tb_input_def inputs[] = {
    TB_IN_PORT(params, image, "IMAGE", 0, "The pictures; sets the size of the masks."),
    TB_IN_PORT(params, vae, "VAE", TB_IN_OPTIONAL,
               "Grow the box outward to the cells of this VAE's latents."),
    TB_IN_INT(params, x, 0, 0, 65536, "pixels", "Left edge of the box."),
    TB_IN_INT(params, y, 0, 0, 65536, "pixels", "Upper edge of the box."),
    TB_IN_INT(params, width, 16, 1, 65536, "pixels", "Width of the box."),
    TB_IN_INT(params, height, 16, 1, 65536, "pixels", "Height of the box."),
    { 0 },
};

static const tb_output_def outputs[] = {
    { .name = "inside", .type = "MASK", .shape = "1,H,W", .doc = "1 in the box, 0 around it." },
    { .name = "outside", .type = "MASK", .shape = "1,H,W", .doc = "0 in the box, 1 around it." },
    { 0 },
};

/* `picture` [frames,height,width,3] */
static tb_status check(const params *p, const tb_shape *picture, tb_err *err)
{
    const int64_t height = picture->d[1], width = picture->d[2];
    if (p->x + p->width <= width && p->y + p->height <= height)
        return TB_OK;
    return tb_err_set(err, TB_EINVAL,
                      "the box must lie within the pictures, %" PRId64 "x%" PRId64
                      ", got one of %" PRId64 "x%" PRId64 " at %" PRId64 ",%" PRId64,
                      width, height, p->width, p->height, p->x, p->y);
}

static tb_status plan(tb_job *job, const void *vp, tb_err *err)
{
    static const char *const numbers[] = { "x", "y", "width", "height" };
    tb_shape s;
    if (!tb_job_plan_shape(job, "image", &s) || s.n != 4)
        return TB_OK;
    for (int i = 0; i < 2; i++)
        tb_job_plan_output(job, i, TB_F32, &TB_SHAPE(1, s.d[1], s.d[2]));
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (!tb_job_plan_known(job, numbers[i]))
            return TB_OK;
    return check(vp, &s, err);
}

static tb_tensor *fill(const params *p, const tb_shape *picture, bool inside, tb_err *err)
{
    const int64_t height = picture->d[1], width = picture->d[2];
    const int64_t stride = tb_record_int(p->vae, "stride_hw", 1), cell = stride > 0 ? stride : 1;
    const int64_t left = p->x / cell, right = (p->x + p->width - 1) / cell;
    const int64_t top = p->y / cell, bottom = (p->y + p->height - 1) / cell;
    tb_tensor *mask = tb_tensor_new(TB_F32, &TB_SHAPE(1, height, width), err);
    if (!mask)
        return NULL;
    float *m = tb_tensor_f32_mut(mask);
    for (int64_t i = 0; i < height * width; i++) {
        const int64_t row = i / width / cell, column = i % width / cell;
        const bool in = row >= top && row <= bottom && column >= left && column <= right;
        m[i] = in == inside ? 1 : 0;
    }
    return mask;
}

static tb_status run(tb_job *job, const void *vp, tb_err *err)
{
    const params *p = vp;
    const tb_tensor *image = tb_value_want(p->image, NULL, &TB_SHAPE(-1, -1, -1, 3),
                                           "image must be IMAGE f32 [frames,height,width,3]", err);
    if (!image)
        return err->status;
    TB_TRY(check(p, tb_tensor_shape(image), err));
    for (int i = 0; i < 2; i++) {
        tb_tensor *mask = fill(p, tb_tensor_shape(image), i == 0, err);
        if (!mask)
            return TB_ENOMEM;
        tb_job_set_take(job, i, tb_value_tensor_take(mask));
    }
    return TB_OK;
}

const tb_node_def tb_node_box_mask = {
    .abi = TB_NODE_ABI,
    .version = 1,
    .name = "box_mask",
    .title = "Box mask",
    .category = "image",
    .doc = "Makes masks of a box within pictures.",
    .flags = TB_NODE_FORGET,
    .params_size = sizeof(params),
    .inputs = inputs,
    .outputs = outputs,
    .plan = plan,
    .run = run,
    .example =
        "local picture = tb.load_image { path = \"docs/frames.png\", width = 32, height = 32 }\n"
        "return tb.box_mask { image = picture, x = 8, y = 8, width = 16, height = 16 }",
};
