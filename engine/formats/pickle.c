/* pickle.c - the machine: a stack, a memo, and a short list of names. */
#include "formats/pickle.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "formats/mapped.h"

#define MAX_TEXT 65536 /* bytes; names of tensors are far shorter */

typedef tbi_pickle_value value;

struct tbi_pickle {
    value **all; /* every value there is */
    size_t count, cap;
    value *root;
};

typedef struct machine {
    tbi_pickle *p;
    const char *path;
    const uint8_t *bytes;
    size_t at, n;
    value **stack;
    size_t depth, stack_cap;
    value **memo;
    size_t memo_count, memo_cap;
    bool stopped;
    tb_err *err;
} machine;

/* --------------------------------------------------------------------------------------- names */

typedef enum role { ORDERED_DICT, TENSOR_V2, TENSOR_V3, PARAMETER, SIZE, STORAGE, DTYPE } role;

typedef struct known {
    const char *module, *name;
    role role;
    tb_dtype dtype; /* STORAGE, DTYPE */
} known;

static const known names[] = {
    { "collections", "OrderedDict", ORDERED_DICT, 0 },
    { "torch._utils", "_rebuild_tensor_v2", TENSOR_V2, 0 },
    { "torch._utils", "_rebuild_tensor_v3", TENSOR_V3, 0 },
    { "torch._utils", "_rebuild_parameter", PARAMETER, 0 },
    { "torch", "Size", SIZE, 0 },
    { "torch", "FloatStorage", STORAGE, TB_F32 },
    { "torch", "HalfStorage", STORAGE, TB_F16 },
    { "torch", "BFloat16Storage", STORAGE, TB_BF16 },
    { "torch", "DoubleStorage", STORAGE, TB_F64 },
    { "torch", "ByteStorage", STORAGE, TB_U8 },
    { "torch", "CharStorage", STORAGE, TB_I8 },
    { "torch", "ShortStorage", STORAGE, TB_I16 },
    { "torch", "IntStorage", STORAGE, TB_I32 },
    { "torch", "LongStorage", STORAGE, TB_I64 },
    { "torch", "BoolStorage", STORAGE, TB_BOOL },
    { "torch.storage", "UntypedStorage", STORAGE, TB_U8 }, /* its length in bytes */
    { "torch", "float32", DTYPE, TB_F32 },
    { "torch", "float16", DTYPE, TB_F16 },
    { "torch", "bfloat16", DTYPE, TB_BF16 },
    { "torch", "float64", DTYPE, TB_F64 },
    { "torch", "float8_e4m3fn", DTYPE, TB_F8_E4M3 },
    { "torch", "float8_e5m2", DTYPE, TB_F8_E5M2 },
};

static const known *known_as(const value *v, role wanted)
{
    const known *k = v->kind == PICKLE_NAME ? v->of : NULL;
    return k && k->role == wanted ? k : NULL;
}

/* -------------------------------------------------------------------------------------- values */

static value *new_value(machine *m, tbi_pickle_kind kind)
{
    tbi_pickle *p = m->p;
    value *v = tb_xcalloc(1, sizeof *v);
    v->kind = kind;
    TB_GROW(p->all, p->cap, p->count + 1);
    p->all[p->count++] = v;
    return v;
}

static void append(value *to, value *item)
{
    TB_GROW(to->items, to->cap, to->count + 1);
    to->items[to->count++] = item;
}

static tb_status damaged(const machine *m, const char *what)
{
    return tb_err_set(m->err, TB_EFORMAT, "'%s' is damaged: its pickle %s at byte %zu", m->path,
                      what, m->at);
}

static tb_status push(machine *m, value *v)
{
    TB_GROW(m->stack, m->stack_cap, m->depth + 1);
    m->stack[m->depth++] = v;
    return TB_OK;
}

static tb_status push_number(machine *m, tbi_pickle_kind kind, int64_t number)
{
    value *v = new_value(m, kind);
    v->number = number;
    return push(m, v);
}

/* Never a mark. */
static tb_status pop(machine *m, value **v)
{
    if (m->depth == 0 || m->stack[m->depth - 1]->kind == PICKLE_MARK)
        return damaged(m, "takes a value where none is");
    *v = m->stack[--m->depth];
    return TB_OK;
}

static tb_status peek(machine *m, tbi_pickle_kind kind, value **v)
{
    if (m->depth == 0 || m->stack[m->depth - 1]->kind != kind)
        return damaged(m, "fills a container where none is");
    *v = m->stack[m->depth - 1];
    return TB_OK;
}

/* Where the values behind the topmost mark begin. */
static tb_status find_mark(const machine *m, size_t *first)
{
    for (size_t i = m->depth; i > 0; i--)
        if (m->stack[i - 1]->kind == PICKLE_MARK) {
            *first = i;
            return TB_OK;
        }
    return damaged(m, "looks for a mark where none is");
}

/* Moves what lies behind a place on the stack into a container. */
static void gather(machine *m, size_t first, value *into)
{
    for (size_t i = first; i < m->depth; i++)
        append(into, m->stack[i]);
    m->depth = first;
}

/* ----------------------------------------------------------------------------------- arguments */

static tb_status argument(machine *m, uint64_t n, const uint8_t **p)
{
    if (n > m->n - m->at)
        return damaged(m, "is cut short");
    *p = m->bytes + m->at;
    m->at += (size_t)n;
    return TB_OK;
}

static tb_status argument_number(machine *m, int bytes, uint64_t *out)
{
    const uint8_t *p;
    TB_TRY(argument(m, (uint64_t)bytes, &p));
    *out = tbi_le(p, bytes);
    return TB_OK;
}

/* Little-endian, two's complement, up to 8 bytes. */
static tb_status push_long(machine *m)
{
    const uint8_t *p;
    uint64_t n;
    TB_TRY(argument_number(m, 1, &n));
    if (n > 8)
        return damaged(m, "has a whole number of more than 64 bits");
    TB_TRY(argument(m, n, &p));
    uint64_t u = tbi_le(p, (int)n);
    if (n && n < 8 && p[n - 1] & 0x80)
        u |= ~UINT64_C(0) << 8 * n;
    return push_number(m, PICKLE_INT, (int64_t)u);
}

static tb_status push_text(machine *m, int length_bytes)
{
    const uint8_t *p;
    uint64_t n;
    TB_TRY(argument_number(m, length_bytes, &n));
    TB_TRY(argument(m, n, &p));
    if (n > MAX_TEXT || memchr(p, 0, (size_t)n))
        return damaged(m, "has a text that is too long or holds a zero byte");
    value *v = new_value(m, PICKLE_TEXT);
    v->text = tb_xstrndup((const char *)p, (size_t)n);
    return push(m, v);
}

/* One of the two lines of a name. */
static tb_status line(machine *m, const char **text, int *n)
{
    const uint8_t *p = m->bytes + m->at, *end = memchr(p, '\n', m->n - m->at);
    if (!end || end - p > 200)
        return damaged(m, "has a name without end");
    *text = (const char *)p;
    *n = (int)(end - p);
    m->at += (size_t)(end - p) + 1;
    return TB_OK;
}

static bool same(const char *text, int n, const char *want)
{
    return strlen(want) == (size_t)n && memcmp(text, want, (size_t)n) == 0;
}

/* Here a pickle that is no data shows itself. */
static tb_status push_name(machine *m)
{
    const char *module, *name;
    int a, b;
    TB_TRY(line(m, &module, &a));
    TB_TRY(line(m, &name, &b));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (same(module, a, names[i].module) && same(name, b, names[i].name)) {
            value *v = new_value(m, PICKLE_NAME);
            v->of = &names[i];
            return push(m, v);
        }
    return tb_err_set(m->err, TB_EFORMAT,
                      "'%s' is refused: its pickle wants to call %.*s.%.*s; tubelet reads weights "
                      "and runs nothing",
                      m->path, a, module, b, name);
}

/* ---------------------------------------------------------------------------------------- memo */

static tb_status put(machine *m, int bytes)
{
    uint64_t i;
    TB_TRY(argument_number(m, bytes, &i));
    if (i > m->n || m->depth == 0)
        return damaged(m, "notes a value under a number that cannot be");
    if (i >= m->memo_count) {
        TB_GROW(m->memo, m->memo_cap, i + 1);
        memset(m->memo + m->memo_count, 0, (size_t)(i + 1 - m->memo_count) * sizeof *m->memo);
        m->memo_count = (size_t)i + 1;
    }
    m->memo[i] = m->stack[m->depth - 1];
    return TB_OK;
}

static tb_status get(machine *m, int bytes)
{
    uint64_t i;
    TB_TRY(argument_number(m, bytes, &i));
    if (i >= m->memo_count || !m->memo[i] || m->memo[i]->kind == PICKLE_MARK)
        return damaged(m, "uses a value that it has not noted");
    return push(m, m->memo[i]);
}

/* -------------------------------------------------------------------------------------- calls */

static tb_status refuse_call(const machine *m, const char *what)
{
    return tb_err_set(m->err, TB_EFORMAT,
                      "'%s' is damaged or of a newer PyTorch: its pickle gives %s arguments that "
                      "are not known",
                      m->path, what);
}

static bool read_dims(const value *v, tb_shape *s)
{
    if (v->kind != PICKLE_TUPLE || v->count > TB_MAX_DIMS)
        return false;
    s->n = (int)v->count;
    for (int i = 0; i < s->n; i++) {
        s->d[i] = v->items[i]->number;
        if (v->items[i]->kind != PICKLE_INT || s->d[i] < 0)
            return false;
    }
    return true;
}

/* (storage, offset, size, stride, requires_grad, hooks[, dtype][, metadata]) */
static tb_status call_tensor(machine *m, const value *args, bool v3)
{
    const int least = v3 ? 7 : 6;
    if (args->count < least || args->items[0]->kind != PICKLE_STORAGE ||
        args->items[1]->kind != PICKLE_INT || args->items[1]->number < 0)
        return refuse_call(m, "_rebuild_tensor");
    const known *dtype = v3 ? known_as(args->items[6], DTYPE) : NULL;
    value *t = new_value(m, PICKLE_TENSOR);
    t->dtype = dtype ? dtype->dtype : args->items[0]->dtype;
    t->number = args->items[1]->number;
    append(t, args->items[0]);
    if ((v3 && !dtype) || !read_dims(args->items[2], &t->shape) ||
        !read_dims(args->items[3], &t->stride) || t->shape.n != t->stride.n)
        return refuse_call(m, "_rebuild_tensor");
    return push(m, t);
}

static tb_status call(machine *m)
{
    value *args, *function;
    TB_TRY(pop(m, &args));
    TB_TRY(pop(m, &function));
    const known *k = function->kind == PICKLE_NAME ? function->of : NULL;
    if (!k || args->kind != PICKLE_TUPLE)
        return damaged(m, "calls what is no function");
    switch (k->role) {
    case ORDERED_DICT:
        return args->count ? refuse_call(m, "OrderedDict") : push(m, new_value(m, PICKLE_DICT));
    case TENSOR_V2: return call_tensor(m, args, false);
    case TENSOR_V3: return call_tensor(m, args, true);
    case PARAMETER: /* (tensor, requires_grad, hooks) */
        if (args->count < 1 || args->items[0]->kind != PICKLE_TENSOR)
            return refuse_call(m, "_rebuild_parameter");
        return push(m, args->items[0]);
    case SIZE:
        if (args->count != 1 || args->items[0]->kind != PICKLE_TUPLE)
            return refuse_call(m, "torch.Size");
        return push(m, args->items[0]);
    case STORAGE:
    case DTYPE: break;
    }
    return damaged(m, "calls what is no function");
}

/* ('storage', type, key, device, elements) */
static tb_status persistent(machine *m)
{
    value *id;
    TB_TRY(pop(m, &id));
    const known *type =
        id->kind == PICKLE_TUPLE && id->count >= 5 ? known_as(id->items[1], STORAGE) : NULL;
    if (!type || id->items[0]->kind != PICKLE_TEXT || strcmp(id->items[0]->text, "storage") != 0 ||
        id->items[2]->kind != PICKLE_TEXT || id->items[4]->kind != PICKLE_INT ||
        id->items[4]->number < 0)
        return refuse_call(m, "a storage");
    value *s = new_value(m, PICKLE_STORAGE);
    s->dtype = type->dtype;
    s->text = tb_xstrdup(id->items[2]->text);
    s->number = id->items[4]->number;
    return push(m, s);
}

/* Attributes of a dictionary (state_dict's _metadata): nothing that we need. */
static tb_status build(machine *m)
{
    value *state, *object;
    TB_TRY(pop(m, &state));
    return peek(m, PICKLE_DICT, &object);
}

/* ---------------------------------------------------------------------------------- containers */

static tb_status tuple_of(machine *m, size_t n)
{
    value *t = new_value(m, PICKLE_TUPLE), *items[3] = { 0 };
    for (size_t i = n; i-- > 0;)
        TB_TRY(pop(m, &items[i]));
    for (size_t i = 0; i < n; i++)
        append(t, items[i]);
    return push(m, t);
}

static tb_status tuple_from_mark(machine *m)
{
    size_t first;
    TB_TRY(find_mark(m, &first));
    value *t = new_value(m, PICKLE_TUPLE);
    gather(m, first, t);
    m->stack[m->depth - 1] = t; /* in place of the mark */
    return TB_OK;
}

/* Key, value, ... or items behind a mark, into the container below it. */
static tb_status fill_from_mark(machine *m, tbi_pickle_kind kind)
{
    size_t first;
    value *into;
    TB_TRY(find_mark(m, &first));
    if (kind == PICKLE_DICT && (m->depth - first) % 2)
        return damaged(m, "has a key without value");
    if (first < 2 || m->stack[first - 2]->kind != kind)
        return damaged(m, "fills a container where none is");
    into = m->stack[first - 2];
    gather(m, first, into);
    m->depth--; /* the mark */
    return TB_OK;
}

static tb_status fill_one(machine *m, tbi_pickle_kind kind)
{
    value *v, *key = NULL, *into;
    TB_TRY(pop(m, &v));
    if (kind == PICKLE_DICT)
        TB_TRY(pop(m, &key));
    TB_TRY(peek(m, kind, &into));
    if (key)
        append(into, key);
    append(into, v);
    return TB_OK;
}

static tb_status push_int(machine *m, int bytes)
{
    uint64_t u;
    TB_TRY(argument_number(m, bytes, &u));
    return push_number(m, PICKLE_INT, bytes == 4 ? (int32_t)u : (int64_t)u);
}

/* ------------------------------------------------------------------------------------- opcodes */

static tb_status unknown(const machine *m, int op)
{
    return tb_err_set(m->err, TB_EFORMAT,
                      "'%s' cannot be read: its pickle uses the opcode 0x%02x, which torch.save "
                      "does not write in protocol 2; save it again with torch.save, or convert it "
                      "to .safetensors",
                      m->path, (unsigned)op);
}

static tb_status step(machine *m)
{
    const uint8_t *p;
    uint64_t op, protocol;
    value *v;
    TB_TRY(argument_number(m, 1, &op));
    switch ((int)op) {
    case 0x80: /* PROTO */
        TB_TRY(argument_number(m, 1, &protocol));
        return protocol == 2 ? TB_OK : unknown(m, (int)op);
    case '.': /* STOP */ m->stopped = true; return pop(m, &m->p->root);
    case '(': return push_number(m, PICKLE_MARK, 0);
    case '0': return pop(m, &v);
    case 'N': return push_number(m, PICKLE_NONE, 0);
    case 0x88: return push_number(m, PICKLE_BOOL, 1);
    case 0x89: return push_number(m, PICKLE_BOOL, 0);
    case 'J': return push_int(m, 4);
    case 'K': return push_int(m, 1);
    case 'M': return push_int(m, 2);
    case 0x8a: return push_long(m);
    case 'G': TB_TRY(argument(m, 8, &p)); return push_number(m, PICKLE_FLOAT, 0);
    case 'X': return push_text(m, 4);
    case 'U': return push_text(m, 1);
    case ')': return push(m, new_value(m, PICKLE_TUPLE));
    case ']': return push(m, new_value(m, PICKLE_LIST));
    case '}': return push(m, new_value(m, PICKLE_DICT));
    case 0x85: return tuple_of(m, 1);
    case 0x86: return tuple_of(m, 2);
    case 0x87: return tuple_of(m, 3);
    case 't': return tuple_from_mark(m);
    case 'a': return fill_one(m, PICKLE_LIST);
    case 'e': return fill_from_mark(m, PICKLE_LIST);
    case 's': return fill_one(m, PICKLE_DICT);
    case 'u': return fill_from_mark(m, PICKLE_DICT);
    case 'q': return put(m, 1);
    case 'r': return put(m, 4);
    case 'h': return get(m, 1);
    case 'j': return get(m, 4);
    case 'c': return push_name(m);
    case 'Q': return persistent(m);
    case 'R': return call(m);
    case 'b': return build(m);
    default: return unknown(m, (int)op);
    }
}

/* -------------------------------------------------------------------------------------- public */

tbi_pickle *tbi_pickle_read(const uint8_t *bytes, size_t n, const char *path, tb_err *err)
{
    tb_err own = TB_ERR_INIT;
    tb_status st = TB_OK;
    machine m = { .p = tb_xcalloc(1, sizeof *m.p),
                  .path = path,
                  .bytes = bytes,
                  .n = n,
                  .err = err ? err : &own };
    while (st == TB_OK && !m.stopped)
        st = step(&m);
    free(m.stack);
    free(m.memo);
    if (st != TB_OK)
        tbi_pickle_free(&m.p);
    return m.p;
}

void tbi_pickle_free(tbi_pickle **pp)
{
    tbi_pickle *p = *pp;
    *pp = NULL;
    if (!p)
        return;
    for (size_t i = 0; i < p->count; i++) {
        free(p->all[i]->text);
        free(p->all[i]->items);
        free(p->all[i]);
    }
    free(p->all);
    free(p);
}

const tbi_pickle_value *tbi_pickle_root(const tbi_pickle *p)
{
    return p->root;
}

const tbi_pickle_value *tbi_pickle_get(const tbi_pickle_value *dict, const char *key)
{
    const tbi_pickle_value *found = NULL;
    for (int64_t i = 0; dict->kind == PICKLE_DICT && i + 1 < dict->count; i += 2)
        if (dict->items[i]->kind == PICKLE_TEXT && strcmp(dict->items[i]->text, key) == 0)
            found = dict->items[i + 1]; /* the last one counts, as in Python */
    return found;
}
