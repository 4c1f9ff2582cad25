/* load_mask.c - one channel of a picture, as a mask. */
#include <stdlib.h>
#include <string.h>

#include "formats/media.h"
#include "node.h"

typedef struct params {
    const char *path, *channel;
    bool small;
} params;

static const tb_input_def inputs[] = {
    TB_IN_STRING(params, path, NULL, TB_IN_FILE, "PNG, WebP or another picture."),
    TB_IN_COMBO(params, channel, "alpha", "alpha|red|green|blue",
                "Which channel; alpha: 1 where the picture is see-through."),
    TB_IN_BOOL(params, small, false,
               "With alpha: a picture that has none gives 64x64 zeros, not zeros of its size."),
    { 0 },
};

static const tb_output_def outputs[] = {
    { .name = "mask", .type = "MASK", .shape = "1,H,W", .doc = "The mask, upright, 0..1." },
    { 0 },
};

enum { SMALL_SIDE = 64, CHANNELS = 4 };

static int channel_of(const char *name)
{
    static const char *const names[CHANNELS] = { "red", "green", "blue", "alpha" };
    int i = 0;
    while (i < CHANNELS - 1 && strcmp(names[i], name) != 0)
        i++;
    return i;
}

/* rgba [1,H,W,4] */
static tb_tensor *mask_of(const tb_tensor *rgba, int channel, tb_err *err)
{
    const int64_t height = tb_tensor_dim(rgba, 1), width = tb_tensor_dim(rgba, 2);
    tb_tensor *mask = tb_tensor_new(TB_F32, &TB_SHAPE(1, height, width), err);
    if (!mask)
        return NULL;
    const float *from = tb_tensor_f32(rgba) + channel;
    float *to = tb_tensor_f32_mut(mask);
    for (int64_t i = 0; i < height * width; i++, from += CHANNELS)
        to[i] = channel == CHANNELS - 1 ? 1.0F - *from : *from;
    return mask;
}

static tb_status run(tb_job *job, const void *vp, tb_err *err)
{
    const params *p = vp;
    const int channel = channel_of(p->channel);
    bool has_alpha = false;
    char *path = tb_job_path(job, p->path, err);
    tb_tensor *rgba =
        path ? tb_media_read_rgba(path, &has_alpha, tb_job_cancel_flag(job), err) : NULL;
    free(path);
    if (!rgba)
        return err->status;
    tb_tensor *mask = p->small && !has_alpha && channel == CHANNELS - 1
                          ? tb_tensor_new_zero(TB_F32, &TB_SHAPE(1, SMALL_SIDE, SMALL_SIDE), err)
                          : mask_of(rgba, channel, err);
    tb_tensor_unref(&rgba);
    if (!mask)
        return err->status;
    tb_job_set_take(job, 0, tb_value_tensor_take(mask));
    return TB_OK;
}

const tb_node_def tb_node_load_mask = {
    .abi = TB_NODE_ABI,
    .version = 1,
    .name = "load_mask",
    .title = "Load mask",
    .category = "media",
    .doc = "Read a mask from the alpha or a colour of a picture.",
    .flags = TB_NODE_IO,
    .params_size = sizeof(params),
    .inputs = inputs,
    .outputs = outputs,
    .run = run,
    .example = "return tb.load_mask { path = \"docs/frames.png\", channel = \"red\" }",
};
