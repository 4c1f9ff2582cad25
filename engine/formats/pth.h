/* pth.h - .pth, .pt, .bin and .ckpt files as torch.save writes them since PyTorch 1.6: a zip file
 * of a pickle and the bytes of each storage.
 *
 * Nothing is executed (pickle.h). The outermost dictionary is read, or the one it holds under
 * "state_dict", "model", "module" or "generator"; what is no tensor there is passed over.
 *
 * Memory:  the file stays mapped until the last tensor taken from it is gone; tensors that are
 *          stored transposed are copied.
 * Errors:  storages inside their entries, tensors inside their storages; checksums are not
 *          computed. What fails is refused with one sentence.
 */
#pragma once

#include "formats/mapped.h"

/* Do these first bytes say so: a zip file, or a bare pickle as PyTorch before 1.6 wrote (which is
 * refused with what to do)? */
bool tbi_pth_is(const uint8_t *bytes, size_t n);
/* Hand every tensor to the sink, in the order of the dictionary. */
tb_status tbi_pth_read(const char *path, tbi_tensor_sink sink, void *ctx, tb_err *err);
