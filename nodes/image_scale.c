/* image_scale.c - pictures larger or smaller by a factor, or to a number of pixels. */
#include <math.h>

#include "formats/media.h"
#include "node.h"

enum { MOST = 16384 };

typedef struct params {
    const tb_value *image;
    double by, pixels;
    int64_t multiple;
    const char *filter;
} params;

static const tb_input_def inputs[] = {
    TB_IN_PORT(params, image, "IMAGE", 0, "The pictures."),
    TB_IN_FLOAT(params, by, 1, 0.001, 1000, "", "The factor of width and height."),
    TB_IN_FLOAT(params, pixels, 0, 0, 268435456, "pixels",
                "So many in all instead, at the same aspect; 0: by the factor."),
    TB_IN_INT(params, multiple, 1, 1, 1024, "pixels",
              "Width and height become the nearest multiples of this."),
    TB_IN_COMBO(params, filter, "lanczos", "nearest|area|bilinear|bicubic|lanczos",
                "How to resize."),
    { 0 },
};

static const tb_output_def outputs[] = {
    { .name = "image", .type = "IMAGE", .shape = "frames,H,W,3", .doc = "Resized, within 0..1." },
    { 0 },
};

static int64_t scaled(const params *p, int64_t size, double by)
{
    const double whole = round((double)size * by / (double)p->multiple) * (double)p->multiple;
    return (int64_t)fmax(whole, (double)p->multiple);
}

static tb_status new_size(const params *p, int64_t *width, int64_t *height, tb_err *err)
{
    const int64_t w = *width, h = *height;
    const double by = p->pixels > 0 ? sqrt(p->pixels / ((double)w * (double)h)) : p->by;
    *width = scaled(p, w, by);
    *height = scaled(p, h, by);
    if (*width > MOST || *height > MOST)
        return tb_err_set(err, TB_EINVAL,
                          "pictures may have %dx%d pixels, %lldx%lld would be %lldx%lld", MOST,
                          MOST, (long long)w, (long long)h, (long long)*width, (long long)*height);
    return TB_OK;
}

static tb_status plan(tb_job *job, const void *vp, tb_err *err)
{
    tb_shape s;
    if (!tb_job_plan_shape(job, "image", &s) || s.n != 4 || s.d[1] < 1 || s.d[2] < 1 ||
        !tb_job_plan_known(job, "by") || !tb_job_plan_known(job, "pixels") ||
        !tb_job_plan_known(job, "multiple"))
        return TB_OK;
    TB_TRY(new_size(vp, &s.d[2], &s.d[1], err));
    tb_job_plan_output(job, 0, TB_F32, &s);
    return TB_OK;
}

static tb_status run(tb_job *job, const void *vp, tb_err *err)
{
    const params *p = vp;
    const tb_tensor *image = tb_value_want(p->image, NULL, &TB_SHAPE(-1, -1, -1, 3),
                                           "image must be IMAGE f32 [frames,height,width,3]", err);
    if (!image)
        return err->status;
    int64_t width = tb_tensor_dim(image, 2), height = tb_tensor_dim(image, 1);
    TB_TRY(new_size(p, &width, &height, err));
    tb_tensor *out = tb_media_fit(image, width, height, "stretch", p->filter, err);
    if (!out)
        return err->status;
    tb_job_set_take(job, 0, tb_value_tensor_take(out));
    return TB_OK;
}

const tb_node_def tb_node_image_scale = {
    .abi = TB_NODE_ABI,
    .version = 1,
    .name = "image_scale",
    .title = "Scale images",
    .category = "image",
    .doc = "Make pictures larger or smaller by a factor, or to a number of pixels.",
    .params_size = sizeof(params),
    .inputs = inputs,
    .outputs = outputs,
    .plan = plan,
    .run = run,
    .example = "local picture = tb.load_image { path = \"docs/frames.png\" }\n"
               "return tb.image_scale { image = picture, by = 0.5, multiple = 16 }",
};
