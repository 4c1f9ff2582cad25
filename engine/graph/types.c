/* types.c - the table of node types: those in C and those a script defines. */
#include "graph/types.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"

/* A type made from JSON owns everything its definition points to. */
typedef struct entry {
    tb_type type;
    tb_node_def *def; /* owned; NULL for types in C */
    char **texts;     /* owned strings the definition points to */
    int text_count;
    size_t text_cap;
    char version[24];
} entry;

struct tb_types {
    entry **items; /* sorted by name */
    int count;
    size_t cap;
    tb_map *index;
    const tb_folders *folders;
};

static int count_inputs(const tb_input_def *in)
{
    int n = 0;
    while (in && in[n].name)
        n++;
    return n;
}

static int count_outputs(const tb_output_def *out)
{
    int n = 0;
    while (out && out[n].name)
        n++;
    return n;
}

static void entry_free(entry *e)
{
    if (e->def) {
        free((void *)(uintptr_t)e->def->inputs);
        free((void *)(uintptr_t)e->def->outputs);
        free(e->def);
    }
    for (int i = 0; i < e->text_count; i++)
        free(e->texts[i]);
    free(e->texts);
    free(e);
}

static int by_name(const void *a, const void *b)
{
    const entry *const *x = a, *const *y = b;
    return strcmp((*x)->type.def->name, (*y)->type.def->name);
}

static void reindex(tb_types *t)
{
    if (t->count)
        qsort(t->items, (size_t)t->count, sizeof *t->items, by_name);
    tb_map_free(&t->index);
    t->index = tb_map_new();
    for (int i = 0; i < t->count; i++)
        tb_map_set(t->index, t->items[i]->type.def->name, i);
}

static void append(tb_types *t, entry *e)
{
    TB_GROW(t->items, t->cap, t->count + 1);
    t->items[t->count++] = e;
}

static void put(tb_types *t, entry *e)
{
    const int64_t at = tb_map_get(t->index, e->type.def->name);
    if (at >= 0) {
        entry_free(t->items[at]);
        t->items[at] = e;
    } else {
        tb_map_set(t->index, e->type.def->name, t->count);
        append(t, e);
    }
}

void tb_types_add_defs(tb_types *t, const tb_node_def *const *defs)
{
    for (const tb_node_def *const *d = defs; d && *d; d++) {
        entry *e = tb_xcalloc(1, sizeof *e);
        snprintf(e->version, sizeof e->version, "%d", (*d)->version);
        e->type = (tb_type){ .kind = TB_PRIMITIVE,
                             .def = *d,
                             .version = e->version,
                             .input_count = count_inputs((*d)->inputs),
                             .output_count = count_outputs((*d)->outputs) };
        put(t, e);
    }
    reindex(t);
}

tb_types *tb_types_new(void)
{
    tb_types *t = tb_xcalloc(1, sizeof *t);
    t->index = tb_map_new();
    tb_types_add_defs(t, tb_node_list);
    return t;
}

void tb_types_free(tb_types **tp)
{
    tb_types *t = *tp;
    if (!t)
        return;
    for (int i = 0; i < t->count; i++)
        entry_free(t->items[i]);
    free(t->items);
    tb_map_free(&t->index);
    free(t);
    *tp = NULL;
}

/* ------------------------------------------------------------------------------ types from JSON */

static const char *keep_text(entry *e, const char *s)
{
    if (!s)
        return NULL;
    TB_GROW(e->texts, e->text_cap, e->text_count + 1);
    return e->texts[e->text_count++] = tb_xstrdup(s);
}

static const char *text_of(entry *e, const json_t *o, const char *field)
{
    return keep_text(e, json_string_value(json_object_get(o, field)));
}

/* ["a", "b"] -> "a|b" */
static const char *choices_of(entry *e, const json_t *list)
{
    tb_str s = TB_STR_INIT;
    size_t i;
    json_t *item;
    json_array_foreach(list, i, item)
    {
        tb_str_add(&s, i ? "|" : "");
        tb_str_add(&s, json_is_string(item) ? json_string_value(item) : "");
    }
    const char *kept = s.len ? keep_text(e, s.s) : NULL;
    tb_str_free(&s);
    return kept;
}

static const struct {
    const char *name;
    unsigned flag;
} flag_tab[] = {
    { "optional", TB_IN_OPTIONAL },   { "lazy", TB_IN_LAZY },         { "list", TB_IN_LIST },
    { "multiline", TB_IN_MULTILINE }, { "literal", TB_IN_LITERAL },   { "file", TB_IN_FILE },
    { "unkeyed", TB_IN_UNKEYED },     { "upload", TB_IN_UPLOAD },     { "seed", TB_IN_SEED },
    { "advanced", TB_IN_ADVANCED },   { "resolved", TB_IN_RESOLVED },
};

static unsigned flags_of(const json_t *j)
{
    unsigned flags = 0;
    for (size_t i = 0; i < sizeof flag_tab / sizeof *flag_tab; i++)
        if (json_is_true(json_object_get(j, flag_tab[i].name)))
            flags |= flag_tab[i].flag;
    return flags;
}

static int64_t bound_of(const json_t *j, int64_t otherwise)
{
    const double d = json_number_value(j);
    return json_is_integer(j) ? json_integer_value(j)
           : !json_is_real(j) ? otherwise
           : d <= -9.2e18     ? INT64_MIN
           : d >= 9.2e18      ? INT64_MAX
                              : (int64_t)d;
}

static void input_from_json(entry *e, tb_input_def *in, const json_t *j)
{
    const json_t *def = json_object_get(j, "default"), *lo = json_object_get(j, "min"),
                 *hi = json_object_get(j, "max");
    *in = (tb_input_def){
        .name = text_of(e, j, "name"),
        .type = text_of(e, j, "type"),
        .flags = flags_of(j),
        .i_default = json_is_boolean(def) ? json_is_true(def) : json_integer_value(def),
        .i_min = bound_of(lo, INT64_MIN),
        .i_max = bound_of(hi, INT64_MAX),
        .f_default = json_number_value(def),
        .f_min = json_is_number(lo) ? json_number_value(lo) : -DBL_MAX,
        .f_max = json_is_number(hi) ? json_number_value(hi) : DBL_MAX,
        .s_default = keep_text(e, json_string_value(def)),
        .choices = choices_of(e, json_object_get(j, "choices")),
        .files = text_of(e, j, "files"),
        .unit = text_of(e, j, "unit"),
        .doc = text_of(e, j, "doc"),
        .required = json_is_true(json_object_get(j, "required")),
    };
}

static unsigned hooks_of(const json_t *j)
{
    return (json_is_true(json_object_get(j, "need")) ? TB_HOOK_NEED : 0) |
           (json_is_true(json_object_get(j, "changed")) ? TB_HOOK_CHANGED : 0) |
           (json_is_true(json_object_get(j, "validate")) ? TB_HOOK_VALIDATE : 0);
}

static tb_status entry_from_json(const json_t *j, entry **out, tb_err *err)
{
    const char *kind = json_string_value(json_object_get(j, "kind"));
    const json_t *ins = json_object_get(j, "inputs"), *outs = json_object_get(j, "outputs");
    entry *e = tb_xcalloc(1, sizeof *e);
    e->def = tb_xcalloc(1, sizeof *e->def);
    e->type.def = e->def;
    e->type.kind = kind && strcmp(kind, "composite") == 0 ? TB_COMPOSITE : TB_LUA;
    e->def->abi = TB_NODE_ABI;
    e->def->name = text_of(e, j, "name");
    e->def->title = text_of(e, j, "title");
    e->def->category = text_of(e, j, "category");
    e->def->doc = text_of(e, j, "doc");
    e->def->example = text_of(e, j, "example");
    e->def->flags = (json_is_true(json_object_get(j, "target")) ? TB_NODE_TARGET : 0) |
                    (json_is_true(json_object_get(j, "impure")) ? TB_NODE_IMPURE : 0);
    e->type.hooks = hooks_of(j);
    e->type.rest = text_of(e, j, "rest");
    e->type.version = text_of(e, j, "version");
    e->type.input_count = (int)json_array_size(ins);
    e->type.output_count = (int)json_array_size(outs);
    tb_input_def *in = tb_xcalloc((size_t)e->type.input_count + 1, sizeof *in);
    tb_output_def *o = tb_xcalloc((size_t)e->type.output_count + 1, sizeof *o);
    e->def->inputs = in;
    e->def->outputs = o;
    bool sound = e->def->name && e->type.version && e->type.input_count <= 64;
    for (int i = 0; i < e->type.input_count; i++) {
        input_from_json(e, &in[i], json_array_get(ins, (size_t)i));
        in[i].offset = (size_t)i * 8; /* params are one 8-byte field an input */
        sound &= in[i].name && in[i].type;
    }
    e->def->params_size = (size_t)e->type.input_count * 8;
    for (int i = 0; i < e->type.output_count; i++) {
        const json_t *oj = json_array_get(outs, (size_t)i);
        o[i] = (tb_output_def){ .name = text_of(e, oj, "name"),
                                .type = text_of(e, oj, "type"),
                                .is_list = json_is_true(json_object_get(oj, "list")),
                                .doc = text_of(e, oj, "doc") };
        sound &= o[i].name && o[i].type;
    }
    if (!sound) {
        tb_err_set(err, TB_ESCRIPT, "the script reported a malformed node type '%s'",
                   e->def->name ? e->def->name : "?");
        entry_free(e);
        return TB_ESCRIPT;
    }
    *out = e;
    return TB_OK;
}

tb_status tb_types_add(tb_types *t, const json_t *array, tb_err *err)
{
    size_t i;
    json_t *j;
    json_array_foreach(array, i, j)
    {
        entry *e = NULL;
        TB_TRY(entry_from_json(j, &e, err));
        put(t, e);
    }
    reindex(t);
    return TB_OK;
}

void tb_types_set_folders(tb_types *t, const tb_folders *folders)
{
    t->folders = folders;
}

const tb_folders *tb_types_folders(const tb_types *t)
{
    return t->folders;
}

/* ------------------------------------------------------------------------------------- look-ups */

const tb_type *tb_types_find(const tb_types *t, const char *name)
{
    const int64_t at = tb_map_get(t->index, name);
    return at < 0 ? NULL : &t->items[at]->type;
}

const char *tb_types_nearest(const tb_types *t, const char *name)
{
    const char *best = NULL;
    int best_d = (int)strlen(name) / 3 + 2; /* farther names would only puzzle */
    for (int i = 0; i < t->count; i++) {
        const char *other = t->items[i]->type.def->name;
        const int d = tb_str_distance(name, other);
        if (d < best_d) {
            best_d = d;
            best = other;
        }
    }
    return best;
}

bool tb_types_know_all(const tb_types *t, const json_t *graph)
{
    const char *id;
    json_t *node;
    json_object_foreach((json_t *)(uintptr_t)graph, id, node)
    {
        const char *type = json_string_value(json_object_get(node, "class_type"));
        if (type && !tb_types_find(t, type))
            return false;
    }
    return true;
}

int tb_types_count(const tb_types *t)
{
    return t->count;
}

const tb_type *tb_types_at(const tb_types *t, int i)
{
    return &t->items[i]->type;
}

int tb_type_input(const tb_type *t, const char *name)
{
    for (int i = 0; i < t->input_count; i++)
        if (strcmp(t->def->inputs[i].name, name) == 0)
            return i;
    return -1;
}

int tb_type_output(const tb_type *t, const char *name)
{
    for (int i = 0; i < t->output_count; i++)
        if (strcmp(t->def->outputs[i].name, name) == 0)
            return i;
    return -1;
}

const char *tb_type_nearest_input(const tb_type *t, const char *name)
{
    const char *near = NULL;
    int best = (int)strlen(name) / 3 + 2;
    for (int i = 0; i < t->input_count; i++) {
        const int d = tb_str_distance(name, t->def->inputs[i].name);
        if (d < best) {
            best = d;
            near = t->def->inputs[i].name;
        }
    }
    return near;
}

char *tb_type_input_names(const tb_type *t)
{
    tb_str names = TB_STR_INIT;
    for (int i = 0; i < t->input_count; i++)
        tb_str_addf(&names, "%s%s", i ? ", " : "", t->def->inputs[i].name);
    if (!t->input_count)
        tb_str_add(&names, "none");
    return tb_str_take(&names);
}

/* Is `name` (n bytes) one of the comma-separated names in `set`? */
static bool in_set(const char *name, size_t n, const char *set)
{
    for (const char *p = set; *p;) {
        const size_t k = strcspn(p, ",");
        if (k == n && memcmp(p, name, n) == 0)
            return true;
        p += k + (p[k] == ',');
    }
    return false;
}

bool tb_port_meets(const char *from, const char *into)
{
    if (strcmp(from, "*") == 0 || strcmp(into, "*") == 0)
        return true;
    for (const char *p = from; *p;) {
        const size_t k = strcspn(p, ",");
        if (in_set(p, k, into))
            return true;
        p += k + (p[k] == ',');
    }
    return false;
}

bool tb_port_fits(const char *from, const char *into)
{
    if (tb_port_meets(from, into))
        return true;
    for (const char *p = from; *p;) {
        const size_t k = strcspn(p, ",");
        const bool is_int = k == 3 && memcmp(p, "INT", 3) == 0;
        const bool is_text = k == 6 && memcmp(p, "STRING", 6) == 0;
        if ((is_int && in_set("FLOAT", 5, into)) || (is_text && in_set("COMBO", 5, into)))
            return true;
        p += k + (p[k] == ',');
    }
    return false;
}

/* ------------------------------------------------------------------------------------- to JSON */

static bool is_type(const tb_input_def *in, const char *type)
{
    return strcmp(in->type, type) == 0;
}

static void set_text(json_t *o, const char *field, const char *text)
{
    if (text && *text)
        json_object_set_new(o, field, json_string(text));
}

static void set_range(json_t *j, const tb_input_def *in)
{
    if (is_type(in, "INT")) {
        json_object_set_new(j, "default", json_integer(in->i_default));
        if (in->i_min != INT64_MIN)
            json_object_set_new(j, "min", json_integer(in->i_min));
        if (in->i_max != INT64_MAX)
            json_object_set_new(j, "max", json_integer(in->i_max));
    } else if (is_type(in, "FLOAT")) {
        json_object_set_new(j, "default", json_real(in->f_default));
        if (in->f_min > -DBL_MAX)
            json_object_set_new(j, "min", json_real(in->f_min));
        if (in->f_max < DBL_MAX)
            json_object_set_new(j, "max", json_real(in->f_max));
    }
}

static json_t *input_to_json(const tb_input_def *in)
{
    json_t *j = json_pack("{ssss}", "name", in->name, "type", in->type);
    if (!in->required)
        set_range(j, in);
    if (is_type(in, "BOOLEAN") && !in->required)
        json_object_set_new(j, "default", json_boolean(in->i_default));
    if (in->s_default)
        json_object_set_new(j, "default", json_string(in->s_default));
    if (in->choices) {
        json_t *list = json_array();
        for (const char *p = in->choices; *p;) {
            const size_t k = strcspn(p, "|");
            json_array_append_new(list, json_stringn(p, k));
            p += k + (p[k] == '|');
        }
        json_object_set_new(j, "choices", list);
    }
    set_text(j, "files", in->files);
    set_text(j, "unit", in->unit);
    set_text(j, "doc", in->doc);
    for (size_t i = 0; i < sizeof flag_tab / sizeof *flag_tab; i++)
        if (in->flags & flag_tab[i].flag)
            json_object_set_new(j, flag_tab[i].name, json_true());
    if (in->required)
        json_object_set_new(j, "required", json_true());
    return j;
}

json_t *tb_type_to_json(const tb_type *t)
{
    static const char *const kind[] = { "primitive", "lua", "composite" };
    json_t *ins = json_array(), *outs = json_array();
    for (int i = 0; i < t->input_count; i++)
        json_array_append_new(ins, input_to_json(&t->def->inputs[i]));
    for (int i = 0; i < t->output_count; i++) {
        const tb_output_def *o = &t->def->outputs[i];
        json_t *j = json_pack("{ssss}", "name", o->name, "type", o->type);
        if (o->is_list)
            json_object_set_new(j, "list", json_true());
        set_text(j, "shape", o->shape);
        set_text(j, "doc", o->doc);
        json_array_append_new(outs, j);
    }
    json_t *r =
        json_pack("{ssssss}", "name", t->def->name, "kind", kind[t->kind], "version", t->version);
    set_text(r, "title", t->def->title);
    set_text(r, "category", t->def->category);
    set_text(r, "doc", t->def->doc);
    set_text(r, "example", t->def->example);
    json_object_set_new(r, "target", json_boolean(t->def->flags & TB_NODE_TARGET));
    json_object_set_new(r, "inputs", ins);
    json_object_set_new(r, "outputs", outs);
    set_text(r, "rest", t->rest);
    if (t->def->flags & TB_NODE_IMPURE)
        json_object_set_new(r, "impure", json_true());
    return r;
}
