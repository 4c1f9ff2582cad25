/* velocity_window.c - lays the model's answer for a window over those of the windows before it.
 *
 * Where windows overlap, one fades into the other along time. A chain of these nodes gives the
 * velocity of the whole latent: MultiDiffusion (Bar-Tal et al. 2023) along time.
 */
#include <string.h>

#include "graph/records.h"
#include "models/tensor_ops.h"
#include "node.h"

typedef struct params {
    const tb_value *latent, *velocity, *window;
    int64_t start, fade_in, fade_out;
} params;

static const tb_input_def inputs[] = {
    TB_IN_PORT(params, latent, "LATENT", 0, "The whole latent; gives the size."),
    TB_IN_PORT(params, velocity, "VELOCITY", TB_IN_OPTIONAL,
               "What the windows before gave; without it zeros."),
    TB_IN_PORT(params, window, "VELOCITY", 0, "The answer for a window."),
    TB_IN_INT(params, start, 0, -1000000, 1000000, "latent frames",
              "Where the window begins; what is over goes to the first frames."),
    TB_IN_INT(params, fade_in, 0, 0, 1000000, "latent frames",
              "Over how many of its first frames the window replaces what was there."),
    TB_IN_INT(params, fade_out, 0, 0, 1000000, "latent frames",
              "Over how many of its last frames it gives way to what was there."),
    { 0 },
};

static const tb_output_def outputs[] = {
    { .name = "velocity", .type = "VELOCITY", .shape = "C,T,H,W", .doc = "Of the whole latent." },
    { 0 },
};

static tb_status plan(tb_job *job, const void *vp, tb_err *err)
{
    tb_shape shape;
    (void)vp, (void)err;
    if (tb_job_plan_shape(job, "latent", &shape))
        tb_job_plan_output(job, 0, TB_F32, &shape);
    return TB_OK;
}

/* The share of the window in its frame i of n. */
static float weight(const params *p, int64_t i, int64_t n)
{
    const double in = (double)(i + 1) / (double)(p->fade_in + 1);
    const double out = (double)(n - i) / (double)(p->fade_out + 1);
    const double w = in < out ? in : out;
    return w < 1 ? (float)w : 1;
}

/* window [C,n,H,W] over out [C,T,H,W]. */
static void overlay(const params *p, const tb_tensor *window, tb_tensor *out)
{
    const int64_t frames = tb_tensor_dim(out, 1), n = tb_tensor_dim(window, 1);
    const int64_t plane = tb_tensor_dim(out, 2) * tb_tensor_dim(out, 3);
    const int64_t start = (p->start % frames + frames) % frames;
    const float *from = tb_tensor_f32(window);
    for (int64_t c = 0; c < tb_tensor_dim(out, 0); c++)
        for (int64_t i = 0; i < n; i++, from += plane) {
            const float w = weight(p, i, n);
            float *to = tb_tensor_f32_mut(out) + (c * frames + (start + i) % frames) * plane;
            for (int64_t k = 0; k < plane; k++)
                to[k] += w * (from[k] - to[k]);
        }
}

static tb_status check_window(const tb_tensor *window, const tb_shape *whole, tb_err *err)
{
    char a[128], b[128];
    tb_shape fit = *whole;
    fit.d[1] = tb_tensor_dim(window, 1);
    if (fit.d[1] <= whole->d[1] && tb_shape_eq(tb_tensor_shape(window), &fit))
        return TB_OK;
    return tb_err_set(err, TB_EINVAL, "window must be a part of the latent's frames, %s, got %s",
                      tb_shape_text(whole, a, sizeof a),
                      tb_shape_text(tb_tensor_shape(window), b, sizeof b));
}

static tb_status run(tb_job *job, const void *vp, tb_err *err)
{
    const params *p = vp;
    const tb_tensor *x = tb_record_f32(p->latent, "the latent", "samples", 4, err);
    if (!x)
        return TB_EINVAL;
    const tb_shape *shape = tb_tensor_shape(x);
    const tb_tensor *window =
        tb_value_want(p->window, NULL, &TB_SHAPE(-1, -1, -1, -1),
                      "window must be VELOCITY f32 [channels,frames,height,width]", err);
    const tb_tensor *before =
        window && p->velocity
            ? tb_value_want(p->velocity, NULL, shape,
                            "velocity must be VELOCITY f32 of the latent's size", err)
            : NULL;
    if (!window || (p->velocity && !before))
        return err->status;
    TB_TRY(check_window(window, shape, err));
    tb_tensor *out = tb_tensor_new(TB_F32, shape, err);
    if (!out)
        return TB_ENOMEM;
    if (before)
        memcpy(tb_tensor_f32_mut(out), tb_tensor_f32(before), tb_tensor_bytes(out));
    else
        memset(tb_tensor_f32_mut(out), 0, tb_tensor_bytes(out));
    overlay(p, window, out);
    tb_job_set_take(job, 0, tb_value_tensor_take(out));
    return TB_OK;
}

const tb_node_def tb_node_velocity_window = {
    .abi = TB_NODE_ABI,
    .version = 1,
    .name = "velocity_window",
    .title = "Velocity of a window",
    .category = "sampling",
    .doc = "Lays the model's answer for a window of frames over what other windows gave.",
    .flags = TB_NODE_FORGET,
    .params_size = sizeof(params),
    .inputs = inputs,
    .outputs = outputs,
    .plan = plan,
    .run = run,
    .example =
        "local m = tb.load_model {}\n"
        "local x = tb.noise_init { model = m.model, size = \"32x32\", frames = 9 }\n"
        "local prompt = tb.text_encode { clip = m.clip, text = \"a red ball\" }\n"
        "local sigmas = tb.schedule { steps = 2 }\n"
        "local part = tb.latent_window { latent = x, start = 1, count = 2 }\n"
        "local v = tb.dit_step { model = m.model, latent = part, conditioning = prompt, sigmas = "
        "sigmas }\n"
        "return tb.velocity_window { latent = x, window = v, start = 1 }",
};
