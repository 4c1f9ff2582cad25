/* test_models_cost.c - floating-point operations against sums written out by hand. */
#include <math.h>

#include "models/models_cost.h"
#include "test.h"

/* Wan2.1's decoder of base width b, layer by layer (arXiv 2503.20314): multiplications. */
static double decoder_by_hand(double b, double z, double f, double h, double w)
{
    const double hw = h * w, k = 27;
    const double f1 = 2 * f - 1, f2 = 4 * f - 3;
    const double p0 = f * hw, p1 = f1 * 4 * hw, p2 = f2 * 16 * hw, p3 = f2 * 64 * hw;
    double sum = k * z * 4 * b * p0; /* conv1 */
    sum += 4 * k * 16 * b * b * p0;  /* the two blocks in the middle */
    sum += (4 * b * 12 * b + 4 * b * 4 * b) * p0 +
           2 * hw * p0 * 4 * b;                              /* the attention between them */
    sum += 6 * k * 16 * b * b * p0 + 3 * 4 * b * 8 * b * p0; /* three blocks, time */
    sum += 9 * 4 * b * 2 * b * p1;                           /* 1/4 */
    sum += (k * 2 * b * 4 * b + 2 * b * 4 * b + 5 * k * 16 * b * b) * p1 + 3 * 4 * b * 8 * b * p1;
    sum += 9 * 4 * b * 2 * b * p2; /* 1/2 */
    sum += 6 * k * 4 * b * b * p2;
    sum += 9 * 2 * b * b * p3; /* full size */
    sum += 6 * k * b * b * p3 + k * b * 3 * p3;
    return sum;
}

/* And its encoder, half of whose output is the variance. */
static double encoder_by_hand(double b, double z, double f, double h, double w)
{
    const double hw = h * w, k = 27;
    const double f1 = 2 * f - 1, f2 = 4 * f - 3;
    const double p3 = f2 * 64 * hw, p2 = f2 * 16 * hw, p1 = f1 * 4 * hw, p0 = f * hw;
    double sum = k * 3 * b * p3 + 4 * k * b * b * p3 + 9 * b * b * p2;
    sum += (k * 2 * b * b + 2 * b * b + 3 * k * 4 * b * b) * p2;  /* 1/2 */
    sum += 9 * 4 * b * b * f2 * 4 * hw + 3 * 4 * b * b * p1;      /* in space, then in time */
    sum += (k * 8 * b * b + 8 * b * b + 3 * k * 16 * b * b) * p1; /* 1/4 */
    sum += 9 * 16 * b * b * f1 * hw + 3 * 16 * b * b * p0;
    sum += 8 * k * 16 * b * b * p0; /* 1/8 and the middle */
    sum += (4 * b * 12 * b + 4 * b * 4 * b) * p0 + 2 * hw * p0 * 4 * b;
    return sum + k * 4 * b * 2 * z * p0;
}

static void check_half(const char *path, bool encode)
{
    tb_err err = TB_ERR_INIT;
    tb_vae_sizes s;
    tb_weights *w = tb_weights_open(path, &err);
    REQUIRE(w && tb_model_vae_sizes(w, &s, &err) == TB_OK);
    const double b = (double)(encode ? s.dim : s.dec_dim), z = (double)s.z;
    const double want = encode ? encoder_by_hand(b, z, 5, 6, 4) : decoder_by_hand(b, z, 5, 6, 4);
    CHECK_NEAR(tb_model_vae_flop(w, encode, 5, 6, 4) / (2 * want), 1, 1e-12);
    tb_weights_close(&w);
}

TEST(the_vae_in_both_namings)
{
    check_half("tests/golden/vae_a_decoder_orig.safetensors", false);
    check_half("tests/golden/vae_a_decoder_diffusers.safetensors", false);
    check_half("tests/golden/vae_a_encoder_orig.safetensors", true);
    check_half("tests/golden/vae_a_encoder_diffusers.safetensors", true);
    /* the public one, 17 frames of 256x256: measured elsewhere as about 9.6 TFLOP */
    CHECK_NEAR(2 * decoder_by_hand(96, 16, 5, 32, 32) / 1e12, 9.6, 0.1);
}

/* Wan2.1 1.3B, 1280 tokens: 125.6 GFLOP a block, of which the text's keys and values are 4.8. */
TEST(a_block_of_the_transformer)
{
    tb_dit_sizes s = { .dim = 1536, .ffn_dim = 8960, .layers = 30, .text_len = 512 };
    const double all = tb_model_dit_flop(&s, 5, 32, 32);
    CHECK_NEAR(all / 30 / 1e9, 125.6 - 4.8, 0.3);
    s.layers = 1;
    CHECK_NEAR(tb_model_dit_flop(&s, 5, 32, 32) * 30 / all, 1, 1e-12);
}

/* UMT5-XXL: 24 layers of width 4096, 64 heads of 64, feed-forward 10240. */
TEST(the_text_encoder)
{
    const tb_umt5_config k = { .dim = 4096, .heads = 64, .d_kv = 64, .d_ff = 10240, .layers = 24 };
    const double weights = 24 * (4 * 4096.0 * 4096 + 3 * 4096.0 * 10240);
    CHECK_NEAR(tb_model_text_flop(&k, 512), 2 * 512 * (weights + 24 * 2 * 512 * 4096.0), 1);
}

int main(int argc, char **argv)
{
    static const struct tb_test tests[] = {
        TEST_CASE(the_vae_in_both_namings),
        TEST_CASE(a_block_of_the_transformer),
        TEST_CASE(the_text_encoder),
    };
    return tb_test_main(argc, argv, tests, (int)(sizeof tests / sizeof *tests));
}
