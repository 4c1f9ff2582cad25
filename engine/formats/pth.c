/* pth.c - the zip file of torch.save: which entry is the pickle, which bytes are whose. */
#include "formats/pth.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "formats/pickle.h"
#include "formats/zip.h"

#define DATA_PKL "/data.pkl"

enum { MAX_PICKLE = 256 << 20 };

typedef struct reader {
    const char *path;
    tbi_mapped *map;
    tbi_zip zip;
    char *root; /* the folder of all entries */
    tb_err *err;
} reader;

static bool is_bare_pickle(const uint8_t *bytes, size_t n)
{
    return n >= 2 && bytes[0] == 0x80 && bytes[1] >= 2 && bytes[1] <= 5;
}

bool tbi_pth_is(const uint8_t *bytes, size_t n)
{
    return tbi_zip_is(bytes, n) || is_bare_pickle(bytes, n);
}

/* ------------------------------------------------------------------------------------- entries */

static const tbi_zip_entry *entry_of(const reader *r, const char *name)
{
    char *full = tb_xasprintf("%s/%s", r->root, name);
    const tbi_zip_entry *e = tbi_zip_find(&r->zip, full);
    free(full);
    return e;
}

static const tbi_zip_entry *find_pickle(reader *r)
{
    for (int i = 0; i < r->zip.count; i++) {
        const tbi_zip_entry *e = &r->zip.entries[i];
        if (!tb_str_ends(e->name, DATA_PKL))
            continue;
        r->root = tb_xstrndup(e->name, strlen(e->name) - strlen(DATA_PKL));
        return e;
    }
    tb_err_set(r->err, TB_EFORMAT,
               "'%s' is a zip file, but not one of torch.save: it holds no data.pkl", r->path);
    return NULL;
}

static tb_status check_order(const reader *r)
{
    const tbi_zip_entry *e = entry_of(r, "byteorder");
    if (!e || (e->size >= 6 && memcmp(r->map->base + e->at, "little", 6) == 0))
        return TB_OK;
    return tb_err_set(r->err, TB_EFORMAT,
                      "'%s' was saved on a big-endian machine, which is not supported; convert it "
                      "to .safetensors there",
                      r->path);
}

/* ------------------------------------------------------------------------------------- tensors */

static tb_status refuse(const reader *r, const char *name, const char *why)
{
    return tb_err_set(r->err, TB_EFORMAT, "'%s': tensor '%.120s' %s; the file is damaged", r->path,
                      name, why);
}

static bool is_contiguous(const tb_shape *shape, const tb_shape *stride)
{
    int64_t next = 1;
    for (int i = shape->n - 1; i >= 0; i--) {
        if (shape->d[i] != 1 && stride->d[i] != next)
            return false;
        next *= shape->d[i]; /* no overflow: the product of all was checked */
    }
    return true;
}

/* Elements of the storage from the tensor's first to its last; -1 on overflow. */
static int64_t span_of(const tb_shape *shape, const tb_shape *stride)
{
    int64_t last = 0, step;
    for (int i = 0; i < shape->n; i++) {
        if (shape->d[i] == 0)
            return 0;
        if (__builtin_mul_overflow(shape->d[i] - 1, stride->d[i], &step) ||
            __builtin_add_overflow(last, step, &last))
            return -1;
    }
    return last < INT64_MAX ? last + 1 : -1;
}

/* Where its first element lies: all of them inside its storage, and that inside its entry. */
static tb_status find_bytes(const reader *r, const char *name, const tbi_pickle_value *t,
                            size_t *at)
{
    const tbi_pickle_value *storage = t->items[0];
    const size_t size = tb_dtype_size(t->dtype);
    const int64_t count = tb_shape_count(&t->shape), span = span_of(&t->shape, &t->stride);
    size_t whole, begin, bytes;
    if (count < 0 || span < 0 || !tb_mul_size((size_t)span, size, &bytes) ||
        !tb_mul_size((size_t)t->number, size, &begin) ||
        !tb_mul_size((size_t)storage->number, tb_dtype_size(storage->dtype), &whole))
        return refuse(r, name, "has a shape whose size overflows");
    if (begin > whole || bytes > whole - begin)
        return refuse(r, name, "goes beyond its storage");
    if ((size_t)count > whole / size) /* a few numbers that stand for many */
        return refuse(r, name, "has more numbers than its storage");
    char *key = tb_xasprintf("data/%s", storage->text);
    const tbi_zip_entry *e = entry_of(r, key);
    free(key);
    if (!e || e->size < whole)
        return refuse(r, name, e ? "wants more bytes than are stored" : "has no data in the file");
    *at = e->at + begin;
    return TB_OK;
}

/* A copy in row-major order of numbers that are stored in another (transposed, channels last). */
static tb_tensor *gather(const uint8_t *first, const tbi_pickle_value *t, tb_err *err)
{
    tb_tensor *tensor = tb_tensor_new(t->dtype, &t->shape, err);
    const size_t size = tb_dtype_size(t->dtype);
    int64_t index[TB_MAX_DIMS] = { 0 }, at = 0;
    char *out = tensor ? tb_tensor_data_mut(tensor) : NULL;
    for (int64_t i = 0; out && i < tb_tensor_count(tensor); i++) {
        memcpy(out + (size_t)i * size, first + (size_t)at * size, size);
        for (int d = t->shape.n - 1; d >= 0; d--) {
            at += t->stride.d[d];
            if (++index[d] < t->shape.d[d])
                break;
            at -= index[d] * t->stride.d[d];
            index[d] = 0;
        }
    }
    return tensor;
}

static tb_status hand_out_one(const reader *r, const char *name, const tbi_pickle_value *t,
                              tbi_tensor_sink sink, void *ctx)
{
    size_t at = 0;
    TB_TRY(find_bytes(r, name, t, &at));
    tb_tensor *tensor = tb_shape_count(&t->shape) == 0 || is_contiguous(&t->shape, &t->stride)
                            ? tbi_mapped_tensor(r->map, at, t->dtype, &t->shape, r->err)
                            : gather(r->map->base + at, t, r->err);
    return tensor ? sink(ctx, name, tensor, r->err) : r->err->status;
}

/* Training programs keep the weights below one of these. */
static const tbi_pickle_value *state_dict(const tbi_pickle_value *root)
{
    static const char *const below[] = { "state_dict", "model", "module", "generator" };
    for (size_t i = 0; i < sizeof below / sizeof *below; i++) {
        const tbi_pickle_value *v = tbi_pickle_get(root, below[i]);
        if (v && v->kind == PICKLE_DICT)
            return v;
    }
    return root;
}

static tb_status hand_out(const reader *r, const tbi_pickle_value *root, tbi_tensor_sink sink,
                          void *ctx)
{
    int count = 0;
    const tbi_pickle_value *dict = state_dict(state_dict(root));
    for (int64_t i = 0; dict->kind == PICKLE_DICT && i + 1 < dict->count; i += 2) {
        const tbi_pickle_value *key = dict->items[i], *v = dict->items[i + 1];
        if (key->kind != PICKLE_TEXT || v->kind != PICKLE_TENSOR)
            continue;
        TB_TRY(hand_out_one(r, key->text, v, sink, ctx));
        count++;
    }
    return count ? TB_OK
                 : tb_err_set(r->err, TB_EFORMAT,
                              "'%s' holds no weights: a dictionary of tensors was looked for, also "
                              "below 'state_dict' and 'model'",
                              r->path);
}

/* ---------------------------------------------------------------------------------------- file */

static tb_status read_pickle(reader *r, tbi_tensor_sink sink, void *ctx)
{
    const tbi_zip_entry *e = find_pickle(r);
    if (!e)
        return r->err->status;
    TB_TRY(check_order(r));
    if (e->size > MAX_PICKLE)
        return tb_err_set(r->err, TB_ELIMIT, "'%s' has a pickle of %zu bytes; at most %d are read",
                          r->path, e->size, MAX_PICKLE);
    tbi_pickle *p = tbi_pickle_read(r->map->base + e->at, e->size, r->path, r->err);
    const tb_status st = p ? hand_out(r, tbi_pickle_root(p), sink, ctx) : r->err->status;
    tbi_pickle_free(&p);
    return st;
}

static tb_status read_zip(reader *r, tbi_tensor_sink sink, void *ctx)
{
    tb_status st = tbi_zip_read(r->map, r->path, &r->zip, r->err);
    if (st == TB_OK)
        st = read_pickle(r, sink, ctx);
    tbi_zip_fini(&r->zip);
    free(r->root);
    return st;
}

tb_status tbi_pth_read(const char *path, tbi_tensor_sink sink, void *ctx, tb_err *err)
{
    tb_err own = TB_ERR_INIT;
    reader r = { .path = path, .err = err ? err : &own };
    r.map = tbi_mapped_open(path, r.err);
    if (!r.map)
        return r.err->status;
    tb_status st;
    if (tbi_zip_is(r.map->base, r.map->size))
        st = read_zip(&r, sink, ctx);
    else if (is_bare_pickle(r.map->base, r.map->size))
        st = tb_err_set(
            r.err, TB_EFORMAT,
            "'%s' is in PyTorch's format from before version 1.6, which is not read; save "
            "it again with a newer one: torch.save(torch.load(FILE), FILE)",
            path);
    else
        st = tb_err_set(r.err, TB_EFORMAT,
                        "'%s' is not a PyTorch file: neither a zip file nor a pickle begins there",
                        path);
    tbi_mapped_unref(r.map);
    return st;
}
