/* image_slice.c - a part of pictures along one axis. */
#include "models/tensor_ops.h"
#include "node.h"

typedef struct params {
    const tb_value *image;
    const char *axis;
    int64_t start, count;
} params;

static const tb_input_def inputs[] = {
    TB_IN_PORT(params, image, "IMAGE", 0, "The pictures."),
    TB_IN_COMBO(params, axis, "frames", "frames|height|width", "Along which axis."),
    TB_IN_INT(params, start, 0, -1000000, 1000000, "",
              "The first one to take; negative counts from the end."),
    TB_IN_INT(params, count, 0, 0, 1000000, "", "How many to take; 0: all to the end."),
    { 0 },
};

static const tb_output_def outputs[] = {
    { .name = "image", .type = "IMAGE", .shape = "frames,H,W,3", .doc = "That part." },
    { 0 },
};

static int axis_of(const params *p)
{
    return p->axis[0] == 'f' ? 0 : p->axis[0] == 'h' ? 1 : 2;
}

static tb_status plan(tb_job *job, const void *vp, tb_err *err)
{
    const params *p = vp;
    tb_shape shape;
    if (!tb_job_plan_shape(job, "image", &shape) || shape.n != 4 ||
        !tb_job_plan_known(job, "axis") || !tb_job_plan_known(job, "start") ||
        !tb_job_plan_known(job, "count"))
        return TB_OK;
    TB_TRY(tb_shape_slice(&shape, axis_of(p), p->axis, p->start, p->count, err));
    tb_job_plan_output(job, 0, TB_F32, &shape);
    return TB_OK;
}

static tb_status run(tb_job *job, const void *vp, tb_err *err)
{
    const params *p = vp;
    const tb_tensor *image = tb_value_want(p->image, NULL, &TB_SHAPE(-1, -1, -1, 3),
                                           "image must be IMAGE f32 [frames,height,width,3]", err);
    tb_tensor *out =
        image ? tb_tensor_slice(image, axis_of(p), p->axis, p->start, p->count, err) : NULL;
    if (!out)
        return err->status;
    tb_job_set_take(job, 0, tb_value_tensor_take(out));
    return TB_OK;
}

const tb_node_def tb_node_image_slice = {
    .abi = TB_NODE_ABI,
    .version = 1,
    .name = "image_slice",
    .title = "Slice images",
    .category = "image",
    .doc = "Take a range of frames, rows or columns out of pictures.",
    .flags = TB_NODE_FORGET,
    .params_size = sizeof(params),
    .inputs = inputs,
    .outputs = outputs,
    .plan = plan,
    .run = run,
    .example =
        "local picture = tb.load_image { path = \"docs/frames.png\", width = 32, height = 32 }\n"
        "return tb.image_slice { image = picture, axis = \"width\", start = 8, count = 16 }",
};
