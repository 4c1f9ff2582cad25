/* clip_vision_encode.c - a picture as features for image-to-video transformers that read them.
 *
 * How the picture is brought to the encoder's size: models/clip_vision.h. A model whose transformer
 * reads no image features has no encoder either: its output is empty, and the picture is not asked
 * for.
 */
#include <string.h>

#include "base/mem.h"
#include "graph/records.h"
#include "models/models.h"
#include "node.h"

typedef struct params {
    const tb_value *clip_vision, *image;
    const char *crop;
} params;

enum { CLIP_VISION, IMAGE };

static const tb_input_def inputs[] = {
    TB_IN_PORT(params, clip_vision, "CLIP_VISION", 0, "The image encoder of load_model."),
    TB_IN_PORT(params, image, "IMAGE", TB_IN_LAZY, "The picture; of several the first."),
    TB_IN_COMBO(params, crop, "center", "center|none",
                "center: its middle, as diffusers; none: all of it, made square, as Wan's own "
                "program."),
    { 0 },
};

static const tb_output_def outputs[] = {
    { .name = "clip_vision_output",
      .type = "CLIP_VISION_OUTPUT",
      .shape = "rows,dim",
      .doc = "Features of the picture, one row a patch and one of it all." },
    { 0 },
};

static bool unused(const params *p)
{
    return tb_record_flag(p->clip_vision, "unused", false);
}

static uint64_t need(const void *vp, uint64_t have)
{
    return have & 1u << CLIP_VISION && !unused(vp) ? 1u << IMAGE : 0;
}

static tb_status plan(tb_job *job, const void *vp, tb_err *err)
{
    const params *p = vp;
    (void)err;
    if (!p->clip_vision || unused(p))
        return TB_OK;
    tb_job_plan_output(job, 0, TB_F32,
                       &TB_SHAPE(tb_record_int(p->clip_vision, "tokens", 0),
                                 tb_record_int(p->clip_vision, "dim", 0)));
    tb_job_plan_scratch(job, tb_bytes_of_clip_vision(p->clip_vision));
    tb_job_plan_work(job, tb_flop_of_clip_vision(p->clip_vision));
    return TB_OK;
}

static tb_status encode(tb_job *job, const params *p, const tb_clip_vision *m, tb_compute *c,
                        const tb_tensor *image, tb_tensor *out, tb_err *err)
{
    const int64_t size = tb_clip_vision_config_of(m)->image;
    float *pixels = tb_mem_alloc((size_t)(3 * size * size) * sizeof *pixels);
    if (!pixels)
        return tb_err_set(err, TB_ENOMEM, "no memory for the picture (%zu bytes)",
                          (size_t)(3 * size * size) * sizeof *pixels);
    tb_status st = tb_clip_vision_pixels(image, strcmp(p->crop, "center") == 0, size, pixels, err);
    if (st == TB_OK)
        st = tb_clip_vision_run(m, c, pixels, tb_tensor_f32_mut(out), tb_job_cancel_flag(job), err);
    tb_mem_free(pixels);
    return st == TB_OK ? tb_job_check_part(job, p->clip_vision, err) : st;
}

static tb_status features(tb_job *job, const params *p, tb_tensor **out, tb_err *err)
{
    const tb_tensor *image = tb_value_want(p->image, NULL, &TB_SHAPE(-1, -1, -1, 3),
                                           "image must be IMAGE f32 [frames,height,width,3]", err);
    tb_compute *c = image ? tb_job_compute(job, err) : NULL;
    if (!c)
        return err->status;
    if (tb_tensor_count(image) < 1)
        return tb_err_set(err, TB_EINVAL, "image must hold a picture, it is empty");
    tb_job_make_room(job, p->clip_vision, tb_bytes_of_clip_vision(p->clip_vision));
    const tb_clip_vision *m =
        tb_models_clip_vision(tb_job_models(job), tb_record_text(p->clip_vision, "path", ""),
                              tb_record_text(p->clip_vision, "id", ""), err);
    if (!m)
        return err->status;
    const tb_clip_vision_config *k = tb_clip_vision_config_of(m);
    *out = tb_tensor_new(TB_F32, &TB_SHAPE(k->tokens, k->dim), err);
    if (!*out)
        return err->status;
    const tb_status st = encode(job, p, m, c, image, *out, err);
    if (st != TB_OK)
        tb_tensor_unref(out);
    return st;
}

static tb_status run(tb_job *job, const void *vp, tb_err *err)
{
    const params *p = vp;
    tb_tensor *rows = NULL;
    if (strcmp(tb_record_text(p->clip_vision, "kind", ""), "clip_vision") != 0)
        return tb_err_set(err, TB_EINVAL,
                          "clip_vision must be the image encoder that load_model gives as "
                          "'clip_vision'");
    if (!unused(p))
        TB_TRY(features(job, p, &rows, err));
    tb_value *record = tb_value_record();
    if (rows)
        tb_record_set_take(record, "features", tb_value_tensor_take(rows));
    tb_job_set_take(job, 0, record);
    return TB_OK;
}

const tb_node_def tb_node_clip_vision_encode = {
    .abi = TB_NODE_ABI,
    .version = 1,
    .name = "clip_vision_encode",
    .title = "CLIP vision encode",
    .category = "conditioning",
    .doc = "Turn a picture into features for transformers that read them (Wan2.1 I2V).",
    .flags = TB_NODE_NUMERIC,
    .params_size = sizeof(params),
    .inputs = inputs,
    .outputs = outputs,
    .plan = plan,
    .run = run,
    .need = need,
    .example = "local m = tb.load_model {} -- it reads no image features: they are empty\n"
               "local picture = tb.load_image { path = \"docs/frames.png\" }\n"
               "return tb.clip_vision_encode { clip_vision = m.clip_vision, image = picture }",
};
