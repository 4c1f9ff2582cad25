/* editor_results.c - what the store keeps: listing, pictures of it, its files, pins and eviction.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "server/editor_internal.h"
#include "server/preview.h"

static const char forever[] = "private, max-age=31536000, immutable";

static tb_store *store_of(tbs_task *t)
{
    tb_store *store = tb_engine_store(t->server->engine);
    if (!store)
        tb_err_set(&t->err, TB_ENOTFOUND, "the server was started without a store");
    return store;
}

static json_t *result_json(const tb_result_info *r)
{
    char hex[TB_KEY_HEX];
    return json_pack("{ss ss sI sf sI sI sb}", "key", tb_key_hex(&r->key, hex), "type", r->type,
                     "bytes", (json_int_t)r->bytes, "cost_ms", r->cost_ms, "created_ms",
                     (json_int_t)r->created_ms, "used_ms", (json_int_t)r->used_ms, "pinned",
                     (int)r->pinned);
}

/* ---------------------------------------------------------------------------------------- list */

typedef struct list_task {
    tbs_task t;
    char order[16];
    int64_t limit;
} list_task;

static void list(tbs_task *t)
{
    const list_task *l = (list_task *)t;
    tb_store *store = store_of(t);
    tb_store_stats st = { 0 };
    tb_result_info *found = NULL;
    int count = 0;
    if (!store || tb_store_list(store, l->order, (int)l->limit, &found, &count, &t->err) != TB_OK)
        return;
    json_t *results = json_array();
    for (int i = 0; i < count; i++)
        json_array_append_new(results, result_json(&found[i]));
    free(found);
    if (tb_store_stat(store, &st, &t->err) == TB_OK)
        t->answer = json_pack("{sO s{sI sI sI sI sI}}", "results", results, "stats", "results",
                              (json_int_t)st.results, "blobs", (json_int_t)st.blobs, "bytes",
                              (json_int_t)st.bytes, "cap_bytes", (json_int_t)st.cap_bytes, "pinned",
                              (json_int_t)st.pinned);
    json_decref(results);
}

void tbs_get_results(void *ctx, tb_request *q)
{
    list_task *l = tbs_task_new(sizeof *l, ctx, q, false, list);
    const char *order = tb_request_query(q, "order");
    snprintf(l->order, sizeof l->order, "%s", order && *order ? order : "used");
    l->limit = tb_request_query_int(q, "limit", 100);
    if (l->limit < 1 || l->limit > 10000)
        tb_err_set(&l->t.err, TB_EINVAL, "limit must be 1..10000, got %lld", (long long)l->limit);
    tbs_task_run(q, &l->t);
}

/* ----------------------------------------------------------------------------------------- one */

typedef struct result_task {
    tbs_task t;
    char hex[TB_KEY_HEX];
    tb_key key;
    tb_value **outputs; /* once loaded */
    int count;
    /* /preview */
    tb_preview_options preview;
    char format[8];
    tb_tensor *picture;
    /* /file */
    int64_t output, index;
    char *name;
    int fd;
} result_task;

static void drop_outputs(result_task *r)
{
    for (int i = 0; i < r->count; i++)
        tb_value_unref(&r->outputs[i]);
    free(r->outputs);
    r->outputs = NULL;
    r->count = 0;
}

static void clear_result(tbs_task *t)
{
    result_task *r = (result_task *)t;
    drop_outputs(r);
    tb_tensor_unref(&r->picture);
    free(r->name);
    if (r->fd >= 0)
        close(r->fd);
}

/* The key is what stands before the first slash. */
static result_task *new_result(tb_server *s, tb_request *q, bool body, void (*work)(tbs_task *t))
{
    result_task *r = tbs_task_new(sizeof *r, s, q, body, work);
    const char *rest = tb_request_rest(q);
    const size_t n = strcspn(rest, "/");
    r->fd = -1;
    r->t.clear = clear_result;
    if (n == TB_KEY_HEX - 1)
        memcpy(r->hex, rest, n);
    if (!tb_key_parse(&r->key, r->hex))
        tb_err_set(&r->t.err, TB_EINVAL, "a key has %d hexadecimal digits, got '%.80s'",
                   TB_KEY_HEX - 1, rest);
    return r;
}

static tb_store *find(result_task *r, tb_result_info *info)
{
    tb_store *store = store_of(&r->t);
    if (!store || tb_store_has(store, &r->key, info))
        return store;
    tb_err_set(&r->t.err, TB_ENOTFOUND, "there is no result %.12s in the store; it was evicted",
               r->hex);
    return NULL;
}

static bool load(result_task *r)
{
    tb_store *store = find(r, NULL);
    return store && tb_store_get(store, &r->key, &r->outputs, &r->count, &r->t.err) == TB_OK;
}

static const char *kind_name(const tb_value *v)
{
    if (!v)
        return "none";
    switch (tb_value_kind(v)) {
    case TB_NONE: return "none";
    case TB_BOOLEAN: return "boolean";
    case TB_INT: return "int";
    case TB_FLOAT: return "float";
    case TB_STRING: return "string";
    case TB_TENSOR: return "tensor";
    case TB_RECORD: return tb_record_tensor(v, "bytes") ? "file" : "record";
    case TB_LIST: return "list";
    }
    return "none";
}

/* The tensor people mean when they ask for the shape. */
static const tb_tensor *main_tensor(const tb_value *v)
{
    static const char *const fields[] = { "samples", "images", "text", "bytes" };
    if (v && tb_value_kind(v) == TB_TENSOR)
        return tb_value_as_tensor(v);
    for (size_t i = 0; v && i < sizeof fields / sizeof *fields; i++)
        if (tb_record_tensor(v, fields[i]))
            return tb_record_tensor(v, fields[i]);
    return NULL;
}

static void put_value(json_t *o, const tb_value *v)
{
    char shape[128];
    const tb_tensor *x = main_tensor(v);
    const tb_value *name = v ? tb_record_get(v, "name") : NULL;
    if (x) {
        json_object_set_new(o, "shape",
                            json_string(tb_shape_text(tb_tensor_shape(x), shape, sizeof shape)));
        json_object_set_new(o, "dtype", json_string(tb_dtype_name(tb_tensor_dtype(x))));
    } else if (v && tb_value_kind(v) != TB_RECORD && tb_value_kind(v) != TB_LIST) {
        json_t *j = tb_value_to_json(v, NULL, NULL, NULL);
        char *text = json_is_string(j) ? tb_xstrdup(json_string_value(j)) : tb_json_canonical(j);
        json_object_set_new(o, "text", tbs_text_json(text ? text : ""));
        free(text);
        json_decref(j);
    }
    if (name && tb_value_kind(name) == TB_STRING)
        json_object_set_new(o, "filename", tbs_text_json(tb_value_as_string(name)));
}

static json_t *output_json(const tb_type *type, int slot, const tb_value *list)
{
    const tb_output_def *def = type && slot < type->output_count ? &type->def->outputs[slot] : NULL;
    const int n = tb_list_count(list);
    const tb_value *v = list;
    while (v && tb_value_kind(v) == TB_LIST)
        v = tb_list_count(v) > 0 ? tb_list_at(v, tb_list_count(v) - 1) : NULL;
    json_t *o =
        json_pack("{ss ss ss si sI}", "name", def ? def->name : "", "type", def ? def->type : "*",
                  "kind", kind_name(v), "elements", n, "bytes", (json_int_t)tb_value_bytes(list));
    put_value(o, v);
    return o;
}

static void show(tbs_task *t)
{
    result_task *r = (result_task *)t;
    tb_result_info info;
    if (!find(r, &info) || !load(r))
        return;
    json_t *list = json_array();
    for (int i = 0; i < r->count; i++)
        json_array_append_new(list,
                              output_json(tb_types_find(t->types, info.type), i, r->outputs[i]));
    t->answer = result_json(&info);
    json_object_set_new(t->answer, "outputs", list);
    json_object_set_new(t->answer, "frames", json_integer(tb_preview_frames(r->outputs, r->count)));
    json_object_set_new(t->answer, "viewable",
                        json_boolean(tb_preview_possible(r->outputs, r->count)));
}

/* ------------------------------------------------------------------------------------- preview */

static void encode(tbs_task *t)
{
    result_task *r = (result_task *)t;
    if (!load(r))
        return;
    r->picture = tb_preview_encode(r->outputs, r->count, &r->preview, &t->err);
    drop_outputs(r);
}

static void reply_picture(tb_request *q, tbs_task *t)
{
    const result_task *r = (result_task *)t;
    const tb_preview_options *o = &r->preview;
    char mime[20], etag[TB_KEY_HEX + 96];
    snprintf(mime, sizeof mime, "image/%s", strcmp(r->format, "jpg") == 0 ? "jpeg" : r->format);
    snprintf(etag, sizeof etag, "%s-%lld-%dx%d-%d-%d-%s", r->hex, (long long)o->frame, o->columns,
             o->rows, o->max_side, o->min_side, r->format);
    tb_reply_header(q, "Cache-Control", forever);
    tb_reply_bytes(q, mime, etag, tb_tensor_data(r->picture), tb_tensor_bytes(r->picture));
}

static bool is_one_of(const char *word, const char *const *words)
{
    while (*words && strcmp(*words, word) != 0)
        words++;
    return *words != NULL;
}

/* A number of the query, 0 without it. */
static int number_of(result_task *r, tb_request *q, const char *name, int most, const char *unit)
{
    const int64_t n = tb_request_query_int(q, name, 0);
    if (n >= 0 && n <= most)
        return (int)n;
    tb_err_set(&r->t.err, TB_EINVAL, "%s must be 0..%d%s, got %lld", name, most, unit,
               (long long)n);
    return 0;
}

static void check_preview(result_task *r)
{
    static const char *const formats[] = { "jpg", "png", "webp", "gif", NULL };
    const tb_preview_options *o = &r->preview;
    tb_err *err = &r->t.err;
    if (!is_one_of(r->format, formats))
        tb_err_set(err, TB_EINVAL, "format must be jpg, png, webp or gif, got '%.20s'", r->format);
    else if (o->frame < -2)
        tb_err_set(err, TB_EINVAL, "frame must be -2 (all), -1 (the middle) or an index");
    else if (o->frame == -2 && !o->columns && !is_one_of(r->format, formats + 2))
        tb_err_set(err, TB_EINVAL, "all frames (frame=-2) come as webp or gif only");
}

static void get_preview(tb_server *s, tb_request *q)
{
    result_task *r = new_result(s, q, false, encode);
    const char *format = tb_request_query(q, "format");
    r->preview = (tb_preview_options){
        .frame = tb_request_query_int(q, "frame", -1),
        .columns = number_of(r, q, "columns", 64, ""),
        .rows = number_of(r, q, "rows", 64, ""),
        .max_side = number_of(r, q, "size", 4096, " pixels"),
        .min_side = number_of(r, q, "enlarge", 4096, " pixels"),
    };
    snprintf(r->format, sizeof r->format, "%s",
             format && *format        ? format
             : r->preview.frame == -2 ? "webp"
                                      : "jpg");
    r->preview.format = r->format;
    r->t.reply = reply_picture;
    check_preview(r);
    tbs_task_run(q, &r->t);
}

/* ---------------------------------------------------------------------------------------- file */

/* FILEs of an output: its elements, or what is in them when a node gives several at once. */
static const tb_value *file_in(const tb_value *v, int64_t *index)
{
    for (int i = 0; i < tb_list_count(v); i++) {
        const tb_value *item = tb_list_at(v, i);
        const tb_value *file = tb_value_kind(item) == TB_LIST ? file_in(item, index)
                               : tb_record_tensor(item, "bytes") && (*index)-- == 0 ? item
                                                                                    : NULL;
        if (file)
            return file;
    }
    return NULL;
}

static const tb_value *file_at(const result_task *r)
{
    int64_t index = r->index;
    const bool there = r->output >= 0 && r->output < r->count && index >= 0;
    return there ? file_in(r->outputs[r->output], &index) : NULL;
}

/* The bytes in a file without a name, from which any range is sent without holding up the loop. */
static int spill(const char *dir, const tb_tensor *bytes, tb_err *err)
{
    const char *p = tb_tensor_data(bytes);
    size_t left = tb_tensor_bytes(bytes);
    const int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0) {
        tb_err_errno(err, errno, "cannot make a temporary file in '%s'", dir);
        return -1;
    }
    while (left) {
        const ssize_t n = write(fd, p, left);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            tb_err_errno(err, errno, "cannot write a temporary file in '%s'", dir);
            close(fd);
            return -1;
        }
        p += n;
        left -= (size_t)n;
    }
    return fd;
}

static void read_file(tbs_task *t)
{
    result_task *r = (result_task *)t;
    if (!load(r))
        return;
    const tb_value *v = file_at(r);
    const tb_value *name = v ? tb_record_get(v, "name") : NULL;
    if (v) {
        r->name = tb_xstrdup(name && tb_value_kind(name) == TB_STRING ? tb_value_as_string(name)
                                                                      : "result");
        r->fd = spill(t->server->temp_dir, tb_record_tensor(v, "bytes"), &t->err);
    } else {
        tb_err_set(&t->err, TB_ENOTFOUND, "the result has no file at output %lld, index %lld",
                   (long long)r->output, (long long)r->index);
    }
    drop_outputs(r);
}

static void reply_file(tb_request *q, tbs_task *t)
{
    result_task *r = (result_task *)t;
    char etag[TB_KEY_HEX + 48];
    snprintf(etag, sizeof etag, "\"%s-%lld-%lld\"", r->hex, (long long)r->output,
             (long long)r->index);
    tb_reply_header(q, "Cache-Control", forever);
    tb_reply_fd_take(q, r->fd, etag, r->name);
    r->fd = -1;
}

static void get_file(tb_server *s, tb_request *q)
{
    result_task *r = new_result(s, q, false, read_file);
    r->output = tb_request_query_int(q, "output", 0);
    r->index = tb_request_query_int(q, "index", 0);
    r->t.reply = reply_file;
    tbs_task_run(q, &r->t);
}

/* --------------------------------------------------------------------------- routes with a key */

static void no_such_route(tb_request *q)
{
    tb_err err = TB_ERR_INIT;
    tb_err_set(&err, TB_ENOTFOUND, "there is no %s %s", tb_request_method(q), tb_request_path(q));
    tb_reply_error(q, &err);
}

void tbs_get_result(void *ctx, tb_request *q)
{
    const char *slash = strchr(tb_request_rest(q), '/');
    if (!slash)
        tbs_task_run(q, &new_result(ctx, q, false, show)->t);
    else if (strcmp(slash, "/preview") == 0)
        get_preview(ctx, q);
    else if (strcmp(slash, "/file") == 0)
        get_file(ctx, q);
    else
        no_such_route(q);
}

static void pin(tbs_task *t)
{
    result_task *r = (result_task *)t;
    const json_t *pinned = tbs_field(t->in, "pinned", JSON_TRUE, &t->err);
    if (!pinned)
        tb_err_set(&t->err, TB_EINVAL, "the body must say {\"pinned\": true} or false");
    tb_store *store = t->err.status == TB_OK ? find(r, NULL) : NULL;
    if (store && tb_store_pin(store, &r->key, json_is_true(pinned), &t->err) == TB_OK)
        t->answer = json_pack("{sb}", "pinned", json_is_true(pinned));
}

void tbs_post_result(void *ctx, tb_request *q)
{
    const char *slash = strchr(tb_request_rest(q), '/');
    if (slash && strcmp(slash, "/pin") == 0)
        tbs_task_run(q, &new_result(ctx, q, true, pin)->t);
    else
        no_such_route(q);
}

static void drop(tbs_task *t)
{
    result_task *r = (result_task *)t;
    tb_store *store = find(r, NULL);
    if (store)
        tb_store_drop(store, &r->key, &t->err);
}

void tbs_delete_result(void *ctx, tb_request *q)
{
    tbs_task_run(q, &new_result(ctx, q, false, drop)->t);
}

static void gc(tbs_task *t)
{
    const json_t *bytes = tbs_field(t->in, "bytes", JSON_INTEGER, &t->err);
    tb_store *store = store_of(t);
    uint64_t freed = 0;
    if (json_integer_value(bytes) < 0)
        tb_err_set(&t->err, TB_EINVAL, "bytes must be 0 or more");
    if (t->err.status != TB_OK)
        return;
    const uint64_t target = bytes ? (uint64_t)json_integer_value(bytes) : UINT64_MAX;
    if (tb_store_gc(store, target, &freed, &t->err) == TB_OK)
        t->answer = json_pack("{sI}", "freed", (json_int_t)freed);
}

void tbs_post_gc(void *ctx, tb_request *q)
{
    tbs_task_run(q, tbs_task_new(sizeof(tbs_task), ctx, q, true, gc));
}
