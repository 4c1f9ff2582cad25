/* session.h - one run of a document from the command line: events shown, Ctrl+C obeyed, a summary
 * at the end. Shared by run, plan and resume.
 */
#pragma once

#include "cli/cli.h"
#include "tubelet.h"

typedef struct cli_session_options {
    json_t *document;  /* borrowed */
    tb_script *script; /* borrowed; NULL */
    const char *title; /* for `tubelet runs` */
    const cli_args
        *args; /* --store, --threads, --memory, --json, --until, --no-cache, --no-store, --all */
    bool plan_only;
    uint64_t resume;     /* 0: a new run */
    const char *compute; /* the mode where --compute does not say; NULL: f32 */
} cli_session_options;

/* Returns the exit code. */
int cli_session(const cli_session_options *o);
/* Models of --models, in their order, before those of the environment. */
void cli_add_models(tb_engine *e, const cli_args *args);
/* Open operand 0, build it, run or plan it (plan_only, or --plan). Returns the exit code. */
int cli_run_graph(cli_args *args, bool plan_only);

/* Rows of option tables: what changes a document (cli_source_build), and what cli_session reads. */
#define CLI_GRAPH_OPTIONS                                                                      \
    { "set", "NODE.INPUT=VALUE", "Change an input of the built graph; may be repeated." },     \
    {                                                                                          \
        "param", "NAME=VALUE", "A parameter of the graph, where --NAME means something else.", \
            .letter = 'p'                                                                      \
    }
#define CLI_STORE_OPTION                                                                      \
    {                                                                                         \
        "store", "DIR", "Keep results here (default: $TUBELET_STORE, else the cache folder)." \
    }
#define CLI_MODELS_OPTION                                                                  \
    {                                                                                      \
        "models", "DIR",                                                                   \
            "Look for diffusion_models/, text_encoders/, vae/, ... here; may be repeated." \
    }
#define CLI_COMPUTE_OPTION                                                             \
    {                                                                                  \
        "compute", "MODE",                                                             \
            "f32, or int8: transformers about three times faster, with small errors.", \
            .choices = "f32|int8"                                                      \
    }
#define CLI_MEMORY_OPTION                                                                     \
    {                                                                                         \
        "memory", "SIZE", "Refuse what needs more, e.g. 12G (default: 90 % of what is free)." \
    }
#define CLI_ENGINE_OPTIONS                                                               \
    { "json", NULL, "One JSON object a line on stdout for everything that happens." },   \
        { "no-cache", NULL, "Compute all anew; results are still stored." },             \
        { "no-store", NULL, "Neither read nor keep results." },                          \
        { "until", "NODE", "Run this node and what it needs, and stop there." },         \
        { "threads", "N", "Compute threads (default: all cores)." }, CLI_COMPUTE_OPTION, \
        CLI_MODELS_OPTION, CLI_MEMORY_OPTION, CLI_STORE_OPTION

/* One line for a value: "7", "\"a ball\"", "F32 [16,1,4,4]", "{ samples = F32 [16,1,4,4], seed = 7
 * }",
 * "[1, 2]". Freed by free(). */
char *cli_value_text(const tb_value *v);

/* "3 of 24 nodes will run, about 40 s, peak 1.2 GiB." */
void cli_plan_sentence(const tb_plan_summary *s, char *buf, size_t n);
/* The nodes that will run, with time, memory and shape; scopes are one row unless `all`. */
void cli_plan_table(const json_t *plan, bool all);
json_t *cli_plan_json(const tb_plan_summary *s, const json_t *plan);
