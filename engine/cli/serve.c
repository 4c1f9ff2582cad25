/* serve.c - `tubelet serve`: the engine behind HTTP, with the editor. */
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/session.h"
#include "cli/storing.h"
#include "server/server.h"

enum { DEFAULT_PORT = 8188 };

/* Results that are not worth a disk stay here, so that an unchanged part of a graph is not computed
 * for every prompt. */
static const size_t memory_cache = 512u << 20;

typedef struct serve {
    const cli_args *args;
    tb_server_options o;
    const char **hosts, **models, **nodes; /* end with NULL */
    int64_t threads, runs;
    uint64_t memory;
    tb_engine *engine;
    tb_server *server;
    uv_signal_t signals[3];
    bool stopping;
} serve;

/* All values of an option that may be repeated. */
static const char **every(const cli_args *a, const char *name)
{
    const char **values = tb_xcalloc((size_t)a->given_count + 1, sizeof *values);
    int n = 0;
    for (int i = 0; i < a->given_count; i++)
        if (strcmp(a->given[i].option->name, name) == 0)
            values[n++] = a->given[i].value;
    return values;
}

static tb_status read_options(serve *s, tb_err *err)
{
    const cli_args *a = s->args;
    int64_t port = DEFAULT_PORT;
    TB_TRY(cli_int(a, "port", 0, 65535, &port, err));
    TB_TRY(cli_int(a, "threads", 1, 64, &s->threads, err));
    TB_TRY(cli_int(a, "runs-at-once", 1, 64, &s->runs, err));
    TB_TRY(cli_bytes(a, "memory", &s->memory, err));
    TB_TRY(cli_bytes(a, "max-upload-size", &s->o.upload_cap, err));
    if (cli_text(a, "token") && !*cli_text(a, "token"))
        return tb_err_set(err, TB_EUSAGE, "--token is empty");
    s->hosts = every(a, "allow-host");
    s->models = every(a, "models");
    s->nodes = every(a, "nodes");
    s->o = (tb_server_options){
        .address = cli_text(a, "listen"),
        .port = (int)port,
        .token = cli_text(a, "token"),
        .allow_hosts = s->hosts,
        .cors_origin = cli_text(a, "cors"),
        .web_dir = cli_text(a, "web-dir"),
        .base_dir = cli_text(a, "base"),
        .graphs_dir = cli_text(a, "graphs"),
        .models_dirs = s->models,
        .node_files = s->nodes,
        .no_metadata = cli_flag(a, "disable-metadata"),
        .no_cache = cli_flag(a, "no-cache"),
        .upload_cap = s->o.upload_cap,
    };
    return TB_OK;
}

/* ------------------------------------------------------------------------------------- signals */

static void on_signal(uv_signal_t *h, int number)
{
    static const char text[] = "\nStopped at once; what was stored is kept.\n";
    serve *s = h->data;
    (void)number;
    if (s->stopping) {
        const ssize_t ignored = write(STDERR_FILENO, text, sizeof text - 1);
        (void)ignored;
        _exit(130);
    }
    s->stopping = true;
}

static void catch_signals(serve *s, bool on)
{
    static const int numbers[] = { SIGINT, SIGTERM, SIGHUP };
    for (int i = 0; i < 3; i++) {
        if (!on) {
            uv_close((uv_handle_t *)&s->signals[i], NULL);
            continue;
        }
        uv_signal_init(tb_engine_loop(s->engine), &s->signals[i]);
        s->signals[i].data = s;
        uv_signal_start(&s->signals[i], on_signal, numbers[i]);
    }
}

/* ------------------------------------------------------------------------------------- serving */

/* Whether a browser comes up is its own business. */
static void open_browser(const char *url)
{
    extern char **environ;
    char program[] = "xdg-open", *address = tb_xstrdup(url);
    char *argv[] = { program, address, NULL };
    pid_t pid;
    if (posix_spawnp(&pid, program, NULL, NULL, argv, environ) != 0)
        fputs("No browser was opened: there is no xdg-open.\n", stderr);
    free(address);
}

static int serve_until_signal(serve *s)
{
    printf("tubelet is at %s\n", tb_server_url(s->server));
    fflush(stdout);
    if (cli_flag(s->args, "open"))
        open_browser(tb_server_url(s->server));
    while (!s->stopping)
        uv_run(tb_engine_loop(s->engine), UV_RUN_ONCE);
    fputs("Stopping; a run that is under way goes on with the next start.\n", stderr);
    return 0;
}

static int serve_with_engine(serve *s, tb_err *err)
{
    int code;
    catch_signals(s, true);
    s->server = tb_server_start(s->engine, &s->o, err);
    code = s->server ? serve_until_signal(s) : cli_fail(err);
    tb_server_stop(&s->server);
    catch_signals(s, false);
    uv_run(tb_engine_loop(s->engine), UV_RUN_NOWAIT);
    return code;
}

static int run(cli_args *args)
{
    tb_err err = TB_ERR_INIT;
    serve s = { .args = args };
    int code;
    if (read_options(&s, &err) != TB_OK) {
        code = cli_usage(args->command, &err);
    } else {
        s.engine = tb_engine_new(&(tb_engine_options){ .store_path = cli_text(args, "store"),
                                                       .threads = (int)s.threads,
                                                       .compute = cli_text(args, "compute"),
                                                       .runs_at_once = (int)s.runs,
                                                       .memory_limit = s.memory,
                                                       .memory_cache = memory_cache },
                                 &err);
        code = s.engine ? serve_with_engine(&s, &err) : cli_fail(cli_store_error(&err));
        tb_engine_free(&s.engine);
    }
    free(s.hosts);
    free(s.models);
    free(s.nodes);
    return code;
}

static const cli_option options[] = {
    { "listen", "ADDR", "Address to listen on (default: 127.0.0.1, this machine alone)." },
    { "port", "N", "Port (default: 8188; 0: any free one)." },
    { "graphs", "DIR", "Folder of graphs (default: graphs/ below the base folder)." },
    { "base", "DIR", "Folder with input/, output/, temp/, models/ (default: the current one)." },
    { "models", "DIR", "One more folder of models; may be repeated." },
    { "nodes", "FILE.lua", "A Lua file that defines nodes; may be repeated." },
    { "allow-host", "NAME", "A name under which this server is reached; may be repeated." },
    { "cors", "ORIGIN", "A site whose pages may use the API; * for all." },
    { "token", "TEXT", "Ask everybody for this token (default: made when others can connect)." },
    { "web-dir", "DIR", "Serve the editor from this folder instead of the built-in one." },
    { "disable-metadata", NULL, "Write no graphs into pictures, videos and latents." },
    { "no-cache", NULL, "Compute all anew for each prompt; results are still stored." },
    { "max-upload-size", "SIZE", "Refuse larger uploads (default: 100M)." },
    { "open", NULL, "Open the editor in the browser." },
    { "threads", "N", "Compute threads (default: all cores)." },
    { "runs-at-once", "N",
      "Runs side by side, when they use the same model and fit into memory (default: 1)." },
    CLI_COMPUTE_OPTION,
    CLI_MEMORY_OPTION,
    CLI_STORE_OPTION,
    { 0 },
};

const cli_command cli_serve = {
    .name = "serve",
    .operands = "",
    .summary = "Serve the editor and the API, ComfyUI's too, on this machine",
    .detail =
        "Prints the address once it answers. The queue and its history are in the store: after a\n"
        "restart, or a crash, the run that was under way goes on from the step it had reached.\n"
        "Whoever connects from elsewhere (--listen 0.0.0.0) needs the token of the printed "
        "address.",
    .options = options,
    .examples = { "tubelet serve --open", "tubelet serve --listen 0.0.0.0 --base ~/videos" },
    .run = run,
};
