/* guard.c - mapped files that become shorter while they are read: SIGBUS answered with zeros. */
#include "base/guard.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/mem.h"

enum { RANGES = 1024 };

/* Written under the lock; the handler reads base and size without it: the range it looks for is
 * mapped, so that its row does not change. */
typedef struct range {
    _Atomic uintptr_t base; /* 0: free */
    _Atomic size_t size;
    char *path; /* owned */
} range;

static range ranges[RANGES];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct sigaction before;
static uintptr_t page;
static atomic_uint_fast64_t faults;
static atomic_int last = -1; /* range of the last fault, while it is watched */
static char last_path[1024];

static int range_of(uintptr_t at)
{
    for (int i = 0; i < RANGES; i++) {
        const uintptr_t base = atomic_load(&ranges[i].base);
        if (base && at >= base && at - base < atomic_load(&ranges[i].size))
            return i;
    }
    return -1;
}

/* Only calls that a handler may make: mmap is one in fact, if not by POSIX. */
static void on_bus_error(int number, siginfo_t *info, void *context)
{
    const uintptr_t at = (uintptr_t)info->si_addr;
    const int i = info->si_code == BUS_ADRERR ? range_of(at) : -1;
    if (i >= 0 && mmap((void *)(at / page * page), page, PROT_READ,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED) {
        atomic_store(&last, i);
        atomic_fetch_add(&faults, 1);
    } else if (before.sa_flags & SA_SIGINFO && before.sa_sigaction) {
        before.sa_sigaction(number, info, context);
    } else {
        sigaction(SIGBUS, &before, NULL); /* the read is tried again, and ends the process */
    }
}

static void install(void)
{
    struct sigaction a = { .sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO };
    page = (uintptr_t)sysconf(_SC_PAGESIZE);
    sigemptyset(&a.sa_mask);
    sigaction(SIGBUS, &a, &before);
}

void tb_guard_watch(const void *base, size_t size, const char *path)
{
    if (!size)
        return;
    pthread_once(&once, install);
    pthread_mutex_lock(&lock);
    for (int i = 0; i < RANGES; i++) {
        if (atomic_load(&ranges[i].base))
            continue;
        ranges[i].path = tb_xstrdup(path);
        atomic_store(&ranges[i].size, (size + page - 1) / page * page);
        atomic_store(&ranges[i].base, (uintptr_t)base);
        break;
    }
    pthread_mutex_unlock(&lock);
}

/* With the lock: keep the name of the range that failed last. */
static void keep_path(void)
{
    const int i = atomic_load(&last);
    if (i >= 0)
        snprintf(last_path, sizeof last_path, "%s", ranges[i].path);
}

void tb_guard_drop(const void *base)
{
    pthread_mutex_lock(&lock);
    for (int i = 0; base && i < RANGES; i++) {
        if (atomic_load(&ranges[i].base) != (uintptr_t)base)
            continue;
        if (atomic_load(&last) == i) {
            keep_path();
            atomic_store(&last, -1);
        }
        atomic_store(&ranges[i].base, 0);
        free(ranges[i].path);
        ranges[i].path = NULL;
        break;
    }
    pthread_mutex_unlock(&lock);
}

uint64_t tb_guard_faults(void)
{
    return atomic_load(&faults);
}

char *tb_guard_path(char *buf, size_t n)
{
    pthread_mutex_lock(&lock);
    keep_path();
    snprintf(buf, n, "%s", last_path);
    pthread_mutex_unlock(&lock);
    return buf;
}
