/* completion.c - `tubelet completion`: scripts for bash and zsh, made from the tables of the
 * commands. */
#include <string.h>

#include "cli/cli.h"

static void put_words(const char *choices)
{
    for (const char *p = choices; *p; p++)
        putchar(*p == '|' ? ' ' : *p);
}

static void put_options(const cli_command *c)
{
    for (const cli_option *o = c->options; o->name; o++)
        printf("--%s ", o->name);
    printf("--help");
}

/* ---------------------------------------------------------------------------------------- bash */

static void bash_values(const cli_command *c)
{
    for (const cli_option *o = c->options; o->name; o++) {
        if (!o->value)
            continue;
        printf("        %s:--%s) ", c->name, o->name);
        if (o->choices) {
            printf("COMPREPLY=($(compgen -W '");
            put_words(o->choices);
            printf("' -- \"$cur\")); ");
        } else if (strcmp(o->value, "DIR") == 0) {
            printf("COMPREPLY=($(compgen -d -- \"$cur\")); ");
        }
        puts("return ;;");
    }
}

static void bash_options(const cli_command *c)
{
    printf("        %s) words='", c->name);
    put_options(c);
    puts("' ;;");
}

static void bash_operands(const cli_command *c)
{
    printf("        %s) COMPREPLY=(", c->name);
    if (c->words) {
        printf("$(compgen -W '");
        put_words(c->words);
        printf("' -- \"$cur\")");
    } else if (c == &cli_help) {
        printf("$(compgen -W \"$commands exit-codes\" -- \"$cur\")");
    } else if (c == &cli_nodes) {
        printf(
            "$(compgen -W \"$(tubelet nodes 2>/dev/null | awk '/^  /{print $1}')\" -- \"$cur\")");
    } else if (c->takes_graph) {
        printf("$(compgen -d -- \"$cur\"; for e in lua json mp4 webm gif png webp; do compgen -f "
               "-X \"!*.$e\" -- "
               "\"$cur\"; done)");
    } else if (c->max_operands && c != &cli_resume) {
        printf("$(compgen -f -- \"$cur\")");
    }
    puts(") ;;");
}

static void print_bash(void)
{
    printf("# bash completion of tubelet; source it: source <(tubelet completion bash)\n"
           "_tubelet() {\n"
           "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} words= "
           "commands='");
    for (int i = 0; cli_commands[i]; i++)
        printf("%s%s", i ? " " : "", cli_commands[i]->name);
    puts("'\n"
         "    if [ \"$COMP_CWORD\" = 1 ]; then\n"
         "        COMPREPLY=($(compgen -W \"$commands --help --version\" -- \"$cur\"))\n"
         "        return\n"
         "    fi\n"
         "    case ${COMP_WORDS[1]}:$prev in");
    for (int i = 0; cli_commands[i]; i++)
        bash_values(cli_commands[i]);
    puts("    esac\n"
         "    if [[ $cur == -* ]]; then\n"
         "        case ${COMP_WORDS[1]} in");
    for (int i = 0; cli_commands[i]; i++)
        bash_options(cli_commands[i]);
    puts("        esac\n"
         "        if [[ ${COMP_WORDS[1]} =~ ^(run|plan|graph)$ && -f ${COMP_WORDS[2]} ]]; then\n"
         "            words=$(tubelet \"${COMP_WORDS[1]}\" \"${COMP_WORDS[2]}\" --help 2>/dev/null "
         "|\n"
         "                grep -oE '^  (-., )?--[a-z0-9_-]+' | grep -oE -- '--[a-z0-9_-]+')\n"
         "        fi\n"
         "        COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
         "        return\n"
         "    fi\n"
         "    case ${COMP_WORDS[1]} in");
    for (int i = 0; cli_commands[i]; i++)
        bash_operands(cli_commands[i]);
    puts("    esac\n"
         "}\n"
         "complete -o filenames -o bashdefault -F _tubelet tubelet");
}

/* ----------------------------------------------------------------------------------------- zsh */

/* Inside '...[text]': quotes, brackets and colons would end it. */
static void put_zsh_text(const char *s)
{
    for (; *s; s++) {
        if (*s == '\'')
            fputs("'\\''", stdout);
        else if (*s == '[' || *s == ']' || *s == ':')
            printf("\\%c", *s);
        else
            putchar(*s);
    }
}

static void zsh_option(const cli_option *o)
{
    printf("                '*--%s[", o->name);
    put_zsh_text(o->doc);
    putchar(']');
    if (o->value) {
        putchar(':');
        put_zsh_text(o->value);
        putchar(':');
        if (o->choices) {
            putchar('(');
            put_words(o->choices);
            putchar(')');
        } else if (strcmp(o->value, "DIR") == 0) {
            printf("_files -/");
        }
    }
    puts("' \\");
}

static void zsh_operands(const cli_command *c)
{
    if (c->words) {
        printf("                '1:what:(");
        put_words(c->words);
        puts(")' '*:file:_files' ;;");
    } else if (c == &cli_help) {
        puts("                '1:command:($names exit-codes)' ;;");
    } else if (c == &cli_nodes) {
        puts(
            "                \"1:node:($(tubelet nodes 2>/dev/null | awk '/^  /{print $1}'))\" ;;");
    } else if (c->takes_graph) {
        puts("                '1:graph:_files -g \"*.(lua|json|mp4|webm|gif|png|webp)\"' "
             "'*:option:' ;;");
    } else if (c == &cli_resume) {
        puts("                '1:run:' ;;");
    } else {
        puts(c->max_operands ? "                '1:file:_files' ;;" : "                ;;");
    }
}

static void print_zsh(void)
{
    puts("#compdef tubelet\n"
         "# zsh completion of tubelet; save as _tubelet in a folder of $fpath\n"
         "_tubelet() {\n"
         "    local -a commands names\n"
         "    commands=(");
    for (int i = 0; cli_commands[i]; i++) {
        printf("        '%s:", cli_commands[i]->name);
        put_zsh_text(cli_commands[i]->summary);
        puts("'");
    }
    puts("    )\n"
         "    names=(${commands%%:*})\n"
         "    if (( CURRENT == 2 )); then\n"
         "        _describe command commands\n"
         "        return\n"
         "    fi\n"
         "    local command=$words[2]\n"
         "    shift words\n"
         "    (( CURRENT-- ))\n"
         "    case $command in");
    for (int i = 0; cli_commands[i]; i++) {
        const cli_command *c = cli_commands[i];
        printf("        %s) _arguments \\\n", c->name);
        for (const cli_option *o = c->options; o->name; o++)
            zsh_option(o);
        puts("                '--help[Show the help page.]' \\");
        zsh_operands(c);
    }
    puts("    esac\n"
         "}\n"
         "_tubelet \"$@\"");
}

static int run(cli_args *args)
{
    if (!args->operand_count) {
        tb_err err = TB_ERR_INIT;
        tb_err_set(&err, TB_EUSAGE, "name a shell: bash or zsh");
        return cli_usage(args->command, &err);
    }
    if (strcmp(args->operands[0], "bash") == 0)
        print_bash();
    else
        print_zsh();
    return 0;
}

static const cli_option options[] = { { 0 } };

const cli_command cli_completion = {
    .name = "completion",
    .operands = "bash | zsh",
    .summary = "Print the completion script of a shell",
    .options = options,
    .examples = { "source <(tubelet completion bash)",
                  "tubelet completion zsh > ~/.zfunc/_tubelet" },
    .words = "bash|zsh",
    .max_operands = 1,
    .run = run,
};
