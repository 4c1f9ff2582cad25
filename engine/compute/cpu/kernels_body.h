/* kernels_body.h - the kernels of kernels.h over a vector layer; included by kernels_<set>.c after
 * vec_<set>.h. Not a header for anybody else.
 *
 * VW: numbers in a vector; MR, NV: rows and vectors of a tile of a product.
 */
#include <math.h>

#define INLINE static inline __attribute__((always_inline))

enum { NR = NV * VW };

/* ------------------------------------------------------------------------------------ products */

/* Byte offsets from one pointer in steps of lda: the compiler is kept from making a pointer for
 * each row, of which there are more than registers. */
#define ROW(base, i) (*(const float *)((const char *)(base) + (i)*lda_bytes))

INLINE void tile_rows(const int rows, const int nv, const tbi_tile *t)
{
    const int64_t lda = t->lda, k_seg = t->k_seg, ld_acc = t->ld_acc;
    const float *a = t->a, *panel = t->panel;
    const char *ahead = t->ahead;
    float *acc = t->acc;
    const int64_t lda_bytes = lda * (int64_t)sizeof(float);
    vf c[MR][NV];
#pragma GCC unroll 16
    for (int r = 0; r < rows; r++) {
#pragma GCC unroll 16
        for (int j = 0; j < nv; j++)
            c[r][j] = t->first ? v_set1(0) : v_load(acc + r * ld_acc + j * VW);
    }
    for (int s = 0; s < t->segs; s++) {
        const float *from = a + t->seg[s], *p[3] = { from, from, from };
        p[1] += rows > 5 ? 5 * lda : 0;
        p[2] += rows > 10 ? 10 * lda : 0;
        for (int64_t k = 0; k < k_seg; k++) {
            vf b[NV];
#pragma GCC unroll 16
            for (int j = 0; j < nv; j++)
                b[j] = v_load(panel + j * VW);
#pragma GCC unroll 16
            for (int r = 0; r < rows; r++) {
                const vf x = v_set1(ROW(p[r / 5], r % 5));
#pragma GCC unroll 16
                for (int j = 0; j < nv; j++)
                    c[r][j] = v_fma(x, b[j], c[r][j]);
            }
            __builtin_prefetch(ahead, 0, 2);
            ahead += TBI_LINE_BYTES;
            panel += NR;
            p[0]++;
            p[1]++;
            p[2]++;
            __asm__("" : "+r"(p[0]), "+r"(p[1]), "+r"(p[2]));
        }
    }
#pragma GCC unroll 16
    for (int r = 0; r < rows; r++) {
#pragma GCC unroll 16
        for (int j = 0; j < nv; j++)
            v_store(acc + r * ld_acc + j * VW, c[r][j]);
    }
}

/* One instance for each number of rows, so that the accumulators are registers. */
#define CASE(n)                                \
    case n:                                    \
        if (n <= MR)                           \
            tile_rows(n <= MR ? n : 1, nv, t); \
        break

INLINE void tile_vectors(const int nv, const tbi_tile *t)
{
    switch (t->rows) {
        CASE(1);
        CASE(2);
        CASE(3);
        CASE(4);
        CASE(5);
        CASE(6);
        CASE(7);
        CASE(8);
        CASE(9);
        CASE(10);
        CASE(11);
        CASE(12);
        CASE(13);
        CASE(14);
    default: break;
    }
}
#undef CASE

static void tile(const tbi_tile *t)
{
    if (NV == 2 && t->cols <= VW)
        tile_vectors(1, t);
    else
        tile_vectors(NV, t);
}

INLINE vf load_part(const float *p, int64_t left)
{
    return left >= VW ? v_load(p) : v_load_n(p, left);
}

INLINE void store_part(float *p, vf v, int64_t left)
{
    if (left >= VW)
        v_store(p, v);
    else
        v_store_n(p, v, left);
}

/* y[cols][ldy] = x[rows][ldx] transposed, rows and cols <= VW; `width` numbers of each row of y are
 * written, zeros beyond `rows`. */
INLINE void transpose_square(const float *x, int64_t ldx, int64_t rows, int64_t cols, float *y,
                             int64_t ldy, int64_t width)
{
    vf r[VW];
#pragma GCC unroll 16
    for (int64_t i = 0; i < VW; i++)
        r[i] = i < rows ? load_part(x + i * ldx, cols) : v_set1(0);
    v_transpose(r);
#pragma GCC unroll 16
    for (int64_t i = 0; i < VW; i++) {
        if (i < cols)
            store_part(y + i * ldy, r[i], width);
    }
}

INLINE int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static void pack_rows(const float *b, int64_t ldb, int64_t cols, int64_t k, float *panel)
{
    for (int64_t j = 0; j < NR; j += VW) {
        const int64_t rows = cols > j ? least(cols - j, VW) : 0;
        for (int64_t i = 0; i < k; i += VW)
            transpose_square(b + j * ldb + i, ldb, rows, least(k - i, VW), panel + i * NR + j, NR,
                             VW);
    }
}

static void pack_cols(const float *b, int64_t ldb, int64_t cols, int64_t k, float *panel)
{
    for (int64_t i = 0; i < k; i++) {
        for (int64_t j = 0; j < NR; j += VW)
            v_store(panel + i * NR + j, j < cols ? v_load_n(b + i * ldb + j, cols - j) : v_set1(0));
    }
}

/* A square of 16-bit numbers at a time: what is read of each row stays in the first-level cache. */
static void pack_rows_16(const uint16_t *b, int64_t ldb, int64_t cols, int64_t k, uint16_t *panel)
{
    for (int64_t from = 0; from < k; from += 32) {
        const int64_t to = least(from + 32, k);
        for (int64_t j = 0; j < cols; j++) {
            const uint16_t *row = b + j * ldb;
            for (int64_t i = from; i < to; i++)
                panel[i * NR + j] = row[i];
        }
    }
}

static void expand_f16(const uint16_t *x, int64_t n, float *y)
{
    for (int64_t i = 0; i < n; i += VW)
        v_store(y + i, v_load_f16(x + i));
}

static void expand_bf16(const uint16_t *x, int64_t n, float *y)
{
    for (int64_t i = 0; i < n; i += VW)
        v_store(y + i, v_load_bf16(x + i));
}

/* --------------------------------------------------------------------------------- activations */

/* e^x to about 1 ulp over the whole range; below -104 is 0, above 89 infinity, NaN stays. Cody and
 * Waite's reduction x = n ln2 + r, then the minimax polynomial of degree 5 for (e^r - 1 - r) / r^2
 * of Cephes. */
INLINE vf v_exp(vf x)
{
    x = v_min(v_set1(89.0f), v_max(v_set1(-104.0f), x));
    const vf n = v_round(v_mul(x, v_set1(1.44269504088896341f)));
    vf r = v_fma(n, v_set1(-0.693359375f), x);
    r = v_fma(n, v_set1(2.12194440e-4f), r);
    vf p = v_set1(1.9875691500e-4f);
    p = v_fma(p, r, v_set1(1.3981999507e-3f));
    p = v_fma(p, r, v_set1(8.3334519073e-3f));
    p = v_fma(p, r, v_set1(4.1665795894e-2f));
    p = v_fma(p, r, v_set1(1.6666665459e-1f));
    p = v_fma(p, r, v_set1(5.0000001201e-1f));
    p = v_fma(v_mul(r, r), p, v_add(r, v_set1(1.0f)));
    return v_scale2(p, n);
}

/* 2^x for x <= 0 to about 1 ulp; NaN stays. (2^r - 1) / r on [-1/2, 1/2] interpolated at the six
 * Chebyshev points: relative error of 2^r below 1e-8. */
INLINE vf v_exp2(vf x)
{
    x = v_max(v_set1(-150.0f), x);
    const vf n = v_round(x), r = v_sub(x, n);
    vf p = v_set1(1.5453162942e-4f);
    p = v_fma(p, r, v_set1(1.3390863365e-3f));
    p = v_fma(p, r, v_set1(9.6180825573e-3f));
    p = v_fma(p, r, v_set1(5.5503571142e-2f));
    p = v_fma(p, r, v_set1(2.4022650761e-1f));
    p = v_fma(p, r, v_set1(6.9314718803e-1f));
    return v_scale2(v_fma(p, r, v_set1(1.0f)), n);
}

INLINE float exp2_one(float x)
{
    float lanes[VW];
    v_store(lanes, v_exp2(v_set1(x)));
    return lanes[0];
}

INLINE vf silu(vf x)
{
    return v_div(x, v_add(v_set1(1), v_exp(v_sub(v_set1(0), x))));
}

/* 0.5 x (1 + tanh(u)) = x / (1 + e^(-2u)), u = sqrt(2/pi) (x + 0.044715 x^3). */
INLINE vf gelu_tanh(vf x)
{
    const vf cube = v_mul(v_mul(x, x), x);
    const vf u2 = v_mul(v_fma(cube, v_set1(0.044715f), x), v_set1(-1.5957691216057308f));
    return v_div(x, v_add(v_set1(1), v_exp(u2)));
}

/* x / (1 + e^(-1.702 x)). */
INLINE vf gelu_quick(vf x)
{
    return v_div(x, v_add(v_set1(1), v_exp(v_mul(x, v_set1(-1.702f)))));
}

/* x Phi(x). erfc(z), z >= 0, by the Chebyshev fit of Press et al., Numerical Recipes 6.2.2:
 * relative error below 1.2e-7 everywhere. */
INLINE vf gelu_erf(vf x)
{
    static const float c[] = {
        0.17087277f,  -0.82215223f, 1.48851587f, -1.13520398f, 0.27886807f,
        -0.18628806f, 0.09678418f,  0.37409196f, 1.00002368f,  -1.26551223f
    };
    const vf zero = v_set1(0), z = v_mul(v_max(v_sub(zero, x), x), v_set1(0.70710678118654752f));
    const vf t = v_div(v_set1(1), v_fma(z, v_set1(0.5f), v_set1(1)));
    vf p = v_set1(c[0]);
    for (int i = 1; i < 10; i++)
        p = v_fma(p, t, v_set1(c[i]));
    const vf half_erfc = v_mul(v_mul(t, v_set1(0.5f)), v_exp(v_sub(p, v_mul(z, z))));
    return v_mul(x, v_if_negative(x, half_erfc, v_sub(v_set1(1), half_erfc)));
}

INLINE vf act_of(tb_act act, vf x)
{
    switch (act) {
    case TB_ACT_GELU_TANH: return gelu_tanh(x);
    case TB_ACT_GELU_ERF: return gelu_erf(x);
    case TB_ACT_GELU_QUICK: return gelu_quick(x);
    case TB_ACT_SILU: return silu(x);
    case TB_ACT_NONE: break;
    }
    return x;
}

INLINE void activate_as(const tb_act act, const float *x, int64_t n, float *y)
{
    for (int64_t i = 0; i < n; i += VW)
        store_part(y + i, act_of(act, load_part(x + i, n - i)), n - i);
}

static void activate(tb_act act, const float *x, int64_t n, float *y)
{
    switch (act) {
    case TB_ACT_GELU_TANH: activate_as(TB_ACT_GELU_TANH, x, n, y); break;
    case TB_ACT_GELU_ERF: activate_as(TB_ACT_GELU_ERF, x, n, y); break;
    case TB_ACT_GELU_QUICK: activate_as(TB_ACT_GELU_QUICK, x, n, y); break;
    case TB_ACT_SILU: activate_as(TB_ACT_SILU, x, n, y); break;
    case TB_ACT_NONE: activate_as(TB_ACT_NONE, x, n, y); break;
    }
}

INLINE void tile_out_as(const tbi_tile_out *t, const tb_act act)
{
    for (int64_t j = 0; j < t->cols; j += VW) {
        const int64_t left = t->cols - j;
        const vf bias = t->bias ? load_part(t->bias + j, left) : v_set1(0);
        for (int64_t r = 0; r < t->rows; r++) {
            vf v = act_of(act, v_add(v_load(t->acc + r * t->ld_acc + j), bias));
            if (t->gate)
                v = v_mul(v, load_part(t->gate + r * t->gate_stride + j, left));
            if (t->residual)
                v = v_add(load_part(t->residual + r * t->ldy + j, left), v);
            store_part(t->y + r * t->ldy + j, v, left);
        }
    }
}

static void tile_out(const tbi_tile_out *t)
{
    switch (t->act) {
    case TB_ACT_GELU_TANH: tile_out_as(t, TB_ACT_GELU_TANH); break;
    case TB_ACT_GELU_ERF: tile_out_as(t, TB_ACT_GELU_ERF); break;
    case TB_ACT_GELU_QUICK: tile_out_as(t, TB_ACT_GELU_QUICK); break;
    case TB_ACT_SILU: tile_out_as(t, TB_ACT_SILU); break;
    case TB_ACT_NONE: tile_out_as(t, TB_ACT_NONE); break;
    }
}

/* --------------------------------------------------------------------------------- quantisation */

static void quantise(const float *x, int64_t n, uint8_t *q, float *scale)
{
    const vf zero = v_set1(0);
    vf peak = zero, bad = zero;
    for (int64_t i = 0; i < n; i += VW) {
        const vf v = load_part(x + i, n - i);
        peak = v_max(peak, v_max(v, v_sub(zero, v)));
        bad = v_add(bad, v_sub(v, v)); /* not 0 for infinities and NaN */
    }
    const float most = v_peak(peak), lost = v_sum(bad);
    const bool some = most > 1e-30f && lost == 0;
    const vf by = v_set1(some ? 127.0f / most : 0), middle = v_set1(128);
    for (int64_t i = 0; i < n; i += VW) {
        const vf v = v_round(v_mul(load_part(x + i, n - i), by));
        v_store_u8(q + i, v_add(v, middle));
    }
    *scale = some ? most / 127.0f : lost;
}

/* --------------------------------------------------------------------------------------- norms */

INLINE float sum_of_squares(const float *x, int64_t n, float mean)
{
    const vf m = v_set1(mean);
    vf s0 = v_set1(0), s1 = v_set1(0);
    int64_t i = 0;
    for (; i + 2 * VW <= n; i += 2 * VW) {
        const vf a = v_sub(v_load(x + i), m), b = v_sub(v_load(x + i + VW), m);
        s0 = v_fma(a, a, s0);
        s1 = v_fma(b, b, s1);
    }
    for (; i < n; i += VW) {
        const vf a = v_first(v_sub(load_part(x + i, n - i), m), n - i, v_set1(0));
        s0 = v_fma(a, a, s0);
    }
    return v_sum(v_add(s0, s1));
}

static void layernorm(const float *x, int64_t n, float eps, const float *scale, bool plus_one,
                      const float *shift, float *y)
{
    vf s0 = v_set1(0);
    for (int64_t i = 0; i < n; i += VW)
        s0 = v_add(s0, load_part(x + i, n - i));
    const float mean = v_sum(s0) / (float)n;
    const float variance = sum_of_squares(x, n, mean) / (float)n;
    const vf m = v_set1(mean), inverse = v_set1(1.0f / sqrtf(variance + eps)), one = v_set1(1);
    for (int64_t i = 0; i < n; i += VW) {
        const int64_t left = n - i;
        vf v = v_mul(v_sub(load_part(x + i, left), m), inverse);
        if (scale) {
            const vf s = load_part(scale + i, left);
            v = v_mul(v, plus_one ? v_add(one, s) : s);
        }
        if (shift)
            v = v_add(v, load_part(shift + i, left));
        store_part(y + i, v, left);
    }
}

static void rmsnorm(const float *x, int64_t n, float eps, const float *weight, float *y)
{
    const float mean = sum_of_squares(x, n, 0) / (float)n;
    const vf inverse = v_set1(1.0f / sqrtf(mean + eps));
    for (int64_t i = 0; i < n; i += VW) {
        const int64_t left = n - i;
        const vf v = v_mul(load_part(x + i, left), inverse);
        store_part(y + i, v_mul(v, load_part(weight + i, left)), left);
    }
}

static void channel_norm(const float *x, int64_t n, const float *gamma, bool with_silu, float *y)
{
    const float length = sqrtf(sum_of_squares(x, n, 0));
    const vf factor = v_set1(sqrtf((float)n) / (length < 1e-12f ? 1e-12f : length));
    for (int64_t i = 0; i < n; i += VW) {
        const int64_t left = n - i;
        const vf v = v_mul(v_mul(load_part(x + i, left), factor), load_part(gamma + i, left));
        store_part(y + i, with_silu ? silu(v) : v, left);
    }
}

/* --------------------------------------------------------------------------------- elementwise */

static void mul(const float *a, const float *b, int64_t n, float *y)
{
    for (int64_t i = 0; i < n; i += VW)
        store_part(y + i, v_mul(load_part(a + i, n - i), load_part(b + i, n - i)), n - i);
}

static void axpy(float s, const float *x, int64_t n, float *y)
{
    const vf f = v_set1(s);
    for (int64_t i = 0; i < n; i += VW)
        store_part(y + i, v_fma(f, load_part(x + i, n - i), load_part(y + i, n - i)), n - i);
}

static void scale_by(float s, const float *x, int64_t n, float *y)
{
    const vf f = v_set1(s);
    for (int64_t i = 0; i < n; i += VW)
        store_part(y + i, v_mul(f, load_part(x + i, n - i)), n - i);
}

static void rotate(float *x, const float *cos_sin, int64_t pairs)
{
#ifdef V_HAS_ROTATE
    for (int64_t i = 0; i < 2 * pairs; i += VW) {
        const int64_t left = 2 * pairs - i;
        store_part(x + i, v_rotate(load_part(x + i, left), load_part(cos_sin + i, left)), left);
    }
#else
    for (int64_t i = 0; i < pairs; i++) {
        const float a = x[2 * i], b = x[2 * i + 1], c = cos_sin[2 * i], s = cos_sin[2 * i + 1];
        x[2 * i] = a * c - b * s;
        x[2 * i + 1] = b * c + a * s;
    }
#endif
}

static void transpose(const float *x, int64_t ldx, int64_t rows, int64_t cols, float *y,
                      int64_t ldy)
{
    for (int64_t i = 0; i < rows; i += VW) {
        const int64_t here = least(rows - i, VW);
        for (int64_t j = 0; j < cols; j += VW)
            transpose_square(x + i * ldx + j, ldx, here, least(cols - j, VW), y + j * ldy + i, ldy,
                             here);
    }
}

/* ------------------------------------------------------------------------------------- softmax */

/* Scores times log2(e), so that 2^x serves: t->s becomes them; the largest is returned. NaN may be
 * lost in the maximum; it comes back with the sum. */
INLINE float scaled_scores(const tbi_softmax_row *t)
{
    const float log2e = 1.44269504088896341f;
    const vf scale = v_set1(t->scale * log2e);
    const vf low = v_set1(-INFINITY);
    vf peak = low;
    int64_t i = 0;
    for (; i + VW <= t->n; i += VW) {
        vf v = v_mul(v_load(t->s + i), scale);
        if (t->bias)
            v = v_fma(v_load(t->bias + i), v_set1(log2e), v);
        v_store(t->s + i, v);
        peak = v_max(peak, v);
    }
    if (i < t->n) {
        const int64_t left = t->n - i;
        vf v = v_mul(v_load_n(t->s + i, left), scale);
        if (t->bias)
            v = v_fma(v_load_n(t->bias + i, left), v_set1(log2e), v);
        v_store(t->s + i, v);
        peak = v_max(peak, v_first(v, left, low));
    }
    return v_peak(peak);
}

/* Milakov and Gimelshein, "Online normalizer calculation for softmax" (arXiv 1805.02867). */
static void softmax(const tbi_softmax_row *t)
{
    const float here = scaled_scores(t), max = here > *t->max ? here : *t->max;
    const vf peak = v_set1(max);
    vf sum = v_set1(0);
    for (int64_t i = 0; i < t->n; i += VW) {
        const vf v = v_first(v_exp2(v_sub(v_load(t->s + i), peak)), t->n - i, v_set1(0));
        v_store(t->s + i, v);
        sum = v_add(sum, v);
    }
    float more = 0;
    if (t->last_count != 1.0f) {
        float *last = &t->s[t->n - 1];
        more = *last * t->last_count - *last;
        *last += more;
    }
    if (t->o) {
        const float keep = exp2_one(*t->max - max);
        *t->sum *= keep;
        if (keep != 1.0f)
            scale_by(keep, t->o, t->d, t->o);
    }
    *t->sum += v_sum(sum) + more;
    *t->max = max;
}

const tbi_kernels KERNELS = {
    .name = KERNELS_NAME,
    .mr = MR,
    .nr = NR,
    .tile = tile,
    .tile_out = tile_out,
    .pack_rows = pack_rows,
    .pack_cols = pack_cols,
    .pack_rows_16 = pack_rows_16,
    .quantise = quantise,
    .expand_f16 = expand_f16,
    .expand_bf16 = expand_bf16,
    .layernorm = layernorm,
    .rmsnorm = rmsnorm,
    .channel_norm = channel_norm,
    .activate = activate,
    .mul = mul,
    .axpy = axpy,
    .rotate = rotate,
    .softmax = softmax,
    .scale = scale_by,
    .transpose = transpose,
};
