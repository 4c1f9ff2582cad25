/* open.h - a graph as the user names it: a Lua file, JSON (ours, API format, or as ComfyUI's editor
 * saves it), or a video or picture we made.
 *
 * Opening a Lua file starts the script child, which stays until cli_graph_close: it may be needed
 * to expand composites during the run.
 */
#pragma once

#include "cli/cli.h"
#include "graph/types.h"
#include "script/script.h"

typedef struct cli_source {
    const char *path;    /* borrowed */
    tb_script *script;   /* NULL unless a script is needed */
    json_t *info;        /* Lua: { doc, params }; else NULL */
    json_t *document;    /* { graph, targets, script } after cli_source_build */
    cli_option *options; /* one for each parameter; ends with { 0 } */
    char **texts;        /* owned texts of `options` */
    int text_count;
    tb_types *types; /* made on first use */
} cli_source;

/* Read the file. For Lua: load it, so that its parameters are known. */
tb_status cli_source_open(cli_source *s, const char *path, tb_err *err);
/* Make the document: parameters from the options given, then every --set. */
tb_status cli_source_build(cli_source *s, const cli_args *args, tb_err *err);
void cli_source_close(cli_source *s);

/* All node types the document may use (starts the script child when one of them is not written in
 * C). Borrowed. NULL on error. */
const tb_types *cli_source_types(cli_source *s, tb_err *err);

/* What run, plan and graph do first: open operand 0, read the options behind it, build. Returns -1
 * when the document is there, else the exit code (0: help was shown). `args` may be changed. */
int cli_source_prepare(cli_source *s, cli_args *args);
