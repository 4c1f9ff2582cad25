/* mem.c - allocation: small ones that may not fail, large ones that may. */
#include "base/mem.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ALIGN 64u /* one cache line, one AVX-512 register; also room for the size in front */

static atomic_size_t used, peak, limit;
static atomic_uint_fast64_t fail_in;

static void *must(void *p, size_t bytes)
{
    if (!p) {
        fprintf(stderr, "tubelet: out of memory asking for %zu bytes\n", bytes);
        abort();
    }
    return p;
}

void *tb_xcalloc(size_t count, size_t size)
{
    return must(calloc(count ? count : 1, size ? size : 1), count * size);
}

void *tb_xrealloc(void *p, size_t count, size_t size)
{
    size_t bytes = 0;
    if (!tb_mul_size(count, size, &bytes))
        return must(NULL, SIZE_MAX);
    return must(realloc(p, bytes ? bytes : 1), bytes);
}

char *tb_xstrdup(const char *s)
{
    return tb_xstrndup(s, strlen(s));
}

char *tb_xstrndup(const char *s, size_t n)
{
    char *copy = tb_xcalloc(n + 1, 1);
    memcpy(copy, s, n);
    return copy;
}

char *tb_xasprintf(const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    const int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    char *s = tb_xcalloc((size_t)n + 1, 1);
    vsnprintf(s, (size_t)n + 1, fmt, again);
    va_end(again);
    return s;
}

int tb_mul_size(size_t a, size_t b, size_t *out)
{
    return !__builtin_mul_overflow(a, b, out);
}

static int must_fail(void)
{
    uint_fast64_t n = atomic_load(&fail_in);
    return n && atomic_fetch_sub(&fail_in, 1) == 1;
}

void *tb_mem_alloc(size_t size_bytes)
{
    const size_t max = atomic_load(&limit);
    if (must_fail() || size_bytes > SIZE_MAX - 2 * ALIGN)
        return NULL;
    const size_t total = (size_bytes + 2 * ALIGN - 1) / ALIGN * ALIGN;
    if (max && atomic_load(&used) + total > max)
        return NULL;
    char *base = aligned_alloc(ALIGN, total);
    if (!base)
        return NULL;
    *(size_t *)(void *)base = total;
    const size_t now = atomic_fetch_add(&used, total) + total;
    size_t top = atomic_load(&peak);
    while (now > top && !atomic_compare_exchange_weak(&peak, &top, now)) {}
    return base + ALIGN;
}

void tb_mem_free(void *p)
{
    if (!p)
        return;
    char *base = (char *)p - ALIGN;
    atomic_fetch_sub(&used, *(size_t *)(void *)base);
    free(base);
}

size_t tb_mem_used(void)
{
    return atomic_load(&used);
}

size_t tb_mem_peak(void)
{
    return atomic_load(&peak);
}

void tb_mem_peak_reset(void)
{
    atomic_store(&peak, atomic_load(&used));
}

void tb_mem_set_limit(size_t bytes)
{
    atomic_store(&limit, bytes);
}

void tb_mem_fail_on(uint64_t n)
{
    atomic_store(&fail_in, n);
}
