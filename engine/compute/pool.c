/* pool.c - a job is published by opening a ticket; workers join it while it is open.
 *
 * ticket = generation << 16 | open << 15 | workers inside. The caller closes the ticket when no
 * pieces are left and waits only for workers that are inside, never for one that sleeps.
 * Generations wrap around: a worker that has slept through 65536 of them may miss one, which others
 * do.
 *
 * Whoever waits spins shortly and then sleeps on a futex: the cores may be wanted by others.
 */
#include "compute/pool.h"

#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/mem.h"

#define OPEN      (UINT32_C(1) << 15)
#define INSIDE    (OPEN - 1)
#define GEN_SHIFT 16

/* Spins before a worker sleeps: about 20 us, longer than the gap between two stages of one layer.
 */
enum { SPINS_BEFORE_SLEEP = 1500 };

struct tbi_pool {
    int threads; /* with the caller */
    pthread_t *ids;
    _Alignas(64) _Atomic uint32_t ticket; /* futex: for the caller */
    atomic_bool caller_sleeps;
    _Alignas(64) _Atomic uint32_t wake; /* futex: counts jobs */
    atomic_int sleepers;
    atomic_bool stop;
    _Alignas(64) atomic_int_fast64_t next; /* first piece nobody has taken */
    /* The job; written before the ticket opens, read by those inside. */
    int64_t count, chunk;
    void (*fn)(void *ctx, int64_t i, int worker);
    void *ctx;
    const atomic_bool *cancel; /* NULL: nobody cancels */
    atomic_bool cut;
};

typedef struct worker {
    tbi_pool *pool;
    int index;
} worker;

static void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
}

static void piece(tbi_pool *p, void (*fn)(void *ctx, int64_t i, int worker), void *ctx, int64_t i,
                  int index)
{
    if (p->cancel && atomic_load_explicit(p->cancel, memory_order_relaxed))
        atomic_store_explicit(&p->cut, true, memory_order_relaxed);
    else
        fn(ctx, i, index);
}

static void work(tbi_pool *p, int index)
{
    for (;;) {
        const int64_t from = atomic_fetch_add_explicit(&p->next, p->chunk, memory_order_relaxed);
        if (from >= p->count)
            return;
        const int64_t to = from + p->chunk < p->count ? from + p->chunk : p->count;
        for (int64_t i = from; i < to; i++)
            piece(p, p->fn, p->ctx, i, index);
    }
}

/* Enter the open job of a generation not yet served; false if there is none. */
static bool join(tbi_pool *p, uint32_t *served)
{
    uint32_t t = atomic_load_explicit(&p->ticket, memory_order_relaxed);
    while ((t & OPEN) && t >> GEN_SHIFT != *served) {
        if (atomic_compare_exchange_weak_explicit(&p->ticket, &t, t + 1, memory_order_acquire,
                                                  memory_order_relaxed)) {
            *served = t >> GEN_SHIFT;
            return true;
        }
    }
    return false;
}

static void sleep_until_woken(tbi_pool *p, uint32_t seen)
{
    atomic_fetch_add(&p->sleepers, 1);
    syscall(SYS_futex, &p->wake, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
    atomic_fetch_sub(&p->sleepers, 1);
}

/* The last one out wakes the caller. */
static void leave(tbi_pool *p)
{
    const uint32_t before = atomic_fetch_sub(&p->ticket, 1);
    if ((before & INSIDE) == 1 && atomic_load(&p->caller_sleeps))
        syscall(SYS_futex, &p->ticket, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void *worker_main(void *arg)
{
    const worker w = *(worker *)arg;
    tbi_pool *p = w.pool;
    free(arg);
    uint32_t served = 0, seen = atomic_load(&p->wake);
    int idle = 0;
    while (!atomic_load_explicit(&p->stop, memory_order_acquire)) {
        if (join(p, &served)) {
            work(p, w.index);
            leave(p);
            idle = 0;
        } else if (++idle < SPINS_BEFORE_SLEEP) {
            relax();
        } else {
            sleep_until_woken(p, seen);
            idle = 0;
        }
        seen = idle ? seen : atomic_load(&p->wake);
    }
    return NULL;
}

static void wake_all(tbi_pool *p)
{
    atomic_fetch_add(&p->wake, 1);
    if (atomic_load(&p->sleepers) > 0)
        syscall(SYS_futex, &p->wake, FUTEX_WAKE_PRIVATE, INT32_MAX, NULL, NULL, 0);
}

tbi_pool *tbi_pool_new(int threads, tb_err *err)
{
    void *at = NULL;
    if (posix_memalign(&at, 64, sizeof(tbi_pool)) != 0) {
        tb_err_set(err, TB_ENOMEM, "no memory for a pool of %d threads", threads);
        return NULL;
    }
    tbi_pool *p = memset(at, 0, sizeof(tbi_pool));
    p->threads = 1;
    p->ids = tb_xcalloc((size_t)threads, sizeof *p->ids);
    for (int i = 1; i < threads; i++) {
        worker *w = tb_xcalloc(1, sizeof *w);
        *w = (worker){ .pool = p, .index = i };
        const int e = pthread_create(&p->ids[i], NULL, worker_main, w);
        if (e != 0) {
            free(w);
            tb_err_errno(err, e, "cannot start thread %d of %d", i + 1, threads);
            tbi_pool_free(&p);
            return NULL;
        }
        p->threads++;
    }
    return p;
}

void tbi_pool_free(tbi_pool **pp)
{
    tbi_pool *p = *pp;
    *pp = NULL;
    if (!p)
        return;
    atomic_store(&p->stop, true);
    wake_all(p);
    for (int i = 1; i < p->threads; i++)
        pthread_join(p->ids[i], NULL);
    free(p->ids);
    free(p);
}

int tbi_pool_threads(const tbi_pool *p)
{
    return p->threads;
}

static void wait_until_left(tbi_pool *p)
{
    for (int spins = 0; spins < SPINS_BEFORE_SLEEP; spins++) {
        if (!(atomic_load_explicit(&p->ticket, memory_order_acquire) & INSIDE))
            return;
        relax();
    }
    atomic_store(&p->caller_sleeps, true);
    for (uint32_t t; (t = atomic_load(&p->ticket)) & INSIDE;)
        syscall(SYS_futex, &p->ticket, FUTEX_WAIT_PRIVATE, t, NULL, NULL, 0);
    atomic_store(&p->caller_sleeps, false);
}

void tbi_pool_watch(tbi_pool *p, const atomic_bool *cancel)
{
    p->cancel = cancel;
    atomic_store_explicit(&p->cut, false, memory_order_relaxed);
}

bool tbi_pool_cut(const tbi_pool *p)
{
    return atomic_load_explicit(&p->cut, memory_order_relaxed);
}

void tbi_pool_run(tbi_pool *p, int64_t count, void (*fn)(void *ctx, int64_t i, int worker),
                  void *ctx)
{
    if (p->threads == 1 || count < 2) {
        for (int64_t i = 0; i < count; i++)
            piece(p, fn, ctx, i, 0);
        return;
    }
    const int64_t chunk = count / (8 * (int64_t)p->threads);
    p->count = count;
    p->chunk = chunk > 1 ? chunk : 1;
    p->fn = fn;
    p->ctx = ctx;
    atomic_store_explicit(&p->next, 0, memory_order_relaxed);
    const uint32_t generation =
        (atomic_load_explicit(&p->ticket, memory_order_relaxed) >> GEN_SHIFT) + 1;
    atomic_store_explicit(&p->ticket, generation << GEN_SHIFT | OPEN, memory_order_release);
    wake_all(p);
    work(p, 0);
    atomic_fetch_and_explicit(&p->ticket, ~OPEN, memory_order_acq_rel);
    wait_until_left(p);
}
