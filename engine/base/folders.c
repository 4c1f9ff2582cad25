/* folders.c - files of the user by kind and name. */
#include "base/folders.h"

#include <assert.h>
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/str.h"

#define MAX_DEPTH 8  /* of folders in folders: a link to above ends somewhere */
#define MAX_SHOWN 12 /* names in a sentence */

typedef struct kind {
    const char *name;
    const char *folders[2]; /* below a root */
} kind;

static const kind kinds[] = {
    { "checkpoints", { "checkpoints" } },
    { "diffusion_models", { "unet", "diffusion_models" } },
    { "text_encoders", { "text_encoders", "clip" } },
    { "vae", { "vae" } },
    { "loras", { "loras" } },
    { "clip_vision", { "clip_vision" } },
    { "embeddings", { "embeddings" } },
    { "controlnet", { "controlnet", "t2i_adapter" } },
    { "upscale_models", { "upscale_models" } },
    { "latent_upscale_models", { "latent_upscale_models" } },
    { "style_models", { "style_models" } },
    { "vae_approx", { "vae_approx" } },
    { "audio_encoders", { "audio_encoders" } },
    { "model_patches", { "model_patches" } },
};

enum { KINDS = sizeof kinds / sizeof *kinds };

typedef struct named {
    const kind *kind;
    char *name, *path;
} named;

struct tb_folders {
    char session[6];
    char *input, *output, *temp; /* NULL: not set */
    char **roots;
    int root_count;
    size_t root_cap;
    named *models;
    int model_count;
    size_t model_cap;
};

tb_folders *tb_folders_new(void)
{
    tb_folders *f = tb_xcalloc(1, sizeof *f);
    unsigned char random[5] = { 0 };
    if (getrandom(random, sizeof random, 0) != sizeof random)
        memset(random, 0, sizeof random);
    for (size_t i = 0; i < sizeof random; i++)
        f->session[i] = (char)('a' + random[i] % 26);
    return f;
}

const char *tb_folders_session(const tb_folders *f)
{
    return f->session;
}

void tb_folders_free(tb_folders **fp)
{
    tb_folders *f = *fp;
    if (!f)
        return;
    for (int i = 0; i < f->root_count; i++)
        free(f->roots[i]);
    for (int i = 0; i < f->model_count; i++) {
        free(f->models[i].name);
        free(f->models[i].path);
    }
    free(f->roots);
    free(f->models);
    free(f->input);
    free(f->output);
    free(f->temp);
    free(f);
    *fp = NULL;
}

static char **slot_of(const tb_folders *f, const char *name)
{
    tb_folders *w = (tb_folders *)(uintptr_t)f;
    return strcmp(name, "input") == 0    ? &w->input
           : strcmp(name, "output") == 0 ? &w->output
           : strcmp(name, "temp") == 0   ? &w->temp
                                         : NULL;
}

void tb_folders_set(tb_folders *f, const char *name, const char *path)
{
    char **slot = slot_of(f, name);
    assert(slot);
    free(*slot);
    *slot = tb_xstrdup(path);
}

void tb_folders_add_root(tb_folders *f, const char *root)
{
    TB_GROW(f->roots, f->root_cap, f->root_count + 1);
    f->roots[f->root_count++] = tb_xstrdup(root);
}

void tb_folders_add_usual_roots(tb_folders *f)
{
    const char *list = getenv("TUBELET_MODELS");
    for (const char *p = list ? list : ""; *p;) {
        const size_t n = strcspn(p, ":");
        char *root = tb_xstrndup(p, n);
        if (n)
            tb_folders_add_root(f, root);
        free(root);
        p += n + (p[n] == ':');
    }
    tb_folders_add_root(f, "models");
}

/* --------------------------------------------------------------------------------------- kinds */

static const kind *find_kind(const char *name)
{
    static const char *const old[][2] = { { "unet", "diffusion_models" },
                                          { "clip", "text_encoders" } };
    for (size_t i = 0; i < sizeof old / sizeof *old; i++)
        if (strcmp(name, old[i][0]) == 0)
            name = old[i][1];
    for (int i = 0; i < KINDS; i++)
        if (strcmp(name, kinds[i].name) == 0)
            return &kinds[i];
    return NULL;
}

const char *tb_folders_kind(int i)
{
    return i >= 0 && i < KINDS ? kinds[i].name : NULL;
}

const char *tb_folders_kind_of(const char *name)
{
    static const char *const own[] = { "input", "output", "temp" };
    const kind *k = find_kind(name);
    for (size_t i = 0; !k && i < sizeof own / sizeof *own; i++)
        if (strcmp(name, own[i]) == 0)
            return own[i];
    return k ? k->name : NULL;
}

bool tb_folders_knows(const tb_folders *f, const char *name)
{
    char **slot = slot_of(f, name);
    return slot ? *slot != NULL : find_kind(name) != NULL;
}

const char *tb_folders_temp(const tb_folders *f)
{
    return f->temp;
}

void tb_folders_add_model(tb_folders *f, const char *kind_name, const char *name, const char *path)
{
    const kind *k = find_kind(kind_name);
    assert(k);
    TB_GROW(f->models, f->model_cap, f->model_count + 1);
    f->models[f->model_count++] = (named){ k, tb_xstrdup(name), tb_xstrdup(path) };
}

json_t *tb_folders_paths(const tb_folders *f, const char *name)
{
    json_t *paths = json_array();
    const kind *k = find_kind(name);
    char **slot = slot_of(f, name);
    if (slot && *slot)
        json_array_append_new(paths, json_string(*slot));
    for (int r = 0; k && r < f->root_count; r++)
        for (int i = 0; i < 2 && k->folders[i]; i++) {
            char *path = tb_fs_join(f->roots[r], k->folders[i]);
            json_array_append_new(paths, json_string(path));
            free(path);
        }
    return paths;
}

/* --------------------------------------------------------------------------------------- names */

/* Stays below the folder it is joined to. */
static bool is_inside(const char *name)
{
    if (!*name || *name == '/')
        return false;
    for (const char *p = name; *p;) {
        const size_t n = strcspn(p, "/");
        if (n == 2 && memcmp(p, "..", 2) == 0)
            return false;
        p += n + (p[n] == '/');
    }
    return true;
}

static bool is_model_file(const char *name)
{
    static const char *const endings[] = { "safetensors", "sft", "gguf", "ckpt",
                                           "pt",          "pth", "bin",  "pkl" };
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        if (strcmp(tb_fs_extension(name), endings[i]) == 0)
            return true;
    return false;
}

/* A model may be a folder, as diffusers keeps its parts. */
static bool is_model_folder(const char *path)
{
    static const char *const files[] = { "config.json", "model_index.json" };
    bool is = false;
    for (size_t i = 0; i < sizeof files / sizeof *files && !is; i++) {
        char *file = tb_fs_join(path, files[i]);
        is = tb_fs_is_file(file);
        free(file);
    }
    return is;
}

/* All files below dir/sub into an object, whose keys are the names; those that are not UTF-8 are
 * left out. */
static void collect(const char *dir, const char *sub, bool models, int depth, json_t *into)
{
    char *path = tb_fs_join(dir, sub);
    DIR *d = opendir(path);
    const struct dirent *e;
    while (d && (e = readdir(d)) != NULL) {
        if (*e->d_name == '.')
            continue;
        char *name = *sub ? tb_xasprintf("%s/%s", sub, e->d_name) : tb_xstrdup(e->d_name);
        char *full = tb_fs_join(dir, name);
        const bool folder = tb_fs_is_dir(full);
        if (folder ? models && is_model_folder(full) : !models || is_model_file(name))
            json_object_set_new(into, name, json_true());
        else if (folder && depth < MAX_DEPTH)
            collect(dir, name, models, depth + 1, into);
        free(full);
        free(name);
    }
    if (d)
        closedir(d);
    free(path);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static json_t *sorted_keys(json_t *object)
{
    const size_t n = json_object_size(object);
    const char **keys = tb_xcalloc(n + 1, sizeof *keys);
    const char *key;
    json_t *value, *list = json_array();
    size_t i = 0;
    json_object_foreach(object, key, value) keys[i++] = key;
    qsort(keys, n, sizeof *keys, by_text);
    for (i = 0; i < n; i++)
        json_array_append_new(list, json_string(keys[i]));
    free(keys);
    return list;
}

json_t *tb_folders_names(const tb_folders *f, const char *name)
{
    json_t *paths = tb_folders_paths(f, name), *found = json_object(), *path;
    const kind *k = find_kind(name);
    size_t i;
    json_array_foreach(paths, i, path) collect(json_string_value(path), "", k != NULL, 0, found);
    json_t *list = sorted_keys(found);
    for (int m = 0; m < f->model_count; m++)
        if (f->models[m].kind == k && !json_object_get(found, f->models[m].name))
            json_array_append_new(list, json_string(f->models[m].name));
    json_decref(found);
    json_decref(paths);
    return list;
}

/* -------------------------------------------------------------------------------------- finding */

static bool is_there(const char *path)
{
    return tb_fs_is_file(path) || tb_fs_is_dir(path);
}

/* "photo.png [output]": another folder than the input's; NULL: none is named. New string in *bare.
 */
static const char *annotated(const char *kind_name, const char *name, char **bare)
{
    static const char *const other[] = { "input", "output", "temp" };
    const char *open = strrchr(name, '[');
    *bare = NULL;
    if (find_kind(kind_name) || !open || open < name + 2 || open[-1] != ' ')
        return NULL;
    for (size_t i = 0; i < sizeof other / sizeof *other; i++) {
        const size_t n = strlen(other[i]);
        if (strncmp(open + 1, other[i], n) == 0 && strcmp(open + 1 + n, "]") == 0) {
            *bare = tb_xstrndup(name, (size_t)(open - 1 - name));
            return other[i];
        }
    }
    return NULL;
}

/* NULL: not there. */
static char *look_exactly(const tb_folders *f, const char *kind_name, const char *name)
{
    json_t *paths = tb_folders_paths(f, kind_name), *dir;
    const kind *k = find_kind(kind_name);
    char *found = NULL;
    size_t i;
    json_array_foreach(paths, i, dir)
    {
        char *path = is_inside(name) && !found ? tb_fs_join(json_string_value(dir), name) : NULL;
        if (path && is_there(path))
            found = path;
        else
            free(path);
    }
    for (int m = 0; m < f->model_count && !found; m++)
        if (f->models[m].kind == k && strcmp(f->models[m].name, name) == 0)
            found = tb_xstrdup(f->models[m].path);
    json_decref(paths);
    return found;
}

/* A model may be named as a ComfyUI on Windows does, "wan\\a.safetensors". NULL: not there. */
static char *look(const tb_folders *f, const char *kind_name, const char *name)
{
    char *path = look_exactly(f, kind_name, name);
    if (path || !find_kind(kind_name) || !strchr(name, '\\'))
        return path;
    char *here = tb_xstrdup(name);
    for (char *c = here; *c; c++)
        *c = *c == '\\' ? '/' : *c;
    path = look_exactly(f, kind_name, here);
    free(here);
    return path;
}

static void add_list(tb_str *s, const json_t *list)
{
    size_t i;
    json_t *item;
    json_array_foreach(list, i, item)
    {
        if (i == MAX_SHOWN) {
            tb_str_addf(s, ", and %zu more", json_array_size(list) - i);
            return;
        }
        tb_str_addf(s, "%s%s", i ? ", " : "", json_string_value(item));
    }
}

static const char *base_of(const char *name)
{
    for (const char *c = name; *c; c++)
        name = *c == '/' || *c == '\\' ? c + 1 : name;
    return name;
}

/* The name that differs least, wherever its folder; NULL: none is near. */
static const char *nearest(const json_t *names, const char *name)
{
    const char *best = NULL;
    int least = (int)strlen(base_of(name)) / 4 + 1;
    size_t i;
    json_t *one;
    json_array_foreach(names, i, one)
    {
        const int d = tb_str_distance(base_of(json_string_value(one)), base_of(name));
        if (d < least) {
            least = d;
            best = json_string_value(one);
        }
    }
    return best;
}

static void explain(const tb_folders *f, const char *kind_name, const char *name, tb_err *err)
{
    json_t *paths = tb_folders_paths(f, kind_name), *names = tb_folders_names(f, kind_name);
    tb_str where = TB_STR_INIT, there = TB_STR_INIT;
    const char *near = nearest(names, name);
    if (near)
        tb_str_addf(&there, "did you mean '%s'? There are ", near);
    else if (json_array_size(names))
        tb_str_addf(&there, "there are ");
    add_list(&where, paths);
    add_list(&there, names);
    if (!json_array_size(paths))
        tb_err_set(err, TB_ENOTFOUND,
                   "there is no folder for %s to look for '%s' in; name one with --models",
                   kind_name, name);
    else
        tb_err_set(err, TB_ENOTFOUND, "there is no '%s' in %s; %s", name, where.s,
                   there.len ? there.s : "nothing is there");
    tb_str_free(&where);
    tb_str_free(&there);
    json_decref(paths);
    json_decref(names);
}

char *tb_folders_find(const tb_folders *f, const char *kind_name, const char *name, tb_err *err)
{
    char *bare, *path;
    const char *other = annotated(kind_name, name, &bare);
    path = other ? look(f, other, bare) : look(f, kind_name, name);
    if (!path)
        explain(f, other ? other : kind_name, other ? bare : name, err);
    free(bare);
    return path;
}

/* Where a file would be that is not there. */
static char *would_be(const tb_folders *f, const char *kind_name, const char *name, const char *cwd)
{
    json_t *paths = tb_folders_paths(f, kind_name);
    const char *first = json_string_value(json_array_get(paths, 0));
    char *path = tb_fs_join(first ? first : cwd, name);
    json_decref(paths);
    return path;
}

/* Without folders of their own: beside the run, input files first in "input". */
static char *beside_run(const char *kind_name, const char *name, const char *cwd)
{
    if (strcmp(kind_name, "input") != 0)
        return tb_fs_join(cwd, name);
    char *below = tb_xasprintf("%s/input/%s", cwd, name);
    if (is_there(below))
        return below;
    free(below);
    return tb_fs_join(cwd, name);
}

/* A name in a folder; without one of its own beside the run. */
static char *path_in(const tb_folders *f, const char *kind_name, const char *name, const char *cwd)
{
    char **slot = slot_of(f, kind_name);
    if (slot && !*slot)
        return beside_run(kind_name, name, cwd);
    char *found = look(f, kind_name, name);
    return found ? found : would_be(f, kind_name, name, cwd);
}

/* Of "KIND:name" the kind, with *name pointing into path; NULL: a plain path. */
static const char *kind_of_path(const char *path, const char **name)
{
    const size_t n = strcspn(path, ":/");
    if (path[n] != ':')
        return NULL;
    char *word = tb_xstrndup(path, n);
    const char *kind_name = tb_folders_kind_of(word);
    free(word);
    *name = path + n + 1;
    return kind_name;
}

bool tb_folders_leaves(const char *path)
{
    const char *name;
    return kind_of_path(path, &name) && !is_inside(name);
}

char *tb_folders_named(const tb_folders *f, const char *cwd, const char *path)
{
    const char *name = NULL, *kind_name = kind_of_path(path, &name);
    if (!kind_name || !is_inside(name))
        return NULL;
    char *bare = NULL;
    const char *other = annotated(kind_name, name, &bare);
    char *found = other ? path_in(f, other, bare, cwd) : path_in(f, kind_name, name, cwd);
    free(bare);
    return found;
}
