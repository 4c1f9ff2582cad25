/* condition_start.c - what a latent knows of its own frames (latent_start), for the model and the
 * sampler. Other latents change nothing.
 */
#include "graph/records.h"
#include "node.h"

typedef struct params {
    const tb_value *conditioning, *latent;
} params;

static const tb_input_def inputs[] = {
    TB_IN_PORT(params, conditioning, "CONDITIONING", 0, "The text to join."),
    TB_IN_PORT(params, latent, "LATENT", 0, "The latent that will be sampled."),
    { 0 },
};

static const tb_output_def outputs[] = {
    { .name = "conditioning", .type = "CONDITIONING", .doc = "With the latent's known frames." },
    { 0 },
};

static tb_status run(tb_job *job, const void *vp, tb_err *err)
{
    const params *p = vp;
    const tb_value *known = tb_record_get(p->latent, "known"),
                   *mask = tb_record_get(p->latent, "mask");
    if (tb_value_kind(p->conditioning) != TB_RECORD)
        return tb_err_set(err, TB_EINVAL, "conditioning must be one that text_encode gives");
    if (!known || !mask || tb_value_kind(known) != TB_TENSOR) {
        tb_job_set_take(job, 0, tb_value_ref(p->conditioning));
        return TB_OK;
    }
    tb_value *record = tb_record_copy(p->conditioning);
    tb_record_set_take(record, "known", tb_value_ref(known));
    tb_record_set_take(record, "mask", tb_value_ref(mask));
    if (tb_record_get(record, "mask_frames"))
        tb_record_set_take(record, "mask_frames", tb_value_none());
    tb_record_set_take(record, "hold", tb_value_bool(true));
    tb_record_set_take(record, "keep", tb_value_bool(false));
    tb_job_set_take(job, 0, record);
    return TB_OK;
}

const tb_node_def tb_node_condition_start = {
    .abi = TB_NODE_ABI,
    .version = 1,
    .name = "condition_start",
    .title = "Known start",
    .category = "conditioning",
    .doc = "Gives the known frames of a latent to the model and the sampler.",
    .flags = TB_NODE_INLINE | TB_NODE_FORGET,
    .params_size = sizeof(params),
    .inputs = inputs,
    .outputs = outputs,
    .run = run,
    .example = "local m = tb.load_model {}\n"
               "return tb.condition_start {\n"
               "  conditioning = tb.text_encode { clip = m.clip, text = \"a red ball\" },\n"
               "  latent = tb.empty_latent { width = 32, height = 32, frames = 1 },\n"
               "}",
};
