/* pool.h - the threads of one tb_compute.
 *
 * A pool of n threads is the caller plus n - 1 persistent workers, which spin shortly and then
 * sleep on a futex. One job at a time, from one thread at a time.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

typedef struct tbi_pool tbi_pool;

tbi_pool *tbi_pool_new(int threads, tb_err *err);
void tbi_pool_free(tbi_pool **p);
int tbi_pool_threads(const tbi_pool *p);

/* Until watched for NULL: pieces that would begin when *cancel is set are left out. */
void tbi_pool_watch(tbi_pool *p, const atomic_bool *cancel);
/* Were some left out since? */
bool tbi_pool_cut(const tbi_pool *p);

/* fn(ctx, i, worker) for i in 0..count-1, each once, in any order; returns when all have returned.
 */
void tbi_pool_run(tbi_pool *p, int64_t count, void (*fn)(void *ctx, int64_t i, int worker),
                  void *ctx);
