/* require.c - modules: the library in the binary first, then files beside the graph, which the
 * engine reads for us.
 */
#include <stdio.h>
#include <string.h>

#include "script/host.h"
#include "script/lua_lib.h"

#define MAX_MODULE_NAME 128

static const struct tb_lua_file *find_shipped(const char *name)
{
    for (const struct tb_lua_file *f = tb_lua_lib; f->name; f++)
        if (strcmp(f->name, name) == 0)
            return f;
    return NULL;
}

/* Ask the engine for name.lua beside the graph; push the chunk. The file's name is copied to
 * `file`. */
static void load_users_module(lua_State *L, const char *name, char *file, size_t size)
{
    tbi_host *h = tbi_host_of(L);
    tbi_fds fds = { 0 };
    tb_err err = TB_ERR_INIT;
    json_t *ask = tbi_json_keep(&h->scratch, json_pack("{ss}", "need", name));
    json_t *answer = NULL;
    if (tbi_wire_send(h->sock, ask, NULL, &(tbi_patience){ 0 }, &err) == TB_OK)
        answer = tbi_wire_receive(h->sock, &fds, &(tbi_patience){ 0 }, &err);
    if (!answer)
        tbi_raise(L, "%s", err.message);
    tbi_json_keep(&h->scratch, answer);
    tbi_fds_close(&fds);
    const json_t *text = json_object_get(answer, "text");
    const char *answered = json_string_value(json_object_get(answer, "name"));
    if (!json_is_string(text) || !answered)
        tbi_raise(L, "%s", json_string_value(json_object_get(answer, "missing")));
    snprintf(file, size, "%s", answered);
    json_object_set(h->open, file, (json_t *)(uintptr_t)text);
    tbi_load_chunk(L, file, json_string_value(text), json_string_length(text), false);
}

void tbi_source_loaded(tbi_host *h, const char *file)
{
    json_object_set(h->sources, file, json_object_get(h->open, file));
    json_object_del(h->open, file);
}

/* The value of a module that runs for the first time. */
static void run_module(lua_State *L, const char *name)
{
    const struct tb_lua_file *shipped = find_shipped(name);
    char file[1024] = "";
    lua_pushboolean(L, 0); /* mark: being loaded */
    lua_setfield(L, -2, name);
    if (shipped)
        tbi_load_chunk(L, name, shipped->text, shipped->size, true);
    else
        load_users_module(L, name, file, sizeof file);
    lua_pushstring(L, name);
    lua_call(L, 1, 1);
    if (!shipped)
        tbi_source_loaded(tbi_host_of(L), file);
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        lua_pushboolean(L, 1);
    }
    lua_pushvalue(L, -1);
    lua_setfield(L, -3, name);
}

int tbi_require(lua_State *L)
{
    size_t n = 0;
    const char *name = luaL_checklstring(L, 1, &n);
    if (n == 0 || n > MAX_MODULE_NAME || strlen(name) != n)
        tbi_raise(L, "a module name has 1..%d characters", MAX_MODULE_NAME);
    lua_getfield(L, LUA_REGISTRYINDEX, "tb.loaded");
    if (lua_getfield(L, -1, name) == LUA_TBOOLEAN && !lua_toboolean(L, -1))
        tbi_raise(L, "module '%s' requires itself, or failed before", name);
    if (!lua_isnil(L, -1))
        return 1;
    lua_pop(L, 1);
    if (strcmp(name, "tubelet") == 0) {
        tbi_open_module(L);
        lua_pushvalue(L, -1);
        lua_setfield(L, -3, name);
    } else {
        run_module(L, name);
    }
    return 1;
}

void tbi_require_name(lua_State *L, const char *name)
{
    lua_pushcfunction(L, tbi_require);
    lua_pushstring(L, name);
    lua_call(L, 1, 1);
}

int tbi_load_library(lua_State *L)
{
    for (const struct tb_lua_file *f = tb_lua_lib; f->name; f++) {
        tbi_require_name(L, f->name);
        lua_pop(L, 1);
    }
    return 0;
}
