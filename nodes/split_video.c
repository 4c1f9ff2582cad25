/* split_video.c - the frames of a video, and their rate. */
#include "graph/records.h"
#include "node.h"

typedef struct params {
    const tb_value *video;
} params;

static const tb_input_def inputs[] = {
    TB_IN_PORT(params, video, "VIDEO", 0, "Frames and rate."),
    { 0 },
};

static const tb_output_def outputs[] = {
    { .name = "images", .type = "IMAGE", .shape = "frames,H,W,3", .doc = "The frames." },
    { .name = "fps", .type = "FLOAT", .doc = "Frames a second." },
    { 0 },
};

static tb_status run(tb_job *job, const void *vp, tb_err *err)
{
    const params *p = vp;
    const double fps = tb_record_number(p->video, "fps", 0);
    if (!tb_value_want(p->video, "images", &TB_SHAPE(-1, -1, -1, 3),
                       "video must hold images f32 [frames,height,width,3]", err))
        return TB_EINVAL;
    tb_job_set_take(job, 0, tb_value_ref(tb_record_get(p->video, "images")));
    tb_job_set_take(job, 1, tb_value_float(fps));
    return TB_OK;
}

const tb_node_def tb_node_split_video = {
    .abi = TB_NODE_ABI,
    .version = 1,
    .name = "split_video",
    .title = "Split video",
    .category = "media",
    .doc = "Takes the frames out of a video.",
    .flags = TB_NODE_INLINE | TB_NODE_FORGET,
    .params_size = sizeof(params),
    .inputs = inputs,
    .outputs = outputs,
    .run = run,
    .example =
        "local picture = tb.load_image { path = \"docs/frames.png\" }\n"
        "return tb.split_video { video = tb.make_video { images = picture, fps = 8 } }.images",
};
