/* reuse.h - step caching: when the model's last answer still serves, as EasyCache does (Zhou et al.
 * 2507.02860), which needs no numbers fitted to a model as TeaCache (2411.19108) does.
 *
 * Between two evaluations the answer changes about k times as much as the state, where k is what
 * the last two showed. So the relative change of an answer that is not computed is estimated as
 * k mean|x' - x| / mean|v|, and summed up since the last evaluation; while the sum stays below a
 * threshold, the answer is reused. Threads: pure functions.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

typedef struct tb_reuse {
    double rate;      /* k; negative: not known yet */
    double norm;      /* mean|v| of the last evaluation */
    double change;    /* summed up since then, as far as steps were taken */
    double next;      /* what it would be if the next step reused the answer; negative: unknown */
    double worst;     /* the largest sum that was accepted */
    int64_t computed; /* steps */
    int64_t reused;
} tb_reuse;

/* mean |a - b|; b NULL: mean |a|. */
double tb_mean_change(const float *a, const float *b, int64_t n);
/* After a step that computed its answer v at x; v_before at x_before: those of the last evaluation,
 * NULL: none. */
void tb_reuse_computed(tb_reuse *r, const float *x, const float *v, const float *x_before,
                       const float *v_before, int64_t n);
/* After a step that took the answer from the cache. */
void tb_reuse_reused(tb_reuse *r);
/* The step led from x to x_next: what reusing the answer there would be accounted. */
void tb_reuse_predict(tb_reuse *r, const float *x, const float *x_next, int64_t n);
