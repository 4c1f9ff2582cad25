/* model_info.c - what a transformer takes, for graphs that serve several kinds of them. */
#include "graph/records.h"
#include "node.h"

typedef struct params {
    const tb_value *model;
} params;

static const tb_input_def inputs[] = {
    TB_IN_PORT(params, model, "MODEL", 0, "The transformer, or two experts."),
    { 0 },
};

enum { FAMILY, IMAGE_FEATURES, GREY_FRAMES };

static const tb_output_def outputs[] = {
    { .name = "family", .type = "STRING", .doc = "Wan2.1 I2V, ...; empty when it is not known." },
    { .name = "image_features",
      .type = "BOOLEAN",
      .doc = "It reads features of an image encoder (Wan2.1 I2V)." },
    { .name = "grey_frames",
      .type = "BOOLEAN",
      .doc = "It was trained on the encoding of a picture and grey frames (Wan I2V 14B)." },
    { 0 },
};

static tb_status run(tb_job *job, const void *vp, tb_err *err)
{
    const tb_value *m = ((const params *)vp)->model;
    if (tb_value_kind(m) != TB_RECORD)
        return tb_err_set(err, TB_EINVAL, "model must be one that load_model gives");
    const bool features = tb_record_int(m, "image_dim", 0) > 0;
    const bool known = tb_record_int(m, "in_channels", 0) > tb_record_int(m, "latent_channels", 0);
    tb_job_set_take(job, FAMILY, tb_value_string(tb_record_text(m, "family", "")));
    tb_job_set_take(job, IMAGE_FEATURES, tb_value_bool(features));
    /* of transformers with channels for known latents, Wan2.2's are two experts */
    tb_job_set_take(job, GREY_FRAMES,
                    tb_value_bool(known && (features || tb_record_get(m, "low") != NULL)));
    return TB_OK;
}

const tb_node_def tb_node_model_info = {
    .abi = TB_NODE_ABI,
    .version = 1,
    .name = "model_info",
    .title = "Model info",
    .category = "model",
    .doc = "Says what a transformer takes.",
    .flags = TB_NODE_INLINE | TB_NODE_FORGET,
    .params_size = sizeof(params),
    .inputs = inputs,
    .outputs = outputs,
    .run = run,
    .example = "return tb.model_info { model = tb.load_model {}.model }.image_features",
};
