/* to_lua.c - a document as a Lua file: one node a line, in an order Lua can run.
 *
 * The text hangs on the document alone: links first, then literals, each by name; nodes in the
 * document's order, but never before what they read. So Lua to document to Lua gives the same
 * bytes, and a change in the editor changes the lines it concerns.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"
#include "graph/graph.h"
#include "graph/types.h"
#include "script/script.h"

#define MAX_DEPTH 32

typedef struct item {
    const char *id;
    const json_t *node;
    enum { FRESH, OPEN, WRITTEN } state;
} item;

typedef struct writer {
    tb_str out;
    tb_types *types;
    item *items;
    int count;
    tb_map *index;
    int *stack;
    size_t stack_cap;
    tb_err *err;
} writer;

/* ------------------------------------------------------------------------------ Lua's tokens */

static bool is_identifier(const char *s)
{
    static const char *const words[] = { "and",   "break", "do",       "else", "elseif", "end",
                                         "false", "for",   "function", "goto", "if",     "in",
                                         "local", "nil",   "not",      "or",   "repeat", "return",
                                         "then",  "true",  "until",    "while" };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(s, words[i]) == 0)
            return false;
    if (!*s || (*s >= '0' && *s <= '9'))
        return false;
    return strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") ==
           strlen(s);
}

static void put_text(tb_str *b, const char *s, size_t n)
{
    tb_str_add(b, "\"");
    for (size_t i = 0; i < n; i++) {
        const unsigned char c = (unsigned char)s[i];
        if (c == '"' || c == '\\')
            tb_str_addf(b, "\\%c", c);
        else if (c == '\n')
            tb_str_add(b, "\\n");
        else if (c < ' ' || c == 127)
            tb_str_addf(b, "\\%03d", c);
        else
            tb_str_addn(b, &s[i], 1);
    }
    tb_str_add(b, "\"");
}

/* name = or ["odd name"] = */
static void put_key(tb_str *b, const char *name)
{
    if (is_identifier(name)) {
        tb_str_add(b, name);
    } else {
        tb_str_add(b, "[");
        put_text(b, name, strlen(name));
        tb_str_add(b, "]");
    }
    tb_str_add(b, " = ");
}

/* base.name or base["odd name"] */
static void put_field(tb_str *b, const char *base, const char *name)
{
    tb_str_add(b, base);
    if (is_identifier(name)) {
        tb_str_addf(b, ".%s", name);
        return;
    }
    tb_str_add(b, "[");
    put_text(b, name, strlen(name));
    tb_str_add(b, "]");
}

/* The shortest digits that give the number back, with a point: 5.0 is no integer. */
static void put_real(tb_str *b, double v)
{
    char text[40];
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, v);
        if (strtod(text, NULL) == v)
            break;
    }
    tb_str_addf(b, "%s%s", text, strpbrk(text, ".en") ? "" : ".0");
}

/* ---------------------------------------------------------------------------------- literals */

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Keys of an object, sorted. Freed by free(). */
static const char **sorted_keys(const json_t *object, size_t *n)
{
    const char **keys = tb_xcalloc(json_object_size(object) + 1, sizeof *keys), *key;
    json_t *value;
    *n = 0;
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        (void)value;
        keys[(*n)++] = key;
    }
    qsort(keys, *n, sizeof *keys, by_text);
    return keys;
}

static tb_status put_literal(tb_str *b, const json_t *v, int depth, tb_err *err);

static tb_status put_list(tb_str *b, const json_t *list, int depth, tb_err *err)
{
    size_t i;
    json_t *element;
    tb_str_add(b, "{");
    json_array_foreach(list, i, element)
    {
        tb_str_add(b, i ? ", " : " ");
        TB_TRY(put_literal(b, element, depth + 1, err));
    }
    tb_str_add(b, i ? " }" : "}");
    return TB_OK;
}

static tb_status put_object(tb_str *b, const json_t *object, int depth, tb_err *err)
{
    size_t n;
    tb_status st = TB_OK;
    if (json_object_size(object) == 0)
        return tb_err_set(err, TB_EINVAL,
                          "an empty object cannot be written as Lua, where it is a list");
    const char **keys = sorted_keys(object, &n);
    tb_str_add(b, "{ ");
    for (size_t i = 0; i < n && st == TB_OK; i++) {
        tb_str_add(b, i ? ", " : "");
        put_key(b, keys[i]);
        st = put_literal(b, json_object_get(object, keys[i]), depth + 1, err);
    }
    tb_str_add(b, " }");
    free(keys);
    return st;
}

static tb_status put_literal(tb_str *b, const json_t *v, int depth, tb_err *err)
{
    const json_t *wrapped = depth == 0 ? json_object_get(v, "__value__") : NULL;
    if (depth > MAX_DEPTH)
        return tb_err_set(err, TB_ELIMIT, "a literal is nested deeper than %d", MAX_DEPTH);
    switch (json_typeof(v)) {
    case JSON_TRUE: tb_str_add(b, "true"); break;
    case JSON_FALSE: tb_str_add(b, "false"); break;
    case JSON_INTEGER: tb_str_addf(b, "%lld", (long long)json_integer_value(v)); break;
    case JSON_REAL: put_real(b, json_real_value(v)); break;
    case JSON_STRING: put_text(b, json_string_value(v), json_string_length(v)); break;
    case JSON_ARRAY:
        if (depth == 0)
            return tb_err_set(err, TB_EINVAL, "a literal list is written { \"__value__\": [...] }");
        return put_list(b, v, depth, err);
    case JSON_OBJECT:
        return wrapped ? put_list(b, wrapped, depth, err) : put_object(b, v, depth, err);
    case JSON_NULL:
    default: tb_str_add(b, "tb.null");
    }
    return TB_OK;
}

/* ------------------------------------------------------------------------------------- nodes */

static const tb_type *type_of(const writer *w, const json_t *node)
{
    const char *name = json_string_value(json_object_get(node, "class_type"));
    return name ? tb_types_find(w->types, name) : NULL;
}

/* n.load_model.model; the bare node when it has one output; [2] when the type is not known here. */
static void put_link(writer *w, const json_t *link)
{
    const int at = (int)tb_map_get(w->index, json_string_value(json_array_get(link, 0)));
    const int slot = (int)json_integer_value(json_array_get(link, 1));
    const tb_type *t = type_of(w, w->items[at].node);
    put_field(&w->out, "n", w->items[at].id);
    if (!t || slot < 0 || slot >= t->output_count)
        tb_str_addf(&w->out, "[%d]", slot + 1);
    else if (t->output_count > 1)
        put_field(&w->out, "", t->def->outputs[slot].name);
}

static tb_status put_inputs(writer *w, const json_t *inputs, bool links)
{
    size_t n;
    tb_status st = TB_OK;
    const char **keys = sorted_keys(inputs, &n);
    for (size_t i = 0; i < n && st == TB_OK; i++) {
        const json_t *v = json_object_get(inputs, keys[i]);
        if (tb_json_is_link(v) != links)
            continue;
        tb_str_add(&w->out, ", ");
        put_key(&w->out, keys[i]);
        if (links)
            put_link(w, v);
        else
            st = put_literal(&w->out, v, 0, w->err);
        tb_err_where(w->err, NULL, keys[i], NULL);
    }
    free(keys);
    return st;
}

/* id, title or meta, with an underscore where the type has an input of that name. */
static void put_own_key(writer *w, const json_t *node, const char *name)
{
    const tb_type *t = type_of(w, node);
    const bool taken = json_object_get(json_object_get(node, "inputs"), name) ||
                       (t && tb_type_input(t, name) >= 0);
    tb_str_addf(&w->out, "%s%s = ", taken ? "_" : "", name);
}

static tb_status put_meta(writer *w, const json_t *node)
{
    json_t *rest = json_copy(json_object_get(node, "_meta"));
    const json_t *title = json_object_get(rest, "title");
    tb_status st = TB_OK;
    if (json_is_string(title)) {
        tb_str_add(&w->out, ", ");
        put_own_key(w, node, "title");
        put_text(&w->out, json_string_value(title), json_string_length(title));
        json_object_del(rest, "title");
    }
    json_object_del(rest, "origin");
    if (json_object_size(rest) > 0) {
        tb_str_add(&w->out, ", ");
        put_own_key(w, node, "meta");
        st = put_object(&w->out, rest, 0, w->err);
    }
    json_decref(rest);
    return st;
}

static tb_status put_node(writer *w, const item *it)
{
    const json_t *inputs = json_object_get(it->node, "inputs");
    tb_str_add(&w->out, "    ");
    put_field(&w->out, "n", it->id);
    tb_str_add(&w->out, " = ");
    put_field(&w->out, "tb", json_string_value(json_object_get(it->node, "class_type")));
    tb_str_add(&w->out, " { ");
    put_own_key(w, it->node, "id");
    put_text(&w->out, it->id, strlen(it->id));
    tb_status st = put_meta(w, it->node);
    if (st == TB_OK)
        st = put_inputs(w, inputs, true);
    if (st == TB_OK)
        st = put_inputs(w, inputs, false);
    tb_str_add(&w->out, " }\n");
    if (st != TB_OK)
        tb_err_where(w->err, it->id, NULL, NULL);
    return st;
}

/* ------------------------------------------------------------------------------------- order */

/* The first node that `it` reads and that is not written yet; -1: none; -2: an error. */
static int next_needed(writer *w, const item *it)
{
    size_t n;
    int needed = -1;
    const json_t *inputs = json_object_get(it->node, "inputs");
    const char **keys = sorted_keys(inputs, &n);
    for (size_t i = 0; i < n && needed == -1; i++) {
        const json_t *v = json_object_get(inputs, keys[i]);
        if (!tb_json_is_link(v))
            continue;
        const char *src = json_string_value(json_array_get(v, 0));
        const int at = (int)tb_map_get(w->index, src);
        if (at < 0)
            tb_err_set(w->err, TB_EINVAL, "input '%s' is linked to node '%s', which is not there",
                       keys[i], src);
        else if (w->items[at].state == OPEN)
            tb_err_set(w->err, TB_EINVAL,
                       "input '%s' closes a circle with node '%s', which no script can make",
                       keys[i], src);
        else if (w->items[at].state == FRESH)
            needed = at;
        if (w->err->status != TB_OK)
            needed = -2;
    }
    free(keys);
    if (needed == -2)
        tb_err_where(w->err, it->id, NULL, NULL);
    return needed;
}

/* Write a node after all it reads: depth first on a stack of our own, graphs may be 10,000 deep. */
static tb_status put_after_sources(writer *w, int first)
{
    int depth = 0;
    if (w->items[first].state == WRITTEN)
        return TB_OK;
    TB_GROW(w->stack, w->stack_cap, 1);
    w->stack[depth++] = first;
    while (depth > 0) {
        item *it = &w->items[w->stack[depth - 1]];
        it->state = OPEN;
        const int needed = next_needed(w, it);
        if (needed == -2)
            return w->err->status;
        if (needed >= 0) {
            TB_GROW(w->stack, w->stack_cap, depth + 1);
            w->stack[depth++] = needed;
            continue;
        }
        TB_TRY(put_node(w, it));
        it->state = WRITTEN;
        depth--;
    }
    return TB_OK;
}

static tb_status read_items(writer *w, const json_t *document)
{
    const char *id;
    json_t *node;
    json_object_foreach((json_t *)(uintptr_t)document, id, node)
    {
        if (!json_is_string(json_object_get(node, "class_type"))) {
            tb_err_set(w->err, TB_EINVAL, "the node has no class_type");
            tb_err_where(w->err, id, NULL, NULL);
            return TB_EINVAL;
        }
        tb_map_set(w->index, id, w->count);
        w->items[w->count++] = (item){ .id = id, .node = node };
    }
    return TB_OK;
}

static tb_status put_document(writer *w, const json_t *document, const char *doc)
{
    if (!json_is_object(document) || json_object_size(document) == 0)
        return tb_err_set(w->err, TB_EINVAL, "the document has no nodes");
    TB_TRY(read_items(w, document));
    tb_str_add(&w->out, "local tb = require \"tubelet\"\n\nreturn tb.graph {\n");
    if (doc && *doc) {
        tb_str_add(&w->out, "  doc = ");
        put_text(&w->out, doc, strlen(doc));
        tb_str_add(&w->out, ",\n");
    }
    tb_str_add(&w->out, "  build = function()\n    local n = {}\n");
    for (int i = 0; i < w->count; i++)
        TB_TRY(put_after_sources(w, i));
    tb_str_add(&w->out, "  end,\n}\n");
    return TB_OK;
}

char *tb_script_to_lua(const json_t *document, const char *doc, tb_err *err)
{
    tb_err own = TB_ERR_INIT;
    writer w = { .types = tb_types_new(), .index = tb_map_new(), .err = &own };
    w.items = tb_xcalloc(json_object_size(document) + 1, sizeof *w.items);
    const tb_status st = put_document(&w, document, doc);
    if (st != TB_OK && err && err->status == TB_OK)
        *err = own;
    char *text = st == TB_OK ? tb_str_take(&w.out) : NULL;
    tb_str_free(&w.out);
    tb_types_free(&w.types);
    tb_map_free(&w.index);
    free(w.items);
    free(w.stack);
    return text;
}
