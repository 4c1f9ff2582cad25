/* store_writer.c - the queue and the one thread that writes.
 *
 * What is queued while a transaction commits goes into the next one, so that a busy store commits
 * hundreds of rows at once and an idle one each row at once. Order: blob files, cache.db, runs.db,
 * callbacks: a journal row never precedes the result it names.
 */
#include "store/store_internal.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#define TOUCH_WAKE 512 /* touches alone wake the writer from this many on */

/* --------------------------------------------------------------------------------- counters */

static tb_status meta_int(tbi_db *cache, const char *name, int64_t *v, tb_err *err)
{
    sqlite3_stmt *st = tbi_db_stmt(cache, TBI_Q_META, err);
    bool row = false;
    if (!st)
        return TB_ESTORE;
    tbi_bind_text(st, 1, name);
    TB_TRY(tbi_db_row(cache, st, &row, err));
    *v = row ? sqlite3_column_int64(st, 0) : 0;
    sqlite3_reset(st);
    return TB_OK;
}

static tb_status meta_set_int(tbi_db *cache, const char *name, int64_t v, tb_err *err)
{
    sqlite3_stmt *st = tbi_db_stmt(cache, TBI_Q_META_SET, err);
    if (!st)
        return TB_ESTORE;
    tbi_bind_text(st, 1, name);
    sqlite3_bind_int64(st, 2, v);
    return tbi_db_run(cache, st, err);
}

tb_status tbi_counters_load(tbi_db *cache, tbi_counters *c, tb_err *err)
{
    TB_TRY(meta_int(cache, "bytes", &c->bytes, err));
    return meta_int(cache, "used", &c->used, err);
}

tb_status tbi_counters_store(tbi_db *cache, const tbi_counters *c, tb_err *err)
{
    TB_TRY(meta_set_int(cache, "bytes", c->bytes, err));
    return meta_set_int(cache, "used", c->used, err);
}

/* ------------------------------------------------------------------------------------ queue */

static void enqueue(tb_store *s, tbi_op *op)
{
    pthread_mutex_lock(&s->lock);
    const bool writer = pthread_equal(pthread_self(), s->thread);
    while (!writer && s->queued_ops &&
           (s->queued_bytes + op->bytes > TBI_QUEUE_BYTES || s->queued_ops >= TBI_QUEUE_OPS))
        pthread_cond_wait(&s->room, &s->lock);
    *s->tail = op;
    s->tail = &op->next;
    s->queued_ops++;
    s->queued_bytes += op->bytes;
    pthread_cond_signal(&s->work);
    pthread_mutex_unlock(&s->lock);
}

static tb_status record_failure(tbi_op *op, tb_status st, const tb_err *err)
{
    op->status = st;
    if (st != TB_OK) {
        if (!op->err)
            op->err = tb_xcalloc(1, sizeof *op->err);
        *op->err = *err;
        op->err->status = st;
    }
    return st;
}

static tb_status refuse(tb_store *s, tbi_op *op)
{
    tb_err err = TB_ERR_INIT;
    const tb_status st =
        tbi_usable(s)
            ? tb_err_set(&err, TB_ESTORE, "the store '%s' was opened for reading only", s->path)
            : tb_err_set(&err, TB_EINTERNAL,
                         "a store cannot be used in a forked process; open it again there");
    return record_failure(op, st, &err);
}

static void release(tbi_op *op)
{
    free(op->err);
    free(op);
}

void tbi_submit(tb_store *s, tbi_op *op)
{
    if (s->has_thread && tbi_usable(s)) {
        enqueue(s, op);
        return;
    }
    refuse(s, op);
    if (op->class->finish)
        op->class->finish(s, op);
    release(op);
}

tb_status tbi_submit_wait(tb_store *s, tbi_op *op, tb_err *err)
{
    op->waited = true;
    if (!s->has_thread || !tbi_usable(s)) {
        refuse(s, op);
        if (op->class->finish)
            op->class->finish(s, op);
    } else {
        enqueue(s, op);
        pthread_mutex_lock(&s->lock);
        while (!op->finished)
            pthread_cond_wait(&s->finished, &s->lock);
        pthread_mutex_unlock(&s->lock);
    }
    const tb_status st = op->status;
    if (st != TB_OK)
        tb_err_set(err, st, "%s", op->err->message);
    release(op);
    return st;
}

void tbi_touch(tb_store *s, const tb_key *key)
{
    if (!s->has_thread)
        return;
    pthread_mutex_lock(&s->lock);
    TB_GROW(s->touched, s->touched_cap, s->touched_count + 1);
    s->touched[s->touched_count++] = *key;
    if (s->touched_count >= TOUCH_WAKE)
        pthread_cond_signal(&s->work);
    pthread_mutex_unlock(&s->lock);
}

/* ---------------------------------------------------------------------------------- batches */

typedef struct batch {
    tbi_op *ops[TBI_BATCH_OPS];
    size_t count;
    tb_key *touched; /* owned */
    size_t touched_count;
} batch;

static bool has_ops(const batch *b, tbi_where where)
{
    for (size_t i = 0; i < b->count; i++)
        if (!b->ops[i]->skip && b->ops[i]->class->where == where && b->ops[i]->class->apply)
            return true;
    return where == TBI_IN_CACHE && b->touched_count;
}

static void prepare(tb_store *s, batch *b)
{
    for (size_t i = 0; i < b->count; i++) {
        tbi_op *op = b->ops[i];
        tb_err err = TB_ERR_INIT;
        if (op->class->prepare)
            op->skip = record_failure(op, op->class->prepare(s, op, &err), &err) != TB_OK;
    }
    tb_err err = TB_ERR_INIT;
    const tb_status st = tbi_blobs_sync(s, &err);
    TBI_SITE("blob-before-row");
    for (size_t i = 0; i < b->count && st != TB_OK; i++)
        if (b->ops[i]->incoming && !b->ops[i]->skip)
            b->ops[i]->skip = record_failure(b->ops[i], st, &err) != TB_OK;
}

static tb_status apply_touches(tb_store *s, const batch *b, tb_err *err)
{
    const int64_t now_ms = tb_clock_wall_ms();
    for (size_t i = 0; i < b->touched_count; i++) {
        sqlite3_stmt *st = tbi_db_stmt(&s->cache, TBI_Q_RESULT_TOUCH, err);
        if (!st)
            return TB_ESTORE;
        tbi_bind_key(st, 1, &b->touched[i]);
        sqlite3_bind_int64(st, 2, ++s->now.used);
        sqlite3_bind_int64(st, 3, now_ms);
        TB_TRY(tbi_db_run(&s->cache, st, err));
    }
    return TB_OK;
}

/* An op may fail alone (and has written nothing then); a failure of the database fails the
 * transaction. */
static tb_status apply(tb_store *s, tbi_db *d, batch *b, tbi_where where, tb_err *err)
{
    TB_TRY(tbi_db_begin(d, err));
    if (where == TBI_IN_CACHE)
        TB_TRY(tbi_counters_load(d, &s->now, err));
    for (size_t i = 0; i < b->count; i++) {
        tbi_op *op = b->ops[i];
        tb_err own = TB_ERR_INIT;
        if (op->skip || op->class->where != where || !op->class->apply)
            continue;
        record_failure(op, op->class->apply(s, op, &own), &own);
        if (d->failed && op->status != TB_OK)
            return tb_err_set(err, op->status, "%s", own.message);
        if (d->failed) /* met by a read whose answer did not matter to the op, but the rest does */
            return tb_err_set(err, TB_ESTORE, "the file '%s/%s' of the store cannot be read",
                              d->store, d->file);
    }
    if (where == TBI_IN_CACHE) {
        TB_TRY(apply_touches(s, b, err));
        TB_TRY(tbi_counters_store(d, &s->now, err));
        TBI_SITE("before-commit");
    }
    TB_TRY(tbi_db_commit(d, err));
    TBI_SITE("after-commit");
    return TB_OK;
}

static uint64_t incoming_bytes(const batch *b)
{
    uint64_t n = 0;
    for (size_t i = 0; i < b->count; i++)
        n += b->ops[i]->incoming;
    return n;
}

static void transact(tb_store *s, batch *b, tbi_where where)
{
    tbi_db *d = where == TBI_IN_CACHE ? &s->cache : &s->runs;
    tb_err err = TB_ERR_INIT;
    tb_status st = TB_OK;
    if (!has_ops(b, where))
        return;
    for (int attempt = 0; attempt < 2; attempt++) {
        err = TB_ERR_INIT;
        st = apply(s, d, b, where, &err);
        if (st == TB_OK)
            return;
        tbi_db_rollback(d);
        s->doomed.count = 0;
        if (st != TB_EFULL || attempt || !tbi_make_room(s, incoming_bytes(b), where == TBI_IN_RUNS))
            break;
    }
    if (d->damaged && where == TBI_IN_CACHE)
        tbi_mark_damaged(s, err.message);
    for (size_t i = 0; i < b->count; i++)
        if (!b->ops[i]->skip && b->ops[i]->class->where == where)
            record_failure(b->ops[i], st, &err);
}

static void note_lost(tb_store *s, const tbi_op *op)
{
    if (op->status == TB_OK || op->waited || op->answered || s->lost.status != TB_OK)
        return;
    s->lost = *op->err;
    tb_log(TB_LOG_WARN, "%s", op->err->message);
}

static void finish(tb_store *s, batch *b)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < b->count; i++) {
        bytes += b->ops[i]->bytes;
        if (b->ops[i]->class->finish)
            b->ops[i]->class->finish(s, b->ops[i]);
    }
    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < b->count; i++) {
        tbi_op *op = b->ops[i];
        note_lost(s, op);
        op->finished = true;
        if (!op->waited)
            release(op);
    }
    s->queued_ops -= b->count;
    s->queued_bytes -= bytes;
    pthread_cond_broadcast(&s->room);
    pthread_cond_broadcast(&s->finished);
    pthread_mutex_unlock(&s->lock);
    free(b->touched);
}

static void evict_for(tb_store *s, const batch *b)
{
    const int64_t incoming = (int64_t)incoming_bytes(b);
    const int64_t high = (int64_t)(s->cap / 10 * 9), low = (int64_t)(s->cap / 10 * 8);
    if (s->now.bytes + incoming <= high)
        return;
    if (s->now.bytes + incoming < s->evict_again && tb_clock_seconds() - s->evict_tried < 1)
        return;
    tb_err err = TB_ERR_INIT;
    if (tbi_evict(s, low > incoming ? low - incoming : 0, &err) != TB_OK)
        tb_log(TB_LOG_WARN, "the store could not make room: %s", err.message);
    s->evict_tried = tb_clock_seconds();
    s->evict_again = s->now.bytes > low ? s->now.bytes + incoming + (int64_t)(s->cap / 20) : 0;
}

static void run_batch(tb_store *s, batch *b)
{
    if (b->count == 1 && b->ops[0]->class->where == TBI_ALONE) {
        tb_err err = TB_ERR_INIT;
        record_failure(b->ops[0], b->ops[0]->class->apply(s, b->ops[0], &err), &err);
    } else {
        prepare(s, b);
        evict_for(s, b);
        transact(s, b, TBI_IN_CACHE);
        transact(s, b, TBI_IN_RUNS);
        tbi_unlink_doomed(s, NULL);
        if (s->no_ballast)
            tbi_ballast_make(s);
    }
    finish(s, b);
}

/* Under the lock: the next ops, one alone or many for a common transaction. */
static void take(tb_store *s, batch *b)
{
    uint64_t bytes = 0;
    b->count = 0;
    while (s->head && b->count < TBI_BATCH_OPS && bytes < TBI_BATCH_BYTES) {
        tbi_op *op = s->head;
        if (op->class->where == TBI_ALONE && b->count)
            break;
        s->head = op->next;
        if (!s->head)
            s->tail = &s->head;
        b->ops[b->count++] = op;
        bytes += op->bytes;
        if (op->class->where == TBI_ALONE)
            break;
    }
    b->touched = s->touched;
    b->touched_count = s->touched_count;
    s->touched = NULL;
    s->touched_count = s->touched_cap = 0;
}

/* ----------------------------------------------------------------------------------- thread */

static void mark_boot(tb_store *s)
{
    tbi_db *d = &s->cache;
    sqlite3_stmt *st = tbi_db_stmt(d, TBI_Q_META, NULL);
    bool row = false;
    if (!st)
        return;
    tbi_bind_text(st, 1, "boot");
    const bool same = tbi_db_row(d, st, &row, NULL) == TB_OK && row && sqlite3_column_text(st, 0) &&
                      strcmp((const char *)sqlite3_column_text(st, 0), s->self.boot) == 0;
    sqlite3_reset(st);
    if (same || !(st = tbi_db_stmt(d, TBI_Q_META_SET, NULL)) || tbi_db_begin(d, NULL) != TB_OK)
        return;
    tbi_bind_text(st, 1, "boot");
    tbi_bind_text(st, 2, s->self.boot);
    tbi_db_run(d, st, NULL);
    tbi_db_commit(d, NULL);
}

static void *writer_main(void *arg)
{
    tb_store *s = arg;
    batch *b = tb_xcalloc(1, sizeof *b);
    tbi_temp_sweep(s);
    tbi_ballast_make(s);
    mark_boot(s);
    tbi_sweep_plan(s);
    bool more = true;
    while (more) {
        pthread_mutex_lock(&s->lock);
        const bool idle = !s->head && !s->stopping;
        if (idle && s->sweep_at < 256) {
            pthread_mutex_unlock(&s->lock);
            tbi_sweep_step(s);
            continue;
        }
        while (!s->head && !s->stopping && s->touched_count < TOUCH_WAKE)
            pthread_cond_wait(&s->work, &s->lock);
        take(s, b);
        more = b->count || !s->stopping;
        pthread_mutex_unlock(&s->lock);
        run_batch(s, b);
    }
    free(b);
    return NULL;
}

tb_status tbi_writer_start(tb_store *s, tb_err *err)
{
    if (s->read_only)
        return TB_OK;
    sigset_t all, old;
    sigfillset(&all); /* signals are for the threads of the program */
    pthread_mutex_lock(&s->lock);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    const int e = pthread_create(&s->thread, NULL, writer_main, s);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    s->has_thread = e == 0;
    pthread_mutex_unlock(&s->lock);
    return e ? tb_err_errno(err, e, "cannot start the store's writer") : TB_OK;
}

void tbi_writer_stop(tb_store *s)
{
    if (!s->has_thread)
        return;
    pthread_mutex_lock(&s->lock);
    s->stopping = true;
    pthread_cond_signal(&s->work);
    pthread_mutex_unlock(&s->lock);
    pthread_join(s->thread, NULL);
    free(s->doomed.items);
}

/* ------------------------------------------------------------------------------------ flush */

static const tbi_op_class flush_class = { .where = TBI_IN_CACHE };

tb_status tb_store_flush(tb_store *s, tb_err *err)
{
    tbi_op *op = tb_xcalloc(1, sizeof *op);
    op->class = &flush_class;
    if (!s->has_thread) {
        free(op);
        return TB_OK;
    }
    TB_TRY(tbi_submit_wait(s, op, err));
    pthread_mutex_lock(&s->lock);
    const tb_err lost = s->lost;
    s->lost = TB_ERR_INIT;
    pthread_mutex_unlock(&s->lock);
    return lost.status == TB_OK ? TB_OK : tb_err_set(err, lost.status, "%s", lost.message);
}
