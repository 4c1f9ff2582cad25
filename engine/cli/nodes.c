/* nodes.c - `tubelet nodes`: which nodes there are, and the full page of one. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/nodes.h"
#include "script/script.h"

enum { LONGEST_RANGE = 24 }; /* longer lists of choices stand in the text */

/* All types: those in C, and those of the Lua library, which the script child reports. */
static tb_types *all_types(tb_err *err)
{
    tb_types *types = tb_types_new();
    tb_script *s = tb_script_start(err);
    json_t *lua = s ? tb_script_types(s, err) : NULL;
    const tb_status st = lua ? tb_types_add(types, lua, err) : err->status;
    json_decref(lua);
    tb_script_stop(&s);
    if (st != TB_OK)
        tb_types_free(&types);
    return types;
}

const char *cli_node_category(const tb_type *t)
{
    return t->def->category && *t->def->category ? t->def->category : "other";
}

/* ------------------------------------------------------------------------------------- the list */

static int by_category(const void *a, const void *b)
{
    const tb_type *const *x = a, *const *y = b;
    const int c = strcmp(cli_node_category(*x), cli_node_category(*y));
    return c ? c : strcmp((*x)->def->name, (*y)->def->name);
}

static void first_sentence(const char *doc, char *buf, size_t n)
{
    const char *end = strstr(doc, ". ");
    snprintf(buf, n, "%.*s", (int)(end ? end - doc + 1 : (long)strlen(doc)), doc);
}

const tb_type **cli_nodes_sorted(const tb_types *types)
{
    const int n = tb_types_count(types);
    const tb_type **sorted = tb_xcalloc((size_t)n + 1, sizeof *sorted);
    for (int i = 0; i < n; i++)
        sorted[i] = tb_types_at(types, i);
    qsort(sorted, (size_t)n, sizeof *sorted, by_category);
    return sorted;
}

static int longest_name(const tb_types *types)
{
    int longest = 0;
    for (int i = 0; i < tb_types_count(types); i++) {
        const int n = (int)strlen(tb_types_at(types, i)->def->name);
        longest = n > longest ? n : longest;
    }
    return longest;
}

static void print_list(const tb_types *types)
{
    const tb_type **sorted = cli_nodes_sorted(types);
    const int column = longest_name(types);
    const char *category = "";
    for (int i = 0; i < tb_types_count(types); i++) {
        if (strcmp(category, cli_node_category(sorted[i])) != 0) {
            printf("%s%s%s%s\n", *category ? "\n" : "", cli_style(stdout, "1").text,
                   cli_node_category(sorted[i]), cli_style(stdout, "0").text);
            category = cli_node_category(sorted[i]);
        }
        char doc[400];
        first_sentence(sorted[i]->def->doc ? sorted[i]->def->doc : "", doc, sizeof doc);
        printf("  %-*s  ", column, sorted[i]->def->name);
        cli_print_wrapped(stdout, doc, column + 4, cli_width(stdout));
    }
    free(sorted);
}

static void print_list_json(const tb_types *types)
{
    json_t *list = json_array();
    for (int i = 0; i < tb_types_count(types); i++)
        json_array_append_new(list, tb_type_to_json(tb_types_at(types, i)));
    cli_print_json(list);
    json_decref(list);
}

/* ------------------------------------------------------------------------------------ one page */

static void number(double v, char *buf, size_t n)
{
    snprintf(buf, n, "%.10g", v);
}

static void range_text(const char *lo, const char *hi, bool lo_open, bool hi_open, tb_str *out)
{
    if (lo_open && hi_open)
        return;
    if (hi_open)
        tb_str_addf(out, "%s or more", lo);
    else if (lo_open)
        tb_str_addf(out, "%s or less", hi);
    else
        tb_str_addf(out, "%s..%s", lo, hi);
}

void cli_node_range(const tb_input_def *d, tb_str *out)
{
    char lo[40], hi[40];
    if (strcmp(d->type, "INT") == 0) {
        snprintf(lo, sizeof lo, "%lld", (long long)d->i_min);
        snprintf(hi, sizeof hi, "%lld", (long long)d->i_max);
        range_text(lo, hi, d->i_min == INT64_MIN, d->i_max == INT64_MAX, out);
    } else if (strcmp(d->type, "FLOAT") == 0) {
        number(d->f_min, lo, sizeof lo);
        number(d->f_max, hi, sizeof hi);
        range_text(lo, hi, d->f_min <= -1e30, d->f_max >= 1e30, out);
    } else if (d->choices) {
        for (const char *p = d->choices; *p; p++)
            tb_str_addn(out, *p == '|' ? " | " : p, *p == '|' ? 3 : 1);
    }
    if (d->unit && *d->unit && out->len)
        tb_str_addf(out, " %s", d->unit);
}

void cli_node_default(const tb_input_def *d, char *buf, size_t n)
{
    if (strcmp(d->type, "INT") == 0 && !d->required)
        snprintf(buf, n, "%lld", (long long)d->i_default);
    else if (strcmp(d->type, "FLOAT") == 0 && !d->required)
        number(d->f_default, buf, n);
    else if (strcmp(d->type, "BOOLEAN") == 0 && !d->required)
        snprintf(buf, n, "%s", d->i_default ? "true" : "false");
    else if (d->s_default)
        snprintf(buf, n, "\"%s\"", d->s_default);
    else if (d->flags & TB_IN_OPTIONAL)
        snprintf(buf, n, "optional");
    else
        snprintf(buf, n, "required");
}

static void print_inputs(const tb_type *t)
{
    cli_table table = { .columns = 5, .wrap = true };
    static const char *const head[] = { "  input", "type", "default", "range", "what it is" };
    for (int i = 0; i < 5; i++)
        cli_table_add(&table, head[i]);
    for (int i = 0; i < t->input_count; i++) {
        const tb_input_def *d = &t->def->inputs[i];
        char def[200];
        tb_str range = TB_STR_INIT;
        cli_node_default(d, def, sizeof def);
        cli_node_range(d, &range);
        cli_table_addf(&table, "  %s", d->name);
        cli_table_addf(&table, "%s%s%s", d->type, d->flags & TB_IN_LIST ? " list" : "",
                       d->flags & TB_IN_LAZY ? " lazy" : "");
        cli_table_add(&table, def);
        const bool fits = range.len <= LONGEST_RANGE;
        cli_table_add(&table, fits ? range.s : "");
        cli_table_addf(&table, "%s%s%s", d->doc ? d->doc : "", fits ? "" : " One of ",
                       fits ? "" : range.s);
        tb_str_free(&range);
    }
    cli_table_print(&table, stdout, true);
}

static void print_outputs(const tb_type *t)
{
    cli_table table = { .columns = 4, .wrap = true };
    static const char *const head[] = { "  output", "type", "shape", "what it is" };
    for (int i = 0; i < 4; i++)
        cli_table_add(&table, head[i]);
    for (int i = 0; i < t->output_count; i++) {
        const tb_output_def *d = &t->def->outputs[i];
        cli_table_addf(&table, "  %s", d->name);
        cli_table_addf(&table, "%s%s", d->type, d->is_list ? " list" : "");
        if (d->shape && *d->shape)
            cli_table_addf(&table, "[%s]", d->shape);
        else
            cli_table_add(&table, "");
        cli_table_add(&table, d->doc);
    }
    cli_table_print(&table, stdout, true);
}

char *cli_node_kind(const tb_type *t, char *buf, size_t n)
{
    snprintf(buf, n, "%s%s",
             t->kind == TB_COMPOSITE ? "composite: becomes several nodes"
             : t->kind == TB_LUA     ? "written in Lua"
                                     : "written in C",
             t->def->flags & TB_NODE_TARGET ? "; an output node" : "");
    return buf;
}

static void print_page(const tb_type *t)
{
    char kind[80];
    printf("%s%s%s  (%s; %s)\n\n  ", cli_style(stdout, "1").text, t->def->name,
           cli_style(stdout, "0").text, cli_node_category(t), cli_node_kind(t, kind, sizeof kind));
    cli_print_wrapped(stdout, t->def->doc ? t->def->doc : "", 2, cli_width(stdout));
    if (t->input_count) {
        putchar('\n');
        print_inputs(t);
    }
    if (t->output_count) {
        putchar('\n');
        print_outputs(t);
    }
    if (t->def->example) {
        printf("\n%s  example%s\n", cli_style(stdout, "1").text, cli_style(stdout, "0").text);
        for (const char *p = t->def->example; *p; p += strcspn(p, "\n"), p += *p == '\n')
            printf("    %.*s\n", (int)strcspn(p, "\n"), p);
    }
}

static int no_such_node(const tb_types *types, const char *name)
{
    const char *best = tb_types_nearest(types, name);
    tb_err err = TB_ERR_INIT;
    tb_err_set(&err, TB_ENOTFOUND, "there is no node '%s'%s%s%s", name,
               best ? ", did you mean '" : "; 'tubelet nodes' lists all", best ? best : "",
               best ? "'?" : "");
    return cli_fail(&err);
}

static void show_one(const tb_type *t, const cli_args *args)
{
    if (cli_flag(args, "json")) {
        json_t *j = tb_type_to_json(t);
        cli_print_json(j);
        json_decref(j);
    } else if (cli_flag(args, "markdown")) {
        cli_node_markdown(t);
    } else {
        print_page(t);
    }
}

static void show_all(const tb_types *types, const cli_args *args)
{
    if (cli_flag(args, "json"))
        print_list_json(types);
    else if (cli_flag(args, "markdown"))
        cli_nodes_markdown(types);
    else
        print_list(types);
}

static int show(const tb_types *types, const cli_args *args)
{
    if (args->operand_count == 0) {
        show_all(types, args);
        return 0;
    }
    const tb_type *t = tb_types_find(types, args->operands[0]);
    if (!t)
        return no_such_node(types, args->operands[0]);
    show_one(t, args);
    return 0;
}

static int run(cli_args *args)
{
    tb_err err = TB_ERR_INIT;
    if (cli_flag(args, "json") && cli_flag(args, "markdown")) {
        tb_err_set(&err, TB_EUSAGE, "--json and --markdown are two forms; choose one");
        return cli_usage(args->command, &err);
    }
    tb_types *types = all_types(&err);
    if (!types)
        return cli_fail(&err);
    const int code = show(types, args);
    tb_types_free(&types);
    return code;
}

static const cli_option options[] = {
    { "json", NULL, "Print the full tables as JSON." },
    { "markdown", NULL, "Print the reference page, docs/nodes.md." },
    { 0 },
};

const cli_command cli_nodes = {
    .name = "nodes",
    .operands = "[NAME]",
    .summary = "List the nodes, or show one with its inputs and outputs",
    .options = options,
    .examples = { "tubelet nodes", "tubelet nodes sample" },
    .max_operands = 1,
    .run = run,
};
