/* run.c - `tubelet run`: make a document of what the user named, and run it. */
#include "cli/open.h"
#include "cli/session.h"

int cli_run_graph(cli_args *args, bool plan_only)
{
    cli_source source;
    int code = cli_source_prepare(&source, args);
    if (code < 0)
        code =
            cli_session(&(cli_session_options){ .document = source.document,
                                                .script = source.script,
                                                .title = source.path,
                                                .args = args,
                                                .plan_only = plan_only || cli_flag(args, "plan") });
    cli_source_close(&source);
    return code;
}

static int run(cli_args *args)
{
    return cli_run_graph(args, false);
}

static const cli_option options[] = {
    CLI_GRAPH_OPTIONS,
    { "plan", NULL, "Only say what would run, how long it takes, and the memory it needs." },
    { "all", NULL, "With --plan: every node on a line of its own." },
    CLI_ENGINE_OPTIONS,
    { 0 },
};

const cli_command cli_run = {
    .name = "run",
    .operands = "GRAPH",
    .summary = "Run a graph: a Lua file, a workflow of ComfyUI, or a video made by tubelet",
    .detail =
        "Workflows are read as ComfyUI's editor saves them and in API format.\n"
        "A Lua graph's own parameters are options as well: 'tubelet run GRAPH --help' lists them.\n"
        "Files that were written are printed on stdout, everything else on stderr. Ctrl+C stops\n"
        "within seconds and keeps what is finished; 'tubelet resume' goes on from there.",
    .options = options,
    .examples = { "tubelet run graphs/text_to_video.lua --prompt \"a red ball bounces\" --steps 12",
                  "tubelet run out.mp4 --set sample.seed=8 --set mux.path=again.mp4" },
    .max_operands = 1,
    .takes_graph = true,
    .run = run,
};
