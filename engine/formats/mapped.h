/* mapped.h - a file mapped read-only, shared by its reader and every tensor taken from it. For
 * formats/ only.
 *
 * Threads: the count is atomic; the bytes are never written.
 */
#pragma once

#include <stdatomic.h>

#include "compute/tensor.h"

typedef struct tbi_mapped {
    atomic_int refs;
    const uint8_t *base; /* NULL: an empty file */
    size_t size;
} tbi_mapped;

/* One reference for the caller; NULL with a sentence when there is no such regular file. */
tbi_mapped *tbi_mapped_open(const char *path, tb_err *err);
/* Takes a tbi_mapped *; NULL is nothing. */
void tbi_mapped_unref(void *owner);
/* A tensor over the bytes from `at`, which lie inside (asserted); copied where elements are not
 * aligned. New reference. */
tb_tensor *tbi_mapped_tensor(tbi_mapped *m, size_t at, tb_dtype dtype, const tb_shape *shape,
                             tb_err *err);

/* Little-endian numbers of any alignment. */
static inline uint64_t tbi_le(const uint8_t *p, int bytes)
{
    uint64_t v = 0;
    while (bytes > 0)
        v = v << 8 | p[--bytes];
    return v;
}

/* Where the readers of containers hand their tensors to. `name` lives for the call; the tensor is
 * taken, also on failure, which ends the reading. */
typedef tb_status (*tbi_tensor_sink)(void *ctx, const char *name, tb_tensor *t_take, tb_err *err);
