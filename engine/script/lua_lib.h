/* lua_lib.h - the shipped Lua modules, embedded by CMake from scripts/lib. */
#pragma once

#include <stddef.h>

struct tb_lua_file {
    const char *name; /* module name */
    const char *text;
    size_t size;
};

extern const struct tb_lua_file tb_lua_lib[]; /* ends with a NULL name */
