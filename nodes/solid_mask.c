/* solid_mask.c - a mask of one value. */
#include "node.h"

typedef struct params {
    double value;
    int64_t width, height;
} params;

static const tb_input_def inputs[] = {
    TB_IN_FLOAT(params, value, 0, 0, 1, "", "Of every pixel."),
    TB_IN_INT(params, width, 64, 1, 16384, "pixels", "Width."),
    TB_IN_INT(params, height, 64, 1, 16384, "pixels", "Height."),
    { 0 },
};

static const tb_output_def outputs[] = {
    { .name = "mask", .type = "MASK", .shape = "1,H,W", .doc = "One frame." },
    { 0 },
};

static tb_status run(tb_job *job, const void *vp, tb_err *err)
{
    const params *p = vp;
    tb_tensor *mask = tb_tensor_new(TB_F32, &TB_SHAPE(1, p->height, p->width), err);
    if (!mask)
        return TB_ENOMEM;
    for (int64_t i = 0; i < p->height * p->width; i++)
        tb_tensor_f32_mut(mask)[i] = (float)p->value;
    tb_job_set_take(job, 0, tb_value_tensor_take(mask));
    return TB_OK;
}

const tb_node_def tb_node_solid_mask = {
    .abi = TB_NODE_ABI,
    .version = 1,
    .name = "solid_mask",
    .title = "Solid mask",
    .category = "image",
    .doc = "Makes a mask of one value.",
    .flags = TB_NODE_FORGET,
    .params_size = sizeof(params),
    .inputs = inputs,
    .outputs = outputs,
    .run = run,
    .example = "return tb.solid_mask { value = 1, width = 32, height = 32 }",
};
