/* view_svg.c - draws a placed view as SVG: node boxes with ports, links in the colour of what they
 * carry. Follows the light or dark scheme of whoever shows it.
 */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/view.h"

enum { TEXT_COLUMNS = 30 }; /* characters of 11 px in a row of a box */

static const struct {
    const char *type, *color;
} colors[] = {
    { "MODEL", "#8b7cf6" },        { "CLIP", "#e0b020" },   { "VAE", "#e5484d" },
    { "CONDITIONING", "#f28c28" }, { "LATENT", "#e05fb0" }, { "IMAGE", "#3e8ef7" },
    { "MASK", "#3fb27f" },         { "VIDEO", "#12a5b8" },  { "VELOCITY", "#b06fe8" },
    { "SIGMAS", "#b5651d" },       { "TENSOR", "#7a8aa0" }, { "FILE", "#5c9e31" },
    { "INT", "#6b9bd1" },          { "FLOAT", "#6b9bd1" },  { "STRING", "#7fae6a" },
    { "BOOLEAN", "#c07a7a" },
};

static const char *color_of(const char *type)
{
    for (size_t i = 0; i < sizeof colors / sizeof *colors; i++)
        if (strcmp(colors[i].type, type) == 0)
            return colors[i].color;
    return "#8a93a0";
}

/* Text for XML, at most `columns` wide. */
static void put_text(const char *s, int columns)
{
    int n = 0;
    for (const unsigned char *p = (const unsigned char *)s; *p; p++) {
        n += (*p & 0xc0) != 0x80;
        if (n > columns - 1 && cli_columns(s) > columns) {
            fputs("\xe2\x80\xa6", stdout);
            return;
        }
        if (*p == '<' || *p == '>' || *p == '&' || *p == '"')
            printf("&#%d;", *p);
        else
            putchar(*p < 32 || *p == 127 ? ' ' : *p);
    }
}

static void put_style(void)
{
    puts("<style>\n"
         "svg{background:#f7f8fa}text{font:11px ui-sans-serif,system-ui,sans-serif;fill:#26303b}\n"
         ".b{fill:#fff;stroke:#cfd6de}.h{fill:#eef1f5}.t{font-weight:600;font-size:12px}\n"
         ".k{fill:#6b7785;font-size:10px}.v{fill:#6b7785}.e{fill:none;stroke-width:2;opacity:.85}\n"
         ".o{stroke:#26303b;stroke-width:1.4}\n"
         "@media(prefers-color-scheme:dark){svg{background:#15181c}text{fill:#dde3ea}\n"
         ".b{fill:#1f242a;stroke:#3a424c}.h{fill:#2a3139}.k,.v{fill:#8f9baa}.o{stroke:#dde3ea}}\n"
         "</style>");
}

/* One S-curve from (x0,y0) to (x1,y1). */
static void put_curve(double x0, double y0, double x1, double y1)
{
    const double bend = x1 - x0 > 40 ? (x1 - x0) / 2 : 60;
    printf("C%.1f %.1f %.1f %.1f %.1f %.1f", x0 + bend, y0, x1 - bend, y1, x1, y1);
}

static void put_edge(const cli_view *v, const cli_edge *e)
{
    const cli_box *from = &v->boxes[e->from], *to = &v->boxes[e->to];
    double x = from->x + from->width, y = from->y + cli_port_y(e->out);
    printf("<path class=\"e\" stroke=\"%s\" d=\"M%.1f %.1f", color_of(from->out.items[e->out].type),
           x, y);
    for (int i = 0; i < e->via_count; i++) {
        const double left = v->layer_x[from->layer + 1 + i];
        put_curve(x, y, left, e->via[i]);
        x = left + CLI_BOX_WIDTH;
        y = e->via[i];
        printf("L%.1f %.1f", x, y);
    }
    put_curve(x, y, to->x, to->y + cli_port_y(e->in));
    puts("\"/>");
}

static void put_input(const cli_box *b, int i)
{
    const cli_port *p = &b->in.items[i];
    const double y = b->y + cli_port_y(i);
    printf("<text x=\"%.1f\" y=\"%.1f\">", b->x + 12, y + 4);
    put_text(p->name, TEXT_COLUMNS / 2);
    puts("</text>");
    if (!p->value) {
        printf("<circle cx=\"%.1f\" cy=\"%.1f\" r=\"4\" fill=\"%s\"/>\n", b->x, y,
               color_of(p->type));
        return;
    }
    const int taken =
        cli_columns(p->name) < TEXT_COLUMNS / 2 ? cli_columns(p->name) : TEXT_COLUMNS / 2;
    printf("<text class=\"v\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">", b->x + b->width - 12,
           y + 4);
    put_text(p->value, TEXT_COLUMNS - 4 - taken);
    puts("</text>");
}

static void put_output(const cli_box *b, int i)
{
    const cli_port *p = &b->out.items[i];
    const double y = b->y + cli_port_y(i);
    const bool room = i >= b->in.count || !b->in.items[i].value;
    printf("<circle cx=\"%.1f\" cy=\"%.1f\" r=\"4\" fill=\"%s\"/>\n", b->x + b->width, y,
           color_of(p->type));
    if (!room)
        return;
    printf("<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">", b->x + b->width - 12, y + 4);
    put_text(p->name, TEXT_COLUMNS / 2);
    puts("</text>");
}

static void put_box(const cli_box *b)
{
    for (int back = b->nodes > 1 ? 2 : 0; back > 0; back--)
        printf(
            "<rect class=\"b\" x=\"%.1f\" y=\"%.1f\" width=\"%.0f\" height=\"%.0f\" rx=\"8\"/>\n",
            b->x + 4 * back, b->y + 4 * back, b->width, b->height);
    printf("<g><title>");
    put_text(b->id, 200);
    printf("</title><rect class=\"b%s\" x=\"%.1f\" y=\"%.1f\" width=\"%.0f\" height=\"%.0f\" "
           "rx=\"8\"/>\n",
           b->target ? " o" : "", b->x, b->y, b->width, b->height);
    printf("<path class=\"h\" d=\"M%.1f %.1fv-22a7 7 0 0 1 7-7h%.1fa7 7 0 0 1 7 7v22z\"/>\n",
           b->x + 1, b->y + 30, b->width - 16);
    printf("<text class=\"t\" x=\"%.1f\" y=\"%.1f\">", b->x + 12, b->y + 20);
    put_text(b->id, TEXT_COLUMNS - 10);
    printf("</text>\n<text class=\"k\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">",
           b->x + b->width - 10, b->y + 20);
    if (b->nodes > 1)
        printf("%d nodes", b->nodes);
    else if (strcmp(b->type, b->id) != 0)
        put_text(b->type, TEXT_COLUMNS / 2 - 1);
    puts("</text>");
    for (int i = 0; i < b->in.count; i++)
        put_input(b, i);
    for (int i = 0; i < b->out.count; i++)
        put_output(b, i);
    puts("</g>");
}

void cli_view_svg(const cli_view *v)
{
    printf("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%.0f\" viewBox=\"0 0 "
           "%.0f %.0f\">\n",
           v->width, v->height, v->width, v->height);
    put_style();
    for (int i = 0; i < v->edge_count; i++)
        put_edge(v, &v->edges[i]);
    for (int i = 0; i < v->box_count; i++)
        put_box(&v->boxes[i]);
    puts("</svg>");
}
