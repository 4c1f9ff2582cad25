/* plan.c - what is cached, what will run, for how long and with how much memory, before anything
 * runs.
 *
 * A walk backwards from the targets that stops at stored results; then, producers first, every node
 * that will run says the shapes of its outputs. Trivial nodes whose inputs are known are run at
 * once, so that the others can plan with their values (a model's channels, a switch's condition).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "run/run_internal.h"

bool tbi_is_stored(const tb_run *r, int node)
{
    const tb_pnode *n = &r->program->nodes[node];
    return r->engine->store && !r->o.no_cache && n->keyed && !r->nodes[node].no_load &&
           !(n->type->def->flags & (TB_NODE_FORGET | TB_NODE_INLINE | TB_NODE_IMPURE)) &&
           tb_store_has(r->engine->store, &n->key, NULL);
}

uint64_t tbi_wanted_inputs(const tb_pnode *n, const tb_value *const *values)
{
    const tb_type *t = n->type;
    uint64_t wanted = 0, have = 0;
    bool lazy = false;
    for (int k = 0; k < t->input_count; k++) {
        lazy |= (t->def->inputs[k].flags & TB_IN_LAZY) != 0;
        if (!(t->def->inputs[k].flags & TB_IN_LAZY))
            wanted |= UINT64_C(1) << k;
        if (values[k])
            have |= UINT64_C(1) << k;
    }
    if (!lazy)
        return wanted;
    if (t->hooks & TB_HOOK_NEED) /* a function in Lua: asked when the rest is there */
        return wanted;
    if (!t->def->need)
        return UINT64_MAX;
    void *params = tb_xcalloc(1, t->def->params_size + 8);
    tb_params_fill(t, values, params);
    wanted |= t->def->need(params, have);
    free(params);
    return wanted;
}

void tbi_signature(const tb_run *r, int node, char *buf, size_t n)
{
    const tb_program *p = r->program;
    const tb_pnode *pn = &p->nodes[node];
    char shape[160];
    size_t at = (size_t)snprintf(buf, n, "%s %s", pn->type->def->name,
                                 tb_shape_text(&r->nodes[node].shape, shape, sizeof shape));
    for (int k = 0; k < pn->type->input_count && at < n; k++) {
        const char *type = pn->type->def->inputs[k].type;
        if (strcmp(type, "MODEL") != 0 && strcmp(type, "VAE") != 0 && strcmp(type, "CLIP") != 0 &&
            strcmp(type, "CLIP_VISION") != 0)
            continue;
        const tb_arg a = tb_program_resolve(p, pn->args[k].src, pn->args[k].slot);
        char hex[TB_KEY_HEX];
        if (a.src >= 0)
            at +=
                (size_t)snprintf(buf + at, n - at, " %.8s", tb_key_hex(&p->nodes[a.src].key, hex));
    }
}

/* The maker of a transformer that input k of a node still to run is given; NULL: it is none. */
static const tb_key *model_of(const tb_run *r, const tbi_plan_row *row, int k)
{
    const tb_program *p = r->program;
    const tb_pnode *n = &p->nodes[row->node];
    if (row->state == 'c' || strcmp(n->type->def->inputs[k].type, "MODEL") != 0)
        return NULL;
    const int src = tb_program_resolve(p, n->args[k].src, n->args[k].slot).src;
    return src < 0 ? NULL : &p->nodes[src].key;
}

static int inputs_of(const tb_run *r, const tbi_plan_row *row)
{
    return r->program->nodes[row->node].type->input_count;
}

static bool uses_model(const tb_run *r, const tb_key *key)
{
    for (const tbi_plan_row *row = r->plan; row < r->plan + r->plan_count; row++)
        for (int k = 0; k < inputs_of(r, row); k++) {
            const tb_key *own = model_of(r, row, k);
            if (own && tb_key_eq(own, key))
                return true;
        }
    return false;
}

bool tbi_uses_same_models(const tb_run *r, const tb_run *others)
{
    for (const tbi_plan_row *row = r->plan; row < r->plan + r->plan_count; row++)
        for (int k = 0; k < inputs_of(r, row); k++) {
            const tb_key *key = model_of(r, row, k);
            bool used = !key;
            for (const tb_run *o = others; o != r && !used; o = o->next)
                used = uses_model(o, key);
            if (!used)
                return false;
        }
    return true;
}

/* ------------------------------------------------------------------------------------- the walk */

enum { UNSEEN, OPEN, CLOSED };

typedef struct walk {
    tb_run *r;
    bool through; /* go on behind stored results: for their shapes */
    unsigned char *seen;
    tbi_stack stack;
    tbi_stack order; /* producers first */
} walk;

/* The inputs the node will ask for, as far as literals and trivial nodes tell: a lazy one that
 * hangs on data of the run is not counted unless something else needs it. */
static uint64_t wanted_now(const tb_run *r, int i)
{
    const tb_pnode *n = &r->program->nodes[i];
    bool lazy = false;
    for (int k = 0; k < n->type->input_count; k++)
        lazy |= (n->type->def->inputs[k].flags & TB_IN_LAZY) != 0;
    if (!lazy)
        return UINT64_MAX;
    tb_value **values = tbi_known_values(r, i, UINT64_MAX);
    const uint64_t wanted = tbi_wanted_inputs(n, (const tb_value *const *)(void *)values);
    tbi_free_values(values, n->type->input_count);
    return wanted;
}

static void add_row(tb_run *r, int node, char state)
{
    TB_GROW(r->plan, r->plan_cap, r->plan_count + 1);
    r->plan[r->plan_count++] = (tbi_plan_row){
        .node = node, .state = state, .seconds = -1, .wanted = wanted_now(r, node)
    };
}

/* Push the producers of an open node that were not seen; of a node that is in memory those that are
 * there too: nobody needs the others. */
static void push_producers(walk *w, int i)
{
    const tb_program *p = w->r->program;
    const tb_pnode *n = &p->nodes[i];
    const uint64_t wanted = wanted_now(w->r, i);
    for (int k = n->type->input_count - 1; k >= 0; k--) {
        if (n->args[k].src < 0 || !(wanted >> k & 1))
            continue;
        const int src = tb_program_resolve(p, n->args[k].src, n->args[k].slot).src;
        if (src < 0 || w->seen[src] != UNSEEN)
            continue;
        if (w->through || !w->r->nodes[i].recalled || tbi_recall(w->r, src))
            tbi_push(&w->stack, src);
    }
}

/* Depth first with an explicit stack; what is reached comes out producers first. */
static void walk_from(walk *w, int root)
{
    tbi_push(&w->stack, root);
    while (w->stack.count) {
        const int i = w->stack.items[w->stack.count - 1];
        if (w->seen[i] == UNSEEN) {
            w->seen[i] = OPEN;
            tbi_node *n = &w->r->nodes[i];
            if (!w->through && n->state != TBI_DONE && !tbi_recall(w->r, i))
                n->stored = tbi_is_stored(w->r, i);
            if (w->through || !n->stored)
                push_producers(w, i);
            continue;
        }
        w->stack.count--;
        if (w->seen[i] == OPEN)
            tbi_push(&w->order, i);
        w->seen[i] = CLOSED;
    }
}

/* All nodes the targets need, producers first; the caller frees the items. */
static tbi_stack reach(tb_run *r, bool through)
{
    walk w = { .r = r, .through = through, .seen = tb_xcalloc((size_t)r->program->count + 1, 1) };
    for (int t = 0; t < r->targets.count; t++)
        walk_from(&w, r->targets.items[t]);
    free(w.seen);
    free(w.stack.items);
    return w.order;
}

/* Producers of lazy inputs that nobody has asked for yet, and what these need, as far as the first
 * results that are there: r->spare. */
static void find_spare(tb_run *r, const tbi_stack *needed)
{
    const tb_program *p = r->program;
    unsigned char *seen = tb_xcalloc((size_t)p->count + 1, 1);
    tbi_stack stack = { 0 };
    for (int k = 0; k < needed->count; k++)
        seen[needed->items[k]] = 1;
    for (int k = 0; k < needed->count; k++)
        if (!r->nodes[needed->items[k]].stored && !r->nodes[needed->items[k]].recalled)
            tbi_push(&stack, needed->items[k]);
    while (stack.count) {
        const tb_pnode *n = &p->nodes[stack.items[--stack.count]];
        for (int k = 0; k < n->type->input_count; k++) {
            const int src = n->args[k].src < 0
                                ? -1
                                : tb_program_resolve(p, n->args[k].src, n->args[k].slot).src;
            if (src < 0 || seen[src])
                continue;
            seen[src] = 1;
            const bool there = tbi_is_stored(r, src) || tbi_is_remembered(r, src);
            tbi_push(there ? &r->spare : &stack, src);
        }
    }
    free(seen);
    free(stack.items);
}

/* --------------------------------------------------------------------- shapes and values */

/* Those that it asks for. */
static bool all_known(const tb_job *j)
{
    const tb_pnode *n = &j->run->program->nodes[j->node];
    const uint64_t wanted = wanted_now(j->run, j->node);
    for (int k = 0; k < j->type->input_count; k++)
        if (n->args[k].src >= 0 && wanted >> k & 1 && !j->inputs[k])
            return false;
    return true;
}

/* The outputs of a trivial node, kept as if it had run. */
static tb_status run_now(tb_job *j, tb_err *err)
{
    tbi_node *n = &j->run->nodes[j->node];
    tbi_job_execute(j);
    if (j->status != TB_OK) {
        *err = j->err;
        return j->status;
    }
    if (j->expand_graph)
        return TB_OK; /* left to the run */
    n->out = tb_xcalloc((size_t)j->type->output_count + 1, sizeof *n->out);
    for (int k = 0; k < j->type->output_count; k++) {
        n->out[k] = j->out[k];
        j->out[k] = NULL;
    }
    n->state = TBI_DONE;
    n->target = true; /* held to the end: it costs nothing */
    tbi_remember(j->run, j->node);
    return TB_OK;
}

static tb_status plan_node(tb_run *r, int i, tb_err *err)
{
    const tb_pnode *n = &r->program->nodes[i];
    const tb_node_def *def = n->type->def;
    if (n->type->kind != TB_PRIMITIVE || (r->nodes[i].state == TBI_DONE && !def->plan))
        return TB_OK;
    r->nodes[i].plan_bytes = r->nodes[i].plan_scratch = 0;
    r->nodes[i].plan_flop = 0;
    const bool trivial = def->flags & (TB_NODE_INLINE | TB_NODE_FORGET) && !r->nodes[i].recalled;
    if (!def->plan && !trivial)
        return TB_OK;
    tb_job *j = tbi_job_new(r, i, TBI_JOB_PLAN);
    tbi_job_gather(j);
    tb_status st = tbi_job_bind(j, 0, err);
    if (st == TB_OK && def->plan)
        st = def->plan(j, j->params, err);
    tbi_job_unbind(j);
    if (st == TB_OK && trivial && r->nodes[i].state != TBI_DONE && all_known(j))
        st = run_now(j, err);
    tbi_job_free(j);
    if (st != TB_OK)
        tb_err_where(err, tb_program_id(r->program, i), NULL, tb_program_origin(r->program, i));
    return st;
}

/* ------------------------------------------------------------------------------ time and memory */

/* Measured once an engine, apart from its own pool, which may be at work. */
static double rate_of(tb_engine *e)
{
    pthread_mutex_lock(&e->compute_lock);
    if (e->rate <= 0) {
        tb_compute *c = tb_compute_new(e->threads, NULL);
        e->rate = c ? tb_compute_rate(c, 256) : 0;
        tb_compute_free(&c);
    }
    const double rate = e->rate;
    pthread_mutex_unlock(&e->compute_lock);
    return rate;
}

/* From its work; < 0: not known. */
static double estimate(tb_run *r, int node)
{
    const double flop = r->nodes[node].plan_flop, rate = flop > 0 ? rate_of(r->engine) : 0;
    return rate > 0 ? flop / rate : -1;
}

static void predict(tb_run *r, tbi_plan_row *row)
{
    const unsigned flags = r->program->nodes[row->node].type->def->flags;
    char signature[400];
    if (row->state == 'c' || flags & (TB_NODE_INLINE | TB_NODE_FORGET)) {
        row->seconds = 0;
        return;
    }
    tbi_signature(r, row->node, signature, sizeof signature);
    const double ms = r->engine->store ? tb_store_predict_ms(r->engine->store, signature) : -1;
    row->seconds = ms < 0 ? estimate(r, row->node) : ms / 1000;
}

int64_t tbi_main_numbers(const tb_run *r, int node)
{
    const tb_shape *s = &r->nodes[node].shape;
    return s->n < 0 ? 0 : tb_shape_count(s);
}

/* Replay the plan's order: a node's outputs live from its run to its last reader's. */
static size_t peak_of(tb_run *r)
{
    const tb_program *p = r->program;
    int *readers = tb_xcalloc((size_t)p->count, sizeof *readers);
    size_t live = 0, peak = 0;
    for (int pass = 0; pass < 2; pass++)
        for (int row = 0; row < r->plan_count; row++) {
            const int i = r->plan[row].node;
            const tb_pnode *n = &p->nodes[i];
            const tbi_node *rn = &r->nodes[i];
            if (pass) {
                const size_t scratch = r->plan[row].state == 'c' ? 0 : rn->plan_scratch;
                live += rn->plan_bytes;
                peak = live + scratch > peak ? live + scratch : peak;
            }
            for (int k = 0; r->plan[row].state != 'c' && k < n->type->input_count; k++) {
                const int src = n->args[k].src < 0
                                    ? -1
                                    : tb_program_resolve(p, n->args[k].src, n->args[k].slot).src;
                if (src >= 0 && !pass)
                    readers[src]++;
                else if (src >= 0 && --readers[src] == 0)
                    live -= r->nodes[src].plan_bytes < live ? r->nodes[src].plan_bytes : live;
            }
        }
    free(readers);
    return peak;
}

static void summarise(tb_run *r)
{
    tb_plan_summary *s = &r->summary;
    *s = (tb_plan_summary){ .nodes_total = r->plan_count, .seconds_complete = true };
    bool any = false;
    for (int i = 0; i < r->plan_count; i++) {
        tbi_plan_row *row = &r->plan[i];
        predict(r, row);
        s->nodes_cached += row->state == 'c';
        s->nodes_run += row->state == 'r';
        s->nodes_unknown += row->state == 'u';
        if (row->seconds >= 0) {
            s->seconds += row->seconds;
            any |= row->seconds > 0;
        } else {
            s->seconds_complete = false;
        }
    }
    if (!any && !s->seconds_complete)
        s->seconds = -1;
    s->peak_bytes = peak_of(r);
}

/* Shapes of everything that matters to what will run. */
static tb_status plan_shapes(tb_run *r, tb_err *err)
{
    tbi_stack all = reach(r, true);
    tb_status st = TB_OK;
    for (int i = 0; i < all.count && st == TB_OK; i++)
        st = plan_node(r, all.items[i], err);
    free(all.items);
    return st;
}

/* What the targets need, a row each, producers first. true: something will run. */
static bool make_rows(tb_run *r, tbi_stack *needed)
{
    bool runs = false;
    free(needed->items);
    *needed = reach(r, false);
    r->plan_count = 0;
    for (int i = 0; i < needed->count; i++) {
        const int node = needed->items[i];
        const bool there = r->nodes[node].stored || r->nodes[node].recalled;
        const char state = there ? 'c' : r->program->nodes[node].deferred ? 'u' : 'r';
        add_row(r, node, state);
        runs |= state != 'c';
    }
    return runs;
}

/* Has a trivial node told one that will run which lazy inputs it wants? */
static bool want_more(const tb_run *r)
{
    for (const tbi_plan_row *row = r->plan; row < r->plan + r->plan_count; row++)
        if (row->state == 'r' && wanted_now(r, row->node) & ~row->wanted)
            return true;
    return false;
}

tb_status tbi_plan(tb_run *r, tb_err *err)
{
    tbi_stack needed = { 0 };
    tb_status st = TB_OK;
    bool more = make_rows(r, &needed);
    while (more && st == TB_OK) {
        st = plan_shapes(r, err);
        more = st == TB_OK && want_more(r) && make_rows(r, &needed);
    }
    find_spare(r, &needed);
    free(needed.items);
    TB_TRY(st);
    summarise(r);
    if (r->engine->memory_limit && r->summary.peak_bytes > r->engine->memory_limit) {
        char want[32], have[32];
        return tb_err_set(
            err, TB_ELIMIT,
            "the run needs about %s at its peak, but %s can be used; choose a smaller size or "
            "fewer frames",
            tb_str_bytes(r->summary.peak_bytes, want, sizeof want),
            tb_str_bytes(r->engine->memory_limit, have, sizeof have));
    }
    return TB_OK;
}

json_t *tb_run_spare(const tb_run *r)
{
    json_t *ids = json_array();
    for (int i = 0; i < r->spare.count; i++)
        json_array_append_new(ids, json_string(tb_program_id(r->program, r->spare.items[i])));
    return ids;
}

json_t *tb_run_plan(const tb_run *r)
{
    json_t *rows = json_array();
    for (int i = 0; i < r->plan_count; i++) {
        const tbi_plan_row *row = &r->plan[i];
        const tb_pnode *n = &r->program->nodes[row->node];
        char shape[160], hex[TB_KEY_HEX];
        json_t *j = json_pack("{ssssss}", "node", tb_program_id(r->program, row->node), "type",
                              n->type->def->name, "state",
                              row->state == 'c'   ? "cached"
                              : row->state == 'r' ? "run"
                                                  : "unknown");
        json_object_set_new(j, "seconds", row->seconds < 0 ? json_null() : json_real(row->seconds));
        json_object_set_new(j, "bytes", json_integer((json_int_t)r->nodes[row->node].plan_bytes));
        if (r->nodes[row->node].shape.n >= 0)
            json_object_set_new(
                j, "shape",
                json_string(tb_shape_text(&r->nodes[row->node].shape, shape, sizeof shape)));
        json_object_set_new(j, "key", json_string(tb_key_hex(&n->key, hex)));
        json_array_append_new(rows, j);
    }
    return rows;
}
