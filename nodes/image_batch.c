/* image_batch.c - all pictures of a list as the frames of one. */
#include "base/mem.h"
#include "models/tensor_ops.h"
#include "node.h"

#include <stdlib.h>

typedef struct params {
    const tb_value *images;
} params;

static const tb_input_def inputs[] = {
    TB_IN_PORT(params, images, "IMAGE", TB_IN_LIST, "A list of pictures, all of one size."),
    { 0 },
};

static const tb_output_def outputs[] = {
    { .name = "image", .type = "IMAGE", .shape = "frames,H,W,3", .doc = "All frames, in order." },
    { 0 },
};

static tb_tensor *join(const tb_value *list, tb_err *err)
{
    const int n = tb_list_count(list);
    const tb_tensor **all = tb_xcalloc((size_t)n, sizeof *all);
    tb_tensor *out = NULL;
    bool good = true;
    for (int i = 0; i < n && good; i++) {
        all[i] = tb_value_want(tb_list_at(list, i), NULL, &TB_SHAPE(-1, -1, -1, 3),
                               "images must be a list of IMAGE f32 [frames,height,width,3]", err);
        good = all[i] != NULL;
    }
    if (good)
        out = tb_tensor_concat(all, n, 0, err);
    free(all);
    return out;
}

static tb_status run(tb_job *job, const void *vp, tb_err *err)
{
    const params *p = vp;
    if (tb_list_count(p->images) == 0)
        return tb_err_set(err, TB_EINVAL,
                          "images must be a list of at least one IMAGE, got an empty list");
    tb_tensor *out = join(p->images, err);
    if (!out)
        return err->status;
    tb_job_set_take(job, 0, tb_value_tensor_take(out));
    return TB_OK;
}

const tb_node_def tb_node_image_batch = {
    .abi = TB_NODE_ABI,
    .version = 1,
    .name = "image_batch",
    .title = "Batch images",
    .category = "image",
    .doc = "Make one set of frames of a list of pictures.",
    .flags = TB_NODE_FORGET,
    .params_size = sizeof(params),
    .inputs = inputs,
    .outputs = outputs,
    .run = run,
    .example = "local fits = tb.prompt_grid { template = \"{crop|pad|stretch}\" } -- a list\n"
               "local pictures = tb.load_image {\n"
               "  path = \"docs/frames.png\", width = 32, height = 32, fit = fits,\n"
               "}\n"
               "return tb.image_batch { images = pictures }",
};
