/* nodes_markdown.c - docs/nodes.md: the tables of all nodes as a page (`tubelet nodes --markdown`).
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/nodes.h"

/* Text with what Markdown and its tables would take for their own escaped. */
static void put_text(const char *text)
{
    for (const char *p = text ? text : ""; *p; p++) {
        if (strchr("|*<`\\", *p))
            putchar('\\');
        putchar(*p == '\n' ? ' ' : *p);
    }
}

static void put_cell(const char *text)
{
    putchar(' ');
    put_text(text);
    fputs(text && *text ? " |" : "|", stdout);
}

static void put_inputs(const tb_type *t)
{
    puts("\n| input | type | default | range | what it is |\n|---|---|---|---|---|");
    for (int i = 0; i < t->input_count; i++) {
        const tb_input_def *d = &t->def->inputs[i];
        char text[200];
        tb_str range = TB_STR_INIT;
        printf("| `%s` |", d->name);
        snprintf(text, sizeof text, "%s%s%s", d->type, d->flags & TB_IN_LIST ? " list" : "",
                 d->flags & TB_IN_LAZY ? " lazy" : "");
        put_cell(text);
        cli_node_default(d, text, sizeof text);
        put_cell(text);
        cli_node_range(d, &range);
        put_cell(range.s);
        put_cell(d->doc);
        putchar('\n');
        tb_str_free(&range);
    }
}

static void put_outputs(const tb_type *t)
{
    puts("\n| output | type | shape | what it is |\n|---|---|---|---|");
    for (int i = 0; i < t->output_count; i++) {
        const tb_output_def *d = &t->def->outputs[i];
        char text[200];
        printf("| `%s` |", d->name);
        snprintf(text, sizeof text, "%s%s", d->type, d->is_list ? " list" : "");
        put_cell(text);
        snprintf(text, sizeof text, "[%s]", d->shape ? d->shape : "");
        put_cell(d->shape && *d->shape ? text : "");
        put_cell(d->doc);
        putchar('\n');
    }
}

void cli_node_markdown(const tb_type *t)
{
    char kind[80];
    printf("### %s\n\n", t->def->name);
    put_text(t->def->doc);
    if (t->kind != TB_PRIMITIVE || t->def->flags & TB_NODE_TARGET)
        printf(" *(%s)*", cli_node_kind(t, kind, sizeof kind));
    putchar('\n');
    if (t->input_count)
        put_inputs(t);
    if (t->output_count)
        put_outputs(t);
    if (t->def->example)
        printf("\n```lua\n%s\n```\n", t->def->example);
}

/* Does another category begin with the i-th? */
static bool begins(const tb_type *const *sorted, int i)
{
    return i == 0 || strcmp(cli_node_category(sorted[i]), cli_node_category(sorted[i - 1])) != 0;
}

static void put_contents(const tb_type *const *sorted, int count)
{
    fputs("\n| category | nodes |\n|---|---|", stdout);
    for (int i = 0; i < count; i++) {
        const char *name = sorted[i]->def->name;
        if (begins(sorted, i))
            printf("%s\n| %s | ", i ? " |" : "", cli_node_category(sorted[i]));
        printf("%s[%s](#%s)", begins(sorted, i) ? "" : ", ", name, name);
    }
    puts(" |");
}

void cli_nodes_markdown(const tb_types *types)
{
    static const char *const head =
        "# Nodes\n\n"
        "Printed by `tubelet nodes --markdown`; `tubelet nodes NAME` shows one in the terminal.\n\n"
        "The examples run as they stand in the build function of a graph, from the root of the "
        "repository, where the files they read are:\n\n"
        "```lua\nlocal tb = require \"tubelet\"\nreturn tb.graph { build = function()\n"
        "  -- an example\nend }\n```\n\n"
        "Inputs of type INT, FLOAT, STRING, BOOLEAN, COMBO and \\* (any) take a value or a link, "
        "all others a link. *list*: all elements at once. *lazy*: computed only where it is "
        "wanted.";
    const int count = tb_types_count(types);
    const tb_type **sorted = cli_nodes_sorted(types);
    puts(head);
    put_contents(sorted, count);
    for (int i = 0; i < count; i++) {
        const char *category = cli_node_category(sorted[i]);
        if (begins(sorted, i))
            printf("\n## %c%s nodes\n", toupper((unsigned char)*category), category + 1);
        putchar('\n');
        cli_node_markdown(sorted[i]);
    }
    free(sorted);
}
