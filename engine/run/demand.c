/* demand.c - who needs what: demand goes backwards from the targets, readiness forwards.
 *
 * Nothing runs that was not asked for. A node that was asked for waits for its inputs; the last one
 * to arrive makes it ready. A node's outputs are freed when its last reader is done. All loops are
 * iterative: a chain may be 100,000 nodes long.
 */
#include <assert.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "run/run_internal.h"

static tbi_state state_of(const tb_run *r, int node)
{
    return r->nodes[node].state;
}

int tbi_class_of(const tb_pnode *n)
{
    if (n->type->kind != TB_PRIMITIVE)
        return TBI_IO; /* Lua waits for its child process */
    return n->type->def->flags & TB_NODE_INLINE ? TBI_INLINE
           : n->type->def->flags & TB_NODE_IO   ? TBI_IO
                                                : TBI_COMPUTE;
}

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

tb_value **tbi_known_values(const tb_run *r, int i, uint64_t of)
{
    const tb_pnode *n = &r->program->nodes[i];
    tb_value **values = tb_xcalloc((size_t)n->type->input_count + 1, sizeof *values);
    for (int k = 0; k < n->type->input_count; k++) {
        const tb_arg a = n->args[k].src < 0
                             ? n->args[k]
                             : tb_program_resolve(r->program, n->args[k].src, n->args[k].slot);
        const tb_value *v = a.literal;
        if (a.src >= 0 && of >> k & 1 && r->nodes[a.src].out) {
            const tb_value *list = r->nodes[a.src].out[a.slot];
            v = tb_list_count(list) ? tb_list_at(list, 0) : NULL;
        }
        /* a value that cannot be converted stops the node when it is run, with its sentence */
        values[k] = v ? tb_input_convert(&n->type->def->inputs[k], v, r->o.lenient, NULL) : NULL;
    }
    return values;
}

void tbi_free_values(tb_value **values, int n)
{
    for (int k = 0; values && k < n; k++)
        tb_value_unref(&values[k]);
    free(values);
}

/* Ask for all inputs the node wants now; for a deferred composite, those it is expanded by. */
static void want_inputs(tb_run *r, int i)
{
    const tb_pnode *n = &r->program->nodes[i];
    if (n->deferred) {
        for (int k = 0; k < n->type->input_count; k++)
            if (n->type->def->inputs[k].flags & (TB_IN_LITERAL | TB_IN_RESOLVED))
                want_input(r, i, k);
        return;
    }
    bool lazy = false;
    for (int k = 0; k < n->type->input_count; k++)
        lazy |= (n->type->def->inputs[k].flags & TB_IN_LAZY) != 0;
    tb_value **values = lazy ? tbi_known_values(r, i, r->nodes[i].asked) : NULL;
    uint64_t wanted = r->nodes[i].wanted;
    wanted |= lazy ? tbi_wanted_inputs(n, (const tb_value *const *)(void *)values) : UINT64_MAX;
    tbi_free_values(values, n->type->input_count);
    for (int k = 0; k < n->type->input_count; k++)
        if (wanted >> k & 1)
            want_input(r, i, k);
}

/* All asked-for inputs are there: ask for more (lazy ones), also by those that came at once, or be
 * ready. */
static void inputs_complete(tb_run *r, int i)
{
    if (r->nodes[i].load) {
        tbi_start_load(r, i);
        return;
    }
    uint64_t asked;
    do {
        asked = r->nodes[i].asked;
        want_inputs(r, i);
    } while (!r->nodes[i].missing && r->nodes[i].asked != asked);
    if (r->nodes[i].missing)
        return;
    r->nodes[i].state = TBI_READY;
    tbi_push(
        &r->ready[r->program->nodes[i].deferred ? TBI_IO : tbi_class_of(&r->program->nodes[i])], i);
}

void tbi_want_more(tb_run *r, int i, uint64_t wanted)
{
    r->nodes[i].wanted |= wanted;
    r->nodes[i].state = TBI_WAITING;
    inputs_complete(r, i);
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
    n->asked = n->wanted = 0;
    if (tbi_recall(r, i)) {
        tbi_node_event(r, TB_EV_CACHED, i, 0);
        tbi_node_done(r, i);
        return;
    }
    n->state = TBI_WAITING;
    n->load = tbi_is_stored(r, i);
    if (n->load && n->target)
        want_delivery_inputs(r, i);
    if (!n->missing)
        inputs_complete(r, i);
}

/* Serve everything in r->asking, and what that asks for in turn. */
bool tbi_serve_until(tb_run *r, double until)
{
    while (r->asking.count && tb_clock_seconds() < until)
        ask_one(r, r->asking.items[--r->asking.count]);
    return r->asking.count == 0;
}

void tbi_serve(tb_run *r)
{
    while (r->asking.count)
        ask_one(r, r->asking.items[--r->asking.count]);
}

/* --------------------------------------------------------------------- done, freed, expanded */

void tbi_free_outputs(tb_run *r, int i)
{
    tbi_node *n = &r->nodes[i];
    for (int k = 0; n->out && k < r->program->nodes[i].type->output_count; k++)
        tb_value_unref(&n->out[k]);
    free(n->out);
    n->out = NULL;
}

/* The node is through with its inputs: producers nobody else reads let go of their outputs. */
void tbi_release_inputs(tb_run *r, int i)
{
    const tb_pnode *p = &r->program->nodes[i];
    for (int k = 0; k < p->type->input_count; k++) {
        if (!(r->nodes[i].asked >> k & 1) || p->args[k].src < 0)
            continue;
        const int src = tb_program_resolve(r->program, p->args[k].src, p->args[k].slot).src;
        tbi_node *n = src < 0 ? NULL : &r->nodes[src];
        if (!n || --n->readers > 0 || n->target || n->state != TBI_DONE)
            continue;
        tbi_free_outputs(r, src);
        n->state = TBI_IDLE; /* whoever asks later gets it from the store, or anew */
    }
}

/* The list of those that wait for node i; the caller frees it. */
static int *take_waiters(tb_run *r, int i, int *count)
{
    tbi_node *n = &r->nodes[i];
    int *waiters = n->waiters;
    *count = n->waiter_count;
    n->waiters = NULL;
    n->waiter_count = 0;
    n->waiter_cap = 0;
    return waiters;
}

void tbi_tell_waiters(tb_run *r, int i)
{
    int count, *waiters = take_waiters(r, i, &count);
    for (int w = count - 1; w >= 0; w--) {
        tbi_node *who = &r->nodes[waiters[w]];
        assert(who->missing > 0);
        if (--who->missing == 0 && who->state == TBI_WAITING)
            inputs_complete(r, waiters[w]);
    }
    free(waiters);
}

/* Does input k of a node, as it was written, come through node i? */
static bool comes_through(const tb_run *r, const tb_arg *written, int i)
{
    tb_arg a = *written;
    while (a.src >= 0 && a.src != i && r->program->nodes[a.src].alias)
        a = r->program->nodes[a.src].alias[a.slot];
    return a.src == i;
}

/* One waiter of the expanded node i: ask anew for the inputs that came through it. */
static void redirect(tb_run *r, int i, int who)
{
    const tb_pnode *p = &r->program->nodes[who];
    tbi_node *n = &r->nodes[who];
    for (int k = 0; k < p->type->input_count; k++) {
        if (!(n->asked >> k & 1) || !comes_through(r, &p->args[k], i))
            continue;
        n->asked &= ~(UINT64_C(1) << k);
        n->missing--;
        want_input(r, who, k);
    }
    if (n->missing == 0 && n->state == TBI_WAITING)
        inputs_complete(r, who);
}

/* The waiters of an expanded node turn to what its outputs stand for. */
void tbi_redirect_waiters(tb_run *r, int i)
{
    int count, *waiters = take_waiters(r, i, &count);
    r->nodes[i].readers = 0;
    for (int w = 0; w < count; w++) {
        tbi_node *who = &r->nodes[waiters[w]];
        if (who->redirected == i + 1) /* it waits with two inputs: both are done */
            continue;
        who->redirected = i + 1;
        redirect(r, i, waiters[w]);
    }
    free(waiters);
}
