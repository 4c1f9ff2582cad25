/* models_describe.c - a model as JSON for people: parts, files, sizes, what is missing. */
#include <stdlib.h>
#include <sys/stat.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/str.h"
#include "models/models.h"

static int64_t file_bytes(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 ? (int64_t)st.st_size : 0;
}

tb_status tb_model_part_files(const char *part, char ***files, int *count, tb_err *err)
{
    *files = NULL;
    *count = 0;
    tb_weights *w = tb_weights_open(part, err);
    if (!w)
        return err ? err->status : TB_EFORMAT;
    const int n = tb_weights_file_count(w);
    char *dir = tb_fs_is_dir(part) ? tb_xstrdup(part) : tb_fs_dirname(part);
    char *config = tb_fs_join(dir, "config.json");
    *files = tb_xcalloc((size_t)n + 1, sizeof **files);
    for (int i = 0; i < n; i++)
        (*files)[(*count)++] = tb_xstrdup(tb_weights_file(w, i));
    if (tb_weights_config(w))
        (*files)[(*count)++] = tb_xstrdup(config);
    free(config);
    free(dir);
    tb_weights_close(&w);
    return TB_OK;
}

void tb_model_part_stamp(const char *part, char stamp[TB_KEY_HEX])
{
    char **files = NULL;
    int count = 0;
    tb_hasher h;
    tb_hasher_init(&h);
    tb_model_part_files(part, &files, &count, NULL);
    for (int i = 0; i < count; i++) {
        struct stat st = { 0 };
        tb_hasher_u64(&h, (uint64_t)stat(files[i], &st));
        const int64_t fields[] = { st.st_size, st.st_mtim.tv_sec, st.st_mtim.tv_nsec,
                                   (int64_t)st.st_ino, (int64_t)st.st_dev };
        tb_hasher_bytes(&h, fields, sizeof fields);
        free(files[i]);
    }
    free(files);
    const tb_key k = tb_hasher_done(&h);
    tb_key_hex(&k, stamp);
}

/* --------------------------------------------------------------------------------------- parts */

static json_t *dtypes_of(const tb_weights *w)
{
    json_t *o = json_object();
    for (int i = 0; i < tb_weights_count(w); i++) {
        const char *name = tb_dtype_name(tb_tensor_dtype(tb_weights_at(w, i)));
        json_object_set_new(o, name,
                            json_integer(json_integer_value(json_object_get(o, name)) + 1));
    }
    return o;
}

static json_t *dit_sizes(const tb_weights *w, int64_t *memory, tb_err *err)
{
    tb_dit_sizes s;
    if (tb_model_dit_sizes(w, &s, err) != TB_OK)
        return NULL;
    *memory = s.weight_bytes;
    return json_pack("{s:I,s:I,s:I,s:I,s:b}", "in_channels", (json_int_t)s.in_channels,
                     "latent_channels", (json_int_t)s.latent_channels, "text_dim",
                     (json_int_t)s.text_dim, "text_len", (json_int_t)s.text_len, "image_branch",
                     s.image_dim > 0);
}

static json_t *vae_sizes(const tb_weights *w, int64_t *memory, tb_err *err)
{
    tb_vae_sizes s;
    if (tb_model_vae_sizes(w, &s, err) != TB_OK)
        return NULL;
    *memory = s.weight_bytes;
    return json_pack("{s:I,s:I,s:I}", "z", (json_int_t)s.z, "stride_t", (json_int_t)s.stride_t,
                     "stride_hw", (json_int_t)s.stride_hw);
}

static json_t *umt5_sizes(const tb_weights *w, int64_t *memory, tb_err *err)
{
    tb_umt5_config k;
    if (tb_umt5_read_config(w, &k, err) != TB_OK)
        return NULL;
    *memory = (int64_t)tb_umt5_weights(&k);
    return json_pack("{s:I,s:I,s:I,s:I,s:I,s:I}", "vocab", (json_int_t)k.vocab, "dim",
                     (json_int_t)k.dim, "layers", (json_int_t)k.layers, "heads",
                     (json_int_t)k.heads, "d_kv", (json_int_t)k.d_kv, "d_ff", (json_int_t)k.d_ff);
}

static json_t *clip_vision_sizes(const tb_weights *w, int64_t *memory, tb_err *err)
{
    tb_clip_vision_config k;
    if (tb_clip_vision_read_config(w, &k, err) != TB_OK)
        return NULL;
    *memory = (int64_t)tb_clip_vision_weights(&k);
    return json_pack("{s:I,s:I,s:I,s:I,s:I,s:I}", "dim", (json_int_t)k.dim, "layers",
                     (json_int_t)k.layers, "heads", (json_int_t)k.heads, "ffn_dim",
                     (json_int_t)k.ffn_dim, "image", (json_int_t)k.image, "tokens",
                     (json_int_t)k.tokens);
}

static json_t *file_row(const char *path, int64_t *total)
{
    const int64_t bytes = file_bytes(path);
    *total += bytes;
    return json_pack("{s:s,s:I}", "path", path, "bytes", (json_int_t)bytes);
}

static void describe_weights(json_t *o, const tb_weights *w)
{
    int64_t parameters = 0, bytes = 0;
    json_t *files = json_array();
    for (int i = 0; i < tb_weights_count(w); i++)
        parameters += tb_tensor_count(tb_weights_at(w, i));
    for (int i = 0; i < tb_weights_file_count(w); i++)
        json_array_append_new(files, file_row(tb_weights_file(w, i), &bytes));
    json_object_set_new(o, "files", files);
    json_object_set_new(o, "bytes", json_integer(bytes));
    json_object_set_new(o, "tensors", json_integer(tb_weights_count(w)));
    json_object_set_new(o, "parameters", json_integer(parameters));
    json_object_set_new(o, "dtypes", dtypes_of(w));
    const json_t *config = tb_weights_config(w);
    json_object_set_new(o, "config", config ? json_deep_copy(config) : json_null());
}

/* What cannot be read is part of the answer: the other parts are still described. */
static json_t *describe_part(const char *path,
                             json_t *(*sizes)(const tb_weights *, int64_t *, tb_err *))
{
    tb_err err = TB_ERR_INIT;
    json_t *o = json_pack("{s:s}", "path", path);
    tb_weights *w = tb_weights_open(path, &err);
    int64_t memory = 0;
    json_t *s = w ? sizes(w, &memory, &err) : NULL;
    if (w)
        describe_weights(o, w);
    if (s)
        json_object_set_new(o, "memory_bytes", json_integer(memory));
    if (s)
        json_object_set_new(o, "sizes", s);
    else
        json_object_set_new(o, "error", json_string(err.message));
    tb_weights_close(&w);
    return o;
}

static json_t *describe_tokenizer(const char *path)
{
    tb_err err = TB_ERR_INIT;
    json_t *o = json_pack("{s:s}", "path", path);
    tb_tokenizer *t = tb_tokenizer_open(path, &err);
    if (t)
        json_object_set_new(o, "pieces", json_integer(tb_tokenizer_size(t)));
    else
        json_object_set_new(o, "error", json_string(err.message));
    tb_tokenizer_close(&t);
    return o;
}

/* ---------------------------------------------------------------------------------- the answer */

static void add_part(json_t *parts, json_t *missing, const char *name, const char *path,
                     json_t *(*sizes)(const tb_weights *, int64_t *, tb_err *))
{
    if (!path)
        json_array_append_new(missing, json_string(name));
    else
        json_object_set_new(parts, name,
                            sizes ? describe_part(path, sizes) : describe_tokenizer(path));
}

json_t *tb_model_describe(const char *path, tb_err *err)
{
    tb_model_info info;
    if (tb_lora_recognise(path))
        return tb_lora_describe(path, err);
    if (tb_model_probe(path, &info, err) != TB_OK)
        return NULL;
    json_t *parts = json_object(), *missing = json_array();
    add_part(parts, missing, "transformer", info.transformer, dit_sizes);
    if (info.low_noise)
        add_part(parts, missing, "transformer_2", info.low_noise, dit_sizes);
    add_part(parts, missing, "vae", info.vae, vae_sizes);
    add_part(parts, missing, "text_encoder", info.text_encoder, umt5_sizes);
    if (info.image_encoder || (info.transformer && !info.image_unused))
        add_part(parts, missing, "image_encoder", info.image_encoder, clip_vision_sizes);
    add_part(parts, missing, "tokenizer", info.tokenizer, NULL);
    json_t *o = json_pack("{s:s,s:s?,s:f,s:f,s:o,s:o,s:s?}", "path", path, "family", info.family,
                          "shift", info.shift, "guidance", info.guidance, "missing", missing,
                          "parts", parts, "unreadable", info.unreadable);
    if (!o)
        tb_err_set(err, TB_EINVAL, "the path of the model is not valid UTF-8");
    else if (info.low_noise)
        json_object_set_new(o, "boundary", json_real(info.boundary));
    tb_model_info_clear(&info);
    return o;
}
