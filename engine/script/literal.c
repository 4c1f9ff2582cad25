/* literal.c - literals between Lua and JSON. 5 and 5.0 stay apart in both directions. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "graph/graph.h"
#include "script/host.h"

#define MAX_DEPTH 32

typedef struct place {
    const char *what; /* "input 'steps' of tb.sample" */
    int depth;
    bool links; /* they may stand in tables, as { "__link__": ["id", slot] } */
} place;

/* Where a JSON value goes: a field of an object, or the end of an array (field = NULL). */
static void put(json_t *into, const char *field, json_t *v)
{
    if (field)
        json_object_set_new(into, field, v);
    else
        json_array_append_new(into, v);
}

json_t *tbi_json_text(lua_State *L, int index, const char *what)
{
    size_t n = 0;
    const char *s = lua_tolstring(L, index, &n);
    json_t *j = json_stringn(s, n);
    if (!j)
        tbi_raise(L, "%s must be text in UTF-8, got other bytes", what);
    return j;
}

static void put_value(lua_State *L, int index, json_t *into, const char *field, place at);

/* Lists have the keys 1..n and nothing else. */
static bool is_list(lua_State *L, int index)
{
    const lua_Unsigned n = lua_rawlen(L, index);
    lua_Unsigned keys = 0;
    lua_pushnil(L);
    while (lua_next(L, index)) {
        lua_pop(L, 1);
        if (!lua_isinteger(L, -1) || ++keys > n) {
            lua_pop(L, 1);
            return false;
        }
    }
    return keys == n;
}

static void put_list(lua_State *L, int index, json_t *list, place at)
{
    const lua_Integer n = (lua_Integer)lua_rawlen(L, index);
    for (lua_Integer i = 1; i <= n; i++) {
        lua_rawgeti(L, index, i);
        put_value(L, lua_gettop(L), list, NULL, at);
        lua_pop(L, 1);
    }
}

/* Keys sorted: a table has no order, a document must not change from run to run. */
static void put_object(lua_State *L, int index, json_t *object, place at)
{
    lua_pushnil(L);
    while (lua_next(L, index)) {
        if (lua_type(L, -2) != LUA_TSTRING)
            tbi_raise(L, "%s: a table is a list or has only names as keys", at.what);
        json_decref(tbi_json_text(L, -2, "a key"));
        put_value(L, lua_gettop(L), object, lua_tostring(L, -2), at);
        lua_pop(L, 1);
    }
}

static void put_table(lua_State *L, int index, json_t *into, const char *field, place at)
{
    if (at.depth > MAX_DEPTH)
        tbi_raise(L, "%s: tables inside tables go deeper than %d, or in a circle", at.what,
                  MAX_DEPTH);
    luaL_checkstack(L, 8, "tables inside tables");
    const bool list = is_list(L, index);
    json_t *table = list ? json_array() : json_object();
    const bool wrap = list && at.depth == 0;
    put(into, field, wrap ? json_pack("{so}", "__value__", table) : table);
    at.depth++;
    if (list)
        put_list(L, index, table, at);
    else
        put_object(L, index, table, at);
}

static void put_number(lua_State *L, int index, json_t *into, const char *field, place at)
{
    const double d = lua_tonumber(L, index);
    if (lua_isinteger(L, index))
        put(into, field, json_integer(lua_tointeger(L, index)));
    else if (isfinite(d))
        put(into, field, json_real(d));
    else
        tbi_raise(L, "%s must be a finite number, got %s", at.what, isnan(d) ? "nan" : "inf");
}

static void put_value(lua_State *L, int index, json_t *into, const char *field, place at)
{
    tbi_host_charge(L, 1);
    switch (lua_type(L, index)) {
    case LUA_TBOOLEAN: put(into, field, json_boolean(lua_toboolean(L, index))); break;
    case LUA_TNUMBER: put_number(L, index, into, field, at); break;
    case LUA_TSTRING: put(into, field, tbi_json_text(L, index, at.what)); break;
    case LUA_TTABLE: put_table(L, index, into, field, at); break;
    case LUA_TLIGHTUSERDATA: put(into, field, json_null()); break; /* tb.null */
    case LUA_TUSERDATA:
        if (tbi_link_id(L, index) && at.links) {
            put(into, field, json_pack("{so}", "__link__", tbi_link_json(L, index, at.what)));
            break;
        }
        if (tbi_link_id(L, index))
            tbi_raise(L, "%s: a link cannot stand inside a table", at.what);
        /* fallthrough */
    default: tbi_raise(L, "%s cannot be a %s", at.what, luaL_typename(L, index));
    }
}

void tbi_literal_set(lua_State *L, int index, json_t *into, const char *field, const char *what)
{
    put_value(L, lua_absindex(L, index), into, field, (place){ .what = what });
}

/* Tables with names as the records of value.h are written. New reference. */
static json_t *as_records(json_t *j)
{
    size_t i;
    const char *name;
    json_t *item, *rows = json_array();
    if (json_is_array(j)) {
        json_array_foreach(j, i, item) json_array_append_new(rows, as_records(item));
        return rows;
    }
    if (!json_is_object(j) || json_object_get(j, "__value__")) {
        json_decref(rows);
        return json_incref(j);
    }
    json_object_foreach(j, name, item)
        json_array_append_new(rows, json_pack("[so]", name, as_records(item)));
    return json_pack("{so}", "$record", rows);
}

void tbi_answer_set(lua_State *L, int index, json_t *into, const char *what)
{
    json_t *list = tbi_json_keep(&tbi_host_of(L)->scratch, json_array());
    put_value(L, lua_absindex(L, index), list, NULL, (place){ .what = what, .links = true });
    json_array_append_new(into, as_records(json_array_get(list, 0)));
}

/* ------------------------------------------------------------------------------- JSON to Lua */

/* A record as value.h writes it; one of a link becomes that link again. */
static void push_record(lua_State *L, const json_t *rows)
{
    size_t i;
    json_t *row;
    const json_t *first = json_array_get(rows, 0), *link = json_array_get(first, 1);
    const char *name = json_string_value(json_array_get(first, 0));
    if (name && strcmp(name, "__link__") == 0 && tb_json_is_link(link)) {
        tbi_push_link(L, json_string_value(json_array_get(link, 0)),
                      (int)json_integer_value(json_array_get(link, 1)), NULL);
        return;
    }
    lua_newtable(L);
    json_array_foreach(rows, i, row)
    {
        name = json_string_value(json_array_get(row, 0));
        if (!name)
            continue;
        tbi_push_json(L, json_array_get(row, 1));
        lua_setfield(L, -2, name);
    }
}

void tbi_push_json(lua_State *L, const json_t *j)
{
    size_t i;
    const char *name;
    json_t *item;
    luaL_checkstack(L, 4, "JSON");
    if (tb_json_long_int(j)) { /* its bits, as an integer of Lua's wraps */
        lua_pushinteger(L, (lua_Integer)strtoull(tb_json_long_int(j), NULL, 10));
        return;
    }
    switch (json_typeof(j)) {
    case JSON_TRUE:
    case JSON_FALSE: lua_pushboolean(L, json_is_true(j)); break;
    case JSON_INTEGER: lua_pushinteger(L, json_integer_value(j)); break;
    case JSON_REAL: lua_pushnumber(L, json_real_value(j)); break;
    case JSON_STRING: lua_pushlstring(L, json_string_value(j), json_string_length(j)); break;
    case JSON_ARRAY:
        lua_newtable(L);
        json_array_foreach(j, i, item)
        {
            tbi_push_json(L, item);
            lua_rawseti(L, -2, (lua_Integer)i + 1);
        }
        break;
    case JSON_OBJECT:
        if (json_is_array(json_object_get(j, "$record"))) {
            push_record(L, json_object_get(j, "$record"));
            break;
        }
        lua_newtable(L);
        json_object_foreach((json_t *)(uintptr_t)j, name, item)
        {
            tbi_push_json(L, item);
            lua_setfield(L, -2, name);
        }
        break;
    case JSON_NULL:
    default: lua_pushnil(L);
    }
}

void tbi_push_literal(lua_State *L, const json_t *j, const char *type)
{
    const json_t *wrapped = json_object_get(j, "__value__");
    if (json_is_integer(j) && strcmp(type, "FLOAT") == 0)
        lua_pushnumber(L, (double)json_integer_value(j));
    else if (json_is_real(j) && strcmp(type, "INT") == 0 &&
             floor(json_real_value(j)) == json_real_value(j) && fabs(json_real_value(j)) < 9e15)
        lua_pushinteger(L, (lua_Integer)json_real_value(j));
    else if (j)
        tbi_push_json(L, wrapped ? wrapped : j);
    else
        lua_pushnil(L);
}
