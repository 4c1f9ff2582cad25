/* math_number.c - one operation on two numbers, as Lua 5.4 has it: integers stay integers, divide
 * and power give a real number.
 */
#include <math.h>
#include <string.h>

#include "node.h"

typedef struct params {
    const tb_value *a, *b;
    const char *op;
} params;

static const tb_input_def inputs[] = {
    TB_IN_PORT(params, a, "*", 0, "The first number."),
    TB_IN_PORT(params, b, "*", 0, "The second number."),
    TB_IN_COMBO(params, op, "add", "add|subtract|multiply|divide|floor_divide|modulo|power|min|max",
                "What to do."),
    { 0 },
};

static const tb_output_def outputs[] = {
    { .name = "number",
      .type = "INT,FLOAT",
      .doc = "INT if a and b are, except for divide and power." },
    { 0 },
};

typedef enum op { ADD, SUBTRACT, MULTIPLY, DIVIDE, FLOOR_DIVIDE, MODULO, POWER, MIN, MAX } op;

static op op_of(const char *name)
{
    static const char *const names[] = { "add",          "subtract", "multiply", "divide",
                                         "floor_divide", "modulo",   "power",    "min" };
    for (int i = 0; i < MAX; i++)
        if (strcmp(names[i], name) == 0)
            return (op)i;
    return MAX;
}

static double real(op o, double a, double b)
{
    switch (o) {
    case ADD: return a + b;
    case SUBTRACT: return a - b;
    case MULTIPLY: return a * b;
    case DIVIDE: return a / b;
    case FLOOR_DIVIDE: return floor(a / b);
    case MODULO: return a - floor(a / b) * b;
    case POWER: return pow(a, b);
    case MIN: return a < b ? a : b;
    case MAX: break;
    }
    return a > b ? a : b;
}

/* Towards minus infinity. b is not 0, and not -1 with a the least integer. */
static int64_t floor_divide(int64_t a, int64_t b)
{
    return a / b - (a % b != 0 && (a < 0) != (b < 0));
}

/* False when the result does not fit into 64 bits. */
static bool whole(op o, int64_t a, int64_t b, int64_t *r)
{
    switch (o) {
    case ADD: return !__builtin_add_overflow(a, b, r);
    case SUBTRACT: return !__builtin_sub_overflow(a, b, r);
    case MULTIPLY: return !__builtin_mul_overflow(a, b, r);
    case FLOOR_DIVIDE:
        if (b == -1)
            return !__builtin_sub_overflow((int64_t)0, a, r);
        *r = floor_divide(a, b);
        return true;
    case MODULO: *r = b == -1 ? 0 : a - floor_divide(a, b) * b; return true;
    case MIN:
    case DIVIDE:
    case POWER: *r = a < b ? a : b; return true;
    case MAX: break;
    }
    *r = a > b ? a : b;
    return true;
}

static tb_status check_number(const tb_value *v, const char *name, tb_err *err)
{
    const tb_kind k = tb_value_kind(v);
    if (k == TB_INT || k == TB_FLOAT)
        return TB_OK;
    if (k == TB_STRING)
        return tb_err_set(err, TB_EINVAL, "%s must be a number, got '%.60s'", name,
                          tb_value_as_string(v));
    return tb_err_set(err, TB_EINVAL, "%s must be a number, got %s", name,
                      k == TB_BOOLEAN  ? "a boolean"
                      : k == TB_TENSOR ? "a tensor"
                                       : "another kind of value");
}

static tb_status run(tb_job *job, const void *vp, tb_err *err)
{
    const params *p = vp;
    const op o = op_of(p->op);
    TB_TRY(check_number(p->a, "a", err));
    TB_TRY(check_number(p->b, "b", err));
    const bool integers = tb_value_kind(p->a) == TB_INT && tb_value_kind(p->b) == TB_INT;
    if (tb_value_as_float(p->b) == 0 && (o == DIVIDE || o == FLOOR_DIVIDE || o == MODULO))
        return tb_err_set(err, TB_EINVAL, "b must not be 0 for %s", p->op);
    if (!integers || o == DIVIDE || o == POWER) {
        const double r = real(o, tb_value_as_float(p->a), tb_value_as_float(p->b));
        if (!isfinite(r))
            return tb_err_set(err, TB_EINVAL, "%s of %g and %g has no finite result", p->op,
                              tb_value_as_float(p->a), tb_value_as_float(p->b));
        tb_job_set_take(job, 0, tb_value_float(r));
        return TB_OK;
    }
    int64_t r = 0;
    const int64_t a = tb_value_as_int(p->a), b = tb_value_as_int(p->b);
    if (!whole(o, a, b, &r))
        return tb_err_set(err, TB_EINVAL, "%s of %lld and %lld does not fit into a 64-bit integer",
                          p->op, (long long)a, (long long)b);
    tb_job_set_take(job, 0, tb_value_int(r));
    return TB_OK;
}

const tb_node_def tb_node_math_number = {
    .abi = TB_NODE_ABI,
    .version = 1,
    .name = "math_number",
    .title = "Calculate",
    .category = "math",
    .doc = "Calculate with two numbers.",
    .flags = TB_NODE_INLINE,
    .params_size = sizeof(params),
    .inputs = inputs,
    .outputs = outputs,
    .run = run,
    .example = "return tb.math_number { a = 4, op = \"multiply\", b = 4 }",
};
