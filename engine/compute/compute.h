/* compute.h - the operations models are made of.
 *
 * Audience: models/ and nodes/.
 * Units:    every pointer is f32 unless said; shapes stand in brackets, outermost first, contiguous
 *           unless a leading dimension (ld..., in elements) is an argument.
 * Threads:  call from one thread at a time per tb_compute (the compute worker); each operation
 * spreads itself over the pool. Results have the same bytes for any thread count: work is cut into
 *           pieces by shape alone.
 * Memory:   scratch comes from the compute's arena, reserved once and reused; nothing is allocated
 * in a step loop. Errors:   operations cannot fail: they work in scratch that each thread got in
 * tb_compute_new; shapes are the caller's promise (asserted). Weights report shapes and memory when
 * they are made.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

typedef struct tb_compute tb_compute;

/* threads = 0: as many as cores, at most 64.
 */
tb_compute *tb_compute_new(int threads, tb_err *err);
void tb_compute_free(tb_compute **c);
int tb_compute_threads(const tb_compute *c);

/* The numeric class: the same class promises the same bytes. Instruction set and version of our
 * kernels, which do all the sums (OpenBLAS is only a yardstick): "cpu-f32/avx512/1". Known from
 * cpuid. Static string. */
const char *tb_compute_class(void);
/* Floating-point operations a second that products of n x n matrices reach now, on all threads: the
 * best of four. n = 256 takes about a millisecond. 0: no memory. */
double tb_compute_rate(tb_compute *c, int64_t n);
/* Open OpenBLAS now. TB_ENOTFOUND names the package that brings it. */
tb_status tb_compute_blas(tb_compute *c, tb_err *err);
/* The core type OpenBLAS really runs with (loads it): "SkylakeX"; and its version text. NULL: not
 * there. */
const char *tb_compute_blas_core(tb_compute *c);
const char *tb_compute_blas_config(tb_compute *c);

/* Until tb_compute_unwatch: pieces of work that would begin when *cancel is set are left out, so
 * that even a stage of minutes ends soon. unwatch says whether some were: results since are
 * worthless. */
void tb_compute_watch(tb_compute *c, const atomic_bool *cancel);
bool tb_compute_unwatch(tb_compute *c);

/* Run fn(ctx, i) for i = 0..count-1 on the pool; returns when all are done. fn must not call back
 * into the pool. Which thread runs which piece is not fixed; `worker` is 0..threads-1. */
void tb_parallel(tb_compute *c, int64_t count, void (*fn)(void *ctx, int64_t i, int worker),
                 void *ctx);

/* Scratch for the current operation sequence: a bump arena. mark/release nest. NULL on no memory.
 */
float *tb_scratch(tb_compute *c, size_t count, tb_err *err);
size_t tb_scratch_mark(tb_compute *c);
void tb_scratch_release(tb_compute *c, size_t mark);
/* The most bytes of scratch held at once so far. */
size_t tb_scratch_peak(const tb_compute *c);

/* ------------------------------------------------------------------------------------- weights */

/* A linear layer's weight [out][in] and bias [out] (or NULL), in the layout the kernels want.
 * Packed once from any dtype, then kept until freed: f16 and bf16 stay what they are and are
 * widened where they are multiplied, with the results of their values in f32; all others become
 * f32. */
typedef struct tb_linear tb_linear;
struct tb_tensor;
tb_linear *tb_linear_new(tb_compute *c, const struct tb_tensor *weight,
                         const struct tb_tensor *bias, tb_err *err);
/* Several weights with the same `in`, one after another along out (Q, K and V as one product). */
tb_linear *tb_linear_join(tb_compute *c, int count, const struct tb_tensor *const *weights,
                          const struct tb_tensor *const *biases, tb_err *err);
/* Bytes of one of its numbers there. */
int64_t tb_linear_number_bytes(const struct tb_tensor *weight);
/* The same with weights in int8, a scale for each output, and activations in int8, a scale for each
 * row of x: four times faster where the processor has VNNI, with errors of about a hundredth of the
 * result (LLM.int8(), arXiv 2208.07339, without its outliers). The integer sums are the same on
 * every processor. A row with a NaN or an infinity gives NaN. in > 65536: f32. */
tb_linear *tb_linear_join_int8(tb_compute *c, int count, const struct tb_tensor *const *weights,
                               const struct tb_tensor *const *biases, tb_err *err);
void tb_linear_free(tb_linear **l);
int64_t tb_linear_in(const tb_linear *l);
int64_t tb_linear_out(const tb_linear *l);
size_t tb_linear_bytes(const tb_linear *l);

typedef enum tb_act {
    TB_ACT_NONE,
    TB_ACT_GELU_TANH,
    TB_ACT_GELU_ERF,
    TB_ACT_GELU_QUICK, /* x / (1 + exp(-1.702 x)): OpenAI's CLIP */
    TB_ACT_SILU
} tb_act;

/* What happens to a product before it is stored: y = act(x W^T + b); then, if `gate` or `residual`
 * is given, y = residual + y * gate (row-wise gate [out], or one gate row per token with
 * gate_stride). */
typedef struct tb_epilogue {
    tb_act act;
    const float *gate;     /* [out], NULL: 1 */
    int64_t gate_stride;   /* elements between the gates of successive rows; 0: one for all */
    const float *residual; /* [rows][out] with leading dimension ldy, may be y itself; NULL: none */
} tb_epilogue;

/* y[rows][out] = epilogue(x[rows][in] W^T + b); e may be NULL. ldx, ldy: elements between rows. */
void tb_linear_run(tb_compute *c, const tb_linear *l, const float *x, int64_t rows, int64_t ldx,
                   float *y, int64_t ldy, const tb_epilogue *e);

/* C[m][n] = alpha * A[m][k] B^T + beta * C with B stored [n][k] (trans_b) or [k][n] (not). */
void tb_gemm(tb_compute *c, bool trans_b, int64_t m, int64_t n, int64_t k, float alpha,
             const float *a, int64_t lda, const float *b, int64_t ldb, float beta, float *out,
             int64_t ldc);

/* --------------------------------------------------------------------------- norms, activations */

/* y = LN(x) * (1 + scale) + shift over the last axis, biased variance; shift/scale [dim] each or
 * NULL,
 * *_stride elements between the vectors of successive rows (0: one for all). x and y may be equal.
 */
void tb_layernorm_modulate(tb_compute *c, const float *x, int64_t rows, int64_t dim, float eps,
                           const float *shift, const float *scale, int64_t mod_stride, float *y);
/* y = LN(x) * weight + bias. */
void tb_layernorm(tb_compute *c, const float *x, int64_t rows, int64_t dim, float eps,
                  const float *weight, const float *bias, float *y);
/* y = x / sqrt(mean(x^2) + eps) * weight over the last axis, with leading dimensions. */
void tb_rmsnorm(tb_compute *c, const float *x, int64_t rows, int64_t dim, int64_t ldx, float eps,
                const float *weight, float *y, int64_t ldy);
/* y = act(x), y = a * b, y = x + a * s: elementwise over n numbers; in place allowed. */
void tb_activate(tb_compute *c, tb_act act, const float *x, int64_t n, float *y);
void tb_mul(tb_compute *c, const float *a, const float *b, int64_t n, float *y);
void tb_axpy(tb_compute *c, float s, const float *x, int64_t n, float *y);

/* Rotate pairs (2p, 2p+1) of every head in place: x [rows][heads*d] with leading dimension ldx;
 * cos_sin [rows][d/2][2]. RoFormer, interleaved form. */
void tb_rope(tb_compute *c, float *x, int64_t rows, int64_t ldx, int64_t heads, int64_t d,
             const float *cos_sin);

/* tb_rmsnorm over the heads*d numbers of each row, then tb_rope, in place and in one pass. */
void tb_rmsnorm_rope(tb_compute *c, float *x, int64_t rows, int64_t ldx, int64_t heads, int64_t d,
                     float eps, const float *weight, const float *cos_sin);

/* ------------------------------------------------------------------------------------ attention */

/* out[nq][heads*d] = softmax(scale * q k^T + bias) v for each head; q [nq][heads*d] (ldq), k, v
 * [nk][heads*d] (ldk, ldv). Blocked with online softmax (FlashAttention, arXiv 2205.14135): no full
 * score matrix.
 * bias_rel: NULL, or [heads][2*nmax-1] added to score (i,j) at index j - i + nmax - 1 (T5's
 * relative position bias). last_key_count: how often the last key counts (>= 1), for runs of equal
 * padded keys: its softmax term is multiplied by it. */
typedef struct tb_attention {
    int64_t nq, nk, heads, d;
    int64_t ldq, ldk, ldv, ldo;
    float scale;
    const float *bias_rel;
    int64_t bias_nmax;
    float last_key_count; /* 0 means 1 */
} tb_attention;
void tb_attention_run(tb_compute *c, const tb_attention *a, const float *q, const float *k,
                      const float *v, float *out);

/* -------------------------------------------------------------- channels-last video convolution */

/* Videos inside the VAE are channels-last: x [t][h][w][channels]. */
typedef struct tb_conv tb_conv;

/* weight [out][in][kt][kh][kw] (or [out][in][kh][kw], kt = 1) of any dtype; bias [out] or NULL. */
tb_conv *tb_conv_new(tb_compute *c, const struct tb_tensor *weight, const struct tb_tensor *bias,
                     tb_err *err);
void tb_conv_free(tb_conv **k);
int64_t tb_conv_in(const tb_conv *k);
int64_t tb_conv_out(const tb_conv *k);
int tb_conv_kt(const tb_conv *k);

typedef struct tb_conv_args {
    int64_t t, h, w;         /* frames, rows, columns of the input */
    const float *past;       /* [kt-1][h][w][in]: the frames before frame 0; NULL: zeros */
    int stride_t, stride_hw; /* 0 means 1 */
    /* Spatial borders of zeros: before (top, left) and after (bottom, right). */
    int pad_before, pad_after;
    bool upsample2; /* nearest 2x in height and width before the kernel, never materialised */
    const float *residual; /* added to the output, same shape; may be y; NULL: none */
} tb_conv_args;

/* y [t_out][h_out][w_out][out]; causal in time: with past, t_out = t / stride_t rounded as
 * (t + kt - 1 - kt) / stride_t + 1. h_out = (h*up + pads - kh) / stride_hw + 1. Implicit GEMM over
 * shifted rows: extra memory stays within a few row blocks. */
void tb_conv_run(tb_compute *c, const tb_conv *k, const tb_conv_args *a, const float *x, float *y);

/* y = x / max(|x|_2, 1e-12) * sqrt(channels) * gamma at every position, then SiLU if `silu`. Wan
 * VAE's RMS_norm. x, y [positions][channels]; may be equal. */
void tb_channel_norm(tb_compute *c, const float *x, int64_t positions, int64_t channels,
                     const float *gamma, bool silu, float *y);

/* [C][T][H][W] <-> [T][H][W][C]. */
void tb_to_channels_last(tb_compute *c, const float *x, int64_t channels, int64_t positions,
                         float *y);
void tb_from_channels_last(tb_compute *c, const float *x, int64_t channels, int64_t positions,
                           float *y);
