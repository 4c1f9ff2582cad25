/* weights.c - the tensors of one model part, gathered from its files under names without prefixes.
 */
#include "formats/weights.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"
#include "formats/gguf.h"
#include "formats/pth.h"
#include "formats/safetensors.h"
#include "formats/weights_find.h"
#include "formats/weights_names.h"
#include "formats/weights_scale.h"

#define MAX_CONFIG (16u << 20)

struct tb_weights {
    char *path;
    char **files;
    int file_count;
    tbi_named *items;
    int count;
    size_t cap;
    tb_map *by_name;
    json_t *config;
};

/* All-in-one files put the parts below these. */
static const char *without_prefix(const char *name)
{
    static const char *const known[] = { "model.diffusion_model.", "vae.",
                                         "text_encoders.umt5xxl.transformer." };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (tb_str_starts(name, known[i]) && name[strlen(known[i])])
            return name + strlen(known[i]);
    return name;
}

static tb_status add_tensor(tb_weights *w, const char *file, const char *full, tb_tensor *t_take,
                            tb_err *err)
{
    const char *name = without_prefix(full);
    if (tbi_weights_is_marker(name)) {
        tb_tensor_unref(&t_take);
        return TB_OK;
    }
    if (tb_map_get(w->by_name, name) >= 0) {
        tb_tensor_unref(&t_take);
        return tb_err_set(err, TB_EFORMAT,
                          "'%s' holds the tensor '%.120s', which was there already", file, full);
    }
    TB_GROW(w->items, w->cap, w->count + 1);
    w->items[w->count] = (tbi_named){ tb_xstrdup(name), t_take };
    tb_map_set(w->by_name, name, w->count++);
    return TB_OK;
}

/* A file on its way into the weights. */
typedef struct source {
    tb_weights *w;
    const char *file;
} source;

static tb_status add_from(void *ctx, const char *name, tb_tensor *t_take, tb_err *err)
{
    const source *s = ctx;
    return add_tensor(s->w, s->file, name, t_take, err);
}

static tb_status read_gguf(const char *file, tbi_tensor_sink sink, void *ctx, tb_err *err)
{
    tbi_gguf *f = tbi_gguf_open(file, err);
    const tb_status st = f ? tbi_gguf_tensors(f, sink, ctx, err) : TB_EFORMAT;
    tbi_gguf_close(&f);
    return st;
}

static tb_status read_safetensors(const char *file, tbi_tensor_sink sink, void *ctx, tb_err *err)
{
    tb_safetensors *f = tb_safetensors_open(file, err);
    if (!f)
        return err ? err->status : TB_EFORMAT;
    tb_status st = TB_OK;
    for (int i = 0; i < tb_safetensors_count(f) && st == TB_OK; i++) {
        tb_tensor *t = tb_safetensors_tensor(f, i, err);
        st = t ? sink(ctx, tb_safetensors_name(f, i), t, err) : TB_ENOMEM;
    }
    tb_safetensors_close(&f);
    return st;
}

/* What a file is, its first bytes say; where they say nothing, its name. */
static tb_status read_file(const char *file, tbi_tensor_sink sink, void *ctx, tb_err *err)
{
    uint8_t head[8];
    FILE *f = fopen(file, "rb");
    const size_t n = f ? fread(head, 1, sizeof head, f) : 0;
    if (f)
        fclose(f);
    if (tbi_gguf_is(head, n) || strcmp(tb_fs_extension(file), "gguf") == 0)
        return read_gguf(file, sink, ctx, err);
    if (tbi_pth_is(head, n) || tb_weights_other(file))
        return tbi_pth_read(file, sink, ctx, err);
    return read_safetensors(file, sink, ctx, err);
}

static tb_status add_file(tb_weights *w, const char *file, tb_err *err)
{
    source s = { w, file };
    return read_file(file, add_from, &s, err);
}

typedef struct visitor {
    tb_weights_visit visit;
    void *ctx;
} visitor;

static tb_status visit_one(void *ctx, const char *name, tb_tensor *t_take, tb_err *err)
{
    const visitor *v = ctx;
    const tb_status st = v->visit(v->ctx, name, t_take, err);
    tb_tensor_unref(&t_take);
    return st;
}

tb_status tb_weights_each(const char *file, tb_weights_visit visit, void *ctx, tb_err *err)
{
    visitor v = { visit, ctx };
    return read_file(file, visit_one, &v, err);
}

/* Factors are no weights: they have gone into those. */
static tb_status apply_scales(tb_weights *w, tb_err *err)
{
    const int before = w->count;
    TB_TRY(tbi_weights_apply_scales(w->path, w->items, &w->count, err));
    if (w->count == before)
        return TB_OK;
    tb_map_free(&w->by_name);
    w->by_name = tb_map_new();
    for (int i = 0; i < w->count; i++)
        tb_map_set(w->by_name, w->items[i].name, i);
    return TB_OK;
}

static tb_status read_config(tb_weights *w, tb_err *err)
{
    tb_status st = TB_OK;
    char *folder = tbi_weights_folder(w->path), *file = tb_fs_join(folder, "config.json");
    if (tb_fs_is_file(file)) {
        w->config = tb_json_load(file, MAX_CONFIG, err);
        if (!w->config)
            st = err ? err->status : TB_EFORMAT;
        else if (!json_is_object(w->config))
            st = tb_err_set(err, TB_EFORMAT, "'%s' must be a JSON object", file);
    }
    free(file);
    free(folder);
    return st;
}

static tb_status gather(tb_weights *w, tb_err *err)
{
    TB_TRY(tbi_weights_files(w->path, &w->files, &w->file_count, err));
    for (int i = 0; i < w->file_count; i++)
        TB_TRY(add_file(w, w->files[i], err));
    TB_TRY(apply_scales(w, err));
    return read_config(w, err);
}

tb_weights *tb_weights_open(const char *path, tb_err *err)
{
    tb_weights *w = tb_xcalloc(1, sizeof *w);
    w->path = tb_xstrdup(path);
    w->by_name = tb_map_new();
    if (gather(w, err) != TB_OK)
        tb_weights_close(&w);
    return w;
}

void tb_weights_close(tb_weights **wp)
{
    tb_weights *w = *wp;
    *wp = NULL;
    if (!w)
        return;
    for (int i = 0; i < w->count; i++) {
        tb_tensor_unref(&w->items[i].tensor);
        free(w->items[i].name);
    }
    for (int i = 0; i < w->file_count; i++)
        free(w->files[i]);
    free(w->files);
    free(w->items);
    tb_map_free(&w->by_name);
    json_decref(w->config);
    free(w->path);
    free(w);
}

const char *tb_weights_path(const tb_weights *w)
{
    return w->path;
}

bool tb_weights_has(const tb_weights *w, const char *name)
{
    return tb_map_get(w->by_name, name) >= 0;
}

static const char *name_at(const void *container, int i)
{
    return tb_weights_name(container, i);
}

const tb_tensor *tb_weights_get(const tb_weights *w, const char *name, tb_err *err)
{
    const int64_t i = tb_map_get(w->by_name, name);
    if (i >= 0)
        return w->items[i].tensor;
    tbi_missing_tensor(w->path, name, w, w->count, name_at, err);
    return NULL;
}

/* ------------------------------------------------------------------------------------- shapes */

/* Dimensions of size 1 dropped. */
static tb_shape squeezed(const tb_shape *s)
{
    tb_shape r = { .n = 0 };
    for (int i = 0; i < s->n; i++)
        if (s->d[i] != 1)
            r.d[r.n++] = s->d[i];
    return r;
}

static bool fits_each(const tb_shape *have, const tb_shape *want)
{
    if (have->n != want->n)
        return false;
    for (int i = 0; i < have->n; i++)
        if (want->d[i] != -1 && want->d[i] != have->d[i])
            return false;
    return true;
}

static bool fits(const tb_shape *have, const tb_shape *want)
{
    if (have->n == want->n)
        return fits_each(have, want);
    const int64_t count = tb_shape_count(want); /* -1 where any size will do */
    if (count >= 0)
        return count == tb_shape_count(have);
    const tb_shape h = squeezed(have), k = squeezed(want);
    return fits_each(&h, &k);
}

static char *wanted_text(const tb_shape *s, char *buf, size_t n)
{
    size_t at = (size_t)snprintf(buf, n, "[");
    for (int i = 0; i < s->n && at < n; i++) {
        const char *comma = i ? "," : "";
        if (s->d[i] < 0)
            at += (size_t)snprintf(buf + at, n - at, "%sany", comma);
        else
            at += (size_t)snprintf(buf + at, n - at, "%s%lld", comma, (long long)s->d[i]);
    }
    if (at < n)
        snprintf(buf + at, n - at, "]");
    return buf;
}

const tb_tensor *tb_weights_want(const tb_weights *w, const char *name, const tb_shape *shape,
                                 tb_err *err)
{
    char have[192], want[192];
    const tb_tensor *t = tb_weights_get(w, name, err);
    if (!t || fits(tb_tensor_shape(t), shape))
        return t;
    tb_err_set(err, TB_EFORMAT, "'%s': tensor '%.120s' must have the shape %s, it has %s", w->path,
               name, wanted_text(shape, want, sizeof want),
               tb_shape_text(tb_tensor_shape(t), have, sizeof have));
    return NULL;
}

tb_tensor *tb_weights_want_f32(const tb_weights *w, const char *name, const tb_shape *shape,
                               tb_err *err)
{
    const tb_tensor *t = tb_weights_want(w, name, shape, err);
    return t ? tb_tensor_to_f32(t, err) : NULL;
}

/* ------------------------------------------------------------------------------------- listing */

int tb_weights_count(const tb_weights *w)
{
    return w->count;
}

int64_t tb_weights_blocks(const tb_weights *w, const char *prefix)
{
    int64_t n = 0;
    for (int i = 0; i < w->count; i++) {
        const char *name = w->items[i].name, *at = name + strlen(prefix);
        if (!tb_str_starts(name, prefix))
            continue;
        const size_t digits = strspn(at, "0123456789");
        const int64_t block = digits && digits < 6 && at[digits] == '.' ? atoi(at) : -1;
        n = block >= n ? block + 1 : n;
    }
    return n;
}

const char *tb_weights_name(const tb_weights *w, int i)
{
    return w->items[i].name;
}

const tb_tensor *tb_weights_at(const tb_weights *w, int i)
{
    return w->items[i].tensor;
}

const json_t *tb_weights_config(const tb_weights *w)
{
    return w->config;
}

int tb_weights_file_count(const tb_weights *w)
{
    return w->file_count;
}

const char *tb_weights_file(const tb_weights *w, int i)
{
    return w->files[i];
}
