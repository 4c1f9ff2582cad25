/* look.c - what an embedder may see of a run: its expanded graph, its outputs. */
#include <stdlib.h>

#include "base/mem.h"
#include "run/run_internal.h"

uint64_t tb_run_id(const tb_run *r)
{
    return r->id;
}

/* What a link means once composites are expanded; NULL when it stays as it is. */
static json_t *expanded_link(const tb_program *p, const json_t *link)
{
    const char *id = tb_json_is_link(link) ? json_string_value(json_array_get(link, 0)) : NULL;
    const int src = id ? tb_graph_find(p->graph, id) : -1;
    if (src < 0 || !p->nodes[src].alias)
        return NULL;
    const int slot = (int)json_integer_value(json_array_get(link, 1));
    const tb_arg a = tb_program_resolve(p, src, slot);
    return a.src >= 0  ? json_pack("[si]", tb_program_id(p, a.src), a.slot)
           : a.literal ? tb_value_to_json(a.literal, NULL, NULL, NULL)
                       : json_null();
}

void tb_run_each_node(const tb_run *r, void (*fn)(void *ctx, const char *id, const char *type),
                      void *ctx)
{
    for (int i = 0; i < r->program->count; i++)
        if (!r->program->nodes[i].alias)
            fn(ctx, tb_program_id(r->program, i), r->program->nodes[i].type->def->name);
}

json_t *tb_run_expanded(const tb_run *r)
{
    const tb_program *p = r->program;
    json_t *document = tb_graph_to_json(p->graph), *value;
    const char *name;
    for (int i = 0; i < p->count; i++) {
        if (p->nodes[i].alias) {
            json_object_del(document, tb_program_id(p, i));
            continue;
        }
        json_t *inputs = json_object_get(json_object_get(document, tb_program_id(p, i)), "inputs");
        json_object_foreach(inputs, name, value)
        {
            json_t *link = expanded_link(p, value);
            if (link)
                json_object_set_new(inputs, name, link);
        }
    }
    return document;
}

/* One output of an expanded composite, as a LIST. New reference; NULL when it is not held. */
static tb_value *output_behind(const tb_run *r, int node, int slot)
{
    const tb_arg a = tb_program_resolve(r->program, node, slot);
    if (a.literal) {
        tb_value *list = tb_value_list();
        tb_list_append_take(list, tb_value_ref(a.literal));
        return list;
    }
    tb_value **out = a.src >= 0 ? r->nodes[a.src].out : NULL;
    return out ? tb_value_ref(out[a.slot]) : NULL;
}

/* An expanded composite shows what its outputs stand for. */
static void show_outputs(tb_run *r, int node)
{
    const int count = r->program->nodes[node].type->output_count;
    tb_value **out = tb_xcalloc((size_t)count + 1, sizeof *out);
    bool all = true;
    for (int k = 0; k < count; k++) {
        out[k] = output_behind(r, node, k);
        all &= out[k] != NULL;
    }
    r->nodes[node].out = out;
    if (!all)
        tbi_free_outputs(r, node);
}

const tb_types *tb_run_types(const tb_run *r)
{
    return r->o.types ? r->o.types : r->own_types ? r->own_types : r->engine->types;
}

void tb_run_summary(const tb_run *r, tb_plan_summary *summary)
{
    *summary = r->summary;
}

bool tb_run_key(const tb_run *r, const char *node, tb_key *key)
{
    const int i = tb_graph_find(r->program->graph, node);
    const bool keyed = i >= 0 && r->program->nodes[i].keyed;
    if (keyed)
        *key = r->program->nodes[i].key;
    return keyed;
}

tb_value *const *tb_run_outputs(const tb_run *r, const char *node, int *count)
{
    const int i = tb_graph_find(r->program->graph, node);
    if (i >= 0 && !r->nodes[i].out && r->program->nodes[i].alias)
        show_outputs((tb_run *)(uintptr_t)r, i); /* gathers, changes nothing */
    if (i < 0 || !r->nodes[i].out)
        return NULL;
    *count = r->program->nodes[i].type->output_count;
    return r->nodes[i].out;
}
