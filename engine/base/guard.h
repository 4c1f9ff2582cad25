/* guard.h - mapped files that become shorter while they are read.
 *
 * To read a mapped page that its file no longer has raises SIGBUS. For ranges under guard such a
 * page becomes zeros, and the fault is counted: who reads mapped files counts before and after, and
 * throws away what was made meanwhile. Other bus errors end the process as ever.
 *
 * Threads: all of it from any thread. The first range installs the handler, for the process; one
 *          that was there before gets the faults that are not ours.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* From now on, and until tb_guard_drop with the same base, before it is unmapped. Ranges beyond the
 * first 1024 at once are not under guard. */
void tb_guard_watch(const void *base, size_t size, const char *path);
void tb_guard_drop(const void *base);

/* Faults so far. */
uint64_t tb_guard_faults(void);
/* The file of the last one known; "" when there was none. Returns buf. */
char *tb_guard_path(char *buf, size_t n);
