/* view.c - positions, sizes and groups of an edited graph, to its Lua file and back. */
#include "script/view.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "script/lua_text.h"

#define MAX_DEPTH 32

bool tbi_view_field(const char *name)
{
    static const char *const drawn[] = { "pos",    "size",  "collapsed", "pinned",
                                         "colour", "seeds", "bends" };
    for (size_t i = 0; i < sizeof drawn / sizeof *drawn; i++)
        if (strcmp(name, drawn[i]) == 0)
            return true;
    return false;
}

json_t *tbi_view_of_meta(const json_t *meta)
{
    json_t *row = json_object(), *value;
    const char *name;
    json_object_foreach((json_t *)(uintptr_t)meta, name, value) if (tbi_view_field(name))
        json_object_set(row, name, value);
    if (json_object_size(row) > 0)
        return row;
    json_decref(row);
    return NULL;
}

/* ------------------------------------------------------------------------------------ writing */

/* A copy without empty objects, which Lua takes for lists; NULL when nothing is left. */
static json_t *without_empty(const json_t *v, int depth)
{
    const char *name;
    size_t i;
    json_t *item, *kept, *copy;
    if (depth > MAX_DEPTH || !(json_is_object(v) || json_is_array(v)))
        return json_incref((json_t *)(uintptr_t)v);
    copy = json_is_object(v) ? json_object() : json_array();
    json_object_foreach((json_t *)(uintptr_t)v, name,
                        item) if ((kept = without_empty(item, depth + 1)))
        json_object_set_new(copy, name, kept);
    json_array_foreach(v, i, item) if ((kept = without_empty(item, depth + 1)))
        json_array_append_new(copy, kept);
    if (!json_is_object(v) || json_object_size(copy) > 0)
        return copy;
    json_decref(copy);
    return NULL;
}

static tb_status put_row(tb_str *b, const char *name, const json_t *v, tb_err *err)
{
    tb_str_add(b, "      ");
    if (name)
        tbi_lua_key(b, name);
    TB_TRY(tbi_lua_plain(b, v, err));
    tb_str_add(b, ",\n");
    return TB_OK;
}

/* The entries of an object, one a line, in the order of its names or, for nodes, in its own. */
static tb_status put_rows(tb_str *b, const json_t *object, bool sorted, tb_err *err)
{
    size_t n, i = 0;
    tb_status st = TB_OK;
    const char **keys = tbi_sorted_keys(object, &n), *key;
    json_t *row;
    if (!sorted)
        json_object_foreach((json_t *)(uintptr_t)object, key, row) keys[i++] = key;
    for (i = 0; i < n && st == TB_OK; i++)
        st = put_row(b, keys[i], json_object_get(object, keys[i]), err);
    free(keys);
    return st;
}

/* A list or an object in lines; anything else behind its name. */
static tb_status put_section(tb_str *b, const char *name, const json_t *v, bool sorted, tb_err *err)
{
    json_t *plain = without_empty(v, 0), *item;
    tb_status st = TB_OK;
    size_t i;
    if (!plain || (json_is_array(plain) && json_array_size(plain) == 0)) {
        json_decref(plain);
        return TB_OK;
    }
    tb_str_add(b, "    ");
    tbi_lua_key(b, name);
    if (json_is_object(plain) || json_is_array(plain)) {
        tb_str_add(b, "{\n");
        st = put_rows(b, plain, sorted, err);
        json_array_foreach(plain, i, item) if (st == TB_OK) st = put_row(b, NULL, item, err);
        tb_str_add(b, "    }");
    } else {
        st = tbi_lua_plain(b, plain, err);
    }
    tb_str_add(b, ",\n");
    json_decref(plain);
    return st;
}

static tb_status put_sections(tb_str *b, const json_t *nodes, const json_t *view, tb_err *err)
{
    size_t n;
    tb_status st = put_section(b, "nodes", nodes, false, err);
    const char **keys = tbi_sorted_keys(view, &n);
    for (size_t i = 0; i < n && st == TB_OK; i++)
        if (strcmp(keys[i], "nodes") != 0)
            st = put_section(b, keys[i], json_object_get(view, keys[i]), true, err);
    free(keys);
    return st;
}

tb_status tbi_view_write(tb_str *b, const json_t *nodes, const json_t *view, tb_err *err)
{
    tb_str sections = TB_STR_INIT;
    const tb_status st = put_sections(&sections, nodes, view, err);
    if (st == TB_OK && sections.len) {
        tb_str_add(b, "  view = {\n");
        tb_str_addn(b, sections.s, sections.len);
        tb_str_add(b, "  },\n");
    }
    tb_str_free(&sections);
    return st;
}

/* ------------------------------------------------------------------------------------ reading */

static void apply_row(const json_t *row, json_t *node)
{
    json_t *meta = json_object_get(node, "_meta"), *value;
    const char *name;
    if (!meta)
        json_object_set_new(node, "_meta", meta = json_object());
    json_object_foreach((json_t *)(uintptr_t)row, name,
                        value) if (tbi_view_field(name) && !json_object_get(meta, name))
        json_object_set(meta, name, value);
}

void tbi_view_apply(const json_t *table, json_t *document)
{
    const json_t *graph = json_object_get(document, "graph");
    const char *id;
    json_t *row, *rest = json_copy((json_t *)(uintptr_t)table);
    json_object_foreach(json_object_get(table, "nodes"), id, row)
    {
        json_t *node = json_object_get(graph, id);
        if (node)
            apply_row(row, node);
    }
    json_object_del(rest, "nodes");
    if (json_object_size(rest) > 0)
        json_object_set(document, "view", rest);
    json_decref(rest);
}
