/* test_compute.c - every operation against a naive loop in double, for every kernel set and 1 and 2
 * threads. */
#include "compute_ref.h"

static const int64_t odd_sizes[] = { 1, 7, 8, 9, 65 };
enum { ODD = sizeof odd_sizes / sizeof *odd_sizes };

/* ----------------------------------------------------------------------------------- linear */

static void ref_linear(const float *x, int64_t rows, int64_t ldx, const float *w, const float *b,
                       int64_t in, int64_t out, const tb_epilogue *e, float *y, int64_t ldy)
{
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t o = 0; o < out; o++) {
            double s = b ? (double)b[o] : 0;
            for (int64_t k = 0; k < in; k++)
                s += (double)x[r * ldx + k] * (double)w[o * in + k];
            s = ref_act(e->act, s);
            s *= e->gate ? (double)e->gate[r * e->gate_stride + o] : 1;
            s += e->residual ? (double)e->residual[r * ldy + o] : 0;
            y[r * ldy + o] = (float)s;
        }
    }
}

static void check_linear(tb_compute *c, int64_t rows, int64_t in, int64_t out, tb_epilogue e,
                         bool bias)
{
    tb_err err = TB_ERR_INIT;
    const int64_t ldx = in + 3, ldy = out + 5;
    tb_tensor *w = normal_tensor(&TB_SHAPE(out, in), 1),
              *b = bias ? normal_tensor(&TB_SHAPE(out), 2) : NULL;
    float *x = normals(rows * ldx, 3), *gate = normals(rows * out, 4),
          *got = normals(rows * ldy, 5), *want = normals(rows * ldy, 5);
    tb_linear *l = tb_linear_new(c, w, b, &err);
    REQUIRE(l);
    CHECK_INT(tb_linear_in(l), in);
    CHECK_INT(tb_linear_out(l), out);
    CHECK(tb_linear_bytes(l) >= (size_t)(in * out) * sizeof(float));
    e.gate = e.gate_stride >= 0 ? gate : NULL;
    e.gate_stride = e.gate_stride > 0 ? out : 0;
    tb_epilogue mine = e, theirs = e;
    if (e.residual) {
        mine.residual = got;
        theirs.residual = want;
    }
    ref_linear(x, rows, ldx, tb_tensor_f32(w), b ? tb_tensor_f32(b) : NULL, in, out, &theirs, want,
               ldy);
    tb_linear_run(c, l, x, rows, ldx, got, ldy, &mine);
    CHECK_NEAR(tb_test_relative(got, want, rows * ldy), 0, 2e-6);
    tb_linear_free(&l);
    tb_tensor_unref(&w);
    tb_tensor_unref(&b);
    free(x);
    free(gate);
    free(got);
    free(want);
}

static void linears(tb_compute *c)
{
    const float marker = 0;
    for (int r = 0; r < ODD; r++) {
        for (int k = 0; k < ODD; k++) {
            for (int n = 0; n < ODD; n++)
                check_linear(c, odd_sizes[r], odd_sizes[k], odd_sizes[n],
                             (tb_epilogue){ .gate_stride = -1 }, n % 2);
        }
    }
    for (int act = TB_ACT_NONE; act <= TB_ACT_SILU; act++) {
        check_linear(c, 9, 33, 40, (tb_epilogue){ .act = (tb_act)act, .gate_stride = -1 }, true);
        check_linear(c, 9, 33, 40,
                     (tb_epilogue){ .act = (tb_act)act, .gate_stride = 0, .residual = &marker },
                     true);
    }
    check_linear(c, 15, 16, 31, (tb_epilogue){ .gate_stride = 1, .residual = &marker }, true);
    check_linear(c, 15, 16, 31, (tb_epilogue){ .gate_stride = 1 }, false);
    check_linear(c, 130, 4100, 70, (tb_epilogue){ .gate_stride = 0, .residual = &marker }, true);
}

TEST(linear_is_a_product_with_its_epilogue)
{
    for_each_compute(linears);
}

static void joined(tb_compute *c)
{
    tb_err err = TB_ERR_INIT;
    const int64_t out[] = { 5, 33, 20 };
    tb_tensor *w[3], *b[3] = { 0 };
    for (int i = 0; i < 3; i++)
        w[i] = normal_tensor(&TB_SHAPE(out[i], 9), (uint64_t)i);
    b[1] = normal_tensor(&TB_SHAPE(33), 8);
    tb_linear *l =
        tb_linear_join(c, 3, (const tb_tensor *const *)w, (const tb_tensor *const *)b, &err);
    REQUIRE(l);
    float *x = normals(4 * 9, 9), got[4 * 58], want[4 * 58];
    tb_linear_run(c, l, x, 4, 9, got, 58, NULL);
    int64_t at = 0;
    for (int i = 0; i < 3; i++) {
        ref_linear(x, 4, 9, tb_tensor_f32(w[i]), b[i] ? tb_tensor_f32(b[i]) : NULL, 9, out[i],
                   &(tb_epilogue){ 0 }, want + at, 58);
        at += out[i];
    }
    CHECK_NEAR(tb_test_relative(got, want, 4 * 58), 0, 1e-6);
    tb_linear_free(&l);
    for (int i = 0; i < 3; i++) {
        tb_tensor_unref(&w[i]);
        tb_tensor_unref(&b[i]);
    }
    free(x);
}

TEST(joined_linears_lie_side_by_side)
{
    for_each_compute(joined);
}

static void wrong_linears(tb_compute *c)
{
    tb_err err = TB_ERR_INIT;
    tb_tensor *w = normal_tensor(&TB_SHAPE(2, 3, 4), 1), *v = normal_tensor(&TB_SHAPE(2, 3), 1),
              *b = normal_tensor(&TB_SHAPE(5), 1);
    CHECK(!tb_linear_new(c, w, NULL, &err));
    CHECK_STR(err.message, "a linear layer wants a weight of [out,3], got [2,3,4]");
    err = TB_ERR_INIT;
    CHECK(!tb_linear_new(c, v, b, &err));
    CHECK_STR(err.message, "a linear layer with 2 outputs wants as many biases, got [5]");
    err = TB_ERR_INIT;
    CHECK(!tb_conv_new(c, v, NULL, &err));
    CHECK_STR(err.message,
              "a convolution wants a weight of [out,in,kt,kh,kw] or [out,in,kh,kw] with kt * kh at "
              "most 64, got [2,3]");
    err = TB_ERR_INIT;
    tb_mem_fail_on(1);
    CHECK(!tb_linear_new(c, v, NULL, &err));
    CHECK_INT(err.status, TB_ENOMEM);
    tb_tensor_unref(&w);
    tb_tensor_unref(&v);
    tb_tensor_unref(&b);
}

TEST(wrong_weights_are_refused_with_their_shapes)
{
    for_each_compute(wrong_linears);
}

/* A row's bytes hang on that row alone: what packing several videos into one sequence rests on. */
static void row_alone(tb_compute *c)
{
    tb_err err = TB_ERR_INIT;
    tb_tensor *w = normal_tensor(&TB_SHAPE(70, 3000), 1);
    tb_linear *l = tb_linear_new(c, w, NULL, &err);
    REQUIRE(l);
    float *x = normals(100 * 3000, 2), *all = normals(100 * 70, 3), one[70];
    tb_linear_run(c, l, x, 100, 3000, all, 70, NULL);
    for (int64_t r = 0; r < 100; r += 9) {
        tb_linear_run(c, l, x + r * 3000, 1, 3000, one, 70, NULL);
        CHECK(memcmp(one, all + r * 70, sizeof one) == 0);
    }
    tb_linear_free(&l);
    tb_tensor_unref(&w);
    free(x);
    free(all);
}

TEST(a_row_has_the_same_bytes_alone_and_among_others)
{
    for_each_compute(row_alone);
}

/* ------------------------------------------------------------------------------------- gemm */

static void check_gemm(tb_compute *c, bool trans, int64_t m, int64_t n, int64_t k, float alpha,
                       float beta)
{
    const int64_t lda = k + 1, ldb = (trans ? k : n) + 2, ldc = n + 3;
    float *a = normals(m * lda, 1), *b = normals((trans ? n : k) * ldb, 2),
          *got = normals(m * ldc, 3), *want = normals(m * ldc, 3);
    for (int64_t i = 0; i < m; i++) {
        for (int64_t j = 0; j < n; j++) {
            double s = 0;
            for (int64_t p = 0; p < k; p++)
                s += (double)a[i * lda + p] * (double)b[trans ? j * ldb + p : p * ldb + j];
            want[i * ldc + j] =
                (float)((double)alpha * s + (double)beta * (double)want[i * ldc + j]);
        }
    }
    tb_gemm(c, trans, m, n, k, alpha, a, lda, b, ldb, beta, got, ldc);
    CHECK_NEAR(tb_test_relative(got, want, m * ldc), 0, 2e-6);
    free(a);
    free(b);
    free(got);
    free(want);
}

static void gemms(tb_compute *c)
{
    for (int i = 0; i < ODD; i++) {
        for (int j = 0; j < ODD; j++) {
            check_gemm(c, true, odd_sizes[i], odd_sizes[j], odd_sizes[(i + j) % ODD], 1, 0);
            check_gemm(c, false, odd_sizes[i], odd_sizes[j], odd_sizes[(i + j) % ODD], 0.5f, 1);
        }
    }
    check_gemm(c, true, 120, 40, 4100, 1, -1);
}

TEST(gemm_is_alpha_a_b_plus_beta_c)
{
    for_each_compute(gemms);
}

/* ------------------------------------------------------------------------ norms, activations */

static void ref_norm(const float *x, int64_t n, double eps, bool centre, float *y)
{
    double mean = 0, square = 0;
    for (int64_t i = 0; i < n; i++)
        mean += centre ? (double)x[i] / (double)n : 0;
    for (int64_t i = 0; i < n; i++)
        square += ((double)x[i] - mean) * ((double)x[i] - mean) / (double)n;
    for (int64_t i = 0; i < n; i++)
        y[i] = (float)(((double)x[i] - mean) / sqrt(square + eps));
}

static void check_norms(tb_compute *c, int64_t rows, int64_t n)
{
    float *x = normals(rows * n, 1), *scale = normals(rows * n, 2), *shift = normals(rows * n, 3),
          *want = normals(rows * n, 4), *plain = normals(rows * n, 5), *got = normals(rows * n, 6);
    for (int64_t r = 0; r < rows; r++)
        ref_norm(x + r * n, n, 1e-3, true, plain + r * n);
    for (int64_t i = 0; i < rows * n; i++)
        want[i] = plain[i] * (1 + scale[i]) + shift[i];
    tb_layernorm_modulate(c, x, rows, n, 1e-3f, shift, scale, n, got);
    CHECK_NEAR(tb_test_relative(got, want, rows * n), 0, 1e-6);
    tb_layernorm_modulate(c, x, rows, n, 1e-3f, NULL, NULL, 0, got);
    CHECK_NEAR(tb_test_relative(got, plain, rows * n), 0, 1e-6);
    for (int64_t i = 0; i < rows * n; i++)
        want[i] = plain[i] * scale[i % n] + shift[i % n];
    memcpy(got, x, (size_t)(rows * n) * sizeof *x);
    tb_layernorm(c, got, rows, n, 1e-3f, scale, shift, got);
    CHECK_NEAR(tb_test_relative(got, want, rows * n), 0, 1e-6);
    for (int64_t r = 0; r < rows; r++)
        ref_norm(x + r * n, n, 1e-3, false, plain + r * n);
    for (int64_t i = 0; i < rows * n; i++)
        want[i] = plain[i] * scale[i % n];
    tb_rmsnorm(c, x, rows, n, n, 1e-3f, scale, got, n);
    CHECK_NEAR(tb_test_relative(got, want, rows * n), 0, 1e-6);
    for (int64_t r = 0; r < rows; r++)
        ref_norm(x + r * n, n, 0, false, plain + r * n);
    for (int64_t i = 0; i < rows * n; i++)
        want[i] = (float)ref_act(TB_ACT_SILU, (double)(plain[i] * scale[i % n]));
    tb_channel_norm(c, x, rows, n, scale, true, got);
    CHECK_NEAR(tb_test_relative(got, want, rows * n), 0, 1e-6);
    free(x);
    free(scale);
    free(shift);
    free(want);
    free(plain);
    free(got);
}

static void norms(tb_compute *c)
{
    for (int i = 0; i < ODD; i++) {
        check_norms(c, 3, odd_sizes[i]);
        check_norms(c, 600, odd_sizes[i]);
    }
    check_norms(c, 2, 1536);
}

TEST(norms_match_their_formulas)
{
    for_each_compute(norms);
}

static void zero_channels(tb_compute *c)
{
    const float zero[9] = { 0 }, ones[9] = { 1, 1, 1, 1, 1, 1, 1, 1, 1 };
    float y[9];
    tb_channel_norm(c, zero, 1, 9, ones, false, y);
    for (int i = 0; i < 9; i++)
        CHECK_NEAR(y[i], 0, 0);
}

TEST(channel_norm_of_zeros_is_zero)
{
    for_each_compute(zero_channels);
}

/* Relative error of each value where it is not tiny, over the range where the functions bend and
 * far out. */
static void activations(tb_compute *c)
{
    enum { N = 4001 };
    static float x[N], y[N];
    for (int i = 0; i < N; i++)
        x[i] = (float)(i - N / 2) * 0.01f;
    for (int act = TB_ACT_NONE; act <= TB_ACT_SILU; act++) {
        tb_activate(c, (tb_act)act, x, N, y);
        for (int i = 0; i < N; i++) {
            const double want = ref_act((tb_act)act, (double)x[i]);
            /* Far in the tail 1 + tanh in double loses digits, and rounding x^2 costs gelu_erf
             * some. */
            const double tail = act == TB_ACT_GELU_TANH  ? 1e-7
                                : act == TB_ACT_GELU_ERF ? 1e-5 * fabs(want)
                                                         : 0;
            CHECK_NEAR(y[i], want, 3e-6 * fabs(want) + tail + 1e-37);
        }
    }
}

TEST(activations_are_right_to_the_last_digits)
{
    for_each_compute(activations);
}

static void far_out(tb_compute *c)
{
    const float x[] = { NAN, INFINITY, 1e30f, -1e30f, -200, 200 };
    float y[6];
    for (int act = TB_ACT_GELU_TANH; act <= TB_ACT_SILU; act++) {
        tb_activate(c, (tb_act)act, x, 6, y);
        CHECK(isnan(y[0]));
        CHECK(isinf(y[1]) && y[1] > 0);
        CHECK_NEAR(y[2], 1e30f, 1e23);
        CHECK_NEAR(y[3], 0, 1e-7);
        CHECK_NEAR(y[4], 0, 1e-7);
        CHECK_NEAR(y[5], 200, 0);
    }
}

TEST(activations_hold_far_out_and_pass_nan)
{
    for_each_compute(far_out);
}

/* A NaN in one row or element appears in exactly what depends on it. */
static void nan_rows(tb_compute *c)
{
    enum { ROWS = 20, DIM = 65 };
    tb_err err = TB_ERR_INIT;
    tb_tensor *w = normal_tensor(&TB_SHAPE(33, DIM), 1);
    tb_linear *l = tb_linear_new(c, w, NULL, &err);
    REQUIRE(l);
    float *x = normals(ROWS * DIM, 2), *ones = normals(DIM, 3), *y = normals(ROWS * DIM, 4);
    for (int bad = 0; bad < DIM; bad += 16) {
        const float kept = x[7 * DIM + bad];
        x[7 * DIM + bad] = NAN;
        for (int op = 0; op < 4; op++) {
            const int64_t columns = op == 3 ? 33 : DIM;
            if (op == 0)
                tb_layernorm(c, x, ROWS, DIM, 1e-6f, NULL, NULL, y);
            else if (op == 1)
                tb_rmsnorm(c, x, ROWS, DIM, DIM, 1e-6f, ones, y, DIM);
            else if (op == 2)
                tb_channel_norm(c, x, ROWS, DIM, ones, true, y);
            else
                tb_linear_run(c, l, x, ROWS, DIM, y, 33, NULL);
            for (int64_t i = 0; i < ROWS * columns; i++)
                CHECK(!isnan(y[i]) == (i / columns != 7));
        }
        x[7 * DIM + bad] = kept;
    }
    tb_linear_free(&l);
    tb_tensor_unref(&w);
    free(x);
    free(ones);
    free(y);
}

TEST(nan_reaches_its_row_and_no_other)
{
    for_each_compute(nan_rows);
}

static void elementwise(tb_compute *c)
{
    const int64_t sizes[] = { 1, 7, 8, 9, 65, 100001 };
    for (int s = 0; s < 6; s++) {
        const int64_t n = sizes[s];
        float *a = normals(n, 1), *b = normals(n, 2), *y = normals(n, 3), *want = normals(n, 3);
        for (int64_t i = 0; i < n; i++)
            want[i] += 0.25f * a[i];
        tb_axpy(c, 0.25f, a, n, y);
        CHECK_NEAR(tb_test_relative(y, want, n), 0, 1e-7);
        for (int64_t i = 0; i < n; i++)
            want[i] = a[i] * b[i];
        tb_mul(c, a, b, n, y);
        CHECK_NEAR(tb_test_relative(y, want, n), 0, 0);
        free(a);
        free(b);
        free(y);
        free(want);
    }
}

TEST(elementwise_operations_reach_every_number)
{
    for_each_compute(elementwise);
}

static void ropes(tb_compute *c)
{
    const int64_t dims[] = { 2, 6, 32, 44, 128 };
    for (int t = 0; t < 5; t++) {
        const int64_t d = dims[t], heads = 3, rows = 5, ldx = heads * d + 4;
        float *x = normals(rows * ldx, 1), *want = normals(rows * ldx, 1),
              *cs = normals(rows * d, 2);
        for (int64_t r = 0; r < rows; r++) {
            for (int64_t p = 0; p < heads * d / 2; p++) {
                float *w = want + r * ldx + 2 * p;
                const float *f = cs + r * d + 2 * (p % (d / 2)), u = w[0], v = w[1];
                w[0] = u * f[0] - v * f[1];
                w[1] = u * f[1] + v * f[0];
            }
        }
        tb_rope(c, x, rows, ldx, heads, d, cs);
        CHECK_NEAR(tb_test_relative(x, want, rows * ldx), 0, 1e-6);
        free(x);
        free(want);
        free(cs);
    }
}

TEST(rope_rotates_neighbouring_pairs)
{
    for_each_compute(ropes);
}

static void normed_ropes(tb_compute *c)
{
    enum { D = 44, HEADS = 3, ROWS = 130, LD = HEADS * D + 4 };
    float *x = normals(ROWS * LD, 1), *want = normals(ROWS * LD, 1), *cs = normals(ROWS * D, 2),
          *weight = normals(HEADS * D, 3);
    tb_rmsnorm(c, want, ROWS, HEADS * D, LD, 1e-6f, weight, want, LD);
    tb_rope(c, want, ROWS, LD, HEADS, D, cs);
    tb_rmsnorm_rope(c, x, ROWS, LD, HEADS, D, 1e-6f, weight, cs);
    CHECK(memcmp(x, want, ROWS * LD * sizeof *x) == 0);
    free(x);
    free(want);
    free(cs);
    free(weight);
}

TEST(norm_and_rotation_in_one_pass_give_the_bytes_of_two)
{
    for_each_compute(normed_ropes);
}

static void layouts(tb_compute *c)
{
    const int64_t n[] = { 1, 9, 65, 5000 };
    for (int i = 0; i < 4; i++) {
        const int64_t channels = 3 + i * 7;
        float *x = normals(channels * n[i], 1), *y = normals(channels * n[i], 2),
              *z = normals(channels * n[i], 3);
        tb_to_channels_last(c, x, channels, n[i], y);
        CHECK(y[channels * (n[i] - 1) + 1] == x[1 * n[i] + n[i] - 1]);
        tb_from_channels_last(c, y, channels, n[i], z);
        CHECK(memcmp(x, z, (size_t)(channels * n[i]) * sizeof *x) == 0);
        free(x);
        free(y);
        free(z);
    }
}

TEST(channels_last_and_back_is_the_identity)
{
    for_each_compute(layouts);
}

/* ------------------------------------------------------------------------------------- life */

typedef struct counted {
    atomic_int runs[1000];
    atomic_int worker_most;
} counted;

static void count_piece(void *ctx, int64_t i, int worker)
{
    counted *k = ctx;
    atomic_fetch_add(&k->runs[i], 1);
    if (worker > atomic_load(&k->worker_most))
        atomic_store(&k->worker_most, worker);
}

TEST(parallel_runs_every_piece_once)
{
    tb_err err = TB_ERR_INIT;
    tb_compute *c = tb_compute_new(5, &err);
    REQUIRE(c);
    static counted k;
    for (int round = 1; round <= 300; round++) {
        const int64_t n = round * 37 % 1000;
        tb_parallel(c, n, count_piece, &k);
        for (int64_t i = 0; i < n; i++)
            CHECK_INT(atomic_exchange(&k.runs[i], 0), 1);
    }
    CHECK(atomic_load(&k.worker_most) < 5);
    tb_compute_free(&c);
}

typedef struct stopping {
    atomic_bool cancel;
    atomic_int calls;
} stopping;

static void stop_at_once(void *ctx, int64_t i, int worker)
{
    stopping *s = ctx;
    (void)i;
    (void)worker;
    atomic_fetch_add(&s->calls, 1);
    atomic_store(&s->cancel, true);
}

/* Each thread may be inside a piece when the flag is set; none begins another. */
TEST(pieces_are_left_out_once_canceled)
{
    for (int threads = 1; threads <= 2; threads++) {
        tb_err err = TB_ERR_INIT;
        tb_compute *c = tb_compute_new(threads, &err);
        stopping s = { 0 };
        tb_compute_watch(c, &s.cancel);
        tb_parallel(c, 1000, stop_at_once, &s);
        CHECK(s.calls >= 1 && s.calls <= threads);
        CHECK(tb_compute_unwatch(c));
        tb_parallel(c, 1000, stop_at_once, &s);
        CHECK(s.calls >= 1000);
        s.cancel = false;
        tb_compute_watch(c, &s.cancel);
        CHECK(!tb_compute_unwatch(c));
        tb_compute_free(&c);
    }
}

TEST(scratch_nests_and_says_when_it_is_out)
{
    tb_err err = TB_ERR_INIT;
    tb_compute *c = tb_compute_new(1, &err);
    REQUIRE(c);
    const size_t outer = tb_scratch_mark(c);
    float *a = tb_scratch(c, 1000, &err);
    const size_t inner = tb_scratch_mark(c);
    float *b = tb_scratch(c, 1, &err);
    REQUIRE(a && b);
    CHECK(b >= a + 1000 && (uintptr_t)b % 64 == 0);
    a[999] = b[0] = 1;
    tb_scratch_release(c, inner);
    CHECK(tb_scratch(c, 5, &err) == b);
    tb_scratch_release(c, outer);
    CHECK(!tb_scratch(c, (size_t)1 << 60, &err));
    CHECK_INT(err.status, TB_ENOMEM);
    CHECK(strstr(err.message, "no scratch memory for 1152921504606846976 numbers"));
    tb_compute_free(&c);
}

TEST(nonsense_in_the_environment_is_an_error)
{
    tb_err err = TB_ERR_INIT;
    setenv("TUBELET_THREADS", "many", 1);
    CHECK(!tb_compute_new(0, &err));
    CHECK_STR(err.message, "TUBELET_THREADS must be 1..64, got 'many'");
    setenv("TUBELET_THREADS", "3", 1);
    tb_compute *c = tb_compute_new(0, &err);
    REQUIRE(c);
    CHECK_INT(tb_compute_threads(c), 3);
    tb_compute_free(&c);
    unsetenv("TUBELET_THREADS");
    err = TB_ERR_INIT;
    setenv("TUBELET_CPU", "mmx", 1);
    CHECK(!tb_compute_new(1, &err));
    CHECK(strstr(err.message, "TUBELET_CPU must be plain, avx2 or avx512"));
    unsetenv("TUBELET_CPU");
    err = TB_ERR_INIT;
    CHECK(!tb_compute_new(-1, &err));
    CHECK_STR(err.message, "threads must be 0..64 (0: one for each core), got -1");
}

TEST(the_class_names_the_kernels)
{
    CHECK(strncmp(tb_compute_class(), "cpu-f32/", 8) == 0);
    CHECK(strstr(tb_compute_class(), tbi_cpu_kernels(NULL)->name));
}

int main(int argc, char **argv)
{
    static const struct tb_test tests[] = {
        TEST_CASE(linear_is_a_product_with_its_epilogue),
        TEST_CASE(joined_linears_lie_side_by_side),
        TEST_CASE(wrong_weights_are_refused_with_their_shapes),
        TEST_CASE(a_row_has_the_same_bytes_alone_and_among_others),
        TEST_CASE(gemm_is_alpha_a_b_plus_beta_c),
        TEST_CASE(norms_match_their_formulas),
        TEST_CASE(channel_norm_of_zeros_is_zero),
        TEST_CASE(activations_are_right_to_the_last_digits),
        TEST_CASE(activations_hold_far_out_and_pass_nan),
        TEST_CASE(nan_reaches_its_row_and_no_other),
        TEST_CASE(elementwise_operations_reach_every_number),
        TEST_CASE(rope_rotates_neighbouring_pairs),
        TEST_CASE(norm_and_rotation_in_one_pass_give_the_bytes_of_two),
        TEST_CASE(channels_last_and_back_is_the_identity),
        TEST_CASE(parallel_runs_every_piece_once),
        TEST_CASE(pieces_are_left_out_once_canceled),
        TEST_CASE(scratch_nests_and_says_when_it_is_out),
        TEST_CASE(nonsense_in_the_environment_is_an_error),
        TEST_CASE(the_class_names_the_kernels),
    };
    return tb_test_main(argc, argv, tests, (int)(sizeof tests / sizeof *tests));
}
