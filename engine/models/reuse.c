/* reuse.c - the accounts of step caching. */
#include "models/reuse.h"

#include <math.h>
#include <stddef.h>

double tb_mean_change(const float *a, const float *b, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += fabs((double)a[i] - (b ? (double)b[i] : 0));
    return n > 0 ? sum / (double)n : 0;
}

void tb_reuse_computed(tb_reuse *r, const float *x, const float *v, const float *x_before,
                       const float *v_before, int64_t n)
{
    const double moved = x_before ? tb_mean_change(x, x_before, n) : 0;
    r->rate = v_before && moved > 0 ? tb_mean_change(v, v_before, n) / moved : -1;
    r->norm = tb_mean_change(v, NULL, n);
    r->change = 0;
    r->computed++;
}

void tb_reuse_reused(tb_reuse *r)
{
    r->change = r->next;
    r->worst = fmax(r->worst, r->change);
    r->reused++;
}

void tb_reuse_predict(tb_reuse *r, const float *x, const float *x_next, int64_t n)
{
    const bool known = r->rate >= 0 && r->norm > 0;
    r->next = known ? r->change + r->rate * tb_mean_change(x_next, x, n) / r->norm : -1;
}
