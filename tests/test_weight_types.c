/* test_weight_types.c - every storage type that weights come in, as f32: against its definition,
 * in pieces, with scales. */
#include "compute/tensor.h"
#include "golden.h"

static const tb_dtype blocks[] = { TB_Q4_0, TB_Q4_1, TB_Q5_0, TB_Q5_1, TB_Q8_0,   TB_Q2_K,
                                   TB_Q3_K, TB_Q4_K, TB_Q5_K, TB_Q6_K, TB_IQ4_NL, TB_IQ4_XS };
enum { BLOCKS = sizeof blocks / sizeof *blocks };

/* The bytes of the golden file as a tensor [4][n/4] of their kind. New references. */
static tb_tensor *block_tensor(const tb_safetensors *f, tb_dtype dtype, tb_tensor **values)
{
    tb_err err = TB_ERR_INIT;
    char name[32];
    snprintf(name, sizeof name, "%s.bytes", tb_dtype_name(dtype));
    tb_tensor *bytes = tb_safetensors_get(f, name, &err);
    REQUIRE(bytes);
    *values = golden_f32(f, "%s.values", tb_dtype_name(dtype));
    tb_tensor *t = tb_tensor_new(dtype, &TB_SHAPE(4, tb_tensor_count(*values) / 4), &err);
    REQUIRE(t && tb_tensor_bytes(t) == tb_tensor_bytes(bytes));
    memcpy(tb_tensor_data_mut(t), tb_tensor_data(bytes), tb_tensor_bytes(bytes));
    tb_tensor_unref(&bytes);
    return t;
}

static tb_safetensors *open_blocks(void)
{
    return golden_open("tests/golden/ggml_blocks.safetensors"); /* made by tests/golden_blocks.py */
}

TEST(blocks_mean_what_their_definition_says)
{
    tb_err err = TB_ERR_INIT;
    tb_safetensors *f = open_blocks();
    for (int k = 0; k < BLOCKS; k++) {
        tb_tensor *want, *t = block_tensor(f, blocks[k], &want), *got = tb_tensor_to_f32(t, &err);
        REQUIRE(got);
        int wrong = 0;
        for (int64_t i = 0; i < tb_tensor_count(want); i++)
            wrong += memcmp(tb_tensor_f32(got) + i, tb_tensor_f32(want) + i, 4) != 0;
        if (wrong)
            fprintf(stderr, "%s: %d of %lld numbers are wrong\n", tb_dtype_name(blocks[k]), wrong,
                    (long long)tb_tensor_count(want));
        CHECK_INT(wrong, 0); /* to the last bit */
        tb_tensor_unref(&got);
        tb_tensor_unref(&t);
        tb_tensor_unref(&want);
    }
    tb_safetensors_close(&f);
}

TEST(any_part_of_a_tensor_is_read)
{
    tb_safetensors *f = open_blocks();
    for (int k = 0; k < BLOCKS; k++) {
        tb_tensor *want, *t = block_tensor(f, blocks[k], &want);
        const int64_t n = tb_tensor_count(t), starts[] = { 0, 1, 31, 32, 255, 256, 300, n };
        for (size_t a = 0; a < sizeof starts / sizeof *starts; a++)
            for (size_t b = a; b < sizeof starts / sizeof *starts; b++) {
                const int64_t count = starts[b] - starts[a];
                float *got = tb_xcalloc((size_t)count + 1, sizeof *got);
                got[count] = 42;
                tb_tensor_read_f32(t, starts[a], count, got);
                CHECK_INT(memcmp(got, tb_tensor_f32(want) + starts[a], (size_t)count * 4), 0);
                CHECK(got[count] == 42); /* nothing beyond */
                free(got);
            }
        tb_tensor_unref(&t);
        tb_tensor_unref(&want);
    }
    tb_safetensors_close(&f);
}

/* All halves against their definition (IEEE 754, 3.4) in doubles. */
TEST(all_halves_are_right)
{
    tb_err err = TB_ERR_INIT;
    tb_tensor *t = tb_tensor_new(TB_F16, &TB_SHAPE(65536), &err);
    uint16_t *p = tb_tensor_data_mut(t);
    int wrong = 0;
    for (int c = 0; c < 65536; c++)
        p[c] = (uint16_t)c;
    tb_tensor *f = tb_tensor_to_f32(t, &err);
    for (int c = 0; c < 65536; c++) {
        const int exp = c >> 10 & 31, man = c & 1023;
        const double got = (double)tb_tensor_f32(f)[c], sign = c & 0x8000 ? -1 : 1;
        const double want = sign * (exp == 31  ? (double)INFINITY
                                    : exp == 0 ? ldexp(man, -24)
                                               : ldexp(1024 + man, exp - 25));
        if (exp == 31 && man)
            wrong += !isnan(got);
        else
            wrong += got != want || !signbit(got) != !signbit(want);
    }
    CHECK_INT(wrong, 0);
    tb_tensor_unref(&f);
    tb_tensor_unref(&t);
}

/* One code from the words of arXiv 2209.05433, table 1, in doubles. */
static double fp8_value(int code, int exp_bits, int bias, bool infinities)
{
    const int man_bits = 7 - exp_bits, man = code & ((1 << man_bits) - 1);
    const int exp = code >> man_bits & ((1 << exp_bits) - 1), top = (1 << exp_bits) - 1;
    const double sign = code & 0x80 ? -1 : 1, part = (double)man / (1 << man_bits);
    if (infinities && exp == top)
        return man ? (double)NAN : sign * (double)INFINITY;
    if (!infinities && exp == top && man == (1 << man_bits) - 1)
        return (double)NAN;
    return sign * (exp ? (1 + part) * pow(2, exp - bias) : part * pow(2, 1 - bias));
}

static void check_fp8(tb_dtype dtype, int exp_bits, int bias, bool infinities)
{
    tb_err err = TB_ERR_INIT;
    tb_tensor *t = tb_tensor_new(dtype, &TB_SHAPE(256), &err);
    uint8_t *p = tb_tensor_data_mut(t);
    for (int c = 0; c < 256; c++)
        p[c] = (uint8_t)c;
    tb_tensor *f = tb_tensor_to_f32(t, &err);
    for (int c = 0; c < 256; c++) {
        const double got = (double)tb_tensor_f32(f)[c];
        const double want = fp8_value(c, exp_bits, bias, infinities);
        if (isnan(want) ? !isnan(got) : got != want || signbit(got) != signbit(want)) {
            fprintf(stderr, "%s %02x: %g, wanted %g\n", tb_dtype_name(dtype), (unsigned)c, got,
                    want);
            tb_test_failures++;
        }
    }
    tb_tensor_unref(&f);
    tb_tensor_unref(&t);
}

TEST(all_codes_of_fp8_are_right)
{
    check_fp8(TB_F8_E4M3, 4, 7, false);
    check_fp8(TB_F8_E5M2, 5, 15, true);
}

/* -------------------------------------------------------------------------------------- scales */

static tb_tensor *of_floats(const tb_shape *shape, const float *values)
{
    tb_err err = TB_ERR_INIT;
    tb_tensor *t = tb_tensor_new(TB_F32, shape, &err);
    REQUIRE(t);
    memcpy(tb_tensor_f32_mut(t), values, tb_tensor_bytes(t));
    return t;
}

/* [2][3] of 1, 2, ... 6 in fp8: exact there. */
static tb_tensor *one_to_six(tb_dtype dtype)
{
    static const uint8_t e4m3[] = { 0x38, 0x40, 0x44, 0x48, 0x4a, 0x4c };
    tb_err err = TB_ERR_INIT;
    if (dtype == TB_F32)
        return of_floats(&TB_SHAPE(2, 3), (const float[]){ 1, 2, 3, 4, 5, 6 });
    tb_tensor *t = tb_tensor_new(dtype, &TB_SHAPE(2, 3), &err);
    memcpy(tb_tensor_data_mut(t), e4m3, sizeof e4m3);
    return t;
}

static void check_scaled(tb_dtype dtype, const tb_shape *shape, const float *factors,
                         const float *want)
{
    tb_err err = TB_ERR_INIT;
    tb_tensor *t = one_to_six(dtype), *scale = of_floats(shape, factors);
    tb_tensor *s = tb_tensor_scaled(t, scale, &err);
    REQUIRE(s);
    tb_tensor *v = tb_tensor_view(s, &TB_SHAPE(6), &err); /* a view keeps the scale */
    tb_tensor *got = tb_tensor_to_f32(v, &err);
    for (int i = 0; i < 6; i++)
        CHECK_NEAR(tb_tensor_f32(got)[i], want[i], 0);
    float two[2];
    tb_tensor_read_f32(s, 2, 2, two);
    CHECK_NEAR(two[0], want[2], 0);
    CHECK_NEAR(two[1], want[3], 0);
    tb_tensor **const all[] = { &t, &scale, &s, &v, &got };
    for (int i = 0; i < 5; i++)
        tb_tensor_unref(all[i]);
}

TEST(scales_multiply_whole_tensors_or_rows)
{
    static const float half[] = { 0.5f, 1, 1.5f, 2, 2.5f, 3 }, rows[] = { 2, 4, 6, -4, -5, -6 };
    static const tb_dtype dtypes[] = { TB_F32, TB_F8_E4M3 };
    for (int i = 0; i < 2; i++) {
        check_scaled(dtypes[i], &TB_SHAPE(1), (const float[]){ 0.5f }, half);
        check_scaled(dtypes[i], &(tb_shape){ .n = 0 }, (const float[]){ 0.5f }, half);
        check_scaled(dtypes[i], &TB_SHAPE(2, 1), (const float[]){ 2, -1 }, rows);
    }
}

TEST(scales_that_do_not_fit_are_refused)
{
    tb_err err = TB_ERR_INIT;
    tb_tensor *t = one_to_six(TB_F8_E4M3), *one = of_floats(&TB_SHAPE(1), (const float[]){ 2 });
    tb_tensor *three = of_floats(&TB_SHAPE(3), (const float[]){ 1, 2, 3 });
    CHECK(!tb_tensor_scaled(t, three, &err));
    CHECK_STR(err.message, "a tensor of shape [2,3] cannot have factors of shape [3]");
    tb_tensor *s = tb_tensor_scaled(t, one, &err);
    tb_err_clear(&err);
    CHECK(!tb_tensor_scaled(s, one, &err));
    CHECK_STR(err.message, "a tensor of shape [2,3] cannot have more factors of shape [1]");
    tb_tensor **const all[] = { &t, &one, &three, &s };
    for (int i = 0; i < 4; i++)
        tb_tensor_unref(all[i]);
}

TEST(blocks_must_be_whole)
{
    tb_err err = TB_ERR_INIT;
    CHECK(!tb_tensor_new(TB_Q4_0, &TB_SHAPE(3, 5), &err));
    CHECK_STR(err.message, "a tensor of shape [3,5] and dtype Q4_0 is not possible");
    CHECK_INT(tb_dtype_parse("Q4_0"), -1); /* never of a message or a stored result */
    CHECK_INT(tb_dtype_parse("F8_E5M2"), TB_F8_E5M2);
}

int main(int argc, char **argv)
{
    static const struct tb_test tests[] = {
        TEST_CASE(blocks_mean_what_their_definition_says),
        TEST_CASE(any_part_of_a_tensor_is_read),
        TEST_CASE(all_halves_are_right),
        TEST_CASE(all_codes_of_fp8_are_right),
        TEST_CASE(scales_multiply_whole_tensors_or_rows),
        TEST_CASE(scales_that_do_not_fit_are_refused),
        TEST_CASE(blocks_must_be_whole),
    };
    return tb_test_main(argc, argv, tests, (int)(sizeof tests / sizeof *tests));
}
