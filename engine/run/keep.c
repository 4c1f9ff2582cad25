/* keep.c - results into the store and back; what is not worth it, into memory. */
#include <stdlib.h>

#include "base/map.h"
#include "base/mem.h"
#include "run/run_internal.h"

tb_status tbi_load(tb_job *j, const tb_key *key)
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

/* The second name of a result: the same work on the same bytes was done before, in another graph.
 */
bool tbi_found_by_content(tb_job *j)
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
        tb_content_key(j->pnode, &r->engine->numeric, (const tb_value *const *)(void *)j->inputs);
    return tb_store_find_content(r->engine->store, &j->content_key, &j->found_key) &&
           tbi_load(j, &j->found_key) == TB_OK;
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
    tbi_finish_if_over(r);
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

/* Plans want to know of cheap nodes too; once a run is enough. */
static void note_cost(tb_run *r, const char *signature, double ms)
{
    if (!r->noted)
        r->noted = tb_map_new();
    if (tb_map_get(r->noted, signature) >= 0)
        return;
    tb_map_set(r->noted, signature, 1);
    tb_store_note_cost(r->engine->store, signature, ms);
}

void tbi_run_keep(tb_run *r, const tb_job *j)
{
    tb_store *s = r->engine->store;
    const tb_node_def *def = j->type->def;
    const tbi_node *n = &r->nodes[j->node];
    if (tb_graph_at(r->program->graph, j->node)->no_cache)
        return;
    if (!s || def->flags & (TB_NODE_INLINE | TB_NODE_FORGET | TB_NODE_IMPURE) ||
        r->program->nodes[j->node].impure) {
        tbi_remember(r, j->node);
        return;
    }
    size_t bytes = 0;
    for (int k = 0; k < j->type->output_count; k++)
        bytes += tb_value_bytes(n->out[k]);
    char signature[400];
    tbi_signature(r, j->node, signature, sizeof signature);
    if (!worth_keeping(def, j->ms, bytes) && !n->target) {
        note_cost(r, signature, j->ms);
        tbi_remember(r, j->node);
        return;
    }
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
