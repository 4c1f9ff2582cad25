/* test_dit_golden.c - the Wan transformer against the reference, under both naming schemes. */
#include <unistd.h>

#include "golden.h"
#include "models/wan_dit.h"

#define TOL 3e-5

static tb_compute *compute;

static tb_wan_dit *open_dit(const char *path, const json_t *config)
{
    tb_err err = TB_ERR_INIT;
    tb_weights *w = tb_weights_open(path, &err);
    tb_wan_dit *m = w ? tb_wan_dit_open_config(compute, w, config, &err) : NULL;
    tb_weights_close(&w);
    if (!m)
        fprintf(stderr, "%s\n", err.message);
    REQUIRE(m);
    return m;
}

/* All inputs at once: reference velocities by name. */
typedef struct batch {
    tb_wan_dit_input in[16];
    float *out[16];
    tb_tensor *want[16];
    char name[16][32];
    int count;
} batch;

__attribute__((format(printf, 4, 5))) static void add(batch *b, const tb_safetensors *f,
                                                      const tb_wan_dit_input *in, const char *fmt,
                                                      ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(b->name[b->count], sizeof b->name[0], fmt, ap);
    va_end(ap);
    b->in[b->count] = *in;
    b->want[b->count] = golden_f32(f, "%s", b->name[b->count]);
    b->out[b->count] = tb_xcalloc((size_t)tb_tensor_count(b->want[b->count]), sizeof(float));
    b->count++;
}

static void run(batch *b, tb_wan_dit *m, int at_once)
{
    tb_err err = TB_ERR_INIT;
    for (int i = 0; i < b->count; i += at_once) {
        const int n = b->count - i < at_once ? b->count - i : at_once;
        CHECK_OK(tb_wan_dit_run(m, compute, n, b->in + i, b->out + i, NULL, NULL, NULL, &err));
    }
    for (int i = 0; i < b->count; i++)
        golden_near(b->name[i], b->out[i], b->want[i], TOL);
}

static void check_guided(const batch *b, const tb_safetensors *f, int times)
{
    for (int k = 0; k < times; k++) {
        tb_tensor *want = golden_f32(f, "out.cfg5.%d", k);
        const float *c = b->out[2 * k], *u = b->out[2 * k + 1];
        float *v = tb_xcalloc((size_t)tb_tensor_count(want), sizeof *v);
        for (int64_t i = 0; i < tb_tensor_count(want); i++)
            v[i] = u[i] + 5 * (c[i] - u[i]);
        golden_near("out.cfg5", v, want, TOL);
        free(v);
        tb_tensor_unref(&want);
    }
}

static void clear(batch *b)
{
    for (int i = 0; i < b->count; i++) {
        free(b->out[i]);
        tb_tensor_unref(&b->want[i]);
    }
    b->count = 0;
}

typedef struct set {
    tb_safetensors *io;
    json_t *config;
    tb_tensor *x, *y, *clip, *text[2], *t;
    tb_wan_dit_input in;
} set;

static set open_set(const char *stem, char letter)
{
    char *path = golden_path(stem, letter, "_io.safetensors");
    set s = { .io = golden_open(path) };
    free(path);
    s.config = golden_config(s.io);
    s.x = golden_f32(s.io, "in.x");
    s.text[0] = golden_f32(s.io, "in.context0");
    s.text[1] = golden_has(s.io, "in.context1") ? golden_f32(s.io, "in.context1") : NULL;
    s.y = golden_has(s.io, "in.y") ? golden_f32(s.io, "in.y") : NULL;
    s.clip = golden_has(s.io, "in.clip") ? golden_f32(s.io, "in.clip") : NULL;
    s.t = golden_f32(s.io, golden_has(s.io, "in.t") ? "in.t" : "in.t_token");
    s.in = (tb_wan_dit_input){ .f = tb_tensor_dim(s.x, 1),
                               .h = tb_tensor_dim(s.x, 2),
                               .w = tb_tensor_dim(s.x, 3),
                               .x = tb_tensor_f32(s.x),
                               .extra = s.y ? tb_tensor_f32(s.y) : NULL,
                               .t = tb_tensor_f32(s.t),
                               .t_count = 1,
                               .text = tb_tensor_f32(s.text[0]),
                               .text_rows = tb_tensor_dim(s.text[0], 0),
                               .image = s.clip ? tb_tensor_f32(s.clip) : NULL,
                               .image_rows = s.clip ? tb_tensor_dim(s.clip, 0) : 0 };
    return s;
}

static void close_set(set *s)
{
    tb_tensor **const all[] = { &s->x, &s->y, &s->clip, &s->text[0], &s->text[1], &s->t };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        tb_tensor_unref(all[i]);
    json_decref(s->config);
    tb_safetensors_close(&s->io);
}

static void check_naming(const set *s, const char *stem, char letter, const char *tail)
{
    char *path = golden_path(stem, letter, tail);
    tb_wan_dit *m = open_dit(path, s->config);
    const int times = (int)tb_tensor_count(s->t);
    batch b = { 0 };
    for (int k = 0; k < times; k++)
        for (int j = 0; j < 2; j++) {
            tb_wan_dit_input in = s->in;
            in.t = tb_tensor_f32(s->t) + k;
            in.text = tb_tensor_f32(s->text[j]);
            in.text_rows = tb_tensor_dim(s->text[j], 0);
            add(&b, s->io, &in, j ? "out.uncond.%d" : "out.cond.%d", k);
        }
    run(&b, m, 1);
    run(&b, m, b.count);
    check_guided(&b, s->io, times);
    clear(&b);
    tb_wan_dit_close(&m);
    free(path);
}

static void check_set(const char *stem, char letter)
{
    set s = open_set(stem, letter);
    check_naming(&s, stem, letter, "_orig.safetensors");
    check_naming(&s, stem, letter, "_diffusers.safetensors");
    close_set(&s);
}

static void t2v_set(char letter)
{
    check_set("dit_t2v", letter);
}
static void i2v_set(char letter)
{
    check_set("dit_i2v", letter);
}

static void ti2v_naming(const set *s, char letter, const char *tail)
{
    char *path = golden_path("dit_ti2v", letter, tail);
    tb_wan_dit *m = open_dit(path, s->config);
    const float uniform = (float)json_number_value(json_object_get(s->config, "t"));
    batch b = { 0 };
    tb_wan_dit_input in = s->in;
    in.t_count = tb_tensor_count(s->t);
    add(&b, s->io, &in, "out.cond_token_t");
    in.t_count = 1;
    in.t = &uniform;
    add(&b, s->io, &in, "out.cond_uniform_t");
    run(&b, m, 1);
    run(&b, m, 2);
    clear(&b);
    tb_wan_dit_close(&m);
    free(path);
}

static void ti2v_set(char letter)
{
    set s = open_set("dit_ti2v", letter);
    ti2v_naming(&s, letter, "_orig.safetensors");
    ti2v_naming(&s, letter, "_diffusers.safetensors");
    close_set(&s);
}

TEST(text_to_video_matches)
{
    golden_each("dit_t2v", "_io.safetensors", t2v_set);
}

TEST(image_to_video_matches)
{
    golden_each("dit_i2v", "_io.safetensors", i2v_set);
}

TEST(timesteps_per_token_match)
{
    golden_each("dit_ti2v", "_io.safetensors", ti2v_set);
}

TEST(the_same_bytes_alone_packed_and_on_one_thread)
{
    set s = open_set("dit_t2v", GOLDEN_OWN);
    char *path = golden_path("dit_t2v", GOLDEN_OWN, "_orig.safetensors");
    tb_wan_dit *m = open_dit(path, s.config);
    const size_t n = (size_t)tb_tensor_count(s.x);
    float *out[3] = { tb_xcalloc(n, sizeof(float)), tb_xcalloc(n, sizeof(float)),
                      tb_xcalloc(n, sizeof(float)) };
    tb_wan_dit_input in[2] = { s.in, s.in };
    in[1].text = tb_tensor_f32(s.text[1]);
    in[1].text_rows = tb_tensor_dim(s.text[1], 0);
    tb_err err = TB_ERR_INIT;
    CHECK_OK(tb_wan_dit_run(m, compute, 1, in, out, NULL, NULL, NULL, &err));
    CHECK_OK(tb_wan_dit_run(m, compute, 2, in, out + 1, NULL, NULL, NULL, &err));
    CHECK(memcmp(out[0], out[1], n * sizeof(float)) == 0);
    tb_compute *single = tb_compute_new(1, &err);
    REQUIRE(single);
    CHECK_OK(tb_wan_dit_run(m, single, 1, in, out + 2, NULL, NULL, NULL, &err));
    CHECK(memcmp(out[0], out[2], n * sizeof(float)) == 0);
    tb_compute_free(&single);
    for (int i = 0; i < 3; i++)
        free(out[i]);
    tb_wan_dit_close(&m);
    close_set(&s);
    free(path);
}

/* The file without the tensors of its last block, in a temporary file; that block's number. */
static int write_shorter(const char *path, char *shorter)
{
    tb_err err = TB_ERR_INIT;
    tb_safetensors *f = golden_open(path);
    const int count = tb_safetensors_count(f);
    const char **names = tb_xcalloc((size_t)count, sizeof *names);
    tb_tensor **tensors = tb_xcalloc((size_t)count, sizeof *tensors);
    int last = 0, kept = 0, block;
    for (int i = 0; i < count; i++)
        if (sscanf(tb_safetensors_name(f, i), "blocks.%d.", &block) == 1 && block > last)
            last = block;
    for (int i = 0; i < count; i++) {
        names[kept] = tb_safetensors_name(f, i);
        if (sscanf(names[kept], "blocks.%d.", &block) == 1 && block == last)
            continue;
        tensors[kept++] = tb_safetensors_tensor(f, i, &err);
    }
    const int fd = mkstemps(shorter, 12);
    REQUIRE(fd >= 0);
    close(fd);
    CHECK_OK(
        tb_safetensors_write(shorter, kept, names, (const tb_tensor *const *)tensors, NULL, &err));
    for (int i = 0; i < kept; i++)
        tb_tensor_unref(&tensors[i]);
    free(tensors);
    free(names);
    tb_safetensors_close(&f);
    return last;
}

/* Skipping the last block is a model without it, also beside an input that skips nothing. */
TEST(a_skipped_block_is_one_that_is_not_there)
{
    char shorter[] = "/tmp/tubelet-test-XXXXXX.safetensors";
    set s = open_set("dit_t2v", GOLDEN_OWN);
    char *path = golden_path("dit_t2v", GOLDEN_OWN, "_orig.safetensors");
    const int last = write_shorter(path, shorter);
    tb_wan_dit *whole = open_dit(path, s.config), *part = open_dit(shorter, s.config);
    const size_t n = (size_t)tb_tensor_count(s.x);
    float *out[3] = { tb_xcalloc(n, sizeof(float)), tb_xcalloc(n, sizeof(float)),
                      tb_xcalloc(n, sizeof(float)) };
    tb_wan_dit_input in[2] = { s.in, s.in };
    in[0].skip = UINT64_C(1) << last;
    tb_err err = TB_ERR_INIT;
    CHECK_INT(tb_wan_dit_config_of(part)->layers, last);
    CHECK_OK(tb_wan_dit_run(whole, compute, 2, in, out, NULL, NULL, NULL, &err));
    CHECK_OK(tb_wan_dit_run(part, compute, 1, &s.in, out + 2, NULL, NULL, NULL, &err));
    CHECK(memcmp(out[0], out[2], n * sizeof(float)) == 0);
    CHECK(tb_test_relative(out[1], out[0], (long)n) > 1e-3);
    for (int i = 0; i < 3; i++)
        free(out[i]);
    tb_wan_dit_close(&whole);
    tb_wan_dit_close(&part);
    unlink(shorter);
    close_set(&s);
    free(path);
}

TEST(bad_inputs_are_refused_in_a_sentence)
{
    set s = open_set("dit_t2v", GOLDEN_OWN);
    char *path = golden_path("dit_t2v", GOLDEN_OWN, "_orig.safetensors");
    tb_wan_dit *m = open_dit(path, s.config);
    float *out = tb_xcalloc((size_t)tb_tensor_count(s.x), sizeof *out);
    atomic_bool cancel;
    tb_wan_dit_input in = s.in;
    tb_err err = TB_ERR_INIT;
    in.w = 7;
    CHECK_INT(tb_wan_dit_run(m, compute, 1, &in, &out, NULL, NULL, NULL, &err), TB_EINVAL);
    CHECK_STR(err.message,
              "the latent must have an even number of rows and columns, got 3 frames of 7x6 "
              "(width x height); choose a size that is a multiple of twice the VAE's stride");
    in = s.in;
    in.text_rows = 25;
    err = TB_ERR_INIT;
    CHECK_INT(tb_wan_dit_run(m, compute, 1, &in, &out, NULL, NULL, NULL, &err), TB_EINVAL);
    CHECK_STR(err.message, "a text may have 0..24 tokens with this model, got 25");
    atomic_init(&cancel, true);
    err = TB_ERR_INIT;
    CHECK_INT(tb_wan_dit_run(m, compute, 1, &s.in, &out, &cancel, NULL, NULL, &err), TB_ECANCELED);
    CHECK_STR(err.message, "canceled after 0 of 2 blocks");
    free(out);
    tb_wan_dit_close(&m);
    close_set(&s);
    free(path);
}

TEST(other_files_are_refused_in_a_sentence)
{
    char *path = golden_path("samplers_flow", GOLDEN_OWN, ".safetensors");
    tb_err err = TB_ERR_INIT;
    tb_weights *w = tb_weights_open(path, &err);
    CHECK(w && !tb_wan_dit_open_config(compute, w, NULL, &err));
    CHECK(
        strstr(err.message,
               "is no Wan transformer: its patch, head, text, time or block tensors are missing"));
    tb_weights_close(&w);
    free(path);
    path = golden_path("dit_t2v", GOLDEN_OWN, "_orig.safetensors");
    w = tb_weights_open(path, &err);
    err = TB_ERR_INIT;
    CHECK(w && !tb_wan_dit_open_config(compute, w, NULL, &err));
    CHECK(strstr(err.message,
                 "has width 64 and 0 heads, which do not fit; put num_heads into its config.json"));
    tb_weights_close(&w);
    free(path);
}

int main(int argc, char **argv)
{
    static const struct tb_test tests[] = {
        TEST_CASE(text_to_video_matches),
        TEST_CASE(image_to_video_matches),
        TEST_CASE(timesteps_per_token_match),
        TEST_CASE(the_same_bytes_alone_packed_and_on_one_thread),
        TEST_CASE(a_skipped_block_is_one_that_is_not_there),
        TEST_CASE(bad_inputs_are_refused_in_a_sentence),
        TEST_CASE(other_files_are_refused_in_a_sentence),
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
