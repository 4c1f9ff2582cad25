/* image_pad.c - pictures on a larger canvas, and where they are on it. */
#include <inttypes.h>
#include <string.h>

#include "node.h"

typedef struct params {
    const tb_value *image;
    int64_t width, height, x, y;
    const char *fill;
} params;

static const tb_input_def inputs[] = {
    TB_IN_PORT(params, image, "IMAGE", 0, "The pictures."),
    TB_IN_INT(params, width, 64, 1, 16384, "pixels", "Width of the canvas."),
    TB_IN_INT(params, height, 64, 1, 16384, "pixels", "Height of the canvas."),
    TB_IN_INT(params, x, -1, -1, 16384, "pixels", "Where their left edge is; -1: in the middle."),
    TB_IN_INT(params, y, -1, -1, 16384, "pixels", "Where their upper edge is; -1: in the middle."),
    TB_IN_COMBO(params, fill, "edge", "edge|grey",
                "What is around them: their outermost pixels again, or grey."),
    { 0 },
};

static const tb_output_def outputs[] = {
    { .name = "image", .type = "IMAGE", .shape = "frames,H,W,3", .doc = "The canvas." },
    { .name = "mask", .type = "MASK", .shape = "1,H,W", .doc = "1 where the pictures are." },
    { 0 },
};

#define GREY 0.5f

/* The place of the pictures on the canvas. */
typedef struct place {
    int64_t x, y, width, height;
} place;

static tb_status find_place(const params *p, const tb_shape *s, place *at, tb_err *err)
{
    *at = (place){ p->x, p->y, s->d[2], s->d[1] };
    if (at->x < 0)
        at->x = at->width < p->width ? (p->width - at->width) / 2 : 0;
    if (at->y < 0)
        at->y = at->height < p->height ? (p->height - at->height) / 2 : 0;
    if (at->x + at->width <= p->width && at->y + at->height <= p->height)
        return TB_OK;
    return tb_err_set(err, TB_EINVAL,
                      "the pictures must fit on the canvas, %" PRId64 "x%" PRId64 ", got %" PRId64
                      "x%" PRId64 " at %" PRId64 ",%" PRId64
                      "; resize them, or make the canvas larger",
                      p->width, p->height, at->width, at->height, at->x, at->y);
}

static int64_t within(int64_t i, int64_t n)
{
    return i < 0 ? 0 : i >= n ? n - 1 : i;
}

/* One frame; from [height,width,3] of the place, to [height,width,3] of the canvas. */
static void pad(const params *p, const place *at, const float *from, float *to)
{
    for (int64_t i = 0; i < p->height * p->width; i++, to += 3) {
        const int64_t y = i / p->width - at->y, x = i % p->width - at->x;
        const int64_t iy = within(y, at->height), ix = within(x, at->width);
        if ((iy == y && ix == x) || p->fill[0] == 'e')
            memcpy(to, from + (iy * at->width + ix) * 3, 3 * sizeof *to);
        else
            to[0] = to[1] = to[2] = GREY;
    }
}

static void mark(const params *p, const place *at, float *mask)
{
    for (int64_t i = 0; i < p->height * p->width; i++) {
        const int64_t y = i / p->width - at->y, x = i % p->width - at->x;
        mask[i] = within(y, at->height) == y && within(x, at->width) == x ? 1 : 0;
    }
}

static tb_status plan(tb_job *job, const void *vp, tb_err *err)
{
    static const char *const numbers[] = { "width", "height", "x", "y" };
    const params *p = vp;
    tb_shape s;
    place at;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (!tb_job_plan_known(job, numbers[i]))
            return TB_OK;
    tb_job_plan_output(job, 1, TB_F32, &TB_SHAPE(1, p->height, p->width));
    if (!tb_job_plan_shape(job, "image", &s) || s.n != 4)
        return TB_OK;
    tb_job_plan_output(job, 0, TB_F32, &TB_SHAPE(s.d[0], p->height, p->width, 3));
    return find_place(p, &s, &at, err);
}

static tb_status run(tb_job *job, const void *vp, tb_err *err)
{
    const params *p = vp;
    place at;
    const tb_tensor *image = tb_value_want(p->image, NULL, &TB_SHAPE(-1, -1, -1, 3),
                                           "image must be IMAGE f32 [frames,height,width,3]", err);
    if (!image)
        return err->status;
    TB_TRY(find_place(p, tb_tensor_shape(image), &at, err));
    const int64_t frames = tb_tensor_dim(image, 0);
    tb_tensor *out = tb_tensor_new(TB_F32, &TB_SHAPE(frames, p->height, p->width, 3), err);
    tb_tensor *mask = out ? tb_tensor_new(TB_F32, &TB_SHAPE(1, p->height, p->width), err) : NULL;
    if (!mask) {
        tb_tensor_unref(&out);
        return TB_ENOMEM;
    }
    for (int64_t i = 0; i < frames; i++)
        pad(p, &at, tb_tensor_f32(image) + i * at.height * at.width * 3,
            tb_tensor_f32_mut(out) + i * p->height * p->width * 3);
    mark(p, &at, tb_tensor_f32_mut(mask));
    tb_job_set_take(job, 0, tb_value_tensor_take(out));
    tb_job_set_take(job, 1, tb_value_tensor_take(mask));
    return TB_OK;
}

const tb_node_def tb_node_image_pad = {
    .abi = TB_NODE_ABI,
    .version = 1,
    .name = "image_pad",
    .title = "Pad images",
    .category = "image",
    .doc = "Put pictures on a larger canvas.",
    .flags = TB_NODE_FORGET,
    .params_size = sizeof(params),
    .inputs = inputs,
    .outputs = outputs,
    .plan = plan,
    .run = run,
    .example =
        "local picture = tb.load_image { path = \"docs/frames.png\", width = 32, height = 32 }\n"
        "return tb.image_pad { image = picture, width = 64, height = 48 }",
};
