/* load_model.c - a model on disk as references: what it is made of, and how large its parts are.
 *
 * Only headers and configs are read; weights are opened by the nodes that compute with them. Each
 * part carries the digest of its files, so a moved or copied model keeps every stored result, and a
 * changed one loses them.
 *
 *   MODEL { kind "model"; path; id; stamp; family;
 *           latent_channels, in_channels, text_dim, text_len, dim, ffn_dim, heads, layers,
 *           weight_bytes, int8_bytes, image_dim, image_rows INT (0: it takes no image features);
 *           shift, guidance FLOAT (0: the model does not say);
 *           low MODEL, boundary FLOAT: the second expert, as nodes/experts.c has them }
 *   CLIP  { kind "clip"; path; id; stamp; tokenizer; tokenizer_id;
 *           text_dim, text_len, ffn_dim, heads, head_dim, layers, layer_bytes INT }
 *   VAE   { kind "vae"; path; id; stamp;
 *           z, stride_t, stride_hw, patch, dim, dec_dim, weight_bytes, encode_flop, decode_flop INT
 * }
 *   CLIP_VISION { kind "clip_vision"; path; id; stamp;
 *           dim, ffn_dim, layers, patch, image, tokens, layer_bytes INT;
 *           unused BOOLEAN: there is none, and the transformer beside it takes no image features }
 *
 * MODEL and VAE have latent_rgb, a list of numbers, where the VAE's config says how latents look:
 * the map of models/latent_rgb.h, factors row by row, then the bias. Latents carry it along. A part
 * that the model lacks has the path "" and sizes of 0. Widths, bytes (once open) and
 * operations are what memory and time are planned with, and the stamp tells whether the files are
 * still those that the id was made from; results do not depend on them.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "models/models.h"
#include "node.h"

typedef struct params {
    const char *path;
    const char *transformer, *vae, *text_encoder, *tokenizer, *image_encoder;
} params;

/* Paths say nothing about content: fingerprint puts that into the key. */
static const tb_input_def inputs[] = {
    TB_IN_STRING(params, path, "", TB_IN_UNKEYED,
                 "Folder, or file of weights (.safetensors, .gguf, .pth); empty: the model that "
                 "comes with tubelet."),
    TB_IN_STRING(params, transformer, "", TB_IN_UNKEYED,
                 "Take the diffusion transformer from here instead."),
    TB_IN_STRING(params, vae, "", TB_IN_UNKEYED, "Take the VAE from here instead."),
    TB_IN_STRING(params, text_encoder, "", TB_IN_UNKEYED,
                 "Take the text encoder, and the tokenizer beside it, from here instead."),
    TB_IN_STRING(params, tokenizer, "", TB_IN_UNKEYED,
                 "Take the tokenizer from here instead: tokenizer.json or a SentencePiece model."),
    TB_IN_STRING(params, image_encoder, "", TB_IN_UNKEYED,
                 "Take the image encoder (CLIP's vision tower, for Wan2.1 I2V) from here instead."),
    { 0 },
};

static const tb_output_def outputs[] = {
    { .name = "model", .type = "MODEL", .doc = "The diffusion transformer." },
    { .name = "clip", .type = "CLIP", .doc = "The text encoder and its tokenizer." },
    { .name = "vae", .type = "VAE", .doc = "The video autoencoder." },
    { .name = "clip_vision",
      .type = "CLIP_VISION",
      .doc = "The image encoder of models that take image features (Wan2.1 I2V)." },
    { 0 },
};

/* --------------------------------------------------------------------------- finding the parts */

static void replace(char **slot, char **with)
{
    if (!*with)
        return;
    free(*slot);
    *slot = *with;
    *with = NULL;
}

/* An input names one part: a file, or a folder that holds it. */
static tb_status take_part(tb_job *job, const char *given, const char *input, const char *what,
                           size_t offset, tb_model_info *info, tb_err *err)
{
    tb_model_info found;
    if (!*given)
        return TB_OK;
    char *path = tb_job_model_path(job, given);
    tb_status st = tb_model_probe(path, &found, err);
    if (st == TB_OK) {
        char **from = (char **)(void *)((char *)&found + offset);
        char **to = (char **)(void *)((char *)info + offset);
        if (offset == offsetof(tb_model_info, image_encoder) && !*from && found.image_unused)
            info->image_unused = true; /* the bundled model, among ComfyUI's clip_vision */
        else if (!*from)
            st = tb_err_set(err, TB_EINVAL, "'%s' holds no %s", given, what);
        replace(to, from);
        if (offset == offsetof(tb_model_info, transformer)) {
            replace(&info->family, &found.family);
            info->image_unused = found.image_unused;
            free(info->low_noise); /* that of the transformer named, if it has one */
            info->low_noise = found.low_noise;
            info->boundary = found.boundary;
            found.low_noise = NULL;
        }
        if (offset == offsetof(tb_model_info, text_encoder))
            replace(&info->tokenizer, &found.tokenizer);
        tb_model_info_clear(&found);
    }
    if (st != TB_OK)
        tb_err_where(err, NULL, input, NULL);
    free(path);
    return st;
}

static tb_status find_base(tb_job *job, const params *p, tb_model_info *info, tb_err *err)
{
    char *path = NULL;
    *info = (tb_model_info){ 0 };
    /* Parts of the bundled model would fit no other model. */
    if (!*p->path &&
        (*p->transformer || *p->vae || *p->text_encoder || *p->tokenizer || *p->image_encoder))
        return TB_OK;
    if (*p->path)
        path = tb_job_model_path(job, p->path);
    else
        TB_TRY(tb_model_bundled(&path, err));
    const tb_status st = tb_model_probe(path, info, err);
    if (st != TB_OK)
        tb_err_where(err, NULL, "path", NULL);
    free(path);
    return st;
}

static tb_status find_parts(tb_job *job, const params *p, tb_model_info *info, tb_err *err)
{
    TB_TRY(find_base(job, p, info, err));
    TB_TRY(take_part(job, p->transformer, "transformer", "diffusion transformer",
                     offsetof(tb_model_info, transformer), info, err));
    TB_TRY(take_part(job, p->vae, "vae", "VAE", offsetof(tb_model_info, vae), info, err));
    TB_TRY(take_part(job, p->text_encoder, "text_encoder", "text encoder",
                     offsetof(tb_model_info, text_encoder), info, err));
    TB_TRY(take_part(job, p->image_encoder, "image_encoder", "image encoder",
                     offsetof(tb_model_info, image_encoder), info, err));
    if (*p->tokenizer) {
        char *path = tb_job_model_path(job, p->tokenizer);
        replace(&info->tokenizer, &path);
    }
    return TB_OK;
}

/* -------------------------------------------------------------------------------------- digests */

static tb_status hash_file(tb_job *job, const char *path, tb_hasher *h, tb_err *err)
{
    tb_digest d;
    TB_TRY(tb_job_file_digest(job, path, &d, err));
    tb_hasher_bytes(h, d.b, sizeof d.b);
    return TB_OK;
}

static tb_status hash_weights(tb_job *job, const char *part, tb_hasher *h, tb_err *err)
{
    char **files = NULL;
    int count = 0;
    tb_status st = tb_model_part_files(part, &files, &count, err);
    for (int i = 0; i < count; i++) {
        if (st == TB_OK)
            st = hash_file(job, files[i], h, err);
        free(files[i]);
    }
    free(files);
    return st;
}

static tb_status hash_tokenizer(tb_job *job, const char *path, tb_hasher *h, tb_err *err)
{
    char *file = tb_tokenizer_file(path, err);
    const tb_status st = file ? hash_file(job, file, h, err) : TB_ENOTFOUND;
    if (st != TB_OK)
        tb_err_where(err, NULL, "tokenizer", NULL);
    free(file);
    return st;
}

/* The digest of a part as text; "" for a part that is not there. */
static tb_status part_id(tb_job *job, const char *part, bool tokenizer, char id[TB_KEY_HEX],
                         tb_err *err)
{
    tb_hasher h;
    *id = 0;
    if (!part)
        return TB_OK;
    tb_hasher_init(&h);
    tb_hasher_str(&h, tokenizer ? "tokenizer" : "weights");
    TB_TRY(tokenizer ? hash_tokenizer(job, part, &h, err) : hash_weights(job, part, &h, err));
    const tb_key k = tb_hasher_done(&h);
    tb_key_hex(&k, id);
    return TB_OK;
}

static tb_status fingerprint_parts(tb_job *job, const tb_model_info *info, tb_hasher *h,
                                   tb_err *err)
{
    const char *const part[] = { info->transformer, info->low_noise, info->vae, info->text_encoder,
                                 info->tokenizer };
    char id[TB_KEY_HEX];
    for (size_t i = 0; i < sizeof part / sizeof *part; i++) {
        TB_TRY(part_id(job, part[i], part[i] == info->tokenizer, id, err));
        tb_hasher_str(h, id);
    }
    if (info->scheduler)
        TB_TRY(hash_file(job, info->scheduler, h, err));
    if (info->image_encoder) { /* models without one keep the keys they had */
        TB_TRY(part_id(job, info->image_encoder, false, id, err));
        tb_hasher_str(h, id);
    }
    return TB_OK;
}

static tb_status fingerprint(tb_job *job, const void *vp, tb_hasher *h, tb_err *err)
{
    tb_model_info info;
    tb_status st = find_parts(job, vp, &info, err);
    if (st == TB_OK)
        st = fingerprint_parts(job, &info, h, err);
    tb_model_info_clear(&info);
    return st;
}

/* -------------------------------------------------------------------------------------- records */

static void set_text(tb_value *r, const char *name, const char *s)
{
    tb_record_set_take(r, name, tb_value_string(s ? s : ""));
}

static void set_int(tb_value *r, const char *name, int64_t v)
{
    tb_record_set_take(r, name, tb_value_int(v));
}

static void set_rgb(tb_value *r, const tb_latent_rgb *m)
{
    if (!m->channels)
        return;
    tb_value *list = tb_value_list();
    for (int64_t i = 0; i < 3 * m->channels; i++)
        tb_list_append_take(list, tb_value_float((double)m->factors[i / 3][i % 3]));
    for (int i = 0; i < 3; i++)
        tb_list_append_take(list, tb_value_float((double)m->bias[i]));
    tb_record_set_take(r, "latent_rgb", list);
}

/* What every part has. The stamp is taken before the digest: if the files change between the two,
 * whoever opens them will see. NULL on error. */
static tb_value *reference(tb_job *job, const char *kind, const char *path, tb_err *err)
{
    char id[TB_KEY_HEX], stamp[TB_KEY_HEX] = "";
    if (path)
        tb_model_part_stamp(path, stamp);
    if (part_id(job, path, false, id, err) != TB_OK)
        return NULL;
    tb_value *r = tb_value_record();
    set_text(r, "kind", kind);
    set_text(r, "path", path);
    set_text(r, "id", id);
    set_text(r, "stamp", stamp);
    return r;
}

static tb_value *transformer(tb_job *job, const tb_model_info *info, const char *path,
                             const tb_model_sizes *sizes, tb_err *err)
{
    const tb_dit_sizes *s = &sizes->dit;
    tb_value *r = reference(job, "model", path, err);
    if (!r)
        return NULL;
    set_text(r, "family", info->family);
    set_int(r, "latent_channels", s->latent_channels);
    set_int(r, "in_channels", s->in_channels);
    set_int(r, "text_dim", s->text_dim);
    set_int(r, "text_len", path ? s->text_len : 0);
    set_int(r, "dim", s->dim);
    set_int(r, "ffn_dim", s->ffn_dim);
    set_int(r, "heads", s->heads);
    set_int(r, "layers", s->layers);
    set_int(r, "weight_bytes", s->weight_bytes);
    set_int(r, "int8_bytes", s->int8_bytes);
    set_int(r, "image_dim", s->image_dim);
    set_int(r, "image_rows", s->image_rows);
    tb_record_set_take(r, "shift", tb_value_float(info->shift));
    tb_record_set_take(r, "guidance", tb_value_float(info->guidance));
    set_rgb(r, &sizes->vae.rgb);
    return r;
}

static tb_status model_record(tb_job *job, const tb_model_info *info, const tb_model_sizes *sizes,
                              tb_err *err)
{
    tb_value *r = transformer(job, info, info->transformer, sizes, err), *low = NULL;
    if (!r)
        return err->status;
    if (info->low_noise) {
        low = transformer(job, info, info->low_noise, sizes, err);
        if (!low) {
            tb_value_unref(&r);
            return err->status;
        }
        tb_record_set_take(r, "low", low);
        tb_record_set_take(r, "boundary", tb_value_float(info->boundary));
    }
    tb_job_set_take(job, 0, r);
    return TB_OK;
}

static tb_status clip_record(tb_job *job, const tb_model_info *info, const tb_model_sizes *s,
                             tb_err *err)
{
    char tokenizer_id[TB_KEY_HEX];
    TB_TRY(part_id(job, info->tokenizer, true, tokenizer_id, err));
    tb_value *r = reference(job, "clip", info->text_encoder, err);
    if (!r)
        return err->status;
    set_text(r, "tokenizer", info->tokenizer);
    set_text(r, "tokenizer_id", tokenizer_id);
    set_int(r, "text_dim", s->text.dim);
    set_int(r, "text_len", s->dit.text_len);
    set_int(r, "ffn_dim", s->text.d_ff);
    set_int(r, "heads", s->text.heads);
    set_int(r, "head_dim", s->text.d_kv);
    set_int(r, "layers", s->text.layers);
    set_int(r, "layer_bytes", s->text.layer_bytes);
    tb_job_set_take(job, 1, r);
    return TB_OK;
}

static tb_status vae_record(tb_job *job, const tb_model_info *info, const tb_vae_sizes *s,
                            tb_err *err)
{
    tb_value *r = reference(job, "vae", info->vae, err);
    if (!r)
        return err->status;
    set_int(r, "z", s->z);
    set_int(r, "stride_t", s->stride_t);
    set_int(r, "stride_hw", s->stride_hw);
    set_int(r, "patch", s->patch);
    set_int(r, "dim", s->dim);
    set_int(r, "dec_dim", s->dec_dim);
    set_int(r, "weight_bytes", s->weight_bytes);
    set_int(r, "encode_flop", s->encode_flop);
    set_int(r, "decode_flop", s->decode_flop);
    set_rgb(r, &s->rgb);
    tb_job_set_take(job, 2, r);
    return TB_OK;
}

static tb_status clip_vision_record(tb_job *job, const tb_model_info *info,
                                    const tb_clip_vision_config *k, tb_err *err)
{
    tb_value *r = reference(job, "clip_vision", info->image_encoder, err);
    if (!r)
        return err->status;
    set_int(r, "dim", k->dim);
    set_int(r, "ffn_dim", k->ffn_dim);
    set_int(r, "layers", k->layers);
    set_int(r, "patch", k->patch);
    set_int(r, "image", k->image);
    set_int(r, "tokens", k->tokens);
    set_int(r, "layer_bytes", k->layer_bytes);
    tb_record_set_take(r, "unused", tb_value_bool(!info->image_encoder && info->image_unused));
    tb_job_set_take(job, 3, r);
    return TB_OK;
}

/* ------------------------------------------------------------------------------------------ run */

static tb_status set_records(tb_job *job, const tb_model_info *info, tb_err *err)
{
    tb_model_sizes s;
    TB_TRY(tb_model_read_sizes(info, &s, err));
    TB_TRY(model_record(job, info, &s, err));
    TB_TRY(clip_record(job, info, &s, err));
    TB_TRY(vae_record(job, info, &s.vae, err));
    return clip_vision_record(job, info, &s.image, err);
}

static tb_status run(tb_job *job, const void *vp, tb_err *err)
{
    tb_model_info info;
    tb_status st = find_parts(job, vp, &info, err);
    if (st == TB_OK)
        st = set_records(job, &info, err);
    tb_model_info_clear(&info);
    return st;
}

const tb_node_def tb_node_load_model = {
    .abi = TB_NODE_ABI,
    .version = 3,
    .name = "load_model",
    .title = "Load model",
    .category = "model",
    .doc = "Name a model on disk: a diffusers folder, an original Wan folder, or single files.",
    .flags = TB_NODE_IO | TB_NODE_FORGET,
    .params_size = sizeof(params),
    .inputs = inputs,
    .outputs = outputs,
    .run = run,
    .fingerprint = fingerprint,
    .example = "return tb.load_model {}",
};
