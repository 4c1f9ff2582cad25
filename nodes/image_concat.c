/* image_concat.c - two sets of pictures, one behind, below or beside the other. */
#include "models/tensor_ops.h"
#include "node.h"

typedef struct params {
    const tb_value *a, *b;
    const char *axis;
} params;

static const tb_input_def inputs[] = {
    TB_IN_PORT(params, a, "IMAGE", 0, "What comes first."),
    TB_IN_PORT(params, b, "IMAGE", 0, "What follows."),
    TB_IN_COMBO(params, axis, "frames", "frames|height|width",
                "frames: after; height: below; width: beside."),
    { 0 },
};

static const tb_output_def outputs[] = {
    { .name = "image", .type = "IMAGE", .shape = "frames,H,W,3", .doc = "Both." },
    { 0 },
};

static int axis_of(const params *p)
{
    return p->axis[0] == 'f' ? 0 : p->axis[0] == 'h' ? 1 : 2;
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

static tb_status run(tb_job *job, const void *vp, tb_err *err)
{
    const params *p = vp;
    const tb_shape any = TB_SHAPE(-1, -1, -1, 3);
    const tb_tensor *both[2] = {
        tb_value_want(p->a, NULL, &any, "a must be IMAGE f32 [frames,height,width,3]", err),
        tb_value_want(p->b, NULL, &any, "b must be IMAGE f32 [frames,height,width,3]", err),
    };
    tb_tensor *out = both[0] && both[1] ? tb_tensor_concat(both, 2, axis_of(p), err) : NULL;
    if (!out)
        return err->status;
    tb_job_set_take(job, 0, tb_value_tensor_take(out));
    return TB_OK;
}

const tb_node_def tb_node_image_concat = {
    .abi = TB_NODE_ABI,
    .version = 1,
    .name = "image_concat",
    .title = "Join images",
    .category = "image",
    .doc = "Put pictures after, below or beside others.",
    .flags = TB_NODE_FORGET,
    .params_size = sizeof(params),
    .inputs = inputs,
    .outputs = outputs,
    .plan = plan,
    .run = run,
    .example =
        "local picture = tb.load_image { path = \"docs/frames.png\", width = 32, height = 32 }\n"
        "return tb.image_concat { a = picture, b = picture, axis = \"width\" }",
};
