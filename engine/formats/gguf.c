/* gguf.c - reading GGUF: walk the metadata, check every tensor info, hand out tensors over the
 * mapping. */
#include "formats/gguf.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"

#define ORIG_SHAPE "comfy.gguf.orig_shape."

enum {
    MAX_NAME = 1024, /* bytes */
    MAX_NESTING = 4, /* arrays in arrays */
    DEFAULT_ALIGNMENT = 32,
};

/* Types of metadata, by number. */
enum { U8, I8, U16, I16, U32, I32, F32, BOOL, STRING, ARRAY, U64, I64, F64, VALUES };
static const uint8_t value_size[VALUES] = { 1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8 };

/* GGML's tensor types, by number. dtype -1: not supported. */
static const struct {
    const char *name;
    int dtype;
} types[] = {
    { "F32", TB_F32 },       { "F16", TB_F16 },    { "Q4_0", TB_Q4_0 },  { "Q4_1", TB_Q4_1 },
    { "Q4_2", -1 },          { "Q4_3", -1 },       { "Q5_0", TB_Q5_0 },  { "Q5_1", TB_Q5_1 },
    { "Q8_0", TB_Q8_0 },     { "Q8_1", -1 },       { "Q2_K", TB_Q2_K },  { "Q3_K", TB_Q3_K },
    { "Q4_K", TB_Q4_K },     { "Q5_K", TB_Q5_K },  { "Q6_K", TB_Q6_K },  { "Q8_K", -1 },
    { "IQ2_XXS", -1 },       { "IQ2_XS", -1 },     { "IQ3_XXS", -1 },    { "IQ1_S", -1 },
    { "IQ4_NL", TB_IQ4_NL }, { "IQ3_S", -1 },      { "IQ2_S", -1 },      { "IQ4_XS", TB_IQ4_XS },
    { "I8", TB_I8 },         { "I16", TB_I16 },    { "I32", TB_I32 },    { "I64", TB_I64 },
    { "F64", TB_F64 },       { "IQ1_M", -1 },      { "BF16", TB_BF16 },  { "Q4_0_4_4", -1 },
    { "Q4_0_4_8", -1 },      { "Q4_0_8_8", -1 },   { "TQ1_0", -1 },      { "TQ2_0", -1 },
    { "IQ4_NL_4_4", -1 },    { "IQ4_NL_4_8", -1 }, { "IQ4_NL_8_8", -1 }, { "MXFP4", -1 },
};
enum { TYPES = sizeof types / sizeof *types };

typedef struct info {
    char *name;
    tb_dtype dtype;
    tb_shape shape;
    size_t at, bytes; /* in the data */
} info;

struct tbi_gguf {
    char *path;
    tbi_mapped *map;
    size_t at; /* of what is read next */
    uint64_t tensors, values, alignment, parts;
    size_t data_at;
    info *infos;
    int count;
    size_t cap;
    tb_map *names;
    tb_map *keys; /* where the type of their value stands in the file */
    tb_err *err;  /* while it is opened */
};

typedef struct tbi_gguf reader;

/* ---------------------------------------------------------------------------------- the cursor */

static tb_status cut_short(const reader *r, const char *what)
{
    return tb_err_set(r->err, TB_EFORMAT, "'%s' is cut short or damaged: %s goes beyond its end",
                      r->path, what);
}

static tb_status skip(reader *r, uint64_t bytes, const char *what)
{
    if (bytes > r->map->size - r->at)
        return cut_short(r, what);
    r->at += (size_t)bytes;
    return TB_OK;
}

static tb_status number(reader *r, int bytes, const char *what, uint64_t *out)
{
    TB_TRY(skip(r, (uint64_t)bytes, what));
    *out = tbi_le(r->map->base + r->at - bytes, bytes);
    return TB_OK;
}

/* A text of the file, to be freed: a name or key. */
static tb_status text(reader *r, const char *what, char **out)
{
    uint64_t n;
    TB_TRY(number(r, 8, what, &n));
    if (n < 1 || n > MAX_NAME)
        return tb_err_set(r->err, TB_EFORMAT,
                          "'%s' is damaged: %s has %" PRIu64 " bytes, 1 to %d are accepted",
                          r->path, what, n, MAX_NAME);
    TB_TRY(skip(r, n, what));
    const char *p = (const char *)r->map->base + r->at - n;
    if (memchr(p, 0, (size_t)n))
        return tb_err_set(r->err, TB_EFORMAT, "'%s' is damaged: %s holds a zero byte", r->path,
                          what);
    *out = tb_xstrndup(p, (size_t)n);
    return TB_OK;
}

/* ---------------------------------------------------------------------------------- metadata */

static tb_status skip_value(reader *r, uint64_t type, int depth);

/* Texts and arrays are at least 8 and 12 bytes each: a false count ends at the end of the file. */
static tb_status skip_array(reader *r, int depth)
{
    uint64_t type, n;
    TB_TRY(number(r, 4, "an array of its metadata", &type));
    TB_TRY(number(r, 8, "an array of its metadata", &n));
    if (depth >= MAX_NESTING)
        return tb_err_set(r->err, TB_EFORMAT,
                          "'%s' is damaged: arrays of its metadata lie in %d "
                          "others",
                          r->path, MAX_NESTING);
    if (type < VALUES && value_size[type]) {
        if (n > SIZE_MAX / 8)
            return cut_short(r, "an array of its metadata");
        return skip(r, n * value_size[type], "an array of its metadata");
    }
    for (uint64_t i = 0; i < n; i++)
        TB_TRY(skip_value(r, type, depth + 1));
    return TB_OK;
}

static tb_status skip_value(reader *r, uint64_t type, int depth)
{
    uint64_t n;
    if (type >= VALUES)
        return tb_err_set(r->err, TB_EFORMAT,
                          "'%s' is damaged: its metadata has a value of type %" PRIu64
                          ", 0 to %d are known",
                          r->path, type, VALUES - 1);
    if (type == ARRAY)
        return skip_array(r, depth);
    if (type != STRING)
        return skip(r, value_size[type], "a value of its metadata");
    TB_TRY(number(r, 8, "a text of its metadata", &n));
    return skip(r, n, "a text of its metadata");
}

static tb_status read_alignment(reader *r, uint64_t type)
{
    uint64_t n = 0;
    if (type == U32)
        TB_TRY(number(r, 4, "general.alignment", &n));
    if (n < 1 || n > 1 << 20 || (n & (n - 1)))
        return tb_err_set(r->err, TB_EFORMAT,
                          "'%s' is damaged: general.alignment must be a power of two of type u32, "
                          "got %" PRIu64,
                          r->path, n);
    r->alignment = n;
    return TB_OK;
}

/* What we want to know; the rest is passed over. */
static tb_status read_value(reader *r, const char *key, uint64_t type)
{
    if (strcmp(key, "general.alignment") == 0)
        return read_alignment(r, type);
    if (strcmp(key, "split.count") == 0 && type == U16)
        return number(r, 2, key, &r->parts);
    return skip_value(r, type, 0);
}

static tb_status read_metadata(reader *r)
{
    for (uint64_t i = 0; i < r->values; i++) {
        char *key = NULL;
        uint64_t type;
        TB_TRY(text(r, "a key of its metadata", &key));
        tb_status st = number(r, 4, "a value of its metadata", &type);
        if (st == TB_OK && tb_map_get(r->keys, key) >= 0)
            st = tb_err_set(r->err, TB_EFORMAT, "'%s' is damaged: its metadata has '%.120s' twice",
                            r->path, key);
        tb_map_set(r->keys, key, (int64_t)r->at - 4);
        if (st == TB_OK)
            st = read_value(r, key, type);
        free(key);
        TB_TRY(st);
    }
    return TB_OK;
}

/* ------------------------------------------------------------------------------------- tensors */

static tb_status refuse(const reader *r, const info *t, const char *why)
{
    return tb_err_set(r->err, TB_EFORMAT, "'%s' is damaged: tensor '%.120s' %s", r->path, t->name,
                      why);
}

/* Innermost first in the file. */
static tb_status read_dims(reader *r, info *t)
{
    uint64_t n, d;
    TB_TRY(number(r, 4, "a tensor's shape", &n));
    if (n > TB_MAX_DIMS)
        return refuse(r, t, "has more than 8 dimensions");
    t->shape.n = (int)n;
    for (int i = t->shape.n - 1; i >= 0; i--) {
        TB_TRY(number(r, 8, "a tensor's shape", &d));
        if (d > INT64_MAX)
            return refuse(r, t, "has a shape whose size overflows");
        t->shape.d[i] = (int64_t)d;
    }
    return TB_OK;
}

static tb_status read_type(reader *r, info *t)
{
    uint64_t n;
    TB_TRY(number(r, 4, "a tensor's type", &n));
    if (n < TYPES && types[n].dtype >= 0) {
        t->dtype = (tb_dtype)types[n].dtype;
        return TB_OK;
    }
    return tb_err_set(r->err, TB_EFORMAT,
                      "'%s': tensor '%.120s' is of the kind %s (%" PRIu64
                      "), which is not supported; take the file in Q8_0, Q6_K, Q5_K, Q4_K, Q3_K, "
                      "Q2_K, Q4_0, Q5_0, IQ4_NL, IQ4_XS, F16 or BF16",
                      r->path, t->name, n < TYPES ? types[n].name : "of a newer GGML", n);
}

static tb_status check_size(const reader *r, info *t)
{
    char shape[128];
    const int64_t count = tb_shape_count(&t->shape), block = tb_dtype_block(t->dtype);
    const int64_t row = t->shape.n ? t->shape.d[t->shape.n - 1] : 1;
    if (count < 0 || !tb_mul_size((size_t)(count / block), tb_dtype_size(t->dtype), &t->bytes))
        return refuse(r, t, "has a shape whose size overflows");
    if (row % block)
        return tb_err_set(r->err, TB_EFORMAT,
                          "'%s' is damaged: tensor '%.120s' of shape %s and kind %s has rows that "
                          "are no whole blocks of %lld",
                          r->path, t->name, tb_shape_text(&t->shape, shape, sizeof shape),
                          tb_dtype_name(t->dtype), (long long)block);
    return TB_OK;
}

static tb_status read_info(reader *r, info *t)
{
    uint64_t at;
    TB_TRY(text(r, "a tensor's name", &t->name));
    if (tb_map_get(r->names, t->name) >= 0)
        return refuse(r, t, "is there twice");
    tb_map_set(r->names, t->name, r->count);
    TB_TRY(read_dims(r, t));
    TB_TRY(read_type(r, t));
    TB_TRY(number(r, 8, "a tensor's offset", &at));
    if (at % r->alignment)
        return tb_err_set(r->err, TB_EFORMAT,
                          "'%s' is damaged: tensor '%.120s' begins at byte %" PRIu64
                          " of the data, which is no multiple of %" PRIu64,
                          r->path, t->name, at, r->alignment);
    t->at = (size_t)at;
    return check_size(r, t);
}

static tb_status read_infos(reader *r)
{
    for (uint64_t i = 0; i < r->tensors; i++) {
        TB_GROW(r->infos, r->cap, r->count + 1);
        r->infos[r->count] = (info){ .name = NULL };
        const tb_status st = read_info(r, &r->infos[r->count]);
        r->count++; /* also when it failed: its name is freed with the others */
        TB_TRY(st);
    }
    return TB_OK;
}

static int by_offset(const void *pa, const void *pb)
{
    const info *a = *(const info *const *)pa, *b = *(const info *const *)pb;
    if (a->at != b->at)
        return a->at < b->at ? -1 : 1;
    return (a->bytes > b->bytes) - (a->bytes < b->bytes);
}

/* Inside the file, and no byte in two tensors. */
static tb_status check_places(reader *r)
{
    const size_t data = r->map->size - r->data_at;
    const info **order = tb_xcalloc((size_t)r->count + 1, sizeof *order);
    tb_status st = TB_OK;
    for (int i = 0; i < r->count; i++)
        order[i] = &r->infos[i];
    if (r->count)
        qsort(order, (size_t)r->count, sizeof *order, by_offset);
    for (int i = 0; i < r->count && st == TB_OK; i++) {
        const info *t = order[i];
        if (t->at > data || t->bytes > data - t->at)
            st = tb_err_set(
                r->err, TB_EFORMAT,
                "'%s' is cut short: tensor '%.120s' takes %zu bytes from byte %zu of the "
                "data, which has %zu",
                r->path, t->name, t->bytes, t->at, data);
        else if (i && t->at < order[i - 1]->at + order[i - 1]->bytes)
            st = refuse(r, t, "shares bytes with another");
    }
    free(order);
    return st;
}

/* The shape that ComfyUI-GGUF noted before it reshaped a tensor into whole blocks. */
static tb_status restore_shape(const reader *r, info *t)
{
    tbi_gguf_array a;
    char *key = tb_xasprintf(ORIG_SHAPE "%s", t->name);
    const bool there = tb_map_get(r->keys, key) >= 0;
    const bool numbers = there && tbi_gguf_array_of(r, key, I32, &a) && a.count <= TB_MAX_DIMS;
    free(key);
    if (!there)
        return TB_OK;
    tb_shape shape = { .n = numbers ? (int)a.count : 0 };
    for (int i = 0; i < shape.n; i++)
        shape.d[i] = (int32_t)tbi_le(a.bytes + 4 * i, 4);
    if (!numbers || tb_shape_count(&shape) != tb_shape_count(&t->shape))
        return refuse(r, t, "has an original shape (" ORIG_SHAPE "...) that is not its own");
    t->shape = shape;
    return TB_OK;
}

/* ---------------------------------------------------------------------------------------- file */

bool tbi_gguf_is(const uint8_t *bytes, size_t n)
{
    return n >= 4 && (memcmp(bytes, "GGUF", 4) == 0 || memcmp(bytes, "FUGG", 4) == 0);
}

static tb_status read_preamble(reader *r)
{
    uint64_t version;
    if (!tbi_gguf_is(r->map->base, r->map->size))
        return tb_err_set(r->err, TB_EFORMAT,
                          "'%s' is not a GGUF file: it does not begin with the letters GGUF",
                          r->path);
    r->at = 4;
    TB_TRY(number(r, 4, "its preamble", &version));
    if (r->map->base[0] == 'F' || (version & 0xffff) == 0)
        return tb_err_set(r->err, TB_EFORMAT,
                          "'%s' is a big-endian GGUF file, which is not supported; take the "
                          "little-endian one",
                          r->path);
    if (version != 2 && version != 3)
        return tb_err_set(r->err, TB_EFORMAT,
                          "'%s' is a GGUF file of version %" PRIu64 "; 2 and 3 can be read",
                          r->path, version);
    TB_TRY(number(r, 8, "its preamble", &r->tensors));
    return number(r, 8, "its preamble", &r->values);
}

static tb_status read_header(reader *r)
{
    TB_TRY(read_preamble(r));
    TB_TRY(read_metadata(r));
    if (r->parts > 1)
        return tb_err_set(r->err, TB_EFORMAT,
                          "'%s' is one of %" PRIu64 " parts of a GGUF file; join them first "
                          "(llama-gguf-split --merge)",
                          r->path, r->parts);
    TB_TRY(read_infos(r));
    const uint64_t used = r->at % r->alignment;
    TB_TRY(skip(r, r->count && used ? r->alignment - used : 0, "the data"));
    r->data_at = r->at;
    TB_TRY(check_places(r));
    for (int i = 0; i < r->count; i++)
        TB_TRY(restore_shape(r, &r->infos[i]));
    return TB_OK;
}

tb_status tbi_gguf_tensors(const tbi_gguf *f, tbi_tensor_sink sink, void *ctx, tb_err *err)
{
    for (int i = 0; i < f->count; i++) {
        const info *t = &f->infos[i];
        tb_tensor *tensor = tbi_mapped_tensor(f->map, f->data_at + t->at, t->dtype, &t->shape, err);
        if (!tensor)
            return TB_ENOMEM;
        TB_TRY(sink(ctx, t->name, tensor, err));
    }
    return TB_OK;
}

tbi_gguf *tbi_gguf_open(const char *path, tb_err *err)
{
    tb_err own = TB_ERR_INIT;
    tbi_mapped *map = tbi_mapped_open(path, err);
    if (!map)
        return NULL;
    tbi_gguf *f = tb_xcalloc(1, sizeof *f);
    *f = (tbi_gguf){ .path = tb_xstrdup(path),
                     .map = map,
                     .alignment = DEFAULT_ALIGNMENT,
                     .names = tb_map_new(),
                     .keys = tb_map_new(),
                     .err = err ? err : &own };
    const tb_status st = read_header(f);
    f->err = NULL;
    if (st != TB_OK)
        tbi_gguf_close(&f);
    return f;
}

void tbi_gguf_close(tbi_gguf **fp)
{
    tbi_gguf *f = *fp;
    *fp = NULL;
    if (!f)
        return;
    for (int i = 0; i < f->count; i++)
        free(f->infos[i].name);
    free(f->infos);
    tb_map_free(&f->names);
    tb_map_free(&f->keys);
    tbi_mapped_unref(f->map);
    free(f->path);
    free(f);
}

/* ------------------------------------------------------------------------------------ metadata */

/* A value and its type; it was walked over once, so that it lies inside the file. */
static const uint8_t *value_of(const tbi_gguf *f, const char *key, uint64_t *type)
{
    const int64_t at = tb_map_get(f->keys, key);
    if (at < 0)
        return NULL;
    *type = tbi_le(f->map->base + at, 4);
    return f->map->base + at + 4;
}

int64_t tbi_gguf_number(const tbi_gguf *f, const char *key, int64_t otherwise)
{
    uint64_t type;
    const uint8_t *p = value_of(f, key, &type);
    if (!p || type == F32 || type == F64 || !value_size[type])
        return otherwise;
    return (int64_t)tbi_le(p, value_size[type]);
}

char *tbi_gguf_text(const tbi_gguf *f, const char *key)
{
    uint64_t type;
    const uint8_t *p = value_of(f, key, &type);
    return p && type == STRING ? tb_xstrndup((const char *)p + 8, (size_t)tbi_le(p, 8)) : NULL;
}

bool tbi_gguf_array_of(const tbi_gguf *f, const char *key, int type, tbi_gguf_array *a)
{
    uint64_t have;
    const uint8_t *p = value_of(f, key, &have);
    if (!p || have != ARRAY || tbi_le(p, 4) != (uint64_t)type)
        return false;
    *a = (tbi_gguf_array){ p + 12, tbi_le(p + 4, 8) };
    return true;
}
