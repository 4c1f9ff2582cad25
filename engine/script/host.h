/* host.h - inside the Lua child: one state, its limits, and what a request builds.
 *
 * Audience: engine/script only.
 * Errors:   functions called from Lua raise a plain sentence with tbi_raise; the place is found by
 * the message handler, which walks past frames of the shipped library to the user's line. Memory:
 * lua_error jumps past C frames, so JSON under construction hangs below the host at all times
 *           (`scratch`, `graph`, `types_json`) and is freed with it.
 * Threads:  one.
 */
#pragma once

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/json.h"
#include "base/map.h"
#include "graph/types.h"
#include "script/wire.h"

#define TBI_LUA_MEMORY          (64u << 20)       /* bytes of the Lua heap */
#define TBI_LUA_TENSORS         ((size_t)2 << 30) /* bytes of tensors a Lua node may hold at once */
#define TBI_LUA_STEPS           20000000          /* instructions an evaluation may take */
#define TBI_LUA_RUN_STEPS       1000000000        /* the same for the run of a node */
#define TBI_LUA_CPU_SECONDS     2
#define TBI_LUA_WALL_SECONDS    4 /* the engine kills after 5 */
#define TBI_LUA_RUN_CPU_SECONDS 60
#define TBI_ID_BYTES            256 /* node ids with their 0 */

typedef struct tbi_host {
    lua_State *L;
    int sock;
    size_t memory; /* bytes of the Lua heap now */
    int64_t steps_left;
    bool exhausted;    /* steps ran out: pcall does not catch that */
    char place[256];   /* "file:line" of the last user line seen, for deaths without a stack */
    char message[800]; /* of the last error, with its origin */
    char origin[256];
    char function_place[256]; /* where the function of this request is defined, "" for the library's
                               */
    char syntax_place[256];   /* where the last chunk could not be compiled */

    tb_types *types;
    json_t *types_json; /* what scripts defined, for the engine */
    int library_types;  /* how many of them are the library's */
    json_t *sources;    /* { file: text } of the user's files that are loaded completely */
    json_t *open;       /* the same of those being loaded now */
    bool in_library;    /* the shipped modules are being loaded */
    bool loading;       /* types may be defined */
    bool used;          /* user code has run in this state */
    json_t *params;     /* declarations of the loaded graph, in order; NULL: none is loaded */
    json_t *view;       /* { "table": how the loaded graph is drawn } */
    char *doc;
    int next_order;

    json_t *graph;   /* document under construction; NULL: no node can be made now */
    unsigned serial; /* of that document: links of another one are refused */
    tb_map *id_counts;
    char prefix[TBI_ID_BYTES]; /* scope of new ids: "sample/step_07/" */
    bool expanding;            /* a composite makes its nodes; else the graph of the user */
    json_t *scratch;           /* the JSON being built; borrowed pointers into it are safe */
} tbi_host;

/* --------------------------------------------------------------------------- host.c: the state */

/* A fresh state with the library loaded. NULL on error. */
tbi_host *tbi_host_new(int sock, tb_err *err);
void tbi_host_free(tbi_host **h);
tbi_host *tbi_host_of(lua_State *L);
/* Allow that many instructions from now. */
void tbi_host_refill(tbi_host *h, int64_t steps);
/* Charge work done in C. Raises when the allowance is used up. */
void tbi_host_charge(lua_State *L, int64_t steps);
/* lua_pcall(L, nargs, nresults) that turns an error into a status with message and origin. */
tb_status tbi_host_call(tbi_host *h, int nargs, int nresults, tb_err *err);
/* Raise a sentence. */
_Noreturn void tbi_raise(lua_State *L, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* "file:line" of the nearest user frame, or "". */
void tbi_origin(lua_State *L, char *buf, size_t n);
/* Remember the user's line before C work that no hook can interrupt. */
void tbi_note_place(lua_State *L);
/* Replace *slot and give it back: host-owned JSON that a jump cannot leak. */
json_t *tbi_json_keep(json_t **slot, json_t *fresh);

/* Compile a text chunk with the given environment and push the function; raises on a syntax error.
 */
void tbi_load_chunk(lua_State *L, const char *name, const char *text, size_t n, bool library);

/* ----------------------------------------------------------------------------------- sandbox.c */

/* Push a new table of allowed globals. */
void tbi_push_environment(lua_State *L);
/* Lock the metatable of strings. */
void tbi_guard_strings(lua_State *L);
int tbi_pairs(lua_State *L); /* pairs.c */
/* require.c */
int tbi_require(lua_State *L);
/* Push the value of a module. */
void tbi_require_name(lua_State *L, const char *name);
/* A user's file has run to its end: from h->open to h->sources. */
void tbi_source_loaded(tbi_host *h, const char *file);
/* Run all shipped modules. A lua_CFunction without arguments. */
int tbi_load_library(lua_State *L);

/* -------------------------------------------------------------------------------- the module
 * `tubelet` */

int tbi_open_module(lua_State *L);  /* module.c: pushes the module's table */
void tbi_open_params(lua_State *L); /* params.c: tb.string, ... into the table on top */
void tbi_open_define(lua_State *L); /* define.c: tb.node, tb.composite */
void tbi_open_tensor(lua_State *L); /* lua_tensor.c: tb.tensor */

/* literal.c. A literal on the stack as JSON: lists wrapped as {"__value__": [...]}. Owned by
 * h->scratch or, when `into` is given, set as its field. `what` names it in errors. */
void tbi_literal_set(lua_State *L, int index, json_t *into, const char *field, const char *what);
/* Push any JSON: arrays and objects become tables, null nil. */
void tbi_push_json(lua_State *L, const json_t *j);
/* What a composite answers for an output, at the end of an array: as tbi_literal_set, and links may
 * stand in tables. */
void tbi_answer_set(lua_State *L, int index, json_t *into, const char *what);
/* Push a literal for an input or parameter of that type: INT and FLOAT get their Lua subtype. */
void tbi_push_literal(lua_State *L, const json_t *j, const char *type);
/* A JSON string from Lua, refused with a sentence when it is not UTF-8. New reference. */
json_t *tbi_json_text(lua_State *L, int index, const char *what);

/* params.c: the declaration behind tb.int { ... } or tb.port "LATENT"; NULL when it is something
 * else. */
typedef struct tbi_param {
    int order;
    json_t *spec;
} tbi_param;
tbi_param *tbi_param_at(lua_State *L, int index);
/* Raises unless it is written as one: "IMAGE", "INT,FLOAT", "*". */
void tbi_check_port_type(lua_State *L, const char *type);
/* Declarations in the table at `index`, in the order they were written: fills `array` (borrowed).
 */
void tbi_params_read(lua_State *L, int index, json_t *array, const char *what);
/* params_value.c: a literal checked against its declaration; strings are converted. New reference.
 */
json_t *tbi_param_convert(const json_t *spec, const json_t *given, tb_err *err);

/* build.c: nodes and the links between them. */
void tbi_build_begin(tbi_host *h, const char *prefix);
void tbi_build_end(tbi_host *h);
int tbi_make_node(lua_State *L, const char *type); /* inputs table at 1; pushes the outputs */
int tbi_scope(lua_State *L);
void tbi_push_link(lua_State *L, const char *id, int slot, const tb_type *type);
/* The link at `index` as ["id", slot]; NULL when it is no link. Raises for a node with several
 * outputs. */
json_t *tbi_link_json(lua_State *L, int index, const char *into);
/* The id of the node behind the value at `index`; NULL when it is no link. */
const char *tbi_link_id(lua_State *L, int index);
void tbi_open_links(lua_State *L);

/* Push the function that belongs to a type defined in Lua; raises if there is none. */
void tbi_push_function(lua_State *L, const char *type);
void tbi_push_hook(lua_State *L, const char *type, const char *hook);

/* lua_value.c: values of a run. */
void tbi_push_value(lua_State *L, const tb_value *v);
/* New reference, or NULL with a sentence; does not raise. */
tb_value *tbi_value_at(lua_State *L, int index, int depth, tb_err *err);
void tbi_push_tensor_take(lua_State *L, tb_tensor *t);
const tb_tensor *tbi_tensor_at(lua_State *L, int index); /* NULL: something else */
