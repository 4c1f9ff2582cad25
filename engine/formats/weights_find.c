/* weights_find.c - which files a weights path means. */
#include "formats/weights_find.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "formats/weights.h"

#define INDEX_SUFFIX ".index.json" /* behind .safetensors or .bin */
#define MAX_INDEX    (64u << 20)
#define MAX_SHARDS   1024

typedef struct names {
    char **items;
    int count;
    size_t cap;
} names;

static void names_add_take(names *n, char *s)
{
    TB_GROW(n->items, n->cap, n->count + 1);
    n->items[n->count++] = s;
}

static bool names_has(const names *n, const char *s)
{
    for (int i = 0; i < n->count; i++)
        if (strcmp(n->items[i], s) == 0)
            return true;
    return false;
}

static void names_clear(names *n)
{
    for (int i = 0; i < n->count; i++)
        free(n->items[i]);
    free(n->items);
    *n = (names){ 0 };
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* ------------------------------------------------------------------------------ index of shards */

/* A shard lies beside its index: a name with a slash could point anywhere. */
static tb_status add_shard(names *out, const char *index, const char *dir, const char *shard,
                           tb_err *err)
{
    if (!shard || !*shard || strchr(shard, '/') || strcmp(shard, "..") == 0)
        return tb_err_set(err, TB_EFORMAT,
                          "'%s' must name its shards by plain file names, got '%.120s'", index,
                          shard ? shard : "no text");
    if (out->count >= MAX_SHARDS)
        return tb_err_set(err, TB_ELIMIT, "'%s' names more than %d shards", index, MAX_SHARDS);
    char *path = tb_fs_join(dir, shard);
    if (names_has(out, path))
        free(path);
    else
        names_add_take(out, path);
    return TB_OK;
}

static tb_status read_index(const char *index, names *out, tb_err *err)
{
    json_t *root = tb_json_load(index, MAX_INDEX, err), *map = json_object_get(root, "weight_map"),
           *v;
    const char *tensor;
    tb_status st = root ? TB_OK : err ? err->status : TB_EFORMAT;
    char *dir = tb_fs_dirname(index);
    if (root && json_object_size(map) == 0)
        st = tb_err_set(err, TB_EFORMAT, "'%s' has no weight_map that names shards", index);
    json_object_foreach(map, tensor, v)
    {
        if (st == TB_OK)
            st = add_shard(out, index, dir, json_string_value(v), err);
    }
    if (out->count)
        qsort(out->items, (size_t)out->count, sizeof *out->items, by_text);
    free(dir);
    json_decref(root);
    return st;
}

/* ------------------------------------------------------------------------------------- folders */

static tb_status list_folder(const char *dir, names *out, tb_err *err)
{
    DIR *d = opendir(dir);
    if (!d)
        return tb_err_errno(err, errno, "cannot list '%s'", dir);
    for (const struct dirent *e; (e = readdir(d));)
        if (e->d_name[0] != '.')
            names_add_take(out, tb_xstrdup(e->d_name));
    closedir(d);
    if (out->count)
        qsort(out->items, (size_t)out->count, sizeof *out->items, by_text);
    return TB_OK;
}

static bool is_index(const char *name)
{
    return tb_str_ends(name, ".safetensors" INDEX_SUFFIX) || tb_str_ends(name, ".bin" INDEX_SUFFIX);
}

static bool is_safetensors(const char *name)
{
    return tb_str_ends(name, ".safetensors") || tb_str_ends(name, ".sft");
}

static bool is_other(const char *name)
{
    return tb_weights_other(name) != NULL;
}

static const char *only_one(const names *n, bool (*is)(const char *name), int *count)
{
    const char *found = NULL;
    *count = 0;
    for (int i = 0; i < n->count; i++)
        if (is(n->items[i])) {
            found = found ? found : n->items[i];
            ++*count;
        }
    return found;
}

/* The file in a folder: the usual names first, so that variants (".fp16.") do not get in the way;
 * safetensors before other forms of the same weights. */
static const char *choose(const char *dir, const names *n, tb_err *err)
{
    static const char *const usual[] = {
        "diffusion_pytorch_model.safetensors" INDEX_SUFFIX,
        "model.safetensors" INDEX_SUFFIX,
        "diffusion_pytorch_model.safetensors",
        "model.safetensors",
    };
    static bool (*const kinds[])(const char *) = { is_index, is_safetensors, is_other };
    const char *found = NULL;
    int count = 0;
    for (size_t i = 0; i < sizeof usual / sizeof *usual; i++)
        if (names_has(n, usual[i]))
            return usual[i];
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds && !found; i++)
        found = only_one(n, kinds[i], &count);
    if (count > 1) {
        tb_err_set(err, TB_EINVAL,
                   "'%s' holds %d files of weights and no one of them is the usual name; name one "
                   "of them, e.g. '%s'",
                   dir, count, found);
        return NULL;
    }
    if (!found)
        tb_err_set(err, TB_ENOTFOUND,
                   "'%s' holds no weights: a .safetensors, .gguf, .pth or .bin file or a "
                   "*" INDEX_SUFFIX " was looked for",
                   dir);
    return found;
}

static tb_status find_in_folder(const char *dir, char **file, tb_err *err)
{
    names n = { 0 };
    tb_status st = list_folder(dir, &n, err);
    const char *found = st == TB_OK ? choose(dir, &n, err) : NULL;
    if (found)
        *file = tb_fs_join(dir, found);
    else if (st == TB_OK)
        st = err ? err->status : TB_ENOTFOUND;
    names_clear(&n);
    return st;
}

/* -------------------------------------------------------------------------------------- public */

const char *tb_weights_other(const char *file)
{
    static const char *const pickle[] = { "pth", "pt", "bin", "ckpt" };
    const char *ext = tb_fs_extension(file);
    for (size_t i = 0; i < sizeof pickle / sizeof *pickle; i++)
        if (strcmp(ext, pickle[i]) == 0)
            return "a PyTorch file";
    return strcmp(ext, "gguf") == 0 ? "a GGUF file" : NULL;
}

/* "model-00002-of-00005.safetensors" */
bool tb_weights_is_shard(const char *file)
{
    const char *name = tb_fs_basename(file), *of = strstr(name, "-of-");
    return of && of > name && of[-1] >= '0' && of[-1] <= '9' && of[4] >= '0' && of[4] <= '9';
}

bool tb_weights_is_index(const char *file)
{
    return is_index(tb_fs_basename(file));
}

tb_status tb_weights_list(const char *folder, char ***files, int *count, tb_err *err)
{
    names all = { 0 }, out = { 0 };
    const tb_status st = list_folder(folder, &all, err);
    for (int i = 0; i < all.count; i++) {
        const char *name = all.items[i];
        const bool whole = is_safetensors(name) || is_other(name);
        if (is_index(name) || (whole && !tb_weights_is_shard(name)))
            names_add_take(&out, tb_fs_join(folder, name));
    }
    names_clear(&all);
    *files = out.items;
    *count = out.count;
    return st;
}

tb_status tbi_weights_files(const char *path, char ***files, int *count, tb_err *err)
{
    names out = { 0 };
    char *file = NULL;
    tb_status st = TB_OK;
    if (tb_fs_is_dir(path))
        st = find_in_folder(path, &file, err);
    else
        file = tb_xstrdup(path);
    if (st == TB_OK && tb_str_ends(file, INDEX_SUFFIX))
        st = read_index(file, &out, err);
    else if (st == TB_OK)
        names_add_take(&out, tb_xstrdup(file));
    free(file);
    if (st != TB_OK)
        names_clear(&out);
    *files = out.items;
    *count = out.count;
    return st;
}

char *tbi_weights_folder(const char *path)
{
    return tb_fs_is_dir(path) ? tb_xstrdup(path) : tb_fs_dirname(path);
}
