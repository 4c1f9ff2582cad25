/* test_compute_conv.c - attention and convolution against naive loops in double. */
#include "compute_ref.h"

/* -------------------------------------------------------------------------------- attention */

typedef struct attention_case {
    int64_t nq, nk, heads, d;
    bool bias;
    float last;
} attention_case;

static void ref_attention(const tb_attention *a, const float *q, const float *k, const float *v,
                          float *out)
{
    double *p = malloc((size_t)a->nk * sizeof *p);
    for (int64_t h = 0; h < a->heads; h++) {
        for (int64_t i = 0; i < a->nq; i++) {
            double max = -INFINITY, sum = 0;
            for (int64_t j = 0; j < a->nk; j++) {
                p[j] = 0;
                for (int64_t e = 0; e < a->d; e++)
                    p[j] +=
                        (double)q[i * a->ldq + h * a->d + e] * (double)k[j * a->ldk + h * a->d + e];
                p[j] *= (double)a->scale;
                if (a->bias_rel)
                    p[j] +=
                        (double)a->bias_rel[h * (2 * a->bias_nmax - 1) + j - i + a->bias_nmax - 1];
                max = fmax(max, p[j]);
            }
            for (int64_t j = 0; j < a->nk; j++) {
                p[j] = exp(p[j] - max) *
                       (j == a->nk - 1 && a->last_key_count > 0 ? (double)a->last_key_count : 1);
                sum += p[j];
            }
            for (int64_t e = 0; e < a->d; e++) {
                double s = 0;
                for (int64_t j = 0; j < a->nk; j++)
                    s += p[j] * (double)v[j * a->ldv + h * a->d + e];
                out[i * a->ldo + h * a->d + e] = (float)(s / sum);
            }
        }
    }
    free(p);
}

static void check_attention(tb_compute *c, attention_case t)
{
    const int64_t width = t.heads * t.d, nmax = (t.nq > t.nk ? t.nq : t.nk) + 3;
    tb_attention a = { .nq = t.nq,
                       .nk = t.nk,
                       .heads = t.heads,
                       .d = t.d,
                       .ldq = width + 1,
                       .ldk = width + 2,
                       .ldv = width + 3,
                       .ldo = width,
                       .scale = 0.7f,
                       .last_key_count = t.last };
    float *q = normals(t.nq * a.ldq, 1), *k = normals(t.nk * a.ldk, 2),
          *v = normals(t.nk * a.ldv, 3), *bias = normals(t.heads * (2 * nmax - 1), 4),
          *got = normals(t.nq * width, 5), *want = normals(t.nq * width, 6);
    if (t.bias) {
        a.bias_rel = bias;
        a.bias_nmax = nmax;
    }
    ref_attention(&a, q, k, v, want);
    tb_attention_run(c, &a, q, k, v, got);
    /* scores of some tens: exp turns their rounding into several times 1e-7 */
    CHECK_NEAR(tb_test_relative(got, want, t.nq * width), 0, 4e-6);
    free(q);
    free(k);
    free(v);
    free(bias);
    free(got);
    free(want);
}

static void attentions(tb_compute *c)
{
    const int64_t odd[] = { 1, 7, 8, 9, 65 };
    for (int i = 0; i < 5; i++) {
        for (int j = 0; j < 5; j++)
            check_attention(c, (attention_case){ odd[i], odd[j], 3, odd[(i + j) % 5], i % 2 == 0,
                                                 j % 2 ? 0 : 5 });
    }
    check_attention(c, (attention_case){ 80, 80, 6, 32, false, 0 });
    check_attention(c, (attention_case){ 130, 600, 1, 40, true, 17 });
    check_attention(c, (attention_case){ 20, 300, 1, 384, false, 0 });
}

TEST(attention_matches_the_full_softmax)
{
    for_each_compute(attentions);
}

static void nan_key(tb_compute *c)
{
    float *q = normals(3 * 8, 1), *k = normals(40 * 8, 2), *v = normals(40 * 8, 3), out[24];
    k[5 * 8 + 2] = NAN;
    const tb_attention a = {
        .nq = 3, .nk = 40, .heads = 1, .d = 8, .ldq = 8, .ldk = 8, .ldv = 8, .ldo = 8, .scale = 1
    };
    tb_attention_run(c, &a, q, k, v, out);
    for (int i = 0; i < 24; i++)
        CHECK(isnan(out[i]));
    free(q);
    free(k);
    free(v);
}

TEST(attention_passes_nan)
{
    for_each_compute(nan_key);
}

/* ------------------------------------------------------------------------------ convolution */

typedef struct conv_case {
    int64_t in, out, kt, kh, kw;
    tb_conv_args a;
    bool past, residual, rank4;
} conv_case;

static int64_t at_least_1(int64_t n)
{
    return n > 0 ? n : 1;
}

static void ref_conv(const conv_case *t, const float *w, const float *b, const float *x,
                     const float *past, const float *residual, float *y, int64_t t_out,
                     int64_t h_out, int64_t w_out)
{
    const int64_t up = t->a.upsample2 ? 2 : 1, st = at_least_1(t->a.stride_t),
                  s = at_least_1(t->a.stride_hw);
    int64_t at = 0;
    for (int64_t p = 0; p < t_out * h_out * w_out; p++) {
        const int64_t f = p / (h_out * w_out), r = p / w_out % h_out, col = p % w_out;
        for (int64_t o = 0; o < t->out; o++, at++) {
            double sum = (double)b[o] + (residual ? (double)residual[at] : 0);
            for (int64_t k = 0; k < t->in * t->kt * t->kh * t->kw; k++) {
                const int64_t c = k / (t->kt * t->kh * t->kw),
                              i = f * st + k / (t->kh * t->kw) % t->kt - t->kt + 1;
                const int64_t u = r * s + k / t->kw % t->kh - t->a.pad_before,
                              v = col * s + k % t->kw - t->a.pad_before;
                if (u < 0 || v < 0 || u >= t->a.h * up || v >= t->a.w * up || (i < 0 && !past))
                    continue;
                const float *frame = i < 0 ? past + (i + t->kt - 1) * t->a.h * t->a.w * t->in
                                           : x + i * t->a.h * t->a.w * t->in;
                sum += (double)w[o * t->in * t->kt * t->kh * t->kw + k] *
                       (double)frame[(u / up * t->a.w + v / up) * t->in + c];
            }
            y[at] = (float)sum;
        }
    }
}

static void check_conv(tb_compute *c, const conv_case *t)
{
    tb_err err = TB_ERR_INIT;
    const int64_t up = t->a.upsample2 ? 2 : 1, s = at_least_1(t->a.stride_hw);
    const int64_t t_out = (t->a.t - 1) / at_least_1(t->a.stride_t) + 1;
    const int64_t h_out = (t->a.h * up + t->a.pad_before + t->a.pad_after - t->kh) / s + 1;
    const int64_t w_out = (t->a.w * up + t->a.pad_before + t->a.pad_after - t->kw) / s + 1;
    const int64_t n = t_out * h_out * w_out * t->out, frame = t->a.h * t->a.w * t->in;
    tb_tensor *w = t->rank4 ? normal_tensor(&TB_SHAPE(t->out, t->in, t->kh, t->kw), 1)
                            : normal_tensor(&TB_SHAPE(t->out, t->in, t->kt, t->kh, t->kw), 1);
    tb_tensor *b = normal_tensor(&TB_SHAPE(t->out), 2);
    float *x = normals(t->a.t * frame, 3), *past = normals((t->kt - 1) * frame, 4),
          *res = normals(n, 5), *got = normals(n, 5), *want = normals(n, 6);
    tb_conv *v = tb_conv_new(c, w, b, &err);
    REQUIRE(v);
    CHECK_INT(tb_conv_in(v), t->in);
    CHECK_INT(tb_conv_out(v), t->out);
    CHECK_INT(tb_conv_kt(v), t->kt);
    tb_conv_args a = t->a;
    a.past = t->past ? past : NULL;
    a.residual = t->residual ? got : NULL;
    ref_conv(t, tb_tensor_f32(w), tb_tensor_f32(b), x, a.past, t->residual ? res : NULL, want,
             t_out, h_out, w_out);
    tb_conv_run(c, v, &a, x, got);
    CHECK_NEAR(tb_test_relative(got, want, n), 0, 2e-6);
    tb_conv_free(&v);
    tb_tensor_unref(&w);
    tb_tensor_unref(&b);
    free(x);
    free(past);
    free(res);
    free(got);
    free(want);
}

static void convs(tb_compute *c)
{
    static const conv_case cases[] = {
        /* 3x3x3 causal, with and without a past, odd widths, three and many outputs */
        { 3,
          5,
          3,
          3,
          3,
          { .t = 4, .h = 5, .w = 7, .pad_before = 1, .pad_after = 1 },
          true,
          false,
          false },
        { 16,
          33,
          3,
          3,
          3,
          { .t = 3, .h = 9, .w = 17, .pad_before = 1, .pad_after = 1 },
          false,
          true,
          false },
        { 32,
          3,
          3,
          3,
          3,
          { .t = 1, .h = 8, .w = 33, .pad_before = 1, .pad_after = 1 },
          true,
          false,
          false },
        { 24,
          64,
          3,
          3,
          3,
          { .t = 2, .h = 4, .w = 4, .pad_before = 1, .pad_after = 1 },
          true,
          true,
          false },
        /* wide: several column blocks */
        { 2,
          4,
          3,
          3,
          3,
          { .t = 1, .h = 2, .w = 230, .pad_before = 1, .pad_after = 1 },
          true,
          false,
          false },
        /* the time convs of Wan's VAE, and the one that halves the frames */
        { 8, 16, 3, 1, 1, { .t = 3, .h = 4, .w = 5 }, false, false, false },
        { 8, 8, 3, 1, 1, { .t = 5, .h = 3, .w = 5, .stride_t = 2 }, true, false, false },
        { 8, 8, 3, 1, 1, { .t = 4, .h = 3, .w = 5, .stride_t = 2 }, true, false, false },
        /* 1x1x1 and 1x1 */
        { 16, 33, 1, 1, 1, { .t = 3, .h = 5, .w = 7 }, false, true, false },
        { 9, 7, 1, 1, 1, { .t = 1, .h = 1, .w = 1 }, false, false, true },
        /* spatial down: a border after only, stride 2; spatial up */
        { 8,
          8,
          1,
          3,
          3,
          { .t = 2, .h = 8, .w = 6, .stride_hw = 2, .pad_after = 1 },
          false,
          false,
          true },
        { 8,
          8,
          1,
          3,
          3,
          { .t = 1, .h = 7, .w = 9, .stride_hw = 2, .pad_after = 1 },
          false,
          false,
          true },
        { 8,
          4,
          1,
          3,
          3,
          { .t = 2, .h = 5, .w = 9, .pad_before = 1, .pad_after = 1, .upsample2 = true },
          false,
          false,
          true },
        /* deep enough for groups of segments */
        { 300,
          40,
          3,
          3,
          3,
          { .t = 1, .h = 3, .w = 20, .pad_before = 1, .pad_after = 1 },
          true,
          true,
          false },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check_conv(c, &cases[i]);
}

TEST(convolution_matches_the_naive_loop)
{
    for_each_compute(convs);
}

/* A NaN in frame 1, row 3, column 9 of three 3x3x3 frames reaches frames 1 and 2, rows 2..4,
 * columns 8..10. */
static void nan_pixel(tb_compute *c)
{
    enum { T = 3, H = 6, W = 20, IN = 5, OUT = 18 };
    tb_err err = TB_ERR_INIT;
    tb_tensor *w = normal_tensor(&TB_SHAPE(OUT, IN, 3, 3, 3), 1);
    tb_conv *v = tb_conv_new(c, w, NULL, &err);
    REQUIRE(v);
    float *x = normals(T * H * W * IN, 2), *y = normals(T * H * W * OUT, 3);
    x[((1 * H + 3) * W + 9) * IN + 4] = NAN;
    tb_conv_run(c, v, &(tb_conv_args){ .t = T, .h = H, .w = W, .pad_before = 1, .pad_after = 1 }, x,
                y);
    for (int i = 0; i < T * H * W * OUT; i++) {
        const int col = i / OUT % W, row = i / (OUT * W) % H, frame = i / (OUT * W * H);
        CHECK(!!isnan(y[i]) == (frame >= 1 && abs(row - 3) <= 1 && abs(col - 9) <= 1));
    }
    tb_conv_free(&v);
    tb_tensor_unref(&w);
    free(x);
    free(y);
}

TEST(nan_spreads_as_far_as_the_kernel)
{
    for_each_compute(nan_pixel);
}

/* ------------------------------------------------------------------- the same bytes for all */

/* Every operation that uses the pool, hashed by its bytes into `out`. */
static void all_operations(tb_compute *c, float *out)
{
    tb_err err = TB_ERR_INIT;
    tb_tensor *w = normal_tensor(&TB_SHAPE(96, 70), 1),
              *k = normal_tensor(&TB_SHAPE(20, 24, 3, 3, 3), 2);
    tb_linear *l = tb_linear_new(c, w, NULL, &err);
    tb_conv *v = tb_conv_new(c, k, NULL, &err);
    REQUIRE(l && v);
    float *x = normals(200 * 96, 3), *q = normals(200 * 96, 4);
    tb_linear_run(c, l, x, 200, 70, out, 96, NULL);
    const tb_attention a = { .nq = 200,
                             .nk = 200,
                             .heads = 3,
                             .d = 32,
                             .ldq = 96,
                             .ldk = 96,
                             .ldv = 96,
                             .ldo = 96,
                             .scale = 0.2f };
    tb_attention_run(c, &a, x, q, q, out + 200 * 96);
    tb_conv_run(c, v, &(tb_conv_args){ .t = 2, .h = 10, .w = 40, .pad_before = 1, .pad_after = 1 },
                x, out + 400 * 96);
    tb_layernorm(c, q, 200, 96, 1e-6f, NULL, NULL, out + 400 * 96 + 16000);
    tb_linear_free(&l);
    tb_conv_free(&v);
    tb_tensor_unref(&w);
    tb_tensor_unref(&k);
    free(x);
    free(q);
}

TEST(bytes_do_not_depend_on_threads)
{
    enum { N = 600 * 96 + 16000 };
    for (int s = 0; s < 3; s++) {
        const tbi_kernels *k = tbi_cpu_kernels_named(set_names[s]);
        float *want = calloc(N, sizeof *want), *got = calloc(N, sizeof *got);
        for (int threads = 1; k && threads <= 5; threads++) {
            tb_err err = TB_ERR_INIT;
            tb_compute *c = tbi_compute_new_with(k, threads, &err);
            REQUIRE(c);
            all_operations(c, threads == 1 ? want : got);
            CHECK(threads == 1 || memcmp(want, got, N * sizeof *got) == 0);
            tb_compute_free(&c);
        }
        free(want);
        free(got);
    }
}

int main(int argc, char **argv)
{
    static const struct tb_test tests[] = {
        TEST_CASE(attention_matches_the_full_softmax), TEST_CASE(attention_passes_nan),
        TEST_CASE(convolution_matches_the_naive_loop), TEST_CASE(nan_spreads_as_far_as_the_kernel),
        TEST_CASE(bytes_do_not_depend_on_threads),
    };
    return tb_test_main(argc, argv, tests, (int)(sizeof tests / sizeof *tests));
}
