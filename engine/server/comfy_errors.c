/* comfy_errors.c - an error of the engine's check in ComfyUI's words: section 3.2.
 *
 * `type` and `message` are ComfyUI's to the letter, for clients compare them; where ComfyUI shows
 * an exception of Python's, `details` is the engine's sentence.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "graph/program.h"
#include "server/comfy_internal.h"

enum { SHOWN_CHOICES = 20 };

/* What the texts are made of. */
typedef struct subject {
    const tb_err *err;
    const tb_input_def *in; /* NULL: of no input */
    const json_t *node, *value;
    const tb_types *types;
    const json_t *graph;
    tbs_needs *needs;
} subject;

/* A literal as Python's str() shows it. Freed by free(). */
static char *shown(const json_t *v)
{
    char buf[40];
    if (json_is_string(v))
        return tb_xstrdup(json_string_value(v));
    if (json_is_boolean(v))
        return tb_xstrdup(json_is_true(v) ? "True" : "False");
    if (!v || json_is_null(v))
        return tb_xstrdup("None");
    if (tb_json_long_int(v))
        return tb_xstrdup(tb_json_long_int(v));
    if (!json_is_real(v))
        return json_dumps(v, JSON_ENCODE_ANY);
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(buf, sizeof buf, "%.*g", digits, json_real_value(v));
        if (strtod(buf, NULL) >= json_real_value(v) && strtod(buf, NULL) <= json_real_value(v))
            break;
    }
    return tb_xasprintf("%s%s", buf, strpbrk(buf, ".en") ? "" : ".0");
}

/* The value as it was compared: converted to the declared type. Freed by free(). */
static char *converted(const subject *s)
{
    const char *text_value =
        tb_json_long_int(s->value) ? tb_json_long_int(s->value) : json_string_value(s->value);
    const double d = text_value ? strtod(text_value, NULL) : json_number_value(s->value);
    json_t *v = NULL;
    if (strcmp(s->in->type, "FLOAT") == 0)
        v = json_real(d);
    else if (json_is_real(s->value))
        v = json_integer(fabs(d) < 9e18 ? (json_int_t)trunc(d) : 0);
    else if (json_is_string(s->value))
        v = json_integer(strtoll(json_string_value(s->value), NULL, 10));
    else
        v = json_incref((json_t *)(uintptr_t)s->value);
    char *text = shown(v);
    json_decref(v);
    return text;
}

static char *limit(const tb_input_def *in, bool low)
{
    const bool real = strcmp(in->type, "FLOAT") == 0;
    json_t *v = real  ? json_real(low ? in->f_min : in->f_max)
                : low ? json_integer(in->i_min)
                      : tbs_highest(in);
    char *text = shown(v);
    json_decref(v);
    return text;
}

static void set_received(json_t *info, const subject *s)
{
    json_object_set_new(info, "input_config",
                        s->in ? tbs_input_config(s->types, s->in) : json_null());
    json_object_set(info, "received_value", (json_t *)(uintptr_t)s->value);
}

static json_t *error(const subject *s, const char *type, const char *message, const char *details)
{
    json_t *e = tbs_prompt_error(type, message, details);
    if (s->err->input[0])
        json_object_set_new(json_object_get(e, "extra_info"), "input_name",
                            json_string(s->err->input));
    return e;
}

static json_t *missing(const subject *s)
{
    return error(s, "required_input_missing", "Required input is missing", s->err->input);
}

static json_t *bad_link(const subject *s)
{
    json_t *e =
        error(s, "bad_linked_input",
              "Bad linked input, must be a length-2 list of [node_id, slot_index]", s->err->input);
    set_received(json_object_get(e, "extra_info"), s);
    return e;
}

static json_t *mismatch(const subject *s)
{
    const char *src = json_string_value(json_array_get(s->value, 0));
    const json_int_t slot = json_integer_value(json_array_get(s->value, 1));
    const json_t *class = json_object_get(json_object_get(s->graph, src ? src : ""), "class_type");
    const tb_type *t =
        json_is_string(class) ? tb_types_find(s->types, json_string_value(class)) : NULL;
    const char *received =
        t && slot >= 0 && slot < t->output_count ? t->def->outputs[slot].type : "*";
    char *details = tb_xasprintf("%s, received_type(%s) mismatch input_type(%s)", s->err->input,
                                 received, s->in->type);
    json_t *e =
        error(s, "return_type_mismatch", "Return type mismatch between linked nodes", details);
    json_t *info = json_object_get(e, "extra_info");
    json_object_set_new(info, "input_config", tbs_input_config(s->types, s->in));
    json_object_set_new(info, "received_type", json_string(received));
    json_object_set(info, "linked_node", (json_t *)(uintptr_t)s->value);
    free(details);
    return e;
}

static json_t *wrong_type(const subject *s)
{
    char *value = shown(s->value);
    char *message = tb_xasprintf("Failed to convert an input value to a %s value", s->in->type);
    char *details = tb_xasprintf("%s, %s, %s", s->err->input, value, s->err->message);
    json_t *e = error(s, "invalid_input_type", message, details);
    json_t *info = json_object_get(e, "extra_info");
    set_received(info, s);
    json_object_set_new(info, "exception_message", json_string(s->err->message));
    free(value);
    free(message);
    free(details);
    return e;
}

static json_t *out_of_range(const subject *s, bool low)
{
    char *value = converted(s), *bound = limit(s->in, low);
    char *message = tb_xasprintf("Value %s %s of %s", value,
                                 low ? "smaller than min" : "bigger than max", bound);
    json_t *e =
        error(s, low ? "value_smaller_than_min" : "value_bigger_than_max", message, s->err->input);
    set_received(json_object_get(e, "extra_info"), s);
    free(value);
    free(bound);
    free(message);
    return e;
}

static json_t *not_in_list(const subject *s)
{
    json_t *config = tbs_input_config(s->types, s->in);
    const json_t *choices = json_array_get(config, 0);
    const size_t n = json_array_size(choices);
    char *value = shown(s->value);
    tb_str details = TB_STR_INIT;
    tb_str_addf(&details, "%s: '%s' not in ", s->err->input, value);
    if (n > SHOWN_CHOICES)
        tb_str_addf(&details, "(list of length %zu)", n);
    for (size_t i = 0; i < n && n <= SHOWN_CHOICES; i++)
        tb_str_addf(&details, "%s'%s'", i ? ", " : "[",
                    json_string_value(json_array_get(choices, i)));
    if (n <= SHOWN_CHOICES)
        tb_str_add(&details, n ? "]" : "[]");
    json_t *e = error(s, "value_not_in_list", "Value not in list", details.s);
    json_t *info = json_object_get(e, "extra_info");
    set_received(info, s);
    if (n > SHOWN_CHOICES)
        json_object_set_new(info, "input_config", json_null());
    json_decref(config);
    tb_str_free(&details);
    free(value);
    return e;
}

static const char *class_of(const subject *s, const char *id)
{
    const char *c = json_string_value(json_object_get(json_object_get(s->graph, id), "class_type"));
    return c ? c : "?";
}

static json_t *cycle(const subject *s)
{
    json_t *ids = tbs_needs_cycle(s->needs, s->err->node), *id;
    tb_str details = TB_STR_INIT;
    size_t i;
    json_array_foreach(ids, i, id)
    {
        tb_str_addf(&details, "%s%s (%s)", i ? " -> " : "", json_string_value(id),
                    class_of(s, json_string_value(id)));
    }
    if (json_array_size(ids) > 1) /* the way ends where it begins */
        json_array_remove(ids, json_array_size(ids) - 1);
    json_t *e = error(s, "dependency_cycle", "Dependency cycle detected",
                      details.s ? details.s : s->err->message);
    json_t *info = json_object_get(e, "extra_info");
    json_object_set_new(info, "node_id", json_string(s->err->node));
    json_object_set_new(info, "cycle_nodes", ids ? ids : json_array());
    tb_str_free(&details);
    return e;
}

static json_t *refused(const subject *s)
{
    const char *text = s->err->message;
    char *details =
        tb_xasprintf("%s%s%s", s->err->input, *text && s->err->input[0] ? " - " : "", text);
    json_t *e = error(s, "custom_validation_failed", "Custom validation failed for node", details);
    free(details);
    return e;
}

/* The first node that reads this one: its id, with the input's name. NULL: none does. */
static const char *reader_of(const subject *s, const char **input)
{
    const char *id;
    json_t *node, *v;
    json_object_foreach((json_t *)(uintptr_t)s->graph, id, node)
    {
        json_object_foreach(json_object_get(node, "inputs"), *input, v)
        {
            if (tb_json_is_link(v) &&
                strcmp(json_string_value(json_array_get(v, 0)), s->err->node) == 0)
                return id;
        }
    }
    return NULL;
}

/* ComfyUI comes to a node by the link of another, which the error names; but to outputs itself. */
static json_t *unsound_inside(const subject *s, const char *reader, const char *name)
{
    const json_t *node = json_object_get(s->graph, reader);
    const char *class = json_string_value(json_object_get(node, "class_type"));
    const tb_type *t = class ? tb_types_find(s->types, class) : NULL;
    const int at = t ? tb_type_input(t, name) : -1;
    json_t *e = tbs_prompt_error("exception_during_inner_validation",
                                 "Exception when validating inner node", s->err->message);
    json_t *info = json_object_get(e, "extra_info");
    json_object_set_new(info, "input_name", json_string(name));
    json_object_set_new(info, "input_config",
                        at >= 0 ? tbs_input_config(s->types, &t->def->inputs[at]) : json_null());
    json_object_set_new(info, "exception_message", json_string(s->err->message));
    json_object_set(info, "linked_node", json_object_get(json_object_get(node, "inputs"), name));
    return e;
}

static json_t *unsound(const subject *s)
{
    const char *input = NULL;
    const char *class = json_string_value(json_object_get(s->node, "class_type"));
    const tb_type *t = class ? tb_types_find(s->types, class) : NULL;
    const bool target = t && t->def->flags & TB_NODE_TARGET;
    const char *reader = target ? NULL : reader_of(s, &input);
    json_t *e = reader ? unsound_inside(s, reader, input)
                       : error(s, "exception_during_validation", "Exception when validating node",
                               s->err->message);
    json_t *info = json_object_get(e, "extra_info");
    json_object_set_new(info, "exception_type", json_string("ValueError"));
    json_object_set_new(info, "traceback", json_array());
    return e;
}

static json_t *of_input(const subject *s, const char *reason)
{
    if (strcmp(reason, "return_type_mismatch") == 0)
        return mismatch(s);
    if (strcmp(reason, "invalid_input_type") == 0)
        return wrong_type(s);
    if (strcmp(reason, "value_smaller_than_min") == 0)
        return out_of_range(s, true);
    if (strcmp(reason, "value_bigger_than_max") == 0)
        return out_of_range(s, false);
    if (strcmp(reason, "value_not_in_list") == 0)
        return not_in_list(s);
    return unsound(s);
}

json_t *tbs_node_error(const tb_types *types, const json_t *graph, tbs_needs *needs,
                       const tb_err *err)
{
    subject s = { .err = err,
                  .node = json_object_get(graph, err->node),
                  .types = types,
                  .graph = graph,
                  .needs = needs };
    const char *class = json_string_value(json_object_get(s.node, "class_type"));
    const tb_type *t = class ? tb_types_find(types, class) : NULL;
    const int at = t && err->input[0] ? tb_type_input(t, err->input) : -1;
    const char *reason = err->reason ? err->reason : "";
    s.in = at >= 0 ? &t->def->inputs[at] : NULL;
    s.value = json_object_get(json_object_get(s.node, "inputs"), err->input);
    if (json_object_get(s.value, "__value__"))
        s.value = json_object_get(s.value, "__value__");
    if (strcmp(reason, "required_input_missing") == 0)
        return missing(&s);
    if (strcmp(reason, "bad_linked_input") == 0)
        return bad_link(&s);
    if (strcmp(reason, "custom_validation_failed") == 0)
        return refused(&s);
    if (strcmp(reason, "dependency_cycle") == 0)
        return cycle(&s);
    return s.in ? of_input(&s, reason) : unsound(&s);
}
