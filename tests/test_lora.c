/* test_lora.c - LoRAs in every naming against W + strength * alpha / rank * B A in double, on the
 * image-to-video reference transformer (both of its namings); and files that are refused. */
#include <unistd.h>

#include "base/str.h"
#include "compute/rng.h"
#include "golden.h"
#include "models/models.h"

#define TINY "examples/tiny"

enum { RANK = 3, TARGETS = 9 };

static const char *const targets[TARGETS][2] = {
    { "blocks.0.self_attn.q", "blocks.0.attn1.to_q" },
    { "blocks.0.self_attn.o", "blocks.0.attn1.to_out.0" },
    { "blocks.1.cross_attn.v", "blocks.1.attn2.to_v" },
    { "blocks.1.cross_attn.k_img", "blocks.1.attn2.add_k_proj" },
    { "blocks.0.ffn.0", "blocks.0.ffn.net.0.proj" },
    { "blocks.1.ffn.2", "blocks.1.ffn.net.2" },
    { "time_projection.1", "condition_embedder.time_proj" },
    { "patch_embedding", "patch_embedding" },
    { "head.head", "proj_out" },
};

static tb_compute *compute;
static char dir[64];

static const char *in_dir(const char *name)
{
    static char path[128];
    if (!*dir) {
        snprintf(dir, sizeof dir, "/tmp/tubelet-test-XXXXXX");
        REQUIRE(mkdtemp(dir));
    }
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

/* ------------------------------------------------------------------------------ writing a file */

typedef struct file {
    int count;
    char *name[64];
    const tb_tensor *tensor[64];
    json_t *meta;
} file;

__attribute__((format(printf, 3, 4))) static void put(file *f, const tb_tensor *t_take,
                                                      const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    REQUIRE(f->count < 64 && vasprintf(&f->name[f->count], fmt, ap) > 0);
    va_end(ap);
    f->tensor[f->count++] = t_take;
}

/* Writes the tensors to a file of the test's folder and drops them. The path is lent. */
static const char *save(file *f, const char *name)
{
    tb_err err = TB_ERR_INIT;
    const char *path = in_dir(name);
    CHECK_OK(tb_safetensors_write(path, f->count, (const char *const *)f->name, f->tensor, f->meta,
                                  &err));
    for (int i = 0; i < f->count; i++) {
        tb_tensor *t = (tb_tensor *)(uintptr_t)f->tensor[i];
        tb_tensor_unref(&t);
        free(f->name[i]);
    }
    json_decref(f->meta);
    *f = (file){ 0 };
    return path;
}

static tb_tensor *random_tensor(const tb_shape *shape, uint64_t seed)
{
    tb_tensor *t = tb_tensor_new(TB_F32, shape, NULL);
    REQUIRE(t);
    tb_rng_normal(tb_tensor_f32_mut(t), tb_tensor_count(t), seed, 0);
    return t;
}

static tb_tensor *number(float x)
{
    tb_tensor *t = tb_tensor_new(TB_F32, &TB_SHAPE(1), NULL);
    REQUIRE(t);
    tb_tensor_f32_mut(t)[0] = x;
    return t;
}

/* ------------------------------------------------------------------------------- the reference */

typedef struct base {
    tb_weights *w;
    json_t *config;
    int naming; /* 0 the authors', 1 diffusers' */
} base;

static base open_base(const char *stem, int naming)
{
    tb_err err = TB_ERR_INIT;
    char *path =
        golden_path(stem, GOLDEN_OWN, naming ? "_diffusers.safetensors" : "_orig.safetensors");
    char *io_path = golden_path(stem, GOLDEN_OWN, "_io.safetensors");
    tb_safetensors *io = golden_open(io_path);
    base b = { tb_weights_open(path, &err), golden_config(io), naming };
    REQUIRE(b.w && b.config);
    tb_safetensors_close(&io);
    free(path);
    free(io_path);
    return b;
}

static void close_base(base *b)
{
    tb_weights_close(&b->w);
    json_decref(b->config);
}

static const tb_tensor *weight_of(const base *b, int target, const char *tail)
{
    char name[128];
    tb_err err = TB_ERR_INIT;
    snprintf(name, sizeof name, "%s%s", targets[target][b->naming], tail);
    const tb_tensor *t = tb_weights_get(b->w, name, &err);
    if (!t)
        fprintf(stderr, "%s\n", err.message);
    REQUIRE(t);
    return t;
}

/* The matrices of a target, the same in every file of one seed. */
static tb_tensor *down_of(const base *b, int target, uint64_t seed)
{
    const tb_tensor *w = weight_of(b, target, ".weight");
    tb_shape s = *tb_tensor_shape(w);
    s.d[0] = RANK;
    return random_tensor(&s, 100 * seed + (uint64_t)target);
}

static tb_tensor *up_of(const base *b, int target, uint64_t seed)
{
    const tb_tensor *w = weight_of(b, target, ".weight");
    tb_shape s = { .n = tb_tensor_shape(w)->n, .d = { tb_tensor_dim(w, 0), RANK, 1, 1, 1 } };
    return random_tensor(&s, 100 * seed + 50 + (uint64_t)target);
}

/* W + scale B A in double, to be freed. */
static double *by_hand(const base *b, int target, uint64_t seed, double scale)
{
    const tb_tensor *w = weight_of(b, target, ".weight");
    tb_tensor *up = up_of(b, target, seed), *down = down_of(b, target, seed);
    const int64_t out = tb_tensor_dim(w, 0), in = tb_tensor_count(w) / out;
    double *x = tb_xcalloc((size_t)(out * in), sizeof *x);
    for (int64_t o = 0; o < out; o++)
        for (int64_t i = 0; i < in; i++) {
            double sum = 0;
            for (int64_t r = 0; r < RANK; r++)
                sum += (double)tb_tensor_f32(up)[o * RANK + r] *
                       (double)tb_tensor_f32(down)[r * in + i];
            x[o * in + i] = (double)tb_tensor_f32(w)[o * in + i] + scale * sum;
        }
    tb_tensor_unref(&up);
    tb_tensor_unref(&down);
    return x;
}

static double relative(const float *got, const double *want, int64_t n)
{
    double d = 0, r = 0;
    for (int64_t i = 0; i < n; i++) {
        d += ((double)got[i] - want[i]) * ((double)got[i] - want[i]);
        r += want[i] * want[i];
    }
    return sqrt(d / r);
}

/* --------------------------------------------------------------------------------- all namings */

typedef struct naming {
    const char *prefix;
    int names; /* 0 the authors', 1 diffusers' */
    bool flat; /* '_' for '.' */
    const char *down, *up;
    enum { NONE, TENSOR, METADATA, ROOT } alpha;
} naming;

static const naming namings[] = {
    { "diffusion_model.", 0, false, ".lora_A.weight", ".lora_B.weight", TENSOR },
    { "diffusion_model.", 0, false, ".lora_down.weight", ".lora_up.weight", NONE },
    { "transformer.", 1, false, ".lora_A.weight", ".lora_B.weight", METADATA },
    { "transformer.", 1, false, ".lora_A.weight", ".lora_B.weight", ROOT },
    { "base_model.model.", 1, false, ".lora_A.default.weight", ".lora_B.default.weight", NONE },
    { "lora_unet_", 0, true, ".lora_down.weight", ".lora_up.weight", TENSOR },
    { "lora_transformer_", 1, true, ".lora_down.weight", ".lora_up.weight", TENSOR },
    { "", 0, false, ".lora_A.default.weight", ".lora_B.default.weight", TENSOR },
};
enum { NAMINGS = sizeof namings / sizeof *namings };

static const double ALPHA = 1.5;

static double scale_of(const naming *n)
{
    return n->alpha == NONE ? 1 : n->alpha == ROOT ? ALPHA / sqrt(RANK) : ALPHA / RANK;
}

static const char *save_lora(const base *b, const naming *n, uint64_t seed, const char *name)
{
    file f = { 0 };
    for (int i = 0; i < TARGETS; i++) {
        char module[128];
        snprintf(module, sizeof module, "%s", targets[i][n->names]);
        for (char *c = module; n->flat && *c; c++)
            *c = *c == '.' ? '_' : *c;
        put(&f, down_of(b, i, seed), "%s%s%s", n->prefix, module, n->down);
        put(&f, up_of(b, i, seed), "%s%s%s", n->prefix, module, n->up);
        if (n->alpha == TENSOR)
            put(&f, number((float)ALPHA), "%s%s.alpha", n->prefix, module);
    }
    if (n->alpha >= METADATA)
        f.meta = json_pack("{s:s}", "lora_adapter_metadata",
                           n->alpha == ROOT ? "{\"transformer.lora_alpha\": 1.5, "
                                              "\"transformer.use_rslora\": true}"
                                            : "{\"transformer.lora_alpha\": 1.5}");
    return save(&f, name);
}

static tb_lora *open_lora(const char *path)
{
    tb_err err = TB_ERR_INIT;
    tb_lora *l = tb_lora_open(path, &err);
    if (!l)
        fprintf(stderr, "%s\n", err.message);
    REQUIRE(l);
    return l;
}

/* The tensor of a name with LoRAs merged in. New reference. */
static tb_tensor *merged(const base *b, const char *name, const tb_lora_use *uses, int count)
{
    tb_err err = TB_ERR_INIT;
    const tb_tensor *w = tb_weights_get(b->w, name, &err);
    REQUIRE(w);
    tb_tensor *t = tb_tensor_ref(w);
    CHECK_OK(tb_lora_merge(uses, count, compute, name, &t, &err));
    return t;
}

/* Every weight of the transformer: those of targets as by hand, all others untouched. */
static void check_weights(const base *b, const tb_lora_use *use, double scale)
{
    int changed = 0;
    for (int i = 0; i < tb_weights_count(b->w); i++) {
        tb_tensor *t = merged(b, tb_weights_name(b->w, i), use, 1);
        changed += t != tb_weights_at(b->w, i);
        tb_tensor_unref(&t);
    }
    CHECK_INT(changed, TARGETS);
    for (int i = 0; i < TARGETS; i++) {
        char name[128];
        snprintf(name, sizeof name, "%s.weight", targets[i][b->naming]);
        tb_tensor *t = merged(b, name, use, 1);
        double *want = by_hand(b, i, 1, scale);
        CHECK_NEAR(relative(tb_tensor_f32(t), want, tb_tensor_count(t)), 0, 2e-7);
        free(want);
        tb_tensor_unref(&t);
    }
}

TEST(every_naming_changes_the_same_weights)
{
    for (int k = 0; k < 2 * NAMINGS; k++) {
        tb_err err = TB_ERR_INIT;
        tb_lora_fit fit;
        base b = open_base("dit_i2v", k % 2);
        const naming *n = &namings[k / 2];
        tb_lora *l = open_lora(save_lora(&b, n, 1, "naming.safetensors"));
        CHECK_INT(tb_lora_count(l), TARGETS);
        CHECK_OK(tb_lora_fit_to(l, b.w, &fit, &err));
        CHECK_INT(fit.matched, TARGETS);
        CHECK_INT(fit.unmatched, 0);
        for (int s = -1; s <= 2; s += s < 0 ? 2 : 1)
            check_weights(&b, &(tb_lora_use){ l, s }, s * scale_of(n));
        tb_lora_close(&l);
        close_base(&b);
    }
}

TEST(strength_0_touches_nothing)
{
    base b = open_base("dit_i2v", 0);
    tb_lora *l = open_lora(save_lora(&b, &namings[0], 1, "zero.safetensors"));
    for (int i = 0; i < tb_weights_count(b.w); i++) {
        tb_tensor *t = merged(&b, tb_weights_name(b.w, i), &(tb_lora_use){ l, 0 }, 1);
        CHECK(t == tb_weights_at(b.w, i));
        tb_tensor_unref(&t);
    }
    tb_lora_close(&l);
    close_base(&b);
}

TEST(several_add_up_in_any_order)
{
    base b = open_base("dit_i2v", 1);
    tb_lora *one = open_lora(save_lora(&b, &namings[0], 1, "one.safetensors"));
    tb_lora *two = open_lora(save_lora(&b, &namings[6], 2, "two.safetensors"));
    const tb_lora_use uses[] = { { one, 0.75 }, { two, -2 }, { one, 0.25 } };
    const tb_lora_use back[] = { { two, -2 }, { one, 1 } };
    for (int i = 0; i < TARGETS; i++) {
        char name[128];
        snprintf(name, sizeof name, "%s.weight", targets[i][1]);
        tb_tensor *t = merged(&b, name, uses, 3), *u = merged(&b, name, back, 2);
        const float *w = tb_tensor_f32(weight_of(&b, i, ".weight"));
        double *want = by_hand(&b, i, 1, ALPHA / RANK),
               *more = by_hand(&b, i, 2, -2 * ALPHA / RANK);
        for (int64_t k = 0; k < tb_tensor_count(t); k++)
            want[k] += more[k] - (double)w[k];
        CHECK_NEAR(relative(tb_tensor_f32(t), want, tb_tensor_count(t)), 0, 3e-7);
        CHECK_NEAR(relative(tb_tensor_f32(u), want, tb_tensor_count(u)), 0, 3e-7);
        free(want);
        free(more);
        tb_tensor_unref(&t);
        tb_tensor_unref(&u);
    }
    tb_lora_close(&one);
    tb_lora_close(&two);
    close_base(&b);
}

/* ------------------------------------------------------------------------- differences in full */

/* A difference named so in the file, at strength 2 and with this scale, must reach that tensor. */
static void check_difference(const char *in_file, const char *tensor, double scale, file *more)
{
    base b = open_base("dit_i2v", 0);
    tb_err err = TB_ERR_INIT;
    const tb_tensor *w = tb_weights_get(b.w, tensor, &err);
    REQUIRE(w);
    tb_tensor *d = random_tensor(tb_tensor_shape(w), 9);
    put(more, tb_tensor_ref(d), "%s", in_file);
    tb_lora *l = open_lora(save(more, "difference.safetensors"));
    tb_tensor *t = merged(&b, tensor, &(tb_lora_use){ l, 2 }, 1);
    for (int64_t i = 0; i < tb_tensor_count(t); i++)
        CHECK_NEAR(tb_tensor_f32(t)[i],
                   (double)tb_tensor_f32(w)[i] + 2 * scale * (double)tb_tensor_f32(d)[i], 1e-5);
    tb_tensor_unref(&t);
    tb_tensor_unref(&d);
    tb_lora_close(&l);
    close_base(&b);
}

TEST(differences_reach_weights_biases_norms_and_modulations)
{
    check_difference("diffusion_model.blocks.0.self_attn.q.diff_b", "blocks.0.self_attn.q.bias", 1,
                     &(file){ 0 });
    check_difference("diffusion_model.blocks.1.cross_attn.norm_k.diff",
                     "blocks.1.cross_attn.norm_k.weight", 1, &(file){ 0 });
    check_difference("transformer.blocks.1.norm2.diff_b", "blocks.1.norm3.bias", 1, &(file){ 0 });
    check_difference("diffusion_model.blocks.1.diff_m", "blocks.1.modulation", 1, &(file){ 0 });
    check_difference("diffusion_model.head.diff_m", "head.modulation", 1, &(file){ 0 });
    check_difference("patch_embedding.diff", "patch_embedding.weight", 1, &(file){ 0 });
    base b = open_base("dit_i2v", 0);
    file f = { 0 };
    put(&f, down_of(&b, 0, 1), "transformer.blocks.0.attn1.to_q.lora_A.weight");
    put(&f, up_of(&b, 0, 1), "transformer.blocks.0.attn1.to_q.lora_B.weight");
    put(&f, number(6), "transformer.blocks.0.attn1.to_q.alpha");
    check_difference("transformer.blocks.0.attn1.to_q.lora_B.bias", "blocks.0.self_attn.q.bias",
                     6.0 / RANK, &f);
    close_base(&b);
}

/* -------------------------------------------------------------------------- a whole transformer */

static tb_weights *weights_by_hand(const base *b, double scale)
{
    tb_err err = TB_ERR_INIT;
    enum { MOST = 128 };
    const char *names[MOST];
    const tb_tensor *tensors[MOST];
    tb_tensor *own[TARGETS];
    REQUIRE(tb_weights_count(b->w) <= MOST);
    for (int i = 0; i < tb_weights_count(b->w); i++) {
        names[i] = tb_weights_name(b->w, i);
        tensors[i] = tb_weights_at(b->w, i);
    }
    for (int k = 0; k < TARGETS; k++) {
        const tb_tensor *w = weight_of(b, k, ".weight");
        double *x = by_hand(b, k, 1, scale);
        tb_tensor *t = own[k] = tb_tensor_new(TB_F32, tb_tensor_shape(w), &err);
        for (int64_t i = 0; i < tb_tensor_count(t); i++)
            tb_tensor_f32_mut(t)[i] = (float)x[i];
        for (int i = 0; i < tb_weights_count(b->w); i++)
            if (tb_weights_at(b->w, i) == w)
                tensors[i] = t;
        free(x);
    }
    const char *path = in_dir("by_hand.safetensors");
    CHECK_OK(tb_safetensors_write(path, tb_weights_count(b->w), names, tensors, NULL, &err));
    tb_weights *w = tb_weights_open(path, &err);
    REQUIRE(w);
    for (int k = 0; k < TARGETS; k++)
        tb_tensor_unref(&own[k]);
    return w;
}

/* The velocity of a transformer at its reference input, to be freed. */
static float *velocity(tb_wan_dit *m, int64_t *count)
{
    tb_err err = TB_ERR_INIT;
    REQUIRE(m);
    char *path = golden_path("dit_i2v", GOLDEN_OWN, "_io.safetensors");
    tb_safetensors *io = golden_open(path);
    tb_tensor *x = golden_f32(io, "in.x"), *y = golden_f32(io, "in.y"),
              *clip = golden_f32(io, "in.clip"), *text = golden_f32(io, "in.context0"),
              *t = golden_f32(io, "in.t");
    const tb_wan_dit_input in = { .f = tb_tensor_dim(x, 1),
                                  .h = tb_tensor_dim(x, 2),
                                  .w = tb_tensor_dim(x, 3),
                                  .x = tb_tensor_f32(x),
                                  .extra = tb_tensor_f32(y),
                                  .t = tb_tensor_f32(t),
                                  .t_count = 1,
                                  .text = tb_tensor_f32(text),
                                  .text_rows = tb_tensor_dim(text, 0),
                                  .image = tb_tensor_f32(clip),
                                  .image_rows = tb_tensor_dim(clip, 0) };
    *count = tb_tensor_count(x);
    float *out = tb_xcalloc((size_t)*count, sizeof *out);
    CHECK_OK(tb_wan_dit_run(m, compute, 1, &in, &out, NULL, NULL, NULL, &err));
    tb_tensor **const all[] = { &x, &y, &clip, &text, &t };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        tb_tensor_unref(all[i]);
    tb_safetensors_close(&io);
    free(path);
    tb_wan_dit_close(&m);
    return out;
}

TEST(a_merged_transformer_equals_one_of_merged_weights)
{
    for (int k = 0; k < 2; k++) {
        tb_err err = TB_ERR_INIT;
        int64_t n;
        base b = open_base("dit_i2v", k);
        tb_lora *l = open_lora(save_lora(&b, &namings[0], 1, "dit.safetensors"));
        tb_weights *hand = weights_by_hand(&b, 0.1 * ALPHA / RANK);
        const tb_lora_use use = { l, 0.1 }, none = { l, 0 };
        float *got = velocity(tb_wan_dit_open_merged(compute, b.w, b.config, &use, 1, &err), &n);
        float *want = velocity(tb_wan_dit_open_config(compute, hand, b.config, &err), &n);
        float *plain = velocity(tb_wan_dit_open_config(compute, b.w, b.config, &err), &n);
        float *zero = velocity(tb_wan_dit_open_merged(compute, b.w, b.config, &none, 1, &err), &n);
        CHECK_NEAR(tb_test_relative(got, want, n), 0, 1e-5);
        CHECK(tb_test_relative(got, plain, n) > 0.01);
        CHECK_INT(memcmp(zero, plain, (size_t)n * sizeof *zero), 0);
        free(got);
        free(want);
        free(plain);
        free(zero);
        tb_weights_close(&hand);
        tb_lora_close(&l);
        close_base(&b);
    }
}

TEST(open_transformers_differ_by_their_loras)
{
    tb_err err = TB_ERR_INIT;
    tb_models *m = tb_models_new();
    file f = { 0 };
    put(&f, random_tensor(&TB_SHAPE(2, 192), 1), "blocks.0.ffn.0.lora_A.weight");
    put(&f, random_tensor(&TB_SHAPE(768, 2), 2), "blocks.0.ffn.0.lora_B.weight");
    const tb_lora_file half = { save(&f, "tiny.safetensors"), 0.5 },
                       missing = { "nowhere.safetensors", 1 };
    const tb_wan_dit *plain = tb_models_dit(m, compute, TINY "/transformer", "a", NULL, 0, &err);
    const tb_wan_dit *with = tb_models_dit(m, compute, TINY "/transformer", "a+l", &half, 1, &err);
    CHECK(plain && with && plain != with);
    CHECK(tb_models_dit(m, compute, TINY "/transformer", "a+l", &half, 1, &err) == with);
    CHECK(tb_models_dit(m, compute, TINY "/transformer", "a", NULL, 0, &err) == plain);
    CHECK_STR(err.message, "");
    CHECK(!tb_models_dit(m, compute, TINY "/transformer", "a+m", &missing, 1, &err));
    CHECK(strstr(err.message, "nowhere.safetensors"));
    tb_models_free(&m);
}

/* ------------------------------------------------------------------------------------ refusals */

/* What opening a file says, from the file's name on. */
static const char *refusal(const char *path)
{
    static char text[sizeof(((tb_err *)0)->message)];
    tb_err err = TB_ERR_INIT;
    tb_lora *l = tb_lora_open(path, &err);
    CHECK(!l);
    tb_lora_close(&l);
    const char *at = strstr(err.message, "/x.safetensors'");
    snprintf(text, sizeof text, "%s", at ? at + strlen("/x.safetensors'") : err.message);
    return text;
}

static const char *refused_tensors(const char *a, const tb_shape *sa, const char *b,
                                   const tb_shape *sb)
{
    file f = { 0 };
    put(&f, random_tensor(sa, 1), "%s", a);
    if (b)
        put(&f, random_tensor(sb, 2), "%s", b);
    return refusal(save(&f, "x.safetensors"));
}

TEST(what_is_no_lora_is_refused_in_a_sentence)
{
    const tb_shape a = TB_SHAPE(2, 8), b = TB_SHAPE(8, 3), one = TB_SHAPE(8), two = TB_SHAPE(2);
    CHECK_STR(
        refused_tensors("blocks.0.ffn.0.lora_A.weight", &a, "blocks.0.ffn.0.lora_B.weight", &b),
        ": the ranks of 'blocks.0.ffn.0' differ: lora_A (down) is [2,8], lora_B (up) is "
        "[8,3]; wanted are [rank,in] and [out,rank]");
    CHECK_STR(refused_tensors("blocks.0.ffn.0.lora_A.weight", &a, NULL, NULL),
              " has the matrix lora_A (down) of 'blocks.0.ffn.0' but not the other one");
    CHECK_STR(refused_tensors("blocks.0.ffn.0.lora_up.weight", &b, NULL, NULL),
              " has the matrix lora_B (up) of 'blocks.0.ffn.0' but not the other one");
    CHECK_STR(refused_tensors("blocks.0.ffn.0.alpha", &one, NULL, NULL),
              " has no matrices lora_A and lora_B for 'blocks.0.ffn.0'");
    CHECK_STR(refused_tensors("blocks.0.ffn.0.dora_scale", &one, NULL, NULL),
              " is a DoRA (its tensor 'blocks.0.ffn.0.dora_scale'), which is not supported; plain "
              "LoRAs are");
    CHECK_STR(refused_tensors("blocks.0.ffn.0.lokr_w1", &one, NULL, NULL),
              " is a LoKr (its tensor 'blocks.0.ffn.0.lokr_w1'), which is not supported; plain "
              "LoRAs are");
    CHECK_STR(refused_tensors("blocks.0.ffn.0.weight", &a, NULL, NULL),
              " is no LoRA for Wan: its tensor 'blocks.0.ffn.0.weight' ends neither in lora_A, "
              "lora_B, lora_down or lora_up .weight nor in .alpha, .diff, .diff_b or .diff_m");
    CHECK_STR(refused_tensors("lora_te1_layers_0_q.alpha", &one, NULL, NULL),
              " changes no diffusion transformer: it holds tensors for a text encoder alone, which "
              "are not supported");
    CHECK_STR(refused_tensors("transformer.blocks.0.ffn.0.diff", &one,
                              "diffusion_model.blocks.0.ffn.0.diff", &one),
              " holds 'diffusion_model.blocks.0.ffn.0.diff' a second time, under another name");
    CHECK_STR(refused_tensors("blocks.0.ffn.0.diff", &one, "blocks.0.ffn.0.lora_B.bias", &two),
              " has no matrices lora_A and lora_B for 'blocks.0.ffn.0'");
    CHECK_STR(refusal("some.pt"),
              "'some.pt' is a PyTorch file, which is not supported; convert it to .safetensors");
    CHECK(!tb_lora_recognise(TINY "/vae/model.safetensors"));
    CHECK(!tb_lora_recognise("nowhere.safetensors"));
}

TEST(a_bad_alpha_is_refused_in_a_sentence)
{
    const tb_shape square = TB_SHAPE(2, 2);
    const tb_shape shapes[] = { TB_SHAPE(2), TB_SHAPE(1) };
    for (int i = 0; i < 2; i++) {
        file f = { 0 };
        tb_tensor *alpha = random_tensor(&shapes[i], 3);
        tb_tensor_f32_mut(alpha)[0] = i ? INFINITY : 1;
        put(&f, random_tensor(&square, 1), "blocks.0.ffn.0.lora_A.weight");
        put(&f, random_tensor(&square, 2), "blocks.0.ffn.0.lora_B.weight");
        put(&f, alpha, "blocks.0.ffn.0.alpha");
        CHECK_STR(refusal(save(&f, "x.safetensors")),
                  ": the alpha of 'blocks.0.ffn.0' must be one finite number");
    }
    file f = { .meta = json_pack("{s:s}", "lora_adapter_metadata",
                                 "{\"transformer.alpha_pattern\": {\"to_q\": 4}}") };
    put(&f, random_tensor(&square, 1), "blocks.0.ffn.0.diff");
    CHECK_STR(refusal(save(&f, "x.safetensors")),
              " says in its metadata that alpha differs between its targets (alpha_pattern), which "
              "is not supported");
}

/* Every prefix of a file, and a wrong byte anywhere in its header: a sentence, or a LoRA. */
TEST(damaged_files_never_crash)
{
    base b = open_base("dit_i2v", 0);
    char *data = NULL, *path = tb_xstrdup(save_lora(&b, &namings[0], 1, "damaged.safetensors"));
    size_t size = 0;
    tb_err err = TB_ERR_INIT;
    CHECK_OK(tb_fs_read(path, 64u << 20, &data, &size, &err));
    for (size_t i = 0; i < 3000; i += 7) {
        tb_err own = TB_ERR_INIT;
        const bool cut = i % 2;
        data[i] ^= cut ? 0 : 0x15;
        CHECK_OK(tb_fs_write(path, data, cut ? i : size, false, &err));
        data[i] ^= cut ? 0 : 0x15;
        tb_lora *l = tb_lora_open(path, &own);
        CHECK(!l == (*own.message != 0));
        tb_lora_fit fit;
        if (l)
            tb_lora_fit_to(l, b.w, &fit, NULL);
        tb_lora_close(&l);
    }
    free(data);
    free(path);
    close_base(&b);
}

/* ------------------------------------------------------------------------------------- the fit */

static tb_status fit_of(file *f, const base *b, tb_lora_fit *fit, tb_err *err)
{
    tb_lora *l = open_lora(save(f, "fit.safetensors"));
    const tb_status st = tb_lora_fit_to(l, b->w, fit, err);
    CHECK(!fit->first || tb_str_starts(fit->first, "diffusion_model."));
    fit->first = fit->first ? "one" : NULL;
    tb_lora_close(&l);
    return st;
}

TEST(targets_that_are_not_there_are_counted)
{
    base b = open_base("dit_t2v", 0);
    tb_err err = TB_ERR_INIT;
    tb_lora_fit fit;
    file f = { 0 };
    put(&f, random_tensor(&TB_SHAPE(64), 1), "diffusion_model.blocks.0.ffn.2.diff_b");
    put(&f, random_tensor(&TB_SHAPE(2, 64), 1),
        "diffusion_model.blocks.0.cross_attn.k_img.lora_A.weight");
    put(&f, random_tensor(&TB_SHAPE(64, 2), 1),
        "diffusion_model.blocks.0.cross_attn.k_img.lora_B.weight");
    put(&f, random_tensor(&TB_SHAPE(64), 1), "lora_te1_layer.alpha");
    CHECK_OK(fit_of(&f, &b, &fit, &err));
    CHECK_INT(fit.matched, 1);
    CHECK_INT(fit.unmatched, 1);
    CHECK(fit.first);
    put(&f, random_tensor(&TB_SHAPE(64), 1), "diffusion_model.blocks.99.ffn.2.diff_b");
    CHECK_INT(fit_of(&f, &b, &fit, &err), TB_EINVAL);
    CHECK(strstr(err.message, "was made for another model: the transformer '"));
    CHECK(strstr(err.message, "' has none of its 1 targets, the first of which is "
                              "'diffusion_model.blocks.99.ffn.2'"));
    err = TB_ERR_INIT;
    put(&f, random_tensor(&TB_SHAPE(2, 63), 1), "diffusion_model.blocks.0.ffn.0.lora_A.weight");
    put(&f, random_tensor(&TB_SHAPE(160, 2), 1), "diffusion_model.blocks.0.ffn.0.lora_B.weight");
    CHECK_INT(fit_of(&f, &b, &fit, &err), TB_EINVAL);
    CHECK(strstr(err.message, "was made for another model: its tensor for "
                              "'diffusion_model.blocks.0.ffn.0' is [2,63], which does not fit "
                              "[160,64] of the transformer"));
    close_base(&b);
}

static void remove_dir(void)
{
    char cmd[96];
    snprintf(cmd, sizeof cmd, "rm -r '%s'", dir);
    if (*dir)
        CHECK_INT(system(cmd), 0);
}

int main(int argc, char **argv)
{
    static const struct tb_test tests[] = {
        TEST_CASE(every_naming_changes_the_same_weights),
        TEST_CASE(strength_0_touches_nothing),
        TEST_CASE(several_add_up_in_any_order),
        TEST_CASE(differences_reach_weights_biases_norms_and_modulations),
        TEST_CASE(a_merged_transformer_equals_one_of_merged_weights),
        TEST_CASE(open_transformers_differ_by_their_loras),
        TEST_CASE(what_is_no_lora_is_refused_in_a_sentence),
        TEST_CASE(a_bad_alpha_is_refused_in_a_sentence),
        TEST_CASE(damaged_files_never_crash),
        TEST_CASE(targets_that_are_not_there_are_counted),
    };
    tb_err err = TB_ERR_INIT;
    compute = tb_compute_new(2, &err);
    REQUIRE(compute);
    int failed = tb_test_main(argc, argv, tests, (int)(sizeof tests / sizeof *tests));
    remove_dir();
    failed |= tb_test_failures > 0;
    tb_compute_free(&compute);
    return failed;
}
