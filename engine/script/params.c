/* params.c - declarations: tb.int { default = 1, min = 0 } of parameters, tb.port "LATENT" of
 * links.
 *
 * The same objects declare the parameters of a graph and the inputs of nodes written in Lua. A
 * table has no order, so each declaration is numbered when it is made: the order they are written
 * in.
 */
#include <stdlib.h>
#include <string.h>

#include "script/host.h"

#define PARAM "tb.param"

tbi_param *tbi_param_at(lua_State *L, int index)
{
    return luaL_testudata(L, index, PARAM);
}

static int param_gc(lua_State *L)
{
    tbi_param *p = luaL_checkudata(L, 1, PARAM);
    json_decref(p->spec);
    p->spec = NULL;
    return 0;
}

static tbi_param *push_param(lua_State *L, const char *type)
{
    tbi_param *p = lua_newuserdatauv(L, sizeof *p, 0);
    *p = (tbi_param){ .order = tbi_host_of(L)->next_order++ };
    luaL_setmetatable(L, PARAM);
    p->spec = json_pack("{ss}", "type", type);
    return p;
}

/* ----------------------------------------------------------------------------------- options */

typedef struct option {
    const char *name;
    int lua_type;
} option;

static const option options[] = {
    { "default", LUA_TNONE },     { "min", LUA_TNUMBER },        { "max", LUA_TNUMBER },
    { "choices", LUA_TTABLE },    { "doc", LUA_TSTRING },        { "unit", LUA_TSTRING },
    { "optional", LUA_TBOOLEAN }, { "literal", LUA_TBOOLEAN },   { "lazy", LUA_TBOOLEAN },
    { "list", LUA_TBOOLEAN },     { "multiline", LUA_TBOOLEAN }, { "file", LUA_TBOOLEAN },
    { "upload", LUA_TBOOLEAN },   { "seed", LUA_TBOOLEAN },      { "files", LUA_TSTRING },
    { "advanced", LUA_TBOOLEAN }, { "resolved", LUA_TBOOLEAN },
};

static const option *find_option(const char *name)
{
    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        if (strcmp(options[i].name, name) == 0)
            return &options[i];
    return NULL;
}

/* The choices may stand in the table itself: tb.choice { "a", "b", default = "a" }. */
static void read_choices(lua_State *L, int index, json_t *spec)
{
    json_t *list = json_array();
    json_object_set_new(spec, "choices", list);
    const lua_Integer n = (lua_Integer)lua_rawlen(L, index);
    for (lua_Integer i = 1; i <= n; i++) {
        if (lua_rawgeti(L, index, i) != LUA_TSTRING || !*lua_tostring(L, -1) ||
            strchr(lua_tostring(L, -1), '|'))
            tbi_raise(L, "choices are texts without '|'");
        json_array_append_new(list, tbi_json_text(L, -1, "a choice"));
        lua_pop(L, 1);
    }
    if (n == 0)
        tbi_raise(L, "tb.choice needs at least one choice");
}

static void read_options(lua_State *L, int index, json_t *spec)
{
    lua_pushnil(L);
    while (lua_next(L, index)) {
        const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : NULL;
        const option *o = name ? find_option(name) : NULL;
        if (!o && lua_isinteger(L, -2)) {
            lua_pop(L, 1);
            continue;
        }
        if (!o)
            tbi_raise(
                L,
                "a declaration has no option '%s'; it takes default, min, max, choices, doc, "
                "unit, optional, literal, resolved, lazy, list, multiline, file, upload, seed, "
                "files",
                name ? name : luaL_typename(L, -2));
        if (o->lua_type != LUA_TNONE && lua_type(L, -1) != o->lua_type)
            tbi_raise(L, "option '%s' must be a %s, got a %s", o->name,
                      lua_typename(L, o->lua_type), luaL_typename(L, -1));
        if (o->lua_type == LUA_TTABLE)
            read_choices(L, lua_gettop(L), spec);
        else
            tbi_literal_set(L, -1, spec, o->name, o->name);
        lua_pop(L, 1);
    }
}

/* The default in the declared type; without one the value is required, unless it is optional. */
static void settle_default(lua_State *L, json_t *spec)
{
    json_t *given = json_object_get(spec, "default");
    tb_err err = TB_ERR_INIT;
    if (!given) {
        if (!json_is_true(json_object_get(spec, "optional")))
            json_object_set_new(spec, "required", json_true());
        return;
    }
    json_object_set_new(spec, "name", json_string("default"));
    json_t *value = tbi_param_convert(spec, given, &err);
    json_object_del(spec, "name");
    if (!value)
        tbi_raise(L, "%s", err.message);
    json_object_set_new(spec, "default", value);
}

/* Upvalues: port type; "path" or nil. */
static int declare(lua_State *L)
{
    const char *type = lua_tostring(L, lua_upvalueindex(1));
    if (lua_isnone(L, 1))
        lua_newtable(L);
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    tbi_param *p = push_param(L, type);
    if (strcmp(type, "COMBO") == 0 && lua_rawlen(L, 1) > 0)
        read_choices(L, 1, p->spec);
    read_options(L, 1, p->spec);
    if (lua_toboolean(L, lua_upvalueindex(2)))
        json_object_set_new(p->spec, "path", json_true());
    if (strcmp(type, "COMBO") == 0 && !json_object_get(p->spec, "choices") &&
        !json_object_get(p->spec, "files"))
        tbi_raise(L, "tb.choice needs its choices: tb.choice { \"a\", \"b\", default = \"a\" }");
    settle_default(L, p->spec);
    return 1;
}

void tbi_check_port_type(lua_State *L, const char *type)
{
    const size_t n = strlen(type);
    if (n == 0 || n > 63 || strspn(type, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_,*") != n)
        tbi_raise(L, "a port type is written in capitals, as \"LATENT\", got '%.80s'", type);
}

/* Types that take literals. */
static bool is_scalar(const char *type)
{
    static const char *const scalars[] = { "INT", "FLOAT", "STRING", "BOOLEAN", "COMBO" };
    for (size_t i = 0; i < sizeof scalars / sizeof *scalars; i++)
        if (strcmp(type, scalars[i]) == 0)
            return true;
    return false;
}

static int declare_port(lua_State *L)
{
    const char *type = luaL_checkstring(L, 1);
    tbi_check_port_type(L, type);
    lua_settop(L, 2);
    tbi_param *p = push_param(L, type);
    if (lua_istable(L, 2))
        read_options(L, 2, p->spec);
    if (is_scalar(type))
        settle_default(L, p->spec);
    return 1;
}

void tbi_open_params(lua_State *L)
{
    static const struct {
        const char *name, *type;
        int is_path;
    } kinds[] = { { "string", "STRING", 0 }, { "int", "INT", 0 },      { "float", "FLOAT", 0 },
                  { "bool", "BOOLEAN", 0 },  { "choice", "COMBO", 0 }, { "path", "STRING", 1 } };
    luaL_newmetatable(L, PARAM);
    lua_pushcfunction(L, param_gc);
    lua_setfield(L, -2, "__gc");
    lua_pushliteral(L, "declaration");
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        lua_pushstring(L, kinds[i].type);
        lua_pushboolean(L, kinds[i].is_path);
        lua_pushcclosure(L, declare, 2);
        lua_setfield(L, -2, kinds[i].name);
    }
    lua_pushcfunction(L, declare_port);
    lua_setfield(L, -2, "port");
}

/* ---------------------------------------------------------------------------- tables of them */

typedef struct row {
    const char *name;
    int order;
    json_t *spec; /* borrowed */
} row;

static int by_order(const void *a, const void *b)
{
    const row *x = a, *y = b;
    return x->order != y->order ? (x->order < y->order ? -1 : 1) : strcmp(x->name, y->name);
}

/* The declaration at the top, or a port type as plain text, which sorts behind those by name. */
static row read_row(lua_State *L, const char *name, const char *what)
{
    const tbi_param *p = tbi_param_at(L, -1);
    if (p)
        return (row){ name, p->order, p->spec };
    if (lua_type(L, -1) != LUA_TSTRING)
        tbi_raise(L, "%s '%s' must be declared, as %s = tb.int { default = 1 }, got a %s", what,
                  name, name, luaL_typename(L, -1));
    tbi_check_port_type(L, lua_tostring(L, -1));
    p = push_param(L, lua_tostring(L, -1));
    if (is_scalar(lua_tostring(L, -2)))
        settle_default(L, p->spec);
    lua_replace(L, -2);
    return (row){ name, INT32_MAX, p->spec };
}

void tbi_params_read(lua_State *L, int index, json_t *array, const char *what)
{
    enum { MAX = 64 };
    row rows[MAX];
    int n = 0;
    luaL_checkstack(L, MAX + 8, "declarations");
    if (!lua_istable(L, index))
        tbi_raise(L, "%ss must be a table of declarations", what);
    lua_pushnil(L);
    while (lua_next(L, index)) {
        if (lua_type(L, -2) != LUA_TSTRING || n == MAX)
            tbi_raise(L, "%ss are named, and at most %d: { steps = tb.int { ... } }", what, MAX);
        json_decref(tbi_json_text(L, -2, what));
        rows[n] = read_row(L, lua_tostring(L, -2), what);
        n++;
        lua_insert(L, -2); /* keep the declaration below the key: its JSON stays alive */
    }
    qsort(rows, (size_t)n, sizeof *rows, by_order);
    for (int i = 0; i < n; i++) {
        json_t *copy = json_pack("{ss}", "name", rows[i].name);
        json_object_update(copy, rows[i].spec);
        json_array_append_new(array, copy);
    }
    lua_pop(L, n);
}
