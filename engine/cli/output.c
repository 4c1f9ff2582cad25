/* output.c - how `tubelet` writes: errors, colour, tables, wrapped text. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "cli/cli.h"

int cli_fail(const tb_err *err)
{
    char text[1400];
    tb_err_text(err, NULL, text, sizeof text);
    fprintf(stderr, "%s%s\n", *err->origin || *err->node ? "" : "tubelet: ", text);
    return tb_status_exit_code(err->status);
}

int cli_usage(const cli_command *c, const tb_err *err)
{
    fprintf(stderr, "tubelet %s: %s\nSee 'tubelet %s --help'.\n", c->name, err->message, c->name);
    return tb_status_exit_code(TB_EUSAGE);
}

bool cli_color(FILE *f)
{
    const char *no = getenv("NO_COLOR");
    const char *term = getenv("TERM");
    return !(no && *no) && !(term && strcmp(term, "dumb") == 0) && isatty(fileno(f));
}

int cli_width(FILE *f)
{
    struct winsize w;
    if (ioctl(fileno(f), TIOCGWINSZ, &w) == 0 && w.ws_col >= 20)
        return w.ws_col;
    return 100;
}

cli_sgr cli_style(FILE *f, const char *code)
{
    cli_sgr s = { "" };
    if (cli_color(f))
        snprintf(s.text, sizeof s.text, "\033[%sm", code);
    return s;
}

int cli_columns(const char *text)
{
    int n = 0;
    for (const char *p = text; *p; p++)
        n += ((unsigned char)*p & 0xc0) != 0x80;
    return n;
}

void cli_print_wrapped(FILE *f, const char *text, int indent, int width)
{
    const int room = width - indent > 20 ? width - indent : 20;
    int column = 0;
    while (*text) {
        const int n = (int)strcspn(text, " \n");
        char *word = tb_xstrndup(text, (size_t)n);
        const int columns = cli_columns(word);
        if (column && column + 1 + columns > room) {
            fprintf(f, "\n%*s", indent, "");
            column = 0;
        }
        column += fprintf(f, "%s", column ? " " : "");
        fputs(word, f);
        column += columns;
        free(word);
        text += n;
        while (*text == ' ' || *text == '\n')
            text++;
    }
    fputc('\n', f);
}

void cli_print_json(const json_t *j)
{
    char *text = tb_json_pretty(j);
    puts(text);
    free(text);
}

/* -------------------------------------------------------------------------------------- tables */

void cli_table_add(cli_table *t, const char *text)
{
    TB_GROW(t->cells, t->cap, t->count + 1);
    t->cells[t->count++] = tb_xstrdup(text ? text : "");
}

void cli_table_addf(cli_table *t, const char *fmt, ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    cli_table_add(t, text);
}

static void cut(char *text, int columns)
{
    if (cli_columns(text) <= columns)
        return;
    char *p = text;
    for (int n = 0; *p; p++) {
        n += ((unsigned char)*p & 0xc0) != 0x80;
        if (n > columns - 1)
            break;
    }
    p[0] = '~';
    p[1] = 0;
}

static void measure(const cli_table *t, int *width)
{
    for (size_t i = 0; i < t->count; i++) {
        const size_t c = i % (size_t)t->columns;
        const int n = cli_columns(t->cells[i]);
        width[c] = n > width[c] ? n : width[c];
    }
}

/* One row, without spaces behind its last text; `before` is where the last column begins. */
static void print_row(const cli_table *t, FILE *f, const int *width, int before, char *const *cells)
{
    const bool wrapped = t->wrap && *cells[t->columns - 1] && cli_width(f) - before > 24;
    int spaces = 0;
    for (int c = 0; c < t->columns - wrapped; c++) {
        const int pad = width[c] - cli_columns(cells[c]);
        const bool right = t->right >> c & 1;
        if (*cells[c]) {
            fprintf(f, "%*s%s", spaces + (right ? pad : 0), "", cells[c]);
            spaces = (right ? 0 : pad) + 2;
        } else {
            spaces += width[c] + 2;
        }
    }
    if (wrapped) {
        fprintf(f, "%*s", spaces, "");
        cli_print_wrapped(f, cells[t->columns - 1], before, cli_width(f));
    } else {
        fputc('\n', f);
    }
}

void cli_table_print(cli_table *t, FILE *f, bool head)
{
    enum { MAX_COLUMNS = 16 };
    const size_t columns = (size_t)t->columns;
    int width[MAX_COLUMNS] = { 0 }, before = 0;
    measure(t, width);
    for (int c = 0; c + 1 < t->columns; c++)
        before += width[c] + 2;
    const int room = isatty(fileno(f)) && !t->wrap ? cli_width(f) - before : 1 << 20;
    for (size_t i = 0; i + columns <= t->count; i += columns) {
        const bool bold = head && i == 0;
        cut(t->cells[i + columns - 1], room > 8 ? room : 8);
        fputs(bold ? cli_style(f, "1").text : "", f);
        print_row(t, f, width, before, t->cells + i);
        fputs(bold ? cli_style(f, "0").text : "", f);
    }
    for (size_t i = 0; i < t->count; i++)
        free(t->cells[i]);
    free(t->cells);
    *t = (cli_table){ .columns = t->columns, .right = t->right, .wrap = t->wrap };
}

char *cli_time(int64_t wall_ms, char *buf, size_t n)
{
    const time_t t = (time_t)(wall_ms / 1000);
    struct tm tm;
    if (!localtime_r(&t, &tm) || strftime(buf, n, "%Y-%m-%d %H:%M", &tm) == 0)
        snprintf(buf, n, "?");
    return buf;
}
