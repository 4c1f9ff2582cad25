/* experts.c - two transformers as one model: the first while there is much noise, the second from
 * the boundary down, as Wan2.2's A14B models are made (boundary_ratio of diffusers).
 *
 * The MODEL is the first one's with
 *
 *     low       MODEL: the expert of low noise
 *     boundary  FLOAT: it is used at timesteps below 1000 times this
 */
#include "graph/records.h"
#include "node.h"

typedef struct params {
    const tb_value *high, *low;
    double boundary;
} params;

static const tb_input_def inputs[] = {
    TB_IN_PORT(params, high, "MODEL", 0, "The expert of high noise: it runs first."),
    TB_IN_PORT(params, low, "MODEL", 0, "The expert of low noise."),
    TB_IN_FLOAT(params, boundary, 0.875, 0, 1, "",
                "Noise below which the second one runs; 0.875 for text to video, 0.9 for image to "
                "video with Wan2.2."),
    { 0 },
};

static const tb_output_def outputs[] = {
    { .name = "model", .type = "MODEL", .doc = "Both." },
    { 0 },
};

/* Both read and write the same latents and text. */
static tb_status check(const params *p, tb_err *err)
{
    static const char *const same[] = { "latent_channels", "in_channels", "text_dim" };
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        const int64_t a = tb_record_int(p->high, same[i], 0), b = tb_record_int(p->low, same[i], 0);
        if (a != b)
            return tb_err_set(
                err, TB_EINVAL,
                "the experts do not belong together: %s is %lld in one, %lld in the other", same[i],
                (long long)a, (long long)b);
    }
    return TB_OK;
}

static tb_status run(tb_job *job, const void *vp, tb_err *err)
{
    const params *p = vp;
    if (tb_value_kind(p->high) != TB_RECORD || tb_value_kind(p->low) != TB_RECORD)
        return tb_err_set(err, TB_EINVAL, "high and low must be models, as load_model gives them");
    TB_TRY(check(p, err));
    tb_value *model = tb_record_copy(p->high);
    tb_record_set_take(model, "low", tb_value_ref(p->low));
    tb_record_set_take(model, "boundary", tb_value_float(p->boundary));
    tb_job_set_take(job, 0, model);
    return TB_OK;
}

const tb_node_def tb_node_experts = {
    .abi = TB_NODE_ABI,
    .version = 1,
    .name = "experts",
    .title = "Two experts",
    .category = "model",
    .doc = "One model of two transformers, switched by the amount of noise (Wan2.2 A14B).",
    .flags = TB_NODE_INLINE | TB_NODE_FORGET,
    .params_size = sizeof(params),
    .inputs = inputs,
    .outputs = outputs,
    .run = run,
    .example = "local m = tb.load_model {}\n"
               "return tb.experts { high = m.model, low = m.model, boundary = 0.875 }",
};
