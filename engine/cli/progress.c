/* progress.c - the live line and the plain lines of a run. */
#include "cli/progress.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/cli.h"

enum { BAR_COLUMNS = 24 };
static const double plain_interval = 2.0; /* seconds between plain lines */
static const double quick = 0.05;         /* plain lines leave faster nodes out */

/* What is known of the nodes of one type. */
typedef struct kind {
    double measured,
        predicted; /* seconds of the nodes that ran, and what the plan had said of them */
    int ran;
} kind;

typedef struct row {
    double predicted; /* seconds; < 0 unknown */
    double share;     /* 0..1 */
    int kind;
    bool over;
} row;

/* The denoising loop that is running now. */
typedef struct steps {
    char *scope;
    int first, current, total; /* numbers as in the node ids; first: where this run began */
    double since, reached;     /* when `first` began, and `current` */
} steps;

struct cli_progress {
    FILE *f;
    bool live, drawn, utf8;
    double began, last_line;
    row *rows;
    size_t count, cap;
    tb_map *by_id, *by_type, *last_step; /* last_step: scope -> highest step of the plan */
    kind *kinds;
    size_t kind_count, kind_cap;
    char node[200]; /* what is named on the line */
    steps steps;
};

static bool locale_is_utf8(void)
{
    static const char *const names[] = { "LC_ALL", "LC_CTYPE", "LANG" };
    for (int i = 0; i < 3; i++) {
        const char *v = getenv(names[i]);
        if (v && *v)
            return strstr(v, "UTF-8") || strstr(v, "utf8") || strstr(v, "UTF8");
    }
    return false;
}

cli_progress *cli_progress_new(FILE *f, bool live)
{
    cli_progress *p = tb_xcalloc(1, sizeof *p);
    p->f = f;
    p->live = live;
    p->utf8 = locale_is_utf8();
    p->began = p->last_line = tb_clock_seconds();
    p->by_id = tb_map_new();
    p->by_type = tb_map_new();
    p->last_step = tb_map_new();
    return p;
}

void cli_progress_free(cli_progress **pp)
{
    cli_progress *p = *pp;
    if (!p)
        return;
    cli_progress_clear(p);
    tb_map_free(&p->by_id);
    tb_map_free(&p->by_type);
    tb_map_free(&p->last_step);
    free(p->rows);
    free(p->kinds);
    free(p->steps.scope);
    free(p);
    *pp = NULL;
}

/* ----------------------------------------------------------------------------------- the nodes */

int cli_step_of(const char *node, size_t *scope)
{
    for (const char *p = strstr(node, "/step_"); p; p = strstr(p + 1, "/step_")) {
        char *end;
        const long n = strtol(p + 6, &end, 10);
        if (end != p + 6 && (*end == '/' || *end == 0) && n >= 0 && n < 100000) {
            *scope = (size_t)(p - node);
            return (int)n + 1;
        }
    }
    return -1;
}

static int kind_of(cli_progress *p, const char *type)
{
    int64_t k = tb_map_get(p->by_type, type);
    if (k < 0) {
        k = (int64_t)p->kind_count;
        TB_GROW(p->kinds, p->kind_cap, p->kind_count + 1);
        p->kinds[p->kind_count++] = (kind){ 0 };
        tb_map_set(p->by_type, type, k);
    }
    return (int)k;
}

static void note_step(cli_progress *p, const char *node)
{
    size_t n;
    const int step = cli_step_of(node, &n);
    if (step < 0)
        return;
    char *scope = tb_xstrndup(node, n);
    if (tb_map_get(p->last_step, scope) < step)
        tb_map_set(p->last_step, scope, step);
    free(scope);
}

static row *row_of(cli_progress *p, const char *node, const char *type)
{
    int64_t i = tb_map_get(p->by_id, node);
    if (i < 0) {
        i = (int64_t)p->count;
        TB_GROW(p->rows, p->cap, p->count + 1);
        p->rows[p->count++] = (row){ .predicted = -1, .kind = kind_of(p, type ? type : "") };
        tb_map_set(p->by_id, node, i);
        note_step(p, node);
    }
    return &p->rows[i];
}

void cli_progress_plan(cli_progress *p, const json_t *plan)
{
    size_t i;
    json_t *j;
    json_array_foreach(plan, i, j)
    {
        const char *node = json_string_value(json_object_get(j, "node"));
        const char *state = json_string_value(json_object_get(j, "state"));
        const json_t *seconds = json_object_get(j, "seconds");
        if (!node)
            continue;
        row *r = row_of(p, node, json_string_value(json_object_get(j, "type")));
        r->predicted = json_is_number(seconds) ? json_number_value(seconds) : -1;
        r->over = state && strcmp(state, "cached") == 0;
    }
    p->began = tb_clock_seconds();
}

/* Seconds this node should take; < 0 when nothing is known. */
static double expected(const cli_progress *p, const row *r)
{
    const kind *k = &p->kinds[r->kind];
    if (r->predicted >= 0)
        return k->ran && k->predicted > 0 ? r->predicted * k->measured / k->predicted
                                          : r->predicted;
    return k->ran ? k->measured / k->ran : -1;
}

/* Seconds until the end, as far as known; < 0 when no remaining node has a known time. */
static double time_left(const cli_progress *p)
{
    double sum = 0;
    bool known = false;
    for (size_t i = 0; i < p->count; i++) {
        const row *r = &p->rows[i];
        const double e = r->over ? -1 : expected(p, r);
        if (e < 0)
            continue;
        known = true;
        sum += e * (1 - r->share);
    }
    return known ? sum : -1;
}

static double share_done(const cli_progress *p, double left)
{
    const double passed = tb_clock_seconds() - p->began;
    if (left >= 0 && passed + left > 0)
        return passed / (passed + left);
    double done = 0;
    for (size_t i = 0; i < p->count; i++)
        done += p->rows[i].over ? 1 : p->rows[i].share;
    return p->count ? done / (double)p->count : 0;
}

/* -------------------------------------------------------------------------------------- events */

static void enter_step(cli_progress *p, const char *node)
{
    size_t n;
    const int step = cli_step_of(node, &n);
    steps *s = &p->steps;
    if (step < 0) {
        free(s->scope);
        *s = (steps){ 0 };
        snprintf(p->node, sizeof p->node, "%s", node);
        return;
    }
    if (!s->scope || strncmp(s->scope, node, n) != 0 || s->scope[n]) {
        free(s->scope);
        *s = (steps){ .scope = tb_xstrndup(node, n), .first = step, .since = tb_clock_seconds() };
        s->total = (int)tb_map_get(p->last_step, s->scope);
        snprintf(p->node, sizeof p->node, "%s", s->scope);
    }
    if (step > s->current) {
        s->current = step;
        s->reached = tb_clock_seconds();
    }
    s->total = s->total > step ? s->total : step;
}

/* Seconds of one denoising step in this run; < 0 before the first is over. */
static double step_seconds(const cli_progress *p)
{
    const int passed = p->steps.current - p->steps.first;
    return passed > 0 ? (p->steps.reached - p->steps.since) / passed : -1;
}

static void add_steps(const cli_progress *p, tb_str *line)
{
    if (!p->steps.scope)
        return;
    tb_str_addf(line, "  step %d/%d", p->steps.current, p->steps.total);
    const double s = step_seconds(p);
    if (s >= 0)
        tb_str_addf(line, "  %.2f s/step", s);
}

static void plain_line(cli_progress *p, const tb_event *ev)
{
    const double now = tb_clock_seconds();
    const bool stepping = p->steps.scope != NULL;
    if (ev->ms / 1000 < quick && now - p->last_line < plain_interval)
        return;
    if (stepping && now - p->last_line < plain_interval)
        return;
    p->last_line = now;
    tb_str line = TB_STR_INIT;
    char text[40];
    tb_str_add(&line, stepping ? p->steps.scope : ev->node);
    add_steps(p, &line);
    if (!stepping)
        tb_str_addf(&line, "  %s", tb_str_seconds(ev->ms / 1000, text, sizeof text));
    const double left = time_left(p);
    if (left >= 1)
        tb_str_addf(&line, "  %s left", tb_str_seconds(left, text, sizeof text));
    fprintf(p->f, "%s\n", line.s);
    fflush(p->f);
    tb_str_free(&line);
}

static void finish(cli_progress *p, const tb_event *ev)
{
    row *r = row_of(p, ev->node, ev->type);
    kind *k = &p->kinds[r->kind];
    r->over = true;
    r->share = 1;
    if (ev->kind != TB_EV_FINISHED)
        return;
    k->ran++;
    k->measured += ev->ms / 1000;
    k->predicted += r->predicted >= 0 ? r->predicted : 0;
    if (!p->live)
        plain_line(p, ev);
}

void cli_progress_event(cli_progress *p, const tb_event *ev)
{
    if (!ev->node)
        return;
    if (ev->kind == TB_EV_STARTED) {
        row_of(p, ev->node, ev->type);
        enter_step(p, ev->node);
    } else if (ev->kind == TB_EV_PROGRESS) {
        row_of(p, ev->node, ev->type)->share = ev->share;
    } else if (ev->kind == TB_EV_FINISHED || ev->kind == TB_EV_CACHED || ev->kind == TB_EV_FAILED) {
        finish(p, ev);
    }
}

/* ------------------------------------------------------------------------------- the live line */

static void add_bar(const cli_progress *p, double share, tb_str *line)
{
    const int full = (int)(share * BAR_COLUMNS + 0.5);
    const cli_sgr on = cli_style(p->f, "36"), dim = cli_style(p->f, "2"),
                  off = cli_style(p->f, "0");
    tb_str_addf(line, "  %s", on.text);
    for (int i = 0; i < BAR_COLUMNS; i++) {
        if (i == full)
            tb_str_addf(line, "%s%s", off.text, dim.text);
        tb_str_add(line, p->utf8 ? "\xe2\x94\x81" : i < full ? "#" : "-");
    }
    tb_str_addf(line, "%s %3.0f %%", off.text, share * 100);
}

void cli_progress_tick(cli_progress *p)
{
    if (!p->live || !*p->node)
        return;
    tb_str line = TB_STR_INIT;
    char text[40];
    const double left = time_left(p);
    const int width = cli_width(p->f);
    tb_str_addf(&line, "%.*s", width > 60 ? width - 60 : 12, p->node);
    add_steps(p, &line);
    if (cli_columns(line.s) + BAR_COLUMNS + 8 < width)
        add_bar(p, share_done(p, left), &line);
    if (left >= 0 && width >= 80)
        tb_str_addf(&line, "  %s left", tb_str_seconds(left, text, sizeof text));
    fprintf(p->f, "\r%s\033[K", line.s);
    fflush(p->f);
    p->drawn = true;
    tb_str_free(&line);
}

void cli_progress_clear(cli_progress *p)
{
    if (p->drawn)
        fputs("\r\033[K", p->f);
    p->drawn = false;
    fflush(p->f);
}
