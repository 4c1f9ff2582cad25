/* compute.c - life of a tb_compute, its scratch, and OpenBLAS beside it. */
#include "compute/compute.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "compute/compute_internal.h"
#include "compute/cpu/blas.h"
#include "compute/cpu/cpu.h"

enum { MAX_THREADS = 64 };

/* TUBELET_THREADS, else the cores this process may use. -1 with an error for nonsense. */
static int default_threads(tb_err *err)
{
    const char *text = getenv("TUBELET_THREADS");
    if (text && *text) {
        char *end;
        const long n = strtol(text, &end, 10);
        if (*end || n < 1 || n > MAX_THREADS) {
            tb_err_set(err, TB_EINVAL, "TUBELET_THREADS must be 1..%d, got '%s'", MAX_THREADS,
                       text);
            return -1;
        }
        return (int)n;
    }
    const long cores = sysconf(_SC_NPROCESSORS_ONLN);
    return cores < 1 ? 1 : cores > MAX_THREADS ? MAX_THREADS : (int)cores;
}

/* Address space that is given memory when it is touched; NULL when refused. */
static void *map(size_t bytes)
{
    void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return at == MAP_FAILED ? NULL : at;
}

/* Reserve as much address space as the machine has memory, or as much of it as it grants. */
static bool arena_reserve(tb_compute *c, tb_err *err)
{
    const long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    size_t size = pages > 0 && page > 0 ? (size_t)pages * (size_t)page : (size_t)1 << 32;
    for (; size >= (size_t)1 << 20; size /= 2) {
        c->arena = map(size);
        c->rows8 = c->arena ? map((size_t)TBI_ROWS8_BYTES) : NULL;
        if (c->rows8) {
            c->arena_size = size;
            c->rows8_bytes = TBI_ROWS8_BYTES;
            return true;
        }
        if (c->arena)
            munmap(c->arena, size);
        c->arena = NULL;
    }
    tb_err_set(err, TB_ENOMEM, "no address space for scratch memory");
    return false;
}

tb_compute *tbi_compute_new_with(const tbi_kernels *k, int threads, tb_err *err)
{
    tb_compute *c = tb_xcalloc(1, sizeof *c);
    c->k = k;
    c->pool = tbi_pool_new(threads, err);
    if (!c->pool || !arena_reserve(c, err))
        goto fail;
    const size_t bytes = (size_t)threads * (size_t)TBI_WORKER_FLOATS * sizeof(float);
    c->worker_scratch = tb_mem_alloc(bytes);
    if (!c->worker_scratch) {
        tb_err_set(err, TB_ENOMEM, "no memory for the scratch of %d threads (%zu bytes)", threads,
                   bytes);
        goto fail;
    }
    return c;
fail:
    tb_compute_free(&c);
    return NULL;
}

tb_compute *tb_compute_new(int threads, tb_err *err)
{
    if (threads < 0 || threads > MAX_THREADS) {
        tb_err_set(err, TB_EINVAL, "threads must be 0..%d (0: one for each core), got %d",
                   MAX_THREADS, threads);
        return NULL;
    }
    const int n = threads ? threads : default_threads(err);
    const tbi_kernels *k = tbi_cpu_kernels(err);
    if (n < 1 || !k)
        return NULL;
    tbi_blas_prepare();
    return tbi_compute_new_with(k, n, err);
}

void tb_compute_free(tb_compute **cp)
{
    tb_compute *c = *cp;
    *cp = NULL;
    if (!c)
        return;
    tbi_pool_free(&c->pool);
    tb_mem_free(c->worker_scratch);
    if (c->arena) {
        munmap(c->arena, c->arena_size);
        munmap(c->rows8, (size_t)TBI_ROWS8_BYTES);
    }
    free(c);
}

int tb_compute_threads(const tb_compute *c)
{
    return tbi_pool_threads(c->pool);
}

tb_status tb_compute_blas(tb_compute *c, tb_err *err)
{
    (void)c;
    return tbi_blas_open(err) ? TB_OK : TB_ENOTFOUND;
}

const char *tb_compute_blas_core(tb_compute *c)
{
    (void)c;
    const tbi_blas *b = tbi_blas_open(NULL);
    return b ? b->core : NULL;
}

const char *tb_compute_blas_config(tb_compute *c)
{
    (void)c;
    const tbi_blas *b = tbi_blas_open(NULL);
    return b ? b->config : NULL;
}

void tb_compute_watch(tb_compute *c, const atomic_bool *cancel)
{
    tbi_pool_watch(c->pool, cancel);
}

bool tb_compute_unwatch(tb_compute *c)
{
    const bool cut = tbi_pool_cut(c->pool);
    tbi_pool_watch(c->pool, NULL);
    return cut;
}

void tb_parallel(tb_compute *c, int64_t count, void (*fn)(void *ctx, int64_t i, int worker),
                 void *ctx)
{
    tbi_pool_run(c->pool, count, fn, ctx);
}

float *tb_scratch(tb_compute *c, size_t count, tb_err *err)
{
    const size_t free_bytes = c->arena_size - c->arena_used;
    if (count > (free_bytes - 64) / sizeof(float) || free_bytes < 64) {
        tb_err_set(err, TB_ENOMEM,
                   "no scratch memory for %zu numbers: %zu of the machine's %zu bytes are taken; "
                   "choose a smaller "
                   "size or fewer frames",
                   count, c->arena_used, c->arena_size);
        return NULL;
    }
    float *p = (float *)(void *)(c->arena + c->arena_used);
    c->arena_used += (count * sizeof(float) + 63) / 64 * 64;
    c->arena_peak = c->arena_used > c->arena_peak ? c->arena_used : c->arena_peak;
    return p;
}

size_t tb_scratch_mark(tb_compute *c)
{
    return c->arena_used;
}

void tb_scratch_release(tb_compute *c, size_t mark)
{
    c->arena_used = mark;
}

size_t tb_scratch_peak(const tb_compute *c)
{
    return c->arena_peak;
}
