/* types.h - all node types a graph may use: those in C, and those a script defines.
 *
 * JSON of a type (from Lua, for the editor, for `tubelet nodes --json`):
 *   { "name", "kind": "primitive"|"lua"|"composite", "title", "category", "doc", "example",
 *     "version": str, "target": bool, "impure": bool, "need", "changed", "validate": bool (it has
 *     that function), "rest": port type of inputs that are not declared,
 *     "inputs": [ { "name", "type", "default", "min", "max", "choices": [str], "unit", "doc",
 *                   "optional", "lazy", "list", "literal", "multiline", "required", "upload",
 *                   "seed", "advanced", "resolved", "files": the kind of files a COMBO offers
 * (base/folders.h) instead of "choices" } ], "outputs": [ { "name", "type", "list", "doc" } ] }
 * Inputs of scalar types (INT FLOAT STRING BOOLEAN COMBO) take literals or links, all others links
 * only; a union of types takes literals when one of its types does.
 */
#pragma once

#include "base/folders.h"
#include "base/json.h"
#include "node.h"

typedef enum tb_type_kind { TB_PRIMITIVE, TB_LUA, TB_COMPOSITE } tb_type_kind;

/* Functions a node in Lua may have beside `run`; asked through tb_script_hook. */
enum {
    TB_HOOK_NEED = 1 << 0,     /* which lazy inputs it wants */
    TB_HOOK_CHANGED = 1 << 1,  /* a value that enters the key: what stands behind the inputs */
    TB_HOOK_VALIDATE = 1 << 2, /* what is wrong with its literals */
};

typedef struct tb_type {
    tb_type_kind kind;
    const tb_node_def *def; /* for Lua types built from JSON: tables only, params_size = 8 per
                               input, no functions */
    const char
        *version; /* text that enters the key: the def's version, or the digest of the Lua source */
    int input_count, output_count;
    unsigned hooks;
    const char *rest; /* port type of inputs that are not in the table; NULL: there are none */
} tb_type;

typedef struct tb_types tb_types;

tb_types *tb_types_new(void); /* tb_node_list */
void tb_types_free(tb_types **t);
/* Add nodes in C that are not in nodes/ (an embedder's own): an array that ends with NULL;
 * borrowed. */
void tb_types_add_defs(tb_types *t, const tb_node_def *const *defs);
/* Add types reported by a script: an array of the JSON above. A name that exists already is
 * replaced. */
tb_status tb_types_add(tb_types *t, const json_t *array, tb_err *err);
const tb_type *tb_types_find(const tb_types *t, const char *name);
/* Where COMBOs of files look: a literal of such an input is then checked with the graph. Borrowed;
 * NULL: not checked. */
void tb_types_set_folders(tb_types *t, const tb_folders *folders);
const tb_folders *tb_types_folders(const tb_types *t);
/* The nearest known name, or NULL when none is near. */
const char *tb_types_nearest(const tb_types *t, const char *name);
/* Has every node of the graph (API format) a type that is known? Else only a script can say more.
 */
bool tb_types_know_all(const tb_types *t, const json_t *graph);
int tb_types_count(const tb_types *t);
const tb_type *tb_types_at(const tb_types *t, int i);   /* sorted by name */
int tb_type_input(const tb_type *t, const char *name);  /* index or -1 */
int tb_type_output(const tb_type *t, const char *name); /* index or -1 */
/* The input whose name is nearest, or NULL when none is near; and all names, "a, b, c", freed by
 * free(). */
const char *tb_type_nearest_input(const tb_type *t, const char *name);
char *tb_type_input_names(const tb_type *t);
json_t *tb_type_to_json(const tb_type *t);
/* Do two port types have one in common ("A,B" unions, "*" anything), as ComfyUI asks? */
bool tb_port_meets(const char *from, const char *into);
/* Do two port types fit (they meet, or INT into FLOAT, STRING into COMBO)? */
bool tb_port_fits(const char *from, const char *into);
