/* module.c - the table `tubelet`: its own functions, and every node type as a function. */
#include <stdlib.h>
#include <string.h>

#include "script/host.h"

/* Upvalue: the type's name. */
static int call_type(lua_State *L)
{
    return tbi_make_node(L, lua_tostring(L, lua_upvalueindex(1)));
}

/* tb.<type>: made on first use, then a plain field. */
static int module_index(lua_State *L)
{
    const tbi_host *h = tbi_host_of(L);
    const char *name = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "?";
    if (!tb_types_find(h->types, name)) {
        const char *near = tb_types_nearest(h->types, name);
        if (near)
            tbi_raise(L, "tubelet has no node '%s'; did you mean '%s'?", name, near);
        tbi_raise(L, "tubelet has no node '%s'; `tubelet nodes` lists them", name);
    }
    lua_pushvalue(L, 2);
    lua_pushcclosure(L, call_type, 1);
    lua_pushvalue(L, 2);
    lua_pushvalue(L, -2);
    lua_rawset(L, 1);
    return 1;
}

static int module_newindex(lua_State *L)
{
    tbi_raise(
        L, "names of the module tubelet cannot be set; define a node with tb.node or tb.composite");
}

/* ---------------------------------------------------------------------------------- tb.graph */

static void check_graph_keys(lua_State *L)
{
    lua_pushnil(L);
    while (lua_next(L, 1)) {
        lua_pop(L, 1);
        const char *key = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "?";
        if (strcmp(key, "doc") != 0 && strcmp(key, "params") != 0 && strcmp(key, "build") != 0 &&
            strcmp(key, "view") != 0)
            tbi_raise(L, "tb.graph has no field '%s'; it takes doc, params, build, view", key);
    }
}

/* Checks the table and marks it as a graph. */
static int make_graph(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    check_graph_keys(L);
    if (lua_getfield(L, 1, "build") != LUA_TFUNCTION)
        tbi_raise(L, "tb.graph needs build, a function that makes the nodes");
    if (lua_getfield(L, 1, "doc") != LUA_TNIL && lua_type(L, -1) != LUA_TSTRING)
        tbi_raise(L, "doc of tb.graph must be text");
    if (lua_getfield(L, 1, "view") != LUA_TNIL && lua_type(L, -1) != LUA_TTABLE)
        tbi_raise(L, "view of tb.graph must be a table, as the editor writes it");
    if (lua_getfield(L, 1, "params") != LUA_TNIL) {
        json_t *array = tbi_json_keep(&tbi_host_of(L)->scratch, json_array());
        tbi_params_read(L, lua_gettop(L), array, "parameter");
    }
    lua_settop(L, 1);
    luaL_setmetatable(L, "tb.graph");
    return 1;
}

/* tb.blocked(message): what a node gives in place of a value that must not be used. */
static int make_blocked(lua_State *L)
{
    const char *message = luaL_optstring(L, 1, "");
    lua_settop(L, 1);
    lua_createtable(L, 0, 1);
    lua_pushstring(L, message);
    lua_setfield(L, -2, "$blocked");
    return 1;
}

int tbi_open_module(lua_State *L)
{
    static const luaL_Reg functions[] = {
        { "graph", make_graph }, { "scope", tbi_scope }, { "blocked", make_blocked }, { NULL, NULL }
    };
    luaL_newmetatable(L, "tb.graph");
    lua_pushliteral(L, "graph");
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
    tbi_open_links(L);
    lua_newtable(L);
    luaL_setfuncs(L, functions, 0);
    lua_pushlightuserdata(L, NULL);
    lua_setfield(L, -2, "null");
    tbi_open_params(L);
    tbi_open_define(L);
    tbi_open_tensor(L);
    lua_createtable(L, 0, 3);
    lua_pushcfunction(L, module_index);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, module_newindex);
    lua_setfield(L, -2, "__newindex");
    lua_pushliteral(L, "tubelet");
    lua_setfield(L, -2, "__metatable");
    lua_setmetatable(L, -2);
    return 1;
}
