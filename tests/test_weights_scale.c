/* test_weights_scale.c - factors beside fp8 weights: which belong together, and what is refused. */
#include <unistd.h>

#include "containers.h"
#include "formats/safetensors.h"
#include "formats/weights.h"

static char dir[64], path[96];

static void use_dir(void)
{
    snprintf(dir, sizeof dir, "/tmp/tubelet-test-XXXXXX");
    REQUIRE(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/w.safetensors", dir);
}

static void remove_dir(void)
{
    unlink(path);
    CHECK_INT(rmdir(dir), 0);
}

typedef struct entry {
    const char *name;
    tb_dtype dtype;
    tb_shape shape;
    const void *data;
} entry;

static const uint8_t codes[] = { 0x38, 0x40, 0x44, 0x48 }; /* 1, 2, 3, 4 in E4M3 */
static const float two = 2, pair[] = { 2, 10 };

#define WEIGHT "blocks.0.ffn.0.weight", TB_F8_E4M3, TB_SHAPE(2, 2), codes
/* clang-format off */
#define ONE { .n = 0 }
/* clang-format on */

static tb_weights *open_entries(const entry *e, int count, tb_err *err)
{
    tb_tensor *t[8] = { 0 };
    const char *names[8] = { 0 };
    REQUIRE(count <= 8);
    for (int i = 0; i < count; i++) {
        t[i] = tb_tensor_new(e[i].dtype, &e[i].shape, err);
        REQUIRE(t[i]);
        memcpy(tb_tensor_data_mut(t[i]), e[i].data, tb_tensor_bytes(t[i]));
        names[i] = e[i].name;
    }
    CHECK_INT(tb_safetensors_write(path, count, names, (const tb_tensor *const *)t, NULL, err),
              TB_OK);
    for (int i = 0; i < count; i++)
        tb_tensor_unref(&t[i]);
    return tb_weights_open(path, err);
}

static void check_values(const entry *e, int count, const float want[4])
{
    tb_err err = TB_ERR_INIT;
    tb_weights *w = open_entries(e, count, &err);
    if (!w)
        fprintf(stderr, "%s\n", err.message);
    REQUIRE(w);
    CHECK_INT(tb_weights_count(w), 1); /* factors are no weights */
    CHECK_STR(tb_weights_name(w, 0), "blocks.0.ffn.0.weight");
    const tb_tensor *t = tb_weights_get(w, "blocks.0.ffn.0.weight", &err);
    float got[4];
    REQUIRE(t);
    tb_tensor_read_f32(t, 0, 4, got);
    for (int i = 0; i < 4; i++)
        CHECK_NEAR(got[i], want[i], 0);
    tb_weights_close(&w);
}

TEST(all_spellings_of_factors_find_their_weight)
{
    static const char note[] = "{\"format\":\"float8_e4m3fn\"}";
    static const float plain[] = { 1, 2, 3, 4 }, twice[] = { 2, 4, 6, 8 },
                       rows[] = { 2, 4, 30, 40 };
    use_dir();
    check_values(&(entry){ WEIGHT }, 1, plain);
    check_values((const entry[]){ { WEIGHT },
                                  { "blocks.0.ffn.0.scale_weight", TB_F32, ONE, &two },
                                  { "blocks.0.ffn.0.scale_input", TB_F32, ONE, &pair[1] },
                                  { "scaled_fp8", TB_F8_E4M3, TB_SHAPE(2), codes } },
                 4, twice);
    check_values((const entry[]){ { "blocks.0.ffn.0.weight_scale", TB_F32, TB_SHAPE(1), &two },
                                  { "blocks.0.ffn.0.input_scale", TB_F32, ONE, &pair[1] },
                                  { "blocks.0.ffn.0.comfy_quant", TB_U8,
                                    TB_SHAPE((int64_t)sizeof note - 1), note },
                                  { WEIGHT } },
                 4, twice);
    check_values((const entry[]){ { "blocks.0.ffn.0.weight_scale", TB_F32, TB_SHAPE(2, 1), pair },
                                  { WEIGHT } },
                 2, rows);
    /* below a prefix */
    check_values(
        (const entry[]){
            { "model.diffusion_model.blocks.0.ffn.0.weight", TB_F8_E4M3, TB_SHAPE(2, 2), codes },
            { "model.diffusion_model.blocks.0.ffn.0.scale_weight", TB_F32, ONE, &two },
            { "model.diffusion_model.scaled_fp8", TB_F8_E4M3, TB_SHAPE(2), codes },
            { "text_encoders.umt5xxl.transformer.scaled_fp8", TB_F8_E4M3, TB_SHAPE(2), codes } },
        4, twice);
    remove_dir();
}

static void check_refused(const entry *e, int count, const char *want)
{
    tb_err err = TB_ERR_INIT;
    tb_weights *w = open_entries(e, count, &err);
    CHECK(!w);
    CHECK_STR(err.message + strlen(path) + 2, want);
    tb_weights_close(&w);
}

TEST(what_is_quantised_otherwise_is_refused)
{
    static const char nvfp4[] = "{\"format\":\"nvfp4\"}";
    static const char rotated[] = "{\"format\":\"float8_e4m3fn\",\"convrot\":true}";
    use_dir();
    check_refused((const entry[]){ { "a.scale_weight", TB_F32, ONE, &two }, { WEIGHT } }, 2,
                  ": 'a.scale_weight' scales no weight: there is no tensor 'a.weight'");
    check_refused(
        (const entry[]){ { "blocks.0.ffn.0.weight_scale", TB_U8, TB_SHAPE(1, 4), codes },
                         { WEIGHT } },
        2,
        ": 'blocks.0.ffn.0.weight_scale' does not fit its weight: a tensor of shape [2,2] "
        "cannot have factors of shape [1,4]");
    check_refused((const entry[]){ { WEIGHT },
                                   { "blocks.0.ffn.0.weight_scale", TB_F32, ONE, &two },
                                   { "blocks.0.ffn.0.scale_weight", TB_F32, ONE, &two } },
                  3,
                  ": 'blocks.0.ffn.0.scale_weight' does not fit its weight: a tensor of shape "
                  "[2,2] cannot have more factors of shape []");
    check_refused((const entry[]){ { "a.weight", TB_I8, TB_SHAPE(2, 2), codes },
                                   { "a.weight_scale", TB_F32, ONE, &two } },
                  2,
                  ": the weights of 'a.weight' are quantised as integers (int8, nvfp4, ...), "
                  "which is not supported; take the model in bf16, fp16, fp8 or GGUF");
    check_refused(
        (const entry[]){ { "a.comfy_quant", TB_U8, TB_SHAPE((int64_t)sizeof nvfp4 - 1), nvfp4 } },
        1,
        ": the weights of 'a' are quantised as nvfp4, which is not supported; take "
        "the model in bf16, fp16, fp8 or GGUF");
    check_refused((const entry[]){ { "a.comfy_quant", TB_U8, TB_SHAPE((int64_t)sizeof rotated - 1),
                                     rotated } },
                  1,
                  ": the weights of 'a' are quantised as rotated fp8 (convrot), which is not "
                  "supported; take the model in bf16, fp16, fp8 or GGUF");
    check_refused((const entry[]){ { "a.comfy_quant", TB_F8_E4M3, TB_SHAPE(4), codes } }, 1,
                  ": the weights of 'a' are quantised as something unnamed, which is not "
                  "supported; take the model in bf16, fp16, fp8 or GGUF");
    remove_dir();
}

int main(int argc, char **argv)
{
    static const struct tb_test tests[] = {
        TEST_CASE(all_spellings_of_factors_find_their_weight),
        TEST_CASE(what_is_quantised_otherwise_is_refused),
    };
    return tb_test_main(argc, argv, tests, (int)(sizeof tests / sizeof *tests));
}
