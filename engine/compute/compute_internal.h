/* compute_internal.h - what the files of compute/ share. */
#pragma once

#include "base/mem.h"
#include "compute/compute.h"
#include "compute/cpu/kernels.h"
#include "compute/mode.h"
#include "compute/pool.h"
#include "compute/tensor.h"

/* Floats of private scratch a worker has inside one operation: 4 MiB. */
#define TBI_WORKER_FLOATS ((int64_t)1 << 20)
#define TBI_ROWS8_BYTES   ((int64_t)64 << 20)

struct tb_compute {
    const tbi_kernels *k;
    tbi_pool *pool;
    tb_mode mode;
    float *worker_scratch; /* [threads][TBI_WORKER_FLOATS] */
    uint8_t *rows8;        /* quantised rows of an int8 linear, given memory when touched */
    int64_t rows8_bytes;   /* at least one row of the longest */
    char *arena;           /* address space, given memory when touched */
    size_t arena_size, arena_used, arena_peak;
    /* Told of every product an operation stands for (benchmarks); NULL: nobody asks. */
    void (*product)(void *ctx, int64_t m, int64_t n, int64_t k, int64_t times);
    void *product_ctx;
};

/* An operation does `times` products [m][k] x [k][n]. */
static inline void tbi_tell(const tb_compute *c, int64_t m, int64_t n, int64_t k, int64_t times)
{
    if (c->product && times > 0)
        c->product(c->product_ctx, m, n, k, times);
}

/* With a named kernel set ("plain", "avx2", "avx512"), for tests and benchmarks. */
tb_compute *tbi_compute_new_with(const tbi_kernels *k, int threads, tb_err *err);

struct tb_tensor;
/* tb_tensor_to_f32, on the pool. */
struct tb_tensor *tbi_to_f32(tb_compute *c, const struct tb_tensor *t, tb_err *err);

static inline float *tbi_worker_scratch(const tb_compute *c, int worker)
{
    return c->worker_scratch + worker * TBI_WORKER_FLOATS;
}

static inline int64_t tbi_ceil_div(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

static inline int64_t tbi_min(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Piece i of `total` things cut into `pieces` runs whose lengths differ by one at most. */
typedef struct tbi_span {
    int64_t from, count;
} tbi_span;

static inline tbi_span tbi_cut(int64_t total, int64_t pieces, int64_t i)
{
    const int64_t each = total / pieces, more = total % pieces;
    return (tbi_span){ i * each + tbi_min(i, more), each + (i < more) };
}

/* A weight matrix [out][in] as panels [in][nr] of nr outputs each, the last filled with zeros. */
typedef struct tbi_panels {
    int64_t in, out, count;
    tb_dtype dtype; /* TB_F32, or TB_F16 or TB_BF16: expanded to f32 where it is used */
    size_t bytes;
    void *data;
} tbi_panels;

/* False with TB_ENOMEM when memory is refused. */
bool tbi_panels_init(tbi_panels *p, const tbi_kernels *k, tb_dtype dtype, int64_t out, int64_t in,
                     tb_err *err);
/* Fill outputs [at, at + count) from rows [count][in] of the panels' dtype, on the pool; ascending
 * `at`, without gaps. */
void tbi_panels_fill(const tbi_panels *p, tb_compute *c, int64_t at, int64_t count,
                     const void *rows);
void tbi_panels_fini(tbi_panels *p);
