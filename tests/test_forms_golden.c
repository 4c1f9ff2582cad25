/* test_forms_golden.c - the golden models in every form that weights are published in.
 *
 * Each form is made here from the golden f32 file by plain code that also says what every weight
 * became. Running from the form must give the very bytes that f32 weights of those values give, and
 * stay as near to the reference as the type's rounding allows.
 */
#include <unistd.h>

#include "containers.h"
#include "golden.h"
#include "models/models.h"
#include "quantise.h"

static char dir[64];
static tb_compute *compute;

static char *in_dir(const char *name)
{
    if (!*dir) {
        snprintf(dir, sizeof dir, "/tmp/tubelet-test-XXXXXX");
        REQUIRE(mkdtemp(dir));
    }
    return tb_fs_join(dir, name);
}

/* --------------------------------------------------------------------------------------- types */

static float *normal_numbers(int64_t n)
{
    float *x = tb_xcalloc((size_t)n, sizeof *x);
    uint64_t state = 7;
    for (int64_t i = 0; i < n; i++) {
        double sum = -6; /* of twelve uniform ones: nearly normal */
        for (int k = 0; k < 12; k++)
            sum += (double)(next_random(&state) % 65536) / 65536;
        x[i] = (float)(0.03 * sum);
    }
    return x;
}

/* ||x - hat|| / ||x|| of normal numbers; a type's step size says what to expect. */
TEST(rounding_stays_within_each_type)
{
    static const struct {
        tb_dtype dtype;
        double bound;
    } types[] = {
        { TB_F16, 0.0003 },  { TB_BF16, 0.0025 }, { TB_F8_E4M3, 0.04 }, { TB_F8_E5M2, 0.08 },
        { TB_Q8_0, 0.006 },  { TB_Q6_K, 0.025 },  { TB_Q5_K, 0.05 },    { TB_Q5_1, 0.05 },
        { TB_Q5_0, 0.05 },   { TB_Q4_K, 0.10 },   { TB_Q4_1, 0.10 },    { TB_Q4_0, 0.12 },
        { TB_IQ4_NL, 0.10 }, { TB_IQ4_XS, 0.10 }, { TB_Q3_K, 0.25 },    { TB_Q2_K, 0.45 },
    };
    enum { N = 16384 };
    float *x = normal_numbers(N), *hat = tb_xcalloc(N, sizeof *hat);
    tb_err err = TB_ERR_INIT;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        tb_tensor *t = quantise(types[i].dtype, &TB_SHAPE(N), x, hat);
        tb_tensor *f = tb_tensor_to_f32(t, &err);
        CHECK_INT(memcmp(tb_tensor_f32(f), hat, N * sizeof *hat), 0);
        const double r = tb_test_relative(tb_tensor_f32(f), x, N);
        printf("     %-8s %.5f\n", tb_dtype_name(types[i].dtype), r);
        CHECK(r > types[i].bound / 8 && r < types[i].bound);
        tb_tensor_unref(&f);
        tb_tensor_unref(&t);
    }
    free(x);
    free(hat);
}

/* --------------------------------------------------------------------------------------- forms */

typedef enum container { SAFETENSORS, GGUF, PTH } container;
typedef enum factors { PLAIN, OLD_SCALE, NEW_SCALE, ROW_SCALE } factors;

typedef struct form {
    container container;
    tb_dtype dtype; /* of matrices; other tensors are f32, or of this type where it is 16 bits */
    factors factors;
    double near; /* relative error against the reference: 1.5 times what was measured */
} form;

enum { MOST = 400 };

/* A file on its way: tensors in their form, and the same in f32. */
typedef struct file {
    int count, hats;
    char *names[MOST], *hat_names[MOST];
    tb_tensor *tensors[MOST], *hat[MOST];
    tb_shape orig[MOST];
} file;

static void add(file *f, const char *name, tb_tensor *t_take)
{
    REQUIRE(f->count < MOST);
    f->names[f->count] = tb_xstrdup(name);
    f->tensors[f->count++] = t_take;
}

static tb_tensor *bytes_tensor(tb_dtype dtype, const tb_shape *shape, const void *data)
{
    tb_err err = TB_ERR_INIT;
    tb_tensor *t = tb_tensor_new(dtype, shape, &err);
    REQUIRE(t);
    memcpy(tb_tensor_data_mut(t), data, tb_tensor_bytes(t));
    return t;
}

/* "X.weight" -> "X" + tail. */
static void add_beside(file *f, const char *weight, const char *tail, tb_tensor *t_take)
{
    char name[200];
    snprintf(name, sizeof name, "%.*s%s", (int)(strlen(weight) - strlen(".weight")), weight, tail);
    add(f, name, t_take);
}

/* fp8 with one factor for all, or one for each row, as ComfyUI's files have them. */
static void add_scaled(file *f, const form *k, const char *name, const tb_shape *shape,
                       const float *x, float *hat)
{
    static const char note[] = "{\"format\": \"float8_e4m3fn\", \"full_precision_matrix_mult\": "
                               "true}";
    const int64_t rows = k->factors == ROW_SCALE ? shape->d[0] : 1;
    const int64_t n = tb_shape_count(shape), each = n / rows;
    float *scaled = tb_xcalloc((size_t)n, sizeof *scaled);
    float *scale = tb_xcalloc((size_t)rows, sizeof *scale);
    for (int64_t r = 0; r < rows; r++) {
        scale[r] = largest(x + r * each, (int)each) / 448;
        for (int64_t i = r * each; i < (r + 1) * each; i++)
            scaled[i] = x[i] / scale[r];
    }
    add(f, name, quantise(k->dtype, shape, scaled, hat));
    for (int64_t i = 0; i < n; i++)
        hat[i] *= scale[i / each];
    const tb_shape one = { .n = 0 }, column = TB_SHAPE(rows, 1);
    add_beside(f, name, k->factors == OLD_SCALE ? ".scale_weight" : ".weight_scale",
               bytes_tensor(TB_F32, k->factors == ROW_SCALE ? &column : &one, scale));
    add_beside(f, name, k->factors == OLD_SCALE ? ".scale_input" : ".input_scale",
               bytes_tensor(TB_F32, &one, &(float){ 17 }));
    if (k->factors != OLD_SCALE)
        add_beside(f, name, ".comfy_quant",
                   bytes_tensor(TB_U8, &TB_SHAPE((int64_t)strlen(note)), note));
    free(scale);
    free(scaled);
}

/* What converters do: matrices are quantised, in another shape where rows are no whole blocks;
 * what fits no blocks, and all else, stays. */
static void add_converted(file *f, const form *k, const char *name, const tb_tensor *t)
{
    const tb_shape *shape = tb_tensor_shape(t);
    const int64_t n = tb_tensor_count(t), block = tb_dtype_block(k->dtype);
    const bool matrix = shape->n == 2 && tb_str_ends(name, ".weight") && n % block == 0;
    const bool half = k->dtype == TB_F16 || k->dtype == TB_BF16;
    const tb_dtype dtype = matrix || half ? k->dtype : TB_F32;
    tb_err err = TB_ERR_INIT;
    tb_tensor *hat = tb_tensor_new(TB_F32, shape, &err);
    REQUIRE(hat);
    f->hat_names[f->hats] = tb_xstrdup(name);
    f->hat[f->hats++] = hat;
    if (matrix && k->factors != PLAIN) {
        add_scaled(f, k, name, shape, tb_tensor_f32(t), tb_tensor_f32_mut(hat));
        return;
    }
    const bool whole = dtype == TB_F32 || half || shape->d[shape->n - 1] % block == 0;
    const tb_shape flat = TB_SHAPE(n / block, block);
    if (!whole)
        f->orig[f->count] = *shape;
    add(f, name, quantise(dtype, whole ? shape : &flat, tb_tensor_f32(t), tb_tensor_f32_mut(hat)));
}

static void write_container(const file *f, container c, const char *arch, const char *path)
{
    tb_err err = TB_ERR_INIT;
    tb_str s = TB_STR_INIT;
    stored t[MOST];
    for (int i = 0; i < f->count; i++)
        t[i] = (stored){ f->names[i],
                         *tb_tensor_shape(f->tensors[i]),
                         tb_tensor_dtype(f->tensors[i]),
                         tb_tensor_data(f->tensors[i]),
                         tb_tensor_bytes(f->tensors[i]),
                         f->orig[i] };
    if (c == SAFETENSORS) {
        CHECK_OK(tb_safetensors_write(path, f->count, (const char *const *)f->names,
                                      (const tb_tensor *const *)f->tensors, NULL, &err));
        return;
    }
    if (c == GGUF)
        gguf_build(&s, arch, t, f->count);
    else
        pth_build(&s, t, f->count, false);
    write_bytes(path, s.s, s.len);
    tb_str_free(&s);
}

typedef const char *(*renaming)(const char *name, char *buf, size_t n);

static const char *same_name(const char *name, char *buf, size_t n)
{
    snprintf(buf, n, "%s", name);
    return buf;
}

static const char *below_diffusion_model(const char *name, char *buf, size_t n)
{
    snprintf(buf, n, "model.diffusion_model.%s", name);
    return buf;
}

/* The golden file in its form to `path`, the f32 of it to `plain`. */
static void convert(const char *golden, const form *k, renaming rename, const char *arch,
                    const char *path, const char *plain)
{
    tb_err err = TB_ERR_INIT;
    tb_safetensors *in = golden_open(golden);
    file *f = tb_xcalloc(1, sizeof *f);
    if (k->factors == OLD_SCALE)
        add(f, "scaled_fp8", bytes_tensor(TB_F8_E4M3, &TB_SHAPE(2), "\0\0"));
    for (int i = 0; i < tb_safetensors_count(in); i++) {
        char name[200];
        tb_tensor *t = golden_f32(in, "%s", tb_safetensors_name(in, i));
        add_converted(f, k, rename(tb_safetensors_name(in, i), name, sizeof name), t);
        tb_tensor_unref(&t);
    }
    write_container(f, k->container, arch, path);
    CHECK_OK(tb_safetensors_write(plain, f->hats, (const char *const *)f->hat_names,
                                  (const tb_tensor *const *)f->hat, NULL, &err));
    for (int i = 0; i < f->count; i++) {
        free(f->names[i]);
        tb_tensor_unref(&f->tensors[i]);
    }
    for (int i = 0; i < f->hats; i++) {
        free(f->hat_names[i]);
        tb_tensor_unref(&f->hat[i]);
    }
    free(f);
    tb_safetensors_close(&in);
}

/* Makes both files, runs both, compares. `run` gives the numbers of a file, to be freed. */
static void check_form(const char *what, const char *golden, const form *k, renaming rename,
                       const char *arch, float *(*run)(const char *path), const tb_tensor *want)
{
    static const char *const files[] = { "form.safetensors", "form.gguf", "form.pth" };
    char *path = in_dir(files[k->container]), *plain = in_dir("plain.safetensors");
    convert(golden, k, rename, arch, path, plain);
    float *got = run(path), *same = run(plain);
    const double r = tb_test_relative(got, tb_tensor_f32(want), tb_tensor_count(want));
    printf("     %s %s %s: %.2g\n", what, files[k->container] + 5, tb_dtype_name(k->dtype), r);
    CHECK_INT(memcmp(got, same, (size_t)tb_tensor_count(want) * sizeof *got), 0);
    if (!(r <= k->near)) {
        fprintf(stderr, "%s in %s %s: relative error %.3g, wanted at most %.3g\n", what,
                files[k->container] + 5, tb_dtype_name(k->dtype), r, k->near);
        tb_test_failures++;
    }
    free(got);
    free(same);
    unlink(path);
    unlink(plain);
    free(path);
    free(plain);
}

static tb_weights *open_weights(const char *path)
{
    tb_err err = TB_ERR_INIT;
    tb_weights *w = tb_weights_open(path, &err);
    if (!w)
        fprintf(stderr, "%s\n", err.message);
    REQUIRE(w);
    return w;
}

/* --------------------------------------------------------------------------------- transformer */

#define DIT "tests/golden/dit_t2v_a"

static float *run_dit(const char *path)
{
    tb_err err = TB_ERR_INIT;
    tb_safetensors *io = golden_open(DIT "_io.safetensors");
    json_t *config = golden_config(io);
    tb_weights *w = open_weights(path);
    CHECK_INT(tb_model_recognise(w), TB_HAS_TRANSFORMER);
    tb_wan_dit *m = tb_wan_dit_open_config(compute, w, config, &err);
    if (!m)
        fprintf(stderr, "%s\n", err.message);
    REQUIRE(m);
    tb_tensor *x = golden_f32(io, "in.x"), *t = golden_f32(io, "in.t");
    tb_tensor *text = golden_f32(io, "in.context0");
    const tb_wan_dit_input in = { .f = tb_tensor_dim(x, 1),
                                  .h = tb_tensor_dim(x, 2),
                                  .w = tb_tensor_dim(x, 3),
                                  .x = tb_tensor_f32(x),
                                  .t = tb_tensor_f32(t),
                                  .t_count = 1,
                                  .text = tb_tensor_f32(text),
                                  .text_rows = tb_tensor_dim(text, 0) };
    float *out = tb_xcalloc((size_t)tb_tensor_count(x), sizeof *out);
    CHECK_OK(tb_wan_dit_run(m, compute, 1, &in, &out, NULL, NULL, NULL, &err));
    tb_wan_dit_close(&m);
    tb_weights_close(&w);
    tb_tensor_unref(&x);
    tb_tensor_unref(&t);
    tb_tensor_unref(&text);
    json_decref(config);
    tb_safetensors_close(&io);
    return out;
}

TEST(the_transformer_runs_from_every_form)
{
    static const form forms[] = {
        { GGUF, TB_F32, PLAIN, 3e-5 },
        { GGUF, TB_F16, PLAIN, 0.0007 },
        { GGUF, TB_BF16, PLAIN, 0.005 },
        { GGUF, TB_Q8_0, PLAIN, 0.013 },
        { GGUF, TB_Q6_K, PLAIN, 0.055 },
        { GGUF, TB_Q5_K, PLAIN, 0.09 },
        { GGUF, TB_Q5_1, PLAIN, 0.085 },
        { GGUF, TB_Q5_0, PLAIN, 0.11 },
        { GGUF, TB_Q4_K, PLAIN, 0.21 },
        { GGUF, TB_Q4_1, PLAIN, 0.2 },
        { GGUF, TB_Q4_0, PLAIN, 0.24 },
        { GGUF, TB_IQ4_NL, PLAIN, 0.2 },
        { GGUF, TB_IQ4_XS, PLAIN, 0.2 },
        { GGUF, TB_Q3_K, PLAIN, 0.38 },
        { GGUF, TB_Q2_K, PLAIN, 0.78 },
        { PTH, TB_F32, PLAIN, 3e-5 },
        { PTH, TB_F16, PLAIN, 0.0007 },
        { SAFETENSORS, TB_F16, PLAIN, 0.0007 },
        { SAFETENSORS, TB_BF16, PLAIN, 0.005 },
        { SAFETENSORS, TB_F8_E4M3, PLAIN, 0.066 },
        { SAFETENSORS, TB_F8_E5M2, PLAIN, 0.12 },
        { SAFETENSORS, TB_F8_E4M3, OLD_SCALE, 0.066 },
        { SAFETENSORS, TB_F8_E4M3, NEW_SCALE, 0.066 },
        { SAFETENSORS, TB_F8_E4M3, ROW_SCALE, 0.066 },
    };
    tb_safetensors *io = golden_open(DIT "_io.safetensors");
    tb_tensor *want = golden_f32(io, "out.cond.0");
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        check_form("transformer", DIT "_orig.safetensors", &forms[i],
                   i % 2 ? below_diffusion_model : same_name, "wan", run_dit, want);
    tb_tensor_unref(&want);
    tb_safetensors_close(&io);
}

/* -------------------------------------------------------------------------------- text encoder */

#define UMT5 "tests/golden/umt5_a"

/* llama.cpp's names. */
static const char *llama_name(const char *name, char *buf, size_t n)
{
    static const char *const parts[][2] = {
        { ".norm1.weight", ".attn_norm.weight" },
        { ".norm2.weight", ".ffn_norm.weight" },
        { ".attn.q.weight", ".attn_q.weight" },
        { ".attn.k.weight", ".attn_k.weight" },
        { ".attn.v.weight", ".attn_v.weight" },
        { ".attn.o.weight", ".attn_o.weight" },
        { ".pos_embedding.embedding.weight", ".attn_rel_b.weight" },
        { ".ffn.gate.0.weight", ".ffn_gate.weight" },
        { ".ffn.fc1.weight", ".ffn_up.weight" },
        { ".ffn.fc2.weight", ".ffn_down.weight" },
    };
    int block = 0;
    snprintf(buf, n, "%s",
             strcmp(name, "norm.weight") == 0 ? "enc.output_norm.weight" : "token_embd.weight");
    if (sscanf(name, "blocks.%d", &block) != 1)
        return buf;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (tb_str_ends(name, parts[i][0]))
            snprintf(buf, n, "enc.blk.%d%s", block, parts[i][1]);
    return buf;
}

static float *run_umt5(const char *path)
{
    tb_err err = TB_ERR_INIT;
    int32_t ids[64];
    tb_safetensors *io = golden_open(UMT5 "_io.safetensors");
    tb_tensor *t = golden_f32(io, "ids.0"), *want = golden_f32(io, "out.0");
    const int64_t n = tb_tensor_dim(want, 0);
    for (int64_t i = 0; i < n; i++)
        ids[i] = (int32_t)tb_tensor_f32(t)[i];
    tb_weights *w = open_weights(path);
    CHECK_INT(tb_model_recognise(w), TB_HAS_TEXT_ENCODER);
    tb_umt5 *m = tb_umt5_open_within(compute, w, 0, &err); /* layer by layer, from the file */
    if (!m)
        fprintf(stderr, "%s\n", err.message);
    REQUIRE(m);
    tb_weights_close(&w);
    float *out = tb_xcalloc((size_t)tb_tensor_count(want), sizeof *out);
    CHECK_OK(tb_umt5_run(m, compute, ids, n, out, NULL, NULL, NULL, &err));
    tb_umt5_close(&m);
    tb_tensor_unref(&t);
    tb_tensor_unref(&want);
    tb_safetensors_close(&io);
    return out;
}

TEST(the_text_encoder_runs_from_every_form)
{
    static const struct {
        form form;
        renaming rename;
    } forms[] = {
        { { GGUF, TB_F32, PLAIN, 3e-5 }, llama_name },
        { { GGUF, TB_F16, PLAIN, 0.0015 }, llama_name },
        { { GGUF, TB_Q8_0, PLAIN, 0.026 }, llama_name },
        { { GGUF, TB_Q6_K, PLAIN, 0.11 }, llama_name },
        { { GGUF, TB_Q5_K, PLAIN, 0.17 }, llama_name },
        { { GGUF, TB_Q4_K, PLAIN, 0.35 }, llama_name },
        { { GGUF, TB_Q3_K, PLAIN, 0.65 }, llama_name },
        { { PTH, TB_BF16, PLAIN, 0.011 }, same_name }, /* as Wan's own is published */
        { { SAFETENSORS, TB_F16, PLAIN, 0.0015 }, same_name },
        { { SAFETENSORS, TB_F8_E4M3, OLD_SCALE, 0.17 }, same_name },
        { { SAFETENSORS, TB_F8_E4M3, NEW_SCALE, 0.17 }, same_name },
    };
    tb_safetensors *io = golden_open(UMT5 "_io.safetensors");
    tb_tensor *want = golden_f32(io, "out.0");
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        check_form("text encoder", UMT5 "_orig.safetensors", &forms[i].form, forms[i].rename,
                   "t5encoder", run_umt5, want);
    tb_tensor_unref(&want);
    tb_safetensors_close(&io);
}

/* ----------------------------------------------------------------------------------------- VAE */

#define VAE "tests/golden/vae_a"

typedef struct video {
    float *x; /* [t][h][w][3] */
    int64_t at;
    int64_t frame; /* numbers */
} video;

static tb_status collect(void *ctx, int64_t first, int64_t count, const float *pixels, tb_err *err)
{
    (void)err;
    video *v = ctx;
    memcpy(v->x + first * v->frame, pixels, (size_t)(count * v->frame) * sizeof *v->x);
    return TB_OK;
}

static float *run_vae(const char *path)
{
    tb_err err = TB_ERR_INIT;
    tb_safetensors *io = golden_open(VAE "_io.safetensors");
    tb_tensor *z = golden_f32(io, "dec.in"), *want = golden_f32(io, "dec.out_raw");
    tb_weights *w = open_weights(path);
    CHECK_INT(tb_model_recognise(w), TB_HAS_VAE);
    tb_wan_vae *m = tb_wan_vae_open_config(compute, w, NULL, &err);
    if (!m)
        fprintf(stderr, "%s\n", err.message);
    REQUIRE(m);
    const int64_t t = tb_tensor_dim(want, 1), plane = tb_tensor_count(want) / (3 * t);
    video v = { .x = tb_xcalloc((size_t)tb_tensor_count(want), sizeof *v.x), .frame = 3 * plane };
    CHECK_OK(tb_wan_vae_decode(m, compute, tb_tensor_f32(z), tb_tensor_dim(z, 1),
                               tb_tensor_dim(z, 2), tb_tensor_dim(z, 3), collect, &v, NULL, &err));
    float *out = tb_xcalloc((size_t)tb_tensor_count(want), sizeof *out);
    for (int64_t i = 0; i < t * plane; i++)
        for (int64_t k = 0; k < 3; k++)
            out[k * t * plane + i] = v.x[3 * i + k];
    free(v.x);
    tb_wan_vae_close(&m);
    tb_weights_close(&w);
    tb_tensor_unref(&z);
    tb_tensor_unref(&want);
    tb_safetensors_close(&io);
    return out;
}

TEST(the_vae_runs_from_every_form)
{
    static const form forms[] = {
        { PTH, TB_F32, PLAIN, 3e-5 }, /* as Wan's own is published */
        { PTH, TB_BF16, PLAIN, 0.017 },        { GGUF, TB_F32, PLAIN, 3e-5 },
        { GGUF, TB_F16, PLAIN, 0.002 },        { SAFETENSORS, TB_BF16, PLAIN, 0.017 },
        { SAFETENSORS, TB_F16, PLAIN, 0.002 },
    };
    tb_safetensors *io = golden_open(VAE "_io.safetensors");
    tb_tensor *want = golden_f32(io, "dec.out_raw");
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        check_form("VAE", VAE "_decoder_orig.safetensors", &forms[i], same_name, "wan", run_vae,
                   want);
    tb_tensor_unref(&want);
    tb_safetensors_close(&io);
}

/* ------------------------------------------------------------------------------------- folders */

/* As the original Wan repositories are published, but for their size: .pth and .gguf beside each
 * other. */
TEST(a_folder_of_mixed_forms_is_a_model)
{
    static const form as_is = { PTH, TB_F32, PLAIN, 0 }, q8 = { GGUF, TB_Q8_0, PLAIN, 0 };
    static const char *const names[] = { "wan2.1-t2v-Q8_0.gguf", "Wan2.1_VAE.pth",
                                         "models_t5_umt5-xxl-enc-bf16.pth", "plain.safetensors" };
    tb_err err = TB_ERR_INIT;
    tb_model_info info;
    char *path[4];
    for (int i = 0; i < 4; i++)
        path[i] = in_dir(names[i]);
    convert(DIT "_orig.safetensors", &q8, same_name, "wan", path[0], path[3]);
    convert(VAE "_decoder_orig.safetensors", &as_is, same_name, "", path[1], path[3]);
    convert(UMT5 "_orig.safetensors", &as_is, same_name, "", path[2], path[3]);
    unlink(path[3]);
    CHECK_OK(tb_model_probe(dir, &info, &err));
    CHECK_STR(info.transformer, path[0]);
    CHECK_STR(info.vae, path[1]);
    CHECK_STR(info.text_encoder, path[2]);
    CHECK_STR(info.family, "Wan T2V");
    CHECK(!info.unreadable);
    tb_model_info_clear(&info);
    json_t *o = tb_model_describe(path[0], &err);
    const json_t *dit = json_object_get(json_object_get(o, "parts"), "transformer");
    CHECK_INT(json_integer_value(json_object_get(json_object_get(dit, "dtypes"), "Q8_0")), 26);
    json_decref(o);
    for (int i = 0; i < 4; i++) {
        unlink(path[i]);
        free(path[i]);
    }
}

int main(int argc, char **argv)
{
    static const struct tb_test tests[] = {
        TEST_CASE(rounding_stays_within_each_type),
        TEST_CASE(the_transformer_runs_from_every_form),
        TEST_CASE(the_text_encoder_runs_from_every_form),
        TEST_CASE(the_vae_runs_from_every_form),
        TEST_CASE(a_folder_of_mixed_forms_is_a_model),
    };
    tb_err err = TB_ERR_INIT;
    compute = tb_compute_new(2, &err);
    REQUIRE(compute);
    const int result = tb_test_main(argc, argv, tests, (int)(sizeof tests / sizeof *tests));
    tb_compute_free(&compute);
    if (*dir)
        rmdir(dir);
    return result;
}
