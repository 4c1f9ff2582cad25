/* records.c - fields of LATENT, CONDITIONING and SIGMAS records, checked. */
#include "graph/records.h"

#include <limits.h>
#include <string.h>

int64_t tb_record_int(const tb_value *record, const char *name, int64_t missing)
{
    const tb_value *v = tb_record_get(record, name);
    return v && tb_value_kind(v) == TB_INT ? tb_value_as_int(v) : missing;
}

double tb_record_number(const tb_value *record, const char *name, double missing)
{
    const tb_value *v = tb_record_get(record, name);
    const bool number = v && (tb_value_kind(v) == TB_INT || tb_value_kind(v) == TB_FLOAT);
    return number ? tb_value_as_float(v) : missing;
}

bool tb_record_flag(const tb_value *record, const char *name, bool missing)
{
    const tb_value *v = tb_record_get(record, name);
    return v && tb_value_kind(v) == TB_BOOLEAN ? tb_value_as_bool(v) : missing;
}

const char *tb_record_text(const tb_value *record, const char *name, const char *missing)
{
    const tb_value *v = tb_record_get(record, name);
    return v && tb_value_kind(v) == TB_STRING ? tb_value_as_string(v) : missing;
}

const tb_tensor *tb_record_f32(const tb_value *record, const char *what, const char *name, int rank,
                               tb_err *err)
{
    char text[128];
    const tb_tensor *t = tb_record_tensor(record, name);
    if (!t) {
        tb_err_set(err, TB_EINVAL, "%s has no tensor '%s'", what, name);
        return NULL;
    }
    if (tb_tensor_dtype(t) == TB_F32 && tb_tensor_shape(t)->n == rank && tb_tensor_count(t) > 0)
        return t;
    tb_err_set(err, TB_EINVAL, "'%s' of %s must be F32 with %d dimensions, got %s %s", name, what,
               rank, tb_dtype_name(tb_tensor_dtype(t)),
               tb_shape_text(tb_tensor_shape(t), text, sizeof text));
    return NULL;
}

tb_status tb_record_f32_like(const tb_value *record, const char *what, const char *name,
                             const tb_shape *shape, const tb_tensor **t, tb_err *err)
{
    char got[128], want[128];
    *t = tb_record_tensor(record, name);
    if (!*t ||
        (tb_tensor_dtype(*t) == TB_F32 && (!shape || tb_shape_eq(tb_tensor_shape(*t), shape))))
        return TB_OK;
    return tb_err_set(err, TB_EINVAL, "'%s' of %s must be F32 %s, got %s %s", name, what,
                      shape ? tb_shape_text(shape, want, sizeof want) : "",
                      tb_dtype_name(tb_tensor_dtype(*t)),
                      tb_shape_text(tb_tensor_shape(*t), got, sizeof got));
}

void tb_latent_forget(tb_value *latent)
{
    static const char *const remembered[] = { "x0",      "x0_1",    "hat",   "slope_1",
                                              "slope_2", "slope_3", "cache", "guidance_average" };
    for (size_t i = 0; i < sizeof remembered / sizeof *remembered; i++)
        if (tb_record_get(latent, remembered[i]))
            tb_record_set_take(latent, remembered[i], tb_value_none());
}

tb_status tb_latent_cached(const tb_value *latent, const tb_shape *shape, tb_cached *c, tb_err *err)
{
    const tb_value *v = latent ? tb_record_get(latent, "cache") : NULL;
    *c = (tb_cached){ .rate = -1, .next = -1 };
    if (!v || tb_value_kind(v) != TB_RECORD)
        return TB_OK;
    TB_TRY(tb_record_f32_like(v, "the latent's cache", "state", shape, &c->state, err));
    TB_TRY(tb_record_f32_like(v, "the latent's cache", "cond", shape, &c->cond, err));
    TB_TRY(tb_record_f32_like(v, "the latent's cache", "uncond", shape, &c->uncond, err));
    c->rate = tb_record_number(v, "rate", -1);
    c->norm = tb_record_number(v, "norm", 0);
    c->change = tb_record_number(v, "change", 0);
    c->next = tb_record_number(v, "next", -1);
    c->worst = tb_record_number(v, "worst", 0);
    c->computed = tb_record_int(v, "computed", 0);
    c->reused = tb_record_int(v, "reused", 0);
    return TB_OK;
}

bool tb_cached_serves(const tb_cached *c, double threshold)
{
    return c->state && c->cond && c->next >= 0 && c->next < threshold;
}

tb_status tb_conditioning_known(const tb_value *conditioning, const tb_shape *latent, tb_known *k,
                                tb_err *err)
{
    const tb_shape cells = TB_SHAPE(latent->d[1], latent->d[2], latent->d[3]);
    const tb_tensor *known, *mask, *each;
    *k = (tb_known){ 0 };
    if (!conditioning)
        return TB_OK;
    TB_TRY(tb_record_f32_like(conditioning, "the conditioning", "known", latent, &known, err));
    TB_TRY(tb_record_f32_like(conditioning, "the conditioning", "mask", &cells, &mask, err));
    if (!known != !mask)
        return tb_err_set(err, TB_EINVAL,
                          "the conditioning has known latents or a mask, but not both");
    if (!known)
        return TB_OK;
    TB_TRY(tb_record_f32_like(conditioning, "the conditioning", "mask_frames", NULL, &each, err));
    const int64_t stride = each ? tb_tensor_dim(each, 0) : 0;
    const tb_shape wanted = TB_SHAPE(stride, cells.d[0], cells.d[1], cells.d[2]);
    if (each && !tb_shape_eq(tb_tensor_shape(each), &wanted))
        return tb_err_set(err, TB_EINVAL,
                          "'mask_frames' of the conditioning must be [stride,frames,rows,columns] "
                          "of its mask; take it from condition");
    k->mask_frames = each ? tb_tensor_f32(each) : NULL;
    k->stride = stride;
    k->known = tb_tensor_f32(known);
    k->mask = tb_tensor_f32(mask);
    k->hold = tb_record_flag(conditioning, "hold", true);
    k->keep = tb_record_flag(conditioning, "keep", false);
    return TB_OK;
}

static const double *numbers(const tb_value *v, const char *name, int64_t count)
{
    const tb_tensor *t = tb_record_tensor(v, name);
    return t && tb_tensor_dtype(t) == TB_F64 && tb_tensor_count(t) == count ? tb_tensor_data(t)
                                                                            : NULL;
}

tb_status tb_sigmas_read(const tb_value *v, tb_sigmas *s, tb_err *err)
{
    const tb_tensor *t = tb_record_tensor(v, "sigmas");
    const int64_t n = t ? tb_tensor_count(t) - 1 : 0;
    *s = (tb_sigmas){ .betas = strcmp(tb_record_text(v, "kind", ""), "betas") == 0,
                      .shift = tb_record_number(v, "shift", 0) };
    if (n > 0 && n <= INT_MAX) {
        s->steps = (int)n;
        s->sigma = numbers(v, "sigmas", n + 1);
        s->timestep = numbers(v, "timesteps", n);
        s->beta = s->betas ? numbers(v, "betas", n) : NULL;
    }
    if (!s->sigma || !s->timestep || (s->betas && !s->beta))
        return tb_err_set(
            err, TB_EINVAL,
            "sigmas must hold F64 tables: sigmas [n+1], timesteps [n] and, for betas, "
            "betas [n]; take them from a schedule node");
    return TB_OK;
}
