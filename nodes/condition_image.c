/* condition_image.c - features of one picture, or of a first and a last one, for the transformer.
 *
 * Transformers that read no image features leave them aside (dit_step).
 */
#include <string.h>

#include "graph/records.h"
#include "node.h"

typedef struct params {
    const tb_value *conditioning, *start, *end;
} params;

static const tb_input_def inputs[] = {
    TB_IN_PORT(params, conditioning, "CONDITIONING", 0, "The text to join."),
    TB_IN_PORT(params, start, "CLIP_VISION_OUTPUT", TB_IN_OPTIONAL,
               "Features of the picture the video begins with."),
    TB_IN_PORT(params, end, "CLIP_VISION_OUTPUT", TB_IN_OPTIONAL,
               "Features of the picture it ends with (Wan2.1 FLF2V)."),
    { 0 },
};

static const tb_output_def outputs[] = {
    { .name = "conditioning", .type = "CONDITIONING", .doc = "Text with image features." },
    { 0 },
};

/* NULL in *rows: not connected, or empty. */
static tb_status read(const tb_value *output, const tb_tensor **rows, tb_err *err)
{
    *rows = NULL;
    if (output && tb_value_kind(output) != TB_RECORD)
        return tb_err_set(err, TB_EINVAL,
                          "image features must be a record, as clip_vision_encode gives it");
    if (!output || !tb_record_get(output, "features"))
        return TB_OK;
    *rows = tb_record_f32(output, "the output of clip_vision_encode", "features", 2, err);
    return *rows ? TB_OK : TB_EINVAL;
}

/* Rows of a, then those of b; either may be NULL. */
static tb_tensor *join(const tb_tensor *a, const tb_tensor *b, tb_err *err)
{
    if (!a || !b)
        return tb_tensor_ref(a ? a : b);
    const int64_t dim = tb_tensor_dim(a, 1);
    if (tb_tensor_dim(b, 1) != dim) {
        tb_err_set(err, TB_EINVAL,
                   "start and end must be features of one width, got %lld and %lld: encode both "
                   "pictures with the same image encoder",
                   (long long)dim, (long long)tb_tensor_dim(b, 1));
        return NULL;
    }
    tb_tensor *t =
        tb_tensor_new(TB_F32, &TB_SHAPE(tb_tensor_dim(a, 0) + tb_tensor_dim(b, 0), dim), err);
    if (!t)
        return NULL;
    memcpy(tb_tensor_f32_mut(t), tb_tensor_f32(a), tb_tensor_bytes(a));
    memcpy(tb_tensor_f32_mut(t) + tb_tensor_count(a), tb_tensor_f32(b), tb_tensor_bytes(b));
    return t;
}

static tb_status run(tb_job *job, const void *vp, tb_err *err)
{
    const params *p = vp;
    const tb_tensor *a, *b;
    if (tb_value_kind(p->conditioning) != TB_RECORD)
        return tb_err_set(err, TB_EINVAL, "conditioning must be one that text_encode gives");
    TB_TRY(read(p->start, &a, err));
    TB_TRY(read(p->end, &b, err));
    if (!a && !b) {
        tb_job_set_take(job, 0, tb_value_ref(p->conditioning));
        return TB_OK;
    }
    tb_tensor *rows = join(a, b, err);
    if (!rows)
        return err->status;
    tb_value *record = tb_record_copy(p->conditioning);
    tb_record_set_take(record, "image", tb_value_tensor_take(rows));
    tb_job_set_take(job, 0, record);
    return TB_OK;
}

const tb_node_def tb_node_condition_image = {
    .abi = TB_NODE_ABI,
    .version = 1,
    .name = "condition_image",
    .title = "Image features",
    .category = "conditioning",
    .doc = "Gives features of one picture or two to transformers that read them.",
    .flags = TB_NODE_INLINE | TB_NODE_FORGET,
    .params_size = sizeof(params),
    .inputs = inputs,
    .outputs = outputs,
    .run = run,
    .example = "local m = tb.load_model {}\n"
               "local picture = tb.load_image { path = \"docs/frames.png\" }\n"
               "return tb.condition_image {\n"
               "  conditioning = tb.text_encode { clip = m.clip, text = \"a red ball\" },\n"
               "  start = tb.clip_vision_encode { clip_vision = m.clip_vision, image = picture },\n"
               "}",
};
