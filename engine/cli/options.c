/* options.c - the one option parser, and help made from the same tables. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "cli/cli.h"

static const cli_option help_option = { "help", NULL, "Show this page.", .letter = 'h' };

/* --------------------------------------------------------------------------------- suggestions */

void cli_nearest_offer(cli_nearest *n, const char *name)
{
    const int d = tb_str_distance(n->word, name);
    if (!n->best || d < n->distance) {
        n->best = name;
        n->distance = d;
    }
}

const char *cli_nearest_name(const cli_nearest *n)
{
    const int length = (int)strlen(n->word);
    return n->best && n->distance <= (length < 4 ? 1 : length / 3 + 1) ? n->best : NULL;
}

/* ------------------------------------------------------------------------------------- parsing */

static const cli_option *find(const cli_option *tab, const char *name, size_t n)
{
    for (const cli_option *o = tab; o && o->name; o++)
        if (strncmp(o->name, name, n) == 0 && o->name[n] == 0)
            return o;
    return NULL;
}

static const cli_option *find_letter(const cli_option *tab, char letter)
{
    for (const cli_option *o = tab; o && o->name; o++)
        if (o->letter == letter)
            return o;
    return NULL;
}

static void offer_all(cli_nearest *n, const cli_option *tab)
{
    for (const cli_option *o = tab; o && o->name; o++)
        cli_nearest_offer(n, o->name);
}

static tb_status unknown(const cli_args *a, const cli_option *extra, const char *name, tb_err *err)
{
    char word[64];
    snprintf(word, sizeof word, "%.*s", (int)strcspn(name, "="), name);
    cli_nearest n = { .word = word };
    offer_all(&n, a->command->options);
    offer_all(&n, extra);
    cli_nearest_offer(&n, help_option.name);
    const char *best = cli_nearest_name(&n);
    const char *hint = a->command->takes_graph && !a->operand_count
                           ? "; options of the graph itself stand behind its name"
                           : "";
    if (best)
        return tb_err_set(err, TB_EUSAGE, "unknown option '--%s', did you mean '--%s'?", word,
                          best);
    return tb_err_set(err, TB_EUSAGE, "unknown option '--%s'%s", word, hint);
}

static bool among(const char *choices, const char *value)
{
    const size_t n = strlen(value);
    for (const char *p = choices; *p; p += strcspn(p, "|"), p += *p == '|')
        if (strcspn(p, "|") == n && strncmp(p, value, n) == 0)
            return true;
    return false;
}

static tb_status keep(cli_args *a, const cli_option *o, const char *value, tb_err *err)
{
    if (o->choices && value && !among(o->choices, value))
        return tb_err_set(err, TB_EUSAGE, "--%s must be one of %s, got '%s'", o->name, o->choices,
                          value);
    TB_GROW(a->given, a->given_cap, a->given_count + 1);
    a->given[a->given_count++] = (cli_given){ o, value };
    return TB_OK;
}

/* The words still to be read. */
typedef struct cursor {
    char **argv;
    int argc, i;
} cursor;

static tb_status take_value(cli_args *a, const cli_option *o, cursor *c, tb_err *err)
{
    if (c->i + 1 >= c->argc)
        return tb_err_set(err, TB_EUSAGE, "--%s needs a value: --%s %s", o->name, o->name,
                          o->value);
    return keep(a, o, c->argv[++c->i], err);
}

static tb_status take_flag(cli_args *a, const cli_option *o, const char *value, tb_err *err)
{
    if (!o->toggle)
        return value ? tb_err_set(err, TB_EUSAGE, "--%s takes no value", o->name)
                     : keep(a, o, NULL, err);
    if (value && strcmp(value, "true") != 0 && strcmp(value, "false") != 0)
        return tb_err_set(err, TB_EUSAGE, "--%s must be true or false, got '%s'", o->name, value);
    return keep(a, o, value ? value : "true", err);
}

/* "--name", "--name=value", "--name value", "--no-name". */
static tb_status take_long(cli_args *a, const cli_option *extra, cursor *c, tb_err *err)
{
    const char *name = c->argv[c->i] + 2;
    const size_t n = strcspn(name, "=");
    const char *value = name[n] ? name + n + 1 : NULL;
    if (strcmp(name, "help") == 0) {
        a->help = true;
        return TB_OK;
    }
    const cli_option *o = find(a->command->options, name, n);
    if (!o)
        o = find(extra, name, n);
    if (!o && tb_str_starts(name, "no-") && !value) {
        o = find(extra, name + 3, n - 3);
        if (o && o->toggle)
            return keep(a, o, "false", err);
        o = NULL;
    }
    if (!o)
        return unknown(a, extra, name, err);
    if (!o->value)
        return take_flag(a, o, value, err);
    return value ? keep(a, o, value, err) : take_value(a, o, c, err);
}

static tb_status take_short(cli_args *a, cursor *c, tb_err *err)
{
    const char *word = c->argv[c->i];
    if (strcmp(word, "-h") == 0) {
        a->help = true;
        return TB_OK;
    }
    const cli_option *o = find_letter(a->command->options, word[1]);
    if (!o || (word[2] && !o->value))
        return tb_err_set(err, TB_EUSAGE, "unknown option '%s'", word);
    if (!o->value)
        return keep(a, o, NULL, err);
    return word[2] ? keep(a, o, word + 2, err) : take_value(a, o, c, err);
}

static tb_status take_operand(cli_args *a, const char *word, tb_err *err)
{
    if (a->operand_count >= a->command->max_operands)
        return a->command->max_operands
                   ? tb_err_set(err, TB_EUSAGE, "'%s' is too much: %s takes %s", word,
                                a->command->name, a->command->operands)
                   : tb_err_set(err, TB_EUSAGE, "'%s' is too much: %s takes only options", word,
                                a->command->name);
    TB_GROW(a->operands, a->operand_cap, a->operand_count + 1);
    a->operands[a->operand_count++] = word;
    return TB_OK;
}

static tb_status parse(cli_args *a, const cli_option *extra, cursor *c, bool stop, tb_err *err)
{
    for (bool only_operands = false; c->i < c->argc; c->i++) {
        const char *word = c->argv[c->i];
        if (!only_operands && strcmp(word, "--") == 0) {
            only_operands = true;
        } else if (!only_operands && tb_str_starts(word, "--")) {
            TB_TRY(take_long(a, extra, c, err));
        } else if (!only_operands && word[0] == '-' && word[1]) {
            TB_TRY(take_short(a, c, err));
        } else {
            TB_TRY(take_operand(a, word, err));
            if (stop) {
                c->i++;
                return TB_OK;
            }
        }
    }
    return TB_OK;
}

tb_status cli_parse(cli_args *a, const cli_command *command, int argc, char **argv, tb_err *err)
{
    a->command = command;
    cursor c = { argv, argc, 0 };
    TB_TRY(parse(a, NULL, &c, command->takes_graph, err));
    a->rest = argv + c.i;
    a->rest_count = argc - c.i;
    if (command->words && a->operand_count && !among(command->words, a->operands[0]))
        return tb_err_set(err, TB_EUSAGE, "%s takes one of %s, got '%s'", command->name,
                          command->words, a->operands[0]);
    return TB_OK;
}

tb_status cli_parse_rest(cli_args *a, const cli_option *extra, tb_err *err)
{
    cursor c = { a->rest, a->rest_count, 0 };
    return parse(a, extra, &c, false, err);
}

void cli_args_clear(cli_args *a)
{
    free(a->given);
    free(a->operands);
    *a = (cli_args){ 0 };
}

/* -------------------------------------------------------------------------------------- access */

static const cli_given *last_given(const cli_args *a, const char *name)
{
    for (int i = a->given_count - 1; i >= 0; i--)
        if (strcmp(a->given[i].option->name, name) == 0)
            return &a->given[i];
    return NULL;
}

bool cli_flag(const cli_args *a, const char *name)
{
    return last_given(a, name) != NULL;
}

const char *cli_text(const cli_args *a, const char *name)
{
    const cli_given *g = last_given(a, name);
    return g ? g->value : NULL;
}

tb_status cli_number(const char *text, const char *what, int64_t lo, int64_t hi, int64_t *out,
                     tb_err *err)
{
    char *end = NULL;
    errno = 0;
    const long long v = strtoll(text, &end, 10);
    if (errno || end == text || *end || v < lo || v > hi)
        return tb_err_set(err, TB_EUSAGE, "%s must be a whole number %lld..%lld, got '%s'", what,
                          (long long)lo, (long long)hi, text);
    *out = v;
    return TB_OK;
}

tb_status cli_int(const cli_args *a, const char *name, int64_t lo, int64_t hi, int64_t *out,
                  tb_err *err)
{
    const char *text = cli_text(a, name);
    char what[64];
    snprintf(what, sizeof what, "--%s", name);
    return text ? cli_number(text, what, lo, hi, out, err) : TB_OK;
}

tb_status cli_bytes(const cli_args *a, const char *name, uint64_t *out, tb_err *err)
{
    static const char units[] = "KMGT";
    const char *text = cli_text(a, name);
    char *end;
    if (!text)
        return TB_OK;
    errno = 0;
    const double v = strtod(text, &end);
    const char *unit = *end ? strchr(units, toupper((unsigned char)*end)) : NULL;
    const char *after = unit ? end + 1 : end;
    double scale = 1;
    for (const char *u = units; unit && u <= unit; u++)
        scale *= 1024;
    if (strcmp(after, "iB") == 0 || strcmp(after, "B") == 0)
        after = "";
    if (end == text || errno || *after || !(v >= 0) || v * scale > 1e18)
        return tb_err_set(err, TB_EUSAGE, "--%s must be a size such as 500M or 2G, got '%s'", name,
                          text);
    *out = (uint64_t)(v * scale);
    return TB_OK;
}

/* ---------------------------------------------------------------------------------------- help */

static int option_head(const cli_option *o, char *buf, size_t n)
{
    char letter[8] = "";
    if (o->letter)
        snprintf(letter, sizeof letter, "-%c, ", o->letter);
    return snprintf(buf, n, "%s--%s%s%s", letter, o->name, o->value ? " " : "",
                    o->value ? o->value : "");
}

static void print_option(FILE *f, const cli_option *o, int column)
{
    char head[96];
    option_head(o, head, sizeof head);
    fprintf(f, "  %-*s  ", column, head);
    char *text = o->choices ? tb_xasprintf("%s (%s)", o->doc, o->choices) : tb_xstrdup(o->doc);
    cli_print_wrapped(f, text, column + 4, cli_width(f));
    free(text);
}

static int widest(const cli_option *tab, int column)
{
    char head[96];
    for (const cli_option *o = tab; o && o->name; o++) {
        const int n = option_head(o, head, sizeof head);
        column = n > column && n <= 30 ? n : column;
    }
    return column;
}

void cli_print_options(FILE *f, const cli_option *options)
{
    const int column = widest(options, 12);
    for (const cli_option *o = options; o && o->name; o++)
        print_option(f, o, column);
}

static void print_heading(FILE *f, const char *text)
{
    fprintf(f, "\n%s%s%s\n", cli_style(f, "1").text, text, cli_style(f, "0").text);
}

void cli_print_help(FILE *f, const cli_command *c, const cli_option *extra, const char *title)
{
    fprintf(f, "%s.\n", c->summary);
    print_heading(f, "Usage");
    fprintf(f, "  tubelet %s%s%s [options]\n", c->name, *c->operands ? " " : "", c->operands);
    if (c->detail)
        fprintf(f, "\n%s\n", c->detail);
    if (extra && extra->name) {
        print_heading(f, title);
        cli_print_options(f, extra);
    }
    print_heading(f, "Options");
    const int column = widest(c->options, 12);
    for (const cli_option *o = c->options; o && o->name; o++)
        print_option(f, o, column);
    print_option(f, &help_option, column);
    print_heading(f, "Examples");
    for (int i = 0; i < 2; i++)
        fprintf(f, "  %s\n", c->examples[i]);
}
