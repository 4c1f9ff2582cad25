/* load_video.c - frames of a video from a file. */
#include <stdlib.h>

#include "formats/media.h"
#include "node.h"

typedef struct params {
    const char *path, *fit, *filter;
    int64_t first, frames, width, height, least;
} params;

static const tb_input_def inputs[] = {
    TB_IN_STRING(params, path, NULL, TB_IN_FILE,
                 "MP4, MOV, WebM, MKV, AVI or GIF; a picture is one frame."),
    TB_IN_INT(params, first, 0, 0, 1000000, "frames", "Frames to leave out at the beginning."),
    TB_IN_INT(params, frames, 0, 0, 1000000, "frames", "Frames to read at most; 0: all."),
    TB_IN_INT(params, width, 0, 0, 16384, "pixels",
              "Width to resize to; 0: from height, or as it is."),
    TB_IN_INT(params, height, 0, 0, 16384, "pixels",
              "Height to resize to; 0: from width, or as it is."),
    TB_IN_COMBO(params, fit, "crop", "crop|pad|stretch",
                "When the aspect differs: cut, add borders, or distort."),
    TB_IN_COMBO(params, filter, "lanczos", "nearest|area|bilinear|bicubic|lanczos",
                "How to resize."),
    TB_IN_INT(params, least, 0, 0, 1000000, "frames", "Refuse a video with fewer."),
    { 0 },
};

static const tb_output_def outputs[] = {
    { .name = "images", .type = "IMAGE", .shape = "frames,H,W,3", .doc = "The frames, 0..1." },
    { .name = "video", .type = "VIDEO", .doc = "The frames and their rate." },
    { .name = "fps", .type = "FLOAT", .doc = "Frames a second; 0 for a picture." },
    { 0 },
};

/* How many frames will come; -1: the file does not say. */
static int64_t frames_of(const params *p, const tb_media_info *info)
{
    int64_t n = info->frames < 0 ? -1 : info->frames - p->first;
    if (p->frames && (n < 0 || n > p->frames))
        n = p->frames;
    return n;
}

/* `n` frames were or will be read from `path`. */
static tb_status check_least(const params *p, const char *path, int64_t n, tb_err *err)
{
    if (n >= p->least)
        return TB_OK;
    return tb_err_set(err, TB_EINVAL, "a video of at least %lld frames is wanted, '%s' has %lld",
                      (long long)p->least, path, (long long)n);
}

static tb_status plan(tb_job *job, const void *vp, tb_err *err)
{
    const params *p = vp;
    tb_media_info info = { 0 };
    if (!tb_job_plan_known(job, "path"))
        return TB_OK;
    char *path = tb_job_path(job, p->path, err);
    tb_status st = path ? tb_media_probe(path, &info, err) : err->status;
    if (st == TB_OK && info.frames >= 0 && p->first >= info.frames)
        st = tb_err_set(
            err, TB_EINVAL, "first must be 0..%lld for the %lld frames of '%s', got %lld",
            (long long)info.frames - 1, (long long)info.frames, path, (long long)p->first);
    if (st == TB_OK && info.frames >= 0 && tb_job_plan_known(job, "least"))
        st = check_least(p, path, frames_of(p, &info), err);
    free(path);
    json_decref(info.texts);
    if (st != TB_OK)
        return st;
    tb_media_fit_size(&info.width, &info.height, p->width, p->height);
    if (frames_of(p, &info) > 0)
        tb_job_plan_output(job, 0, TB_F32,
                           &TB_SHAPE(frames_of(p, &info), info.height, info.width, 3));
    return TB_OK;
}

static tb_status run(tb_job *job, const void *vp, tb_err *err)
{
    const params *p = vp;
    double fps = 0;
    char *path = tb_job_path(job, p->path, err);
    tb_tensor *raw =
        path ? tb_media_read(path, p->first, p->frames, &fps, tb_job_cancel_flag(job), err) : NULL;
    const tb_status st = raw ? check_least(p, path, tb_tensor_dim(raw, 0), err) : err->status;
    free(path);
    if (st != TB_OK) {
        tb_tensor_unref(&raw);
        return st;
    }
    tb_tensor *images = tb_media_fit(raw, p->width, p->height, p->fit, p->filter, err);
    tb_tensor_unref(&raw);
    if (!images)
        return err->status;
    tb_value *v = tb_value_tensor_take(images), *video = tb_value_record();
    tb_record_set_take(video, "images", tb_value_ref(v));
    tb_record_set_take(video, "fps", tb_value_float(fps));
    tb_job_set_take(job, 0, v);
    tb_job_set_take(job, 1, video);
    tb_job_set_take(job, 2, tb_value_float(fps));
    return TB_OK;
}

const tb_node_def tb_node_load_video = {
    .abi = TB_NODE_ABI,
    .version = 1,
    .name = "load_video",
    .title = "Load video",
    .category = "media",
    .doc = "Read the frames of a video from a file.",
    .flags = TB_NODE_IO,
    .params_size = sizeof(params),
    .inputs = inputs,
    .outputs = outputs,
    .plan = plan,
    .run = run,
    .example = "return tb.load_video { path = \"docs/frames.png\", frames = 1, width = 32 }",
};
