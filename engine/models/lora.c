/* lora.c - reading the files of LoRAs: which tensor is which part of which target. */
#include "models/lora_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/str.h"
#include "formats/safetensors.h"

static const struct {
    const char *text;
    lora_part part;
    const char *below; /* the part belongs to this tensor below the module */
} suffixes[] = {
    { ".lora_A.weight", LORA_DOWN, "" },
    { ".lora_A.default.weight", LORA_DOWN, "" },
    { ".lora_down.weight", LORA_DOWN, "" },
    { ".lora_B.weight", LORA_UP, "" },
    { ".lora_B.default.weight", LORA_UP, "" },
    { ".lora_up.weight", LORA_UP, "" },
    { ".lora_B.bias", LORA_UP_BIAS, "" },
    { ".lora_B.default.bias", LORA_UP_BIAS, "" },
    { ".alpha", LORA_ALPHA, "" },
    { ".diff", LORA_DIFF, "" },
    { ".diff_b", LORA_DIFF_BIAS, "" },
    { ".diff_m", LORA_DIFF, ".modulation" },
};
enum { SUFFIXES = sizeof suffixes / sizeof *suffixes };

/* Index of a name's suffix, or -1. */
static int suffix_of(const char *name)
{
    for (int i = 0; i < SUFFIXES; i++)
        if (tb_str_ends(name, suffixes[i].text))
            return i;
    return -1;
}

static const char *without_prefix(const char *name)
{
    static const char *const known[] = { "base_model.model.", "model.",     "diffusion_model.",
                                         "transformer.",      "lora_unet_", "lora_transformer_" };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (tb_str_starts(name, known[i]))
            name += strlen(known[i]);
    return name;
}

static bool is_of_text_encoder(const char *name)
{
    return tb_str_starts(name, "lora_te") || tb_str_starts(name, "text_encoder");
}

/* ------------------------------------------------------------------------------------- targets */

static tb_status refuse_tensor(const char *path, const char *name, tb_err *err)
{
    static const char *const kinds[][2] = {
        { "dora_scale", "a DoRA" },  { "lora_magnitude", "a DoRA" },  { "lora_mid", "a LoCon" },
        { "hada_", "a LoHa" },       { "lokr_", "a LoKr" },           { "oft_", "an OFT" },
        { "set_weight", "a patch" }, { "reshape_weight", "a patch" },
    };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strstr(name, kinds[i][0]))
            return tb_err_set(err, TB_EFORMAT,
                              "'%s' is %s (its tensor '%.120s'), which is not supported; plain "
                              "LoRAs are",
                              path, kinds[i][1], name);
    return tb_err_set(
        err, TB_EFORMAT,
        "'%s' is no LoRA for Wan: its tensor '%.120s' ends neither in lora_A, lora_B, "
        "lora_down or lora_up .weight nor in .alpha, .diff, .diff_b or .diff_m",
        path, name);
}

/* The target of this module, made when it is new; `module` is without prefix, `name` as in the
 * file. */
static lora_target *target_of(tb_lora *l, const char *name, const char *module)
{
    char flat[DIT_NAME_SIZE];
    tbi_dit_flat_name(module, strlen(module), flat);
    const int64_t at = tb_map_get(l->by_flat, flat);
    if (at >= 0)
        return &l->targets[at];
    TB_GROW(l->targets, l->cap, l->count + 1);
    l->targets[l->count] = (lora_target){ .name = tb_xstrdup(name), .flat = tb_xstrdup(flat) };
    tb_map_set(l->by_flat, flat, l->count);
    return &l->targets[l->count++];
}

static tb_status add_tensor(tb_lora *l, const tb_safetensors *f, int i, tb_err *err)
{
    const char *name = tb_safetensors_name(f, i);
    const int suffix = suffix_of(name);
    if (is_of_text_encoder(name)) {
        l->left_out++;
        return TB_OK;
    }
    if (suffix < 0)
        return refuse_tensor(l->path, name, err);
    char *module = tb_xasprintf("%.*s%s", (int)(strlen(name) - strlen(suffixes[suffix].text)), name,
                                suffixes[suffix].below);
    tb_tensor **slot = &target_of(l, module, without_prefix(module))->part[suffixes[suffix].part];
    free(module);
    if (*slot)
        return tb_err_set(err, TB_EFORMAT, "'%s' holds '%.120s' a second time, under another name",
                          l->path, name);
    *slot = tb_safetensors_tensor(f, i, err);
    return *slot ? TB_OK : TB_ENOMEM;
}

/* -------------------------------------------------------------------------------------- checks */

static tb_status check_ranks(const tb_lora *l, const lora_target *t, tb_err *err)
{
    const tb_tensor *down = t->part[LORA_DOWN], *up = t->part[LORA_UP];
    char a[128], b[128];
    if (!down != !up)
        return tb_err_set(err, TB_EFORMAT,
                          "'%s' has the matrix %s of '%.120s' but not the other one", l->path,
                          down ? "lora_A (down)" : "lora_B (up)", t->name);
    if (!down && (t->part[LORA_ALPHA] || t->part[LORA_UP_BIAS]))
        return tb_err_set(err, TB_EFORMAT, "'%s' has no matrices lora_A and lora_B for '%.120s'",
                          l->path, t->name);
    if (down && (tb_tensor_dim(down, 0) < 1 || tb_tensor_dim(up, 1) != tb_tensor_dim(down, 0) ||
                 tb_tensor_count(up) != tb_tensor_dim(up, 0) * tb_tensor_dim(up, 1)))
        return tb_err_set(err, TB_EFORMAT,
                          "'%s': the ranks of '%.120s' differ: lora_A (down) is %s, lora_B (up) is "
                          "%s; wanted are [rank,in] and [out,rank]",
                          l->path, t->name, tb_shape_text(tb_tensor_shape(down), a, sizeof a),
                          tb_shape_text(tb_tensor_shape(up), b, sizeof b));
    return TB_OK;
}

static tb_status read_alpha(const tb_lora *l, lora_target *t, tb_err *err)
{
    t->alpha = l->alpha;
    if (!t->part[LORA_ALPHA])
        return TB_OK;
    tb_tensor *f = tb_tensor_to_f32(t->part[LORA_ALPHA], err);
    if (!f)
        return TB_ENOMEM;
    t->alpha = tb_tensor_count(f) == 1 ? (double)tb_tensor_f32(f)[0] : (double)NAN;
    tb_tensor_unref(&f);
    if (!isfinite(t->alpha))
        return tb_err_set(err, TB_EFORMAT, "'%s': the alpha of '%.120s' must be one finite number",
                          l->path, t->name);
    return TB_OK;
}

static tb_status check_targets(tb_lora *l, tb_err *err)
{
    for (int i = 0; i < l->count; i++) {
        TB_TRY(check_ranks(l, &l->targets[i], err));
        TB_TRY(read_alpha(l, &l->targets[i], err));
    }
    if (l->count)
        return TB_OK;
    return tb_err_set(
        err, TB_EFORMAT, "'%s' changes no diffusion transformer: it holds %s", l->path,
        l->left_out ? "tensors for a text encoder alone, which are not supported" : "no tensors");
}

/* ------------------------------------------------------------------------------------ metadata */

/* Diffusers writes the settings of PEFT as JSON: "transformer.lora_alpha" and others. */
static tb_status read_settings(tb_lora *l, const json_t *o, tb_err *err)
{
    const json_t *alpha = json_object_get(o, "transformer.lora_alpha");
    const json_t *pattern = json_object_get(o, "transformer.alpha_pattern");
    if (json_is_number(alpha))
        l->alpha = json_number_value(alpha);
    l->rank_root = json_is_true(json_object_get(o, "transformer.use_rslora"));
    if (json_object_size(pattern))
        return tb_err_set(err, TB_EFORMAT,
                          "'%s' says in its metadata that alpha differs between its targets "
                          "(alpha_pattern), which is not supported",
                          l->path);
    return TB_OK;
}

static tb_status read_metadata(tb_lora *l, const json_t *metadata, tb_err *err)
{
    const char *text = json_string_value(json_object_get(metadata, "lora_adapter_metadata"));
    json_t *o = text ? json_loads(text, 0, NULL) : NULL;
    const tb_status st = read_settings(l, o, err);
    json_decref(o);
    return st;
}

/* --------------------------------------------------------------------------------- open, close */

static tb_safetensors *open_file(const char *path, tb_err *err)
{
    const char *other = tb_weights_other(path);
    if (!other)
        return tb_safetensors_open(path, err);
    tb_err_set(err, TB_EFORMAT, "'%s' is %s, which is not supported; convert it to .safetensors",
               path, other);
    return NULL;
}

static tb_status read_file(tb_lora *l, const tb_safetensors *f, tb_err *err)
{
    TB_TRY(read_metadata(l, tb_safetensors_metadata(f), err));
    for (int i = 0; i < tb_safetensors_count(f); i++)
        TB_TRY(add_tensor(l, f, i, err));
    return check_targets(l, err);
}

tb_lora *tb_lora_open(const char *path, tb_err *err)
{
    tb_safetensors *f = open_file(path, err);
    if (!f)
        return NULL;
    tb_lora *l = tb_xcalloc(1, sizeof *l);
    l->path = tb_xstrdup(path);
    l->alpha = (double)NAN;
    l->by_flat = tb_map_new();
    if (read_file(l, f, err) != TB_OK)
        tb_lora_close(&l);
    tb_safetensors_close(&f);
    return l;
}

void tb_lora_close(tb_lora **lp)
{
    tb_lora *l = *lp;
    *lp = NULL;
    if (!l)
        return;
    for (int i = 0; i < l->count; i++) {
        for (int k = 0; k < LORA_PARTS; k++)
            tb_tensor_unref(&l->targets[i].part[k]);
        free(l->targets[i].name);
        free(l->targets[i].flat);
    }
    free(l->targets);
    tb_map_free(&l->by_flat);
    free(l->path);
    free(l);
}

bool tb_lora_recognise(const char *path)
{
    tb_safetensors *f = tb_str_ends(path, ".safetensors") ? tb_safetensors_open(path, NULL) : NULL;
    bool found = false;
    for (int i = 0; f && i < tb_safetensors_count(f) && !found; i++)
        found = suffix_of(tb_safetensors_name(f, i)) >= 0;
    tb_safetensors_close(&f);
    return found;
}

int tb_lora_count(const tb_lora *l)
{
    return l->count;
}

tb_lora_target tb_lora_at(const tb_lora *l, int i)
{
    const lora_target *t = &l->targets[i];
    const tb_tensor *down = t->part[LORA_DOWN], *up = t->part[LORA_UP];
    const int64_t rank = down ? tb_tensor_dim(down, 0) : 0;
    return (tb_lora_target){ .name = t->name,
                             .flat = t->flat,
                             .rank = rank,
                             .in = down ? tb_tensor_count(down) / rank : 0,
                             .out = down ? tb_tensor_dim(up, 0) : 0 };
}

int tb_lora_left_out(const tb_lora *l)
{
    return l->left_out;
}
