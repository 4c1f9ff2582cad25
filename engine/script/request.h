/* request.h - one request to the Lua child, and the functions that serve it under lua_pcall. */
#pragma once

#include "script/host.h"

typedef struct tbi_request {
    const json_t *json;
    json_t *answer; /* the value of "ok"; owned */
    tbi_fds fds_in, fds_out;
    tb_value *inputs; /* run: owned here, so that a jump cannot leak them */
    tb_value *outputs[TBI_WIRE_MAX_FDS];
    int output_count;
} tbi_request;

/* A text field of the request, or "". */
const char *tbi_request_text(const tbi_request *r, const char *name);

/* lua_CFunctions with the request as light userdata at 1. */
int tbi_op_load(lua_State *L);
int tbi_op_build(lua_State *L);
int tbi_op_expand(lua_State *L);
int tbi_op_run(lua_State *L); /* fills outputs */
/* hooks.c */
int tbi_op_hook(lua_State *L); /* need, changed, validate */
/* Note where the function on top is defined, and push what it is called with: ctx, and the inputs
 * of the request. */
void tbi_push_call(lua_State *L, const tb_type *t, tbi_request *r);
