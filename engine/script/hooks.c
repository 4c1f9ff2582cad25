/* hooks.c - what a node in Lua is asked beside run: need, changed and validate.
 *
 * All get (ctx, inputs) as run does; an input that is not known yet is nil.
 */
#include <math.h>
#include <string.h>

#include "script/request.h"

static void add_name(lua_State *L, int index, const tb_type *t, json_t *names)
{
    const char *name = lua_type(L, index) == LUA_TSTRING ? lua_tostring(L, index) : NULL;
    const int at = name ? tb_type_input(t, name) : -1;
    if (at < 0 || !(t->def->inputs[at].flags & TB_IN_LAZY))
        tbi_raise(L, "need of '%s' must return names of lazy inputs, got %s%s%s", t->def->name,
                  name ? "'" : "a ", name ? name : luaL_typename(L, index), name ? "'" : "");
    json_array_append_new(names, json_string(name));
}

/* Names, or lists of names, from index 2 on. */
static void read_need(lua_State *L, const tb_type *t, tbi_request *r)
{
    json_t *names = r->answer = json_array();
    for (int i = 2, top = lua_gettop(L); i <= top; i++) {
        if (lua_isnil(L, i))
            continue;
        if (!lua_istable(L, i)) {
            add_name(L, i, t, names);
            continue;
        }
        const lua_Integer n = (lua_Integer)lua_rawlen(L, i);
        for (lua_Integer k = 1; k <= n; k++) {
            lua_rawgeti(L, i, k);
            add_name(L, -1, t, names);
            lua_pop(L, 1);
        }
    }
}

/* { "value": any } or { "always": true } for a number that is not equal to itself. */
static void read_changed(lua_State *L, const tb_type *t, tbi_request *r)
{
    tb_err err = TB_ERR_INIT;
    lua_settop(L, 2);
    if (lua_type(L, 2) == LUA_TNUMBER && isnan(lua_tonumber(L, 2))) {
        r->answer = json_pack("{sb}", "always", 1);
        return;
    }
    tb_value *v = tbi_value_at(L, 2, 0, &err);
    json_t *j = v ? tb_value_to_json(v, NULL, NULL, &err) : NULL;
    tb_value_unref(&v);
    if (!j)
        tbi_raise(L, "changed of '%s' must return numbers and texts: %s", t->def->name,
                  err.message);
    r->answer = json_pack("{so}", "value", j);
}

/* {} when all is well; else { "message", "input": name or null }. */
static void read_validate(lua_State *L, const tb_type *t, tbi_request *r)
{
    lua_settop(L, 3);
    const bool sound = lua_isnil(L, 2) || (lua_isboolean(L, 2) && lua_toboolean(L, 2));
    const char *input = lua_type(L, 3) == LUA_TSTRING ? lua_tostring(L, 3) : NULL;
    if (!sound && !lua_isboolean(L, 2) && lua_type(L, 2) != LUA_TSTRING)
        tbi_raise(L, "validate of '%s' must return true or what is wrong, got a %s", t->def->name,
                  luaL_typename(L, 2));
    if (input && tb_type_input(t, input) < 0)
        tbi_raise(L, "validate of '%s' names the input '%s', which it has not", t->def->name,
                  input);
    r->answer = json_object();
    if (sound)
        return;
    json_object_set_new(r->answer, "message",
                        lua_isboolean(L, 2) ? json_string("")
                                            : tbi_json_text(L, 2, "what validate returns"));
    json_object_set_new(r->answer, "input", input ? json_string(input) : json_null());
}

int tbi_op_hook(lua_State *L)
{
    tbi_request *r = lua_touserdata(L, 1);
    const char *hook = tbi_request_text(r, "op"), *type = tbi_request_text(r, "type");
    const tb_type *t = tb_types_find(tbi_host_of(L)->types, type);
    tbi_push_hook(L, type, hook);
    tbi_push_call(L, t, r);
    lua_call(L, 2, LUA_MULTRET);
    if (strcmp(hook, "need") == 0)
        read_need(L, t, r);
    else if (strcmp(hook, "changed") == 0)
        read_changed(L, t, r);
    else
        read_validate(L, t, r);
    return 0;
}
