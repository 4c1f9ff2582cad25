/* image_resize.c - pictures of another size. */
#include "formats/media.h"
#include "node.h"

typedef struct params {
    const tb_value *image;
    int64_t width, height;
    const char *fit, *filter;
} params;

static const tb_input_def inputs[] = {
    TB_IN_PORT(params, image, "IMAGE", 0, "The pictures."),
    TB_IN_INT(params, width, 0, 0, 16384, "pixels", "Width; 0: follows from height."),
    TB_IN_INT(params, height, 0, 0, 16384, "pixels", "Height; 0: follows from width."),
    TB_IN_COMBO(params, fit, "crop", "crop|pad|stretch",
                "When the aspect differs: cut, add borders, or distort."),
    TB_IN_COMBO(params, filter, "lanczos", "nearest|area|bilinear|bicubic|lanczos",
                "How to resize."),
    { 0 },
};

static const tb_output_def outputs[] = {
    { .name = "image", .type = "IMAGE", .shape = "frames,H,W,3", .doc = "Resized, within 0..1." },
    { 0 },
};

static tb_status plan(tb_job *job, const void *vp, tb_err *err)
{
    const params *p = vp;
    tb_shape s;
    (void)err;
    if (tb_job_plan_shape(job, "image", &s) && s.n == 4 && s.d[1] > 0 && s.d[2] > 0) {
        tb_media_fit_size(&s.d[2], &s.d[1], p->width, p->height);
        tb_job_plan_output(job, 0, TB_F32, &s);
    }
    return TB_OK;
}

static tb_status run(tb_job *job, const void *vp, tb_err *err)
{
    const params *p = vp;
    const tb_tensor *image = tb_value_want(p->image, NULL, &TB_SHAPE(-1, -1, -1, 3),
                                           "image must be IMAGE f32 [frames,height,width,3]", err);
    tb_tensor *out =
        image ? tb_media_fit(image, p->width, p->height, p->fit, p->filter, err) : NULL;
    if (!out)
        return err->status;
    tb_job_set_take(job, 0, tb_value_tensor_take(out));
    return TB_OK;
}

const tb_node_def tb_node_image_resize = {
    .abi = TB_NODE_ABI,
    .version = 1,
    .name = "image_resize",
    .title = "Resize images",
    .category = "image",
    .doc = "Bring pictures to another size.",
    .params_size = sizeof(params),
    .inputs = inputs,
    .outputs = outputs,
    .plan = plan,
    .run = run,
    .example =
        "local picture = tb.load_image { path = \"docs/frames.png\" }\n"
        "return tb.image_resize { image = picture, width = 64, height = 32, fit = \"crop\" }",
};
