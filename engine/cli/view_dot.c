/* view_dot.c - a view for Graphviz. */
#include <stdio.h>

#include "cli/view.h"

static void put_quoted(const char *s)
{
    putchar('"');
    for (; *s; s++) {
        if (*s == '"' || *s == '\\')
            putchar('\\');
        putchar((unsigned char)*s < 32 ? ' ' : *s);
    }
    putchar('"');
}

void cli_view_dot(const cli_view *v)
{
    puts("digraph tubelet {\n  rankdir=LR;\n  node [shape=box, style=rounded];");
    for (int i = 0; i < v->box_count; i++) {
        const cli_box *b = &v->boxes[i];
        printf("  ");
        put_quoted(b->id);
        if (b->nodes > 1)
            printf(" [xlabel=\"%d nodes\", peripheries=2];\n", b->nodes);
        else
            printf(" [xlabel=\"%s\"%s];\n", b->type, b->target ? ", style=\"rounded,bold\"" : "");
    }
    for (int i = 0; i < v->edge_count; i++) {
        const cli_edge *e = &v->edges[i];
        printf("  ");
        put_quoted(v->boxes[e->from].id);
        printf(" -> ");
        put_quoted(v->boxes[e->to].id);
        printf(" [label=");
        put_quoted(v->boxes[e->to].in.items[e->in].name);
        puts("];");
    }
    puts("}");
}
