/* safetensors.c - reading: map the file, check its header completely, hand out tensors over the
 * mapping. */
#include "formats/safetensors.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"
#include "formats/mapped.h"
#include "formats/weights_names.h"

#define PREAMBLE   8           /* bytes of the header's length */
#define MAX_HEADER 100000000ul /* as the format's own library */

typedef struct entry {
    const char *name; /* a key of the header, which lives as long as the reader */
    tb_dtype dtype;
    tb_shape shape;
    size_t begin, end; /* in the data, which starts at data_at */
} entry;

struct tb_safetensors {
    char *path;
    tbi_mapped *map;
    json_t *header;
    entry *items; /* in the order of their data */
    int count;
    size_t data_at;
    tb_map *by_name;
};

/* ------------------------------------------------------------------------------------- header */

static tb_status read_header(tb_safetensors *f, tb_err *err)
{
    if (f->map->size < PREAMBLE)
        return tb_err_set(err, TB_EFORMAT,
                          "'%s' is not a safetensors file: it has %zu bytes, fewer than 8", f->path,
                          f->map->size);
    const uint64_t n = tbi_le(f->map->base, PREAMBLE);
    if (n > MAX_HEADER)
        return tb_err_set(err, TB_EFORMAT,
                          "'%s' is not a safetensors file: its header would be %" PRIu64
                          " bytes long, at most %lu are accepted",
                          f->path, n, MAX_HEADER);
    if (n > f->map->size - PREAMBLE)
        return tb_err_set(err, TB_EFORMAT,
                          "'%s' is cut short: its header is %" PRIu64 " bytes long, but %zu follow",
                          f->path, n, f->map->size - PREAMBLE);
    char *what = tb_xasprintf("the header of '%s'", f->path);
    f->header = tb_json_parse((const char *)f->map->base + PREAMBLE, n, what, err);
    free(what);
    if (!f->header)
        return TB_EFORMAT;
    if (!json_is_object(f->header))
        return tb_err_set(err, TB_EFORMAT, "the header of '%s' must be a JSON object", f->path);
    f->data_at = PREAMBLE + n;
    return TB_OK;
}

static tb_status refuse(const tb_safetensors *f, const char *name, const char *why, tb_err *err)
{
    return tb_err_set(err, TB_EFORMAT, "'%s' is damaged: tensor '%.120s' %s", f->path, name, why);
}

static tb_status check_metadata(const tb_safetensors *f, json_t *metadata, tb_err *err)
{
    const char *key;
    json_t *v;
    bool fine = json_is_object(metadata);
    json_object_foreach(metadata, key, v)
    {
        fine = fine && json_is_string(v);
    }
    if (!fine)
        return tb_err_set(err, TB_EFORMAT,
                          "'%s' is damaged: its __metadata__ must be an object of texts", f->path);
    return TB_OK;
}

static tb_status parse_dtype(const tb_safetensors *f, const char *name, const json_t *v,
                             tb_dtype *dtype, tb_err *err)
{
    const char *text = json_string_value(v);
    if (!text)
        return refuse(f, name, "has no dtype", err);
    const int found = tb_dtype_parse(text);
    if (found < 0)
        return tb_err_set(
            err, TB_EFORMAT,
            "'%s': tensor '%.120s' has the dtype %.20s, which is not supported; convert the "
            "file to F32, F16, BF16, F8_E4M3 or F8_E5M2",
            f->path, name, text);
    *dtype = (tb_dtype)found;
    return TB_OK;
}

static tb_status parse_shape(const tb_safetensors *f, const char *name, const json_t *v,
                             tb_shape *shape, tb_err *err)
{
    if (!json_is_array(v))
        return refuse(f, name, "has no shape", err);
    if (json_array_size(v) > TB_MAX_DIMS)
        return refuse(f, name, "has more than 8 dimensions", err);
    shape->n = (int)json_array_size(v);
    for (int i = 0; i < shape->n; i++) {
        const json_t *d = json_array_get(v, (size_t)i);
        if (!json_is_integer(d) || json_integer_value(d) < 0)
            return refuse(f, name, "has a dimension that is no whole number >= 0", err);
        shape->d[i] = json_integer_value(d);
    }
    return TB_OK;
}

static tb_status parse_range(const tb_safetensors *f, const char *name, const json_t *v, entry *e,
                             tb_err *err)
{
    const json_t *begin = json_array_get(v, 0), *end = json_array_get(v, 1);
    if (json_array_size(v) != 2 || !json_is_integer(begin) || !json_is_integer(end))
        return refuse(f, name, "has no data_offsets of two whole numbers", err);
    const json_int_t from = json_integer_value(begin), to = json_integer_value(end);
    if (from < 0 || to < from)
        return refuse(f, name, "has data_offsets that run backwards", err);
    if ((uint64_t)to > f->map->size - f->data_at)
        return tb_err_set(
            err, TB_EFORMAT,
            "'%s' is cut short: tensor '%.120s' ends at byte %lld of the data, which has %zu",
            f->path, name, (long long)to, f->map->size - f->data_at);
    e->begin = (size_t)from;
    e->end = (size_t)to;
    return TB_OK;
}

static tb_status parse_entry(const tb_safetensors *f, const char *name, const json_t *v, entry *e,
                             tb_err *err)
{
    char shape[128];
    size_t bytes = 0;
    if (!json_is_object(v))
        return refuse(f, name, "is not described by an object", err);
    e->name = name;
    TB_TRY(parse_dtype(f, name, json_object_get(v, "dtype"), &e->dtype, err));
    TB_TRY(parse_shape(f, name, json_object_get(v, "shape"), &e->shape, err));
    TB_TRY(parse_range(f, name, json_object_get(v, "data_offsets"), e, err));
    const int64_t count = tb_shape_count(&e->shape);
    if (count < 0 || !tb_mul_size((size_t)count, tb_dtype_size(e->dtype), &bytes))
        return refuse(f, name, "has a shape whose size overflows", err);
    if (bytes != e->end - e->begin)
        return tb_err_set(
            err, TB_EFORMAT,
            "'%s' is damaged: tensor '%.120s' of shape %s and dtype %s needs %zu bytes, its "
            "data_offsets span %zu",
            f->path, name, tb_shape_text(&e->shape, shape, sizeof shape), tb_dtype_name(e->dtype),
            bytes, e->end - e->begin);
    return TB_OK;
}

static int by_offset(const void *pa, const void *pb)
{
    const entry *a = pa, *b = pb;
    if (a->begin != b->begin)
        return a->begin < b->begin ? -1 : 1;
    if (a->end != b->end)
        return a->end < b->end ? -1 : 1;
    return strcmp(a->name, b->name);
}

/* Every byte of the data belongs to exactly one tensor. */
static tb_status check_cover(const tb_safetensors *f, tb_err *err)
{
    size_t at = 0;
    for (int i = 0; i < f->count; i++) {
        if (f->items[i].begin < at)
            return refuse(f, f->items[i].name, "shares bytes with another", err);
        if (f->items[i].begin > at)
            return refuse(f, f->items[i].name, "follows a gap that belongs to no tensor", err);
        at = f->items[i].end;
    }
    if (at != f->map->size - f->data_at)
        return tb_err_set(
            err, TB_EFORMAT,
            "'%s' is damaged: its tensors take %zu bytes, but %zu bytes of data are there", f->path,
            at, f->map->size - f->data_at);
    return TB_OK;
}

static tb_status read_entries(tb_safetensors *f, tb_err *err)
{
    const char *name;
    json_t *v;
    f->items = tb_xcalloc(json_object_size(f->header), sizeof *f->items);
    json_object_foreach(f->header, name, v)
    {
        if (strcmp(name, "__metadata__") == 0) {
            TB_TRY(check_metadata(f, v, err));
            continue;
        }
        TB_TRY(parse_entry(f, name, v, &f->items[f->count], err));
        f->count++;
    }
    qsort(f->items, (size_t)f->count, sizeof *f->items, by_offset);
    f->by_name = tb_map_new();
    for (int i = 0; i < f->count; i++)
        tb_map_set(f->by_name, f->items[i].name, i);
    return check_cover(f, err);
}

/* -------------------------------------------------------------------------------------- public */

tb_safetensors *tb_safetensors_open(const char *path, tb_err *err)
{
    tbi_mapped *map = tbi_mapped_open(path, err);
    if (!map)
        return NULL;
    tb_safetensors *f = tb_xcalloc(1, sizeof *f);
    f->path = tb_xstrdup(path);
    f->map = map;
    if (read_header(f, err) != TB_OK || read_entries(f, err) != TB_OK)
        tb_safetensors_close(&f);
    return f;
}

void tb_safetensors_close(tb_safetensors **fp)
{
    tb_safetensors *f = *fp;
    *fp = NULL;
    if (!f)
        return;
    tb_map_free(&f->by_name);
    free(f->items);
    json_decref(f->header);
    tbi_mapped_unref(f->map);
    free(f->path);
    free(f);
}

int tb_safetensors_count(const tb_safetensors *f)
{
    return f->count;
}

const char *tb_safetensors_name(const tb_safetensors *f, int i)
{
    return f->items[i].name;
}

tb_dtype tb_safetensors_dtype(const tb_safetensors *f, int i)
{
    return f->items[i].dtype;
}

const tb_shape *tb_safetensors_shape(const tb_safetensors *f, int i)
{
    return &f->items[i].shape;
}

tb_tensor *tb_safetensors_tensor(const tb_safetensors *f, int i, tb_err *err)
{
    const entry *e = &f->items[i];
    return tbi_mapped_tensor(f->map, f->data_at + e->begin, e->dtype, &e->shape, err);
}

static const char *name_at(const void *container, int i)
{
    return tb_safetensors_name(container, i);
}

tb_tensor *tb_safetensors_get(const tb_safetensors *f, const char *name, tb_err *err)
{
    const int64_t i = tb_map_get(f->by_name, name);
    if (i < 0) {
        tbi_missing_tensor(f->path, name, f, f->count, name_at, err);
        return NULL;
    }
    return tb_safetensors_tensor(f, (int)i, err);
}

const json_t *tb_safetensors_metadata(const tb_safetensors *f)
{
    return json_object_get(f->header, "__metadata__");
}
