/* cli.h - what the commands of `tubelet` share: their tables, the option parser, output habits.
 *
 * Audience: engine/cli only. A command is one file with one `cli_command`; its option table feeds
 * the parser, --help and the shell completion. Output:   results go to stdout, progress and errors
 * to stderr. No colour unless the stream is a terminal and NO_COLOR is unset. Threads:  everything
 * here runs on the main thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"
#include "base/json.h"

/* ------------------------------------------------------------------------------------- commands */

typedef struct cli_option {
    const char *name;    /* without dashes */
    const char *value;   /* what follows it, "DIR"; NULL: a flag */
    const char *doc;     /* one sentence */
    const char *choices; /* "json|lua": the only values, NULL: any */
    bool toggle;         /* a flag that also has --no-NAME and --NAME=false */
    char letter;         /* short form, 0: none */
} cli_option;

typedef struct cli_args cli_args;

typedef struct cli_command {
    const char *name;
    const char *operands; /* for the usage line: "GRAPH [RUN]"; "" for none */
    const char *summary;  /* one line, no full stop */
    const char *detail;   /* more lines for --help, or NULL */
    const cli_option *options;
    const char *examples[2];
    const char *words; /* choices of the first operand: "ls|show"; NULL: free */
    int max_operands;
    bool takes_graph;           /* the first operand is a graph; options behind it are read later
                                   (cli_parse_rest) */
    int (*run)(cli_args *args); /* the exit code */
} cli_command;

/* Every command, in the order of the help; ends with NULL. */
extern const cli_command *const cli_commands[];
const cli_command *cli_command_find(const char *name);

extern const cli_command cli_run, cli_plan, cli_resume, cli_runs, cli_graph, cli_nodes, cli_model,
    cli_cache, cli_preview, cli_serve, cli_doctor, cli_completion, cli_help;
/* Below cli_model, with operands of their own. */
extern const cli_command cli_model_compare, cli_model_verify;

/* -------------------------------------------------------------------------------------- options */

typedef struct cli_given {
    const cli_option *option;
    const char *value; /* borrowed from argv; "true" or "false" for toggles, NULL for flags */
} cli_given;

struct cli_args {
    const cli_command *command;
    cli_given *given; /* in the order of the command line */
    int given_count;
    size_t given_cap;
    const char **operands;
    int operand_count;
    size_t operand_cap;
    char **rest; /* takes_graph: what stands behind the graph, not yet read */
    int rest_count;
    bool help; /* --help was among them */
};

/* Read the command line behind the command's name. TB_EUSAGE names the option and the nearest one.
 * With takes_graph reading stops behind the first operand. */
tb_status cli_parse(cli_args *a, const cli_command *command, int argc, char **argv, tb_err *err);
/* Read the rest, where the options of `extra` (ends with { 0 }; NULL: none) are known as well. */
tb_status cli_parse_rest(cli_args *a, const cli_option *extra, tb_err *err);
void cli_args_clear(cli_args *a);

bool cli_flag(const cli_args *a, const char *name);
/* The last value given, or NULL. */
const char *cli_text(const cli_args *a, const char *name);
/* *out keeps its value when the option is not given. Errors name the option and the range. */
tb_status cli_int(const cli_args *a, const char *name, int64_t lo, int64_t hi, int64_t *out,
                  tb_err *err);
/* The same for a size: "2G", "500M", "123". */
tb_status cli_bytes(const cli_args *a, const char *name, uint64_t *out, tb_err *err);
/* Read a whole number, or say that `what` must be lo..hi. */
tb_status cli_number(const char *text, const char *what, int64_t lo, int64_t hi, int64_t *out,
                     tb_err *err);

/* The help page of a command; `extra` (NULL: none) is shown as "Options of <title>". */
void cli_print_help(FILE *f, const cli_command *c, const cli_option *extra, const char *title);
void cli_print_options(FILE *f, const cli_option *options);
/* "(did you mean 'steps'?)" or "" for the nearest of the names so far. */
typedef struct cli_nearest {
    const char *word, *best;
    int distance;
} cli_nearest;
void cli_nearest_offer(cli_nearest *n, const char *name);
const char *cli_nearest_name(const cli_nearest *n); /* NULL: none is near */

/* --------------------------------------------------------------------------------------- output */

/* Say on stderr what went wrong; returns the exit code. */
int cli_fail(const tb_err *err);
/* Exit code of the `help` page's table for a wrong command line: prints the sentence and where help
 * is. */
int cli_usage(const cli_command *c, const tb_err *err);

bool cli_color(FILE *f);
int cli_width(FILE *f); /* columns of the terminal; 100 when it is none */
/* The escape sequence of a style ("1" bold, "2" faint, "32" green), or "" without colour. */
typedef struct cli_sgr {
    char text[12];
} cli_sgr;
cli_sgr cli_style(FILE *f, const char *code);
/* Columns a UTF-8 text takes (no double width). */
int cli_columns(const char *text);
/* Print text broken into lines of at most `width` columns, each behind `indent` spaces; the first
 * line starts where the cursor stands. */
void cli_print_wrapped(FILE *f, const char *text, int indent, int width);
/* Print JSON, indented. */
void cli_print_json(const json_t *j);

/* A table whose columns are as wide as their widest cell. */
typedef struct cli_table {
    int columns;
    unsigned right; /* bit i: column i is aligned right */
    bool wrap; /* break the last column into lines, instead of cutting it at the terminal's edge */
    char **cells;
    size_t count, cap;
} cli_table;
void cli_table_add(cli_table *t, const char *text); /* the next cell, row by row */
void cli_table_addf(cli_table *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* With a first row in bold when `head`; the last column is cut at the terminal's edge. Frees the
 * cells. */
void cli_table_print(cli_table *t, FILE *f, bool head);

/* "2026-11-22 20:41" in local time. */
char *cli_time(int64_t wall_ms, char *buf, size_t n);
