/* engine.c - the loop, the compute worker and the queue of runs. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "models/models.h"
#include "run/run_internal.h"

enum { FREED_ON_LOOP = 1000 }; /* nodes of a run; a larger one is freed on the pool */

static void mailbox_put(tbi_mailbox *m, void (*fn)(void *arg), void *arg)
{
    tbi_letter *l = tb_xcalloc(1, sizeof *l);
    *l = (tbi_letter){ .fn = fn, .arg = arg };
    if (!m->first)
        m->end = &m->first;
    *m->end = l;
    m->end = &l->next;
}

void tbi_post(tb_engine *e, void (*fn)(void *arg), void *arg)
{
    pthread_mutex_lock(&e->lock);
    mailbox_put(&e->inbox, fn, arg);
    pthread_mutex_unlock(&e->lock);
    uv_async_send(&e->wake);
}

static void tell_progress(tb_run *r)
{
    for (tb_job *j = r->jobs; j; j = j->next) {
        const double share = atomic_load(&j->share);
        if (share <= j->told)
            continue;
        j->told = share;
        tbi_run_event(r, (tb_event){ .kind = TB_EV_PROGRESS,
                                     .node = tb_program_id(r->program, j->node),
                                     .type = j->type->def->name,
                                     .share = share });
    }
}

/* ------------------------------------------------------------------------------- runs in order */

/* May it run beside those before it? Only when they use all its models, so that none is opened and
 * closed in turn, and when all fit into memory together. */
static bool fits_in(const tb_engine *e, const tb_run *r)
{
    size_t bytes = r->summary.peak_bytes;
    for (const tb_run *o = e->first; o != r; o = o->next)
        bytes += o->summary.peak_bytes;
    return (!e->memory_limit || bytes <= e->memory_limit) && tbi_uses_same_models(r, e->first);
}

/* Prepare the next run, if there is room for one more and all before it have begun. */
static void start_next(tb_engine *e)
{
    int active = 0;
    tb_run *r = e->first;
    for (; r && r->scheduled; r = r->next)
        active++;
    if (!r || r->started || active >= e->runs_at_once)
        return;
    r->started = true;
    tbi_run_start(r);
}

/* A run that is prepared begins when its turn has come, or it is to stop. */
static void begin_waiting(tb_engine *e)
{
    for (tb_run *r = e->first; r; r = r->next) {
        if (!r->waiting)
            continue;
        if (r == e->first || atomic_load(&r->cancel) || fits_in(e, r)) {
            r->waiting = false;
            tbi_schedule_begin(r);
        }
        break; /* those behind it have not been prepared */
    }
    start_next(e);
}

void tbi_engine_prepared(tb_engine *e, tb_run *r)
{
    r->waiting = true;
    begin_waiting(e);
}

static void on_wake(uv_async_t *wake)
{
    tb_engine *e = wake->data;
    pthread_mutex_lock(&e->lock);
    tbi_letter *l = e->inbox.first;
    e->inbox.first = NULL;
    pthread_mutex_unlock(&e->lock);
    for (tb_run *r = e->first; r; r = r->next)
        if (r->scheduled)
            tell_progress(r);
    for (tbi_letter *next; l; l = next) {
        next = l->next;
        l->fn(l->arg);
        free(l);
    }
    for (tb_run *r = e->first; r; r = r->next)
        tbi_schedule(r);
    begin_waiting(e);
}

/* ------------------------------------------------------------------------------ compute worker */

static void *work(void *arg)
{
    tb_engine *e = arg;
    pthread_mutex_lock(&e->lock);
    for (;;) {
        while (!e->work.first && !e->stopping)
            pthread_cond_wait(&e->work_there, &e->lock);
        tbi_letter *l = e->work.first;
        if (!l)
            break;
        e->work.first = l->next;
        pthread_mutex_unlock(&e->lock);
        l->fn(l->arg);
        free(l);
        pthread_mutex_lock(&e->lock);
    }
    pthread_mutex_unlock(&e->lock);
    return NULL;
}

void tbi_compute(tb_engine *e, void (*fn)(void *arg), void *arg)
{
    pthread_mutex_lock(&e->lock);
    if (!e->worker_started)
        e->worker_started = pthread_create(&e->worker, NULL, work, e) == 0;
    mailbox_put(&e->work, fn, arg);
    pthread_cond_signal(&e->work_there);
    pthread_mutex_unlock(&e->lock);
}

typedef struct pool_task {
    uv_work_t req;
    void (*fn)(void *arg);
    void (*after)(void *arg);
    void *arg;
} pool_task;

static void pool_work(uv_work_t *req)
{
    pool_task *t = req->data;
    t->fn(t->arg);
}

static void pool_after(uv_work_t *req, int status)
{
    pool_task *t = req->data;
    (void)status; /* never canceled */
    t->after(t->arg);
    free(t);
}

void tbi_pool(tb_engine *e, void (*fn)(void *arg), void (*after)(void *arg), void *arg)
{
    pool_task *t = tb_xcalloc(1, sizeof *t);
    *t = (pool_task){ .fn = fn, .after = after, .arg = arg };
    t->req.data = t;
    uv_queue_work(&e->loop, &t->req, pool_work, pool_after);
}

/* -------------------------------------------------------------------------------------- engine */

/* 90 % of what the machine has available now. */
static size_t default_memory_limit(void)
{
    const long pages = sysconf(_SC_AVPHYS_PAGES), all = sysconf(_SC_PHYS_PAGES),
               size = sysconf(_SC_PAGESIZE);
    if (pages <= 0 || size <= 0)
        return 0;
    /* page cache counts as taken in AVPHYS_PAGES; it can be given back, so half of all memory is
     * the least */
    const size_t free_now = (size_t)pages * (size_t)size, half = (size_t)all * (size_t)size / 2;
    return (free_now > half ? free_now : half) / 10 * 9;
}

/* A full disk stops no run: it is only not stored. */
static tb_status open_store(tb_engine *e, const char *path, tb_err *err)
{
    tb_err own = TB_ERR_INIT;
    e->store = tb_store_open(&(tb_store_options){ .path = path }, &own);
    e->own_store = true;
    if (e->store)
        return TB_OK;
    if (own.status != TB_EFULL)
        return tb_err_set(err, own.status, "%s", own.message);
    tb_log(TB_LOG_WARN, "nothing of this run will be stored: %s", own.message);
    return TB_OK;
}

tb_engine *tb_engine_new(const tb_engine_options *o, tb_err *err)
{
    tb_mode mode;
    if (tb_mode_parse(o->compute, &mode, err) != TB_OK)
        return NULL;
    tb_engine *e = tb_xcalloc(1, sizeof *e);
    e->mode = mode;
    e->numeric = (tb_numeric){ tb_mode_class(TB_MODE_F32), tb_mode_class(mode) };
    e->threads = o->threads;
    e->runs_at_once = o->runs_at_once > 1 ? o->runs_at_once : 1;
    e->memory_limit = o->memory_limit ? o->memory_limit : default_memory_limit();
    e->store = o->store;
    if (!e->store && !o->no_store && open_store(e, o->store_path, err) != TB_OK) {
        free(e);
        return NULL;
    }
    pthread_mutex_init(&e->lock, NULL);
    pthread_mutex_init(&e->compute_lock, NULL);
    pthread_cond_init(&e->work_there, NULL);
    uv_loop_init(&e->loop);
    uv_async_init(&e->loop, &e->wake, on_wake);
    e->wake.data = e;
    uv_unref((uv_handle_t *)&e->wake);
    e->types = tb_types_new();
    e->memory = tbi_memory_new(o->memory_cache);
    e->folders = tb_folders_new();
    tb_model_add_bundled(e->folders);
    tb_types_set_folders(e->types, e->folders);
    e->own_nodes = o->nodes;
    tb_types_add_defs(e->types, o->nodes);
    return e;
}

static void stop_worker(tb_engine *e)
{
    pthread_mutex_lock(&e->lock);
    e->stopping = true;
    pthread_cond_signal(&e->work_there);
    pthread_mutex_unlock(&e->lock);
    if (e->worker_started)
        pthread_join(e->worker, NULL);
}

void tbi_engine_drop_models(tb_engine *e)
{
    if (e->shared)
        e->drop_shared(e->shared);
    e->shared = NULL;
    e->unload = e->tainted = false;
}

void tb_engine_free(tb_engine **ep)
{
    tb_engine *e = *ep;
    if (!e)
        return;
    for (tb_run *r = e->first; r; r = r->next)
        tb_run_cancel(r);
    for (tb_run *r = e->plans; r; r = r->next)
        tb_run_cancel(r);
    while (e->first || e->plans)
        uv_run(&e->loop, UV_RUN_ONCE);
    stop_worker(e);
    uv_close((uv_handle_t *)&e->wake, NULL);
    uv_run(&e->loop, UV_RUN_DEFAULT);
    uv_loop_close(&e->loop);
    tbi_engine_drop_models(e);
    tb_compute_free(&e->compute);
    tbi_memory_free(&e->memory);
    if (e->own_store)
        tb_store_close(&e->store);
    tb_types_free(&e->types);
    tb_folders_free(&e->folders);
    pthread_mutex_destroy(&e->lock);
    pthread_mutex_destroy(&e->compute_lock);
    pthread_cond_destroy(&e->work_there);
    free(e);
    *ep = NULL;
}

uv_loop_t *tb_engine_loop(tb_engine *e)
{
    return &e->loop;
}

tb_store *tb_engine_store(tb_engine *e)
{
    return e->store;
}

tb_folders *tb_engine_folders(tb_engine *e)
{
    return e->folders;
}

size_t tb_engine_memory_limit(const tb_engine *e)
{
    return e->memory_limit;
}

const char *tb_engine_class(const tb_engine *e)
{
    return tb_mode_class(e->mode);
}

int tb_engine_runs_at_once(const tb_engine *e)
{
    return e->runs_at_once;
}

int tb_engine_threads(const tb_engine *e)
{
    const long cores = sysconf(_SC_NPROCESSORS_ONLN);
    return e->threads > 0 ? e->threads : cores > 0 ? (int)cores : 1;
}

const tb_types *tb_engine_types(tb_engine *e)
{
    return e->types;
}

tb_types *tb_engine_types_with(const tb_engine *e, const json_t *defined, tb_err *err)
{
    tb_types *types = tb_types_new();
    tb_types_add_defs(types, e->own_nodes);
    tb_types_set_folders(types, e->folders);
    if (tb_types_add(types, defined, err) != TB_OK)
        tb_types_free(&types);
    return types;
}

void tbi_engine_add(tb_engine *e, tb_run *r)
{
    if (r->o.plan_only) {
        r->next = e->plans;
        e->plans = r;
        tbi_run_start(r);
        return;
    }
    if (e->last)
        e->last->next = r;
    else
        e->first = r;
    e->last = r;
    if (e->first == r)
        uv_ref((uv_handle_t *)&e->wake);
    start_next(e);
}

void tb_engine_release(tb_engine *e, bool results, bool models)
{
    if (results)
        tbi_memory_clear(e->memory);
    e->unload |= models;
    if (e->unload && !e->first)
        tbi_engine_drop_models(e);
}

static void free_run(void *run)
{
    tbi_run_free(run);
}

static void run_freed(void *run)
{
    (void)run;
}

/* Nobody else knows it any more. A large one takes long. */
static void free_off_loop(tb_engine *e, tb_run *r)
{
    if (r->node_count > FREED_ON_LOOP)
        tbi_pool(e, free_run, run_freed, r);
    else
        tbi_run_free(r);
}

static void plan_done(tb_engine *e, tb_run *r)
{
    tb_run **at = &e->plans;
    while (*at != r)
        at = &(*at)->next;
    *at = r->next;
    free_off_loop(e, r);
}

static void remove_run(tb_engine *e, const tb_run *r)
{
    tb_run **at = &e->first, *before = NULL;
    for (; *at != r; at = &(*at)->next)
        before = *at;
    *at = r->next;
    e->last = e->last == r ? before : e->last;
}

void tbi_engine_done(tb_engine *e, tb_run *r)
{
    if (r->o.plan_only) {
        plan_done(e, r);
        return;
    }
    remove_run(e, r);
    if (!e->first)
        uv_unref((uv_handle_t *)&e->wake);
    free_off_loop(e, r);
    if ((e->unload || e->tainted) && !e->computing)
        tbi_engine_drop_models(e);
    begin_waiting(e);
}
