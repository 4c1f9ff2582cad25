/* define.c - tb.node and tb.composite: node types written in Lua.
 *
 * The version of a node in Lua, which enters the keys of its results, is a digest of the file that
 * defines it and of the modules that were loaded before: a change in any of them makes results
 * anew.
 */
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "script/host.h"
#include "script/lua_lib.h"

#define MAX_NAME 63

static const char *const fields[] = { "name",   "title",   "category", "doc",  "version",  "target",
                                      "inputs", "outputs", "example",  "rest", "validate", NULL };
/* Of nodes alone. */
static const char *const node_fields[] = { "run", "need", "changed", "impure", NULL };
static const char *const hooks[] = { "need", "changed", "validate", NULL };

static bool among(const char *const *list, const char *key)
{
    while (*list && strcmp(*list, key) != 0)
        list++;
    return *list != NULL;
}

static void check_fields(lua_State *L, bool composite)
{
    const char *what = composite ? "tb.composite" : "tb.node";
    const char *body = composite ? "expand" : "run";
    lua_pushnil(L);
    while (lua_next(L, 1)) {
        lua_pop(L, 1);
        const char *key = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "?";
        if (!among(fields, key) && (composite ? strcmp(key, body) : !among(node_fields, key)))
            tbi_raise(L,
                      "%s has no field '%s'; it takes name, inputs, outputs, %s, title, category, "
                      "doc, example, version, target, rest, validate",
                      what, key, composite ? body : "run, need, changed, impure");
    }
    if (lua_getfield(L, 1, body) != LUA_TFUNCTION)
        tbi_raise(L, "%s needs %s, a function", what, body);
    lua_pop(L, 1);
}

/* Pushes it and leaves it on the stack. */
static const char *check_name(lua_State *L, const char *what)
{
    const tbi_host *h = tbi_host_of(L);
    if (lua_getfield(L, 1, "name") != LUA_TSTRING)
        tbi_raise(L, "%s needs a name", what);
    const char *name = lua_tostring(L, -1);
    const size_t n = strlen(name);
    if (n == 0 || n > MAX_NAME || n != lua_rawlen(L, -1) || strpbrk(name, "/\n\t\r"))
        tbi_raise(L, "a node's name has 1..%d characters without '/', got '%.80s'", MAX_NAME, name);
    bool taken = tb_types_find(h->types, name) != NULL;
    lua_getfield(L, LUA_REGISTRYINDEX, "tb.functions");
    taken |= lua_getfield(L, -1, name) != LUA_TNIL;
    lua_pop(L, 2);
    if (taken)
        tbi_raise(L, "there is a node '%s' already; choose another name", name);
    return name;
}

static void copy_texts(lua_State *L, json_t *type)
{
    static const char *const texts[] = { "title", "category", "doc", "example", NULL };
    for (const char *const *t = texts; *t; t++) {
        if (lua_getfield(L, 1, *t) == LUA_TSTRING)
            json_object_set_new(type, *t, tbi_json_text(L, -1, *t));
        lua_pop(L, 1);
    }
    static const char *const flags[] = { "target", "impure", NULL };
    for (const char *const *f = flags; *f; f++) {
        lua_getfield(L, 1, *f);
        json_object_set_new(type, *f, json_boolean(lua_toboolean(L, -1)));
        lua_pop(L, 1);
    }
    if (lua_getfield(L, 1, "rest") == LUA_TSTRING) {
        tbi_check_port_type(L, lua_tostring(L, -1));
        json_object_set_new(type, "rest", tbi_json_text(L, -1, "rest"));
    } else if (!lua_isnil(L, -1)) {
        tbi_raise(L,
                  "rest is the port type of inputs that are not declared, as \"IMAGE\", got a %s",
                  luaL_typename(L, -1));
    }
    lua_pop(L, 1);
}

/* Beside the function itself, as "name/need": a name has no '/'. */
static void keep_hooks(lua_State *L, const char *name, json_t *type)
{
    for (const char *const *h = hooks; *h; h++) {
        const int kind = lua_getfield(L, 1, *h);
        if (kind != LUA_TNIL && kind != LUA_TFUNCTION)
            tbi_raise(L, "%s must be a function, got a %s", *h, lua_typename(L, kind));
        if (kind == LUA_TFUNCTION) {
            lua_getfield(L, LUA_REGISTRYINDEX, "tb.functions");
            lua_pushfstring(L, "%s/%s", name, *h);
            lua_pushvalue(L, -3);
            lua_settable(L, -3);
            lua_pop(L, 1);
            json_object_set_new(type, *h, json_true());
        }
        lua_pop(L, 1);
    }
}

static void hash_text(tb_hasher *hs, const json_t *text)
{
    tb_hasher_bytes(hs, json_string_value(text), json_string_length(text));
}

/* source is "@file" for the user's files, "=tubelet/name.lua" for ours. */
static void hash_definer(const tbi_host *h, tb_hasher *hs, const char *source)
{
    char chunk[80];
    const json_t *text = json_object_get(h->open, source + 1);
    if (text)
        hash_text(hs, text);
    for (const struct tb_lua_file *f = tb_lua_lib; f->name; f++) {
        snprintf(chunk, sizeof chunk, "=tubelet/%s.lua", f->name);
        if (strcmp(source, chunk) == 0)
            tb_hasher_bytes(hs, f->text, f->size);
    }
}

static void set_version(lua_State *L, json_t *type)
{
    const tbi_host *h = tbi_host_of(L);
    lua_Debug ar;
    tb_hasher hs;
    tb_hasher_init(&hs);
    char hex[TB_KEY_HEX];
    if (lua_getfield(L, 1, "version") == LUA_TSTRING)
        tb_hasher_str(&hs, lua_tostring(L, -1));
    lua_pop(L, 1);
    const char *name;
    json_t *text;
    json_object_foreach(h->sources, name, text) hash_text(&hs, text);
    if (lua_getstack(L, 1, &ar) && lua_getinfo(L, "S", &ar))
        hash_definer(h, &hs, ar.source);
    const tb_key k = tb_hasher_done(&hs);
    tb_key_hex(&k, hex);
    hex[32] = 0;
    json_object_set_new(type, "version", json_string(hex));
}

static int define(lua_State *L, bool composite)
{
    const char *what = composite ? "tb.composite" : "tb.node";
    tbi_host *h = tbi_host_of(L);
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    if (!h->loading)
        tbi_raise(L, "%s must be called when the file is loaded, not inside build or expand", what);
    check_fields(L, composite);
    const char *name = check_name(L, what); /* at 2 */
    json_t *ins = json_array(), *outs = json_array();
    json_t *type =
        tbi_json_keep(&h->scratch, json_pack("{ssssso}", "name", name, "kind",
                                             composite ? "composite" : "lua", "inputs", ins));
    json_object_set_new(type, "outputs", outs);
    copy_texts(L, type);
    set_version(L, type);
    if (lua_getfield(L, 1, "inputs") != LUA_TNIL)
        tbi_params_read(L, 3, ins, "input");
    if (lua_getfield(L, 1, "outputs") != LUA_TNIL)
        tbi_params_read(L, 4, outs, "output");
    lua_getfield(L, LUA_REGISTRYINDEX, "tb.functions");
    lua_getfield(L, 1, composite ? "expand" : "run");
    lua_setfield(L, -2, name);
    keep_hooks(L, name, type);
    json_array_append(h->types_json, type);
    if (!h->in_library) { /* the library's are added at once, when all are there */
        tb_err err = TB_ERR_INIT;
        json_t *one = tbi_json_keep(&h->scratch, json_pack("[o]", json_incref(type)));
        if (tb_types_add(h->types, one, &err) != TB_OK)
            tbi_raise(L, "%s", err.message);
    }
    return 0;
}

static int define_node(lua_State *L)
{
    return define(L, false);
}

static int define_composite(lua_State *L)
{
    return define(L, true);
}

void tbi_push_function(lua_State *L, const char *type)
{
    lua_getfield(L, LUA_REGISTRYINDEX, "tb.functions");
    if (lua_getfield(L, -1, type) != LUA_TFUNCTION)
        tbi_raise(L, "no node '%s' is defined in Lua here; load the file that defines it", type);
    lua_remove(L, -2);
}

void tbi_push_hook(lua_State *L, const char *type, const char *hook)
{
    lua_getfield(L, LUA_REGISTRYINDEX, "tb.functions");
    lua_pushfstring(L, "%s/%s", type, hook);
    if (lua_gettable(L, -2) != LUA_TFUNCTION)
        tbi_raise(L, "node '%s' has no %s; load the file that defines it", type, hook);
    lua_remove(L, -2);
}

void tbi_open_define(lua_State *L)
{
    lua_pushcfunction(L, define_node);
    lua_setfield(L, -2, "node");
    lua_pushcfunction(L, define_composite);
    lua_setfield(L, -2, "composite");
}
