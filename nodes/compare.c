/* compare.c - is a less than, equal to or greater than b: the condition of a switch. */
#include <string.h>

#include "node.h"

typedef struct params {
    const tb_value *a, *b;
    const char *op;
} params;

static const tb_input_def inputs[] = {
    TB_IN_PORT(params, a, "*", 0, "A number, a text or a boolean."),
    TB_IN_PORT(params, b, "*", 0, "Another of the same kind."),
    TB_IN_COMBO(params, op, "==", "==|!=|<|<=|>|>=", "The question."),
    { 0 },
};

static const tb_output_def outputs[] = {
    { .name = "result", .type = "BOOLEAN", .doc = "The answer." },
    { 0 },
};

typedef enum kind { NUMBER, TEXT, TRUTH, OTHER } kind;

static kind kind_of(const tb_value *v)
{
    switch (tb_value_kind(v)) {
    case TB_INT:
    case TB_FLOAT: return NUMBER;
    case TB_STRING: return TEXT;
    case TB_BOOLEAN: return TRUTH;
    case TB_NONE:
    case TB_TENSOR:
    case TB_RECORD:
    case TB_LIST: break;
    }
    return OTHER;
}

static int order_numbers(const tb_value *a, const tb_value *b)
{
    if (tb_value_kind(a) == TB_INT && tb_value_kind(b) == TB_INT)
        return (tb_value_as_int(a) > tb_value_as_int(b)) -
               (tb_value_as_int(a) < tb_value_as_int(b));
    return (tb_value_as_float(a) > tb_value_as_float(b)) -
           (tb_value_as_float(a) < tb_value_as_float(b));
}

static int order(kind k, const tb_value *a, const tb_value *b)
{
    if (k == NUMBER)
        return order_numbers(a, b);
    return k == TEXT ? strcmp(tb_value_as_string(a), tb_value_as_string(b))
                     : tb_value_as_bool(a) - tb_value_as_bool(b);
}

static bool answer(const char *op, int order)
{
    switch (op[0]) {
    case '=': return order == 0;
    case '!': return order != 0;
    case '<': return op[1] ? order <= 0 : order < 0;
    default: return op[1] ? order >= 0 : order > 0;
    }
}

static tb_status run(tb_job *job, const void *vp, tb_err *err)
{
    static const char *const names[] = { "a number", "a text", "a boolean",
                                         "another kind of value" };
    const params *p = vp;
    const kind ka = kind_of(p->a), kb = kind_of(p->b);
    if (ka != kb || ka == OTHER)
        return tb_err_set(err, TB_EINVAL,
                          "a and b must be two numbers, two texts or two booleans, got %s and %s",
                          names[ka], names[kb]);
    tb_job_set_take(job, 0, tb_value_bool(answer(p->op, order(ka, p->a, p->b))));
    return TB_OK;
}

const tb_node_def tb_node_compare = {
    .abi = TB_NODE_ABI,
    .version = 1,
    .name = "compare",
    .title = "Compare",
    .category = "logic",
    .doc = "Compare two numbers, texts or booleans.",
    .flags = TB_NODE_INLINE,
    .params_size = sizeof(params),
    .inputs = inputs,
    .outputs = outputs,
    .run = run,
    .example = "return tb.compare { a = 3, op = \"<\", b = 4 }",
};
