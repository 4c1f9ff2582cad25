/* to_lua.c - a document as a Lua file: one node a line, in an order Lua can run.
 *
 * The text hangs on the document alone: links first, then literals, each by name; nodes in the
 * document's order, but never before what they read; how they are drawn, behind them. So Lua to
 * document to Lua gives the same bytes, and a change in the editor changes the lines it concerns.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"
#include "graph/graph.h"
#include "graph/types.h"
#include "script/lua_text.h"
#include "script/script.h"
#include "script/view.h"

typedef struct item {
    const char *id;
    const json_t *node;
    enum { FRESH, OPEN, WRITTEN } state;
} item;

typedef struct writer {
    tb_str out;
    tb_types *types;
    item *items;
    int count;
    tb_map *index;
    int *stack;
    size_t stack_cap;
    json_t *drawn; /* rows of the view, by id, in the order of writing */
    tb_err *err;
} writer;

/* ------------------------------------------------------------------------------------- nodes */

static const tb_type *type_of(const writer *w, const json_t *node)
{
    const char *name = json_string_value(json_object_get(node, "class_type"));
    return name ? tb_types_find(w->types, name) : NULL;
}

/* n.load_model.model; the bare node when it has one output; [2] when the type is not known here. */
static void put_link(writer *w, const json_t *link)
{
    const int at = (int)tb_map_get(w->index, json_string_value(json_array_get(link, 0)));
    const int slot = (int)json_integer_value(json_array_get(link, 1));
    const tb_type *t = type_of(w, w->items[at].node);
    tbi_lua_field(&w->out, "n", w->items[at].id);
    if (!t || slot < 0 || slot >= t->output_count)
        tb_str_addf(&w->out, "[%d]", slot + 1);
    else if (t->output_count > 1)
        tbi_lua_field(&w->out, "", t->def->outputs[slot].name);
}

static tb_status put_inputs(writer *w, const json_t *inputs, bool links)
{
    size_t n;
    tb_status st = TB_OK;
    const char **keys = tbi_sorted_keys(inputs, &n);
    for (size_t i = 0; i < n && st == TB_OK; i++) {
        const json_t *v = json_object_get(inputs, keys[i]);
        if (tb_json_is_link(v) != links)
            continue;
        tb_str_add(&w->out, ", ");
        tbi_lua_key(&w->out, keys[i]);
        if (links)
            put_link(w, v);
        else
            st = tbi_lua_literal(&w->out, v, w->err);
        tb_err_where(w->err, NULL, keys[i], NULL);
    }
    free(keys);
    return st;
}

/* id, title or meta, with an underscore where the type has an input of that name. */
static void put_own_key(writer *w, const json_t *node, const char *name)
{
    const tb_type *t = type_of(w, node);
    const bool taken = json_object_get(json_object_get(node, "inputs"), name) ||
                       (t && tb_type_input(t, name) >= 0);
    tb_str_addf(&w->out, "%s%s = ", taken ? "_" : "", name);
}

/* What _meta says beside how the node is drawn, which the view has. New reference. */
static json_t *meta_of(writer *w, const item *it)
{
    json_t *meta = json_object_get(it->node, "_meta"), *rest = json_object(), *value;
    json_t *drawn = tbi_view_of_meta(meta);
    const char *name;
    if (drawn)
        json_object_set_new(w->drawn, it->id, drawn);
    json_object_foreach(meta, name, value) if (!tbi_view_field(name) && strcmp(name, "origin") != 0)
        json_object_set(rest, name, value);
    return rest;
}

static tb_status put_meta(writer *w, const item *it)
{
    const json_t *node = it->node;
    json_t *rest = meta_of(w, it);
    const json_t *title = json_object_get(rest, "title");
    tb_status st = TB_OK;
    if (json_is_string(title)) {
        tb_str_add(&w->out, ", ");
        put_own_key(w, node, "title");
        tbi_lua_text(&w->out, json_string_value(title), json_string_length(title));
        json_object_del(rest, "title");
    }
    if (json_object_size(rest) > 0) {
        tb_str_add(&w->out, ", ");
        put_own_key(w, node, "meta");
        st = tbi_lua_plain(&w->out, rest, w->err);
    }
    json_decref(rest);
    return st;
}

static tb_status put_node(writer *w, const item *it)
{
    const json_t *inputs = json_object_get(it->node, "inputs");
    tb_str_add(&w->out, "    ");
    tbi_lua_field(&w->out, "n", it->id);
    tb_str_add(&w->out, " = ");
    tbi_lua_field(&w->out, "tb", json_string_value(json_object_get(it->node, "class_type")));
    tb_str_add(&w->out, " { ");
    put_own_key(w, it->node, "id");
    tbi_lua_text(&w->out, it->id, strlen(it->id));
    tb_status st = put_meta(w, it);
    if (st == TB_OK)
        st = put_inputs(w, inputs, true);
    if (st == TB_OK)
        st = put_inputs(w, inputs, false);
    tb_str_add(&w->out, " }\n");
    if (st != TB_OK)
        tb_err_where(w->err, it->id, NULL, NULL);
    return st;
}

/* ------------------------------------------------------------------------------------- order */

/* The first node that `it` reads and that is not written yet; -1: none; -2: an error. */
static int next_needed(writer *w, const item *it)
{
    size_t n;
    int needed = -1;
    const json_t *inputs = json_object_get(it->node, "inputs");
    const char **keys = tbi_sorted_keys(inputs, &n);
    for (size_t i = 0; i < n && needed == -1; i++) {
        const json_t *v = json_object_get(inputs, keys[i]);
        if (!tb_json_is_link(v))
            continue;
        const char *src = json_string_value(json_array_get(v, 0));
        const int at = (int)tb_map_get(w->index, src);
        if (at < 0)
            tb_err_set(w->err, TB_EINVAL, "input '%s' is linked to node '%s', which is not there",
                       keys[i], src);
        else if (w->items[at].state == OPEN)
            tb_err_set(w->err, TB_EINVAL,
                       "input '%s' closes a circle with node '%s', which no script can make",
                       keys[i], src);
        else if (w->items[at].state == FRESH)
            needed = at;
        if (w->err->status != TB_OK)
            needed = -2;
    }
    free(keys);
    if (needed == -2)
        tb_err_where(w->err, it->id, NULL, NULL);
    return needed;
}

/* Write a node after all it reads: depth first on a stack of our own, graphs may be 10,000 deep. */
static tb_status put_after_sources(writer *w, int first)
{
    int depth = 0;
    if (w->items[first].state == WRITTEN)
        return TB_OK;
    TB_GROW(w->stack, w->stack_cap, 1);
    w->stack[depth++] = first;
    while (depth > 0) {
        item *it = &w->items[w->stack[depth - 1]];
        it->state = OPEN;
        const int needed = next_needed(w, it);
        if (needed == -2)
            return w->err->status;
        if (needed >= 0) {
            TB_GROW(w->stack, w->stack_cap, depth + 1);
            w->stack[depth++] = needed;
            continue;
        }
        TB_TRY(put_node(w, it));
        it->state = WRITTEN;
        depth--;
    }
    return TB_OK;
}

static tb_status read_items(writer *w, const json_t *graph)
{
    const char *id;
    json_t *node;
    json_object_foreach((json_t *)(uintptr_t)graph, id, node)
    {
        if (!json_is_string(json_object_get(node, "class_type"))) {
            tb_err_set(w->err, TB_EINVAL, "the node has no class_type");
            tb_err_where(w->err, id, NULL, NULL);
            return TB_EINVAL;
        }
        tb_map_set(w->index, id, w->count);
        w->items[w->count++] = (item){ .id = id, .node = node };
    }
    return TB_OK;
}

/* --------------------------------------------------------------------------------- the whole */

static bool is_target(const json_t *targets, const char *id)
{
    size_t i;
    json_t *t;
    json_array_foreach(targets, i, t) if (json_is_string(t) &&
                                          strcmp(json_string_value(t), id) == 0) return true;
    return false;
}

/* Are these all output nodes, and no others: what build is for when it returns nothing? */
static bool are_usual(const writer *w, const json_t *targets)
{
    bool any = false, same = true;
    for (int i = 0; i < w->count; i++) {
        const tb_type *t = type_of(w, w->items[i].node);
        const bool output = t && t->def->flags & TB_NODE_TARGET;
        any |= output;
        same &= output == is_target(targets, w->items[i].id);
    }
    return any && same;
}

/* return n.video, or a list of several. */
static void put_targets(writer *w, const json_t *targets)
{
    size_t i, n = 0;
    json_t *t;
    const bool several = json_array_size(targets) > 1;
    if (!targets || are_usual(w, targets))
        return;
    json_array_foreach(targets, i, t)
    {
        const char *id = json_is_string(t) ? json_string_value(t) : "";
        if (tb_map_get(w->index, id) < 0)
            continue;
        tb_str_add(&w->out, n++ ? ", " : several ? "    return { " : "    return ");
        tbi_lua_field(&w->out, "n", id);
    }
    tb_str_add(&w->out, n == 0 ? "" : several ? " }\n" : "\n");
}

static tb_status put_document(writer *w, const json_t *document, const char *doc)
{
    const json_t *graph = json_object_get(document, "graph");
    if (!json_is_object(graph) || json_object_size(graph) == 0)
        return tb_err_set(w->err, TB_EINVAL, "the document has no nodes");
    w->items = tb_xcalloc(json_object_size(graph) + 1, sizeof *w->items);
    TB_TRY(read_items(w, graph));
    tb_str_add(&w->out, "local tb = require \"tubelet\"\n\nreturn tb.graph {\n");
    if (doc && *doc) {
        tb_str_add(&w->out, "  doc = ");
        tbi_lua_text(&w->out, doc, strlen(doc));
        tb_str_add(&w->out, ",\n");
    }
    tb_str_add(&w->out, "  build = function()\n    local n = {}\n");
    for (int i = 0; i < w->count; i++)
        TB_TRY(put_after_sources(w, i));
    put_targets(w, json_object_get(document, "targets"));
    tb_str_add(&w->out, "  end,\n");
    TB_TRY(tbi_view_write(&w->out, w->drawn, json_object_get(document, "view"), w->err));
    tb_str_add(&w->out, "}\n");
    return TB_OK;
}

char *tb_script_to_lua(const json_t *document, const char *doc, tb_err *err)
{
    tb_err own = TB_ERR_INIT;
    writer w = {
        .types = tb_types_new(), .index = tb_map_new(), .drawn = json_object(), .err = &own
    };
    const tb_status st = put_document(&w, document, doc);
    if (st != TB_OK && err && err->status == TB_OK)
        *err = own;
    char *text = st == TB_OK ? tb_str_take(&w.out) : NULL;
    tb_str_free(&w.out);
    tb_types_free(&w.types);
    tb_map_free(&w.index);
    json_decref(w.drawn);
    free(w.items);
    free(w.stack);
    return text;
}
