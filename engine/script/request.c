/* request.c - what the Lua child can do: load a file, build its graph, expand a composite, run a
 * node.
 */
#include "script/request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "script/view.h"

static tbi_request *request_of(lua_State *L)
{
    return lua_touserdata(L, 1);
}

const char *tbi_request_text(const tbi_request *r, const char *name)
{
    const char *s = json_string_value(json_object_get(r->json, name));
    return s ? s : "";
}

/* -------------------------------------------------------------------------------------- load */

static bool is_graph(lua_State *L)
{
    if (!lua_istable(L, -1) || !lua_getmetatable(L, -1))
        return false;
    luaL_getmetatable(L, "tb.graph");
    const bool same = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    return same;
}

static void read_graph(lua_State *L, tbi_host *h)
{
    if (lua_getfield(L, -1, "doc") == LUA_TSTRING) {
        free(h->doc);
        h->doc = tb_xstrdup(lua_tostring(L, -1));
    }
    lua_pop(L, 1);
    tbi_json_keep(&h->params, json_array());
    if (lua_getfield(L, -1, "params") == LUA_TTABLE)
        tbi_params_read(L, lua_gettop(L), h->params, "parameter");
    lua_pop(L, 1);
    tbi_json_keep(&h->view, json_object());
    if (lua_getfield(L, -1, "view") == LUA_TTABLE)
        tbi_literal_set(L, -1, h->view, "table", "view of tb.graph");
    if (json_array_size(json_object_get(json_object_get(h->view, "table"), "__value__")) > 0)
        tbi_raise(L, "view of tb.graph is a table with names, got a list");
    lua_pop(L, 1);
    lua_getfield(L, -1, "build");
    lua_setfield(L, LUA_REGISTRYINDEX, "tb.build");
}

int tbi_op_load(lua_State *L)
{
    tbi_request *r = request_of(L);
    tbi_host *h = tbi_host_of(L);
    const json_t *text = json_object_get(r->json, "text");
    const char *name = tbi_request_text(r, "name");
    json_object_set(h->open, name, (json_t *)(uintptr_t)text);
    tbi_load_chunk(L, name, json_string_value(text), json_string_length(text), false);
    lua_call(L, 0, 1);
    tbi_source_loaded(h, name);
    if (!is_graph(L))
        tbi_raise(L, "%s must return tb.graph { build = function(p) ... end }, got %s", name,
                  luaL_typename(L, -1));
    read_graph(L, h);
    r->answer = json_pack("{sssO}", "doc", h->doc ? h->doc : "", "params", h->params);
    return 0;
}

/* ------------------------------------------------------------------------------------- build */

static const json_t *find_param(const json_t *params, const char *name)
{
    size_t i;
    json_t *spec;
    json_array_foreach(params, i, spec) if (strcmp(json_string_value(json_object_get(spec, "name")),
                                                   name) == 0) return spec;
    return NULL;
}

static void unknown_param(lua_State *L, const json_t *params, const char *name)
{
    tb_str names = TB_STR_INIT;
    size_t i;
    json_t *spec;
    json_array_foreach(params, i, spec) tb_str_addf(
        &names, "%s%s", i ? ", " : "", json_string_value(json_object_get(spec, "name")));
    lua_pushfstring(L, "the graph has no parameter '%s'; it has %s", name,
                    names.len ? names.s : "none");
    tb_str_free(&names);
    lua_error(L);
}

/* Upvalue: the names that are declared. A misspelt p.stpes would be a silent nil. */
static int strict_index(lua_State *L)
{
    const char *asked = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
    lua_pushvalue(L, 2);
    if (lua_rawget(L, lua_upvalueindex(1)) != LUA_TNIL)
        asked = ""; /* declared, and not given */
    lua_pushnil(L);
    while (*asked && lua_next(L, lua_upvalueindex(1))) {
        lua_pop(L, 1);
        const char *name = lua_tostring(L, -1);
        const int d = tb_str_distance(asked, name);
        if (d > 0 && d <= 2 && d < (int)strlen(name) / 2)
            tbi_raise(L, "there is no '%s' here; did you mean '%s'?", asked, name);
    }
    lua_pushnil(L);
    return 1;
}

/* Complaints about what the function at `index` returns point at where it begins. */
static void note_function(lua_State *L, int index)
{
    tbi_host *h = tbi_host_of(L);
    lua_Debug ar;
    lua_pushvalue(L, index);
    lua_getinfo(L, ">S", &ar);
    if (*ar.source == '@')
        snprintf(h->function_place, sizeof h->function_place, "%s:%d", ar.source + 1,
                 ar.linedefined);
}

/* Give the table at -1 that index, for the names in specs. */
static void make_strict(lua_State *L, const json_t *specs)
{
    size_t i;
    json_t *spec;
    lua_createtable(L, 0, 1);
    lua_newtable(L);
    json_array_foreach(specs, i, spec)
    {
        lua_pushboolean(L, 1);
        lua_setfield(L, -2, json_string_value(json_object_get(spec, "name")));
    }
    lua_pushcclosure(L, strict_index, 1);
    lua_setfield(L, -2, "__index");
    lua_setmetatable(L, -2);
}

static void push_params(lua_State *L, tbi_host *h, const json_t *given)
{
    const char *name;
    size_t i;
    json_t *value, *spec;
    json_object_foreach((json_t *)(uintptr_t)given, name, value) if (!find_param(h->params, name))
        unknown_param(L, h->params, name);
    lua_newtable(L);
    json_array_foreach(h->params, i, spec)
    {
        tb_err err = TB_ERR_INIT;
        name = json_string_value(json_object_get(spec, "name"));
        value = json_object_get(given, name);
        if (value && !json_is_null(value)) {
            value = tbi_json_keep(&h->scratch, tbi_param_convert(spec, value, &err));
            if (!value)
                tbi_raise(L, "%s", err.message);
        } else {
            value = json_object_get(spec, "default");
        }
        if (!value && json_is_true(json_object_get(spec, "required")))
            tbi_raise(L, "parameter '%s' has no default: give --%s", name, name);
        tbi_push_json(L, value ? value : json_null());
        lua_setfield(L, -2, name);
    }
    make_strict(L, h->params);
}

static void add_target(lua_State *L, int index, json_t *targets)
{
    const char *id = tbi_link_id(L, index);
    if (id && !json_object_get(tbi_host_of(L)->graph, id))
        tbi_raise(L, "build returned node '%s' of another graph", id);
    if (id)
        json_array_append_new(targets, json_string(id));
    else if (!lua_isnil(L, index))
        tbi_raise(L, "build must return the nodes the graph is for, got a %s",
                  luaL_typename(L, index));
}

/* What build returned, from index 2 on: nodes, or lists of nodes. */
static void read_targets(lua_State *L, json_t *targets)
{
    for (int i = 2, top = lua_gettop(L); i <= top; i++) {
        if (!lua_istable(L, i)) {
            add_target(L, i, targets);
            continue;
        }
        const lua_Integer n = (lua_Integer)lua_rawlen(L, i);
        for (lua_Integer k = 1; k <= n; k++) {
            lua_rawgeti(L, i, k);
            add_target(L, -1, targets);
            lua_pop(L, 1);
        }
    }
}

/* Without any returned: output nodes; without those, nodes that nobody reads. */
static void default_targets(const tbi_host *h, json_t *targets)
{
    json_t *read = json_object();
    const char *id, *name;
    json_t *node, *in;
    json_object_foreach(h->graph, id, node)
    {
        const tb_type *t =
            tb_types_find(h->types, json_string_value(json_object_get(node, "class_type")));
        if (t && t->def->flags & TB_NODE_TARGET)
            json_array_append_new(targets, json_string(id));
        json_object_foreach(json_object_get(node, "inputs"), name, in) if (json_is_array(in))
            json_object_set(read, json_string_value(json_array_get(in, 0)), json_true());
    }
    if (json_array_size(targets) == 0)
        json_object_foreach(h->graph, id, node) if (!json_object_get(read, id))
            json_array_append_new(targets, json_string(id));
    json_decref(read);
}

int tbi_op_build(lua_State *L)
{
    tbi_request *r = request_of(L);
    tbi_host *h = tbi_host_of(L);
    if (!h->params)
        tbi_raise(L, "no graph is loaded");
    tbi_build_begin(h, "");
    lua_getfield(L, LUA_REGISTRYINDEX, "tb.build");
    push_params(L, h, json_object_get(r->json, "params"));
    note_function(L, 2);
    lua_call(L, 1, LUA_MULTRET);
    json_t *targets = json_array();
    r->answer = json_pack("{sOso}", "graph", h->graph, "targets", targets);
    read_targets(L, targets);
    if (json_object_size(h->graph) == 0)
        tbi_raise(L, "build made no node");
    if (json_array_size(targets) == 0)
        default_targets(h, targets);
    const json_t *view = json_object_get(h->view, "table");
    if (!json_object_get(view, "__value__")) /* {} is a list */
        tbi_view_apply(view, r->answer);
    return 0;
}

/* ------------------------------------------------------------------------------------ expand */

static bool is_link_json(const json_t *j)
{
    return json_array_size(j) == 2 && json_is_string(json_array_get(j, 0)) &&
           json_is_integer(json_array_get(j, 1));
}

static void push_input(lua_State *L, const tb_input_def *in, const json_t *spec,
                       const json_t *given)
{
    const json_t *v = given && !json_is_null(given) ? given : json_object_get(spec, "default");
    if (is_link_json(v))
        tbi_push_link(L, json_string_value(json_array_get(v, 0)),
                      (int)json_integer_value(json_array_get(v, 1)), NULL);
    else
        tbi_push_literal(L, v, in->type);
}

static const json_t *find_type(const tbi_host *h, const char *name)
{
    size_t i;
    json_t *type;
    json_array_foreach(h->types_json, i,
                       type) if (strcmp(json_string_value(json_object_get(type, "name")), name) ==
                                 0) return type;
    return NULL;
}

/* Inputs that are not declared. */
static void push_rest(lua_State *L, const tb_type *t, const json_t *given)
{
    const char *name;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)given, name, v)
    {
        if (!t->rest || tb_type_input(t, name) >= 0)
            continue;
        push_input(L, &(tb_input_def){ .type = t->rest }, NULL, v);
        lua_setfield(L, -2, name);
    }
}

static void push_inputs(lua_State *L, const tb_type *t, const json_t *given)
{
    const json_t *specs = json_object_get(find_type(tbi_host_of(L), t->def->name), "inputs");
    lua_newtable(L);
    for (int i = 0; i < t->input_count; i++) {
        push_input(L, &t->def->inputs[i], json_array_get(specs, (size_t)i),
                   json_object_get(given, t->def->inputs[i].name));
        lua_setfield(L, -2, t->def->inputs[i].name);
    }
    push_rest(L, t, given);
    make_strict(L, specs);
}

/* Results as fields of one table become values on the stack, in the order of the outputs. */
static void spread_results(lua_State *L, const tb_type *t, int first)
{
    if (lua_gettop(L) != first || !lua_istable(L, first) || t->output_count < 2)
        return;
    for (int i = 0; i < t->output_count; i++)
        lua_getfield(L, first, t->def->outputs[i].name);
    lua_remove(L, first);
}

int tbi_op_expand(lua_State *L)
{
    tbi_request *r = request_of(L);
    tbi_host *h = tbi_host_of(L);
    char prefix[TBI_ID_BYTES], what[160];
    const tb_type *t = tb_types_find(h->types, tbi_request_text(r, "type"));
    if (snprintf(prefix, sizeof prefix, "%s/", tbi_request_text(r, "id")) >= (int)sizeof prefix)
        tbi_raise(L, "the node id '%.80s...' is too long to be expanded",
                  tbi_request_text(r, "id"));
    tbi_push_function(L, tbi_request_text(r, "type"));
    note_function(L, 2);
    tbi_build_begin(h, prefix);
    tbi_require_name(L, "tubelet");
    push_inputs(L, t, json_object_get(r->json, "inputs"));
    lua_call(L, 2, LUA_MULTRET);
    spread_results(L, t, 2);
    if (lua_gettop(L) - 1 != t->output_count)
        tbi_raise(L, "expand of '%s' must return its %d outputs, got %d values", t->def->name,
                  t->output_count, lua_gettop(L) - 1);
    json_t *outputs = json_array();
    r->answer = json_pack("{sOso}", "graph", h->graph, "outputs", outputs);
    for (int i = 0; i < t->output_count; i++) {
        snprintf(what, sizeof what, "output '%s' of '%s'", t->def->outputs[i].name, t->def->name);
        json_t *l = tbi_link_json(L, 2 + i, what);
        if (l)
            json_array_append_new(outputs, l);
        else
            tbi_answer_set(L, 2 + i, outputs, what);
    }
    return 0;
}

/* --------------------------------------------------------------------------------------- run */

void tbi_push_call(lua_State *L, const tb_type *t, tbi_request *r)
{
    note_function(L, lua_gettop(L));
    lua_newtable(L); /* ctx */
    lua_pushstring(L, t->def->name);
    lua_setfield(L, -2, "type");
    tbi_push_value(L, r->inputs);
    tb_value_unref(&r->inputs);
    make_strict(L, json_object_get(find_type(tbi_host_of(L), t->def->name), "inputs"));
}

int tbi_op_run(lua_State *L)
{
    tbi_request *r = request_of(L);
    const tb_type *t = tb_types_find(tbi_host_of(L)->types, tbi_request_text(r, "type"));
    tbi_push_function(L, tbi_request_text(r, "type"));
    if (t->output_count > TBI_WIRE_MAX_FDS)
        tbi_raise(L, "'%s' has too many outputs", t->def->name);
    tbi_push_call(L, t, r);
    lua_call(L, 2, LUA_MULTRET);
    spread_results(L, t, 2);
    if (lua_gettop(L) - 1 != t->output_count)
        tbi_raise(L, "run of '%s' must return its %d outputs, got %d values", t->def->name,
                  t->output_count, lua_gettop(L) - 1);
    for (int i = 0; i < t->output_count; i++, r->output_count++) {
        tb_err err = TB_ERR_INIT;
        r->outputs[i] = tbi_value_at(L, 2 + i, 0, &err);
        if (!r->outputs[i])
            tbi_raise(L, "output '%s': %s", t->def->outputs[i].name, err.message);
    }
    return 0;
}
