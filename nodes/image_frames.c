/* image_frames.c - known pictures at the start and the end of a video, and which frames those are.
 *
 * Frames in between are of one grey. The mask has one pixel a frame: 1 where it is known.
 */
#include <string.h>

#include "node.h"

typedef struct params {
    const tb_value *start, *end;
    int64_t frames;
    double grey;
} params;

static const tb_input_def inputs[] = {
    TB_IN_PORT(params, start, "IMAGE", TB_IN_OPTIONAL, "The first frames."),
    TB_IN_PORT(params, end, "IMAGE", TB_IN_OPTIONAL, "The last frames."),
    TB_IN_INT(params, frames, 17, 1, 16384, "frames", "How many in all; what is over is left out."),
    TB_IN_FLOAT(params, grey, 0.5, 0, 1, "", "Of the frames that are not known."),
    { 0 },
};

static const tb_output_def outputs[] = {
    { .name = "image", .type = "IMAGE", .shape = "frames,H,W,3", .doc = "All frames." },
    { .name = "mask", .type = "MASK", .shape = "frames,1,1", .doc = "1 where a frame is known." },
    { 0 },
};

static tb_status plan(tb_job *job, const void *vp, tb_err *err)
{
    const params *p = vp;
    tb_shape s;
    (void)err;
    if (!tb_job_plan_known(job, "frames") ||
        (!tb_job_plan_shape(job, "start", &s) && !tb_job_plan_shape(job, "end", &s)) || s.n != 4)
        return TB_OK;
    s.d[0] = p->frames;
    tb_job_plan_output(job, 0, TB_F32, &s);
    return TB_OK;
}

/* What is known: `count` frames from frame `from` of `images` on stand at frame `at`. */
typedef struct run_of {
    const tb_tensor *images;
    int64_t from, count, at;
} run_of;

static void copy(const run_of *r, int64_t frame, float *pixels, float *mask)
{
    if (!r->images)
        return;
    memcpy(pixels + r->at * frame, tb_tensor_f32(r->images) + r->from * frame,
           (size_t)(r->count * frame) * sizeof *pixels);
    for (int64_t i = 0; i < r->count; i++)
        mask[r->at + i] = 1;
}

static tb_status read(const params *p, run_of *start, run_of *end, tb_err *err)
{
    const char *wanted = "pictures must be IMAGE f32 [frames,height,width,3]";
    const tb_shape any = TB_SHAPE(-1, -1, -1, 3);
    *start = *end = (run_of){ 0 };
    if (p->start && !(start->images = tb_value_want(p->start, NULL, &any, wanted, err)))
        return TB_EINVAL;
    if (p->end && !(end->images = tb_value_want(p->end, NULL, &any, wanted, err)))
        return TB_EINVAL;
    const tb_tensor *a = start->images, *b = end->images;
    if (!a && !b)
        return tb_err_set(err, TB_EINVAL, "start or end must be connected");
    if (a && b &&
        (tb_tensor_dim(a, 1) != tb_tensor_dim(b, 1) || tb_tensor_dim(a, 2) != tb_tensor_dim(b, 2)))
        return tb_err_set(err, TB_EINVAL,
                          "start and end must be of one size, got %lldx%lld and %lldx%lld",
                          (long long)tb_tensor_dim(a, 2), (long long)tb_tensor_dim(a, 1),
                          (long long)tb_tensor_dim(b, 2), (long long)tb_tensor_dim(b, 1));
    const int64_t n = a ? tb_tensor_dim(a, 0) : 0, m = b ? tb_tensor_dim(b, 0) : 0;
    start->count = n < p->frames ? n : p->frames;
    end->count = m < p->frames ? m : p->frames;
    end->from = m - end->count;
    end->at = p->frames - end->count;
    return TB_OK;
}

static tb_status run(tb_job *job, const void *vp, tb_err *err)
{
    const params *p = vp;
    run_of start, end;
    TB_TRY(read(p, &start, &end, err));
    tb_shape shape = *tb_tensor_shape(start.images ? start.images : end.images);
    const int64_t frame = shape.d[1] * shape.d[2] * 3;
    shape.d[0] = p->frames;
    tb_tensor *image = tb_tensor_new(TB_F32, &shape, err);
    tb_tensor *mask = image ? tb_tensor_new(TB_F32, &TB_SHAPE(p->frames, 1, 1), err) : NULL;
    if (!mask) {
        tb_tensor_unref(&image);
        return TB_ENOMEM;
    }
    float *pixels = tb_tensor_f32_mut(image), *known = tb_tensor_f32_mut(mask);
    for (int64_t i = 0; i < p->frames * frame; i++)
        pixels[i] = (float)p->grey;
    memset(known, 0, tb_tensor_bytes(mask));
    copy(&start, frame, pixels, known);
    copy(&end, frame, pixels, known);
    tb_job_set_take(job, 0, tb_value_tensor_take(image));
    tb_job_set_take(job, 1, tb_value_tensor_take(mask));
    return TB_OK;
}

const tb_node_def tb_node_image_frames = {
    .abi = TB_NODE_ABI,
    .version = 1,
    .name = "image_frames",
    .title = "Known frames of a video",
    .category = "image",
    .doc = "Puts pictures at the start and the end of a grey video.",
    .flags = TB_NODE_FORGET,
    .params_size = sizeof(params),
    .inputs = inputs,
    .outputs = outputs,
    .plan = plan,
    .run = run,
    .example =
        "local picture = tb.load_image { path = \"docs/frames.png\", width = 32, height = 32 }\n"
        "return tb.image_frames { start = picture, frames = 5 }",
};
