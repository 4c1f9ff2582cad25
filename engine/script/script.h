/* script.h - Lua, in a child process of the same binary (`tubelet __lua`).
 *
 * The child has text chunks only, allow-listed names, limits on memory, instructions and time, and
 * one socket. It is killed past its deadline; a script can fail, it cannot hang or crash the
 * engine. reliability.md 6.
 *
 * Threads: a tb_script serves one call at a time (a lock inside); calls block for at most the
 * deadline (5 s for evaluation), so they are made from workers or the command line, not from the
 * loop. JSON:    all results are new references.
 */
#pragma once

#include <stdatomic.h>

#include "base/err.h"
#include "base/json.h"
#include "graph/value.h"

typedef struct tb_script tb_script;

/* Start a child that knows the shipped modules (scripts/lib, embedded in the binary). */
tb_script *tb_script_start(tb_err *err);
void tb_script_stop(tb_script **s);

/* Load a graph file; `require "name"` finds shipped modules first, then name.lua beside the file.
 * Answers { "doc": str, "params": [ {name, type, default, min, max, choices, doc, required} in
 * order ] }. Errors carry the origin file:line. */
json_t *tb_script_load(tb_script *s, const char *path, tb_err *err);

/* The same of a text in memory, at most 1 MiB; modules: files beside `name` may be required. */
json_t *tb_script_load_text(tb_script *s, const char *name, const char *text, size_t n,
                            bool modules, tb_err *err);

/* Everything the child has loaded from the user: { "main": name, "files": { name: text } }; NULL
 * when only the library is loaded. With it a run can be resumed without the file. */
json_t *tb_script_sources(tb_script *s);
tb_status tb_script_load_sources(tb_script *s, const json_t *sources, tb_err *err);

/* Run build(params): params is an object of literals (strings are converted to the declared types;
 * ranges are checked). Answers { "graph": document, "targets": [id, ...], "view"?: {...} };
 * composites stay single nodes. */
json_t *tb_script_build(tb_script *s, const json_t *params, tb_err *err);

/* Node types defined in Lua: library ones and, after loading, the user's. Array in the format of
 * tb_types_add (graph/types.h). */
json_t *tb_script_types(tb_script *s, tb_err *err);

/* Expand one composite: inputs is an object of literals and links ["id", slot]. Answers
 *   { "graph": document, "outputs": [ ["id", slot] or literal, ... ] }
 * where every id starts with node_id + "/" and links to the outside are as given in inputs. */
json_t *tb_script_expand(tb_script *s, const char *type, const char *node_id, const json_t *inputs,
                         tb_err *err);

/* Run a node written in Lua. inputs is a record; outputs[count] receives new references. Tensors
 * cross by shared memory. Killed when *cancel turns true or past the deadline (60 s). */
tb_status tb_script_run_node(tb_script *s, const char *type, const tb_value *inputs,
                             tb_value **outputs, int count, const atomic_bool *cancel, tb_err *err);

/* Ask a function beside `run` (TB_HOOK_*): hook is "need", "changed" or "validate"; inputs a record
 * of what is known. Answers
 *   need      [names of lazy inputs that are wanted]
 *   changed   { "value": any } or { "always": true }
 *   validate  {} or { "message": sentence, "input": name or null } */
json_t *tb_script_hook(tb_script *s, const char *hook, const char *type, const tb_value *inputs,
                       const atomic_bool *cancel, tb_err *err);

/* Entry point of the child: main() calls it first thing for `tubelet __lua`, with
 * TB_SCRIPT_CHILD_FD, the only descriptor the child gets beside 0, 1 and 2. Never returns. */
#define TB_SCRIPT_CHILD_FD 3
_Noreturn void tb_script_child_main(int fd);

/* A document { graph, targets, view } as a Lua file: tb.graph with literal nodes, one a line, and
 * behind them how an editor draws them (view.h); diffs well, runs, and evaluates to the same
 * document. Freed by free(). */
char *tb_script_to_lua(const json_t *document, const char *doc, tb_err *err);
