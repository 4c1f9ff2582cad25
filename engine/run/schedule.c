/* schedule.c - ready nodes become jobs, jobs become outputs, until every target is delivered.
 *
 * Ready nodes are taken last in, first out: depth first, so that few tensors are alive.
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "run/run_internal.h"

#define IO_AT_ONCE 2

static bool stopping(const tb_run *r)
{
    return atomic_load(&r->cancel);
}

static void after_delivery(void *arg)
{
    tb_job *j = arg;
    tb_run *r = j->run;
    r->pending--;
    if (j->status != TB_OK)
        tbi_run_fail(r, j->node, &j->err);
    for (const tbi_file *f = j->files; f; f = f->next)
        tbi_run_event(r, (tb_event){ .kind = TB_EV_DELIVERED,
                                     .node = tb_program_id(r->program, j->node),
                                     .type = j->type->def->name,
                                     .path = f->path,
                                     .file_kind = f->kind });
    tbi_job_free(j);
    r->targets_left--;
    tbi_schedule(r);
}

static void deliver(void *arg)
{
    tbi_job_deliver(arg);
}

/* A target has its outputs: write them where the user wants them. Inputs may be gone (the result
 * came from the store), so only literals and what is still held are offered. */
static void target_done(tb_run *r, int i)
{
    tbi_node *n = &r->nodes[i];
    if (n->delivered)
        return;
    n->delivered = true;
    if (!r->program->nodes[i].type->def->deliver) {
        r->targets_left--;
        return;
    }
    tb_job *j = tbi_job_new(r, i, TBI_JOB_DELIVER);
    tbi_job_gather(j);
    for (int k = 0; k < j->type->output_count; k++)
        j->out[k] = tb_value_ref(n->out[k]);
    r->pending++;
    tbi_pool(r->engine, deliver, after_delivery, j);
}

static bool is_target(const tb_run *r, int i)
{
    for (int t = 0; t < r->targets.count; t++)
        if (r->targets.items[t] == i)
            return true;
    return false;
}

/* Outputs from a finished job into the node. */
static void take_outputs(tb_run *r, tb_job *j)
{
    tbi_node *n = &r->nodes[j->node];
    n->out = tb_xcalloc((size_t)j->type->output_count + 1, sizeof *n->out);
    for (int k = 0; k < j->type->output_count; k++) {
        n->out[k] = j->out[k];
        j->out[k] = NULL;
    }
    n->state = TBI_DONE;
}

void tbi_node_done(tb_run *r, int i)
{
    if (r->nodes[i].target && is_target(r, i))
        target_done(r, i);
    tbi_release_inputs(r, i);
    tbi_tell_waiters(r, i);
}

/* Composites that came with an expansion are expanded in their turn, when somebody asks. */
static void defer_composites(tb_run *r, int first)
{
    for (int i = first; i < r->program->count; i++) {
        tb_pnode *n = &r->program->nodes[i];
        n->deferred = n->type->kind == TB_COMPOSITE && !n->alias && !n->muted;
    }
}

static void expanded(tb_run *r, int i, const json_t *answer)
{
    tb_err err = TB_ERR_INIT;
    const int count_before = r->program->count;
    if (tbi_splice(r, i, answer, &err) != TB_OK || tbi_make_keys(r, &err) != TB_OK) {
        tbi_run_fail(r, i, &err);
        return;
    }
    defer_composites(r, count_before);
    r->nodes[i].state = TBI_EXPANDED;
    tbi_release_inputs(r, i);
    tbi_redirect_waiters(r, i);
    if (!is_target(r, i))
        return;
    const int before = r->targets.count;
    tbi_add_targets(r, i, &r->targets);
    r->targets_left += r->targets.count - before - 1;
    for (int t = before; t < r->targets.count; t++)
        tbi_push(&r->asking, r->targets.items[t]);
}

/* -------------------------------------------------------------------------------------- jobs */

static void link_job(tb_run *r, tb_job *j)
{
    j->next = r->jobs;
    r->jobs = j;
    r->pending++;
    r->in_flight[j->class]++;
    r->engine->computing += j->class == TBI_COMPUTE;
}

static void unlink_job(tb_run *r, tb_job *j)
{
    tb_job **at = &r->jobs;
    while (*at != j)
        at = &(*at)->next;
    *at = j->next;
    r->pending--;
    r->in_flight[j->class]--;
    r->engine->computing -= j->class == TBI_COMPUTE;
}

static void run_finished(tb_run *r, tb_job *j)
{
    if (j->status != TB_OK) {
        tbi_run_fail(r, j->node, &j->err);
        return;
    }
    if (j->need) {
        tbi_want_more(r, j->node, j->need);
        return;
    }
    if (j->expand_graph) {
        json_t *answer =
            json_pack("{sOsO}", "graph", j->expand_graph, "outputs", j->expand_outputs);
        expanded(r, j->node, answer);
        json_decref(answer);
        return;
    }
    take_outputs(r, j);
    if (j->blocked)
        tbi_run_event(r, (tb_event){ .kind = TB_EV_BLOCKED,
                                     .node = tb_program_id(r->program, j->node),
                                     .type = j->type->def->name,
                                     .text = j->blocked });
    if (j->content_hit) {
        r->found++;
        tb_store_alias(r->engine->store, &r->program->nodes[j->node].key, &j->found_key, r->id);
        tbi_node_event(r, TB_EV_CACHED, j->node, 0);
    } else {
        tbi_run_keep(r, j);
        tbi_node_event(r, TB_EV_FINISHED, j->node, j->ms);
    }
    tbi_node_done(r, j->node);
}

static void load_finished(tb_run *r, tb_job *j)
{
    if (j->status != TB_OK) { /* a miss after all: compute it */
        r->nodes[j->node].no_load = true;
        r->nodes[j->node].state = TBI_IDLE;
        tbi_push(&r->asking, j->node);
        return;
    }
    take_outputs(r, j);
    if (r->id)
        tb_store_run_node(r->engine->store, r->id, tb_program_id(r->program, j->node),
                          j->type->def->name, &r->program->nodes[j->node].key, "cached", 0);
    tbi_node_event(r, TB_EV_CACHED, j->node, 0);
    tbi_node_done(r, j->node);
}

static void finished(void *arg)
{
    tb_job *j = arg;
    tb_run *r = j->run;
    unlink_job(r, j);
    r->engine->tainted |= j->cut_off; /* a model may be open that was read from it */
    if (j->kind == TBI_JOB_LOAD)
        load_finished(r, j);
    else if (j->kind == TBI_JOB_RUN)
        run_finished(r, j);
    else if (j->status == TB_OK)
        expanded(r, j->node, j->answer);
    else
        tbi_run_fail(r, j->node, &j->err);
    tbi_job_free(j);
    tbi_schedule(r);
    tbi_dispatch_compute(r->engine); /* of other runs, where this one has ended */
}

static void load_here(void *arg)
{
    tb_job *j = arg;
    tbi_load(j, &j->pnode->key);
}

void tbi_start_load(tb_run *r, int node)
{
    tb_job *j = tbi_job_new(r, node, TBI_JOB_LOAD);
    j->class = TBI_IO;
    r->nodes[node].state = TBI_RUNNING;
    link_job(r, j);
    tbi_pool(r->engine, load_here, finished, j);
}

/* Was it made before, in another graph? Then it is loaded. */
static bool found(tb_job *j)
{
    j->content_hit = tbi_found_by_content(j);
    if (!j->content_hit)
        tb_err_clear(&j->err);
    return j->content_hit;
}

static void execute(void *arg)
{
    tb_job *j = arg;
    if (!found(j))
        tbi_job_execute(j);
}

/* Jobs that the compute worker runs together. */
typedef struct pack {
    tb_job *jobs[TB_PACK_CALLS];
    int count;
} pack;

static void execute_on_worker(void *arg)
{
    pack *p = arg;
    tb_job *missed[TB_PACK_CALLS];
    int n = 0;
    for (int i = 0; i < p->count; i++)
        if (!found(p->jobs[i]))
            missed[n++] = p->jobs[i];
    if (n > 1)
        tbi_job_execute_pack(missed, n);
    else if (n)
        tbi_job_execute(missed[0]);
    for (int i = 0; i < p->count; i++)
        tbi_post(p->jobs[i]->run->engine, finished, p->jobs[i]);
    free(p);
}

static void expand_here(void *arg)
{
    tb_job *j = arg;
    j->answer = tbi_expand_all_calls(j);
    j->status = j->answer ? TB_OK : j->err.status;
}

static tb_job *new_job(tb_run *r, int node)
{
    const bool deferred = r->program->nodes[node].deferred;
    tb_job *j = tbi_job_new(r, node, deferred ? TBI_JOB_EXPAND : TBI_JOB_RUN);
    j->class = deferred ? TBI_IO : tbi_class_of(&r->program->nodes[node]);
    j->numbers = tbi_main_numbers(r, node);
    tbi_job_gather(j);
    if (deferred && (tbi_expansion_count(j) == 0 || tbi_expansion_is_blocked(j))) {
        j->kind = TBI_JOB_RUN; /* there is nothing to make; as of a node, its outputs say so */
    } else if (deferred) {
        j->id = tb_xstrdup(tb_program_id(r->program, node));
        j->request = tbi_expansion_request(j);
    }
    r->nodes[node].state = TBI_RUNNING;
    link_job(r, j);
    return j;
}

static void run_inline(tb_run *r, int node)
{
    tb_job *j = new_job(r, node);
    tbi_job_execute(j);
    unlink_job(r, j);
    run_finished(r, j);
    tbi_job_free(j);
    tbi_serve(r);
}

static int pop(tbi_stack *s)
{
    return s->items[--s->count];
}

static void continue_later(void *arg)
{
    (void)arg; /* waking the loop is enough */
}

static void take(tb_run *r, pack *p, int at)
{
    tbi_stack *ready = &r->ready[TBI_COMPUTE];
    const int node = ready->items[at];
    memmove(&ready->items[at], &ready->items[at + 1],
            (size_t)(ready->count - at - 1) * sizeof *ready->items);
    ready->count--;
    p->jobs[p->count++] = new_job(r, node);
    tbi_node_event(r, TB_EV_STARTED, node, 0);
}

static bool may_compute(const tb_run *r)
{
    return r->scheduled && !r->ending && !stopping(r) && r->ready[TBI_COMPUTE].count;
}

static int next_of(const tb_run *r)
{
    return r->ready[TBI_COMPUTE].items[r->ready[TBI_COMPUTE].count - 1];
}

/* Size of a node as part of a pack; 0: it runs alone. */
static int64_t pack_size(const tb_run *r, int node)
{
    return r->program->nodes[node].type->def->run_pack ? tbi_main_numbers(r, node) : 0;
}

/* The same work as one of the pack's waits: when its turn comes, it is found in the store. */
static bool is_in(const pack *p, const tb_key *key)
{
    for (int i = 0; i < p->count; i++)
        if (tb_key_eq(&p->jobs[i]->pnode->key, key))
            return true;
    return false;
}

/* Takes those of the run's ready nodes that can run together with the first one. */
static void fill(tb_run *r, pack *p, int64_t *room)
{
    const tbi_stack *ready = &r->ready[TBI_COMPUTE];
    for (int i = ready->count - 1; *room > 0 && i >= 0 && p->count < TB_PACK_CALLS; i--) {
        const int node = ready->items[i];
        const tb_pnode *n = &r->program->nodes[node];
        const int64_t size = pack_size(r, node);
        if (n->type->def != p->jobs[0]->type->def || !size || size > *room || is_in(p, &n->key))
            continue;
        *room -= size;
        take(r, p, i);
    }
}

/* The next ready node of the run, and those of all runs that it can run together with. */
static void start_compute(tb_run *r)
{
    pack *p = tb_xcalloc(1, sizeof *p);
    const int64_t size = pack_size(r, next_of(r));
    take(r, p, r->ready[TBI_COMPUTE].count - 1);
    int64_t room = size ? p->jobs[0]->type->def->pack_limit - size : 0;
    fill(r, p, &room);
    for (tb_run *o = r->engine->first; o; o = o->next)
        if (o != r && may_compute(o))
            fill(o, p, &room);
    tbi_compute(r->engine, execute_on_worker, p);
}

void tbi_dispatch_compute(tb_engine *e)
{
    tb_run *oldest = NULL;
    if (e->computing)
        return;
    if (e->tainted)
        tbi_engine_drop_models(e);
    for (tb_run *r = e->first; r; r = r->next) {
        if (!may_compute(r))
            continue;
        /* what runs alone goes first: the others come to be ready together */
        if (!pack_size(r, next_of(r))) {
            start_compute(r);
            return;
        }
        oldest = oldest ? oldest : r;
    }
    if (oldest)
        start_compute(oldest);
}

static void dispatch(tb_run *r)
{
    const double until = tb_clock_seconds() + TBI_TURN_S;
    while (r->ready[TBI_INLINE].count && !stopping(r) && tb_clock_seconds() < until)
        run_inline(r, pop(&r->ready[TBI_INLINE]));
    if (r->ready[TBI_INLINE].count && !stopping(r))
        tbi_post(r->engine, continue_later, NULL);
    tbi_dispatch_compute(r->engine);
    while (r->ready[TBI_IO].count && r->in_flight[TBI_IO] < IO_AT_ONCE && !stopping(r)) {
        tb_job *j = new_job(r, pop(&r->ready[TBI_IO]));
        tbi_node_event(r, TB_EV_STARTED, j->node, 0);
        tbi_pool(r->engine, j->kind == TBI_JOB_EXPAND ? expand_here : execute, finished, j);
    }
}

/* ------------------------------------------------------------------------- begin, go on, end */

void tbi_finish_if_over(tb_run *r)
{
    if (!r->scheduled || r->pending)
        return;
    if (stopping(r) && r->err.status == TB_OK && r->targets_left) {
        tb_err err = TB_ERR_INIT;
        tb_err_set(&err, TB_ECANCELED, "stopped on request; finished nodes are kept");
        tbi_run_fail(r, -1, &err);
    }
    const int ready =
        r->ready[TBI_INLINE].count + r->ready[TBI_COMPUTE].count + r->ready[TBI_IO].count;
    if (r->targets_left && r->err.status == TB_OK && !ready && !r->asking.count) {
        tb_err err = TB_ERR_INIT;
        tb_err_set(&err, TB_EINTERNAL,
                   "nothing is left to run, but %d outputs are missing; please report this",
                   r->targets_left);
        tbi_run_fail(r, -1, &err);
    }
    if (!r->targets_left || r->err.status != TB_OK)
        tbi_run_end(r);
}

void tbi_schedule(tb_run *r)
{
    if (!r->scheduled || r->ending)
        return;
    if (!stopping(r)) {
        if (!tbi_serve_until(r, tb_clock_seconds() + TBI_TURN_S)) {
            tbi_post(r->engine, continue_later, NULL);
            return;
        }
        dispatch(r);
        tbi_serve(r);
    }
    tbi_finish_if_over(r);
}

void tbi_schedule_begin(tb_run *r)
{
    r->scheduled = true;
    r->targets_left = r->targets.count;
    for (int t = r->targets.count - 1; t >= 0; t--) {
        const int i = r->targets.items[t];
        const bool held = r->nodes[i].state == TBI_DONE;
        r->nodes[i].target = true;
        if (held)
            target_done(r, i);
        else
            tbi_push(&r->asking, i);
    }
    tbi_schedule(r);
}
