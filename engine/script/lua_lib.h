/* lua_lib.h - the shipped Lua modules and graphs, embedded by CMake from scripts/lib and graphs. */
#pragma once

#include <stddef.h>

struct tb_lua_file {
    const char *name; /* without .lua */
    const char *text;
    size_t size;
};

/* Both end with a NULL name. */
extern const struct tb_lua_file tb_lua_lib[];
extern const struct tb_lua_file tb_lua_graphs[];
