/* test_nodes.c - every node in nodes/: its tables are sound, and a wrong value of each input is
 * told in one exact sentence. What hangs on data (shapes, files) is tested beside the nodes it
 * belongs to.
 */
#include <ctype.h>
#include <float.h>

#include "base/mem.h"
#include "base/str.h"
#include "graph/program.h"
#include "test.h"

static bool is(const tb_input_def *in, const char *type)
{
    return strcmp(in->type, type) == 0;
}

static bool has_choice(const char *choices, const char *s)
{
    const size_t n = strlen(s);
    for (const char *p = choices; *p; p += strcspn(p, "|"), p += *p == '|')
        if (strcspn(p, "|") == n && memcmp(p, s, n) == 0)
            return true;
    return false;
}

static void check_input(const char *node, const tb_input_def *in)
{
    const size_t n = in->doc ? strlen(in->doc) : 0;
    bool sound = n > 3 && in->doc[n - 1] == '.';
    if (is(in, "INT"))
        sound &= in->i_min <= in->i_default && in->i_default <= in->i_max;
    if (is(in, "FLOAT"))
        sound &= in->f_min <= in->f_default && in->f_default <= in->f_max;
    if (is(in, "COMBO"))
        sound &= in->choices && in->s_default && has_choice(in->choices, in->s_default);
    if (in->flags & TB_IN_LAZY)
        sound &= !tb_input_is_scalar(in);
    if (!sound) {
        fprintf(stderr, "%s.%s: the row is not sound (doc, default, range or choices)\n", node,
                in->name);
        tb_test_failures++;
    }
}

TEST(tables_are_sound)
{
    int nodes = 0;
    for (const tb_node_def *const *d = tb_node_list; *d; d++) {
        const tb_node_def *def = *d;
        const size_t n = def->doc ? strlen(def->doc) : 0;
        int outputs = 0;
        nodes++;
        CHECK_INT(def->abi, TB_NODE_ABI);
        CHECK(def->version >= 1 && def->run && def->title && def->category);
        CHECK(n > 10 && def->doc[n - 1] == '.');
        CHECK(def->params_size > 0);
        for (const char *c = def->name; *c; c++)
            CHECK(islower(*c) || isdigit(*c) || *c == '_');
        for (const tb_input_def *in = def->inputs; in && in->name; in++) {
            check_input(def->name, in);
            CHECK(in - def->inputs < 64);
        }
        for (const tb_output_def *o = def->outputs; o && o->name; o++, outputs++)
            CHECK(o->type && o->doc && *o->doc);
        CHECK(outputs > 0);
        CHECK(!def->deliver || def->flags & TB_NODE_TARGET);
    }
    CHECK(nodes > 10);
}

/* The errors of a graph of one node with one input, one a line. */
static char *errors_of(const tb_types *types, const char *node, const char *input,
                       json_t *value_take)
{
    tb_err err = TB_ERR_INIT;
    tb_err_list errors = { 0 };
    tb_str all = TB_STR_INIT;
    char line[1400];
    tb_graph *g = tb_graph_new();
    const int at = tb_graph_add(g, "n", node, "g.lua:1", NULL, &err);
    tb_graph_set_literal_take(g, at, input, value_take);
    tb_program *p = tb_program_new(g, types);
    tb_program_check(p, &errors);
    for (int i = 0; i < errors.count; i++)
        tb_str_addf(&all, "%s\n",
                    tb_err_text(&errors.items[i], errors.types[i], line, sizeof line));
    tb_err_list_free(&errors);
    tb_program_free(&p);
    return tb_str_take(&all);
}

__attribute__((format(printf, 5, 6))) static void expect(const tb_types *types, const char *node,
                                                         const char *input, json_t *value_take,
                                                         const char *fmt, ...)
{
    char sentence[600], want[800];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(sentence, sizeof sentence, fmt, ap);
    va_end(ap);
    snprintf(want, sizeof want, "g.lua:1: node 'n' (%s): %s\n", node, sentence);
    char *got = errors_of(types, node, input, value_take);
    if (!strstr(got, want)) {
        fprintf(stderr, "%s.%s: wanted\n  %samong\n  %s", node, input, want, got);
        tb_test_failures++;
    }
    free(got);
}

static void wrong_int(const tb_types *t, const char *node, const tb_input_def *in)
{
    expect(t, node, in->name, json_string("many"), "%s must be an integer, got 'many'", in->name);
    expect(t, node, in->name, json_real(2.5), "%s must be an integer, got 2.5", in->name);
    if (in->i_min > INT64_MIN && in->i_max < INT64_MAX)
        expect(t, node, in->name, json_integer(in->i_min - 1), "%s must be %lld..%lld, got %lld",
               in->name, (long long)in->i_min, (long long)in->i_max, (long long)in->i_min - 1);
    else if (in->i_min > INT64_MIN)
        expect(t, node, in->name, json_integer(in->i_min - 1), "%s must be %lld or more, got %lld",
               in->name, (long long)in->i_min, (long long)in->i_min - 1);
}

static void wrong_float(const tb_types *t, const char *node, const tb_input_def *in)
{
    expect(t, node, in->name, json_string("much"), "%s must be a number, got 'much'", in->name);
    if (in->f_max < DBL_MAX)
        expect(t, node, in->name, json_real(in->f_max * 2 + 1), "%s must be %g..%g, got %g",
               in->name, in->f_min, in->f_max, in->f_max * 2 + 1);
}

TEST(a_wrong_value_of_each_input_is_told)
{
    tb_types *t = tb_types_new();
    for (const tb_node_def *const *d = tb_node_list; *d; d++)
        for (const tb_input_def *in = (*d)->inputs; in && in->name; in++) {
            const char *node = (*d)->name;
            if (!tb_input_is_scalar(in) && !is(in, "*"))
                expect(t, node, in->name, json_integer(5),
                       "%s must be linked to an output of type %s, got a value", in->name,
                       in->type);
            else if (is(in, "INT"))
                wrong_int(t, node, in);
            else if (is(in, "FLOAT"))
                wrong_float(t, node, in);
            else if (is(in, "BOOLEAN"))
                expect(t, node, in->name, json_string("maybe"),
                       "%s must be true or false, got 'maybe'", in->name);
            else if (is(in, "COMBO"))
                expect(t, node, in->name, json_string("none of these"),
                       "%s must be one of %s, got 'none of these'", in->name, in->choices);
            else if (is(in, "STRING"))
                expect(t, node, in->name, json_true(), "%s must be a text, got true", in->name);
        }
    tb_types_free(&t);
}

TEST(a_missing_input_is_told)
{
    tb_types *t = tb_types_new();
    for (const tb_node_def *const *d = tb_node_list; *d; d++)
        for (const tb_input_def *in = (*d)->inputs; in && in->name; in++) {
            const bool scalar = tb_input_is_scalar(in);
            if (in->flags & TB_IN_OPTIONAL || (scalar && !in->required))
                continue;
            if (scalar)
                expect(t, (*d)->name, "no_such", json_null(), "%s (%s) is missing; give it a value",
                       in->name, in->type);
            else
                expect(t, (*d)->name, "no_such", json_null(),
                       "%s is not connected; link it to an output of type %s", in->name, in->type);
        }
    tb_types_free(&t);
}

int main(int argc, char **argv)
{
    static const struct tb_test tests[] = {
        TEST_CASE(tables_are_sound),
        TEST_CASE(a_wrong_value_of_each_input_is_told),
        TEST_CASE(a_missing_input_is_told),
    };
    return tb_test_main(argc, argv, tests, (int)(sizeof tests / sizeof *tests));
}
