/* save_image.c - pictures to files. */
#include <stdio.h>
#include <string.h>

#include "formats/media.h"
#include "models/tensor_ops.h"
#include "node.h"

typedef struct params {
    const tb_value *images;
    const char *path;
    int64_t quality;
} params;

static const tb_input_def inputs[] = {
    TB_IN_PORT(params, images, "IMAGE", 0, "One picture or several."),
    TB_IN_STRING(
        params, path, "out.png", TB_IN_KEY_EXT | TB_IN_UNKEYED,
        "Where to write: .png, .jpg or .webp. Several pictures are numbered: name_00001.png, ..."),
    TB_IN_INT(params, quality, 0, 0, 100, "",
              "1 small .. 100 best; 0: the format's default. PNG has no loss."),
    { 0 },
};

static const tb_output_def outputs[] = {
    { .name = "files", .type = "FILE", .doc = "The files in memory, a list." },
    { 0 },
};

static const char *format_of(const char *path, tb_err *err)
{
    const char *format = tb_media_format_of(path);
    if (format &&
        (strcmp(format, "png") == 0 || strcmp(format, "jpg") == 0 || strcmp(format, "webp") == 0))
        return format;
    tb_err_set(err, TB_EINVAL, "path must end in .png, .jpg or .webp, got '%s'", path);
    return NULL;
}

static tb_status plan(tb_job *job, const void *vp, tb_err *err)
{
    const params *p = vp;
    if (!tb_job_plan_known(job, "path"))
        return TB_OK;
    return format_of(p->path, err) ? tb_job_check_target(job, p->path, err) : err->status;
}

static tb_value *encode(const tb_tensor *images, int64_t i, const tb_media_options *o, tb_job *job,
                        tb_err *err)
{
    char name[40];
    snprintf(name, sizeof name, "image_%05lld.%s", (long long)i + 1, o->format);
    tb_tensor *one = tb_tensor_item(images, i, err);
    tb_tensor *bytes = one ? tb_media_encode(one, o, tb_job_cancel_flag(job), err) : NULL;
    tb_tensor_unref(&one);
    if (!bytes)
        return NULL;
    tb_value *file = tb_value_file_take(name, bytes);
    tb_record_set_take(file, "width", tb_value_int(tb_tensor_dim(images, 2)));
    tb_record_set_take(file, "height", tb_value_int(tb_tensor_dim(images, 1)));
    return file;
}

static tb_status run(tb_job *job, const void *vp, tb_err *err)
{
    const params *p = vp;
    const char *format = format_of(p->path, err);
    const tb_tensor *images =
        format ? tb_value_want(p->images, NULL, &TB_SHAPE(-1, -1, -1, 3),
                               "images must be IMAGE f32 [frames,height,width,3]", err)
               : NULL;
    if (!images)
        return err->status;
    const tb_media_options o = { .format = format, .fps = 25, .quality = (int)p->quality };
    const int64_t n = tb_tensor_dim(images, 0);
    tb_value *files = tb_value_list();
    for (int64_t i = 0; i < n; i++) {
        tb_value *file = encode(images, i, &o, job, err);
        if (!file) {
            tb_value_unref(&files);
            return err->status;
        }
        tb_list_append_take(files, file);
        tb_job_progress(job, (double)(i + 1) / (double)n);
    }
    tb_job_set_take(job, 0, files);
    return TB_OK;
}

static tb_status deliver(tb_job *job, const void *vp, tb_err *err)
{
    const params *p = vp;
    return tb_job_deliver_files(job, 0, p->path, "image", err);
}

const tb_node_def tb_node_save_image = {
    .abi = TB_NODE_ABI,
    .version = 2,
    .name = "save_image",
    .title = "Save image",
    .category = "media",
    .doc = "Write pictures to files, with the graph inside.",
    .flags = TB_NODE_IO | TB_NODE_TARGET,
    .params_size = sizeof(params),
    .inputs = inputs,
    .outputs = outputs,
    .plan = plan,
    .run = run,
    .deliver = deliver,
    .example =
        "local picture = tb.load_image { path = \"docs/frames.png\", width = 32, height = 32 }\n"
        "return tb.save_image { images = picture, path = \"out.png\" }",
};
