/* document.c - the graph in any JSON that carries one, as a document. */
#include "graph/document.h"

#include <stdbool.h>
#include <stdint.h>

static bool is_document(const json_t *j)
{
    const json_t *g = json_object_get(j, "graph");
    return json_is_object(g) && !json_is_string(json_object_get(g, "class_type"));
}

static tb_status check_graph(const json_t *graph, const char *what, tb_err *err)
{
    const char *id;
    json_t *node;
    json_object_foreach((json_t *)(uintptr_t)graph, id, node)
    {
        if (!json_is_string(json_object_get(node, "class_type")))
            return tb_err_set(
                err, TB_EFORMAT,
                "%s is no graph: '%s' has no \"class_type\"; a graph in API format is "
                "{\"id\": {\"class_type\": ..., \"inputs\": {...}}}",
                what, id);
    }
    if (!json_is_object(graph) || json_object_size(graph) == 0)
        return tb_err_set(err, TB_EFORMAT,
                          "%s holds no nodes; a graph in API format is an object of nodes by id",
                          what);
    return TB_OK;
}

json_t *tb_document_read(json_t *j, const char *what, const char **from, tb_err *err)
{
    json_t *graph = json_object_get(j, "prompt");
    if (from)
        *from = is_document(j) ? "document" : "api";
    if (is_document(j))
        return json_incref(j);
    if (!json_is_object(graph) || json_object_get(graph, "class_type"))
        graph = j;
    if (json_is_array(json_object_get(graph, "nodes"))) {
        tb_err_set(err, TB_EFORMAT,
                   "%s is a workflow as ComfyUI's editor keeps it; save it with 'Export (API)' and "
                   "open that file",
                   what);
        return NULL;
    }
    return check_graph(graph, what, err) == TB_OK ? json_pack("{sO}", "graph", graph) : NULL;
}
