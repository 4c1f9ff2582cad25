/* records.h - reading the records that nodes of a diffusion pipeline exchange.
 *
 *   LATENT        samples f32 [C,T,H,W]; noise the same shape; seed INT; state STRING: "noise"
 *                 (nothing but noise), "clean" (no noise in it) or "partial"; latent_rgb LIST: how
 *                 it looks (models/latent_rgb.h), where the model says so; and what later steps
 *                 remember (tb_latent_forget): x0, x0_1 clean estimates of the last steps, slope_1,
 *                 slope_2, slope_3 the model's answers in them, hat of UniPC, guidance_average of
 *                 guidance_apg, cache of step caching
 *   CONDITIONING  text f32 [tokens,dim]; image f32 [rows,dim]; known f32 [C,T,H,W]; mask f32
 *                 [T,H,W], 1 where known; hold BOOLEAN: the state keeps to known latents; keep
 *                 BOOLEAN: the model is shown known latents also where the mask is 0;
 *                 mask_frames f32 [stride,T,H,W], where video frames under one latent frame differ
 *   CLIP_VISION_OUTPUT  features f32 [rows,dim] of an image; none where no transformer reads them
 *   SIGMAS        kind STRING "flow"|"betas"; sigmas f64 [n+1]; timesteps f64 [n]; betas f64 [n];
 *                 shift FLOAT: of a flow, where it is known
 *
 * Everything returned is borrowed from the value. A script may make any record, so all is checked.
 */
#pragma once

#include "graph/value.h"

/* A field, or `missing` when it is not there or of another kind. */
int64_t tb_record_int(const tb_value *record, const char *name, int64_t missing);
double tb_record_number(const tb_value *record, const char *name, double missing);
bool tb_record_flag(const tb_value *record, const char *name, bool missing);
const char *tb_record_text(const tb_value *record, const char *name, const char *missing);

/* An f32 tensor of that rank; NULL with TB_EINVAL naming what is wrong. `what` is the record's
 * role. */
const tb_tensor *tb_record_f32(const tb_value *record, const char *what, const char *name, int rank,
                               tb_err *err);
/* The same where the field may be absent: NULL and TB_OK then. `shape` NULL: any. */
tb_status tb_record_f32_like(const tb_value *record, const char *what, const char *name,
                             const tb_shape *shape, const tb_tensor **t, tb_err *err);

/* Drop what steps remember of those before them: the next one begins anew. */
void tb_latent_forget(tb_value *latent);

/* What step caching remembers (models/reuse.h): the field `cache` of a LATENT, a record of numbers
 * and, until the last step, of tensors: state, cond, uncond, the last ones that were computed.
 * Zeros and NULL where there is none. */
typedef struct tb_cached {
    const tb_tensor *state, *cond, *uncond;
    double rate, norm, change, next, worst;
    int64_t computed, reused;
} tb_cached;
tb_status tb_latent_cached(const tb_value *latent, const tb_shape *shape, tb_cached *c,
                           tb_err *err);
/* Does the cached answer serve a step at this threshold? */
bool tb_cached_serves(const tb_cached *c, double threshold);

/* Known latents of a CONDITIONING, for a latent of this shape. known NULL: none. */
typedef struct tb_known {
    const float *known;       /* [C,T,H,W] */
    const float *mask;        /* [T,H,W] */
    const float *mask_frames; /* [stride][T,H,W]; NULL: all are as the mask */
    int64_t stride;
    bool hold, keep;
} tb_known;
tb_status tb_conditioning_known(const tb_value *conditioning, const tb_shape *latent, tb_known *k,
                                tb_err *err);

typedef struct tb_sigmas {
    bool betas;
    int steps;
    const double *sigma, *timestep, *beta; /* beta NULL for flow */
    double shift;                          /* 0: not known */
} tb_sigmas;
tb_status tb_sigmas_read(const tb_value *v, tb_sigmas *s, tb_err *err);
