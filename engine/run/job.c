/* job.c - one execution of a node: its inputs, the calls over its lists, and what node.h offers to
 * it. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/guard.h"
#include "base/mem.h"
#include "run/run_internal.h"

tb_job *tbi_job_new(tb_run *r, int node, tbi_job_kind kind)
{
    tb_job *j = tb_xcalloc(1, sizeof *j);
    const tb_type *t = r->program->nodes[node].type;
    const size_t ins = (size_t)t->input_count, outs = (size_t)t->output_count;
    j->run = r;
    j->node = node;
    j->kind = kind;
    j->pnode = &r->program->nodes[node];
    j->type = t;
    /* one block for the four small arrays */
    tb_value **block = tb_xcalloc(3 * ins + outs + 1, sizeof *block);
    j->inputs = block;
    j->converted = block + ins;
    j->values = (const tb_value **)(void *)(block + 2 * ins);
    j->out = block + 3 * ins;
    for (size_t k = 0; k < outs && kind != TBI_JOB_DELIVER; k++)
        j->out[k] = tb_value_list();
    j->params = tb_xcalloc(1, t->def->params_size + 8);
    return j;
}

void tbi_job_free(tb_job *j)
{
    if (!j)
        return;
    for (int k = 0; k < j->type->input_count; k++)
        tb_value_unref(&j->inputs[k]);
    for (int k = 0; k < j->type->output_count; k++)
        tb_value_unref(&j->out[k]);
    for (tbi_file *f = j->files, *next; f; f = next) {
        next = f->next;
        free(f->path);
        free(f->kind);
        free(f);
    }
    json_decref(j->expand_graph);
    json_decref(j->expand_outputs);
    json_decref(j->request);
    json_decref(j->answer);
    free(j->blocked);
    free(j->id);
    free(j->inputs);
    free(j->params);
    free(j);
}

static tb_value *one_element(const tb_value *v)
{
    tb_value *list = tb_value_list();
    tb_list_append_take(list, tb_value_ref(v));
    return list;
}

void tbi_job_gather(tb_job *j)
{
    const tb_program *p = j->run->program;
    const tb_pnode *n = &p->nodes[j->node];
    for (int k = 0; k < j->type->input_count; k++) {
        const tb_arg a = n->args[k].src < 0
                             ? n->args[k]
                             : tb_program_resolve(p, n->args[k].src, n->args[k].slot);
        if (a.literal)
            j->inputs[k] = one_element(a.literal);
        else if (a.src >= 0 && j->run->nodes[a.src].out)
            j->inputs[k] = tb_value_ref(j->run->nodes[a.src].out[a.slot]);
    }
}

/* Tables of composites (a patched MODEL, a GUIDER) are for the composites that are expanded by
 * them. */
static tb_status refuse_table(const tb_job *j, int k, tb_err *err)
{
    const tb_program *p = j->run->program;
    const tb_arg *arg = &p->nodes[j->node].args[k];
    if (arg->src < 0 || !tb_program_resolve(p, arg->src, arg->slot).literal)
        return TB_OK;
    const char *name = j->type->def->inputs[k].name;
    tb_err_where(err, NULL, name, NULL);
    return tb_err_set(err, TB_EINVAL,
                      "%s cannot take what node '%s' (%s) gives: settings for ComfyUI's samplers; "
                      "link it to what that node is linked to",
                      name, tb_program_id(p, arg->src), p->nodes[arg->src].type->def->name);
}

tb_status tbi_job_bind(tb_job *j, int64_t c, tb_err *err)
{
    for (int k = 0; k < j->type->input_count; k++) {
        const tb_input_def *in = &j->type->def->inputs[k];
        const tb_value *list = j->inputs[k];
        j->values[k] = NULL;
        if (!list)
            continue;
        if (in->flags & TB_IN_LIST) {
            j->values[k] = list;
            continue;
        }
        const int n = tb_list_count(list);
        if (n == 0)
            continue;
        const tb_value *v = tb_list_at(list, c < n ? (int)c : n - 1);
        if (tb_value_is_blocked(v))
            continue;
        if (tb_input_is_scalar(in)) {
            v = j->converted[k] = tb_input_convert_computed(in, v, j->run->o.lenient, err);
            if (!v) {
                tb_err_where(err, NULL, in->name, NULL);
                return TB_EINVAL;
            }
        } else if (tb_value_kind(v) == TB_RECORD) {
            TB_TRY(refuse_table(j, k, err));
        }
        j->values[k] = v;
    }
    tb_params_fill(j->type, j->values, j->params);
    return TB_OK;
}

void tbi_job_unbind(tb_job *j)
{
    for (int k = 0; k < j->type->input_count; k++)
        tb_value_unref(&j->converted[k]);
}

/* One call an element of the longest list; none if a list is empty. */
static int call_count(const tb_job *j)
{
    int calls = 1;
    for (int k = 0; k < j->type->input_count; k++) {
        if (!j->inputs[k] || j->type->def->inputs[k].flags & TB_IN_LIST)
            continue;
        const int n = tb_list_count(j->inputs[k]);
        if (n == 0)
            return 0;
        calls = n > calls ? n : calls;
    }
    return calls;
}

static const tb_value *first_blocked(const tb_value *list)
{
    for (int i = 0; i < tb_list_count(list); i++)
        if (tb_value_is_blocked(tb_list_at(list, i)))
            return tb_list_at(list, i);
    return NULL;
}

/* The value that keeps call c from being made; NULL: none does. A node that takes whole lists is
 * kept by any element. */
static const tb_value *blocker_of(const tb_job *j, int c)
{
    const tb_value *found = NULL;
    const bool any = j->type->def->flags & TB_NODE_BLOCKED;
    for (int k = 0; !any && !found && k < j->type->input_count; k++) {
        const tb_value *list = j->inputs[k];
        const int n = list ? tb_list_count(list) : 0;
        if (!n)
            continue;
        if (j->type->def->inputs[k].flags & TB_IN_LIST)
            found = first_blocked(list);
        else if (tb_value_is_blocked(tb_list_at(list, c < n ? c : n - 1)))
            found = tb_list_at(list, c < n ? c : n - 1);
    }
    return found;
}

/* What such a call gives. The message is told by the first node that meets it. */
static void give_blocked(tb_job *j, const tb_value *blocker)
{
    const char *message = tb_value_blocked_message(blocker);
    if (message && !j->blocked)
        j->blocked = tb_xstrdup(message);
    for (int k = 0; k < j->type->output_count; k++)
        tb_list_append_take(j->out[k], tb_value_blocked(NULL));
}

/* An output of a call: one element, or, of a list output, all that are in the list. */
static tb_status take_output(tb_job *j, int slot, tb_value *v, tb_err *err)
{
    const tb_output_def *out = &j->type->def->outputs[slot];
    const bool list = tb_value_kind(v) == TB_LIST;
    const bool empty = tb_value_kind(v) == TB_RECORD && tb_record_count(v) == 0; /* {} in Lua */
    if (!out->is_list || tb_value_is_blocked(v)) {
        tb_list_append_take(j->out[slot], v);
        return TB_OK;
    }
    for (int i = 0; list && i < tb_list_count(v); i++)
        tb_list_append_take(j->out[slot], tb_value_ref(tb_list_at(v, i)));
    tb_value_unref(&v);
    return list || empty
               ? TB_OK
               : tb_err_set(err, TB_ESCRIPT,
                            "output '%s' is a list: return a table of its elements", out->name);
}

/* What the call knows, by name. */
static tb_value *known_inputs(const tb_job *j)
{
    tb_value *inputs = tb_value_record();
    for (int k = 0; k < j->type->input_count; k++)
        if (j->values[k])
            tb_record_set_take(inputs, j->type->def->inputs[k].name, tb_value_ref(j->values[k]));
    return inputs;
}

static tb_status run_lua(tb_job *j, tb_err *err)
{
    tb_value *inputs = known_inputs(j);
    tb_value *outputs[64] = { 0 };
    const int outs = j->type->output_count;
    tb_status st = tb_script_run_node(j->run->script, j->type->def->name, inputs, outputs, outs,
                                      &j->run->cancel, err);
    const bool ran = st == TB_OK;
    for (int k = 0; ran && k < outs; k++)
        st = st == TB_OK ? take_output(j, k, outputs[k], err) : (tb_value_unref(&outputs[k]), st);
    tb_value_unref(&inputs);
    return st;
}

/* Lazy inputs that a node in Lua asks for and has not got. */
static tb_status ask_need(tb_job *j, tb_err *err)
{
    tb_value *inputs = known_inputs(j);
    json_t *names = tb_script_hook(j->run->script, "need", j->type->def->name, inputs,
                                   &j->run->cancel, err),
           *name;
    size_t i;
    json_array_foreach(names, i, name)
    {
        const int k = tb_type_input(j->type, json_string_value(name));
        if (k >= 0 && !j->inputs[k] && j->pnode->args[k].src >= 0)
            j->need |= UINT64_C(1) << k;
    }
    tb_value_unref(&inputs);
    const tb_status st = names ? TB_OK : err->status;
    json_decref(names);
    return st;
}

static tb_status need_of_call(tb_job *j, int c, tb_err *err)
{
    TB_TRY(tb_job_check(j, err));
    if (blocker_of(j, c))
        return TB_OK;
    TB_TRY(tbi_job_bind(j, c, err));
    return ask_need(j, err);
}

static tb_status check_outputs(const tb_job *j, int c, tb_err *err)
{
    for (int k = 0; k < j->type->output_count && !j->expand_graph; k++)
        if (!j->type->def->outputs[k].is_list && tb_list_count(j->out[k]) != c + 1)
            return tb_err_set(err, TB_EINTERNAL,
                              "the node did not set its output '%s'; please report this",
                              j->type->def->outputs[k].name);
    return TB_OK;
}

static tb_status run_call(tb_job *j, int c, tb_err *err)
{
    TB_TRY(tb_job_check(j, err));
    const tb_value *blocker = blocker_of(j, c);
    if (blocker) {
        give_blocked(j, blocker);
        return TB_OK;
    }
    TB_TRY(tbi_job_bind(j, c, err));
    TB_TRY(j->type->kind == TB_LUA ? run_lua(j, err) : j->type->def->run(j, j->params, err));
    return check_outputs(j, c, err);
}

/* What was made from the zeros in place of a file's end is not kept (base/guard.h). */
static void check_files(tb_job *j, uint64_t faults_before)
{
    char path[1024];
    if (tb_guard_faults() == faults_before)
        return;
    j->cut_off = true;
    j->err = TB_ERR_INIT;
    j->status = tb_err_set(
        &j->err, TB_EIO,
        "'%s' became shorter while it was being read; run it again when the file is complete",
        tb_guard_path(path, sizeof path));
}

void tbi_job_execute(tb_job *j)
{
    const uint64_t faults = tb_guard_faults();
    const double start = tb_clock_seconds();
    const int calls = call_count(j);
    const bool lazy = j->type->hooks & TB_HOOK_NEED;
    j->status = TB_OK;
    for (int c = 0; lazy && c < calls && j->status == TB_OK; c++) {
        j->status = need_of_call(j, c, &j->err);
        tbi_job_unbind(j);
    }
    for (int c = 0; !j->need && c < calls && j->status == TB_OK; c++) {
        j->status = run_call(j, c, &j->err);
        tbi_job_unbind(j);
    }
    j->ms = 1000 * (tb_clock_seconds() - start);
    check_files(j, faults);
}

/* Those that could be bound run together; each has its share of the time, by the size of its
 * output. */
static void run_bound(tb_job *const *jobs, int count)
{
    const uint64_t faults = tb_guard_faults();
    const double start = tb_clock_seconds();
    tb_call calls[TB_PACK_CALLS];
    double sizes = 0;
    for (int i = 0; i < count; i++)
        calls[i] = (tb_call){ jobs[i], jobs[i]->params, TB_OK, &jobs[i]->err };
    jobs[0]->type->def->run_pack(calls, count);
    const double ms = 1000 * (tb_clock_seconds() - start);
    for (int i = 0; i < count; i++)
        sizes += (double)jobs[i]->numbers;
    for (int i = 0; i < count; i++) {
        tb_job *j = jobs[i];
        j->status = calls[i].status == TB_OK ? check_outputs(j, 0, &j->err) : calls[i].status;
        j->ms = ms * (double)j->numbers / sizes;
        check_files(j, faults);
    }
}

static bool joins_pack(const tb_job *j)
{
    return call_count(j) == 1 && !blocker_of(j, 0);
}

void tbi_job_execute_pack(tb_job *const *jobs, int count)
{
    tb_job *bound[TB_PACK_CALLS];
    int n = 0;
    for (int i = 0; i < count; i++) {
        tb_job *j = jobs[i];
        if (!joins_pack(j))
            continue;
        j->status = tb_job_check(j, &j->err);
        if (j->status == TB_OK)
            j->status = tbi_job_bind(j, 0, &j->err);
        if (j->status == TB_OK)
            bound[n++] = j;
    }
    if (n)
        run_bound(bound, n);
    for (int i = 0; i < count; i++)
        if (joins_pack(jobs[i]))
            tbi_job_unbind(jobs[i]);
        else
            tbi_job_execute(jobs[i]);
}

void tbi_job_deliver(tb_job *j)
{
    const int calls = call_count(j);
    int c = 0;
    while (c < calls && blocker_of(j, c))
        c++;
    if (calls && c == calls)
        return;
    j->status = tbi_job_bind(j, c, &j->err);
    if (j->status == TB_OK)
        j->status = j->type->def->deliver(j, j->params, &j->err);
    tbi_job_unbind(j);
}

/* ----------------------------------------------------------------------- what node.h promises */

void tb_job_set_take(tb_job *job, int slot, tb_value *v)
{
    tb_list_append_take(job->out[slot], v);
}

const tb_value *tb_job_output(const tb_job *job, int slot)
{
    const tb_value *list = job->out[slot];
    return list && tb_list_count(list) ? tb_list_at(list, 0) : NULL;
}

const tb_value *tb_job_outputs(const tb_job *job, int slot)
{
    return job->out[slot];
}

static int input_at(const tb_job *job, const char *input)
{
    return tb_type_input(job->type, input);
}

bool tb_job_plan_known(const tb_job *job, const char *input)
{
    const int k = input_at(job, input);
    return k >= 0 && job->values[k] != NULL;
}

bool tb_job_plan_shape(const tb_job *job, const char *input, tb_shape *shape)
{
    const tb_program *p = job->run->program;
    const int k = input_at(job, input);
    if (k < 0 || p->nodes[job->node].args[k].src < 0)
        return false;
    const tb_arg *written = &p->nodes[job->node].args[k];
    const tb_arg a = tb_program_resolve(p, written->src, written->slot);
    if (a.src < 0 || job->run->nodes[a.src].shape.n < 0)
        return false;
    *shape = job->run->nodes[a.src].shape;
    return true;
}

void tb_job_plan_output(tb_job *job, int slot, tb_dtype dtype, const tb_shape *shape)
{
    tbi_node *n = &job->run->nodes[job->node];
    if (slot == 0)
        n->shape = *shape;
    const int64_t count = tb_shape_count(shape);
    n->plan_bytes += count > 0 ? (size_t)count * tb_dtype_size(dtype) : 0;
}

void tb_job_plan_scratch(tb_job *job, size_t bytes)
{
    job->run->nodes[job->node].plan_scratch += bytes;
}

void tb_job_plan_work(tb_job *job, double flop)
{
    job->run->nodes[job->node].plan_flop += flop;
}

bool tb_job_canceled(const tb_job *job)
{
    return atomic_load(&job->run->cancel);
}

tb_status tb_job_check(const tb_job *job, tb_err *err)
{
    return tb_job_canceled(job) ? tb_err_set(err, TB_ECANCELED, "stopped on request") : TB_OK;
}

void tb_job_progress(tb_job *job, double done)
{
    atomic_store(&job->share, done);
    uv_async_send(&job->run->engine->wake);
}

size_t tb_job_memory_limit(const tb_job *job)
{
    return job->run->engine->memory_limit;
}

bool tb_job_in_int8(const tb_job *job)
{
    return job->run->engine->mode == TB_MODE_INT8;
}

const atomic_bool *tb_job_cancel_flag(const tb_job *job)
{
    return &job->run->cancel;
}

tb_compute *tb_job_compute(tb_job *job, tb_err *err)
{
    tb_engine *e = job->run->engine;
    pthread_mutex_lock(&e->compute_lock);
    if (!e->compute) {
        e->compute = tb_compute_new(e->threads, err);
        if (e->compute)
            tb_compute_set_mode(e->compute, e->mode);
    }
    tb_compute *c = e->compute;
    pthread_mutex_unlock(&e->compute_lock);
    return c;
}

void *tb_job_shared(tb_job *job, void *(*make)(void), void (*drop)(void *))
{
    tb_engine *e = job->run->engine;
    pthread_mutex_lock(&e->compute_lock);
    if (!e->shared) {
        e->shared = make();
        e->drop_shared = drop;
    }
    void *shared = e->shared;
    pthread_mutex_unlock(&e->compute_lock);
    return shared;
}

const json_t *tb_job_metadata(const tb_job *job)
{
    return job->run->metadata;
}

void tb_job_delivered(tb_job *job, const char *path, const char *kind)
{
    tbi_file *f = tb_xcalloc(1, sizeof *f), **end = &job->files;
    f->path = tb_xstrdup(path);
    f->kind = tb_xstrdup(kind);
    while (*end)
        end = &(*end)->next;
    *end = f;
}

/* Without a store nothing remembers digests: hash the mapped file. */
static tb_status digest_file(const char *path, tb_digest *d, tb_err *err)
{
    char *data = NULL;
    size_t n = 0;
    TB_TRY(tb_fs_map(path, &data, &n, err));
    *d = tb_digest_of(data, n);
    tb_fs_unmap(data, n);
    return TB_OK;
}

tb_status tb_job_file_digest(tb_job *job, const char *path, tb_digest *d, tb_err *err)
{
    tb_store *s = job->run->engine->store;
    return s ? tb_store_file_digest(s, path, d, err) : digest_file(path, d, err);
}

void tb_job_expand_take(tb_job *job, json_t *graph, json_t *outputs)
{
    json_decref(job->expand_graph);
    json_decref(job->expand_outputs);
    job->expand_graph = graph;
    job->expand_outputs = outputs;
}
