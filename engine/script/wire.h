/* wire.h - messages between the engine and its Lua child: JSON with a length in front, and
 * descriptors.
 *
 * A message is 4 bytes of length (little endian), 1 byte of descriptor count, then the JSON text;
 * the descriptors ride on the header (SCM_RIGHTS). Both ends check every length before they believe
 * it.
 *
 * Threads: one thread at a time on either end.
 */
#pragma once

#include <stdatomic.h>

#include "base/err.h"
#include "base/json.h"
#include "graph/value.h"

#define TBI_WIRE_MAX_BYTES (64u << 20)
#define TBI_WIRE_MAX_FDS   64

typedef struct tbi_fds {
    int fd[TBI_WIRE_MAX_FDS];
    int count;
} tbi_fds;

void tbi_fds_close(tbi_fds *fds);

/* When to give up. cancel may be NULL; a deadline of 0 is never. */
typedef struct tbi_patience {
    double deadline; /* tb_clock_seconds */
    const atomic_bool *cancel;
} tbi_patience;

/* TB_ELIMIT past the deadline, TB_ECANCELED, TB_EIO when the other end is gone; err may be NULL.
 * fds may be NULL; they stay the caller's. */
tb_status tbi_wire_send(int sock, const json_t *message, const tbi_fds *fds,
                        const tbi_patience *patience, tb_err *err);
/* New reference; NULL on error. *fds is filled and then owned by the caller. */
json_t *tbi_wire_receive(int sock, tbi_fds *fds, const tbi_patience *patience, tb_err *err);

/* A value whose tensors travel as sealed memory files, appended to fds. New reference. */
json_t *tbi_wire_put_value(const tb_value *v, tbi_fds *fds, tb_err *err);
/* The inverse: tensors are read-only mappings of the received files, which may be closed
 * afterwards. */
tb_value *tbi_wire_get_value(const json_t *j, const tbi_fds *fds, tb_err *err);
