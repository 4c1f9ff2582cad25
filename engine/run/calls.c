/* calls.c - a composite whose literals are computed, and lists: it is expanded once for each
 * element, as a node is called once for each.
 *
 * An expansion gets element c of every input. How long lists are that no literal needs is not known
 * yet: the last expansion takes all that is left of them, and its nodes are called for each. What
 * the expansions give is joined to lists again.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "run/run_internal.h"

static bool is_literal(const tb_job *j, int k)
{
    return j->type->def->inputs[k].flags & TB_IN_LITERAL && j->inputs[k];
}

int tbi_expansion_count(const tb_job *j)
{
    int count = 1;
    for (int k = 0; k < j->type->input_count; k++) {
        if (!is_literal(j, k))
            continue;
        const int n = tb_list_count(j->inputs[k]);
        if (n == 0)
            return 0;
        count = n > count ? n : count;
    }
    return count;
}

/* The literals of expansion c; false: one of them is blocked. */
static bool literals_of(const tb_job *j, int c, const tb_value **values)
{
    bool free = true;
    for (int k = 0; k < j->type->input_count; k++) {
        values[k] = NULL;
        if (!is_literal(j, k))
            continue;
        const int n = tb_list_count(j->inputs[k]);
        values[k] = tb_list_at(j->inputs[k], c < n ? c : n - 1);
        free = free && !tb_value_is_blocked(values[k]);
    }
    return free;
}

bool tbi_expansion_is_blocked(const tb_job *j)
{
    const tb_value *values[64];
    return tbi_expansion_count(j) == 1 && !literals_of(j, 0, values);
}

/* In place of each linked list its elements from c on; `last`: to its end. Their nodes go into
 * `graph`. */
static void take_parts(const tb_job *j, int c, bool last, json_t *inputs, json_t *graph)
{
    for (int k = 0; k < j->type->input_count; k++) {
        const tb_input_def *in = &j->type->def->inputs[k];
        json_t *link = json_object_get(inputs, in->name);
        if (in->flags & TB_IN_LIST || !tb_json_is_link(link))
            continue;
        char *id = tb_xasprintf("%s/%d_%s", tb_program_id(j->run->program, j->node), c, in->name);
        json_object_set_new(graph, id,
                            json_pack("{sss{sOsisi}}", "class_type", "list_part", "inputs",
                                      "values", link, "first", c, "last", last ? -1 : c));
        json_object_set_new(inputs, in->name, json_pack("[si]", id, 0));
        free(id);
    }
}

json_t *tbi_expansion_request(const tb_job *j)
{
    const tb_value *values[64];
    const int count = tbi_expansion_count(j);
    json_t *calls = json_array();
    for (int c = 0; c < count; c++) {
        const bool free = literals_of(j, c, values);
        json_t *inputs = tb_program_inputs(j->run->program, j->node, values);
        json_t *graph = json_object();
        if (free && count > 1)
            take_parts(j, c, c == count - 1, inputs, graph);
        json_array_append_new(
            calls, json_pack("{sososb}", "inputs", inputs, "graph", graph, "blocked", !free));
    }
    return calls;
}

/* ----------------------------------------------------------------------------------- the worker */

static json_t *blocked_outputs(const tb_job *j)
{
    tb_value *v = tb_value_blocked(NULL);
    json_t *outputs = json_array();
    for (int k = 0; k < j->type->output_count; k++)
        json_array_append_new(outputs, tb_value_to_json(v, NULL, NULL, NULL));
    tb_value_unref(&v);
    return json_pack("{s{}so}", "graph", "outputs", outputs);
}

/* The outputs of expansion c behind those of the ones before it. */
static void join(const tb_job *j, int c, json_t *all, json_t *answer)
{
    json_t *graph = json_object_get(all, "graph"), *joined = json_object_get(all, "outputs"), *v;
    size_t k;
    json_object_update(graph, json_object_get(answer, "graph"));
    json_array_foreach(json_object_get(answer, "outputs"), k, v)
    {
        if (c == 0) {
            json_array_append(joined, v);
            continue;
        }
        char *id = tb_xasprintf("%s/%d_joined_%zu", j->id, c, k);
        json_object_set_new(graph, id,
                            json_pack("{sss{sOsO}}", "class_type", "list_join", "inputs", "a",
                                      json_array_get(joined, k), "b", v));
        json_array_set_new(joined, k, json_pack("[si]", id, 0));
        free(id);
    }
}

json_t *tbi_expand_all_calls(tb_job *j)
{
    const size_t count = json_array_size(j->request);
    json_t *all = json_pack("{s{}s[]}", "graph", "outputs"), *call;
    size_t c;
    json_array_foreach(j->request, c, call)
    {
        char *id = count > 1 ? tb_xasprintf("%s/%zu", j->id, c) : tb_xstrdup(j->id);
        json_t *answer = json_is_true(json_object_get(call, "blocked"))
                             ? blocked_outputs(j)
                             : tbi_expansion(j->run, j->type->def->name, id,
                                             json_object_get(call, "inputs"), &j->err);
        free(id);
        if (!answer) {
            json_decref(all);
            return NULL;
        }
        json_object_update(json_object_get(all, "graph"), json_object_get(call, "graph"));
        join(j, (int)c, all, answer);
        json_decref(answer);
    }
    return all;
}
