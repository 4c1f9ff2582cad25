/* test_compute_weights.c - linears whose weights are kept in f16, bf16 or int8. */
#include "compute/cpu/int8.h"
#include "compute/tensor_numbers.h"
#include "compute_ref.h"

/* Any finite bits. */
static tb_tensor *bits_tensor(tb_dtype dtype, const tb_shape *shape, uint32_t seed)
{
    tb_err err = TB_ERR_INIT;
    tb_tensor *t = tb_tensor_new(dtype, shape, &err);
    REQUIRE(t);
    uint16_t *p = tb_tensor_data_mut(t);
    const unsigned exponent = dtype == TB_F16 ? 0x7c00 : 0x7f80;
    for (int64_t i = 0; i < tb_tensor_count(t); i++) {
        seed = seed * 1664525u + 1013904223u;
        p[i] = (uint16_t)(seed >> 16);
        if ((p[i] & exponent) == exponent)
            p[i] &= 0x83ff;
        if (dtype == TB_BF16) /* sums must not overflow */
            p[i] = (uint16_t)((p[i] & 0x87ff) | 0x3000);
    }
    return t;
}

static void check_half(tb_compute *c, tb_dtype dtype, int64_t rows, int64_t in, int64_t a,
                       int64_t b)
{
    tb_err err = TB_ERR_INIT;
    const int64_t out = a + b;
    tb_tensor *w[2] = { bits_tensor(dtype, &TB_SHAPE(a, in), 1),
                        bits_tensor(dtype, &TB_SHAPE(b, in), 2) };
    tb_tensor *f[2] = { tb_tensor_to_f32(w[0], &err), tb_tensor_to_f32(w[1], &err) };
    tb_linear *half = tb_linear_join(c, 2, (const tb_tensor *const *)w, NULL, &err),
              *full = tb_linear_join(c, 2, (const tb_tensor *const *)f, NULL, &err);
    REQUIRE(half && full);
    CHECK_INT(2 * tb_linear_bytes(half), tb_linear_bytes(full));
    float *x = normals(rows * in, 3), *got = normals(rows * out, 4), *want = normals(rows * out, 5);
    tb_linear_run(c, half, x, rows, in, got, out, NULL);
    tb_linear_run(c, full, x, rows, in, want, out, NULL);
    CHECK(memcmp(got, want, (size_t)(rows * out) * sizeof *got) == 0);
    for (int i = 0; i < 2; i++) {
        tb_tensor_unref(&w[i]);
        tb_tensor_unref(&f[i]);
    }
    tb_linear_free(&half);
    tb_linear_free(&full);
    free(x);
    free(got);
    free(want);
}

static void halves(tb_compute *c)
{
    static const tb_dtype dtypes[] = { TB_F16, TB_BF16 };
    for (int i = 0; i < 2; i++) {
        check_half(c, dtypes[i], 1, 1, 1, 1);
        check_half(c, dtypes[i], 9, 65, 7, 65);
        check_half(c, dtypes[i], 17, 33, 32, 9);
        check_half(c, dtypes[i], 230, 2100, 40, 60);
    }
}

TEST(weights_of_16_bits_give_what_the_same_values_in_f32_give)
{
    for_each_compute(halves);
}

/* --------------------------------------------------------------------------------------- int8 */

static void check_tile(const tbi_int8_kernels *k, int rows, int64_t fours)
{
    enum { NR = TBI_INT8_NR };
    const int64_t lda = (4 * fours + 63) / 64 * 64;
    uint8_t *a = malloc((size_t)(16 * lda));
    int8_t *w = malloc((size_t)(fours * 4 * NR));
    float row_scale[16], col_scale[NR], got[16 * NR] = { 0 }, want[16 * NR] = { 0 };
    int32_t minus[NR] = { 0 };
    uint32_t seed = 7;
    REQUIRE(a && w);
    for (int64_t i = 0; i < 16 * lda; i++, seed = seed * 1664525u + 1013904223u)
        a[i] = (uint8_t)(seed % 5 == 0 ? 255 : 1 + (seed >> 8) % 255);
    for (int64_t i = 0; i < fours * 4 * NR; i++, seed = seed * 1664525u + 1013904223u) {
        w[i] = (int8_t)(seed % 5 == 0 ? -127 : (int)((seed >> 8) % 255) - 127);
        minus[i / 4 % NR] += 128 * w[i];
    }
    for (int i = 0; i < 16; i++)
        row_scale[i] = 0.01f * (float)(i + 1);
    for (int i = 0; i < NR; i++)
        col_scale[i] = 0.003f * (float)(i + 1);
    tbi_int8_tile t = { .rows = rows,
                        .fours = fours,
                        .a = a,
                        .lda = lda,
                        .panel = w,
                        .minus = minus,
                        .row_scale = row_scale,
                        .col_scale = col_scale,
                        .ahead = w,
                        .acc = got };
    k->tile(&t);
    t.acc = want;
    tbi_int8_plain.tile(&t);
    CHECK(memcmp(got, want, sizeof got) == 0);
    free(a);
    free(w);
}

TEST(int8_sums_are_the_same_integers_in_every_set)
{
    static const char *const names[] = { "plain", "avx2", "vnni" };
    for (int i = 0; i < 3; i++) {
        const tbi_int8_kernels *k = tbi_cpu_int8_named(names[i]);
        for (int rows = 1; k && rows <= k->mr; rows++) {
            check_tile(k, rows, 1);
            check_tile(k, rows, 17);
            check_tile(k, rows, 3456); /* 13824: the widest of Wan 14B */
        }
    }
    CHECK(!tbi_cpu_int8_named("amx"));
}

typedef struct int8_case {
    int64_t rows, in, out;
    tb_tensor *w, *b;
    float *x, *want; /* of the plain set */
} int8_case;

static int8_case *now;

static float *run_int8(tb_compute *c, const int8_case *k)
{
    tb_err err = TB_ERR_INIT;
    const tb_tensor *w = k->w, *b = k->b;
    tb_linear *l = tb_linear_join_int8(c, 1, &w, &b, &err);
    REQUIRE(l);
    CHECK_INT(tb_linear_in(l), k->in);
    CHECK_INT(tb_linear_out(l), k->out);
    float *y = normals(k->rows * k->out, 9);
    tb_linear_run(c, l, k->x, k->rows, k->in, y, k->out, NULL);
    tb_linear_free(&l);
    return y;
}

static void same_as_plain(tb_compute *c)
{
    const size_t bytes = (size_t)(now->rows * now->out) * sizeof(float);
    float *y = run_int8(c, now);
    CHECK(memcmp(y, now->want, bytes) == 0);
    free(y);
    c->rows8_bytes = 3 * ((now->in + 63) / 64 * 64 + 4); /* turns of three rows */
    y = run_int8(c, now);
    CHECK(memcmp(y, now->want, bytes) == 0);
    free(y);
}

/* Against the product in double: the error of rounding to 1/127 of the largest. */
static void check_int8(int64_t rows, int64_t in, int64_t out, tb_dtype dtype)
{
    tb_err err = TB_ERR_INIT;
    tb_tensor *w = dtype == TB_F32 ? normal_tensor(&TB_SHAPE(out, in), 1)
                                   : bits_tensor(dtype, &TB_SHAPE(out, in), 1);
    tb_tensor *f = tb_tensor_to_f32(w, &err);
    int8_case k = {
        rows, in, out, w, normal_tensor(&TB_SHAPE(out), 2), normals(rows * in, 3), NULL
    };
    tb_compute *plain = tbi_compute_new_with(&tbi_kernels_plain, 1, &err);
    REQUIRE(f && plain);
    float *exact = normals(rows * out, 4);
    for (int64_t r = 0; r < rows; r++)
        for (int64_t o = 0; o < out; o++) {
            double s = (double)tb_tensor_f32(k.b)[o];
            for (int64_t i = 0; i < in; i++)
                s += (double)k.x[r * in + i] * (double)tb_tensor_f32(f)[o * in + i];
            exact[r * out + o] = (float)s;
        }
    k.want = run_int8(plain, &k);
    CHECK_NEAR(tb_test_relative(k.want, exact, rows * out), 0, 0.02);
    now = &k;
    for_each_compute(same_as_plain);
    tb_compute_free(&plain);
    tb_tensor_unref(&k.w);
    tb_tensor_unref(&k.b);
    tb_tensor_unref(&f);
    free(k.x);
    free(k.want);
    free(exact);
}

TEST(int8_linears_are_near_and_the_same_bytes_in_every_set)
{
    check_int8(1, 1, 1, TB_F32);
    check_int8(9, 65, 33, TB_F32);
    check_int8(31, 192, 70, TB_F32);
    check_int8(16, 100, 32, TB_F16);
    check_int8(16, 100, 31, TB_BF16);
    check_int8(115, 520, 64, TB_F32);
}

static void strange_rows(tb_compute *c)
{
    enum { IN = 20, OUT = 5, ROWS = 4 };
    const float strange[] = { NAN, INFINITY };
    for (int i = 0; i < 2; i++) {
        int8_case k = { ROWS,
                        IN,
                        OUT,
                        normal_tensor(&TB_SHAPE(OUT, IN), 1),
                        normal_tensor(&TB_SHAPE(OUT), 2),
                        normals(ROWS * IN, 3),
                        NULL };
        k.x[IN + 3] = strange[i];
        memset(k.x + 2 * IN, 0, IN * sizeof *k.x);
        float *y = run_int8(c, &k);
        for (int o = 0; o < OUT; o++) {
            CHECK(isfinite(y[o]) && isnan(y[OUT + o]) && isfinite(y[3 * OUT + o]));
            CHECK(y[2 * OUT + o] == tb_tensor_f32(k.b)[o]);
        }
        tb_tensor_unref(&k.w);
        tb_tensor_unref(&k.b);
        free(k.x);
        free(y);
    }
}

TEST(int8_rows_of_zeros_give_the_bias_and_nan_stays_in_its_row)
{
    for_each_compute(strange_rows);
}

int main(int argc, char **argv)
{
    static const struct tb_test tests[] = {
        TEST_CASE(weights_of_16_bits_give_what_the_same_values_in_f32_give),
        TEST_CASE(int8_sums_are_the_same_integers_in_every_set),
        TEST_CASE(int8_linears_are_near_and_the_same_bytes_in_every_set),
        TEST_CASE(int8_rows_of_zeros_give_the_bias_and_nan_stays_in_its_row),
    };
    return tb_test_main(argc, argv, tests, (int)(sizeof tests / sizeof *tests));
}
