/* models_probe.c - finding the parts of a model in a folder or file. */
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/mem.h"
#include "models/models.h"

#define MAX_CONFIG (16u << 20)

void tb_model_info_clear(tb_model_info *i)
{
    char *const owned[] = { i->path,         i->transformer,   i->low_noise, i->vae,
                            i->text_encoder, i->image_encoder, i->tokenizer, i->scheduler,
                            i->unreadable,   i->family };
    for (size_t k = 0; k < sizeof owned / sizeof *owned; k++)
        free(owned[k]);
    *i = (tb_model_info){ 0 };
}

/* "dir/name" if `is` says so, else NULL. */
static char *there(const char *dir, const char *name, bool (*is)(const char *))
{
    char *path = tb_fs_join(dir, name);
    if (is(path))
        return path;
    free(path);
    return NULL;
}

static bool holds(const char *dir, const char *name, bool (*is)(const char *))
{
    char *path = there(dir, name, is);
    free(path);
    return path != NULL;
}

/* ----------------------------------------------------------------------------------- tokenizer */

static bool has_tokenizer(const char *dir)
{
    return holds(dir, "tokenizer.json", tb_fs_is_file) ||
           holds(dir, "spiece.model", tb_fs_is_file) ||
           holds(dir, "tokenizer.model", tb_fs_is_file);
}

/* Beside the weights: diffusers' folder, the one of original Wan folders, or the folder itself. */
static char *find_tokenizer(const char *dir)
{
    static const char *const usual[] = { "tokenizer", "google/umt5-xxl" };
    for (size_t i = 0; i < sizeof usual / sizeof *usual; i++) {
        char *path = there(dir, usual[i], has_tokenizer);
        if (path)
            return path;
    }
    return has_tokenizer(dir) ? tb_xstrdup(dir) : NULL;
}

/* ----------------------------------------------------------------------------------- scheduler */

static double number_of(const json_t *o, const char *a, const char *b)
{
    const json_t *v = json_object_get(o, a);
    v = v ? v : json_object_get(o, b);
    const double d = json_number_value(v);
    return d > 0 && d < 1000 ? d : 0;
}

static tb_status read_scheduler(const char *dir, tb_model_info *info, tb_err *err)
{
    info->scheduler = there(dir, "scheduler/scheduler_config.json", tb_fs_is_file);
    if (!info->scheduler)
        return TB_OK;
    json_t *o = tb_json_load(info->scheduler, MAX_CONFIG, err);
    if (!o)
        return TB_EFORMAT;
    info->shift = number_of(o, "shift", "flow_shift");
    info->guidance = number_of(o, "guidance_scale", "guidance_scale");
    json_decref(o);
    return TB_OK;
}

/* ----------------------------------------------------------------------------- loose files, one */

static tb_status take(char **slot, const char *what, const char *file, tb_err *err)
{
    if (*slot)
        return tb_err_set(err, TB_EINVAL, "there are two %ss, '%s' and '%s': name the one to use",
                          what, *slot, file);
    *slot = tb_xstrdup(file);
    return TB_OK;
}

static tb_status take_parts(tb_model_info *info, const tb_weights *w, const char *file, tb_err *err)
{
    const unsigned parts = tb_model_recognise(w);
    if (parts & TB_HAS_TRANSFORMER)
        TB_TRY(take(&info->transformer, "transformer", file, err));
    if (parts & TB_HAS_VAE)
        TB_TRY(take(&info->vae, "VAE", file, err));
    if (parts & TB_HAS_TEXT_ENCODER)
        TB_TRY(take(&info->text_encoder, "text encoder", file, err));
    if (parts & TB_HAS_IMAGE_ENCODER)
        TB_TRY(take(&info->image_encoder, "image encoder", file, err));
    const bool carried =
        parts & TB_HAS_TOKENIZER || (parts & TB_HAS_TEXT_ENCODER && tb_tokenizer_carried(file));
    if (carried && !info->tokenizer)
        info->tokenizer = tb_xstrdup(file);
    return TB_OK;
}

static tb_status take_file(tb_model_info *info, const char *file, tb_err *err)
{
    tb_weights *w = tb_weights_open(file, err);
    const tb_status st = w ? take_parts(info, w, file, err) : TB_EFORMAT;
    tb_weights_close(&w);
    return st;
}

/* One of a folder: .pth and .bin files may be anything, so that one that cannot be read is only
 * noted. */
static tb_status take_found(tb_model_info *info, const char *file, bool *unreadable, tb_err *err)
{
    if (!tb_weights_other(file))
        return take_file(info, file, err);
    tb_weights *w = tb_weights_open(file, NULL);
    *unreadable = !w;
    const tb_status st = w ? take_parts(info, w, file, err) : TB_OK;
    tb_weights_close(&w);
    if (*unreadable && !info->unreadable)
        info->unreadable = tb_xstrdup(file);
    return st;
}

static bool has_part(const tb_model_info *i)
{
    return i->transformer || i->vae || i->text_encoder || i->image_encoder;
}

static tb_status nothing_here(const char *path, const char *unreadable, tb_err *err)
{
    if (tb_lora_recognise(path))
        return tb_err_set(err, TB_ENOTFOUND,
                          "'%s' is a LoRA, not a model: load the model it was made for, and give "
                          "this file to load_lora",
                          path);
    if (unreadable) {
        tb_err why = TB_ERR_INIT;
        tb_weights *w = tb_weights_open(unreadable, &why);
        tb_weights_close(&w);
        return tb_err_set(err, TB_ENOTFOUND, "there are no weights that can be read: %s",
                          why.message);
    }
    return tb_err_set(
        err, TB_ENOTFOUND,
        "'%s' is no model: a diffusers folder (transformer/, vae/, text_encoder/, "
        "tokenizer/), an original Wan folder or a .safetensors, .gguf or .pth file is "
        "needed",
        path);
}

/* A file that cannot be read stands for the part its name tells, where nothing better is there: so
 * whoever opens that part hears what to do about it. */
static void guess_part(tb_model_info *info, const char *file)
{
    const char *name = tb_fs_basename(file);
    char **slot = strcasestr(name, "vae")         ? &info->vae
                  : strcasestr(name, "t5")        ? &info->text_encoder
                  : strcasestr(name, "open-clip") ? &info->image_encoder
                                                  : NULL;
    if (slot && !*slot)
        *slot = tb_xstrdup(file);
}

static tb_status probe_files(const char *dir, tb_model_info *info, tb_err *err)
{
    char **files = NULL;
    int count = 0;
    tb_status st = tb_weights_list(dir, &files, &count, err);
    bool *unreadable = tb_xcalloc((size_t)count + 1, sizeof *unreadable);
    info->tokenizer = find_tokenizer(dir);
    for (int i = 0; i < count && st == TB_OK; i++)
        st = take_found(info, files[i], &unreadable[i], err);
    if (st == TB_OK && !has_part(info))
        st = nothing_here(dir, info->unreadable, err);
    if (info->text_encoder && !info->tokenizer) { /* the part of a diffusers folder */
        char *above = tb_fs_dirname(dir);
        info->tokenizer = find_tokenizer(above);
        free(above);
    }
    for (int i = 0; i < count; i++) {
        if (unreadable[i])
            guess_part(info, files[i]);
        free(files[i]);
    }
    free(unreadable);
    free(files);
    return st;
}

static tb_status probe_file(const char *file, tb_model_info *info, tb_err *err)
{
    char *dir = tb_fs_dirname(file);
    tb_status st = take_file(info, file, err);
    if (st == TB_OK && !has_part(info))
        st = nothing_here(file, NULL, err);
    if (!info->tokenizer && info->text_encoder)
        info->tokenizer = find_tokenizer(dir);
    free(dir);
    return st;
}

/* ---------------------------------------------------------------------------------- two experts */

/* diffusers: transformer_2, and its boundary in model_index.json. */
static tb_status read_experts(const char *dir, tb_model_info *info, tb_err *err)
{
    info->low_noise = there(dir, "transformer_2", tb_fs_is_dir);
    char *index = info->low_noise ? there(dir, "model_index.json", tb_fs_is_file) : NULL;
    json_t *o = index ? tb_json_load(index, MAX_CONFIG, err) : NULL;
    const tb_status st = index && !o ? TB_EFORMAT : TB_OK;
    info->boundary = number_of(o, "boundary_ratio", "boundary_ratio");
    json_decref(o);
    free(index);
    return st;
}

/* The original release: high_noise_model and low_noise_model beside the files of the other parts.
 */
static tb_status probe_noise_folders(const char *dir, tb_model_info *info, tb_err *err)
{
    info->transformer = there(dir, "high_noise_model", tb_fs_is_dir);
    info->low_noise = there(dir, "low_noise_model", tb_fs_is_dir);
    return probe_files(dir, info, err);
}

/* --------------------------------------------------------------------------------- any of them */

static tb_status probe_folders(const char *dir, tb_model_info *info, tb_err *err)
{
    info->transformer = there(dir, "transformer", tb_fs_is_dir);
    info->vae = there(dir, "vae", tb_fs_is_dir);
    info->text_encoder = there(dir, "text_encoder", tb_fs_is_dir);
    info->image_encoder = there(dir, "image_encoder", tb_fs_is_dir);
    info->tokenizer = find_tokenizer(dir);
    TB_TRY(read_experts(dir, info, err));
    return read_scheduler(dir, info, err);
}

static tb_status read_family(tb_model_info *info, tb_err *err)
{
    tb_dit_sizes s;
    if (!info->transformer)
        return TB_OK;
    tb_weights *w = tb_weights_open(info->transformer, err);
    const tb_status st = w ? tb_model_dit_sizes(w, &s, err) : TB_EFORMAT;
    if (st == TB_OK) {
        info->family = tb_xstrdup(tb_model_family(&s));
        info->image_unused = s.image_dim == 0;
    }
    if (st == TB_OK && info->low_noise && info->boundary == 0) /* what Wan2.2 was trained with */
        info->boundary = s.in_channels == s.latent_channels ? 0.875 : 0.9;
    tb_weights_close(&w);
    return st;
}

static tb_status probe(const char *path, tb_model_info *info, tb_err *err)
{
    if (tb_fs_is_file(path))
        return probe_file(path, info, err);
    if (!tb_fs_is_dir(path))
        return tb_err_set(err, TB_ENOTFOUND,
                          "there is no model '%s': neither a folder nor a file of that name", path);
    if (holds(path, "transformer", tb_fs_is_dir) || holds(path, "vae", tb_fs_is_dir) ||
        holds(path, "text_encoder", tb_fs_is_dir))
        return probe_folders(path, info, err);
    if (holds(path, "high_noise_model", tb_fs_is_dir) &&
        holds(path, "low_noise_model", tb_fs_is_dir))
        return probe_noise_folders(path, info, err);
    return probe_files(path, info, err);
}

tb_status tb_model_probe(const char *path, tb_model_info *info, tb_err *err)
{
    *info = (tb_model_info){ .path = tb_xstrdup(path) };
    tb_status st = probe(path, info, err);
    if (st == TB_OK)
        st = read_family(info, err);
    if (st != TB_OK)
        tb_model_info_clear(info);
    return st;
}

/* ------------------------------------------------------------------------------- bundled model */

tb_status tb_model_bundled(char **path, tb_err *err)
{
    static const char *const near[] = { "../examples/tiny", "../../examples/tiny",
                                        "../share/tubelet/tiny" };
    const char *env = getenv("TUBELET_MODEL");
    if (env && *env) {
        *path = tb_xstrdup(env);
        return TB_OK;
    }
    char *dir = tb_fs_exe_dir();
    *path = NULL;
    for (size_t i = 0; i < sizeof near / sizeof *near && !*path; i++)
        *path = there(dir, near[i], tb_fs_is_dir);
    if (!*path)
        tb_err_set(err, TB_ENOTFOUND,
                   "the bundled model is not there: %s and %s were looked for from '%s'; set "
                   "TUBELET_MODEL, or give a path",
                   near[1], near[2], dir);
    free(dir);
    return *path ? TB_OK : TB_ENOTFOUND;
}

void tb_model_add_bundled(tb_folders *f)
{
    static const char *const kinds[] = { "checkpoints", "diffusion_models", "text_encoders", "vae",
                                         "clip_vision" };
    char *path = NULL;
    if (tb_model_bundled(&path, NULL) != TB_OK)
        return;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        tb_folders_add_model(f, kinds[i], "tubelet-tiny", path);
    char *lora = there(path, "lora/star.safetensors", tb_fs_is_file);
    if (lora)
        tb_folders_add_model(f, "loras", "tubelet-tiny-star", lora);
    free(lora);
    free(path);
}
