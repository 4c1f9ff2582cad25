/* lora_merge.c - LoRAs against the weights of a transformer: do they fit, and their sum. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "models/lora_internal.h"

static const lora_target *find(const tb_lora *l, const char *flat)
{
    const int64_t i = tb_map_get(l->by_flat, flat);
    return i >= 0 ? &l->targets[i] : NULL;
}

static bool changes(const lora_target *t, bool bias)
{
    return bias ? t->part[LORA_UP_BIAS] || t->part[LORA_DIFF_BIAS]
                : t->part[LORA_DOWN] || t->part[LORA_DIFF];
}

/* ----------------------------------------------------------------------------------------- fit */

static tb_status refuse_shape(const tb_lora *l, const lora_target *t, const tb_tensor *part,
                              const tb_tensor *have, tb_err *err)
{
    char a[128], b[128];
    return tb_err_set(err, TB_EINVAL,
                      "'%s' was made for another model: its tensor for '%.120s' is %s, which does "
                      "not fit %s of the transformer",
                      l->path, t->name, tb_shape_text(tb_tensor_shape(part), a, sizeof a),
                      tb_shape_text(tb_tensor_shape(have), b, sizeof b));
}

/* Counts decide: a 1x1 kernel may stand for a matrix. */
static tb_status check_matrices(const tb_lora *l, const lora_target *t, const tb_tensor *weight,
                                tb_err *err)
{
    const tb_tensor *down = t->part[LORA_DOWN], *up = t->part[LORA_UP];
    const int64_t out = tb_tensor_dim(weight, 0), rank = tb_tensor_dim(down, 0);
    if (tb_tensor_dim(up, 0) != out)
        return refuse_shape(l, t, up, weight, err);
    if (tb_tensor_count(down) / rank * out != tb_tensor_count(weight))
        return refuse_shape(l, t, down, weight, err);
    return TB_OK;
}

static tb_status check_count(const tb_lora *l, const lora_target *t, lora_part part,
                             const tb_tensor *have, tb_err *err)
{
    if (!t->part[part] || tb_tensor_count(t->part[part]) == tb_tensor_count(have))
        return TB_OK;
    return refuse_shape(l, t, t->part[part], have, err);
}

static tb_status check_shapes(const tb_lora *l, const lora_target *t, bool bias,
                              const tb_tensor *have, tb_err *err)
{
    if (bias) {
        TB_TRY(check_count(l, t, LORA_UP_BIAS, have, err));
        return check_count(l, t, LORA_DIFF_BIAS, have, err);
    }
    if (t->part[LORA_DOWN])
        TB_TRY(check_matrices(l, t, have, err));
    return check_count(l, t, LORA_DIFF, have, err);
}

/* there[i][bias]: that tensor of target i is in the transformer. */
static tb_status look_up(const tb_lora *l, const tb_weights *w, bool (*there)[2], tb_err *err)
{
    char flat[DIT_NAME_SIZE];
    for (int i = 0; i < tb_weights_count(w); i++) {
        const bool bias = tbi_dit_flat_module(tb_weights_name(w, i), flat);
        const lora_target *t = find(l, flat);
        if (!t || !changes(t, bias))
            continue;
        TB_TRY(check_shapes(l, t, bias, tb_weights_at(w, i), err));
        there[t - l->targets][bias] = true;
    }
    return TB_OK;
}

tb_status tb_lora_fit_to(const tb_lora *l, const tb_weights *w, tb_lora_fit *fit, tb_err *err)
{
    bool(*there)[2] = tb_xcalloc((size_t)l->count, sizeof *there);
    const tb_status st = look_up(l, w, there, err);
    *fit = (tb_lora_fit){ 0 };
    for (int i = 0; i < l->count; i++) {
        const lora_target *t = &l->targets[i];
        const bool all = there[i][0] == changes(t, false) && there[i][1] == changes(t, true);
        fit->matched += all;
        fit->unmatched += !all;
        fit->first = all || fit->first ? fit->first : t->name;
    }
    free(there);
    TB_TRY(st);
    if (fit->matched)
        return TB_OK;
    return tb_err_set(err, TB_EINVAL,
                      "'%s' was made for another model: the transformer '%s' has none of its %d "
                      "targets, the first of which is '%.120s'",
                      l->path, tb_weights_path(w), l->count, fit->first);
}

/* --------------------------------------------------------------------------------------- merge */

static double scale_of(const tb_lora *l, const lora_target *t)
{
    const double rank = (double)tb_tensor_dim(t->part[LORA_DOWN], 0);
    return isnan(t->alpha) ? 1 : t->alpha / (l->rank_root ? sqrt(rank) : rank);
}

/* weight [out][in] += scale * up * down. */
static tb_status add_product(const lora_target *t, tb_compute *c, double scale, tb_tensor *weight,
                             tb_err *err)
{
    const int64_t rank = tb_tensor_dim(t->part[LORA_DOWN], 0), out = tb_tensor_dim(weight, 0),
                  in = tb_tensor_count(weight) / out;
    tb_tensor *up = tb_tensor_to_f32(t->part[LORA_UP], err);
    tb_tensor *down = tb_tensor_to_f32(t->part[LORA_DOWN], err);
    if (up && down)
        tb_gemm(c, false, out, in, rank, (float)scale, tb_tensor_f32(up), rank, tb_tensor_f32(down),
                in, 1, tb_tensor_f32_mut(weight), in);
    const tb_status st = up && down ? TB_OK : TB_ENOMEM;
    tb_tensor_unref(&up);
    tb_tensor_unref(&down);
    return st;
}

static tb_status add_difference(const tb_tensor *part, double scale, tb_tensor *to, tb_err *err)
{
    if (!part)
        return TB_OK;
    tb_tensor *d = tb_tensor_to_f32(part, err);
    if (!d)
        return TB_ENOMEM;
    const float *from = tb_tensor_f32(d);
    float *x = tb_tensor_f32_mut(to);
    for (int64_t i = 0; i < tb_tensor_count(to); i++)
        x[i] += (float)(scale * (double)from[i]);
    tb_tensor_unref(&d);
    return TB_OK;
}

static tb_status add_target(const tb_lora_use *use, const lora_target *t, bool bias, tb_compute *c,
                            tb_tensor *to, tb_err *err)
{
    const double scale = t->part[LORA_DOWN] ? use->strength * scale_of(use->lora, t) : 0;
    TB_TRY(check_shapes(use->lora, t, bias, to, err));
    if (bias) {
        TB_TRY(add_difference(t->part[LORA_UP_BIAS], scale, to, err));
        return add_difference(t->part[LORA_DIFF_BIAS], use->strength, to, err);
    }
    if (t->part[LORA_DOWN])
        TB_TRY(add_product(t, c, scale, to, err));
    return add_difference(t->part[LORA_DIFF], use->strength, to, err);
}

/* A tensor of our own to write into. */
static tb_status make_own(tb_tensor **t, tb_err *err)
{
    tb_tensor *from = tb_tensor_to_f32(*t, err);
    tb_tensor *own = from ? tb_tensor_new(TB_F32, tb_tensor_shape(from), err) : NULL;
    if (own) {
        memcpy(tb_tensor_f32_mut(own), tb_tensor_f32(from), tb_tensor_bytes(from));
        tb_tensor_forget(*t);
        tb_tensor_unref(t);
        *t = own;
    }
    tb_tensor_unref(&from);
    return own ? TB_OK : TB_ENOMEM;
}

tb_status tb_lora_merge(const tb_lora_use *uses, int count, tb_compute *c, const char *name,
                        tb_tensor **t, tb_err *err)
{
    char flat[DIT_NAME_SIZE];
    bool own = false;
    const bool bias = count > 0 && tbi_dit_flat_module(name, flat);
    for (int i = 0; i < count; i++) {
        const lora_target *target = find(uses[i].lora, flat);
        if (!target || uses[i].strength == 0 || !changes(target, bias))
            continue;
        if (!own)
            TB_TRY(make_own(t, err));
        own = true;
        TB_TRY(add_target(&uses[i], target, bias, c, *t, err));
    }
    return TB_OK;
}
