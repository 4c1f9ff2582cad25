/* test_pipe_golden.c - whole runs: transformer, guidance, sampler and autoencoder together.
 *
 * The pipe_<letter> sets are tiny random models (UniPC); tiny_reference* are runs of the bundled
 * model (Euler, 20 steps, from examples/tiny), without and with known frames. A step is checked
 * from the reference's own latent, the run from its start.
 */
#include "golden.h"
#include "models/samplers.h"
#include "models/wan_dit.h"
#include "models/wan_vae.h"

#define STEP_TOL 3e-5
#define RUN_TOL  1e-3
/* Steps that are also checked alone, to keep the test short under sanitizers. */
#define STEPS_APART 5

static tb_compute *compute;

typedef struct rig {
    tb_wan_dit *dit;
    tb_wan_vae *vae;
    int64_t c, f, h, w;
    tb_tensor *text[2]; /* conditional, unconditional */
    float *extra;       /* NULL: none */
    const float *held;  /* its first mask channel [f][h][w] */
    tb_schedule s;
    double cfg;
} rig;

static tb_weights *open_weights(const char *path)
{
    tb_err err = TB_ERR_INIT;
    tb_weights *w = tb_weights_open(path, &err);
    if (!w)
        fprintf(stderr, "%s\n", err.message);
    REQUIRE(w);
    return w;
}

static void open_models(rig *r, const char *dit, const json_t *dit_config, const char *vae,
                        const json_t *vae_config)
{
    tb_err err = TB_ERR_INIT;
    tb_weights *d = open_weights(dit), *v = open_weights(vae);
    r->dit =
        tb_wan_dit_open_config(compute, d, dit_config ? dit_config : tb_weights_config(d), &err);
    r->vae =
        tb_wan_vae_open_config(compute, v, vae_config ? vae_config : tb_weights_config(v), &err);
    if (!r->dit || !r->vae)
        fprintf(stderr, "%s\n", err.message);
    REQUIRE(r->dit && r->vae);
    tb_weights_close(&d);
    tb_weights_close(&v);
}

static void close_rig(rig *r)
{
    tb_wan_dit_close(&r->dit);
    tb_wan_vae_close(&r->vae);
    tb_tensor_unref(&r->text[0]);
    tb_tensor_unref(&r->text[1]);
    tb_schedule_clear(&r->s);
    free(r->extra);
}

static int64_t latent_count(const rig *r)
{
    return r->c * r->f * r->h * r->w;
}

/* Guided velocity at x; both passes as one pack. */
static void velocity(const rig *r, const float *x, int step, float *v)
{
    const float t = (float)r->s.timestep[step];
    tb_wan_dit_input in[2];
    float *out[2];
    for (int i = 0; i < 2; i++) {
        in[i] = (tb_wan_dit_input){ .f = r->f,
                                    .h = r->h,
                                    .w = r->w,
                                    .x = x,
                                    .extra = r->extra,
                                    .t = &t,
                                    .t_count = 1,
                                    .text = tb_tensor_f32(r->text[i]),
                                    .text_rows = tb_tensor_dim(r->text[i], -2) };
        out[i] = tb_xcalloc((size_t)latent_count(r), sizeof(float));
    }
    tb_err err = TB_ERR_INIT;
    CHECK_OK(tb_wan_dit_run(r->dit, compute, 2, in, out, NULL, NULL, NULL, &err));
    for (int64_t i = 0; i < latent_count(r); i++)
        v[i] = out[1][i] + (float)r->cfg * (out[0][i] - out[1][i]);
    free(out[0]);
    free(out[1]);
}

typedef struct picture {
    int64_t t, plane;
    float *x; /* [3][t][h][w] */
} picture;

static tb_status collect(void *ctx, int64_t first, int64_t count, const float *pixels, tb_err *err)
{
    (void)err;
    picture *p = ctx;
    for (int64_t i = 0; i < count * p->plane; i++)
        for (int64_t k = 0; k < 3; k++)
            p->x[k * p->t * p->plane + first * p->plane + i] = fminf(fmaxf(*pixels++, -1), 1);
    return TB_OK;
}

static void check_video(const rig *r, const float *latent, const tb_tensor *want, double tol)
{
    picture p = { .t = tb_tensor_dim(want, -3),
                  .plane = tb_tensor_dim(want, -2) * tb_tensor_dim(want, -1) };
    p.x = tb_xcalloc((size_t)tb_tensor_count(want), sizeof *p.x);
    tb_err err = TB_ERR_INIT;
    CHECK_OK(tb_wan_vae_decode(r->vae, compute, latent, r->f, r->h, r->w, collect, &p, NULL, &err));
    golden_near("video", p.x, want, tol);
    free(p.x);
}

static void set_size(rig *r, const tb_tensor *latent)
{
    r->c = tb_tensor_dim(latent, -4);
    r->f = tb_tensor_dim(latent, -3);
    r->h = tb_tensor_dim(latent, -2);
    r->w = tb_tensor_dim(latent, -1);
}

/* ------------------------------------------------------------------------------ UniPC, random */

typedef struct history {
    float *x, *x0, *hat;
} history;

static history history_new(int64_t n)
{
    return (history){ tb_xcalloc((size_t)n, 4), tb_xcalloc((size_t)n, 4),
                      tb_xcalloc((size_t)n, 4) };
}

static void history_free(history *h)
{
    free(h->x);
    free(h->x0);
    free(h->hat);
}

/* The run from its noise. Velocities along it are near the file's, too. */
static void run_unipc(const rig *r, const tb_safetensors *io, float *final)
{
    const int64_t n = latent_count(r);
    const size_t bytes = (size_t)n * sizeof(float);
    history now = history_new(n), before = history_new(n), next = history_new(n);
    float *v = tb_xcalloc((size_t)n, sizeof *v);
    tb_tensor *noise = golden_f32(io, "noise");
    memcpy(now.x, tb_tensor_f32(noise), bytes);
    for (int i = 0; i < r->s.steps; i++) {
        tb_tensor *want_v = golden_f32(io, "v.%d", i), *want = golden_f32(io, "latent.%d", i + 1);
        velocity(r, now.x, i, v);
        golden_near("v", v, want_v, i == 0 ? STEP_TOL : RUN_TOL);
        const tb_step p = { .schedule = &r->s,
                            .index = i,
                            .sampler = TB_UNIPC,
                            .n = n,
                            .x = now.x,
                            .model = v,
                            .x0_1 = i > 0 ? now.x0 : NULL,
                            .hat = i > 0 ? now.hat : NULL,
                            .x0_2 = i > 1 ? before.x0 : NULL };
        tb_err err = TB_ERR_INIT;
        CHECK_OK(tb_sampler_step(&p, &(tb_step_result){ next.x, next.x0, next.hat }, &err));
        golden_near("latent", next.x, want, RUN_TOL);
        const history spare = before;
        before = now;
        now = next;
        next = spare;
        tb_tensor_unref(&want);
        tb_tensor_unref(&want_v);
    }
    memcpy(final, now.x, bytes);
    history_free(&now);
    history_free(&before);
    history_free(&next);
    tb_tensor_unref(&noise);
    free(v);
}

static void check_table(const rig *r, const tb_safetensors *io)
{
    tb_tensor *sigmas = golden_f32(io, "sigmas");
    for (int i = 0; i <= r->s.steps; i++)
        CHECK_NEAR(r->s.sigma[i], tb_tensor_f32(sigmas)[i], 0);
    tb_tensor_unref(&sigmas);
    if (!golden_has(io, "timesteps"))
        return;
    tb_tensor *times = golden_f32(io, "timesteps");
    for (int i = 0; i < r->s.steps; i++)
        CHECK_NEAR(r->s.timestep[i], tb_tensor_f32(times)[i], 0);
    tb_tensor_unref(&times);
}

static void pipe_naming(char letter, const char *dit_tail, const char *vae_tail)
{
    char *path = golden_path("pipe", letter, "_io.safetensors");
    char *vae_io = golden_path("vae", letter, "_io.safetensors");
    char *dit = golden_path("pipe", letter, dit_tail), *vae = golden_path("vae", letter, vae_tail);
    tb_safetensors *io = golden_open(path), *io_vae = golden_open(vae_io);
    json_t *config = golden_config(io), *vae_config = golden_config(io_vae);
    rig r = { .cfg = json_number_value(json_object_get(config, "g")) };
    open_models(&r, dit, config, vae, vae_config);
    tb_err err = TB_ERR_INIT;
    CHECK_OK(tb_schedule_make("flow_unipc", (int)json_integer_value(json_object_get(config, "N")),
                              json_number_value(json_object_get(config, "shift")), &r.s, &err));
    check_table(&r, io);
    r.text[0] = golden_f32(io, "text.cond");
    r.text[1] = golden_f32(io, "text.uncond");
    tb_tensor *noise = golden_f32(io, "noise"), *video = golden_f32(io, "video");
    set_size(&r, noise);
    float *final = tb_xcalloc((size_t)latent_count(&r), sizeof *final);
    run_unipc(&r, io, final);
    check_video(&r, final, video, RUN_TOL);
    free(final);
    tb_tensor_unref(&noise);
    tb_tensor_unref(&video);
    close_rig(&r);
    json_decref(config);
    json_decref(vae_config);
    tb_safetensors_close(&io);
    tb_safetensors_close(&io_vae);
    free(path);
    free(vae_io);
    free(dit);
    free(vae);
}

static void pipe_set(char letter)
{
    pipe_naming(letter, "_dit_orig.safetensors", "_decoder_orig.safetensors");
    pipe_naming(letter, "_dit_diffusers.safetensors", "_decoder_diffusers.safetensors");
}

TEST(random_pipelines_match)
{
    golden_each("pipe", "_io.safetensors", pipe_set);
}

/* -------------------------------------------------------------------------- the bundled model */

/* Known frames, spread over the latent: mask [t], known [c][t][h][w]. */
typedef struct known {
    tb_tensor *mask, *latent;
} known;

static void build_extra(rig *r, const known *k)
{
    const int64_t plane = r->h * r->w;
    const tb_wan_dit_config *d = tb_wan_dit_config_of(r->dit);
    r->extra = tb_xcalloc((size_t)((d->in_dim - d->out_dim) * r->f * plane), sizeof *r->extra);
    float *at = r->extra;
    r->held = at;
    for (int64_t c = 0; c < 4; c++)
        for (int64_t t = 0; t < r->f; t++)
            for (int64_t i = 0; i < plane; i++)
                *at++ = tb_tensor_f32(k->mask)[t];
    for (int64_t c = 0; c < r->c; c++)
        for (int64_t t = 0; t < r->f; t++)
            for (int64_t i = 0; i < plane; i++)
                *at++ = tb_tensor_f32(k->mask)[t] *
                        tb_tensor_f32(k->latent)[(c * r->f + t) * plane + i];
}

static void euler_step(const rig *r, const known *k, const float *noise, const float *x, int i,
                       float *next)
{
    float *v = tb_xcalloc((size_t)latent_count(r), sizeof *v);
    velocity(r, x, i, v);
    const tb_step p = { .schedule = &r->s, .index = i, .n = latent_count(r), .x = x, .model = v };
    tb_err err = TB_ERR_INIT;
    CHECK_OK(tb_sampler_step(&p, &(tb_step_result){ .x = next }, &err));
    if (k->mask)
        tb_sampler_hold(tb_tensor_f32(k->latent), r->held, tb_schedule_level(&r->s, i + 1), noise,
                        r->c, r->f * r->h * r->w, next);
    free(v);
}

static tb_tensor *text_half(const tb_tensor *both, int i)
{
    const int64_t rows = tb_tensor_dim(both, 1), dim = tb_tensor_dim(both, 2);
    tb_err err = TB_ERR_INIT;
    tb_tensor *t = tb_tensor_new(TB_F32, &TB_SHAPE(rows, dim), &err);
    REQUIRE(t);
    memcpy(tb_tensor_f32_mut(t), tb_tensor_f32(both) + i * rows * dim, tb_tensor_bytes(t));
    return t;
}

static double metadata_number(const tb_safetensors *io, const char *key)
{
    const char *text = json_string_value(json_object_get(tb_safetensors_metadata(io), key));
    REQUIRE(text);
    return atof(text);
}

static void check_steps(const rig *r, const known *k, const tb_safetensors *io, float *final)
{
    tb_tensor *noise = golden_f32(io, "latent.0"), *at = tb_tensor_ref(noise);
    float *step = tb_xcalloc((size_t)latent_count(r), sizeof *step);
    float *next = tb_xcalloc((size_t)latent_count(r), sizeof *next);
    memcpy(final, tb_tensor_f32(noise), tb_tensor_bytes(noise));
    for (int i = 0; i < r->s.steps; i++) {
        char what[32];
        tb_tensor *want = golden_f32(io, "latent.%d", i + 1);
        if (i % STEPS_APART == 0) {
            euler_step(r, k, tb_tensor_f32(noise), tb_tensor_f32(at), i, step);
            snprintf(what, sizeof what, "step %d", i);
            golden_near(what, step, want, STEP_TOL);
        }
        euler_step(r, k, tb_tensor_f32(noise), final, i, next);
        memcpy(final, next, tb_tensor_bytes(want));
        snprintf(what, sizeof what, "latent %d of the run", i + 1);
        golden_near(what, final, want, RUN_TOL);
        tb_tensor_unref(&at);
        at = want;
    }
    tb_tensor_unref(&at);
    tb_tensor_unref(&noise);
    free(step);
    free(next);
}

static void check_tiny(const char *file)
{
    char *path =
        tb_xasprintf("tests/golden/%s", file); /* goes with the bundled model, not with a set */
    tb_safetensors *io = golden_open(path);
    rig r = { .cfg = metadata_number(io, "cfg") };
    open_models(&r, "examples/tiny/transformer", NULL, "examples/tiny/vae", NULL);
    tb_err err = TB_ERR_INIT;
    CHECK_OK(tb_schedule_make("flow", (int)metadata_number(io, "steps"),
                              metadata_number(io, "shift"), &r.s, &err));
    check_table(&r, io);
    tb_tensor *text = golden_f32(io, "text"), *start = golden_f32(io, "latent.0"),
              *video = golden_f32(io, "video");
    set_size(&r, start);
    r.text[0] = text_half(text, 0);
    r.text[1] = text_half(text, 1);
    known k = { 0 };
    if (golden_has(io, "mask")) {
        k = (known){ golden_f32(io, "mask"), golden_f32(io, "known") };
        build_extra(&r, &k);
    }
    float *final = tb_xcalloc((size_t)latent_count(&r), sizeof *final);
    check_steps(&r, &k, io, final);
    check_video(&r, final, video, RUN_TOL);
    free(final);
    tb_tensor_unref(&k.mask);
    tb_tensor_unref(&k.latent);
    tb_tensor_unref(&text);
    tb_tensor_unref(&start);
    tb_tensor_unref(&video);
    close_rig(&r);
    tb_safetensors_close(&io);
    free(path);
}

TEST(the_bundled_model_matches_its_reference)
{
    check_tiny("tiny_reference.safetensors");
}

TEST(the_bundled_model_continues_known_frames)
{
    check_tiny("tiny_reference_image_to_video.safetensors");
}

int main(int argc, char **argv)
{
    static const struct tb_test tests[] = {
        TEST_CASE(random_pipelines_match),
        TEST_CASE(the_bundled_model_matches_its_reference),
        TEST_CASE(the_bundled_model_continues_known_frames),
    };
    tb_err err = TB_ERR_INIT;
    compute = tb_compute_new(2, &err);
    if (!compute) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    const int failed = tb_test_main(argc, argv, tests, (int)(sizeof tests / sizeof *tests));
    tb_compute_free(&compute);
    return failed;
}
