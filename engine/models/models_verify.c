/* models_verify.c - every file of a model held against its format, its index, its architecture and
 * what is on record of it. */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/str.h"
#include "models/lora.h"
#include "models/models_records.h"
#include "models/models_scan.h"

enum { LEVELS_DOWN = 3, MAX_INDEX = 64 << 20, FEW = 10 };

typedef struct paths {
    char **items;
    int count;
    size_t cap;
} paths;

typedef struct verifier {
    tbi_scan scan;
    paths files;
    json_t *rows, *problems;
    json_t *names; /* by file: the tensors in it, as an object */
} verifier;

static void complain(verifier *v, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void complain(verifier *v, const char *fmt, ...)
{
    tb_err text = TB_ERR_INIT; /* for its one plain line */
    va_list ap;
    va_start(ap, fmt);
    tb_err_setv(&text, TB_EFORMAT, fmt, ap);
    va_end(ap);
    for (size_t i = 0; i < json_array_size(v->problems); i++)
        if (strcmp(json_string_value(json_array_get(v->problems, i)), text.message) == 0)
            return;
    json_array_append_new(v->problems, tbi_scan_text(text.message));
}

/* ----------------------------------------------------------------------------- which files */

static bool is_weights(const char *name)
{
    const char *ext = tb_fs_extension(name);
    return strcmp(ext, "safetensors") == 0 || strcmp(ext, "sft") == 0 || tb_weights_other(name);
}

static bool is_side_file(const char *name)
{
    return strcmp(tb_fs_extension(name), "json") == 0 || strcmp(name, "spiece.model") == 0 ||
           strcmp(name, "tokenizer.model") == 0;
}

static void take_path(paths *p, char *path_take)
{
    TB_GROW(p->items, p->cap, p->count + 1);
    p->items[p->count++] = path_take;
}

static void walk(paths *p, const char *dir, int levels)
{
    DIR *d = opendir(dir);
    for (const struct dirent *e; d && (e = readdir(d));) {
        if (e->d_name[0] == '.')
            continue;
        char *path = tb_fs_join(dir, e->d_name);
        if (levels > 0 && tb_fs_is_dir(path))
            walk(p, path, levels - 1);
        if (!tb_fs_is_dir(path) && (is_weights(e->d_name) || is_side_file(e->d_name)))
            take_path(p, path);
        else
            free(path);
    }
    if (d)
        closedir(d);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The shards that an index names; what is no plain file name is left to check_index. */
static void take_shards(paths *p, const char *index)
{
    json_t *root = tb_json_load(index, MAX_INDEX, NULL), *shard;
    char *dir = tb_fs_dirname(index);
    const char *tensor;
    json_object_foreach(json_object_get(root, "weight_map"), tensor, shard)
    {
        const char *name = json_string_value(shard);
        char *path = name && !strchr(name, '/') ? tb_fs_join(dir, name) : NULL;
        bool known = !path || !tb_fs_is_file(path);
        for (int i = 0; i < p->count && !known; i++)
            known = strcmp(p->items[i], path) == 0;
        if (known)
            free(path);
        else
            take_path(p, path);
    }
    free(dir);
    json_decref(root);
}

static tb_status find_files(paths *p, const char *path, tb_err *err)
{
    int weights = 0;
    if (tb_fs_is_dir(path))
        walk(p, path, LEVELS_DOWN);
    else if (tb_fs_is_file(path))
        take_path(p, tb_xstrdup(path));
    else
        return tb_err_set(err, TB_ENOTFOUND,
                          "there is no model '%s': neither a folder nor a file of that name", path);
    if (p->count == 1 && tb_weights_is_index(p->items[0]))
        take_shards(p, path);
    if (p->count)
        qsort(p->items, (size_t)p->count, sizeof *p->items, by_text);
    for (int i = 0; i < p->count; i++)
        weights += !is_side_file(tb_fs_basename(p->items[i])) || tb_weights_is_index(p->items[i]);
    return weights ? TB_OK
                   : tb_err_set(err, TB_ENOTFOUND,
                                "'%s' holds no weights: .safetensors, .gguf, .pth or .bin files "
                                "were looked for",
                                path);
}

static int64_t bytes_of(const char *file)
{
    struct stat st;
    return stat(file, &st) == 0 ? (int64_t)st.st_size : 0;
}

static int64_t bytes_to_read(const paths *p)
{
    int64_t n = 0;
    for (int i = 0; i < p->count; i++)
        n += bytes_of(p->items[i]) * (is_side_file(tb_fs_basename(p->items[i])) ? 1 : 2);
    return n;
}

/* ------------------------------------------------------------------------------------ one file */

static void hold_against_records(verifier *v, const char *file, json_t *row)
{
    tbi_record *records = NULL;
    int count = 0;
    bool differs = false;
    char git[TB_FILE_HEX] = "";
    const char *sha256 = json_string_value(json_object_get(row, "sha256"));
    json_t *list = json_array();
    tbi_records_find(file, &records, &count);
    for (int i = 0; i < count; i++) {
        const tbi_record *r = &records[i];
        if (strlen(r->hash) == 40 && !*git &&
            tb_file_hash(file, TB_FILE_GIT_BLOB, git, NULL, NULL, NULL) == TB_OK)
            json_object_set_new(row, "git", json_string(git));
        const char *found = strlen(r->hash) == 40 ? git : sha256;
        json_array_append_new(list, json_pack("{s:s,s:s}", "hash", r->hash, "from", r->from));
        if (strcmp(found, r->hash) == 0)
            continue;
        differs = true;
        complain(v,
                 "'%s' differs from what was published: its hash is %s, '%s' says %s: download "
                 "it again",
                 file, found, r->from, r->hash);
    }
    json_object_set_new(row, "content",
                        json_string(differs ? "differs"
                                    : count ? "matches"
                                            : "unknown"));
    json_object_set_new(row, "recorded", list);
    tbi_records_free(&records, count);
}

/* What `git clone` leaves where Git LFS is not installed. */
static bool is_pointer(const char *file)
{
    char *text = NULL;
    size_t n = 0;
    const bool is = bytes_of(file) < 1024 && tb_fs_read(file, 1024, &text, &n, NULL) == TB_OK &&
                    tb_str_starts(text, "version https://git-lfs");
    free(text);
    return is;
}

/* What a sound container may still be wrong in. */
static void check_form(const char *file, json_t *row)
{
    tb_err err = TB_ERR_INIT;
    if (is_pointer(file))
        tb_err_set(&err, TB_EFORMAT,
                   "'%s' is a pointer of Git LFS, not the file itself: fetch it with 'git lfs "
                   "pull'",
                   file);
    else if (strcmp(tb_fs_extension(file), "json") == 0)
        json_decref(tb_json_load(file, MAX_INDEX, &err));
    else if (tb_lora_recognise(file)) {
        tb_lora *l = tb_lora_open(file, &err);
        tb_lora_close(&l);
    }
    if (err.status != TB_OK)
        json_object_set_new(row, "error", tbi_scan_text(err.message));
}

static void complain_of_numbers(verifier *v, const char *file, const json_t *bad)
{
    const size_t count = json_array_size(bad);
    for (size_t i = 0; i < count && i < FEW; i++) {
        const json_t *b = json_array_get(bad, i);
        complain(
            v,
            "'%s': tensor '%.120s' has %lld NaN and %lld infinite of %lld numbers: the file is "
            "damaged, or was made so; download it again",
            file, json_string_value(json_object_get(b, "tensor")),
            (long long)json_integer_value(json_object_get(b, "nan")),
            (long long)json_integer_value(json_object_get(b, "inf")),
            (long long)json_integer_value(json_object_get(b, "count")));
    }
    if (count > FEW)
        complain(v, "'%s': %zu more tensors have numbers that are not finite", file, count - FEW);
}

static void verify_file(verifier *v, const char *file)
{
    tb_err err = TB_ERR_INIT;
    const bool weights = !is_side_file(tb_fs_basename(file));
    json_t *names = json_object(), *row = json_pack("{s:s,s:I,s:n}", "path", file, "bytes",
                                                    (json_int_t)bytes_of(file), "error");
    if (!row) {
        complain(v, "the name of a file in the model is not valid UTF-8");
        json_decref(names);
        return;
    }
    if (tbi_scan_file(&v->scan, file, weights, row, names, &err) == TB_OK) {
        hold_against_records(v, file, row);
        check_form(file, row);
    } else {
        json_object_set_new(row, "error", tbi_scan_text(err.message));
    }
    const char *error = json_string_value(json_object_get(row, "error"));
    if (error)
        complain(v, "%s", error);
    else if (weights)
        json_object_set(v->names, file, names);
    complain_of_numbers(v, file, json_object_get(row, "bad"));
    json_array_append_new(v->rows, row);
    json_decref(names);
}

/* ------------------------------------------------------------------------------- index of shards
 */

static void check_entry(verifier *v, const char *index, const char *tensor, const char *path,
                        int *lost)
{
    const json_t *names = json_object_get(v->names, path);
    if (!tb_fs_is_file(path))
        complain(v, "'%s' is missing: '%s' names it; download it", path, index);
    else if (names && !json_object_get(names, tensor) && ++*lost <= FEW)
        complain(v,
                 "'%s' does not hold the tensor '%.120s', which '%s' says is there; download both "
                 "again",
                 path, tensor, index);
}

static void check_index(verifier *v, const char *index)
{
    tb_err err = TB_ERR_INIT;
    json_t *root = tb_json_load(index, MAX_INDEX, &err), *map = json_object_get(root, "weight_map"),
           *shard;
    char *dir = tb_fs_dirname(index);
    const char *tensor;
    int lost = 0;
    if (root && json_object_size(map) == 0)
        complain(v, "'%s' has no weight_map that names shards", index);
    json_object_foreach(map, tensor, shard)
    {
        const char *name = json_string_value(shard);
        char *path = name && *name && !strchr(name, '/') ? tb_fs_join(dir, name) : NULL;
        if (path)
            check_entry(v, index, tensor, path, &lost);
        else
            complain(v, "'%s' must name its shards by plain file names, got '%.120s'", index,
                     name ? name : "no text");
        free(path);
    }
    if (lost > FEW)
        complain(v, "'%s': %d more tensors are not where it says", index, lost - FEW);
    free(dir);
    json_decref(root);
}

/* ------------------------------------------------------------------------------ the architecture
 */

static void on_lack(void *ctx, const char *sentence)
{
    json_array_append_new(ctx, tbi_scan_text(sentence));
}

static void check_part(verifier *v, const char *name, json_t *part)
{
    static const struct {
        const char *name;
        void (*check)(const tb_weights *w, const tb_weights_lack *lack);
    } checks[] = { { "transformer", tb_wan_dit_check },
                   { "transformer_2", tb_wan_dit_check },
                   { "vae", tb_wan_vae_check },
                   { "text_encoder", tb_umt5_check },
                   { "image_encoder", tb_clip_vision_check } };
    tb_err err = TB_ERR_INIT;
    json_t *list = json_array();
    tb_weights_lack lack = { on_lack, list };
    const char *path = json_string_value(json_object_get(part, "path")),
               *error = json_string_value(json_object_get(part, "error"));
    tb_weights *w = NULL;
    if (strcmp(name, "tokenizer") == 0)
        tb_err_set(&err, TB_EFORMAT, "%s", error ? error : "");
    else
        w = tb_weights_open(path, &err);
    for (size_t i = 0; w && i < sizeof checks / sizeof *checks; i++)
        if (strcmp(checks[i].name, name) == 0)
            checks[i].check(w, &lack);
    if (!w && *err.message)
        on_lack(list, err.message);
    for (size_t i = 0; i < json_array_size(list) && i < FEW; i++)
        complain(v, "%s", json_string_value(json_array_get(list, i)));
    if (json_array_size(list) > FEW)
        complain(v, "'%s': %zu more tensors of the %s are not there or have another shape", path,
                 json_array_size(list) - FEW, name);
    json_object_set_new(part, "lacks", list);
    tb_weights_close(&w);
}

/* Files that are nothing known are no fault of theirs. */
static json_t *check_model(verifier *v, const char *path)
{
    json_t *seen = tb_model_describe(path, NULL), *parts = json_object(), *missing, *part;
    const char *name, *family = json_string_value(json_object_get(seen, "family"));
    const char *kind = json_string_value(json_object_get(seen, "kind")); /* of LoRAs */
    missing = json_incref(json_object_get(seen, "missing"));
    json_object_foreach(json_object_get(seen, "parts"), name, part)
    {
        json_t *one = json_pack("{s:O}", "path", json_object_get(part, "path"));
        json_object_set(one, "error", json_object_get(part, "error"));
        check_part(v, name, one);
        json_object_del(one, "error");
        json_object_set_new(parts, name, one);
    }
    json_t *o = json_pack("{s:s,s:s?,s:o,s:o}", "path", path, "family", family ? family : kind,
                          "missing", missing ? missing : json_array(), "parts", parts);
    json_decref(seen);
    return o;
}

/* ------------------------------------------------------------------------------------- the answer
 */

static json_t *verify(verifier *v, const char *path, tb_err *err)
{
    for (int i = 0; i < v->files.count; i++)
        verify_file(v, v->files.items[i]);
    for (int i = 0; i < v->files.count; i++)
        if (tb_weights_is_index(v->files.items[i]))
            check_index(v, v->files.items[i]);
    json_t *o = check_model(v, path);
    if (!o) {
        tb_err_set(err, TB_EINVAL, "the path of the model is not valid UTF-8");
        return NULL;
    }
    json_object_set(o, "files", v->rows);
    json_object_set(o, "problems", v->problems);
    return o;
}

json_t *tb_model_verify(const char *path, const tb_model_watch *watch, tb_err *err)
{
    tb_err own = TB_ERR_INIT;
    err = err ? err : &own;
    verifier v = { .rows = json_array(), .problems = json_array(), .names = json_object() };
    json_t *o = NULL;
    if (find_files(&v.files, path, err) == TB_OK &&
        tbi_scan_init(&v.scan, watch, bytes_to_read(&v.files), err) == TB_OK)
        o = verify(&v, path, err);
    tbi_scan_fini(&v.scan);
    for (int i = 0; i < v.files.count; i++)
        free(v.files.items[i]);
    free(v.files.items);
    json_decref(v.rows);
    json_decref(v.problems);
    json_decref(v.names);
    return o;
}
