/* build.c - calls become nodes: tb.noise_init { ... } adds one to the document and gives its
 * outputs.
 *
 * The value of a call is a link, a small userdata that names a node and an output. A node with one
 * output is its own link; one with several is asked for them, by name or by number: m.model, m[1].
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "graph/graph.h"
#include "graph/program.h"
#include "script/host.h"

#define LINK  "link"
#define WHOLE (-1) /* the slot of a node with no output or several */

typedef struct link {
    unsigned serial;
    int slot;
    char type[64]; /* "": a node outside, its outputs are not known here */
    char id[TBI_ID_BYTES];
} link;

void tbi_build_begin(tbi_host *h, const char *prefix)
{
    tbi_build_end(h);
    h->graph = json_object();
    h->id_counts = tb_map_new();
    h->serial++;
    snprintf(h->prefix, sizeof h->prefix, "%s", prefix);
    h->expanding = *prefix != 0;
}

void tbi_build_end(tbi_host *h)
{
    json_decref(h->graph);
    h->graph = NULL;
    if (h->id_counts)
        tb_map_free(&h->id_counts);
}

/* ------------------------------------------------------------------------------------- links */

static link *link_at(lua_State *L, int index)
{
    return luaL_testudata(L, index, LINK);
}

const char *tbi_link_id(lua_State *L, int index)
{
    const link *l = link_at(L, index);
    return l ? l->id : NULL;
}

static const tb_type *type_of(lua_State *L, const link *l)
{
    return *l->type ? tb_types_find(tbi_host_of(L)->types, l->type) : NULL;
}

void tbi_push_link(lua_State *L, const char *id, int slot, const tb_type *type)
{
    link *l = lua_newuserdatauv(L, sizeof *l, 0);
    *l = (link){ .serial = tbi_host_of(L)->serial, .slot = slot };
    snprintf(l->id, sizeof l->id, "%s", id);
    snprintf(l->type, sizeof l->type, "%s", type ? type->def->name : "");
    luaL_setmetatable(L, LINK);
}

/* "model, clip, vae" */
static const char *output_names(const tb_type *t, char *buf, size_t n)
{
    size_t k = 0;
    *buf = 0;
    for (int i = 0; i < t->output_count && k < n; i++)
        k += (size_t)snprintf(buf + k, n - k, "%s%s", i ? ", " : "", t->def->outputs[i].name);
    return buf;
}

json_t *tbi_link_json(lua_State *L, int index, const char *into)
{
    const link *l = link_at(L, index);
    char names[256];
    if (!l)
        return NULL;
    if (l->serial != tbi_host_of(L)->serial)
        tbi_raise(L, "%s: node '%s' belongs to another graph", into, l->id);
    if (l->slot != WHOLE)
        return json_pack("[si]", l->id, l->slot);
    const tb_type *t = type_of(L, l);
    if (t->output_count == 0)
        tbi_raise(L, "%s: node '%s' (%s) has no output", into, l->id, l->type);
    tbi_raise(L, "%s: node '%s' (%s) has the outputs %s; name one of them", into, l->id, l->type,
              output_names(t, names, sizeof names));
}

static int find_output(lua_State *L, const tb_type *t)
{
    if (lua_isinteger(L, 2)) {
        const lua_Integer i = lua_tointeger(L, 2);
        return i >= 1 && i <= t->output_count ? (int)i - 1 : -1;
    }
    return lua_type(L, 2) == LUA_TSTRING ? tb_type_output(t, lua_tostring(L, 2)) : -1;
}

static int link_index(lua_State *L)
{
    const link *l = luaL_checkudata(L, 1, LINK);
    const tb_type *t = type_of(L, l);
    const int slot = t ? find_output(L, t) : -1;
    char names[256];
    if (slot >= 0 && (l->slot == WHOLE || l->slot == slot)) {
        tbi_push_link(L, l->id, slot, t);
        return 1;
    }
    const char *asked = luaL_tolstring(L, 2, NULL);
    if (l->slot != WHOLE)
        tbi_raise(
            L,
            "'%s' asked of an output of node '%s': what is in it is known only when the graph runs",
            asked, l->id);
    tbi_raise(L, "node '%s' (%s) has no output '%s'; it has %s", l->id, l->type, asked,
              t && t->output_count ? output_names(t, names, sizeof names) : "none");
}

static int link_newindex(lua_State *L)
{
    const link *l = luaL_checkudata(L, 1, LINK);
    tbi_raise(L, "the outputs of node '%s' cannot be changed", l->id);
}

static int link_eq(lua_State *L)
{
    const link *a = link_at(L, 1), *b = link_at(L, 2);
    lua_pushboolean(L, a && b && a->serial == b->serial && a->slot == b->slot &&
                           strcmp(a->id, b->id) == 0);
    return 1;
}

static int link_tostring(lua_State *L)
{
    const link *l = luaL_checkudata(L, 1, LINK);
    if (l->slot == WHOLE)
        lua_pushfstring(L, "node '%s'", l->id);
    else
        lua_pushfstring(L, "output %d of node '%s'", l->slot + 1, l->id);
    return 1;
}

void tbi_open_links(lua_State *L)
{
    static const luaL_Reg methods[] = { { "__index", link_index },
                                        { "__newindex", link_newindex },
                                        { "__eq", link_eq },
                                        { "__tostring", link_tostring },
                                        { NULL, NULL } };
    luaL_newmetatable(L, LINK);
    luaL_setfuncs(L, methods, 0);
    lua_pushliteral(L, LINK);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
}

/* --------------------------------------------------------------------------------------- ids */

static void check_id(lua_State *L, const char *id)
{
    if (!*id || strlen(id) >= TBI_ID_BYTES)
        tbi_raise(L, "a node id has 1..%d bytes with its scopes, got %d", TBI_ID_BYTES - 1,
                  (int)strlen(id));
}

/* prefix + the id asked for, or the type's name with the first free number. */
static void choose_id(lua_State *L, const char *type, const char *asked, char id[TBI_ID_BYTES])
{
    tbi_host *h = tbi_host_of(L);
    const char *base = lua_pushfstring(L, "%s%s", h->prefix, asked ? asked : type);
    check_id(L, base);
    snprintf(id, TBI_ID_BYTES, "%s", base);
    if (asked && json_object_get(h->graph, id))
        tbi_raise(L, "there is a node with the id '%s' already", id);
    int64_t n = tb_map_get(h->id_counts, base);
    while (!asked && json_object_get(h->graph, id)) {
        n = n < 2 ? 2 : n + 1;
        check_id(L, lua_pushfstring(L, "%s_%I", base, (lua_Integer)n));
        snprintf(id, TBI_ID_BYTES, "%s", lua_tostring(L, -1));
        lua_pop(L, 1);
    }
    if (!asked)
        tb_map_set(h->id_counts, base, n);
    lua_pop(L, 1);
}

int tbi_scope(lua_State *L)
{
    tbi_host *h = tbi_host_of(L);
    const char *name = luaL_checkstring(L, 1);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    const size_t old = strlen(h->prefix), n = strlen(name);
    if (n == 0 || strchr(name, '/') || old + n + 2 > sizeof h->prefix)
        tbi_raise(L, "a scope has a name without '/', and ids at most %d bytes", TBI_ID_BYTES - 1);
    json_decref(tbi_json_text(L, 1, "the name of a scope"));
    snprintf(h->prefix + old, sizeof h->prefix - old, "%s/", name);
    lua_settop(L, 2);
    lua_call(L, 0, LUA_MULTRET);
    h->prefix[old] = 0;
    return lua_gettop(L) - 1;
}

/* ------------------------------------------------------------------------------------- nodes */

/* id, title and meta belong to the node; where the type has an input of that name, _id etc. do. */
static const char *const own_fields[] = { "id", "title", "meta" };

static const char *own_field(const tb_type *t, const char *name)
{
    for (size_t i = 0; i < sizeof own_fields / sizeof *own_fields; i++)
        if (strcmp(name, own_fields[i]) == 0 ||
            (*name == '_' && strcmp(name + 1, own_fields[i]) == 0))
            return tb_type_input(t, name) < 0 ? own_fields[i] : NULL;
    return NULL;
}

/* Push the node's own field, or nil. */
static int push_own(lua_State *L, const tb_type *t, const char *name)
{
    lua_pushfstring(L, "_%s", name);
    if (lua_rawget(L, 1) != LUA_TNIL || tb_type_input(t, name) >= 0)
        return lua_type(L, -1);
    lua_pop(L, 1);
    lua_pushstring(L, name);
    return lua_rawget(L, 1);
}

static void unknown_input(lua_State *L, const tb_type *t, const char *name)
{
    const char *near = tb_type_nearest_input(t, name);
    char *names = tb_type_input_names(t);
    lua_pushfstring(L, "%s has no input '%s'", t->def->name, name);
    if (near)
        lua_pushfstring(L, "%s; did you mean '%s'?", lua_tostring(L, -1), near);
    lua_pushfstring(L, "%s%s It takes %s", lua_tostring(L, -1), near ? "" : ".", names);
    free(names);
    lua_error(L);
}

static void check_keys(lua_State *L, const tb_type *t)
{
    lua_pushnil(L);
    while (lua_next(L, 1)) {
        lua_pop(L, 1);
        if (lua_type(L, -1) != LUA_TSTRING)
            tbi_raise(L, "inputs of %s are named: tb.%s { %s = ... }", t->def->name, t->def->name,
                      t->input_count ? t->def->inputs[0].name : "id");
        const char *name = lua_tostring(L, -1);
        if (tb_type_input(t, name) < 0 && !t->rest && !own_field(t, name))
            unknown_input(L, t, name);
    }
}

/* A seed above 2^63-1 that a composite was given is negative in Lua: it goes on with its bits. */
static void restore_seed(const tbi_host *h, const tb_type *t, const char *name, json_t *inputs)
{
    const json_t *v = json_object_get(inputs, name);
    const int at = tb_type_input(t, name);
    const tb_input_def *in = at < 0 ? NULL : &t->def->inputs[at];
    if (h->expanding && in && in->i_min == 0 && tb_input_is_seed(in) && json_integer_value(v) < 0)
        json_object_set_new(inputs, name, tb_json_of_uint64((uint64_t)json_integer_value(v)));
}

/* The value on top, which it pops. */
static void set_input(lua_State *L, const tb_type *t, const char *name, json_t *inputs)
{
    char what[200];
    snprintf(what, sizeof what, "input '%s' of tb.%s", name, t->def->name);
    json_t *l = tbi_link_json(L, -1, what);
    if (l)
        json_object_set_new(inputs, name, l);
    else if (!lua_isnil(L, -1))
        tbi_literal_set(L, -1, inputs, name, what);
    restore_seed(tbi_host_of(L), t, name, inputs);
    lua_pop(L, 1);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Inputs that are not declared, by name: a table has no order. */
static void set_rest(lua_State *L, const tb_type *t, json_t *inputs)
{
    enum { MAX = 64 };
    const char *names[MAX];
    size_t n = 0;
    lua_pushnil(L);
    while (t->rest && lua_next(L, 1)) {
        lua_pop(L, 1);
        const char *name = lua_tostring(L, -1);
        if (tb_type_input(t, name) >= 0 || own_field(t, name))
            continue;
        if (n == MAX)
            tbi_raise(L, "tb.%s takes at most %d inputs", t->def->name, MAX);
        json_decref(tbi_json_text(L, -1, "the name of an input"));
        names[n++] = name;
    }
    if (!t->rest)
        lua_pop(L, 1);
    qsort(names, n, sizeof *names, by_text);
    for (size_t i = 0; i < n; i++) {
        lua_pushstring(L, names[i]);
        lua_rawget(L, 1);
        set_input(L, t, names[i], inputs);
    }
}

static void set_inputs(lua_State *L, const tb_type *t, json_t *inputs)
{
    for (int i = 0; i < t->input_count; i++) {
        lua_pushstring(L, t->def->inputs[i].name);
        lua_rawget(L, 1);
        set_input(L, t, t->def->inputs[i].name, inputs);
    }
    set_rest(L, t, inputs);
}

static void set_meta(lua_State *L, const tb_type *t, json_t *node)
{
    char origin[256];
    json_t *meta = json_object();
    json_object_set_new(node, "_meta", meta);
    if (push_own(L, t, "meta") == LUA_TTABLE) {
        tbi_literal_set(L, -1, node, "_meta", "meta");
        meta = json_object_get(node, "_meta");
        if (json_object_get(meta, "__value__"))
            tbi_raise(L, "meta is a table with names: meta = { mode = \"mute\" }");
    }
    if (push_own(L, t, "title") == LUA_TSTRING)
        json_object_set_new(meta, "title", tbi_json_text(L, -1, "a title"));
    lua_pop(L, 2);
    tbi_origin(L, origin, sizeof origin);
    if (*origin)
        json_object_set_new(meta, "origin", json_string(origin));
    if (json_object_size(meta) == 0)
        json_object_del(node, "_meta");
}

int tbi_make_node(lua_State *L, const char *type)
{
    tbi_host *h = tbi_host_of(L);
    const tb_type *t = tb_types_find(h->types, type);
    char id[TBI_ID_BYTES];
    if (!h->graph)
        tbi_raise(L, "tb.%s makes a node: call it inside build or expand", type);
    if (lua_isnone(L, 1))
        lua_newtable(L);
    if (!lua_istable(L, 1) || lua_gettop(L) != 1)
        tbi_raise(L, "tb.%s takes one table: tb.%s { ... }, got %s", type, type,
                  luaL_typename(L, 1));
    if (json_object_size(h->graph) >= TB_GRAPH_MAX_NODES)
        tbi_raise(L, "a graph has at most %d nodes", TB_GRAPH_MAX_NODES);
    check_keys(L, t);
    const bool named = push_own(L, t, "id") == LUA_TSTRING;
    if (named)
        json_decref(tbi_json_text(L, -1, "an id"));
    choose_id(L, type, named ? lua_tostring(L, -1) : NULL, id);
    lua_pop(L, 1);
    json_t *inputs = json_object();
    json_t *node =
        tbi_json_keep(&h->scratch, json_pack("{ssso}", "class_type", type, "inputs", inputs));
    set_inputs(L, t, inputs);
    set_meta(L, t, node);
    json_object_set(h->graph, id, node);
    tbi_push_link(L, id, t->output_count == 1 ? 0 : WHOLE, t);
    return 1;
}
