/* prompt_grid.c - every combination of a prompt's alternatives: "a {red|blue} {ball|cube}" gives
 * four. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "node.h"

enum { MAX_PROMPTS = 10000, MAX_CHOICES = 64 };

typedef struct params {
    const char *template;
} params;

static const tb_input_def inputs[] = {
    TB_IN_STRING(params, template, NULL, TB_IN_MULTILINE,
                 "A text with alternatives in braces: a {red|blue} ball."),
    { 0 },
};

static const tb_output_def outputs[] = {
    { .name = "prompts",
      .type = "STRING",
      .is_list = true,
      .doc = "All combinations; the last braces change fastest." },
    { 0 },
};

/* One pair of braces: from behind "{" to "}", and how many alternatives are inside. */
typedef struct choice {
    const char *begin, *end;
    int options;
} choice;

typedef struct grid {
    choice choices[MAX_CHOICES];
    int count;
    int64_t prompts;
} grid;

static tb_status add_choice(grid *g, const char *template, const char *open, tb_err *err)
{
    const long long at = open - template + 1;
    const size_t n = strcspn(open + 1, "{}");
    const char *end = open + 1 + n;
    if (!*end)
        return tb_err_set(err, TB_EINVAL,
                          "template must close its braces; the { at character %lld is open", at);
    if (*end == '{')
        return tb_err_set(
            err, TB_EINVAL,
            "template must not have braces inside braces, got a second { behind the one "
            "at character %lld",
            at);
    if (g->count == MAX_CHOICES)
        return tb_err_set(err, TB_EINVAL, "template must have at most %d pairs of braces",
                          MAX_CHOICES);
    choice c = { .begin = open + 1, .end = end, .options = 1 };
    for (const char *s = c.begin; s < c.end; s++)
        c.options += *s == '|';
    g->choices[g->count++] = c;
    g->prompts *= c.options;
    if (g->prompts > MAX_PROMPTS)
        return tb_err_set(err, TB_EINVAL, "template must give at most %d prompts, got %lld or more",
                          MAX_PROMPTS, (long long)g->prompts);
    return TB_OK;
}

static tb_status parse(grid *g, const char *template, tb_err *err)
{
    *g = (grid){ .prompts = 1 };
    for (const char *s = template; *(s += strcspn(s, "{}"));) {
        if (*s == '}')
            return tb_err_set(err, TB_EINVAL, "template has a } without a { at character %lld",
                              (long long)(s - template + 1));
        TB_TRY(add_choice(g, template, s, err));
        s = g->choices[g->count - 1].end + 1;
    }
    return TB_OK;
}

/* The i-th alternative of a choice. */
static void add_option(tb_str *out, const choice *c, int64_t i)
{
    const char *s = c->begin;
    for (; i > 0; i--)
        s += strcspn(s, "|") + 1;
    const size_t n = strcspn(s, "|}");
    tb_str_addn(out, s, n);
}

static tb_value *prompt(const grid *g, const char *template, int64_t i)
{
    tb_str out = TB_STR_INIT;
    const char *s = template;
    int64_t block = g->prompts;
    tb_str_add(&out, "");
    for (int k = 0; k < g->count; k++) {
        const choice *c = &g->choices[k];
        block /= c->options;
        tb_str_addn(&out, s, (size_t)(c->begin - 1 - s));
        add_option(&out, c, i / block % c->options);
        s = c->end + 1;
    }
    tb_str_add(&out, s);
    tb_value *v = tb_value_string(out.s);
    tb_str_free(&out);
    return v;
}

static tb_status run(tb_job *job, const void *vp, tb_err *err)
{
    const params *p = vp;
    grid g;
    TB_TRY(parse(&g, p->template, err));
    for (int64_t i = 0; i < g.prompts; i++)
        tb_job_set_take(job, 0, prompt(&g, p->template, i));
    return TB_OK;
}

const tb_node_def tb_node_prompt_grid = {
    .abi = TB_NODE_ABI,
    .version = 1,
    .name = "prompt_grid",
    .title = "Prompt grid",
    .category = "text",
    .doc = "Make a prompt of every combination of alternatives; what follows runs once for each.",
    .flags = TB_NODE_INLINE,
    .params_size = sizeof(params),
    .inputs = inputs,
    .outputs = outputs,
    .run = run,
    .example = "return tb.prompt_grid { template = \"a {red|blue} {ball|cube}\" }",
};
