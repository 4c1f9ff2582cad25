/* node.c - what node.h offers beyond the scheduler: the models an engine has open, and the memory
 * that running them takes. */
#include "node.h"

#include "graph/records.h"
#include "models/models.h"
#include "models/models_cost.h"

static void *make_models(void)
{
    return tb_models_new();
}

static void drop_models(void *p)
{
    tb_models *m = p;
    tb_models_free(&m);
}

struct tb_models *tb_job_models(tb_job *job)
{
    return tb_job_shared(job, make_models, drop_models);
}

const char *tb_part_id(const tb_value *part)
{
    const char *id = tb_record_text(part, "id", "");
    return *id ? id : tb_record_text(part, "path", "");
}

tb_status tb_job_check_part(tb_job *job, const tb_value *part, tb_err *err)
{
    return tb_models_check(tb_job_models(job), tb_part_id(part), err);
}

void tb_job_make_room(tb_job *job, const tb_value *part, size_t bytes)
{
    tb_models *m = tb_job_models(job);
    const char *id = tb_part_id(part);
    tb_models_set_budget(m, tb_job_memory_limit(job));
    tb_models_make_room(m, id, bytes);
    tb_models_expect(m, id, tb_record_text(part, "stamp", ""));
}

/* ------------------------------------------------------------------------------------- memory */

enum { MOST_WIDTH = 1 << 20, MOST_LAYERS = 1 << 10, MOST_TOKENS = 1 << 16 };

/* A script may write any number into a record: sums of these do not overflow. */
static int64_t size_of(const tb_value *record, const char *name, int64_t most)
{
    const int64_t n = tb_record_int(record, name, 0);
    return n < 0 ? 0 : n < most ? n : most;
}

static int64_t bytes_in(const tb_value *record, const char *name)
{
    return size_of(record, name, INT64_C(1) << 50);
}

static tb_dit_sizes dit_of(const tb_value *model)
{
    return (tb_dit_sizes){ .dim = size_of(model, "dim", MOST_WIDTH),
                           .ffn_dim = size_of(model, "ffn_dim", MOST_WIDTH),
                           .heads = size_of(model, "heads", MOST_WIDTH),
                           .layers = size_of(model, "layers", MOST_LAYERS),
                           .in_channels = size_of(model, "in_channels", MOST_WIDTH),
                           .latent_channels = size_of(model, "latent_channels", MOST_WIDTH),
                           .text_dim = size_of(model, "text_dim", MOST_WIDTH),
                           .text_len = size_of(model, "text_len", MOST_TOKENS),
                           .image_dim = size_of(model, "image_dim", MOST_WIDTH),
                           .image_rows = size_of(model, "image_rows", MOST_TOKENS),
                           .weight_bytes = bytes_in(model, "weight_bytes"),
                           .int8_bytes = bytes_in(model, "int8_bytes") };
}

size_t tb_bytes_of_dit(const tb_job *job, const tb_value *model, const tb_shape *latent)
{
    const tb_dit_sizes s = dit_of(model);
    const tb_wan_dit_config k = tb_model_dit_config(&s);
    const bool int8 = tb_job_in_int8(job) && s.int8_bytes;
    return (size_t)(int8 ? s.int8_bytes : s.weight_bytes) +
           tb_wan_dit_scratch(&k, latent->d[1], latent->d[2], latent->d[3]);
}

size_t tb_bytes_of_umt5(const tb_value *clip)
{
    const tb_umt5_config k = { .dim = size_of(clip, "text_dim", MOST_WIDTH),
                               .d_ff = size_of(clip, "ffn_dim", MOST_WIDTH),
                               .heads = size_of(clip, "heads", MOST_LAYERS),
                               .d_kv = size_of(clip, "head_dim", MOST_LAYERS),
                               .layers = size_of(clip, "layers", MOST_LAYERS),
                               .layer_bytes = bytes_in(clip, "layer_bytes") };
    return tb_umt5_memory(&k, size_of(clip, "text_len", MOST_TOKENS));
}

static tb_clip_vision_config clip_vision_of(const tb_value *clip_vision)
{
    return (tb_clip_vision_config){ .dim = size_of(clip_vision, "dim", MOST_WIDTH),
                                    .ffn_dim = size_of(clip_vision, "ffn_dim", MOST_WIDTH),
                                    .layers = size_of(clip_vision, "layers", MOST_LAYERS),
                                    .patch = size_of(clip_vision, "patch", MOST_LAYERS),
                                    .image = size_of(clip_vision, "image", MOST_TOKENS),
                                    .tokens = size_of(clip_vision, "tokens", MOST_TOKENS),
                                    .layer_bytes = bytes_in(clip_vision, "layer_bytes") };
}

size_t tb_bytes_of_clip_vision(const tb_value *clip_vision)
{
    const tb_clip_vision_config k = clip_vision_of(clip_vision);
    return tb_clip_vision_memory(&k);
}

size_t tb_bytes_of_vae(const tb_value *vae, bool encode, const tb_shape *latent)
{
    const tb_wan_vae_config k = { .stride_t = size_of(vae, "stride_t", MOST_LAYERS),
                                  .stride_hw = size_of(vae, "stride_hw", MOST_LAYERS),
                                  .patch = size_of(vae, "patch", 2) == 2 ? 2 : 1,
                                  .dim = size_of(vae, "dim", MOST_LAYERS),
                                  .dec_dim = size_of(vae, "dec_dim", MOST_LAYERS) };
    return (size_t)bytes_in(vae, "weight_bytes") +
           tb_wan_vae_scratch(&k, encode, latent->d[1], latent->d[2], latent->d[3]);
}

/* --------------------------------------------------------------------------------------- time */

double tb_flop_of_dit(const tb_job *job, const tb_value *model, const tb_shape *latent)
{
    const tb_dit_sizes s = dit_of(model);
    const double flop = tb_model_dit_flop(&s, latent->d[1], latent->d[2], latent->d[3]);
    return tb_job_in_int8(job) ? flop / 3 : flop; /* as measured: docs/performance.md */
}

double tb_flop_of_vae(const tb_value *vae, bool encode, const tb_shape *latent)
{
    const int64_t cell = size_of(vae, encode ? "encode_flop" : "decode_flop", INT64_C(1) << 50);
    const int64_t stride = size_of(vae, "stride_t", MOST_LAYERS);
    const double frames = (double)((latent->d[1] - 1) * stride + 1);
    return (double)cell * frames * (double)(latent->d[2] * latent->d[3]);
}

double tb_flop_of_clip_vision(const tb_value *clip_vision)
{
    const tb_clip_vision_config k = clip_vision_of(clip_vision);
    return tb_model_image_flop(&k);
}
