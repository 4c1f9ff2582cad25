/* load_image.c - a picture from a file. */
#include <stdlib.h>

#include "formats/media.h"
#include "node.h"

typedef struct params {
    const char *path, *fit, *filter;
    int64_t width, height;
} params;

static const tb_input_def inputs[] = {
    TB_IN_STRING(params, path, NULL, TB_IN_FILE,
                 "PNG, JPEG, WebP, BMP or GIF; of a video the first frame."),
    TB_IN_INT(params, width, 0, 0, 16384, "pixels",
              "Width to resize to; 0: from height, or as it is."),
    TB_IN_INT(params, height, 0, 0, 16384, "pixels",
              "Height to resize to; 0: from width, or as it is."),
    TB_IN_COMBO(params, fit, "crop", "crop|pad|stretch",
                "When the aspect differs: cut, add borders, or distort."),
    TB_IN_COMBO(params, filter, "lanczos", "nearest|area|bilinear|bicubic|lanczos",
                "How to resize."),
    { 0 },
};

static const tb_output_def outputs[] = {
    { .name = "image", .type = "IMAGE", .shape = "1,H,W,3", .doc = "The picture, upright, 0..1." },
    { 0 },
};

static tb_status plan(tb_job *job, const void *vp, tb_err *err)
{
    const params *p = vp;
    tb_media_info info;
    if (!tb_job_plan_known(job, "path"))
        return TB_OK;
    char *path = tb_job_path(job, p->path, err);
    const tb_status st = path ? tb_media_probe(path, &info, err) : err->status;
    free(path);
    if (st != TB_OK)
        return st;
    json_decref(info.texts);
    tb_media_fit_size(&info.width, &info.height, p->width, p->height);
    tb_job_plan_output(job, 0, TB_F32, &TB_SHAPE(1, info.height, info.width, 3));
    return TB_OK;
}

static tb_status run(tb_job *job, const void *vp, tb_err *err)
{
    const params *p = vp;
    char *path = tb_job_path(job, p->path, err);
    tb_tensor *raw = path ? tb_media_read(path, 0, 1, NULL, tb_job_cancel_flag(job), err) : NULL;
    free(path);
    if (!raw)
        return err->status;
    tb_tensor *image = tb_media_fit(raw, p->width, p->height, p->fit, p->filter, err);
    tb_tensor_unref(&raw);
    if (!image)
        return err->status;
    tb_job_set_take(job, 0, tb_value_tensor_take(image));
    return TB_OK;
}

const tb_node_def tb_node_load_image = {
    .abi = TB_NODE_ABI,
    .version = 1,
    .name = "load_image",
    .title = "Load image",
    .category = "media",
    .doc = "Read a picture from a file.",
    .flags = TB_NODE_IO,
    .params_size = sizeof(params),
    .inputs = inputs,
    .outputs = outputs,
    .plan = plan,
    .run = run,
    .example = "return tb.load_image { path = \"docs/frames.png\", width = 64, height = 64, fit = "
               "\"crop\" }",
};
