/* condition_window.c - what a conditioning knows of some frames of a video (condition), for a
 * window of its latent (latent_window). One without known frames passes as it is.
 */
#include "models/tensor_ops.h"
#include "node.h"

typedef struct params {
    const tb_value *conditioning;
    int64_t start, count;
} params;

static const tb_input_def inputs[] = {
    TB_IN_PORT(params, conditioning, "CONDITIONING", 0, "Text, and known frames of the video."),
    TB_IN_INT(params, start, 0, -1000000, 1000000, "latent frames",
              "The first one; behind the last frame comes the first one again."),
    TB_IN_INT(params, count, 5, 1, 1000000, "latent frames", "How many."),
    { 0 },
};

static const tb_output_def outputs[] = {
    { .name = "conditioning", .type = "CONDITIONING", .doc = "With the known of those frames." },
    { 0 },
};

/* Puts those frames of a tensor with `rank` axes into the record. */
static tb_status cut(const params *p, const char *name, int rank, int axis, tb_value *record,
                     tb_err *err)
{
    const tb_tensor *t = tb_record_tensor(p->conditioning, name);
    if (!t || tb_tensor_shape(t)->n != rank || tb_tensor_count(t) < 1)
        return tb_err_set(
            err, TB_EINVAL,
            "'%s' of the conditioning must have %d dimensions; take it from condition", name, rank);
    tb_tensor *part = tb_tensor_ring(t, axis, p->start, p->count, err);
    if (!part)
        return TB_ENOMEM;
    tb_record_set_take(record, name, tb_value_tensor_take(part));
    return TB_OK;
}

static tb_status run(tb_job *job, const void *vp, tb_err *err)
{
    const params *p = vp;
    if (tb_value_kind(p->conditioning) != TB_RECORD)
        return tb_err_set(err, TB_EINVAL, "conditioning must be one that text_encode gives");
    if (!tb_record_get(p->conditioning, "known")) {
        tb_job_set_take(job, 0, tb_value_ref(p->conditioning));
        return TB_OK;
    }
    tb_value *record = tb_record_copy(p->conditioning);
    tb_status st = cut(p, "known", 4, 1, record, err);
    if (st == TB_OK)
        st = cut(p, "mask", 3, 0, record, err);
    if (st == TB_OK && tb_record_tensor(p->conditioning, "mask_frames"))
        st = cut(p, "mask_frames", 4, 1, record, err);
    if (st == TB_OK)
        tb_job_set_take(job, 0, record);
    else
        tb_value_unref(&record);
    return st;
}

const tb_node_def tb_node_condition_window = {
    .abi = TB_NODE_ABI,
    .version = 1,
    .name = "condition_window",
    .title = "Known frames of a window",
    .category = "conditioning",
    .doc = "Keeps the known frames of a window of a video.",
    .flags = TB_NODE_FORGET,
    .params_size = sizeof(params),
    .inputs = inputs,
    .outputs = outputs,
    .run = run,
    .example = "local m = tb.load_model {}\n"
               "local x = tb.noise_init { model = m.model, size = \"32x32\", frames = 9 }\n"
               "local prompt = tb.text_encode { clip = m.clip, text = \"a red ball\" }\n"
               "local known = tb.condition { conditioning = prompt, latent = x }\n"
               "return tb.condition_window { conditioning = known, start = 0, count = 2 }",
};
