/* editor_lua.c - documents from Lua, to Lua, and out of any file. */
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/mem.h"
#include "formats/media.h"
#include "server/editor_internal.h"

enum { BODY_CAP = 64 << 20, MAX_TEXT = 64 << 20 };

/* ---------------------------------------------------------------------------------------- build */

/* What the parameters are: as given, else their defaults. */
static json_t *values_of(const json_t *params, const json_t *given)
{
    json_t *values = json_object(), *p;
    size_t i;
    json_array_foreach(params, i, p)
    {
        const char *name = json_string_value(json_object_get(p, "name"));
        json_t *v = json_object_get(given, name);
        v = v && !json_is_null(v) ? v : json_object_get(p, "default");
        json_object_set_new(values, name, v ? json_incref(v) : json_null());
    }
    return values;
}

/* Is it a parameter that has to be filled in first? */
static bool waits(const json_t *param, const json_t *values)
{
    const json_t *v = json_object_get(values, json_string_value(json_object_get(param, "name")));
    return json_is_true(json_object_get(param, "required")) && (!v || json_is_null(v));
}

/* A graph is shown before its texts and files are named: with empty ones, which its nodes refuse
 * when it is planned. New reference. */
static json_t *with_blanks(const json_t *params, const json_t *given)
{
    json_t *values = given ? json_deep_copy(given) : json_object(), *p;
    size_t i;
    json_array_foreach(params, i, p)
    {
        const char *type = json_string_value(json_object_get(p, "type"));
        if (type && strcmp(type, "STRING") == 0 && waits(p, values))
            json_object_set_new(values, json_string_value(json_object_get(p, "name")),
                                json_string(""));
    }
    return values;
}

/* Places are told below the graphs folder: the program is run elsewhere than the editor. */
static const char *below(const char *root, const char *path)
{
    const size_t n = strlen(root);
    return strncmp(path, root, n) == 0 && path[n] == '/' ? path + n + 1 : path;
}

static void place_nodes(const char *root, json_t *document)
{
    const char *id;
    json_t *node;
    json_object_foreach(json_object_get(document, "graph"), id, node)
    {
        json_t *meta = json_object_get(node, "_meta");
        const char *origin = json_string_value(json_object_get(meta, "origin"));
        if (origin)
            json_object_set_new(meta, "origin", json_string(below(root, origin)));
    }
}

/* A script's own files, too, in their order: a video that carries them says nothing of this
 * machine's folders. NULL for NULL; new reference. */
static json_t *placed_sources(const char *root, const json_t *sources)
{
    const char *main = json_string_value(json_object_get(sources, "main")), *name;
    json_t *files = json_object(), *text;
    json_object_foreach(json_object_get(sources, "files"), name, text)
        json_object_set(files, below(root, name), text);
    json_t *placed = main ? json_pack("{sssO}", "main", below(root, main), "files", files) : NULL;
    json_decref(files);
    return placed;
}

static void place_error(const char *root, tb_err *err)
{
    char origin[sizeof err->origin];
    memcpy(origin, below(root, err->origin), strlen(below(root, err->origin)) + 1);
    memcpy(err->origin, origin, sizeof origin);
}

/* The document, or NULL and what is wrong in `errors`. */
static json_t *build_document(const tbs_task *t, tb_script *s, const json_t *params,
                              json_t **errors)
{
    tb_err err = TB_ERR_INIT;
    json_t *document = tb_script_build(s, params, &err);
    if (document) {
        json_t *sources = tb_script_sources(s);
        json_t *placed = placed_sources(t->server->graphs_dir, sources);
        json_decref(sources);
        json_object_set_new(document, "script", placed ? placed : json_null());
        tbs_document_trim(document, t->types);
        place_nodes(t->server->graphs_dir, document);
        return document;
    }
    place_error(t->server->graphs_dir, &err);
    json_array_append_new(*errors, tbs_error_json(&err, NULL));
    return NULL;
}

static json_t *load(tb_script *s, const char *name, const char *text, bool modules, tb_err *err)
{
    return text ? tb_script_load_text(s, name, text, strlen(text), modules, err)
                : tb_script_load(s, name, err);
}

json_t *tbs_lua_build(const tbs_task *t, const char *name, const char *text, bool modules,
                      const json_t *params, tb_err *err)
{
    json_t *errors = json_array(), *document = NULL;
    tb_script *s = tb_script_start(err);
    json_t *answer = s ? load(s, name, text, modules, err) : NULL;
    if (answer) {
        const json_t *declared = json_object_get(answer, "params");
        json_t *values = with_blanks(declared, params);
        document = build_document(t, s, values, &errors);
        json_object_set_new(answer, "values", values_of(declared, params));
        json_decref(values);
        json_object_set_new(answer, "document", document ? document : json_null());
        json_object_set(answer, "errors", errors);
    } else {
        place_error(t->server->graphs_dir, err);
    }
    json_decref(errors);
    tb_script_stop(&s);
    return answer;
}

static void build(tbs_task *t)
{
    const json_t *path = tbs_field(t->in, "path", JSON_STRING, &t->err);
    const json_t *source = tbs_field(t->in, "source", JSON_STRING, &t->err);
    const json_t *params = tbs_field(t->in, "params", JSON_OBJECT, &t->err);
    const char *text = json_string_value(source);
    char *file = NULL;
    if (!path && !source)
        tb_err_set(&t->err, TB_EINVAL,
                   "the body must have 'path', a graph's file, or 'source', its text");
    if (t->err.status == TB_OK && path)
        file = tbs_path_below(t->server->graphs_dir, json_string_value(path), !text, &t->err);
    if (t->err.status == TB_OK)
        t->answer =
            tbs_lua_build(t, file ? file : "source.lua", text, file != NULL, params, &t->err);
    const json_t *errors = json_object_get(t->answer, "errors");
    if (json_array_size(errors) > 0) {
        t->errors = json_deep_copy(errors);
        tb_err_set(&t->err, TB_ESCRIPT, "%s",
                   json_string_value(json_object_get(json_array_get(errors, 0), "message")));
    }
    free(file);
}

void tbs_post_build(void *ctx, tb_request *q)
{
    tbs_task_run(q, tbs_task_new(sizeof(tbs_task), ctx, q, true, build));
}

/* -------------------------------------------------------------------------------------- to Lua */

char *tbs_document_to_lua(const tbs_task *t, const json_t *document, const char *doc, tb_err *err)
{
    const char *id;
    json_t *node;
    json_object_foreach(json_object_get(document, "graph"), id, node)
    {
        const char *type = json_string_value(json_object_get(node, "class_type"));
        if (!json_is_object(json_object_get(document, "script")) || !type ||
            tb_types_find(t->types, type))
            continue;
        tb_err_set(err, TB_EINVAL,
                   "'%s' is defined by the graph's own script, which a saved Lua file does not "
                   "have; save as .json, which keeps it",
                   type);
        tb_err_where(err, id, NULL, NULL);
        return NULL;
    }
    return tb_script_to_lua(document, doc, err);
}

static void to_lua(tbs_task *t)
{
    const json_t *document = tbs_document_of(t->in, &t->err);
    const json_t *doc = tbs_field(t->in, "doc", JSON_STRING, &t->err);
    char *source = t->err.status == TB_OK
                       ? tbs_document_to_lua(t, document, json_string_value(doc), &t->err)
                       : NULL;
    if (source)
        t->answer = json_pack("{ss}", "source", source);
    free(source);
}

void tbs_post_lua(void *ctx, tb_request *q)
{
    tbs_task_run(q, tbs_task_new(sizeof(tbs_task), ctx, q, true, to_lua));
}

/* ----------------------------------------------------------------------------------------- open */

typedef struct open_task {
    tbs_task t;
    char *name, *path; /* the client's name of it; the temporary file with its bytes */
} open_task;

typedef enum kind { OPEN_JSON, OPEN_LUA, OPEN_MEDIA } kind;

/* By content: a name may say anything. */
static kind kind_of(const char *data, size_t n)
{
    const size_t blank = strspn(data, " \t\r\n\xef\xbb\xbf");
    if (data[blank] == '{' && strlen(data) == n)
        return OPEN_JSON;
    json_t *text = strlen(data) == n ? json_stringn(data, n) : NULL;
    json_decref(text);
    return text ? OPEN_LUA : OPEN_MEDIA;
}

static json_t *open_json(const open_task *o, const char *text, size_t n, tb_err *err)
{
    const char *from = "";
    json_t *warnings = json_array(), *answer = NULL;
    json_t *j = tb_json_parse(text, n, o->name, err);
    json_t *document = j ? tbs_document_read(&o->t, j, o->name, &from, warnings, err) : NULL;
    if (document)
        answer = json_pack("{so ss sO}", "document", document, "from", from, "warnings", warnings);
    json_decref(warnings);
    json_decref(j);
    return answer;
}

static json_t *open_text(const open_task *o, const json_t *text, tb_err *err)
{
    return text ? open_json(o, json_string_value(text), json_string_length(text), err) : NULL;
}

static bool has_places(const json_t *answer)
{
    const char *id;
    json_t *node;
    json_object_foreach(json_object_get(json_object_get(answer, "document"), "graph"), id, node)
    {
        if (json_object_get(json_object_get(node, "_meta"), "pos"))
            return true;
    }
    return false;
}

/* The graph as it ran with our own places and groups; of a file by ComfyUI the drawing it carries,
 * where that can be read, for its graph has no places. */
static json_t *open_texts(const open_task *o, const json_t *texts, tb_err *err)
{
    tb_err ignored = TB_ERR_INIT;
    const json_t *prompt = json_object_get(texts, "prompt"), *view = json_object_get(texts, "view"),
                 *workflow = json_object_get(texts, "workflow");
    json_t *answer = open_text(o, prompt, err);
    json_t *drawn = prompt && has_places(answer)
                        ? NULL
                        : open_text(o, workflow, answer || prompt ? &ignored : err);
    if (drawn) {
        json_decref(answer);
        *err = (tb_err)TB_ERR_INIT;
        return drawn;
    }
    json_t *seen = answer && view ? tb_json_parse(json_string_value(view), json_string_length(view),
                                                  o->name, &ignored)
                                  : NULL;
    if (json_is_object(seen))
        json_object_set(json_object_get(answer, "document"), "view", seen);
    json_decref(seen);
    return answer;
}

static json_t *open_media(const open_task *o, tb_err *err)
{
    tb_media_info info = { .texts = tbs_file_metadata(o->path) };
    if (!info.texts && tb_media_probe(o->path, &info, err) != TB_OK)
        return NULL;
    json_t *answer = open_texts(o, info.texts, err);
    if (answer)
        json_object_set_new(answer, "from", json_string("media"));
    else
        tb_err_set(
            err, TB_ENOTFOUND,
            "%s carries no graph; only videos, pictures and latents made by tubelet or ComfyUI do",
            o->name);
    json_decref(info.texts);
    return answer;
}

static bool waits_for_values(const json_t *answer)
{
    const json_t *values = json_object_get(answer, "values"), *p;
    size_t i;
    json_array_foreach(json_object_get(answer, "params"), i, p)
    {
        if (waits(p, values))
            return true;
    }
    return false;
}

static json_t *open_lua(const open_task *o, const char *text, tb_err *err)
{
    json_t *answer = tbs_lua_build(&o->t, o->name, text, false, NULL, err);
    const json_t *first = json_array_get(json_object_get(answer, "errors"), 0);
    if (first && !waits_for_values(answer)) {
        tb_err_set(err, TB_ESCRIPT, "%s", json_string_value(json_object_get(first, "message")));
        tb_err_where(err, NULL, NULL, json_string_value(json_object_get(first, "origin")));
        json_decref(answer);
        return NULL;
    }
    if (answer) {
        json_object_set_new(answer, "from", json_string("lua"));
        json_object_set_new(answer, "source", json_string(text));
        json_object_set_new(answer, "warnings", json_array());
    }
    return answer;
}

/* Node types that are not known here, each once. */
static void warn_of_types(const tb_types *types, json_t *answer)
{
    json_t *seen = json_object(), *warnings = json_object_get(answer, "warnings"), *node;
    const json_t *document = json_object_get(answer, "document");
    const char *id;
    json_object_foreach(json_object_get(document, "graph"), id, node)
    {
        const char *type = json_string_value(json_object_get(node, "class_type"));
        if (!type || tb_types_find(types, type) || json_object_get(seen, type))
            continue;
        json_object_set_new(seen, type, json_true());
        const json_t *pack = json_object_get(json_object_get(node, "_meta"), "pack");
        const char *of = json_string_value(pack);
        char *text =
            tb_xasprintf("node '%s' is a '%s'%s%s%s, which tubelet does not have", id, type,
                         of ? " of the node pack '" : "", of ? of : "", of ? "'" : "");
        json_array_append_new(warnings, tbs_text_json(text));
        free(text);
    }
    json_decref(seen);
}

static void open_file(tbs_task *t)
{
    const open_task *o = (open_task *)t;
    char *data = NULL;
    size_t n = 0;
    kind k = OPEN_MEDIA;
    tb_err too_large = TB_ERR_INIT; /* then it is no text */
    if (tb_fs_read(o->path, MAX_TEXT, &data, &n, &too_large) == TB_OK)
        k = kind_of(data, n);
    if (n == 0 && data)
        tb_err_set(&t->err, TB_EFORMAT, "%s is empty", o->name);
    else
        t->answer = k == OPEN_JSON  ? open_json(o, data, n, &t->err)
                    : k == OPEN_LUA ? open_lua(o, data, &t->err)
                                    : open_media(o, &t->err);
    if (t->answer) {
        json_object_set_new(t->answer, "name", tbs_text_json(o->name));
        if (!json_object_get(json_object_get(t->answer, "document"), "script"))
            warn_of_types(t->types, t->answer);
    }
    free(data);
}

static void clear_open(tbs_task *t)
{
    open_task *o = (open_task *)t;
    free(o->name);
    free(o->path);
}

void tbs_post_open(void *ctx, tb_request *q)
{
    open_task *o = tbs_task_new(sizeof *o, ctx, q, false, open_file);
    const char *name = tb_request_query(q, "name"), *path = tb_request_file(q);
    o->name = tb_xstrdup(name && *name ? tb_fs_basename(name) : "the file");
    o->path = tb_xstrdup(path ? path : "");
    o->t.clear = clear_open;
    tbs_task_run(q, &o->t);
}
