/* models.h - models on disk: what is there, and which of them are open.
 *
 * A model is a folder in the diffusers layout or single files. A tb_model_ref names one part of it;
 * the weights are opened when a node computes with them and dropped when memory is wanted. Threads:
 * tb_models belongs to the compute worker; probing may happen on any thread.
 */
#pragma once

#include "base/err.h"
#include "base/hash.h"
#include "base/json.h"
#include "compute/compute.h"
#include "formats/tokenizer.h"
#include "models/umt5.h"
#include "models/wan_dit.h"
#include "models/wan_vae.h"

/* What a folder or file turned out to be. Strings are owned; NULL where a part is missing. */
typedef struct tb_model_info {
    char *path;        /* as given */
    char *transformer; /* weights path of the diffusion transformer */
    char *vae;
    char *text_encoder;
    char *tokenizer;
    char *family;    /* "Wan2.1 T2V", ... from tensors and config */
    double shift;    /* scheduler's flow shift; 0 unknown */
    double guidance; /* recommended cfg; 0 unknown */
} tb_model_info;

/* TB_ENOTFOUND when nothing there is a model: says what was looked for. Reads configs and headers
 * only. */
tb_status tb_model_probe(const char *path, tb_model_info *info, tb_err *err);
void tb_model_info_clear(tb_model_info *info);
/* For `tubelet model show`: parts, files, dtypes, parameters, config, what is missing. New
 * reference. */
json_t *tb_model_describe(const char *path, tb_err *err);

typedef struct tb_models tb_models;
tb_models *tb_models_new(void);
void tb_models_free(tb_models **m);

/* Open (or find open) one part. `id` is the digest text of the part: the same id is the same
 * weights. Borrowed until the next tb_models_drop of it. */
const tb_umt5 *tb_models_umt5(tb_models *m, tb_compute *c, const char *path, const char *id,
                              tb_err *err);
const tb_tokenizer *tb_models_tokenizer(tb_models *m, const char *path, const char *id,
                                        tb_err *err);
tb_wan_dit *tb_models_dit(tb_models *m, tb_compute *c, const char *path, const char *id,
                          tb_err *err);
tb_wan_vae *tb_models_vae(tb_models *m, tb_compute *c, const char *path, const char *id,
                          tb_err *err);

/* Close everything but the parts of this kind ("dit", "vae", "umt5"; NULL: close all), e.g. the
 * text encoder before the transformer starts. */
void tb_models_drop_others(tb_models *m, const char *keep_kind);
size_t tb_models_bytes(const tb_models *m);
