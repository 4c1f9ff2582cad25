/* mem.h - the one allocator, with counters, a limit and failures on demand.
 *
 * Memory:  small allocations (tb_x...) abort with a message when the system has none left; large
 * ones (tb_mem_alloc: tensors, arenas, weights) return NULL and are answered with a status.
 * Threads: everything here may be called from any thread.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Never return NULL. Freed by free(). tb_xrealloc(NULL, n) allocates. */
void *tb_xcalloc(size_t count, size_t size);
void *tb_xrealloc(void *p, size_t count, size_t size);
char *tb_xstrdup(const char *s);
char *tb_xstrndup(const char *s, size_t n);
char *tb_xasprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Grow a dynamic array so that it holds at least `need` items; doubles, so appends cost O(1). */
#define TB_GROW(items, cap, need)                                   \
    do {                                                            \
        if ((size_t)(need) > (size_t)(cap)) {                       \
            (cap) = (size_t)(need) < 8 ? 8 : (size_t)(need)*2;      \
            (items) = tb_xrealloc((items), (cap), sizeof *(items)); \
        }                                                           \
    } while (0)

/* 64-byte aligned, not zeroed; NULL when the limit or the system refuses. Counted. */
void *tb_mem_alloc(size_t size_bytes);
void tb_mem_free(void *p);

/* Bytes held by tb_mem_alloc now, and the most held at once since the last reset. */
size_t tb_mem_used(void);
size_t tb_mem_peak(void);
void tb_mem_peak_reset(void);

/* Refuse to hold more than this many bytes (0: no limit). */
void tb_mem_set_limit(size_t bytes);

/* Test switch: let the n-th tb_mem_alloc from now fail, once (n = 1: the next; 0: off). */
void tb_mem_fail_on(uint64_t n);

/* size = a * b * c unless that overflows; false on overflow. */
int tb_mul_size(size_t a, size_t b, size_t *out);
