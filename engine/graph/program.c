/* program.c - compile a graph against its types: every error at once, with node, input and origin.
 */
#include "graph/program.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"

tb_program *tb_program_new(tb_graph *g_take, const tb_types *types)
{
    tb_program *p = tb_xcalloc(1, sizeof *p);
    p->graph = g_take;
    p->types = types;
    /* untouched pages cost nothing */
    p->nodes = tb_xcalloc(TB_GRAPH_MAX_NODES, sizeof *p->nodes);
    return p;
}

static void args_free(tb_arg **args, int n)
{
    for (int i = 0; *args && i < n; i++)
        tb_value_unref(&(*args)[i].literal);
    free(*args);
    *args = NULL;
}

void tb_program_free(tb_program **pp)
{
    tb_program *p = *pp;
    if (!p)
        return;
    for (int i = 0; i < p->count; i++) {
        tb_pnode *n = &p->nodes[i];
        args_free(&n->args, n->type ? n->type->input_count : 0);
        args_free(&n->alias, n->type ? n->type->output_count : 0);
    }
    free(p->nodes);
    tb_variants_free(&p->variants);
    tb_graph_free(&p->graph);
    free(p);
    *pp = NULL;
}

const char *tb_program_id(const tb_program *p, int i)
{
    return tb_graph_at(p->graph, i)->id;
}

const char *tb_program_origin(const tb_program *p, int i)
{
    return tb_graph_at(p->graph, i)->origin;
}

/* ------------------------------------------------------------------------------------- checking */

/* ComfyUI has no better word for links that lead nowhere. */
static const char unsound[] = "exception_during_validation";

typedef struct checker {
    tb_program *p;
    tb_err_list *errors;
    const tb_graph_node *g; /* the node being checked */
    int found;
} checker;

__attribute__((format(printf, 4, 5))) static void report(checker *c, const char *reason,
                                                         const char *input, const char *fmt, ...)
{
    tb_err err = TB_ERR_INIT;
    va_list ap;
    va_start(ap, fmt);
    tb_err_setv(&err, TB_EINVAL, fmt, ap);
    va_end(ap);
    tb_err_reason(&err, reason);
    tb_err_where(&err, c->g->id, input, c->g->origin);
    tb_err_list_add(c->errors, &err, c->g->type);
    c->found++;
}

/* " (titled 'Sound', from the node pack 'comfyui-x')" of a node of ComfyUI's; freed by free(). */
static char *described(const json_t *meta)
{
    const char *title = json_string_value(json_object_get(meta, "title"));
    const char *pack = json_string_value(json_object_get(meta, "pack"));
    if (title && pack)
        return tb_xasprintf(" (titled '%.60s', from the node pack '%.60s')", title, pack);
    return title  ? tb_xasprintf(" (titled '%.60s')", title)
           : pack ? tb_xasprintf(" (from the node pack '%.60s')", pack)
                  : tb_xstrdup("");
}

static void unknown_type(checker *c)
{
    const char *near = tb_types_nearest(c->p->types, c->g->type);
    tb_err err = TB_ERR_INIT;
    char *which = described(c->g->meta);
    if (near)
        tb_err_set(&err, TB_ENOTFOUND, "unknown node type '%s'%s; did you mean '%s'?", c->g->type,
                   which, near);
    else
        tb_err_set(&err, TB_ENOTFOUND,
                   "unknown node type '%s'%s; bypass it, take it out or put another in its place: "
                   "`tubelet nodes` lists those there are",
                   c->g->type, which);
    free(which);
    tb_err_reason(&err, "missing_node_type");
    tb_err_where(&err, c->g->id, NULL, c->g->origin);
    tb_err_list_add(c->errors, &err, NULL);
    c->found++;
}

static void unknown_input(checker *c, const tb_type *t, const char *name)
{
    const char *near = tb_type_nearest_input(t, name);
    if (near) {
        report(c, unsound, name, "there is no input '%s'; did you mean '%s'?", name, near);
        return;
    }
    char *names = tb_type_input_names(t);
    report(c, unsound, name, "there is no input '%s'; the inputs are %s", name, names);
    free(names);
}

/* Where a workflow of ComfyUI says that a model can be had; NULL: it does not. Borrowed. */
static const char *source_of(const json_t *meta, const char *name)
{
    size_t i;
    const json_t *models = json_object_get(meta, "models");
    json_t *one;
    json_array_foreach(models, i, one)
    {
        const char *s = json_string_value(json_object_get(one, "name"));
        if (s && strcmp(s, name) == 0)
            return json_string_value(json_object_get(one, "url"));
    }
    return NULL;
}

/* A COMBO of files takes the names that are there now. */
static void check_file(checker *c, const tb_input_def *in, const tb_value *v)
{
    const tb_folders *folders = tb_types_folders(c->p->types);
    tb_err err = TB_ERR_INIT;
    if (!in->files || !folders || !tb_folders_knows(folders, in->files) || !v)
        return;
    char *path = tb_folders_find(folders, in->files, tb_value_as_string(v), &err);
    const char *from = path ? NULL : source_of(c->g->meta, tb_value_as_string(v));
    if (!path && from)
        report(c, "value_not_in_list", in->name, "%s: %s; the workflow names %.300s as its source",
               in->name, err.message, from);
    else if (!path)
        report(c, "value_not_in_list", in->name, "%s: %s", in->name, err.message);
    free(path);
}

/* A literal, unwrapped and converted, into the argument. */
static void check_literal(checker *c, const tb_input_def *in, const json_t *literal, tb_arg *arg)
{
    tb_err err = TB_ERR_INIT;
    const json_t *wrapped = json_object_get(literal, "__value__");
    tb_input_def element = *in;
    element.flags &= ~(unsigned)TB_IN_LIST;
    if (!tb_input_takes_literal(in) && !wrapped) {
        report(c, "bad_linked_input", in->name,
               "%s must be linked to an output of type %s, got a value", in->name, in->type);
        return;
    }
    tb_value *v = tb_value_from_json(wrapped ? wrapped : literal, NULL, NULL, &err);
    if (v)
        arg->literal = tb_input_convert(&element, v, c->p->lenient, &err);
    if (!arg->literal)
        report(c, err.reason ? err.reason : "invalid_input_type", in->name, "%s", err.message);
    check_file(c, in, arg->literal);
    tb_value_unref(&v);
}

static bool has_mode(const tb_graph_node *g, const char *mode)
{
    const char *m = json_string_value(json_object_get(g->meta, "mode"));
    return m && strcmp(m, mode) == 0;
}

/* Of a bypassed node of an unknown type: its only link, which it stands for. NULL: it has none, or
 * several. */
static const tb_link *only_link(const tb_graph_node *g)
{
    const tb_link *found = NULL;
    int links = 0;
    for (int k = 0; k < g->input_count; k++)
        if (g->inputs[k].src) {
            found = &g->inputs[k];
            links++;
        }
    return links == 1 ? found : NULL;
}

/* Where a link leads behind bypassed nodes of unknown types; NULL: nowhere. */
static const tb_link *behind_unknown(const tb_program *p, const tb_link *l)
{
    for (int hops = 0; l && hops < 1000; hops++) {
        const int src = tb_graph_find(p->graph, l->src);
        const tb_graph_node *from = src < 0 ? NULL : tb_graph_at(p->graph, src);
        if (!from || !has_mode(from, "bypass") || tb_types_find(p->types, from->type))
            return l;
        l = only_link(from);
    }
    return NULL;
}

static void check_link(checker *c, const tb_input_def *in, const tb_link *given, tb_arg *arg)
{
    const tb_link *l = behind_unknown(c->p, given);
    if (!l) {
        if (in->required || (!tb_input_is_scalar(in) && !(in->flags & TB_IN_OPTIONAL)))
            report(c, "required_input_missing", in->name,
                   "%s is linked to node '%s', which is bypassed and of a type that is not known; "
                   "link it elsewhere",
                   in->name, given->src);
        return;
    }
    const int src = tb_graph_find(c->p->graph, l->src);
    if (src < 0) {
        report(c, unsound, in->name, "%s is linked to node '%s', which is not in the graph",
               in->name, l->src);
        return;
    }
    const tb_graph_node *from = tb_graph_at(c->p->graph, src);
    const tb_type *t = tb_types_find(c->p->types, from->type);
    if (!t && !has_mode(from, "mute"))
        return; /* reported at that node */
    if (has_mode(from, "mute")) {
        if (in->required || (!tb_input_is_scalar(in) && !(in->flags & TB_IN_OPTIONAL)))
            report(c, "required_input_missing", in->name,
                   "%s is linked to node '%s', which is muted; unmute it or mute this node too",
                   in->name, l->src);
        return;
    }
    if (l->slot < 0 || l->slot >= t->output_count) {
        report(c, unsound, in->name,
               "%s is linked to output %d of node '%s' (%s), which has %d output%s", in->name,
               l->slot, l->src, from->type, t->output_count, t->output_count == 1 ? "" : "s");
        return;
    }
    const tb_output_def *out = &t->def->outputs[l->slot];
    if (!(c->p->exact ? tb_port_meets : tb_port_fits)(out->type, in->type)) {
        report(c, "return_type_mismatch", in->name,
               "%s must be %s, got %s from output '%s' of node '%s' (%s)", in->name, in->type,
               out->type, out->name, l->src, from->type);
        return;
    }
    arg->src = src;
    arg->slot = l->slot;
}

static bool is_scalar_or_list(const tb_input_def *in)
{
    tb_input_def element = *in;
    element.flags &= ~(unsigned)TB_IN_LIST;
    return tb_input_is_scalar(&element);
}

static void check_missing(checker *c, const tb_type *t)
{
    for (int i = 0; i < t->input_count; i++) {
        const tb_input_def *in = &t->def->inputs[i];
        bool given = false;
        for (int k = 0; k < c->g->input_count; k++)
            given |= strcmp(c->g->inputs[k].name, in->name) == 0;
        const bool scalar = is_scalar_or_list(in);
        if (given || in->flags & TB_IN_OPTIONAL || (scalar && !in->required))
            continue;
        if (scalar)
            report(c, "required_input_missing", in->name, "%s (%s) is missing; give it a value",
                   in->name, in->type);
        else
            report(c, "required_input_missing", in->name,
                   "%s is not connected; link it to an output of type %s", in->name, in->type);
    }
}

/* The links of a bypassed node; nothing else of it counts. */
static void link_bypassed(checker *c, tb_pnode *n)
{
    for (int k = 0; k < c->g->input_count; k++) {
        const tb_link *l = &c->g->inputs[k];
        const int at = tb_type_input(n->type, l->name);
        const int src = l->src ? tb_graph_find(c->p->graph, l->src) : -1;
        const tb_graph_node *from = src < 0 ? NULL : tb_graph_at(c->p->graph, src);
        const tb_type *t = from ? tb_types_find(c->p->types, from->type) : NULL;
        if (at >= 0 && t && !has_mode(from, "mute") && l->slot >= 0 && l->slot < t->output_count)
            n->args[at] = (tb_arg){ .src = src, .slot = l->slot };
    }
}

/* A bypassed node stands for its inputs: each output for one of the same type, the same place
 * first; where there is none, the output gives nothing. */
static void bypass(checker *c, tb_pnode *n)
{
    const tb_type *t = n->type;
    link_bypassed(c, n);
    n->alias = tb_xcalloc((size_t)t->output_count + 1, sizeof *n->alias);
    for (int o = 0; o < t->output_count; o++) {
        n->alias[o].src = -1;
        for (int k = 0; k <= t->input_count && n->alias[o].src < 0; k++) {
            const int at = k == 0 ? o : k - 1;
            if (at < t->input_count && n->args[at].src >= 0 &&
                tb_port_fits(t->def->inputs[at].type, t->def->outputs[o].type))
                n->alias[o] = (tb_arg){ .src = n->args[at].src, .slot = n->args[at].slot };
        }
    }
}

/* What a node of an unknown type is when it is muted or bypassed: nothing. */
static const tb_input_def no_inputs[] = { { 0 } };
static const tb_node_def absent_def = { .name = "absent", .inputs = no_inputs };
static const tb_type absent = { .kind = TB_PRIMITIVE, .def = &absent_def, .version = "" };

static void check_node(checker *c, int i)
{
    c->g = tb_graph_at(c->p->graph, i);
    tb_pnode *n = &c->p->nodes[i];
    const tb_type *t = tb_types_find(c->p->types, c->g->type);
    if (!t && (has_mode(c->g, "mute") || has_mode(c->g, "bypass"))) {
        n->type = &absent;
        n->muted = true;
        return;
    }
    if (!t) {
        unknown_type(c);
        return;
    }
    n->type = t = tb_program_variant(c->p, t, c->g);
    n->args = tb_xcalloc((size_t)t->input_count + 1, sizeof *n->args);
    for (int k = 0; k < t->input_count; k++)
        n->args[k].src = -1;
    n->muted = has_mode(c->g, "mute");
    if (n->muted)
        return;
    if (has_mode(c->g, "bypass")) {
        bypass(c, n);
        return;
    }
    for (int k = 0; k < c->g->input_count; k++) {
        const tb_link *l = &c->g->inputs[k];
        const int at = tb_type_input(t, l->name);
        if (at < 0 && !(c->p->lenient && l->literal))
            unknown_input(c, t, l->name);
        else if (at < 0)
            continue;
        else if (l->src)
            check_link(c, &t->def->inputs[at], l, &n->args[at]);
        else
            check_literal(c, &t->def->inputs[at], l->literal, &n->args[at]);
    }
    check_missing(c, t);
    for (int k = 0; k < t->input_count; k++) {
        tb_arg *a = &n->args[k];
        if (!a->literal && a->src < 0)
            a->literal = tb_input_default(&t->def->inputs[k]);
    }
}

/* Is there nothing behind that link: only bypassed nodes, the last without a fitting input? */
static bool gives_nothing(const tb_program *p, tb_arg a)
{
    for (int hops = 0; a.src >= 0 && hops <= p->count; hops++) {
        if (!p->nodes[a.src].alias || !has_mode(tb_graph_at(p->graph, a.src), "bypass"))
            return false;
        a = p->nodes[a.src].alias[a.slot];
    }
    return a.src < 0;
}

/* Links to bypassed nodes that have nothing to give: as if they were not there. */
static void drop_empty_links(checker *c, int i)
{
    tb_pnode *n = &c->p->nodes[i];
    c->g = tb_graph_at(c->p->graph, i);
    for (int k = 0; n->args && !n->alias && k < n->type->input_count; k++) {
        const tb_input_def *in = &n->type->def->inputs[k];
        const int src = n->args[k].src;
        if (src < 0 || !gives_nothing(c->p, n->args[k]))
            continue;
        n->args[k] = (tb_arg){ .literal = tb_input_default(in), .src = -1 };
        if (in->required || (!is_scalar_or_list(in) && !(in->flags & TB_IN_OPTIONAL)))
            report(c, "required_input_missing", in->name,
                   "%s is linked to node '%s', which is bypassed and has no linked input to stand "
                   "for it; bypass this node too, or link it elsewhere",
                   in->name, tb_program_id(c->p, src));
    }
}

/* -------------------------------------------------------------------------------------- cycles */

enum { WHITE, GREY, BLACK };

static void report_cycle(checker *c, const int *stack, int depth, int again)
{
    tb_str path = TB_STR_INIT;
    int from = depth - 1;
    while (from > 0 && stack[from] != again)
        from--;
    const int shown = depth - from > 8 ? from + 8 : depth;
    for (int i = from; i < shown; i++)
        tb_str_addf(&path, "%s -> ", tb_program_id(c->p, stack[i]));
    tb_str_addf(&path, "%s%s", shown < depth ? "... -> " : "", tb_program_id(c->p, again));
    c->g = tb_graph_at(c->p->graph, again);
    report(c, "dependency_cycle", NULL, "the links form a cycle: %s; remove one of them", path.s);
    tb_str_free(&path);
}

/* Depth-first over the links with an explicit stack; reports the first cycle. */
static void check_cycles(checker *c)
{
    const tb_program *p = c->p;
    unsigned char *colour = tb_xcalloc((size_t)p->count, 1);
    int *stack = tb_xcalloc((size_t)p->count, sizeof *stack),
        *next = tb_xcalloc((size_t)p->count, sizeof *next);
    for (int root = 0; root < p->count; root++) {
        int depth = 0;
        if (colour[root] == WHITE)
            stack[depth++] = root;
        while (depth) {
            const int i = stack[depth - 1];
            const tb_pnode *n = &p->nodes[i];
            colour[i] = GREY;
            const int inputs = n->args ? n->type->input_count : 0;
            if (next[i] == inputs) {
                colour[i] = BLACK;
                depth--;
                continue;
            }
            const int src = n->args[next[i]++].src;
            if (src >= 0 && colour[src] == WHITE) {
                stack[depth++] = src;
            } else if (src >= 0 && colour[src] == GREY) {
                report_cycle(c, stack, depth, src);
                goto done;
            }
        }
    }
done:
    free(colour);
    free(stack);
    free(next);
}

int tb_program_check(tb_program *p, tb_err_list *errors)
{
    checker c = { .p = p, .errors = errors };
    const int first = p->count, count = tb_graph_count(p->graph);
    p->count = count;
    for (int i = first; i < count; i++)
        check_node(&c, i);
    for (int i = first; i < count; i++)
        drop_empty_links(&c, i);
    check_cycles(&c);
    return c.found;
}
