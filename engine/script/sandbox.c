/* sandbox.c - what a script can name: copies of parts of base, table, math and string.
 *
 * pcall and xpcall are ours: running out of instructions is not caught, and a handler runs after
 * the stack is unwound, because Lua calls it with hooks off (an endless loop in it could not be
 * stopped).
 */
#include <stdlib.h>
#include <string.h>

#include "script/host.h"

#define MAX_PATTERN 256

static const char *const base_names[] = { "assert",   "error",  "getmetatable", "ipairs",
                                          "next",     "pairs",  "rawequal",     "rawget",
                                          "rawlen",   "rawset", "select",       "tonumber",
                                          "tostring", "type",   "_VERSION",     NULL };
static const char *const string_names[] = { "byte",  "char",     "format", "len",
                                            "lower", "reverse",  "sub",    "upper",
                                            "pack",  "packsize", "unpack", NULL };
static const char *const guarded_names[] = { "find", "match", "gmatch", "gsub", "rep", NULL };

/* --------------------------------------------------------------------------- protected calls */

/* Not to be caught: the allowance is used up, or memory is. */
static int give_back(lua_State *L, int prefix_len, int first)
{
    tbi_host *h = tbi_host_of(L);
    if (h->exhausted)
        return lua_error(L);
    h->prefix[prefix_len] = 0; /* leave the scopes the failed function was in */
    lua_pushboolean(L, 0);
    lua_insert(L, first);
    return lua_gettop(L) - first + 1;
}

static int safe_pcall(lua_State *L)
{
    const int prefix_len = (int)strlen(tbi_host_of(L)->prefix);
    luaL_checkany(L, 1);
    if (lua_pcall(L, lua_gettop(L) - 1, LUA_MULTRET, 0) != LUA_OK)
        return give_back(L, prefix_len, 1);
    lua_pushboolean(L, 1);
    lua_insert(L, 1);
    return lua_gettop(L);
}

static int safe_xpcall(lua_State *L)
{
    const int prefix_len = (int)strlen(tbi_host_of(L)->prefix);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_pushvalue(L, 1);
    lua_remove(L, 1); /* handler, args..., f */
    lua_insert(L, 2); /* handler, f, args... */
    if (lua_pcall(L, lua_gettop(L) - 2, LUA_MULTRET, 0) == LUA_OK) {
        lua_pushboolean(L, 1);
        lua_replace(L, 1);
        return lua_gettop(L);
    }
    if (tbi_host_of(L)->exhausted)
        return lua_error(L);
    lua_call(L, 1, LUA_MULTRET);
    return give_back(L, prefix_len, 1);
}

/* ------------------------------------------------------------------------- guarded originals */

static int safe_setmetatable(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    if (!lua_isnoneornil(L, 2)) {
        luaL_checktype(L, 2, LUA_TTABLE);
        lua_pushliteral(L, "__gc");
        if (lua_rawget(L, 2) != LUA_TNIL)
            tbi_raise(L, "a metatable with __gc is not allowed in a graph");
        lua_pop(L, 1);
    }
    if (luaL_getmetafield(L, 1, "__metatable") != LUA_TNIL)
        tbi_raise(L, "cannot change a protected metatable");
    lua_settop(L, 2);
    lua_setmetatable(L, 1);
    return 1;
}

/* Upvalue: the original. Pattern matching and repetition run in C, where no hook counts. */
static int guarded(lua_State *L)
{
    tbi_note_place(L);
    if (lua_type(L, 2) == LUA_TSTRING && lua_rawlen(L, 2) > MAX_PATTERN)
        tbi_raise(L, "a string pattern may have at most %d bytes, got %d", MAX_PATTERN,
                  (int)lua_rawlen(L, 2));
    if (lua_type(L, 1) == LUA_TSTRING)
        tbi_host_charge(L, (int64_t)lua_rawlen(L, 1) / 16);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
    return lua_gettop(L);
}

/* Upvalue: the original, which may loop in C for long. */
static int placed(lua_State *L)
{
    tbi_note_place(L);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
    return lua_gettop(L);
}

/* Without an argument the original would draw a seed from the clock: a graph would change by
 * itself. */
static int safe_randomseed(lua_State *L)
{
    const lua_Integer seed = luaL_checkinteger(L, 1);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_pushinteger(L, seed);
    lua_call(L, 1, 0);
    return 0;
}

static int safe_print(lua_State *L)
{
    tbi_host *h = tbi_host_of(L);
    luaL_Buffer b;
    const int n = lua_gettop(L);
    luaL_buffinit(L, &b); /* may take a place on the stack */
    for (int i = 1; i <= n; i++) {
        if (i > 1)
            luaL_addchar(&b, '\t');
        luaL_tolstring(L, i, NULL);
        luaL_addvalue(&b);
    }
    luaL_pushresult(&b);
    tbi_host_charge(L, 1000);
    json_t *text = json_string(lua_tostring(L, -1));
    json_t *message = text ? json_pack("{so}", "print", text) : NULL;
    if (message)
        tbi_wire_send(h->sock, message, NULL, &(tbi_patience){ 0 }, NULL);
    json_decref(message);
    return 0;
}

/* --------------------------------------------------------------------------- the environment */

/* Copy fields of the table at -1 (a library) into the one at -2, and pop the library. */
static void copy_names(lua_State *L, const char *const *names)
{
    for (; *names; names++) {
        lua_getfield(L, -1, *names);
        lua_setfield(L, -3, *names);
    }
    lua_pop(L, 1);
}

static void copy_all(lua_State *L)
{
    lua_pushnil(L);
    while (lua_next(L, -2)) {
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_settable(L, -5);
    }
    lua_pop(L, 1);
}

static void push_string_library(lua_State *L)
{
    lua_newtable(L);
    lua_getglobal(L, "string");
    for (const char *const *name = guarded_names; *name; name++) {
        lua_getfield(L, -1, *name);
        lua_pushcclosure(L, guarded, 1);
        lua_setfield(L, -3, *name);
    }
    copy_names(L, string_names);
}

static void push_table_library(lua_State *L)
{
    static const char *const long_loops[] = { "move", "concat", "sort", NULL };
    lua_newtable(L);
    lua_getglobal(L, "table");
    copy_all(L);
    for (const char *const *name = long_loops; *name; name++) {
        lua_getfield(L, -1, *name);
        lua_pushcclosure(L, placed, 1);
        lua_setfield(L, -2, *name);
    }
}

static void push_math_library(lua_State *L)
{
    lua_newtable(L);
    lua_getglobal(L, "math");
    copy_all(L);
    lua_getfield(L, -1, "randomseed");
    lua_pushvalue(L, -1);
    lua_pushinteger(L, 0);
    lua_call(L, 1, 0);
    lua_pushcclosure(L, safe_randomseed, 1);
    lua_setfield(L, -2, "randomseed");
}

void tbi_push_environment(lua_State *L)
{
    static const luaL_Reg ours[] = {
        { "pcall", safe_pcall }, { "xpcall", safe_xpcall }, { "setmetatable", safe_setmetatable },
        { "print", safe_print }, { "pairs", tbi_pairs },    { "require", tbi_require },
        { NULL, NULL }
    };
    lua_newtable(L);
    lua_pushglobaltable(L);
    copy_names(L, base_names);
    luaL_setfuncs(L, ours, 0);
    push_string_library(L);
    lua_setfield(L, -2, "string");
    push_math_library(L);
    lua_setfield(L, -2, "math");
    push_table_library(L);
    lua_setfield(L, -2, "table");
    lua_pushvalue(L, -1);
    lua_setfield(L, -2, "_G");
}

void tbi_guard_strings(lua_State *L)
{
    lua_newtable(L);
    push_string_library(L);
    lua_setfield(L, -2, "__index");
    lua_pushliteral(L, "string");
    lua_setfield(L, -2, "__metatable");
    lua_pushliteral(L, "");
    lua_insert(L, -2);
    lua_setmetatable(L, -2);
    lua_pop(L, 1);
}
