/* main.c - `tubelet`: finds the command and runs it.
 *
 * Nothing is opened here: a command opens what it needs, so that small commands answer in
 * milliseconds.
 */
#include <signal.h>
#include <string.h>

#include "cli/cli.h"
#include "script/script.h"

const cli_command *const cli_commands[] = {
    &cli_run,   &cli_serve, &cli_plan,    &cli_resume, &cli_runs,       &cli_graph, &cli_nodes,
    &cli_model, &cli_cache, &cli_preview, &cli_doctor, &cli_completion, &cli_help,  NULL,
};

const cli_command *cli_command_find(const char *name)
{
    for (int i = 0; cli_commands[i]; i++)
        if (strcmp(cli_commands[i]->name, name) == 0)
            return cli_commands[i];
    return NULL;
}

/* NULL: `model` itself reads what follows. */
static const cli_command *below_model(const char *word)
{
    return strcmp(word, "compare") == 0  ? &cli_model_compare
           : strcmp(word, "verify") == 0 ? &cli_model_verify
                                         : NULL;
}

static int unknown_command(const char *name)
{
    cli_nearest n = { .word = name };
    for (int i = 0; cli_commands[i]; i++)
        cli_nearest_offer(&n, cli_commands[i]->name);
    const char *best = cli_nearest_name(&n);
    fprintf(stderr, "tubelet: unknown command '%s'%s%s%s\nSee 'tubelet --help'.\n", name,
            best ? ", did you mean '" : "", best ? best : "", best ? "'?" : "");
    return tb_status_exit_code(TB_EUSAGE);
}

static int run_command(const cli_command *c, int argc, char **argv)
{
    tb_err err = TB_ERR_INIT;
    cli_args args = { 0 };
    int code;
    if (cli_parse(&args, c, argc, argv, &err) != TB_OK) {
        code = cli_usage(c, &err);
    } else if (args.help) {
        cli_print_help(stdout, c, NULL, NULL);
        code = 0;
    } else {
        code = c->run(&args);
    }
    cli_args_clear(&args);
    if (fflush(stdout) != 0 && code == 0)
        code = tb_status_exit_code(TB_EIO);
    return code;
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "__lua") == 0)
        tb_script_child_main(TB_SCRIPT_CHILD_FD);
    if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
        return run_command(&cli_help, 0, NULL);
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
        puts("tubelet " TUBELET_VERSION);
        return 0;
    }
    signal(SIGXFSZ, SIG_IGN); /* a limit on file sizes is an error to be told, not a death */
    const cli_command *below =
        argc > 2 && strcmp(argv[1], "model") == 0 ? below_model(argv[2]) : NULL;
    if (below)
        return run_command(below, argc - 3, argv + 3);
    const cli_command *c = cli_command_find(argv[1]);
    return c ? run_command(c, argc - 2, argv + 2) : unknown_command(argv[1]);
}
