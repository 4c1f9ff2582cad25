/* attention.c - softmax(q k^T) v by blocks of queries and keys with online softmax: no full score
 * matrix (Dao et al., arXiv 2205.14135).
 *
 * A piece is one head and one block of queries. It packs each block of keys and values into its
 * worker's scratch; beside a block of about 112 queries that costs a few per cent, and no memory
 * grows with the length.
 */
#include <assert.h>
#include <math.h>

#include "compute/compute_internal.h"

enum {
    QUERIES_LARGE = 112,
    QUERIES_SMALL = 42,
    PIECES_WANTED = 16,
    KEYS = 256,
    SCRATCH_KEYS_AND_VALUES =
        1 << 18, /* floats for one packed block of each: 1 MiB together with the other */
};

typedef struct attention_job {
    tb_compute *c;
    tb_attention a;
    const float *q, *k, *v;
    float *out;
    int64_t q_blocks, keys; /* keys in a block: a multiple of nr */
} attention_job;

/* A worker's scratch for one piece. */
typedef struct block {
    float *keys;   /* panels of nr keys: [d][nr] each */
    float *values; /* panels of nr of d: [keys][nr] each */
    float *scores; /* [queries][ld_scores] */
    float *o;      /* [queries][ld_o] */
    float *max, *sum;
    int64_t ld_scores, ld_o;
} block;

static block lay_out(const attention_job *j, float *at)
{
    const int64_t nr = j->c->k->nr, d = tbi_ceil_div(j->a.d, nr) * nr;
    block b = { .ld_scores = j->keys, .ld_o = d };
    b.keys = at;
    b.values = b.keys + j->keys * j->a.d;
    b.scores = b.values + j->keys * d;
    b.o = b.scores + QUERIES_LARGE * b.ld_scores;
    b.max = b.o + QUERIES_LARGE * b.ld_o;
    b.sum = b.max + QUERIES_LARGE;
    return b;
}

static void pack_block(const attention_job *j, const block *b, int64_t head, tbi_span keys)
{
    const tbi_kernels *k = j->c->k;
    const int64_t d = j->a.d, nr = k->nr;
    const float *key = j->k + keys.from * j->a.ldk + head * d,
                *value = j->v + keys.from * j->a.ldv + head * d;
    for (int64_t at = 0; at < keys.count; at += nr)
        k->pack_rows(key + at * j->a.ldk, j->a.ldk, tbi_min(nr, keys.count - at), d,
                     b->keys + at * d);
    for (int64_t at = 0; at < d; at += nr)
        k->pack_cols(value + at, j->a.ldv, tbi_min(nr, d - at), keys.count,
                     b->values + at * keys.count);
}

static void softmax_rows(const attention_job *j, const block *b, int64_t head, tbi_span queries,
                         tbi_span keys, bool first)
{
    const bool has_last = keys.from + keys.count == j->a.nk;
    for (int64_t r = 0; r < queries.count; r++) {
        const float *bias = j->a.bias_rel;
        if (bias)
            bias += head * (2 * j->a.bias_nmax - 1) + keys.from - (queries.from + r) +
                    j->a.bias_nmax - 1;
        const tbi_softmax_row row = {
            .s = b->scores + r * b->ld_scores,
            .n = keys.count,
            .scale = j->a.scale,
            .bias = bias,
            .last_count = has_last && j->a.last_key_count > 0 ? j->a.last_key_count : 1,
            .max = b->max + r,
            .sum = b->sum + r,
            .o = first ? NULL : b->o + r * b->ld_o,
            .d = j->a.d,
        };
        j->c->k->softmax(&row);
    }
}

/* Rows [queries] of A times every panel, cut into tiles. */
static void product(const tbi_kernels *k, const float *a, int64_t lda, int64_t rows, int64_t cols,
                    int64_t depth, const float *panels, float *y, int64_t ldy, bool first)
{
    const int64_t tiles = tbi_ceil_div(rows, k->mr), zero = 0;
    for (int64_t at = 0; at < cols; at += k->nr) {
        for (int64_t i = 0; i < tiles; i++) {
            const tbi_span span = tbi_cut(rows, tiles, i);
            const tbi_tile t = {
                .rows = (int)span.count,
                .cols = (int)tbi_min(k->nr, cols - at),
                .a = a + span.from * lda,
                .lda = lda,
                .seg = &zero,
                .segs = 1,
                .k_seg = depth,
                .panel = panels + at * depth,
                .ahead = panels + at * depth,
                .acc = y + span.from * ldy + at,
                .ld_acc = ldy,
                .first = first,
            };
            k->tile(&t);
        }
    }
}

static void store(const attention_job *j, const block *b, int64_t head, tbi_span queries)
{
    for (int64_t r = 0; r < queries.count; r++)
        j->c->k->scale(1.0f / b->sum[r], b->o + r * b->ld_o, j->a.d,
                       j->out + (queries.from + r) * j->a.ldo + head * j->a.d);
}

static void attention_piece(void *ctx, int64_t i, int worker)
{
    const attention_job *j = ctx;
    const int64_t head = i / j->q_blocks, d = j->a.d;
    const tbi_span queries = tbi_cut(j->a.nq, j->q_blocks, i % j->q_blocks);
    const block b = lay_out(j, tbi_worker_scratch(j->c, worker));
    for (int64_t r = 0; r < queries.count; r++) {
        b.max[r] = -INFINITY;
        b.sum[r] = 0;
    }
    for (int64_t from = 0; from < j->a.nk; from += j->keys) {
        const tbi_span keys = { from, tbi_min(j->keys, j->a.nk - from) };
        pack_block(j, &b, head, keys);
        product(j->c->k, j->q + queries.from * j->a.ldq + head * d, j->a.ldq, queries.count,
                keys.count, d, b.keys, b.scores, b.ld_scores, true);
        softmax_rows(j, &b, head, queries, keys, from == 0);
        product(j->c->k, b.scores, b.ld_scores, queries.count, d, keys.count, b.values, b.o, b.ld_o,
                from == 0);
    }
    store(j, &b, head, queries);
}

void tb_attention_run(tb_compute *c, const tb_attention *a, const float *q, const float *k,
                      const float *v, float *out)
{
    const int64_t nr = c->k->nr, d = tbi_ceil_div(a->d, nr) * nr;
    assert(a->nk >= 1 && a->d >= 1 && d <= 4096 && a->nq >= 0);
    assert(!a->bias_rel || (a->nq <= a->bias_nmax && a->nk <= a->bias_nmax));
    attention_job j = { .c = c, .a = *a, .q = q, .k = k, .v = v, .out = out };
    const int64_t fit = SCRATCH_KEYS_AND_VALUES / (2 * d) / nr * nr;
    j.keys = tbi_min(KEYS, fit > nr ? fit : nr);
    j.q_blocks = tbi_ceil_div(a->nq, QUERIES_LARGE);
    if (j.q_blocks * a->heads < PIECES_WANTED)
        j.q_blocks = tbi_ceil_div(a->nq, QUERIES_SMALL);
    tbi_tell(c, a->nq, a->nk, a->d, a->heads);
    tbi_tell(c, a->nq, a->d, a->nk, a->heads);
    tb_parallel(c, j.q_blocks * a->heads, attention_piece, &j);
}
