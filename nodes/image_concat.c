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

static tb_status run(tb_job *job, const void *vp, tb_err *err)
{
    const params *p = vp;
    const int axis = p->axis[0] == 'f' ? 0 : p->axis[0] == 'h' ? 1 : 2;
    const tb_shape any = TB_SHAPE(-1, -1, -1, 3);
    const tb_tensor *both[2] = {
        tb_value_want(p->a, NULL, &any, "a must be IMAGE f32 [frames,height,width,3]", err),
        tb_value_want(p->b, NULL, &any, "b must be IMAGE f32 [frames,height,width,3]", err),
    };
    tb_tensor *out = both[0] && both[1] ? tb_tensor_concat(both, 2, axis, err) : NULL;
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
    .run = run,
    .example =
        "local picture = tb.load_image { path = \"docs/frames.png\", width = 32, height = 32 }\n"
        "return tb.image_concat { a = picture, b = picture, axis = \"width\" }",
};
