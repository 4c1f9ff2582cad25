/* lua_value.c - values of a run in Lua: records and lists are tables, tensors are userdata. */
#include <stdlib.h>
#include <string.h>

#include "script/host.h"

#define MAX_DEPTH  32
#define MAX_FIELDS 1000

void tbi_push_value(lua_State *L, const tb_value *v)
{
    luaL_checkstack(L, 4, "values inside values");
    switch (tb_value_kind(v)) {
    case TB_BOOLEAN: lua_pushboolean(L, tb_value_as_bool(v)); break;
    case TB_INT: lua_pushinteger(L, tb_value_as_int(v)); break;
    case TB_FLOAT: lua_pushnumber(L, tb_value_as_float(v)); break;
    case TB_STRING: lua_pushstring(L, tb_value_as_string(v)); break;
    case TB_TENSOR: tbi_push_tensor_take(L, tb_tensor_ref(tb_value_as_tensor(v))); break;
    case TB_RECORD:
        lua_newtable(L);
        for (int i = 0; i < tb_record_count(v); i++) {
            tbi_push_value(L, tb_record_at(v, i));
            lua_setfield(L, -2, tb_record_name(v, i));
        }
        break;
    case TB_LIST:
        lua_newtable(L);
        for (int i = 0; i < tb_list_count(v); i++) {
            tbi_push_value(L, tb_list_at(v, i));
            lua_rawseti(L, -2, i + 1);
        }
        break;
    case TB_NONE:
    default: lua_pushnil(L);
    }
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Fields in the order of their names: a table has none, and the bytes of a result must not vary. */
static bool fill_record(lua_State *L, int index, tb_value *record, int depth, tb_err *err)
{
    const char *names[MAX_FIELDS];
    size_t n = 0;
    lua_pushnil(L);
    while (lua_next(L, index)) {
        lua_pop(L, 1);
        if (lua_type(L, -1) != LUA_TSTRING || n == MAX_FIELDS) {
            tb_err_set(err, TB_ESCRIPT, "a record has at most %d fields, all with names",
                       MAX_FIELDS);
            return false;
        }
        names[n++] = lua_tostring(L, -1);
    }
    qsort(names, n, sizeof *names, by_text);
    for (size_t i = 0; i < n; i++) {
        lua_pushstring(L, names[i]);
        lua_rawget(L, index);
        tb_value *v = tbi_value_at(L, lua_gettop(L), depth + 1, err);
        lua_pop(L, 1);
        if (!v)
            return false;
        tb_record_set_take(record, names[i], v);
    }
    return true;
}

static bool fill_list(lua_State *L, int index, tb_value *list, int depth, tb_err *err)
{
    const lua_Integer n = (lua_Integer)lua_rawlen(L, index);
    for (lua_Integer i = 1; i <= n; i++) {
        lua_rawgeti(L, index, i);
        tb_value *v = tbi_value_at(L, lua_gettop(L), depth + 1, err);
        lua_pop(L, 1);
        if (!v)
            return false;
        tb_list_append_take(list, v);
    }
    return true;
}

static tb_value *from_table(lua_State *L, int index, int depth, tb_err *err)
{
    if (depth > MAX_DEPTH || !lua_checkstack(L, 8)) {
        tb_err_set(err, TB_ESCRIPT, "tables inside tables go deeper than %d, or in a circle",
                   MAX_DEPTH);
        return NULL;
    }
    const bool list = lua_rawlen(L, index) > 0;
    tb_value *v = list ? tb_value_list() : tb_value_record();
    if (!(list ? fill_list : fill_record)(L, index, v, depth, err))
        tb_value_unref(&v);
    return v;
}

tb_value *tbi_value_at(lua_State *L, int index, int depth, tb_err *err)
{
    const tb_tensor *t = tbi_tensor_at(L, index);
    if (t)
        return tb_value_tensor_take(tb_tensor_ref(t));
    switch (lua_type(L, index)) {
    case LUA_TNIL: return tb_value_none();
    case LUA_TBOOLEAN: return tb_value_bool(lua_toboolean(L, index));
    case LUA_TSTRING: return tb_value_string(lua_tostring(L, index));
    case LUA_TTABLE: return from_table(L, index, depth, err);
    case LUA_TNUMBER:
        return lua_isinteger(L, index) ? tb_value_int(lua_tointeger(L, index))
                                       : tb_value_float(lua_tonumber(L, index));
    default:
        tb_err_set(err, TB_ESCRIPT, "a node cannot give a %s", luaL_typename(L, index));
        return NULL;
    }
}
