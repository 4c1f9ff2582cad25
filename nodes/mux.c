/* mux.c - frames to a video file.
 *
 * The file is made in memory and stored under its key; the graph of the run goes into it only when
 * it is delivered, for the same frames may come from another graph.
 */
#include <stdio.h>
#include <string.h>

#include "base/fs.h"
#include "formats/media.h"
#include "models/tensor_ops.h"
#include "node.h"

typedef struct params {
    const tb_value *video;
    const char *path, *format;
    double fps;
    int64_t quality;
} params;

static const tb_input_def inputs[] = {
    TB_IN_PORT(params, video, "IMAGE,VIDEO", 0, "The frames."),
    TB_IN_STRING(
        params, path, "out.mp4", TB_IN_KEY_EXT | TB_IN_UNKEYED,
        "Where to write: .mp4 (H.264), .webm (VP9), .gif, .webp, or .png for a picture a frame."),
    TB_IN_FLOAT(params, fps, 8, 0, 1000, "frames a second", "Rate; 0: that of a VIDEO."),
    TB_IN_COMBO(params, format, "auto", "auto|mp4|webm|gif|webp|png|apng",
                "auto: by the extension of path; apng (animated PNG) may end in .png, too."),
    TB_IN_INT(params, quality, 0, 0, 100, "",
              "1 small .. 100 best; 0: the format's default, with hardly visible loss."),
    { 0 },
};

static const tb_output_def outputs[] = {
    { .name = "file", .type = "FILE", .doc = "The file in memory; for PNG a list, one a frame." },
    { 0 },
};

static bool fits(const char *format, const char *by_path)
{
    return strcmp(format, by_path) == 0 ||
           (strcmp(format, "apng") == 0 && strcmp(by_path, "png") == 0);
}

/* Takes the graph's format by name or by the extension of path; NULL with a sentence when they are
 * wrong. */
static const char *format_of(const params *p, tb_err *err)
{
    const char *by_path = tb_media_format_of(p->path), *extension = tb_fs_extension(p->path);
    const bool automatic = strcmp(p->format, "auto") == 0;
    const char *format = automatic ? by_path : p->format;
    if (!format || strcmp(format, "jpg") == 0)
        tb_err_set(err, TB_EINVAL, "path must end in .mp4, .webm, .gif, .webp or .png, got '%s'",
                   p->path);
    else if (!automatic && (!by_path || !fits(format, by_path)))
        tb_err_set(err, TB_EINVAL, "path must end in .%s as format is %s, got '%s'", format, format,
                   p->path);
    else if (*extension)
        return format;
    return NULL;
}

static tb_status plan(tb_job *job, const void *vp, tb_err *err)
{
    const params *p = vp;
    if (!tb_job_plan_known(job, "path") || !tb_job_plan_known(job, "format"))
        return TB_OK;
    return format_of(p, err) ? tb_job_check_target(job, p->path, err) : err->status;
}

static tb_status rate_of(const params *p, double *fps, tb_err *err)
{
    const tb_value *own = tb_record_get(p->video, "fps");
    *fps = p->fps > 0 ? p->fps : own && tb_value_kind(own) == TB_FLOAT ? tb_value_as_float(own) : 0;
    if (*fps > 0)
        return TB_OK;
    return tb_err_set(err, TB_EINVAL,
                      "fps must be more than 0 for frames without a rate of their own, got 0");
}

static tb_value *encode(const tb_tensor *images, const tb_media_options *o, const char *name,
                        tb_job *job, tb_err *err)
{
    tb_tensor *bytes = tb_media_encode(images, o, tb_job_cancel_flag(job), err);
    if (!bytes)
        return NULL;
    tb_value *file = tb_value_file_take(name, bytes);
    tb_record_set_take(file, "width", tb_value_int(tb_tensor_dim(images, 2)));
    tb_record_set_take(file, "height", tb_value_int(tb_tensor_dim(images, 1)));
    return file;
}

/* One PNG a frame. */
static tb_value *encode_frames(const tb_tensor *images, const tb_media_options *o, tb_job *job,
                               tb_err *err)
{
    tb_value *files = tb_value_list();
    const int64_t n = tb_tensor_dim(images, 0);
    for (int64_t i = 0; i < n; i++) {
        char name[40];
        snprintf(name, sizeof name, "frame_%05lld.png", (long long)i + 1);
        tb_tensor *frame = tb_tensor_item(images, i, err);
        tb_value *file = frame ? encode(frame, o, name, job, err) : NULL;
        tb_tensor_unref(&frame);
        if (!file) {
            tb_value_unref(&files);
            return NULL;
        }
        tb_list_append_take(files, file);
        tb_job_progress(job, (double)(i + 1) / (double)n);
    }
    return files;
}

static tb_status run(tb_job *job, const void *vp, tb_err *err)
{
    const params *p = vp;
    char name[40];
    double fps = 25;
    const char *format = format_of(p, err);
    const bool record = tb_value_kind(p->video) == TB_RECORD;
    const tb_tensor *images =
        format ? tb_value_want(p->video, record ? "images" : NULL, &TB_SHAPE(-1, -1, -1, 3),
                               "video must be IMAGE or VIDEO, f32 [frames,height,width,3]", err)
               : NULL;
    if (!images)
        return err->status;
    const bool frames = strcmp(format, "png") == 0;
    if (!frames)
        TB_TRY(rate_of(p, &fps, err));
    const tb_media_options o = { .format = format, .fps = fps, .quality = (int)p->quality };
    snprintf(name, sizeof name, "video.%s", format);
    tb_value *file =
        frames ? encode_frames(images, &o, job, err) : encode(images, &o, name, job, err);
    if (!file)
        return err->status;
    tb_job_set_take(job, 0, file);
    return TB_OK;
}

static tb_status deliver(tb_job *job, const void *vp, tb_err *err)
{
    const params *p = vp;
    const char *format = format_of(p, err);
    if (!format)
        return err->status;
    const bool video = strcmp(format, "mp4") == 0 || strcmp(format, "webm") == 0;
    return tb_job_deliver_files(job, 0, p->path,
                                video                        ? "video"
                                : strcmp(format, "png") == 0 ? "image"
                                                             : "animation",
                                err);
}

const tb_node_def tb_node_mux = {
    .abi = TB_NODE_ABI,
    .version = 2,
    .name = "mux",
    .title = "Save video",
    .category = "media",
    .doc = "Write frames to a video file, with the graph inside.",
    .flags = TB_NODE_IO | TB_NODE_TARGET,
    .params_size = sizeof(params),
    .inputs = inputs,
    .outputs = outputs,
    .plan = plan,
    .run = run,
    .deliver = deliver,
    .example =
        "local picture = tb.load_image { path = \"docs/frames.png\", width = 32, height = 32 }\n"
        "return tb.mux { video = picture, path = \"out.mp4\", fps = 8 }",
};
