/* text_encode.c - a prompt as features for the transformer.
 *
 * Rows of real tokens only, the end token included: the transformer pads to its text length itself.
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "graph/records.h"
#include "models/models.h"
#include "models/umt5_prompt.h"
#include "node.h"

typedef struct params {
    const tb_value *clip;
    const char *text;
} params;

static const tb_input_def inputs[] = {
    TB_IN_PORT(params, clip, "CLIP", 0, "The text encoder of load_model."),
    TB_IN_STRING(params, text, "", TB_IN_MULTILINE, "What to show, or what to avoid."),
    { 0 },
};

static const tb_output_def outputs[] = {
    { .name = "conditioning",
      .type = "CONDITIONING",
      .shape = "tokens,dim",
      .doc = "Features of the text, one row a token." },
    { 0 },
};

/* The prompt's ids, cut to what the model takes; freed by free(). */
static tb_status tokenise(tb_job *job, const params *p, int32_t **ids, int64_t *count, tb_err *err)
{
    const tb_tokenizer *t =
        tb_models_tokenizer(tb_job_models(job), tb_record_text(p->clip, "tokenizer", ""),
                            tb_record_text(p->clip, "tokenizer_id", ""), err);
    if (!t)
        return err->status;
    const int64_t max = tb_record_int(p->clip, "text_len", 0);
    char *clean = tb_umt5_clean_prompt(p->text);
    tb_status st = tb_tokenizer_encode(t, clean, 0, ids, count, err);
    if (st == TB_OK && max > 0 && *count > max) {
        tb_log(TB_LOG_WARN, "the prompt has %lld tokens; the model reads the first %lld",
               (long long)*count, (long long)max);
        free(*ids);
        *ids = NULL;
        st = tb_tokenizer_encode(t, clean, max, ids, count, err);
    }
    free(clean);
    return st;
}

static tb_status plan(tb_job *job, const void *vp, tb_err *err)
{
    const params *p = vp;
    (void)err;
    if (p->clip)
        tb_job_plan_scratch(job, tb_bytes_of_umt5(p->clip));
    return TB_OK;
}

static tb_status encode(tb_job *job, const params *p, const int32_t *ids, int64_t count,
                        tb_tensor **out, tb_err *err)
{
    tb_compute *c = tb_job_compute(job, err);
    if (!c)
        return err->status;
    tb_job_make_room(job, p->clip, tb_bytes_of_umt5(p->clip));
    const tb_umt5 *m = tb_models_umt5(tb_job_models(job), c, tb_record_text(p->clip, "path", ""),
                                      tb_record_text(p->clip, "id", ""), err);
    if (!m)
        return err->status;
    *out = tb_tensor_new(TB_F32, &TB_SHAPE(count, tb_umt5_config_of(m)->dim), err);
    if (!*out)
        return err->status;
    TB_TRY(tb_umt5_run(m, c, ids, count, tb_tensor_f32_mut(*out), tb_job_cancel_flag(job), NULL,
                       NULL, err));
    return tb_job_check_part(job, p->clip, err);
}

static tb_status run(tb_job *job, const void *vp, tb_err *err)
{
    const params *p = vp;
    int32_t *ids = NULL;
    int64_t count = 0;
    tb_tensor *text = NULL;
    if (strcmp(tb_record_text(p->clip, "kind", ""), "clip") != 0)
        return tb_err_set(err, TB_EINVAL,
                          "clip must be the text encoder that load_model gives as 'clip'");
    tb_status st = tokenise(job, p, &ids, &count, err);
    if (st == TB_OK)
        st = encode(job, p, ids, count, &text, err);
    free(ids);
    if (st != TB_OK) {
        tb_tensor_unref(&text);
        return st;
    }
    tb_value *record = tb_value_record();
    tb_record_set_take(record, "text", tb_value_tensor_take(text));
    tb_job_set_take(job, 0, record);
    return TB_OK;
}

const tb_node_def tb_node_text_encode = {
    .abi = TB_NODE_ABI,
    .version = 1,
    .name = "text_encode",
    .title = "Text encode",
    .category = "conditioning",
    .doc = "Turn a prompt into features that steer the picture.",
    .flags = TB_NODE_NUMERIC,
    .params_size = sizeof(params),
    .inputs = inputs,
    .outputs = outputs,
    .plan = plan,
    .run = run,
    .example = "local m = tb.load_model {}\n"
               "return tb.text_encode { clip = m.clip, text = \"a red ball\" }",
};
