/* condition.c - says which latents of a video are known: image to video, extension, joins,
 * inpainting.
 *
 * Known latents and a mask (1 = known) join the conditioning. dit_step shows them to models that
 * have channels for them; sampler_step keeps the state to them at every noise level. A latent frame
 * of which some video frames alone are known (a last picture) has the mask 0, and a mask for each
 * of them beside it, for the channels that Wan's I2V models have.
 */
#include <stdlib.h>
#include <string.h>

#include "graph/records.h"
#include "node.h"

typedef struct params {
    const tb_value *conditioning, *latent, *like, *mask;
    const char *frames;
    bool hold, keep;
} params;

static const tb_input_def inputs[] = {
    TB_IN_PORT(params, conditioning, "CONDITIONING", 0, "The text to join."),
    TB_IN_PORT(params, latent, "LATENT", 0, "Known latents, from vae_encode or another run."),
    TB_IN_PORT(params, like, "LATENT", TB_IN_OPTIONAL,
               "The latent that will be sampled, where it has more frames than the known one."),
    TB_IN_PORT(params, mask, "MASK", TB_IN_OPTIONAL,
               "With frames 'all': 1 where a pixel is known, 0 where not."),
    TB_IN_STRING(params, frames, "first", 0,
                 "Which latent frames are known: first, last, first+last, leading:N, trailing:N, "
                 "leading:N+trailing:M or all."),
    TB_IN_BOOL(params, hold, true, "Keep the state to the known latents at every step."),
    TB_IN_BOOL(params, keep, false,
               "Show the model known latents also where the mask is 0 (Wan2.1 I2V: the image, then "
               "grey frames)."),
    { 0 },
};

static const tb_output_def outputs[] = {
    { .name = "conditioning",
      .type = "CONDITIONING",
      .doc = "Text with known latents and their mask." },
    { 0 },
};

/* The first `leading` and the last `trailing` frames are known. */
typedef struct choice {
    int64_t leading, trailing;
    bool all;
} choice;

/* "leading:3": the name, then how many; *text goes behind it. */
static bool parse_count(const char **text, const char *name, int64_t *n)
{
    const size_t length = strlen(name);
    char *end;
    if (strncmp(*text, name, length) != 0 || (*text)[length] < '0' || (*text)[length] > '9')
        return false;
    *n = strtoll(*text + length, &end, 10);
    *text = end;
    return *n >= 1;
}

/* leading:N, trailing:N or both, joined by '+'. */
static bool parse_counts(const char *text, choice *c)
{
    const bool leading = parse_count(&text, "leading:", &c->leading);
    if (leading && *text++ != '+')
        return text[-1] == 0;
    return parse_count(&text, "trailing:", &c->trailing) && *text == 0;
}

static tb_status parse_frames(const char *text, choice *c, tb_err *err)
{
    *c = (choice){ 0 };
    if (strcmp(text, "first") == 0)
        c->leading = 1;
    else if (strcmp(text, "last") == 0)
        c->trailing = 1;
    else if (strcmp(text, "first+last") == 0)
        c->leading = c->trailing = 1;
    else if (strcmp(text, "all") == 0)
        c->all = true;
    else if (!parse_counts(text, c))
        return tb_err_set(err, TB_EINVAL,
                          "frames must be first, last, first+last, leading:N, trailing:N, "
                          "leading:N+trailing:M or all, got '%s'",
                          text);
    return TB_OK;
}

/* Shapes: of what is known, and of what will be sampled. */
static tb_status check_shapes(const choice *c, const tb_shape *known, const tb_shape *target,
                              tb_err *err)
{
    char a[128], b[128];
    if (known->d[0] != target->d[0] || known->d[2] != target->d[2] || known->d[3] != target->d[3])
        return tb_err_set(
            err, TB_EINVAL,
            "known latents must have the channels, rows and columns of those to be sampled, %s, "
            "got %s; encode images of the video's size",
            tb_shape_text(target, a, sizeof a), tb_shape_text(known, b, sizeof b));
    if (c->all && known->d[1] != target->d[1])
        return tb_err_set(err, TB_EINVAL, "frames 'all' wants %lld known latent frames, got %lld",
                          (long long)target->d[1], (long long)known->d[1]);
    if (c->leading > known->d[1] || c->trailing > known->d[1])
        return tb_err_set(err, TB_EINVAL,
                          "%lld known latent frames are asked for, the latent has %lld",
                          (long long)(c->leading > c->trailing ? c->leading : c->trailing),
                          (long long)known->d[1]);
    if (c->leading + c->trailing > target->d[1])
        return tb_err_set(err, TB_EINVAL, "%lld latent frames cannot be known of a video with %lld",
                          (long long)(c->leading + c->trailing), (long long)target->d[1]);
    return TB_OK;
}

/* Which frame of the known latent stands at frame t of `frames`; -1: none. */
static int64_t source_frame(const choice *c, int64_t t, int64_t frames, int64_t known_frames)
{
    if (c->all || t < c->leading)
        return t;
    return t >= frames - c->trailing ? known_frames - (frames - t) : -1;
}

static void place(const choice *c, const tb_tensor *from, const tb_shape *to, float *known,
                  float *mask)
{
    const int64_t plane = to->d[2] * to->d[3], k = tb_tensor_dim(from, 1);
    for (int64_t ch = 0; ch < to->d[0]; ch++)
        for (int64_t t = 0; t < to->d[1]; t++) {
            float *out = known + (ch * to->d[1] + t) * plane;
            const int64_t at = source_frame(c, t, to->d[1], k);
            if (at >= 0)
                memcpy(out, tb_tensor_f32(from) + (ch * k + at) * plane,
                       (size_t)plane * sizeof *out);
            else
                memset(out, 0, (size_t)plane * sizeof *out);
        }
    for (int64_t i = 0; i < to->d[1] * plane; i++)
        mask[i] = source_frame(c, i / plane, to->d[1], k) >= 0 ? 1 : 0;
}

/* -------------------------------------------------------------------------------- pixel masks */

/* Which frames of a mask cover latent frame t: all of a mask with one frame, its own of one with as
 * many frames as the latent, and of a mask of video frames those that the latent frame was made of.
 */
static bool mask_frames(int64_t have, int64_t frames, int64_t t, int64_t *first, int64_t *count)
{
    *count = 1;
    *first = have == 1 ? 0 : t;
    if (have == 1 || have == frames)
        return true;
    const int64_t stride = frames > 1 ? (have - 1) / (frames - 1) : 0;
    if (stride < 1 || (frames - 1) * stride + 1 != have)
        return false;
    *first = t == 0 ? 0 : (t - 1) * stride + 1;
    *count = t == 0 ? 1 : stride;
    return true;
}

/* A latent is known only if every pixel under it is. */
static float least(const float *m, int64_t width, int64_t height, int64_t step_y, int64_t step_x,
                   int64_t frames)
{
    float low = 1;
    for (int64_t i = 0; i < frames; i++)
        for (int64_t y = 0; y < step_y; y++)
            for (int64_t x = 0; x < step_x; x++) {
                const float v = m[(i * height + y) * width + x];
                low = v < low ? v : low;
            }
    return low >= 0.5f ? 1 : 0;
}

static tb_status apply_mask(const tb_value *value, const tb_shape *to, float *mask, tb_err *err)
{
    char text[128];
    const tb_tensor *m = tb_value_kind(value) == TB_TENSOR ? tb_value_as_tensor(value) : NULL;
    if (!m || tb_tensor_dtype(m) != TB_F32 || tb_tensor_shape(m)->n != 3 || tb_tensor_count(m) < 1)
        return tb_err_set(err, TB_EINVAL, "mask must be F32 [frames,height,width]");
    const int64_t frames = to->d[1], h = to->d[2], w = to->d[3];
    const int64_t height = tb_tensor_dim(m, 1), width = tb_tensor_dim(m, 2);
    int64_t first, count;
    const bool flat = height == 1 && width == 1; /* one pixel a frame */
    if ((!flat && (height % h || width % w)) ||
        !mask_frames(tb_tensor_dim(m, 0), frames, 0, &first, &count))
        return tb_err_set(
            err, TB_EINVAL,
            "mask %s does not fit %lld latent frames of %lldx%lld; give it the size of the video, "
            "with one frame or as many",
            tb_shape_text(tb_tensor_shape(m), text, sizeof text), (long long)frames, (long long)w,
            (long long)h);
    const int64_t step_y = flat ? 1 : height / h, step_x = flat ? 1 : width / w;
    for (int64_t t = 0; t < frames; t++) {
        mask_frames(tb_tensor_dim(m, 0), frames, t, &first, &count);
        for (int64_t i = 0; i < h * w; i++) {
            const int64_t y = flat ? 0 : i / w * step_y, x = flat ? 0 : i % w * step_x;
            const float *at = tb_tensor_f32(m) + (first * height + y) * width + x;
            mask[t * h * w + i] *= least(at, width, height, step_y, step_x, count);
        }
    }
    return TB_OK;
}

/* Is video frame `frame` of a mask known at cell i of a latent frame? */
static bool known_at(const tb_tensor *m, int64_t frame, const tb_shape *to, int64_t i)
{
    const int64_t height = tb_tensor_dim(m, 1), width = tb_tensor_dim(m, 2), h = to->d[2],
                  w = to->d[3];
    const bool flat = height == 1 && width == 1;
    const int64_t step_y = flat ? 1 : height / h, step_x = flat ? 1 : width / w;
    const int64_t y = flat ? 0 : i / w * step_y, x = flat ? 0 : i % w * step_x;
    const float *at = tb_tensor_f32(m) + (frame * height + y) * width + x;
    return least(at, width, height, step_y, step_x, 1) > 0;
}

/* Of a mask of video frames [stride][T,H,W]: which of those under each latent frame are known; the
 * first latent frame is of one alone. *each NULL: as many as the latent has, or all alike. */
static tb_status mask_each(const choice *c, const tb_tensor *m, const tb_shape *from,
                           const tb_shape *to, const float *mask, tb_tensor **each, tb_err *err)
{
    const int64_t frames = to->d[1], plane = to->d[2] * to->d[3];
    int64_t first, stride;
    *each = NULL;
    mask_frames(tb_tensor_dim(m, 0), frames, frames - 1, &first, &stride);
    if (stride == 1)
        return TB_OK;
    tb_tensor *t = tb_tensor_new(TB_F32, &TB_SHAPE(stride, frames, to->d[2], to->d[3]), err);
    bool differ = false;
    for (int64_t i = 0; t && i < stride * frames * plane; i++) {
        const int64_t k = i / (frames * plane), at = i % (frames * plane), f = at / plane;
        const bool there = source_frame(c, f, frames, from->d[1]) >= 0;
        const int64_t frame = f == 0 ? 0 : (f - 1) * stride + 1 + k;
        const float known = there && known_at(m, frame, to, at % plane) ? 1 : 0;
        tb_tensor_f32_mut(t)[i] = known;
        differ |= known > mask[at];
    }
    if (!differ)
        tb_tensor_unref(&t);
    *each = t;
    return t || !differ ? TB_OK : TB_ENOMEM;
}

/* -------------------------------------------------------------------------------------- node */

static tb_status fill(const params *p, const choice *c, const tb_tensor *from, const tb_shape *to,
                      tb_value *record, tb_err *err)
{
    tb_tensor *known = tb_tensor_new(TB_F32, to, err);
    tb_tensor *mask =
        known ? tb_tensor_new(TB_F32, &TB_SHAPE(to->d[1], to->d[2], to->d[3]), err) : NULL;
    tb_tensor *each = NULL;
    tb_status st = mask ? TB_OK : TB_ENOMEM;
    if (st == TB_OK)
        place(c, from, to, tb_tensor_f32_mut(known), tb_tensor_f32_mut(mask));
    if (st == TB_OK && p->mask)
        st = apply_mask(p->mask, to, tb_tensor_f32_mut(mask), err);
    if (st == TB_OK && p->mask)
        st = mask_each(c, tb_value_as_tensor(p->mask), tb_tensor_shape(from), to,
                       tb_tensor_f32(mask), &each, err);
    if (st != TB_OK) {
        tb_tensor_unref(&known);
        tb_tensor_unref(&mask);
        return st;
    }
    tb_record_set_take(record, "known", tb_value_tensor_take(known));
    tb_record_set_take(record, "mask", tb_value_tensor_take(mask));
    if (each || tb_record_get(record, "mask_frames"))
        tb_record_set_take(record, "mask_frames",
                           each ? tb_value_tensor_take(each) : tb_value_none());
    tb_record_set_take(record, "hold", tb_value_bool(p->hold));
    tb_record_set_take(record, "keep", tb_value_bool(p->keep));
    return TB_OK;
}

static tb_status plan(tb_job *job, const void *vp, tb_err *err)
{
    const params *p = vp;
    choice c;
    return tb_job_plan_known(job, "frames") ? parse_frames(p->frames, &c, err) : TB_OK;
}

static tb_status run(tb_job *job, const void *vp, tb_err *err)
{
    const params *p = vp;
    choice c;
    TB_TRY(parse_frames(p->frames, &c, err));
    const tb_tensor *from = tb_record_f32(p->latent, "the known latent", "samples", 4, err);
    const tb_tensor *like =
        !from     ? NULL
        : p->like ? tb_record_f32(p->like, "the latent to be sampled", "samples", 4, err)
                  : from;
    if (!like)
        return TB_EINVAL;
    const tb_shape *to = tb_tensor_shape(like);
    TB_TRY(check_shapes(&c, tb_tensor_shape(from), to, err));
    tb_value *record = tb_record_copy(p->conditioning);
    const tb_status st = fill(p, &c, from, to, record, err);
    if (st == TB_OK)
        tb_job_set_take(job, 0, record);
    else
        tb_value_unref(&record);
    return st;
}

const tb_node_def tb_node_condition = {
    .abi = TB_NODE_ABI,
    .version = 2,
    .name = "condition",
    .title = "Known frames",
    .category = "conditioning",
    .doc = "Gives known latents and their mask to the model and the sampler.",
    .params_size = sizeof(params),
    .inputs = inputs,
    .outputs = outputs,
    .plan = plan,
    .run = run,
    .example =
        "local m = tb.load_model {}\n"
        "local picture = tb.load_image { path = \"docs/frames.png\", width = 32, height = 32 }\n"
        "return tb.condition {\n"
        "  conditioning = tb.text_encode { clip = m.clip, text = \"a red ball\" },\n"
        "  latent = tb.vae_encode { vae = m.vae, image = picture },\n"
        "}",
};
