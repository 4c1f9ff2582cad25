/* lua_tensor.c - tensors in Lua, whole ones only: shape, arithmetic, slices, concatenation,
 * statistics.
 *
 * All are f32 here and never changed: each operation gives a new tensor. Dimensions and positions
 * count from 1, ranges include both ends, as in Lua's string.sub. Work is charged to the
 * instruction allowance. Memory is limited by tb_mem_set_limit; when it runs out, garbage is
 * collected once and tried again.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "script/host.h"

#define TENSOR            "tensor"
#define ELEMENTS_PER_STEP 16

typedef struct holder {
    tb_tensor *t;
} holder;

const tb_tensor *tbi_tensor_at(lua_State *L, int index)
{
    const holder *h = luaL_testudata(L, index, TENSOR);
    return h ? h->t : NULL;
}

static const tb_tensor *check_tensor(lua_State *L, int index)
{
    const tb_tensor *t = tbi_tensor_at(L, index);
    if (!t)
        tbi_raise(L, "a tensor was wanted, got a %s", luaL_typename(L, index));
    return t;
}

static holder *push_holder(lua_State *L)
{
    holder *h = lua_newuserdatauv(L, sizeof *h, 0);
    h->t = NULL;
    luaL_setmetatable(L, TENSOR);
    return h;
}

static int tensor_gc(lua_State *L)
{
    holder *h = luaL_checkudata(L, 1, TENSOR);
    tb_tensor_unref(&h->t);
    return 0;
}

void tbi_push_tensor_take(lua_State *L, tb_tensor *t)
{
    tb_err err = TB_ERR_INIT;
    holder *h = push_holder(L);
    h->t = t;
    if (tb_tensor_dtype(t) == TB_F32)
        return;
    tb_tensor *f = tb_tensor_to_f32(t, &err);
    if (!f)
        tbi_raise(L, "%s", err.message);
    h->t = f;
    tb_tensor_unref(&t);
}

/* Push a new tensor to be filled. */
static float *push_new(lua_State *L, const tb_shape *shape)
{
    tb_err err = TB_ERR_INIT;
    const int64_t count = tb_shape_count(shape);
    tbi_note_place(L);
    tbi_host_charge(L, count > 0 ? count / ELEMENTS_PER_STEP : 0);
    holder *h = push_holder(L);
    h->t = tb_tensor_new(TB_F32, shape, NULL);
    if (!h->t) {
        lua_gc(L, LUA_GCCOLLECT);
        h->t = tb_tensor_new(TB_F32, shape, &err);
    }
    if (!h->t)
        tbi_raise(L, "%s", err.message);
    return tb_tensor_f32_mut(h->t);
}

/* -------------------------------------------------------------------------------- arithmetic */

typedef float (*binary)(float a, float b);

static float add(float a, float b)
{
    return a + b;
}
static float subtract(float a, float b)
{
    return a - b;
}
static float multiply(float a, float b)
{
    return a * b;
}
static float divide(float a, float b)
{
    return a / b;
}

/* Tensor with tensor of the same shape, or with a number on either side. */
static int apply(lua_State *L, binary f)
{
    const tb_tensor *a = tbi_tensor_at(L, 1), *b = tbi_tensor_at(L, 2);
    const tb_tensor *t = a ? a : b;
    char x[128], y[128];
    if (a && b && !tb_shape_eq(tb_tensor_shape(a), tb_tensor_shape(b)))
        tbi_raise(L, "tensors of shape %s and %s cannot be combined",
                  tb_shape_text(tb_tensor_shape(a), x, sizeof x),
                  tb_shape_text(tb_tensor_shape(b), y, sizeof y));
    if ((!a && lua_type(L, 1) != LUA_TNUMBER) || (!b && lua_type(L, 2) != LUA_TNUMBER))
        tbi_raise(L, "a tensor cannot be combined with a %s", luaL_typename(L, a ? 2 : 1));
    const float p = a ? 0 : (float)lua_tonumber(L, 1), q = b ? 0 : (float)lua_tonumber(L, 2);
    const int64_t n = tb_tensor_count(t);
    const float *av = a ? tb_tensor_f32(a) : &p, *bv = b ? tb_tensor_f32(b) : &q;
    float *out = push_new(L, tb_tensor_shape(t));
    for (int64_t i = 0; i < n; i++)
        out[i] = f(av[a ? i : 0], bv[b ? i : 0]);
    return 1;
}

static int tensor_add(lua_State *L)
{
    return apply(L, add);
}
static int tensor_sub(lua_State *L)
{
    return apply(L, subtract);
}
static int tensor_mul(lua_State *L)
{
    return apply(L, multiply);
}
static int tensor_div(lua_State *L)
{
    return apply(L, divide);
}

static int tensor_unm(lua_State *L)
{
    const tb_tensor *t = check_tensor(L, 1);
    float *out = push_new(L, tb_tensor_shape(t));
    const float *in = tb_tensor_f32(t);
    for (int64_t i = 0, n = tb_tensor_count(t); i < n; i++)
        out[i] = -in[i];
    return 1;
}

static int tensor_clamp(lua_State *L)
{
    const tb_tensor *t = check_tensor(L, 1);
    const float lo = (float)luaL_checknumber(L, 2), hi = (float)luaL_checknumber(L, 3);
    float *out = push_new(L, tb_tensor_shape(t));
    const float *in = tb_tensor_f32(t);
    for (int64_t i = 0, n = tb_tensor_count(t); i < n; i++)
        out[i] = in[i] < lo ? lo : in[i] > hi ? hi : in[i];
    return 1;
}

/* ------------------------------------------------------------------------------------- shape */

static int tensor_shape(lua_State *L)
{
    const tb_tensor *t = check_tensor(L, 1);
    const tb_shape *s = tb_tensor_shape(t);
    lua_createtable(L, s->n, 0);
    for (int i = 0; i < s->n; i++) {
        lua_pushinteger(L, s->d[i]);
        lua_rawseti(L, -2, i + 1);
    }
    return 1;
}

static tb_shape check_shape(lua_State *L, int index)
{
    tb_shape s = { 0 };
    luaL_checktype(L, index, LUA_TTABLE);
    const lua_Unsigned n = lua_rawlen(L, index);
    if (n > TB_MAX_DIMS)
        tbi_raise(L, "a shape has at most %d dimensions, got %d", TB_MAX_DIMS, (int)n);
    for (s.n = 0; s.n < (int)n; s.n++) {
        lua_rawgeti(L, index, s.n + 1);
        if (!lua_isinteger(L, -1) || lua_tointeger(L, -1) < 0)
            tbi_raise(L, "a shape is a list of whole numbers, as { 3, 17, 64, 64 }");
        s.d[s.n] = lua_tointeger(L, -1);
        lua_pop(L, 1);
    }
    if (tb_shape_count(&s) < 0)
        tbi_raise(L, "a tensor of that shape is too large");
    return s;
}

static int tensor_reshape(lua_State *L)
{
    tb_err err = TB_ERR_INIT;
    const tb_tensor *t = check_tensor(L, 1);
    const tb_shape s = check_shape(L, 2);
    holder *h = push_holder(L);
    h->t = tb_tensor_view(t, &s, &err);
    if (!h->t)
        tbi_raise(L, "%s", err.message);
    return 1;
}

/* The argument as index of a dimension from 0. */
static int check_dim(lua_State *L, int index, const tb_tensor *t)
{
    const lua_Integer d = luaL_checkinteger(L, index);
    const int n = tb_tensor_shape(t)->n;
    if (d < 1 || d > n)
        tbi_raise(L, "the tensor has the dimensions 1..%d, got %lld", n, (long long)d);
    return (int)d - 1;
}

/* Elements of the dimensions before and behind `dim`. */
static void extents(const tb_tensor *t, int dim, size_t *outer, size_t *inner)
{
    const tb_shape *s = tb_tensor_shape(t);
    *outer = *inner = 1;
    for (int i = 0; i < s->n; i++)
        *(i < dim ? outer : inner) *= i == dim ? 1 : (size_t)s->d[i];
}

static int tensor_slice(lua_State *L)
{
    const tb_tensor *t = check_tensor(L, 1);
    const int dim = check_dim(L, 2, t);
    const lua_Integer size = tb_tensor_dim(t, dim);
    const lua_Integer from = luaL_checkinteger(L, 3), to = luaL_optinteger(L, 4, size);
    size_t outer, inner;
    if (from < 1 || to > size || from > to)
        tbi_raise(L, "a slice of dimension %d lies in 1..%lld, got %lld..%lld", dim + 1,
                  (long long)size, (long long)from, (long long)to);
    tb_shape s = *tb_tensor_shape(t);
    s.d[dim] = to - from + 1;
    extents(t, dim, &outer, &inner);
    float *out = push_new(L, &s);
    const float *in = tb_tensor_f32(t) + (size_t)(from - 1) * inner;
    const size_t run = (size_t)s.d[dim] * inner;
    for (size_t o = 0; o < outer && run; o++)
        memcpy(out + o * run, in + o * (size_t)size * inner, run * sizeof(float));
    return 1;
}

static bool same_but(const tb_shape *a, const tb_shape *b, int dim)
{
    for (int i = 0; i < a->n && a->n == b->n; i++)
        if (i != dim && a->d[i] != b->d[i])
            return false;
    return a->n == b->n;
}

static int tensor_concat(lua_State *L)
{
    const tb_tensor *a = check_tensor(L, 1), *b = check_tensor(L, 2);
    const int dim = check_dim(L, 3, a);
    char x[128], y[128];
    size_t outer, inner;
    if (!same_but(tb_tensor_shape(a), tb_tensor_shape(b), dim))
        tbi_raise(L, "tensors of shape %s and %s cannot be joined along dimension %d",
                  tb_shape_text(tb_tensor_shape(a), x, sizeof x),
                  tb_shape_text(tb_tensor_shape(b), y, sizeof y), dim + 1);
    tb_shape s = *tb_tensor_shape(a);
    s.d[dim] += tb_tensor_dim(b, dim);
    if (tb_shape_count(&s) < 0)
        tbi_raise(L, "a tensor of that shape is too large");
    extents(a, dim, &outer, &inner);
    const size_t na = (size_t)tb_tensor_dim(a, dim) * inner,
                 nb = (size_t)tb_tensor_dim(b, dim) * inner;
    float *out = push_new(L, &s);
    for (size_t o = 0; o < outer; o++) {
        if (na)
            memcpy(out + o * (na + nb), tb_tensor_f32(a) + o * na, na * sizeof(float));
        if (nb)
            memcpy(out + o * (na + nb) + na, tb_tensor_f32(b) + o * nb, nb * sizeof(float));
    }
    return 1;
}

/* -------------------------------------------------------------------------------- statistics */

static const tb_tensor *check_some(lua_State *L)
{
    const tb_tensor *t = check_tensor(L, 1);
    if (tb_tensor_count(t) == 0)
        tbi_raise(L, "an empty tensor has no statistics");
    tbi_note_place(L);
    tbi_host_charge(L, tb_tensor_count(t) / ELEMENTS_PER_STEP);
    return t;
}

static double mean_of(const tb_tensor *t)
{
    const float *v = tb_tensor_f32(t);
    const int64_t n = tb_tensor_count(t);
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += (double)v[i];
    return sum / (double)n;
}

static int tensor_mean(lua_State *L)
{
    lua_pushnumber(L, mean_of(check_some(L)));
    return 1;
}

/* Of the whole population: divided by n. */
static int tensor_std(lua_State *L)
{
    const tb_tensor *t = check_some(L);
    const float *v = tb_tensor_f32(t);
    const double mean = mean_of(t);
    const int64_t n = tb_tensor_count(t);
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += ((double)v[i] - mean) * ((double)v[i] - mean);
    lua_pushnumber(L, sqrt(sum / (double)n));
    return 1;
}

static int extreme(lua_State *L, bool largest)
{
    const tb_tensor *t = check_some(L);
    const float *v = tb_tensor_f32(t);
    float best = v[0];
    for (int64_t i = 1, n = tb_tensor_count(t); i < n; i++)
        best = isnan(v[i]) || (largest ? v[i] > best : v[i] < best) ? v[i] : best;
    lua_pushnumber(L, (lua_Number)best);
    return 1;
}

static int tensor_min(lua_State *L)
{
    return extreme(L, false);
}
static int tensor_max(lua_State *L)
{
    return extreme(L, true);
}

/* ----------------------------------------------------------------------------- the functions */

static int make_full(lua_State *L)
{
    const tb_shape s = check_shape(L, 1);
    const float v = (float)luaL_optnumber(L, 2, 0);
    float *out = push_new(L, &s);
    for (int64_t i = 0, n = tb_shape_count(&s); i < n; i++)
        out[i] = v;
    return 1;
}

static int make_zeros(lua_State *L)
{
    lua_settop(L, 1);
    return make_full(L);
}

static int tensor_tostring(lua_State *L)
{
    char text[128];
    lua_pushfstring(L, "tensor %s",
                    tb_shape_text(tb_tensor_shape(check_tensor(L, 1)), text, sizeof text));
    return 1;
}

void tbi_open_tensor(lua_State *L)
{
    static const luaL_Reg methods[] = { { "shape", tensor_shape }, { "reshape", tensor_reshape },
                                        { "slice", tensor_slice }, { "concat", tensor_concat },
                                        { "clamp", tensor_clamp }, { "mean", tensor_mean },
                                        { "std", tensor_std },     { "min", tensor_min },
                                        { "max", tensor_max },     { NULL, NULL } };
    static const luaL_Reg meta[] = { { "__gc", tensor_gc },
                                     { "__add", tensor_add },
                                     { "__sub", tensor_sub },
                                     { "__mul", tensor_mul },
                                     { "__div", tensor_div },
                                     { "__unm", tensor_unm },
                                     { "__tostring", tensor_tostring },
                                     { NULL, NULL } };
    static const luaL_Reg makers[] = { { "zeros", make_zeros },
                                       { "full", make_full },
                                       { NULL, NULL } };
    luaL_newmetatable(L, TENSOR);
    luaL_setfuncs(L, meta, 0);
    luaL_newlib(L, methods);
    lua_setfield(L, -2, "__index");
    lua_pushliteral(L, TENSOR);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
    luaL_newlib(L, makers);
    lua_setfield(L, -2, "tensor");
}
