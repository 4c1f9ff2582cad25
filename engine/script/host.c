/* host.c - the Lua state of the child: its memory, its instructions and its errors. */
#include "script/host.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define HOOK_STEPS 1000

tbi_host *tbi_host_of(lua_State *L)
{
    return *(tbi_host **)lua_getextraspace(L);
}

static void *allocate(void *ud, void *p, size_t old, size_t n)
{
    tbi_host *h = ud;
    if (!p)
        old = 0; /* Lua passes the kind of object here */
    if (n == 0) {
        free(p);
        h->memory -= old;
        return NULL;
    }
    if (n > old && h->memory + (n - old) > TBI_LUA_MEMORY) {
        if (h->L) /* reads the call chain only; Lua calls no message handler when memory is out */
            tbi_note_place(h->L);
        return NULL;
    }
    void *q = realloc(p, n);
    if (q)
        h->memory = h->memory - old + n;
    return q;
}

/* ------------------------------------------------------------------------------------ errors */

void tbi_raise(lua_State *L, const char *fmt, ...)
{
    char text[sizeof((tbi_host *)0)->message];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    lua_pushstring(L, text);
    lua_error(L);
    abort(); /* lua_error does not return; its declaration does not say so */
}

void tbi_origin(lua_State *L, char *buf, size_t n)
{
    lua_Debug ar;
    *buf = 0;
    for (int level = 0; lua_getstack(L, level, &ar); level++) {
        lua_getinfo(L, "Sl", &ar);
        if (*ar.source == '@' && ar.currentline > 0) {
            snprintf(buf, n, "%s:%d", ar.source + 1, ar.currentline);
            return;
        }
    }
}

void tbi_note_place(lua_State *L)
{
    tbi_host *h = tbi_host_of(L);
    tbi_origin(L, h->place, sizeof h->place);
}

/* Lua writes "short_src:line: " in front; the origin is told apart from the sentence. */
static const char *without_place(lua_State *L, const char *text)
{
    lua_Debug ar;
    for (int level = 0; level < 10 && lua_getstack(L, level, &ar); level++) {
        char prefix[LUA_IDSIZE + 16];
        lua_getinfo(L, "Sl", &ar);
        const int n = snprintf(prefix, sizeof prefix, "%s:%d: ", ar.short_src, ar.currentline);
        if (ar.currentline > 0 && strncmp(text, prefix, (size_t)n) == 0)
            return text + n;
    }
    return text;
}

/* One line of valid UTF-8 that fits: what a script raises may be anything. */
static void clean_copy(char *dst, size_t n, const char *src)
{
    size_t k = 0;
    for (; *src && k + 1 < n; src++)
        dst[k++] = iscntrl((unsigned char)*src) ? ' ' : *src;
    if (*src && n > 4) {
        while (k > n - 4 || (k > 0 && ((unsigned char)dst[k - 1] & 0xC0) == 0x80))
            k--;
        if (k > 0 && (unsigned char)dst[k - 1] >= 0xC0)
            k--;
        memcpy(dst + k, "...", 3);
        k += 3;
    }
    dst[k] = 0;
    json_t *valid = json_string(dst);
    for (size_t i = 0; !valid && i < k; i++)
        if ((unsigned char)dst[i] >= 0x80)
            dst[i] = '?';
    json_decref(valid);
}

static int on_error(lua_State *L)
{
    tbi_host *h = tbi_host_of(L);
    tbi_origin(L, h->origin, sizeof h->origin);
    if (!*h->origin)
        memcpy(h->origin, h->function_place, sizeof h->origin);
    char kind[80];
    const char *text = lua_type(L, 1) == LUA_TSTRING ? lua_tostring(L, 1) : NULL;
    snprintf(kind, sizeof kind, "the script raised a %s instead of a message", luaL_typename(L, 1));
    const size_t n = strlen(h->syntax_place);
    if (n && text && strncmp(text, h->syntax_place, n) == 0) {
        memcpy(h->origin, h->syntax_place, n + 1);
        text += n + 2;
    }
    clean_copy(h->message, sizeof h->message, text ? without_place(L, text) : kind);
    if (!*h->message)
        snprintf(h->message, sizeof h->message, "the script raised an error without a message");
    return 1;
}

tb_status tbi_host_call(tbi_host *h, int nargs, int nresults, tb_err *err)
{
    const int base = lua_gettop(h->L) - nargs;
    *h->message = *h->origin = 0;
    lua_pushcfunction(h->L, on_error);
    lua_insert(h->L, base);
    const int rc = lua_pcall(h->L, nargs, nresults, base);
    lua_remove(h->L, base);
    if (rc == LUA_OK)
        return TB_OK;
    lua_settop(h->L, base - 1);
    if (rc == LUA_ERRMEM) {
        tb_err_set(err, TB_ELIMIT, "the script needs more than %u MiB of memory",
                   TBI_LUA_MEMORY >> 20);
        tb_err_where(err, NULL, NULL, h->place);
        return TB_ELIMIT;
    }
    const tb_status st = h->exhausted ? TB_ELIMIT : TB_ESCRIPT;
    tb_err_set(err, st, "%s", *h->message ? h->message : "the script failed while it was failing");
    tb_err_where(err, NULL, NULL, h->origin);
    return st;
}

/* ---------------------------------------------------------------------------------- the hook */

static void out_of_steps(lua_State *L)
{
    tbi_host_of(L)->exhausted = true;
    tbi_raise(L,
              "the script ran too long: more instructions than allowed; look for an endless loop");
}

void tbi_host_charge(lua_State *L, int64_t steps)
{
    tbi_host *h = tbi_host_of(L);
    h->steps_left -= steps;
    if (h->steps_left < 0)
        out_of_steps(L);
}

static void on_count(lua_State *L, lua_Debug *ar)
{
    (void)ar;
    tbi_note_place(L);
    tbi_host_charge(L, HOOK_STEPS);
}

void tbi_host_refill(tbi_host *h, int64_t steps)
{
    h->steps_left = steps;
    h->exhausted = false;
    *h->place = *h->function_place = 0;
    lua_sethook(h->L, on_count, LUA_MASKCOUNT, HOOK_STEPS);
}

/* --------------------------------------------------------------------------------- the state */

json_t *tbi_json_keep(json_t **slot, json_t *fresh)
{
    json_decref(*slot);
    *slot = fresh;
    return fresh;
}

/* Syntax errors come as "file:line: text", with the file cut to 60 characters: written anew in
 * full, and remembered so that on_error can tell the place from the sentence. */
static void raise_syntax(lua_State *L, const char *name)
{
    tbi_host *h = tbi_host_of(L);
    const char *text = lua_tostring(L, -1);
    for (const char *p = text ? strchr(text, ':') : NULL; p; p = strchr(p + 1, ':')) {
        char *end = NULL;
        const long line = strtol(p + 1, &end, 10);
        if (line > 0 && end[0] == ':' && end[1] == ' ') {
            snprintf(h->syntax_place, sizeof h->syntax_place, "%s:%ld", name, line);
            tbi_raise(L, "%s: %s", h->syntax_place, end + 2);
        }
    }
    tbi_raise(L, "%s cannot be read: %s", name, text ? text : "no memory");
}

void tbi_load_chunk(lua_State *L, const char *name, const char *text, size_t n, bool library)
{
    lua_pushfstring(L, library ? "=tubelet/%s.lua" : "@%s", name);
    if (luaL_loadbufferx(L, text, n, lua_tostring(L, -1), "t") != LUA_OK)
        raise_syntax(L, name);
    lua_remove(L, -2); /* the name */
    lua_getfield(L, LUA_REGISTRYINDEX, library ? "tb.env.library" : "tb.env.user");
    lua_setupvalue(L, -2, 1);
}

static int open_state(lua_State *L)
{
    luaL_openlibs(L); /* the originals, out of reach: chunks see copies of what is allowed */
    tbi_guard_strings(L);
    lua_newtable(L);
    lua_setfield(L, LUA_REGISTRYINDEX, "tb.loaded");
    lua_newtable(L);
    lua_setfield(L, LUA_REGISTRYINDEX, "tb.functions");
    tbi_push_environment(L);
    lua_setfield(L, LUA_REGISTRYINDEX, "tb.env.library");
    tbi_push_environment(L);
    lua_setfield(L, LUA_REGISTRYINDEX, "tb.env.user");
    return tbi_load_library(L);
}

tbi_host *tbi_host_new(int sock, tb_err *err)
{
    tbi_host *h = tb_xcalloc(1, sizeof *h);
    h->sock = sock;
    h->types = tb_types_new();
    h->types_json = json_array();
    h->sources = json_object();
    h->open = json_object();
    h->L = lua_newstate(allocate, h);
    if (!h->L) {
        tb_err_set(err, TB_ENOMEM, "no memory for a Lua state");
        tbi_host_free(&h);
        return NULL;
    }
    *(tbi_host **)lua_getextraspace(h->L) = h;
    tbi_host_refill(h, TBI_LUA_STEPS);
    h->in_library = h->loading = true;
    lua_pushcfunction(h->L, open_state);
    tb_status st = tbi_host_call(h, 0, 0, err);
    h->in_library = h->loading = false;
    h->library_types = (int)json_array_size(h->types_json);
    if (st == TB_OK)
        st = tb_types_add(h->types, h->types_json, err);
    if (st != TB_OK)
        tbi_host_free(&h);
    return h;
}

void tbi_host_free(tbi_host **hp)
{
    tbi_host *h = *hp;
    *hp = NULL;
    if (!h)
        return;
    if (h->L)
        lua_close(h->L);
    tbi_build_end(h);
    tb_types_free(&h->types);
    json_decref(h->types_json);
    json_decref(h->sources);
    json_decref(h->open);
    json_decref(h->params);
    json_decref(h->view);
    json_decref(h->scratch);
    free(h->doc);
    free(h);
}
