/* image_blend.c - between two sets of pictures, everywhere or where a mask says. */
#include "models/tensor_ops.h"
#include "node.h"

typedef struct params {
    const tb_value *a, *b, *mask;
    double amount;
} params;

static const tb_input_def inputs[] = {
    TB_IN_PORT(params, a, "IMAGE", 0, "The pictures at amount 0."),
    TB_IN_PORT(params, b, "IMAGE", 0, "The pictures at amount 1, of the same size."),
    TB_IN_PORT(params, mask, "MASK", TB_IN_OPTIONAL, "Where b shows: 1 fully, 0 not at all."),
    TB_IN_FLOAT(params, amount, 0.5, 0, 1, "", "How much of b."),
    { 0 },
};

static const tb_output_def outputs[] = {
    { .name = "image", .type = "IMAGE", .shape = "frames,H,W,3", .doc = "What lies between." },
    { 0 },
};

static tb_tensor *blend(const params *p, tb_err *err)
{
    const tb_shape any = TB_SHAPE(-1, -1, -1, 3);
    const tb_tensor *a =
        tb_value_want(p->a, NULL, &any, "a must be IMAGE f32 [frames,height,width,3]", err);
    const tb_tensor *b =
        tb_value_want(p->b, NULL, &any, "b must be IMAGE f32 [frames,height,width,3]", err);
    if (!a || !b)
        return NULL;
    if (!p->mask)
        return tb_tensor_mix(a, b, p->amount, err);
    const tb_tensor *mask = tb_value_want(p->mask, NULL, &TB_SHAPE(-1, -1, -1),
                                          "mask must be MASK f32 [frames,height,width]", err);
    return mask ? tb_tensor_mix_masked(a, b, mask, p->amount, err) : NULL;
}

static tb_status run(tb_job *job, const void *vp, tb_err *err)
{
    tb_tensor *out = blend(vp, err);
    if (!out)
        return err->status;
    tb_job_set_take(job, 0, tb_value_tensor_take(out));
    return TB_OK;
}

static tb_status plan(tb_job *job, const void *vp, tb_err *err)
{
    tb_shape shape;
    (void)vp, (void)err;
    if (tb_job_plan_shape(job, "a", &shape))
        tb_job_plan_output(job, 0, TB_F32, &shape);
    return TB_OK;
}

const tb_node_def tb_node_image_blend = {
    .abi = TB_NODE_ABI,
    .version = 2,
    .name = "image_blend",
    .title = "Blend images",
    .category = "image",
    .doc = "Go part of the way from some pictures to others.",
    .params_size = sizeof(params),
    .inputs = inputs,
    .outputs = outputs,
    .plan = plan,
    .run = run,
    .example =
        "local function picture(fit)\n"
        "  return tb.load_image {\n"
        "    path = \"docs/frames.png\", width = 32, height = 32, fit = fit,\n"
        "  }\n"
        "end\n"
        "return tb.image_blend { a = picture(\"crop\"), b = picture(\"stretch\"), amount = 0.5 }",
};
