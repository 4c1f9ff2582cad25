/* latent_resize.c - a latent of another height and width. */
#include <string.h>

#include "formats/media.h"
#include "node.h"

typedef struct params {
    const tb_value *latent;
    int64_t width, height;
    const char *filter;
} params;

static const tb_input_def inputs[] = {
    TB_IN_PORT(params, latent, "LATENT", 0, "A latent that is not noise."),
    TB_IN_INT(params, width, 0, 0, 4096, "latent columns",
              "Pixels / 8 for most models; 0: from height."),
    TB_IN_INT(params, height, 0, 0, 4096, "latent rows",
              "Pixels / 8 for most models; 0: from width."),
    TB_IN_COMBO(params, filter, "bicubic", "nearest|area|bilinear|bicubic|lanczos",
                "How to resize."),
    { 0 },
};

static const tb_output_def outputs[] = {
    { .name = "latent", .type = "LATENT", .shape = "C,T,H,W", .doc = "Resized." },
    { 0 },
};

static tb_tensor *resize(const params *p, const tb_tensor *t, tb_err *err)
{
    const int64_t c = tb_tensor_dim(t, 0), f = tb_tensor_dim(t, 1);
    int64_t h = tb_tensor_dim(t, 2), w = tb_tensor_dim(t, 3);
    tb_tensor *planes = tb_tensor_view(t, &TB_SHAPE(c * f, h, w, 1), err), *out = NULL;
    tb_media_fit_size(&w, &h, p->width, p->height);
    tb_tensor *resized = planes ? tb_media_resize(planes, w, h, p->filter, err) : NULL;
    if (resized)
        out = tb_tensor_view(resized, &TB_SHAPE(c, f, h, w), err);
    tb_tensor_unref(&planes);
    tb_tensor_unref(&resized);
    return out;
}

/* Noise must stay white, so it cannot be resampled. */
static tb_status check_state(const tb_value *latent, tb_err *err)
{
    const tb_value *state = tb_record_get(latent, "state");
    if (state && tb_value_kind(state) == TB_STRING &&
        strcmp(tb_value_as_string(state), "noise") == 0)
        return tb_err_set(
            err, TB_EINVAL,
            "latent must not be noise, which cannot be resized; give noise_init the wanted size");
    return TB_OK;
}

static tb_status run(tb_job *job, const void *vp, tb_err *err)
{
    const params *p = vp;
    const tb_tensor *samples =
        tb_value_want(p->latent, "samples", &TB_SHAPE(-1, -1, -1, -1),
                      "latent must be LATENT with samples f32 [channels,frames,height,width]", err);
    if (!samples)
        return err->status;
    TB_TRY(check_state(p->latent, err));
    tb_tensor *t = resize(p, samples, err);
    if (!t)
        return err->status;
    tb_value *out = tb_value_record();
    const tb_value *state = tb_record_get(p->latent, "state");
    tb_record_set_take(out, "samples", tb_value_tensor_take(t));
    if (state)
        tb_record_set_take(out, "state", tb_value_ref(state));
    tb_job_set_take(job, 0, out);
    return TB_OK;
}

static tb_status plan(tb_job *job, const void *vp, tb_err *err)
{
    const params *p = vp;
    tb_shape s;
    (void)err;
    if (tb_job_plan_shape(job, "latent", &s) && s.n == 4 && s.d[2] > 0 && s.d[3] > 0) {
        tb_media_fit_size(&s.d[3], &s.d[2], p->width, p->height);
        tb_job_plan_output(job, 0, TB_F32, &s);
    }
    return TB_OK;
}

const tb_node_def tb_node_latent_resize = {
    .abi = TB_NODE_ABI,
    .version = 1,
    .name = "latent_resize",
    .title = "Resize latent",
    .category = "latent",
    .doc = "Resample the rows and columns of a latent, to refine it at another size.",
    .params_size = sizeof(params),
    .inputs = inputs,
    .outputs = outputs,
    .plan = plan,
    .run = run,
    .example =
        "local m = tb.load_model {}\n"
        "local picture = tb.load_image { path = \"docs/frames.png\", width = 32, height = 32 }\n"
        "local x = tb.vae_encode { vae = m.vae, image = picture }\n"
        "return tb.latent_resize { latent = x, width = 8, height = 8 }",
};
