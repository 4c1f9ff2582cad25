/* schedule.c - runs what is asked for: demand goes backwards, readiness forwards.
 *
 * Nothing runs that was not asked for by a target, through inputs. A node that was asked for waits
 * for its inputs; the last one to arrive makes it ready. Ready nodes are taken last in, first out,
 * which goes depth first and keeps few tensors alive; a node's outputs are freed when its last
 * reader is done. All loops are iterative: a chain may be 100,000 nodes long.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "run/run_internal.h"

#define INLINE_BATCH 4096 /* trivial nodes run before the loop gets a turn */
#define IO_AT_ONCE   2

static void finish_if_over(tb_run *r);
static void start_load(tb_run *r, int node);

static bool stopping(const tb_run *r)
{
    return atomic_load(&r->cancel);
}

static tbi_state state_of(const tb_run *r, int node)
{
    return r->nodes[node].state;
}

static int class_of(const tb_pnode *n)
{
    if (n->type->kind != TB_PRIMITIVE)
        return TBI_IO; /* Lua waits for its child process */
    return n->type->def->flags & TB_NODE_INLINE ? TBI_INLINE
           : n->type->def->flags & TB_NODE_IO   ? TBI_IO
                                                : TBI_COMPUTE;
}

/* --------------------------------------------------------------------------------------- demand */

static void add_waiter(tbi_node *n, int who)
{
    TB_GROW(n->waiters, n->waiter_cap, n->waiter_count + 1);
    n->waiters[n->waiter_count++] = who;
}

/* Node i wants its input k: count on its producer, asking for that one if nobody has yet. */
static void want_input(tb_run *r, int i, int k)
{
    tbi_node *n = &r->nodes[i];
    const tb_arg *written = &r->program->nodes[i].args[k];
    if (n->asked >> k & 1)
        return;
    n->asked |= UINT64_C(1) << k;
    if (written->src < 0)
        return;
    const int src = tb_program_resolve(r->program, written->src, written->slot).src;
    if (src < 0)
        return;
    r->nodes[src].readers++;
    if (state_of(r, src) == TBI_DONE)
        return;
    n->missing++;
    add_waiter(&r->nodes[src], i);
    if (state_of(r, src) == TBI_IDLE)
        tbi_push(&r->asking, src);
}

/* The values that are there already, scalars converted, for need(). Owned by the caller. */
static tb_value **known_values(const tb_run *r, int i)
{
    const tb_pnode *n = &r->program->nodes[i];
    tb_value **values = tb_xcalloc((size_t)n->type->input_count + 1, sizeof *values);
    for (int k = 0; k < n->type->input_count; k++) {
        const tb_arg a = n->args[k].src < 0
                             ? n->args[k]
                             : tb_program_resolve(r->program, n->args[k].src, n->args[k].slot);
        const tb_value *v = a.literal;
        if (a.src >= 0 && r->nodes[i].asked >> k & 1 && r->nodes[a.src].out) {
            const tb_value *list = r->nodes[a.src].out[a.slot];
            v = tb_list_count(list) ? tb_list_at(list, 0) : NULL;
        }
        /* a value that cannot be converted stops the node when it is run, with its sentence */
        values[k] = v ? tb_input_convert(&n->type->def->inputs[k], v, NULL) : NULL;
    }
    return values;
}

static void free_values(tb_value **values, int n)
{
    for (int k = 0; k < n; k++)
        tb_value_unref(&values[k]);
    free(values);
}

/* Ask for all inputs the node wants now; for a deferred composite, those that must be literals. */
static void want_inputs(tb_run *r, int i)
{
    const tb_pnode *n = &r->program->nodes[i];
    if (n->deferred) {
        for (int k = 0; k < n->type->input_count; k++)
            if (n->type->def->inputs[k].flags & TB_IN_LITERAL)
                want_input(r, i, k);
        return;
    }
    bool lazy = false;
    for (int k = 0; k < n->type->input_count; k++)
        lazy |= (n->type->def->inputs[k].flags & TB_IN_LAZY) != 0;
    tb_value **values = lazy ? known_values(r, i) : NULL;
    const uint64_t wanted =
        lazy ? tbi_wanted_inputs(n, (const tb_value *const *)(void *)values) : UINT64_MAX;
    if (lazy)
        free_values(values, n->type->input_count);
    for (int k = 0; k < n->type->input_count; k++)
        if (wanted >> k & 1)
            want_input(r, i, k);
}

/* All asked-for inputs are there: ask for more (lazy ones), or be ready. */
static void inputs_complete(tb_run *r, int i)
{
    if (r->nodes[i].load) {
        start_load(r, i);
        return;
    }
    want_inputs(r, i);
    if (r->nodes[i].missing)
        return;
    r->nodes[i].state = TBI_READY;
    tbi_push(&r->ready[r->program->nodes[i].deferred ? TBI_IO : class_of(&r->program->nodes[i])],
             i);
}

/* A stored target needs no inputs but those that say where to deliver it. */
static void want_delivery_inputs(tb_run *r, int i)
{
    const tb_type *t = r->program->nodes[i].type;
    for (int k = 0; t->def->deliver && k < t->input_count; k++)
        if (t->def->inputs[k].flags & TB_IN_UNKEYED)
            want_input(r, i, k);
}

static void ask_one(tb_run *r, int i)
{
    if (state_of(r, i) != TBI_IDLE)
        return;
    tbi_node *n = &r->nodes[i];
    n->asked = 0;
    n->state = TBI_WAITING;
    n->load = tbi_is_stored(r, i);
    if (n->load && n->target)
        want_delivery_inputs(r, i);
    if (!n->missing)
        inputs_complete(r, i);
}

/* Serve everything in r->asking, and what that asks for in turn. */
static void serve(tb_run *r)
{
    while (r->asking.count)
        ask_one(r, r->asking.items[--r->asking.count]);
}

/* --------------------------------------------------------------------------- done, freed, expanded
 */

static void free_outputs(tb_run *r, int i)
{
    tbi_node *n = &r->nodes[i];
    for (int k = 0; n->out && k < r->program->nodes[i].type->output_count; k++)
        tb_value_unref(&n->out[k]);
    free(n->out);
    n->out = NULL;
}

/* The node is through with its inputs: producers nobody else reads let go of their outputs. */
static void release_inputs(tb_run *r, int i)
{
    const tb_pnode *p = &r->program->nodes[i];
    for (int k = 0; k < p->type->input_count; k++) {
        if (!(r->nodes[i].asked >> k & 1) || p->args[k].src < 0)
            continue;
        const int src = tb_program_resolve(r->program, p->args[k].src, p->args[k].slot).src;
        tbi_node *n = src < 0 ? NULL : &r->nodes[src];
        if (!n || --n->readers > 0 || n->target || n->state != TBI_DONE)
            continue;
        free_outputs(r, src);
        n->state = TBI_IDLE; /* whoever asks later gets it from the store, or anew */
    }
}

static void tell_waiters(tb_run *r, int i)
{
    tbi_node *n = &r->nodes[i];
    int *waiters = n->waiters;
    const int count = n->waiter_count;
    n->waiters = NULL;
    n->waiter_count = 0;
    n->waiter_cap = 0;
    for (int w = count - 1; w >= 0; w--) {
        const int who = waiters[w];
        if (--r->nodes[who].missing == 0 && r->nodes[who].state == TBI_WAITING)
            inputs_complete(r, who);
    }
    free(waiters);
}

/* The waiters of an expanded node turn to what its outputs stand for. */
static void redirect_waiters(tb_run *r, int i)
{
    tbi_node *n = &r->nodes[i];
    int *waiters = n->waiters;
    const int count = n->waiter_count;
    n->waiters = NULL;
    n->waiter_count = 0;
    n->waiter_cap = 0;
    n->readers = 0;
    for (int w = 0; w < count; w++) {
        const tb_pnode *p = &r->program->nodes[waiters[w]];
        tbi_node *who = &r->nodes[waiters[w]];
        for (int k = 0; k < p->type->input_count; k++) {
            if (!(who->asked >> k & 1) || p->args[k].src < 0)
                continue;
            /* inputs that reached this node through its slot are asked for again */
            tb_arg a = { .src = p->args[k].src, .slot = p->args[k].slot };
            while (a.src >= 0 && a.src != i && r->program->nodes[a.src].alias)
                a = r->program->nodes[a.src].alias[a.slot];
            if (a.src != i)
                continue;
            who->asked &= ~(UINT64_C(1) << k);
            who->missing--;
            want_input(r, waiters[w], k);
        }
        if (who->missing == 0 && who->state == TBI_WAITING)
            inputs_complete(r, waiters[w]);
    }
    free(waiters);
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

static void node_done(tb_run *r, int i)
{
    if (r->nodes[i].target && is_target(r, i))
        target_done(r, i);
    release_inputs(r, i);
    tell_waiters(r, i);
}

static void expanded(tb_run *r, int i, const json_t *answer)
{
    tb_err err = TB_ERR_INIT;
    if (tbi_splice(r, i, answer, &err) != TB_OK || tbi_make_keys(r, &err) != TB_OK) {
        tbi_run_fail(r, i, &err);
        return;
    }
    r->nodes[i].state = TBI_EXPANDED;
    release_inputs(r, i);
    redirect_waiters(r, i);
    if (!is_target(r, i))
        return;
    /* the target is now whatever the outputs stand for */
    r->targets_left--;
    for (int k = 0; k < r->program->nodes[i].type->output_count; k++) {
        const int src = tb_program_resolve(r->program, i, k).src;
        if (src < 0 || r->nodes[src].target)
            continue;
        r->nodes[src].target = true;
        tbi_push(&r->targets, src);
        r->targets_left++;
        tbi_push(&r->asking, src);
    }
}

/* -------------------------------------------------------------------------------------- storing */

typedef struct stored_note {
    tb_run *run;
    int node;
    tb_status status;
    tb_err err;
} stored_note;

static void tell_stored(void *arg)
{
    stored_note *s = arg;
    tb_run *r = s->run;
    r->pending--;
    if (s->status == TB_OK) {
        tbi_node_event(r, TB_EV_STORED, s->node, 0);
    } else if (!r->store_warned) {
        char text[1200];
        r->store_warned = true;
        tbi_run_event(r, (tb_event){ .kind = TB_EV_WARNING,
                                     .status = s->status,
                                     .err = &s->err,
                                     .text = tb_err_text(&s->err, NULL, text, sizeof text) });
    }
    free(s);
    finish_if_over(r);
}

/* On the store's writer thread, after the commit. */
static void on_stored(void *ctx, tb_status st, const tb_err *err)
{
    stored_note *s = ctx;
    s->status = st;
    if (err)
        s->err = *err;
    tbi_post(s->run->engine, tell_stored, s);
}

/* Is keeping the result cheaper than making it again? Measured: about 400 MB/s to write, 4 GB/s to
 * read, and half a millisecond a result (performance spec, section 7). */
static bool worth_keeping(const tb_node_def *def, double ms, size_t bytes)
{
    if (def->flags & TB_NODE_KEEP)
        return true;
    return ms > 0.5 + (double)bytes / 400e3 + (double)bytes / 4e6;
}

static void store(tb_run *r, const tb_job *j)
{
    tb_store *s = r->engine->store;
    const tb_node_def *def = j->type->def;
    const tbi_node *n = &r->nodes[j->node];
    if (!s || def->flags & (TB_NODE_INLINE | TB_NODE_FORGET | TB_NODE_IMPURE) ||
        r->program->nodes[j->node].impure)
        return;
    size_t bytes = 0;
    for (int k = 0; k < j->type->output_count; k++)
        bytes += tb_value_bytes(n->out[k]);
    if (!worth_keeping(def, j->ms, bytes) && !n->target)
        return;
    char signature[400];
    tbi_signature(r, j->node, signature, sizeof signature);
    stored_note *note = tb_xcalloc(1, sizeof *note);
    *note = (stored_note){ .run = r, .node = j->node };
    r->pending++;
    const tb_store_put_args a = { .key = r->program->nodes[j->node].key,
                                  .content_key = j->content_key,
                                  .type = def->name,
                                  .cost_ms = j->ms,
                                  .signature = signature,
                                  .run = r->id,
                                  .keep = def->flags & TB_NODE_KEEP };
    tb_store_put(s, &a, n->out, j->type->output_count, on_stored, note);
    if (r->id)
        tb_store_run_node(s, r->id, tb_program_id(r->program, j->node), def->name, &a.key, "stored",
                          j->ms);
}

/* ------------------------------------------------------------------------------------------ jobs
 */

static void link_job(tb_run *r, tb_job *j)
{
    j->next = r->jobs;
    r->jobs = j;
    r->pending++;
    r->in_flight[j->class]++;
}

static void unlink_job(tb_run *r, tb_job *j)
{
    tb_job **at = &r->jobs;
    while (*at != j)
        at = &(*at)->next;
    *at = j->next;
    r->pending--;
    r->in_flight[j->class]--;
}

static void run_finished(tb_run *r, tb_job *j)
{
    if (j->status != TB_OK) {
        tbi_run_fail(r, j->node, &j->err);
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
    if (j->content_hit) {
        r->cached++;
        tb_store_alias(r->engine->store, &r->program->nodes[j->node].key, &j->found_key, r->id);
        tbi_node_event(r, TB_EV_CACHED, j->node, 0);
    } else {
        r->computed++;
        store(r, j);
        tbi_node_event(r, TB_EV_FINISHED, j->node, j->ms);
    }
    node_done(r, j->node);
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
    r->cached++;
    if (r->id)
        tb_store_run_node(r->engine->store, r->id, tb_program_id(r->program, j->node),
                          j->type->def->name, &r->program->nodes[j->node].key, "cached", 0);
    tbi_node_event(r, TB_EV_CACHED, j->node, 0);
    node_done(r, j->node);
}

static void finished(void *arg)
{
    tb_job *j = arg;
    tb_run *r = j->run;
    unlink_job(r, j);
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
}

static tb_status load(tb_job *j, const tb_key *key)
{
    tb_value **out = NULL;
    int count = 0;
    j->status = tb_store_get(j->run->engine->store, key, &out, &count, &j->err);
    if (j->status == TB_OK && count != j->type->output_count)
        j->status = TB_ENOTFOUND; /* another version's result: a miss */
    for (int k = 0; k < count; k++) {
        if (j->status == TB_OK) {
            tb_value_unref(&j->out[k]);
            j->out[k] = out[k];
        } else {
            tb_value_unref(&out[k]);
        }
    }
    free(out);
    return j->status;
}

static void load_here(void *arg)
{
    tb_job *j = arg;
    load(j, &j->pnode->key);
}

static void start_load(tb_run *r, int node)
{
    tb_job *j = tbi_job_new(r, node, TBI_JOB_LOAD);
    j->class = TBI_IO;
    r->nodes[node].state = TBI_RUNNING;
    link_job(r, j);
    tbi_pool(r->engine, load_here, finished, j);
}

/* The second name of a result: the same work on the same bytes was done before, in another graph.
 */
static bool found_by_content(tb_job *j)
{
    tb_run *r = j->run;
    const tb_node_def *def = j->type->def;
    if (!r->engine->store || r->o.no_cache || j->pnode->impure || def->fingerprint ||
        def->flags & (TB_NODE_INLINE | TB_NODE_FORGET | TB_NODE_IMPURE))
        return false;
    for (int k = 0; k < j->type->input_count; k++)
        if (def->inputs[k].flags & TB_IN_FILE)
            return false;
    j->content_key =
        tb_content_key(j->pnode, tb_compute_class(), (const tb_value *const *)(void *)j->inputs);
    j->has_content_key = true;
    return tb_store_find_content(r->engine->store, &j->content_key, &j->found_key) &&
           load(j, &j->found_key) == TB_OK;
}

static void execute(void *arg)
{
    tb_job *j = arg;
    j->content_hit = found_by_content(j);
    if (j->content_hit)
        return;
    tb_err_clear(&j->err);
    tbi_job_execute(j);
}

static void execute_on_worker(void *arg)
{
    tb_job *j = arg;
    execute(j);
    tbi_post(j->run->engine, finished, j);
}

static void expand_here(void *arg)
{
    tb_job *j = arg;
    j->answer = tbi_expansion(j->run, j->type->def->name, j->id, j->request, &j->err);
    j->status = j->answer ? TB_OK : j->err.status;
}

/* What the script will be asked; made here because the program belongs to the loop. */
static void make_request(tb_run *r, tb_job *j)
{
    const tb_value *values[64];
    for (int k = 0; k < j->type->input_count; k++) {
        const bool literal = j->type->def->inputs[k].flags & TB_IN_LITERAL && j->inputs[k];
        values[k] = literal && tb_list_count(j->inputs[k]) ? tb_list_at(j->inputs[k], 0) : NULL;
    }
    j->id = tb_xstrdup(tb_program_id(r->program, j->node));
    j->request = tb_program_inputs(r->program, j->node, values);
}

static tb_job *new_job(tb_run *r, int node)
{
    const bool deferred = r->program->nodes[node].deferred;
    tb_job *j = tbi_job_new(r, node, deferred ? TBI_JOB_EXPAND : TBI_JOB_RUN);
    j->class = deferred ? TBI_IO : class_of(&r->program->nodes[node]);
    tbi_job_gather(j);
    if (deferred)
        make_request(r, j);
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
    serve(r);
}

static int pop(tbi_stack *s)
{
    return s->items[--s->count];
}

static void continue_later(void *arg)
{
    (void)arg; /* waking the loop is enough */
}

static void dispatch(tb_run *r)
{
    int budget = INLINE_BATCH;
    while (r->ready[TBI_INLINE].count && !stopping(r) && budget-- > 0)
        run_inline(r, pop(&r->ready[TBI_INLINE]));
    if (r->ready[TBI_INLINE].count && !stopping(r))
        tbi_post(r->engine, continue_later, NULL);
    if (r->ready[TBI_COMPUTE].count && !r->in_flight[TBI_COMPUTE] && !stopping(r)) {
        tb_job *j = new_job(r, pop(&r->ready[TBI_COMPUTE]));
        tbi_node_event(r, TB_EV_STARTED, j->node, 0);
        tbi_compute(r->engine, execute_on_worker, j);
    }
    while (r->ready[TBI_IO].count && r->in_flight[TBI_IO] < IO_AT_ONCE && !stopping(r)) {
        tb_job *j = new_job(r, pop(&r->ready[TBI_IO]));
        tbi_node_event(r, TB_EV_STARTED, j->node, 0);
        tbi_pool(r->engine, j->kind == TBI_JOB_EXPAND ? expand_here : execute, finished, j);
    }
}

/* ------------------------------------------------------------------------------ begin, go on, end
 */

static void finish_if_over(tb_run *r)
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
        serve(r);
        dispatch(r);
        serve(r);
    }
    finish_if_over(r);
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
