/* comfy_validate.c - what nodes in Lua say against their literals (their `validate`), before a
 * prompt is taken.
 *
 * The functions are asked on a worker, in a child of their own: the library's may be busy with a
 * node for a minute.
 */
#include <string.h>

#include "base/mem.h"
#include "graph/program.h"
#include "server/comfy_internal.h"
#include "server/library.h"

static const tb_type *type_of(const tb_types *types, const json_t *node)
{
    const char *class = json_string_value(json_object_get(node, "class_type"));
    return class ? tb_types_find(types, class) : NULL;
}

bool tbs_wants_validation(const tb_types *types, const json_t *graph)
{
    const char *id;
    json_t *node;
    json_object_foreach((json_t *)(uintptr_t)graph, id, node)
    {
        const tb_type *t = type_of(types, node);
        if (t && t->hooks & TB_HOOK_VALIDATE)
            return true;
    }
    return false;
}

static tb_value *literal_of(const tb_input_def *in, const json_t *given)
{
    const json_t *wrapped = json_object_get(given, "__value__");
    if (!given || tb_json_is_link(given) || (json_is_array(given) && !wrapped))
        return NULL;
    tb_value *v = tb_value_from_json(wrapped ? wrapped : given, NULL, NULL, NULL);
    /* what cannot be converted is told by the check of the graph */
    tb_value *converted = v ? tb_input_convert(in, v, true, NULL) : NULL;
    tb_value_unref(&v);
    return converted;
}

/* The literals that were given, as the node would get them. */
static tb_value *literals_of(const tb_type *t, const json_t *node)
{
    const json_t *inputs = json_object_get(node, "inputs");
    tb_value *record = tb_value_record();
    for (int i = 0; i < t->input_count; i++) {
        const tb_input_def *in = &t->def->inputs[i];
        tb_value *v = literal_of(in, json_object_get(inputs, in->name));
        if (v)
            tb_record_set_take(record, in->name, v);
    }
    return record;
}

static void refuse(json_t *list, const char *reason, const char *input, const char *message)
{
    json_array_append_new(list, json_pack("{ssssss}", "reason", reason, "input", input, "message",
                                          message ? message : ""));
}

static void ask_node(tb_script *script, const tb_type *t, const char *id, const json_t *node,
                     json_t *refused)
{
    tb_err err = TB_ERR_INIT;
    tb_value *given = literals_of(t, node);
    json_t *answer = tb_script_hook(script, "validate", t->def->name, given, NULL, &err);
    const json_t *message = json_object_get(answer, "message");
    const char *input = json_string_value(json_object_get(answer, "input"));
    json_t *list = json_array();
    if (!answer)
        refuse(list, "exception_during_validation", "", err.message);
    else if (message && input)
        refuse(list, "custom_validation_failed", input, json_string_value(message));
    for (int i = 0; message && !input && i < tb_record_count(given); i++)
        refuse(list, "custom_validation_failed", tb_record_name(given, i),
               json_string_value(message));
    if (message && json_array_size(list) == 0)
        refuse(list, "custom_validation_failed", "", json_string_value(message));
    if (json_array_size(list))
        json_object_set(refused, id, list);
    json_decref(list);
    json_decref(answer);
    tb_value_unref(&given);
}

json_t *tbs_validate(tb_server *s, const tb_types *types, const json_t *graph, tb_err *err)
{
    tb_script *script = tbs_library_validator(s, err);
    json_t *refused = script ? json_object() : NULL, *node;
    const char *id;
    json_object_foreach((json_t *)(uintptr_t)(script ? graph : NULL), id, node)
    {
        const tb_type *t = type_of(types, node);
        if (t && t->hooks & TB_HOOK_VALIDATE)
            ask_node(script, t, id, node, refused);
    }
    return refused;
}
