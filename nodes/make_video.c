/* make_video.c - pictures with a rate: a video. */
#include "node.h"

typedef struct params {
    const tb_value *images;
    double fps;
} params;

static const tb_input_def inputs[] = {
    TB_IN_PORT(params, images, "IMAGE", 0, "The frames."),
    TB_IN_FLOAT(params, fps, 8, 0.01, 1000, "frames a second", "Rate."),
    { 0 },
};

static const tb_output_def outputs[] = {
    { .name = "video", .type = "VIDEO", .doc = "Frames and rate." },
    { 0 },
};

static tb_status run(tb_job *job, const void *vp, tb_err *err)
{
    const params *p = vp;
    if (!tb_value_want(p->images, NULL, &TB_SHAPE(-1, -1, -1, 3),
                       "images must be IMAGE f32 [frames,height,width,3]", err))
        return TB_EINVAL;
    tb_value *video = tb_value_record();
    tb_record_set_take(video, "images", tb_value_ref(p->images));
    tb_record_set_take(video, "fps", tb_value_float(p->fps));
    tb_job_set_take(job, 0, video);
    return TB_OK;
}

const tb_node_def tb_node_make_video = {
    .abi = TB_NODE_ABI,
    .version = 1,
    .name = "make_video",
    .title = "Make video",
    .category = "media",
    .doc = "Gives pictures a rate.",
    .flags = TB_NODE_INLINE | TB_NODE_FORGET,
    .params_size = sizeof(params),
    .inputs = inputs,
    .outputs = outputs,
    .run = run,
    .example = "local picture = tb.load_image { path = \"docs/frames.png\" }\n"
               "return tb.make_video { images = picture, fps = 8 }",
};
