/* test_nodes_known.c - what dit_step shows the model of known latents: the transformer run by the
 * node against the same one run by hand, on its input put together here.
 *
 * Models with channels for them see mask and known latents there (the bundled one; with `keep` also
 * where the mask is 0, as Wan2.1 I2V); a model of 48 channels without such (Wan2.2 TI2V) finds them
 * clean in the state, at time 0. The latter is the reference set's transformer with other ends.
 */
#include <unistd.h>

#include "base/fs.h"
#include "formats/safetensors.h"
#include "graph_help.h"
#include "models/wan_dit.h"

#define FRAMES 2
#define SIDE   4
#define CELLS  (FRAMES * SIDE * SIDE)
#define PLANE  (SIDE * SIDE)
#define TOKENS (CELLS / 4)

static tb_tensor *filled(const tb_shape *shape, float scale, float from)
{
    tb_err err = TB_ERR_INIT;
    tb_tensor *t = tb_tensor_new(TB_F32, shape, &err);
    REQUIRE(t);
    for (int64_t i = 0; i < tb_tensor_count(t); i++)
        tb_tensor_f32_mut(t)[i] = scale * sinf(from + (float)i);
    return t;
}

/* A model's folder and sizes, and what a step of it gets: known latents in the first frame. */
typedef struct scene {
    const char *path;
    int64_t channels, text_dim;
    tb_tensor *x, *text, *known, *mask;
    tb_tensor *each; /* a mask for each video frame; NULL: none */
} scene;

static scene new_scene(const char *path, int64_t channels, int64_t text_dim)
{
    const tb_shape shape = TB_SHAPE(channels, FRAMES, SIDE, SIDE);
    const scene s = { path,
                      channels,
                      text_dim,
                      filled(&shape, 1, 0),
                      filled(&TB_SHAPE(3, text_dim), 1, 1),
                      filled(&shape, 1, 40),
                      filled(&TB_SHAPE(FRAMES, SIDE, SIDE), 0, 0),
                      NULL };
    for (int i = 0; i < PLANE; i++)
        tb_tensor_f32_mut(s.mask)[i] = 1;
    return s;
}

static void drop_scene(scene *s)
{
    tb_tensor_unref(&s->x);
    tb_tensor_unref(&s->text);
    tb_tensor_unref(&s->known);
    tb_tensor_unref(&s->mask);
    tb_tensor_unref(&s->each);
    forget_given();
}

static void give_scene(const scene *s, bool keep)
{
    tb_value *model = tb_value_record(), *latent = tb_value_record(), *text = tb_value_record();
    tb_record_set_take(model, "kind", tb_value_string("model"));
    tb_record_set_take(model, "path", tb_value_string(s->path));
    tb_record_set_take(model, "latent_channels", tb_value_int(s->channels));
    tb_record_set_take(latent, "samples", tb_value_tensor_take(tb_tensor_ref(s->x)));
    tb_record_set_take(text, "text", tb_value_tensor_take(tb_tensor_ref(s->text)));
    tb_record_set_take(text, "known", tb_value_tensor_take(tb_tensor_ref(s->known)));
    tb_record_set_take(text, "mask", tb_value_tensor_take(tb_tensor_ref(s->mask)));
    tb_record_set_take(text, "keep", tb_value_bool(keep));
    if (s->each)
        tb_record_set_take(text, "mask_frames", tb_value_tensor_take(tb_tensor_ref(s->each)));
    give_take("m", model);
    give_take("x", latent);
    give_take("c", text);
}

#define SIGMAS "'s':{'class_type':'schedule','inputs':{'steps':2,'shift':3}}"
#define STEP                                                                                  \
    "'m':{'class_type':'t_given','inputs':{'name':'m'}},"                                     \
    "'x':{'class_type':'t_given','inputs':{'name':'x'}},"                                     \
    "'c':{'class_type':'t_given','inputs':{'name':'c'}},"                                     \
    "'v':{'class_type':'dit_step','inputs':{'model':['m',0],'latent':['x',0],'conditioning':" \
    "['c',0],'sigmas':['s',0],'step':1}}," SIGMAS

/* The second step's, which is not the end of any scale. */
static float time_of_step(void)
{
    outcome o = run(SIGMAS, "s");
    const tb_tensor *t = o.value ? tb_record_tensor(o.value, "timesteps") : NULL;
    REQUIRE(t && tb_tensor_count(t) == 2);
    const float at = (float)((const double *)tb_tensor_data(t))[1];
    CHECK(at > 100 && at < 900);
    tb_value_unref(&o.value);
    return at;
}

/* The node's answer is that of the transformer at this state, extra input and times. */
static void check_step(const scene *s, bool keep, const float *x, const float *extra,
                       const float *times, int64_t time_count)
{
    tb_err err = TB_ERR_INIT;
    tb_compute *c = tb_compute_new(1, &err);
    tb_weights *w = tb_weights_open(s->path, &err);
    tb_wan_dit *dit = w ? tb_wan_dit_open(c, w, &err) : NULL;
    float *want = tb_xcalloc((size_t)(s->channels * CELLS), sizeof *want);
    const tb_wan_dit_input in = { .f = FRAMES,
                                  .h = SIDE,
                                  .w = SIDE,
                                  .x = x,
                                  .extra = extra,
                                  .t = times,
                                  .t_count = time_count,
                                  .text = tb_tensor_f32(s->text),
                                  .text_rows = tb_tensor_dim(s->text, 0) };
    REQUIRE(dit);
    CHECK_OK(tb_wan_dit_run(dit, c, 1, &in, &want, NULL, NULL, NULL, &err));
    give_scene(s, keep);
    outcome o = run(STEP, "v");
    CHECK_STR(o.error, "");
    REQUIRE(o.value && tb_value_kind(o.value) == TB_TENSOR);
    CHECK(tb_test_relative(tb_tensor_f32(tb_value_as_tensor(o.value)), want, s->channels * CELLS) <
          1e-6);
    tb_value_unref(&o.value);
    free(want);
    tb_wan_dit_close(&dit);
    tb_weights_close(&w);
    tb_compute_free(&c);
}

/* ------------------------------------------------------------------------------ extra channels */

static void check_extra(const scene *s, bool keep, float time)
{
    enum { MASKS = 4 };
    const float *mask = tb_tensor_f32(s->mask), *known = tb_tensor_f32(s->known);
    float *extra = tb_xcalloc((size_t)((MASKS + s->channels) * CELLS), sizeof *extra);
    for (int64_t i = 0; i < MASKS * CELLS; i++)
        extra[i] = s->each ? tb_tensor_f32(s->each)[i] : mask[i % CELLS];
    for (int64_t i = 0; i < s->channels * CELLS; i++)
        extra[MASKS * CELLS + i] = keep || mask[i % CELLS] > 0 ? known[i] : 0;
    check_step(s, keep, tb_tensor_f32(s->x), extra, &time, 1);
    free(extra);
}

TEST(a_model_with_channels_for_them_sees_known_latents)
{
    scene s = new_scene("examples/tiny/transformer", 16, 128);
    const float time = time_of_step();
    check_extra(&s, false, time);
    check_extra(&s, true, time);
    s.each = filled(&TB_SHAPE(4, FRAMES, SIDE, SIDE), 1, 7); /* a mask for each video frame */
    check_extra(&s, true, time);
    drop_scene(&s);
}

/* ---------------------------------------------------------------------------------- clean state */

/* The reference set's transformer with patches and head of 48 channels. */
static void write_wide(const char *folder)
{
    enum { MOST = 128 };
    tb_err err = TB_ERR_INIT;
    const char *names[MOST];
    tb_tensor *tensors[MOST] = { 0 };
    tb_safetensors *f = tb_safetensors_open("tests/golden/dit_ti2v_a_orig.safetensors", &err);
    REQUIRE(f && tb_safetensors_count(f) <= MOST);
    const int n = tb_safetensors_count(f);
    for (int i = 0; i < n; i++) {
        names[i] = tb_safetensors_name(f, i);
        tensors[i] = strcmp(names[i], "patch_embedding.weight") == 0
                         ? filled(&TB_SHAPE(48, 48, 1, 2, 2), 0.1f, 1)
                     : strcmp(names[i], "head.head.weight") == 0
                         ? filled(&TB_SHAPE(192, 48), 0.1f, 2)
                     : strcmp(names[i], "head.head.bias") == 0 ? filled(&TB_SHAPE(192), 0.1f, 3)
                                                               : tb_safetensors_tensor(f, i, &err);
        REQUIRE(tensors[i]);
    }
    char *weights = tb_fs_join(folder, "model.safetensors"),
         *config = tb_fs_join(folder, "config.json");
    CHECK_OK(
        tb_safetensors_write(weights, n, names, (const tb_tensor *const *)tensors, NULL, &err));
    FILE *out = fopen(config, "w");
    REQUIRE(out && fputs("{\"num_heads\":2,\"text_len\":12}", out) >= 0 && fclose(out) == 0);
    for (int i = 0; i < n; i++)
        tb_tensor_unref(&tensors[i]);
    tb_safetensors_close(&f);
    free(weights);
    free(config);
}

static void remove_folder(const char *folder)
{
    static const char *const names[] = { "model.safetensors", "config.json" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *path = tb_fs_join(folder, names[i]);
        CHECK(unlink(path) == 0);
        free(path);
    }
    CHECK(rmdir(folder) == 0);
}

TEST(a_wide_model_finds_known_frames_clean_at_time_0)
{
    char folder[] = "/tmp/test_known_XXXXXX";
    REQUIRE(mkdtemp(folder));
    write_wide(folder);
    scene s = new_scene(folder, 48, 32);
    float times[TOKENS];
    const float time = time_of_step();
    for (int i = 0; i < TOKENS; i++)
        times[i] = i < TOKENS / FRAMES ? 0 : time;
    tb_tensor *clean = filled(tb_tensor_shape(s.x), 1, 0);
    for (int64_t i = 0; i < s.channels * CELLS; i++)
        if (i % CELLS < PLANE)
            tb_tensor_f32_mut(clean)[i] = tb_tensor_f32(s.known)[i];
    check_step(&s, false, tb_tensor_f32(clean), NULL, times, TOKENS);
    tb_tensor_unref(&clean);
    drop_scene(&s);
    remove_folder(folder);
}

int main(int argc, char **argv)
{
    static const struct tb_test tests[] = {
        TEST_CASE(a_model_with_channels_for_them_sees_known_latents),
        TEST_CASE(a_wide_model_finds_known_frames_clean_at_time_0),
    };
    return run_with_engine(argc, argv, tests, (int)(sizeof tests / sizeof *tests));
}
