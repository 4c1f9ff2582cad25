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
/* Hand every tensor to the sink, in the order of the file. TB_EFORMAT and what it says: damaged, of
 * another version or byte order, one part of several, a kind of block that is not supported. */
tb_status tbi_gguf_read(const char *path, tbi_tensor_sink sink, void *ctx, tb_err *err);
