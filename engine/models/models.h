/* models.h - models on disk: what is there, and which of them are open.
 *
 * A model is a folder in the diffusers layout, an original Wan folder, or single files. Its parts
 * are recognised by tensor names; weights are opened when a node computes with them and closed
 * when others need the memory.
 *
 * Threads: tb_models belongs to the compute worker; probing may happen on any thread.
 */
#pragma once

#include "base/err.h"
#include "base/folders.h"
#include "base/hash.h"
#include "base/json.h"
#include "compute/compute.h"
#include "formats/tokenizer.h"
#include "models/clip_vision.h"
#include "models/latent_rgb.h"
#include "models/umt5.h"
#include "models/wan_dit.h"
#include "models/wan_vae.h"

/* -------------------------------------------------------------------------------- what is there */

/* What a folder or file turned out to be. Strings are owned; NULL where a part is missing. A file
 * that cannot be read and whose name tells its part stands in for it, so that opening the part says
 * what to do. */
typedef struct tb_model_info {
    char *path;        /* as given */
    char *transformer; /* weights path of the diffusion transformer */
    char *low_noise; /* the second expert (Wan2.2 A14B), below the boundary; NULL: there is none */
    char *vae;
    char *text_encoder;
    char *image_encoder; /* CLIP's vision tower, of image-to-video models of Wan2.1 */
    char *tokenizer;
    char *scheduler;   /* scheduler_config.json */
    char *unreadable;  /* a .pth, .bin, .ckpt or .gguf file that cannot be read */
    char *family;      /* "Wan2.1 I2V", ... from the transformer's shapes; NULL without one */
    bool image_unused; /* there is a transformer, and it takes no features of an image encoder */
    double shift;      /* scheduler's flow shift; 0 unknown */
    double guidance;   /* recommended cfg; 0 unknown */
    double
        boundary; /* share of the noise below which the second expert runs, 0..1; 0: one expert */
} tb_model_info;

/* TB_ENOTFOUND when nothing there is a model: says what was looked for. Reads configs and headers
 * only. */
tb_status tb_model_probe(const char *path, tb_model_info *info, tb_err *err);
void tb_model_info_clear(tb_model_info *info);

/* Sizes that other nodes need before any weight is read, from headers and config. */
typedef struct tb_dit_sizes {
    int64_t in_channels, latent_channels, text_dim, text_len;
    int64_t image_dim;  /* width of the features of an image encoder it takes; 0: it takes none */
    int64_t image_rows; /* how many of them it has positions for; 0: any number */
    int64_t dim, ffn_dim, heads, layers;
    int64_t weight_bytes, int8_bytes; /* once open, without LoRAs; int8_bytes: in TB_MODE_INT8 */
} tb_dit_sizes;
typedef struct tb_vae_sizes {
    int64_t z, stride_t, stride_hw;
    int64_t patch, dim, dec_dim; /* as in tb_wan_vae_config; 0 for a half that is not there */
    int64_t weight_bytes;        /* once open */
    int64_t encode_flop,
        decode_flop;   /* for each cell of a frame of the latent's height and width */
    tb_latent_rgb rgb; /* of its config; channels = 0: none */
} tb_vae_sizes;
tb_status tb_model_dit_sizes(const tb_weights *w, tb_dit_sizes *s, tb_err *err);
/* What tb_wan_dit_scratch reads; the rest is 0. */
tb_wan_dit_config tb_model_dit_config(const tb_dit_sizes *s);
tb_status tb_model_vae_sizes(const tb_weights *w, tb_vae_sizes *s, tb_err *err);
/* The sizes of all parts that are there, 0 for others; text_len is 512 where no transformer says
 * it. TB_EINVAL when the parts cannot work together. */
typedef struct tb_model_sizes {
    tb_dit_sizes dit;
    tb_vae_sizes vae;
    tb_umt5_config text;
    tb_clip_vision_config image;
} tb_model_sizes;
tb_status tb_model_read_sizes(const tb_model_info *info, tb_model_sizes *s, tb_err *err);
/* Bytes of a transformer's weights once open; int8: in that mode; merged: LoRAs may change each of
 * them, which makes it f32. */
int64_t tb_model_dit_bytes(const tb_weights *w, bool int8, bool merged);
/* "Wan2.1 I2V"; static string. */
const char *tb_model_family(const tb_dit_sizes *s);

/* Which parts the tensors of a file belong to. */
enum {
    TB_HAS_TRANSFORMER = 1,
    TB_HAS_VAE = 2,
    TB_HAS_TEXT_ENCODER = 4,
    TB_HAS_TOKENIZER = 8,
    TB_HAS_IMAGE_ENCODER = 16
};
unsigned tb_model_recognise(const tb_weights *w);

/* The files behind a part's weights, config.json included: what its digest is made of. *files
 * becomes an array of *count strings; the caller frees each and the array. */
tb_status tb_model_part_files(const char *part, char ***files, int *count, tb_err *err);

/* Which files these are on disk now: a text of their sizes, times and places (inodes), not of their
 * content. It differs once one is written to, replaced, or gone. */
void tb_model_part_stamp(const char *part, char stamp[TB_KEY_HEX]);

/* For `tubelet model show`:
 *   { "path", "family", "shift", "guidance", "boundary" of two experts, "missing": ["vae", ...],
 *     "parts": { "transformer"|"transformer_2"|"vae"|"text_encoder"|"image_encoder": { "path",
 * "files": [{"path", "bytes"}], "bytes", "tensors", "parameters", "dtypes": {"F16": tensors},
 * "memory_bytes": of the weights while it runs, "sizes":
 * {...}, "config": {...} | null } | { "path", "error" }, "tokenizer": { "path", "pieces" } | {
 * "path", "error" } }, "unreadable": a PyTorch or GGUF file there that cannot be read, or null }
 * New reference. Of a LoRA: tb_lora_describe. */
json_t *tb_model_describe(const char *path, tb_err *err);

/* For `tubelet model show --size`: what a video costs with this model on this machine.
 *   { "width", "height", "frames", "steps", "guided", "flop_per_second": measured now,
 *     "parts": { "text_encoder" | "image_encoder" | "transformer" | "vae": { "flop", "seconds",
 * "memory_bytes" } }, "seconds", "peak_bytes" } The seconds are those of the products of matrices
 * at the rate measured: the least it takes. New reference. TB_EINVAL when no video of that size can
 * be made with it. */
typedef struct tb_model_video {
    int64_t width, height, frames, steps;
    bool guided; /* two evaluations a step */
} tb_model_video;
json_t *tb_model_cost(const char *path, const tb_model_video *v, tb_err *err);

/* For `tubelet model verify`: is everything there, and is it what was published? Every file of a
 * model below PATH, a folder, a file, an index of shards or a LoRA, is read whole.
 *   { "path", "family" | null, "missing": ["vae", ...],
 *     "parts": { NAME: { "path", "lacks": [sentence of a tensor that is not there, ...] } },
 *     "files": [{ "path", "bytes", "tensors" of weights, "error" of structure | null,
 *                 "bad": [{ "tensor", "count", "nan", "inf" }, ...], "zero": [tensor, ...],
 *                 "sha256", "git" where that is on record,
 *                 "content": "matches" | "differs" | "unknown", "recorded": [{ "hash", "from" }]
 * }], "problems": [sentence, ...] }, without problems when all is well. New reference. NULL when
 * PATH is not there or holds no weights. */
typedef struct tb_model_watch {
    /* Told now and then, by any thread, one at a time: bytes read of all there are to read (each
     * file twice: its numbers and its hash). NULL: nothing is told. */
    void (*progress)(void *ctx, const char *file, int64_t done, int64_t total);
    void *ctx;
} tb_model_watch;
json_t *tb_model_verify(const char *path, const tb_model_watch *watch, tb_err *err);

/* The bundled model: $TUBELET_MODEL, else examples/tiny near the program. TB_ENOTFOUND names the
 * places. *path is freed by free(). */
tb_status tb_model_bundled(char **path, tb_err *err);

/* The bundled model's parts under the name "tubelet-tiny", its LoRA as "tubelet-tiny-star"; nothing
 * where they are not there. */
void tb_model_add_bundled(tb_folders *f);

/* ------------------------------------------------------------------------------- what is open */

typedef struct tb_models tb_models;
tb_models *tb_models_new(void);
void tb_models_free(tb_models **m);

/* Open (or find open) one part. `id` is the digest text of the part: the same id is the same
 * weights. An empty path is a part that the model lacks: TB_ENOTFOUND. Borrowed until the next
 * tb_models_make_room for another part; opening a third of a kind closes the one that was used
 * longest ago. */
const tb_umt5 *tb_models_umt5(tb_models *m, tb_compute *c, const char *path, const char *id,
                              tb_err *err);
const tb_tokenizer *tb_models_tokenizer(tb_models *m, const char *path, const char *id,
                                        tb_err *err);
const tb_clip_vision *tb_models_clip_vision(tb_models *m, const char *path, const char *id,
                                            tb_err *err);
/* With LoRAs merged into the weights, in this order; the id is that of all of them together. */
typedef struct tb_lora_file {
    const char *path;
    double strength;
} tb_lora_file;
tb_wan_dit *tb_models_dit(tb_models *m, tb_compute *c, const char *path, const char *id,
                          const tb_lora_file *loras, int lora_count, tb_err *err);
tb_wan_vae *tb_models_vae(tb_models *m, tb_compute *c, const char *path, const char *id,
                          tb_err *err);

/* The part of this id was described by files of this stamp ("": not known). If it is opened next
 * and its files were others by then, they may hold other weights: TB_EIO, and it is not open. */
void tb_models_expect(tb_models *m, const char *id, const char *stamp);
/* The same of an open part that goes on reading its files, after it was used. */
tb_status tb_models_check(tb_models *m, const char *id, tb_err *err);

/* Before the part of this id is opened or run, which takes `bytes`, its weights among them: close
 * others, the one used longest ago first, until all fits into the budget (0: no limit) or no other
 * is open. Tokenizers are small and stay. */
void tb_models_make_room(tb_models *m, const char *id, size_t bytes);
void tb_models_set_budget(tb_models *m, size_t bytes);
/* Bytes of converted weights. */
size_t tb_models_bytes(const tb_models *m);
