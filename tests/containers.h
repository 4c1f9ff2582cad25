/* containers.h - GGUF, zip and pickle files built in a test, sound or broken. */
#pragma once

#include "base/err.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/str.h"
#include "compute/tensor.h"
#include "formats/weights.h"
#include "test.h"

static inline void put_le(tb_str *s, uint64_t v, int bytes)
{
    for (int i = 0; i < bytes; i++)
        tb_str_addn(s, &(char){ (char)(i < 8 ? v >> 8 * i : 0) }, 1);
}

static inline void put_pad(tb_str *s, size_t align)
{
    while (s->len % align)
        put_le(s, 0, 1);
}

/* ---------------------------------------------------------------------------------------- GGUF */

/* A text with its length in front. */
static inline void gguf_text(tb_str *s, const char *text)
{
    put_le(s, strlen(text), 8);
    tb_str_add(s, text);
}

static inline void gguf_key(tb_str *s, const char *key, uint32_t type)
{
    gguf_text(s, key);
    put_le(s, type, 4);
}

enum { GGUF_U16 = 2, GGUF_U32 = 4, GGUF_I32 = 5, GGUF_STRING = 8, GGUF_ARRAY = 9 };

/* GGML's number of a dtype. */
static inline uint32_t gguf_type(tb_dtype dtype)
{
    static const int8_t number[TB_DTYPE_COUNT] = {
        [TB_F32] = 0,   [TB_F16] = 1,   [TB_Q4_0] = 2,    [TB_Q4_1] = 3,    [TB_Q5_0] = 6,
        [TB_Q5_1] = 7,  [TB_Q8_0] = 8,  [TB_Q2_K] = 10,   [TB_Q3_K] = 11,   [TB_Q4_K] = 12,
        [TB_Q5_K] = 13, [TB_Q6_K] = 14, [TB_IQ4_NL] = 20, [TB_IQ4_XS] = 23, [TB_BF16] = 30,
    };
    return (uint32_t)number[dtype];
}

/* A tensor of a file. */
typedef struct stored {
    const char *name;
    tb_shape shape; /* outermost first */
    tb_dtype dtype;
    const void *data;
    size_t bytes;
    tb_shape orig; /* GGUF: the shape before it was reshaped; n = 0: it was not */
} stored;

/* One row of tensor infos; the shape innermost first, as the file has it. */
static inline void gguf_info(tb_str *s, const char *name, const tb_shape *shape, uint32_t type,
                             uint64_t at)
{
    gguf_text(s, name);
    put_le(s, (uint64_t)shape->n, 4);
    for (int i = shape->n - 1; i >= 0; i--)
        put_le(s, (uint64_t)shape->d[i], 8);
    put_le(s, type, 4);
    put_le(s, at, 8);
}

/* As ComfyUI-GGUF writes it. */
static inline void gguf_build(tb_str *s, const char *arch, const stored *t, int count)
{
    int reshaped = 0;
    for (int i = 0; i < count; i++)
        reshaped += t[i].orig.n > 0;
    tb_str_add(s, "GGUF");
    put_le(s, 3, 4);
    put_le(s, (uint64_t)count, 8);
    put_le(s, (uint64_t)reshaped + 2, 8);
    gguf_key(s, "general.architecture", GGUF_STRING);
    gguf_text(s, arch);
    gguf_key(s, "general.alignment", GGUF_U32);
    put_le(s, 32, 4);
    for (int i = 0; i < count; i++) {
        if (!t[i].orig.n)
            continue;
        char key[200];
        snprintf(key, sizeof key, "comfy.gguf.orig_shape.%s", t[i].name);
        gguf_key(s, key, GGUF_ARRAY);
        put_le(s, GGUF_I32, 4);
        put_le(s, (uint64_t)t[i].orig.n, 8);
        for (int d = 0; d < t[i].orig.n; d++)
            put_le(s, (uint64_t)t[i].orig.d[d], 4);
    }
    uint64_t at = 0;
    for (int i = 0; i < count; i++) {
        gguf_info(s, t[i].name, &t[i].shape, gguf_type(t[i].dtype), at);
        at += (t[i].bytes + 31) / 32 * 32;
    }
    for (int i = 0; i < count; i++) {
        put_pad(s, 32);
        tb_str_addn(s, t[i].data, t[i].bytes);
    }
    put_pad(s, 32);
}

/* ----------------------------------------------------------------------------------------- zip */

typedef struct zip_entry {
    const char *name;
    const void *data;
    size_t bytes;
    int method;
} zip_entry;

/* Local header, name, an extra field that aligns the data to 64 bytes, as torch does. */
static inline void zip_local(tb_str *s, const zip_entry *e)
{
    const size_t name = strlen(e->name), pad = 63 - (s->len + 30 + name + 4 + 63) % 64;
    tb_str_addn(s, "PK\3\4", 4);
    put_le(s, 20, 2);
    put_le(s, 0, 2);
    put_le(s, (uint64_t)e->method, 2);
    put_le(s, 0, 8);
    put_le(s, e->bytes, 4);
    put_le(s, e->bytes, 4);
    put_le(s, name, 2);
    put_le(s, pad + 4, 2);
    tb_str_add(s, e->name);
    put_le(s, 0x4246, 2);
    put_le(s, pad, 2);
    for (size_t i = 0; i < pad; i++)
        put_le(s, 'Z', 1);
    tb_str_addn(s, e->data, e->bytes);
}

static inline void zip_central(tb_str *s, const zip_entry *e, uint64_t at, bool zip64)
{
    tb_str_addn(s, "PK\1\2", 4);
    put_le(s, 0, 4);
    put_le(s, 0, 2);
    put_le(s, (uint64_t)e->method, 2);
    put_le(s, 0, 8);
    put_le(s, zip64 ? UINT32_MAX : e->bytes, 4);
    put_le(s, zip64 ? UINT32_MAX : e->bytes, 4);
    put_le(s, strlen(e->name), 2);
    put_le(s, zip64 ? 36 : 0, 2);
    put_le(s, 0, 10);
    put_le(s, zip64 ? UINT32_MAX : at, 4);
    tb_str_add(s, e->name);
    if (!zip64)
        return;
    put_le(s, 0x5455, 2); /* another field before ours */
    put_le(s, 4, 2);
    put_le(s, 0, 4);
    put_le(s, 1, 2);
    put_le(s, 24, 2);
    put_le(s, e->bytes, 8);
    put_le(s, e->bytes, 8);
    put_le(s, at, 8);
}

static inline void zip_end_64(tb_str *s, uint64_t at, uint64_t size, int count)
{
    const uint64_t end = s->len;
    tb_str_addn(s, "PK\6\6", 4);
    put_le(s, 44, 8);
    put_le(s, 45, 4);
    put_le(s, 0, 8);
    put_le(s, (uint64_t)count, 8);
    put_le(s, (uint64_t)count, 8);
    put_le(s, size, 8);
    put_le(s, at, 8);
    tb_str_addn(s, "PK\6\7", 4);
    put_le(s, 0, 4);
    put_le(s, end, 8);
    put_le(s, 1, 4);
}

static inline void zip_build(tb_str *s, const zip_entry *e, int count, bool zip64)
{
    uint64_t *at = tb_xcalloc((size_t)count + 1, sizeof *at);
    for (int i = 0; i < count; i++) {
        at[i] = s->len;
        zip_local(s, &e[i]);
    }
    const uint64_t directory = s->len;
    for (int i = 0; i < count; i++)
        zip_central(s, &e[i], at[i], zip64);
    const uint64_t size = s->len - directory;
    free(at);
    if (zip64)
        zip_end_64(s, directory, size, count);
    tb_str_addn(s, "PK\5\6", 4);
    put_le(s, 0, 4);
    put_le(s, zip64 ? UINT16_MAX : (uint64_t)count, 2);
    put_le(s, zip64 ? UINT16_MAX : (uint64_t)count, 2);
    put_le(s, zip64 ? UINT32_MAX : size, 4);
    put_le(s, zip64 ? UINT32_MAX : directory, 4);
    put_le(s, 0, 2);
}

/* -------------------------------------------------------------------------------------- pickle */

static inline void pickle_text(tb_str *s, const char *text)
{
    tb_str_add(s, "X");
    put_le(s, strlen(text), 4);
    tb_str_add(s, text);
}

static inline void pickle_int(tb_str *s, int64_t v)
{
    tb_str_addn(s, "\x8a\x08", 2);
    put_le(s, (uint64_t)v, 8);
}

/* What torch.save calls storages of a dtype. */
static inline const char *pickle_storage(tb_dtype dtype)
{
    return dtype == TB_F16    ? "HalfStorage"
           : dtype == TB_BF16 ? "BFloat16Storage"
           : dtype == TB_I64  ? "LongStorage"
                              : "FloatStorage";
}

static inline void pickle_dims(tb_str *s, const tb_shape *d)
{
    tb_str_add(s, "(");
    for (int i = 0; i < d->n; i++)
        pickle_int(s, d->d[i]);
    tb_str_add(s, "t");
}

/* A tensor over elements of storage KEY, which has `elements`. */
static inline void pickle_tensor(tb_str *s, const char *storage, const char *key, int64_t elements,
                                 int64_t offset, const tb_shape *shape, const tb_shape *stride)
{
    tb_str_addf(s, "ctorch._utils\n_rebuild_tensor_v2\n((");
    pickle_text(s, "storage");
    tb_str_addf(s, "ctorch\n%s\n", storage);
    pickle_text(s, key);
    pickle_text(s, "cpu");
    pickle_int(s, elements);
    tb_str_add(s, "tQ");
    pickle_int(s, offset);
    pickle_dims(s, shape);
    pickle_dims(s, stride);
    tb_str_addn(s, "\x89", 1);
    tb_str_add(s, "ccollections\nOrderedDict\n)RtR");
}

static inline tb_shape row_major(const tb_shape *shape)
{
    tb_shape stride = *shape;
    int64_t next = 1;
    for (int i = shape->n - 1; i >= 0; i--) {
        stride.d[i] = next;
        next *= shape->d[i];
    }
    return stride;
}

/* As torch.save writes a state_dict. */
static inline void pth_build(tb_str *s, const stored *t, int count, bool zip64)
{
    tb_str pickle = TB_STR_INIT;
    zip_entry *e = tb_xcalloc((size_t)count + 2, sizeof *e);
    char(*names)[32] = tb_xcalloc((size_t)count + 1, sizeof *names);
    tb_str_addn(&pickle, "\x80\x02", 2);
    tb_str_add(&pickle, "ccollections\nOrderedDict\n)R(");
    for (int i = 0; i < count; i++) {
        char key[16];
        snprintf(key, sizeof key, "%d", i);
        snprintf(names[i], sizeof names[i], "archive/data/%d", i);
        const tb_shape stride = row_major(&t[i].shape);
        pickle_text(&pickle, t[i].name);
        pickle_tensor(&pickle, pickle_storage(t[i].dtype), key, tb_shape_count(&t[i].shape), 0,
                      &t[i].shape, &stride);
        e[i + 1] = (zip_entry){ names[i], t[i].data, t[i].bytes, 0 };
    }
    tb_str_add(&pickle, "u.");
    e[0] = (zip_entry){ "archive/data.pkl", pickle.s, pickle.len, 0 };
    zip_build(s, e, count + 1, zip64);
    tb_str_free(&pickle);
    free(names);
    free(e);
}

/* ------------------------------------------------------------------------------------ refusals */

static inline void write_bytes(const char *path, const char *bytes, size_t n)
{
    FILE *f = fopen(path, "wb");
    REQUIRE(f && fwrite(bytes, 1, n, f) == n && fclose(f) == 0);
}

/* Opens a file that may be damaged and reads all its numbers; false: it was refused, with a reason.
 */
static inline bool read_all(const char *path)
{
    tb_err err = TB_ERR_INIT;
    tb_weights *w = tb_weights_open(path, &err);
    if (!w) {
        CHECK(err.status != TB_OK && *err.message);
        return false;
    }
    for (int i = 0; i < tb_weights_count(w); i++) {
        tb_tensor *f = tb_tensor_to_f32(tb_weights_at(w, i), &err);
        REQUIRE(f);
        tb_tensor_unref(&f);
    }
    tb_weights_close(&w);
    return true;
}

static inline uint64_t next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 33;
}

/* Damage bytes in one of five ways: bits, bytes, a cut end, a number that becomes huge, a piece
 * moved. Returns the new length. */
static inline size_t damage_bytes(char *data, size_t size, uint64_t *state)
{
    const uint64_t kind = next_random(state) % 5;
    const size_t at = next_random(state) % size;
    if (kind == 0)
        for (uint64_t n = 1 + next_random(state) % 4; n; n--)
            data[next_random(state) % size] ^= (char)(1 << next_random(state) % 8);
    else if (kind == 1)
        for (uint64_t n = 1 + next_random(state) % 8; n; n--)
            data[next_random(state) % size] = (char)next_random(state);
    else if (kind == 2)
        return at;
    else if (kind == 3)
        for (size_t n = 1 + next_random(state) % 8, i = at; n && i < size; n--)
            data[i++] = (char)0xff;
    else {
        const size_t from = next_random(state) % size, longest = from > at ? from : at;
        const size_t n = next_random(state) % 24;
        memmove(data + at, data + from, n < size - longest ? n : size - longest);
    }
    return size;
}
