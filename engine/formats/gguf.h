/* gguf.h - GGUF files, versions 2 and 3: metadata, tensor infos, aligned data.
 *
 * Read as ComfyUI-GGUF and llama.cpp write them: dimensions innermost first are turned round, and
 * "comfy.gguf.orig_shape.NAME" gives a tensor that was reshaped for its quantisation its shape
 * back. Other metadata is passed over; names stay as they are.
 *
 * Memory:  the file stays mapped until the last tensor taken from it is gone; blocks stay as they
 *          are (tb_tensor_read_f32).
 * Errors:  everything is checked before anything is believed: counts, texts and arrays inside the
 *          file, products without overflow, offsets aligned, inside and disjoint, names once. What
 *          fails is refused with one sentence.
 * Source:  docs/gguf.md of ggml-org/ggml.
 */
#pragma once

#include "formats/mapped.h"

/* Do these first bytes say so? n may be short. */
bool tbi_gguf_is(const uint8_t *bytes, size_t n);

typedef struct tbi_gguf tbi_gguf;
/* The header, read and checked. NULL with TB_EFORMAT and what it says: damaged, of another version
 * or byte order, one part of several, a kind of block that is not supported. */
tbi_gguf *tbi_gguf_open(const char *path, tb_err *err);
void tbi_gguf_close(tbi_gguf **f);
/* Hand every tensor to the sink, in the order of the file. */
tb_status tbi_gguf_tensors(const tbi_gguf *f, tbi_tensor_sink sink, void *ctx, tb_err *err);

/* ------------------------------------------------------------------------------------ metadata */

enum { TBI_GGUF_U8 = 0, TBI_GGUF_I32 = 5, TBI_GGUF_F32 = 6, TBI_GGUF_STRING = 8 };

/* A whole number or boolean; `otherwise` where there is none of that key. */
int64_t tbi_gguf_number(const tbi_gguf *f, const char *key, int64_t otherwise);
/* A text, to be freed; NULL: there is none of that key. */
char *tbi_gguf_text(const tbi_gguf *f, const char *key);
/* An array of that element type: its bytes, which live as long as the file is open; texts one
 * behind another with 8 bytes of length in front. False: there is none of that key and type. */
typedef struct tbi_gguf_array {
    const uint8_t *bytes;
    uint64_t count;
} tbi_gguf_array;
bool tbi_gguf_array_of(const tbi_gguf *f, const char *key, int type, tbi_gguf_array *a);
