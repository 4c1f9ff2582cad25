/* pairs.c - pairs in an order that does not change from run to run.
 *
 * Lua hashes texts with a seed drawn at start, so `for name in pairs(t)` would make the nodes of a
 * graph in another order, under other ids, each time. Here names come sorted by their bytes, after
 * all other keys. Tables without names are walked as Lua does.
 */
#include <stdlib.h>
#include <string.h>

#include "script/host.h"

typedef struct text {
    const char *s; /* owned by the table while it is sorted */
    size_t n;
} text;

static int by_bytes(const void *a, const void *b)
{
    const text *x = a, *y = b;
    const size_t n = x->n < y->n ? x->n : y->n;
    const int order = n ? memcmp(x->s, y->s, n) : 0;
    return order ? order : (x->n > y->n) - (x->n < y->n);
}

/* Texts among the keys of the table at 1. */
static lua_Integer count_texts(lua_State *L)
{
    lua_Integer n = 0, all = 0;
    lua_pushnil(L);
    while (lua_next(L, 1)) {
        lua_pop(L, 1);
        n += lua_type(L, -1) == LUA_TSTRING;
        all++;
    }
    tbi_host_charge(L, all);
    return n;
}

/* Push a list of all keys: texts last, sorted. */
static void push_order(lua_State *L, lua_Integer count)
{
    text *texts = lua_newuserdatauv(L, (size_t)count * sizeof *texts, 0);
    lua_Integer at = 0, n = 0;
    lua_newtable(L);
    const int order = lua_gettop(L);
    lua_pushnil(L);
    while (lua_next(L, 1)) {
        lua_pop(L, 1);
        if (lua_type(L, -1) == LUA_TSTRING) {
            texts[n].s = lua_tolstring(L, -1, &texts[n].n);
            n++;
        } else {
            lua_pushvalue(L, -1);
            lua_rawseti(L, order, ++at);
        }
    }
    qsort(texts, (size_t)n, sizeof *texts, by_bytes);
    tbi_host_charge(L, 16 * n);
    for (lua_Integer i = 0; i < n; i++) {
        lua_pushlstring(L, texts[i].s, texts[i].n);
        lua_rawseti(L, order, ++at);
    }
}

/* Upvalues: the table, the order, how far we are. Keys that are gone meanwhile are left out. */
static int next_in_order(lua_State *L)
{
    lua_Integer i = lua_tointeger(L, lua_upvalueindex(3));
    for (;;) {
        lua_settop(L, 0);
        if (lua_rawgeti(L, lua_upvalueindex(2), ++i) == LUA_TNIL)
            return 1;
        lua_pushvalue(L, 1);
        if (lua_rawget(L, lua_upvalueindex(1)) != LUA_TNIL)
            break;
    }
    lua_pushinteger(L, i);
    lua_replace(L, lua_upvalueindex(3));
    return 2;
}

int tbi_pairs(lua_State *L)
{
    luaL_checkany(L, 1);
    if (luaL_getmetafield(L, 1, "__pairs") != LUA_TNIL) {
        lua_pushvalue(L, 1);
        lua_call(L, 1, 3);
        return 3;
    }
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    const lua_Integer texts = count_texts(L);
    if (texts < 2) {
        lua_getglobal(L, "next");
        lua_pushvalue(L, 1);
        return 2;
    }
    lua_pushvalue(L, 1);
    push_order(L, texts);
    lua_remove(L, -2); /* the array of texts */
    lua_pushinteger(L, 0);
    lua_pushcclosure(L, next_in_order, 3);
    return 1;
}
