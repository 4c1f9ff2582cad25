/* prepare.c - what happens between a valid graph and its first node: composites expand, keys are
 * made. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "run/run_internal.h"

json_t *tbi_expansion(tb_run *r, const char *type, const char *id, const json_t *inputs,
                      tb_err *err)
{
    if (r->script)
        return tb_script_expand(r->script, type, id, inputs, err);
    tb_err_set(err, TB_EINTERNAL, "there is no script to expand the composite");
    return NULL;
}

static tb_status expand_now(tb_run *r, int node, tb_err *err)
{
    const tb_program *p = r->program;
    json_t *inputs = tb_program_inputs(p, node, NULL);
    json_t *answer =
        tbi_expansion(r, p->nodes[node].type->def->name, tb_program_id(p, node), inputs, err);
    const tb_status st = answer ? tbi_splice(r, node, answer, err) : err->status;
    json_decref(inputs);
    json_decref(answer);
    if (st == TB_OK)
        r->nodes[node].state = TBI_EXPANDED;
    else
        tb_err_where(err, tb_program_id(p, node), NULL, tb_program_origin(p, node));
    return st;
}

tb_status tbi_splice(tb_run *r, int node, const json_t *answer, tb_err *err)
{
    tb_err_list errors = { 0 };
    tb_status st = tb_program_splice(r->program, node, answer, err);
    if (st == TB_OK && tb_program_check(r->program, &errors)) {
        *err = errors.items[0];
        st = err->status;
        tb_err_where(err, NULL, NULL, tb_program_origin(r->program, node));
    }
    tb_err_list_free(&errors);
    tbi_run_sync(r);
    return st;
}

static tb_status not_canceled(const tb_run *r, tb_err *err)
{
    return atomic_load(&r->cancel) ? tb_err_set(err, TB_ECANCELED, "stopped on request") : TB_OK;
}

/* Expand composites, and those inside them, until none is left but the deferred. */
static tb_status expand_all(tb_run *r, tb_err *err)
{
    tb_program *p = r->program;
    for (bool again = true; again;) {
        again = false;
        for (int i = 0; i < p->count; i++) {
            if (p->nodes[i].type->kind != TB_COMPOSITE || p->nodes[i].alias || p->nodes[i].muted)
                continue;
            if (!tb_program_expandable(p, i)) {
                p->nodes[i].deferred = true;
                continue;
            }
            TB_TRY(not_canceled(r, err));
            TB_TRY(expand_now(r, i, err));
            again = true;
        }
    }
    return TB_OK;
}

/* ---------------------------------------------------------------------------------------- keys */

/* What a node in Lua says stands behind its literals. A number that is not equal to itself (NaN)
 * makes it run each time, and so does being made during the run: the loop cannot wait for Lua. */
static tb_status ask_changed(tb_run *r, int node, const tb_job *j, tb_hasher *h, tb_err *err)
{
    tb_pnode *n = &r->program->nodes[node];
    tb_value *inputs = tb_value_record();
    for (int k = 0; k < n->type->input_count; k++)
        if (n->args[k].literal && j->values[k])
            tb_record_set_take(inputs, n->type->def->inputs[k].name, tb_value_ref(j->values[k]));
    json_t *answer = r->scheduled ? json_pack("{sb}", "always", 1)
                                  : tb_script_hook(r->script, "changed", n->type->def->name, inputs,
                                                   &r->cancel, err);
    tb_value_unref(&inputs);
    if (!answer)
        return err->status;
    char *text = tb_json_canonical(json_object_get(answer, "value"));
    tb_hasher_str(h, text ? text : "");
    free(text);
    n->impure = json_is_true(json_object_get(answer, "always"));
    if (n->impure)
        tb_hasher_u64(h, r->program->nonce), tb_hasher_u64(h, (uint64_t)node);
    json_decref(answer);
    return TB_OK;
}

/* Content of literal files, and whatever the node's own hook adds. */
static tb_status fingerprint(void *ctx, int node, tb_hasher *h, tb_err *err)
{
    tb_run *r = ctx;
    const tb_pnode *n = &r->program->nodes[node];
    TB_TRY(not_canceled(r, err));
    tb_job *j = tbi_job_new(r, node, TBI_JOB_PLAN);
    tbi_job_gather(j);
    tb_status st = tbi_job_bind(j, 0, err);
    for (int k = 0; k < n->type->input_count && st == TB_OK; k++) {
        const tb_value *v = n->type->def->inputs[k].flags & TB_IN_FILE ? j->values[k] : NULL;
        if (!v || tb_value_kind(v) != TB_STRING)
            continue;
        tb_digest d;
        const char *name = tb_value_as_string(v);
        char *path = *name ? tb_job_path(j, name, err) : NULL;
        if (!*name)
            st = tb_err_set(err, TB_EINVAL, "no file is named; give one");
        else
            st = path ? tb_job_file_digest(j, path, &d, err) : err->status;
        if (st == TB_OK)
            tb_hasher_bytes(h, d.b, sizeof d.b);
        else
            tb_err_where(err, NULL, n->type->def->inputs[k].name, NULL);
        free(path);
    }
    if (st == TB_OK && n->type->def->fingerprint)
        st = n->type->def->fingerprint(j, j->params, h, err);
    if (st == TB_OK && n->type->hooks & TB_HOOK_CHANGED)
        st = ask_changed(r, node, j, h, err);
    tbi_job_unbind(j);
    tbi_job_free(j);
    return st;
}

tb_status tbi_make_keys(tb_run *r, tb_err *err)
{
    return tb_program_keys(r->program, &r->engine->numeric, fingerprint, r, err);
}

static void add_target(tb_run *r, tbi_stack *targets, int node)
{
    if (!r->nodes[node].target)
        tbi_push(targets, node);
    r->nodes[node].target = true;
}

/* The output nodes inside a composite that has no outputs. */
static void add_inner_targets(tb_run *r, int node, tbi_stack *targets)
{
    const tb_program *p = r->program;
    char *prefix = tb_xasprintf("%s/", tb_program_id(p, node));
    for (int i = 0; i < p->count; i++)
        if (p->nodes[i].type->def->flags & TB_NODE_TARGET && !p->nodes[i].alias &&
            !p->nodes[i].muted && tb_str_starts(tb_program_id(p, i), prefix))
            add_target(r, targets, i);
    free(prefix);
}

void tbi_add_targets(tb_run *r, int node, tbi_stack *targets)
{
    const tb_pnode *n = &r->program->nodes[node];
    if (!n->type->output_count)
        add_inner_targets(r, node, targets);
    for (int k = 0; k < n->type->output_count; k++) {
        const int src = tb_program_resolve(r->program, node, k).src;
        if (src >= 0)
            add_target(r, targets, src);
    }
}

/* Each is one target only. */
static void resolve_targets(tb_run *r)
{
    tbi_stack resolved = { 0 };
    for (int i = 0; i < r->targets.count; i++) {
        const int at = r->targets.items[i];
        if (r->program->nodes[at].alias)
            tbi_add_targets(r, at, &resolved);
        else
            add_target(r, &resolved, at);
    }
    free(r->targets.items);
    r->targets = resolved;
}

tb_status tbi_prepare(tb_run *r, tb_err *err)
{
    TB_TRY(not_canceled(r, err));
    TB_TRY(expand_all(r, err));
    resolve_targets(r);
    TB_TRY(tbi_make_keys(r, err));
    return tbi_plan(r, err);
}
