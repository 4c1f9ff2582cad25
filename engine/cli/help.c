/* help.c - `tubelet help`: the commands, one command, or what the exit codes mean. */
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "cli/cli.h"

static void print_commands(void)
{
    const cli_sgr bold = cli_style(stdout, "1"), plain = cli_style(stdout, "0");
    printf("tubelet turns prompts into videos by running graphs of nodes; nothing is computed "
           "twice.\n\n"
           "%sUsage%s\n  tubelet COMMAND [options]\n  tubelet --version\n\n%sCommands%s\n",
           bold.text, plain.text, bold.text, plain.text);
    for (int i = 0; cli_commands[i]; i++)
        printf("  %-11s %s\n", cli_commands[i]->name, cli_commands[i]->summary);
    printf("\n%sStart here%s\n"
           "  tubelet run graphs/text_to_video.lua --prompt \"a red ball bounces\"\n"
           "  tubelet COMMAND --help\n"
           "  tubelet help exit-codes\n",
           bold.text, plain.text);
}

static void print_exit_codes(void)
{
    static const struct {
        int code;
        const char *text;
    } tab[] = {
#define X(status, code, name, text) { code, text },
        TB_STATUS_LIST(X)
#undef X
    };
    for (int code = 0; code < 256; code++) {
        tb_str line = TB_STR_INIT;
        for (size_t i = 0; i < sizeof tab / sizeof *tab; i++)
            if (tab[i].code == code)
                tb_str_addf(&line, "%s%s", line.len ? "; or " : "", tab[i].text);
        if (line.len) {
            printf("%5d  ", code);
            cli_print_wrapped(stdout, line.s, 7, cli_width(stdout));
        }
        tb_str_free(&line);
    }
    puts("\n'tubelet cache verify' answers 0 sound, 1 corrupt, 2 missing, 3 unreadable.\n"
         "'tubelet doctor' answers 0 when all is well, else 1.");
}

static int run(cli_args *args)
{
    if (!args->operand_count) {
        print_commands();
        return 0;
    }
    if (strcmp(args->operands[0], "exit-codes") == 0) {
        print_exit_codes();
        return 0;
    }
    const cli_command *c = cli_command_find(args->operands[0]);
    if (c) {
        cli_print_help(stdout, c, NULL, NULL);
        return 0;
    }
    cli_nearest n = { .word = args->operands[0] };
    for (int i = 0; cli_commands[i]; i++)
        cli_nearest_offer(&n, cli_commands[i]->name);
    const char *best = cli_nearest_name(&n);
    fprintf(stderr, "tubelet help: there is no command '%s'%s%s%s\n", args->operands[0],
            best ? ", did you mean '" : "", best ? best : "", best ? "'?" : "");
    return tb_status_exit_code(TB_EUSAGE);
}

static const cli_option options[] = { { 0 } };

const cli_command cli_help = {
    .name = "help",
    .operands = "[COMMAND | exit-codes]",
    .summary = "Show the commands, one command, or the exit codes",
    .options = options,
    .examples = { "tubelet help run", "tubelet help exit-codes" },
    .max_operands = 1,
    .run = run,
};
