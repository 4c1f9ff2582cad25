/* lua_text.h - names, texts, numbers and tables as Lua source.
 *
 * Audience: engine/script only. The text hangs on the value alone: keys are sorted, numbers have
 * the shortest digits that give them back.
 */
#pragma once

#include <stddef.h>

#include "base/json.h"
#include "base/str.h"

/* "quoted", for any bytes. */
void tbi_lua_text(tb_str *b, const char *s, size_t n);
/* name = or ["odd name"] = */
void tbi_lua_key(tb_str *b, const char *name);
/* base.name or base["odd name"] */
void tbi_lua_field(tb_str *b, const char *base, const char *name);
/* A literal of an input: lists stand in {"__value__": [...]}. */
tb_status tbi_lua_literal(tb_str *b, const json_t *v, tb_err *err);
/* Any JSON; an empty object is refused, which Lua cannot tell from an empty list. */
tb_status tbi_lua_plain(tb_str *b, const json_t *v, tb_err *err);
/* Keys of an object, sorted. Freed by free(). */
const char **tbi_sorted_keys(const json_t *object, size_t *n);
