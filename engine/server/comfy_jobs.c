/* comfy_jobs.c - /api/jobs: prompts of any state in one list. 2.13. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"
#include "server/comfy_internal.h"
#include "server/comfy_routes.h"

static const char *const status_names[] = {
    [TB_PROMPT_PENDING] = "pending",    [TB_PROMPT_RUNNING] = "in_progress",
    [TB_PROMPT_DONE] = "completed",     [TB_PROMPT_FAILED] = "failed",
    [TB_PROMPT_CANCELED] = "cancelled",
};

static void refuse(tb_request *q, int status, const char *text)
{
    tb_reply_json_take(q, status, json_pack("{ss}", "error", text));
}

/* ----------------------------------------------------------------------------------------- a job
 */

static void set_time(json_t *job, const char *name, int64_t ms)
{
    if (ms)
        json_object_set_new(job, name, json_integer(ms));
}

/* A text of an output node, cut for a list. New reference. */
static json_t *shown_text(const json_t *text)
{
    enum { MOST = 1024 }; /* characters */
    const char *s = json_string_value(text), *end = s;
    for (int n = 0; *end && n < MOST; n++)
        do
            end++;
        while ((*end & 0xc0) == 0x80);
    json_t *shown = json_pack("{so}", "content", json_stringn(s, (size_t)(end - s)));
    if (*end)
        json_object_set_new(shown, "truncated", json_true());
    return shown;
}

static void set_preview(json_t *job, json_t *shown_take, const char *node, const char *kind)
{
    json_object_set_new(shown_take, "nodeId", json_string(node));
    json_object_set_new(shown_take, "mediaType", json_string(kind));
    json_object_set_new(job, "preview_output", shown_take);
}

/* How many files, and the one to show: of the output folder before others; a text when there is
 * none. */
static void set_outputs(json_t *job, const tb_prompt *p)
{
    const char *node, *best_node = NULL, *text_node = NULL;
    json_t *ui, *file, *best = NULL;
    const json_t *text = NULL;
    size_t i;
    int count = 0;
    bool saved = false;
    json_object_foreach(p->ui, node, ui)
    {
        if (!text && json_is_string(json_array_get(json_object_get(ui, "text"), 0))) {
            text = json_array_get(json_object_get(ui, "text"), 0);
            text_node = node;
        }
        json_array_foreach(json_object_get(ui, "images"), i, file)
        {
            const char *type = json_string_value(json_object_get(file, "type"));
            const bool output = type && strcmp(type, "output") == 0;
            count++;
            if (best && (saved || !output))
                continue;
            best = file;
            best_node = node;
            saved = output;
        }
    }
    json_object_set_new(job, "outputs_count", json_integer(count));
    json_object_set_new(job, "previewable_outputs_count", json_integer(count));
    if (best)
        set_preview(job, json_copy(best), best_node, "images");
    else if (text)
        set_preview(job, shown_text(text), text_node, "text");
}

static const json_t *workflow_id(const tb_prompt *p)
{
    const json_t *info = json_object_get(p->extra_data, "extra_pnginfo");
    return json_object_get(json_object_get(info, "workflow"), "id");
}

static json_t *job_of(const tb_prompt *p)
{
    json_t *job = json_pack("{ssss}", "id", p->id, "status", status_names[p->state]);
    json_t *last = json_array_get(p->messages, json_array_size(p->messages) - 1);
    json_object_set_new(job, "priority",
                        p->numbered ? json_real(p->number) : json_integer((json_int_t)p->number));
    set_time(job, "create_time", p->created_ms);
    set_time(job, "execution_start_time", p->started_ms);
    set_time(job, "execution_end_time", p->ended_ms);
    if (p->state == TB_PROMPT_FAILED && last)
        json_object_set(job, "execution_error", json_array_get(last, 1));
    set_outputs(job, p);
    if (workflow_id(p))
        json_object_set(job, "workflow_id", (json_t *)(uintptr_t)workflow_id(p));
    return job;
}

static json_t *whole_job(const tb_prompt *p)
{
    json_t *job = job_of(p);
    json_t *extra = p->extra_data ? json_incref(p->extra_data) : json_object();
    json_object_set_new(job, "workflow",
                        json_pack("{sOso}", "prompt", p->graph, "extra_data", extra));
    if (!p->ended_ms)
        return job;
    const bool done = p->state == TB_PROMPT_DONE;
    json_object_set(job, "outputs", p->ui);
    json_object_set_new(job, "execution_status",
                        json_pack("{sssbsO}", "status_str", done ? "success" : "error", "completed",
                                  done, "messages", p->messages));
    return job;
}

/* --------------------------------------------------------------------------------------- the list
 */

/* What of the list is asked for, and what was found. */
typedef struct list {
    tb_queue *queue;
    json_t *jobs;
    tb_map *live;              /* ids of those that have not ended */
    char *statuses, *workflow; /* NULL: all */
    bool duration, descending;
    int64_t limit, offset;
} list;

/* Is `word` one of a comma-separated list? */
static bool in_list(const char *words, const char *word)
{
    const size_t n = strlen(word);
    for (const char *p = words; *p;) {
        const size_t k = strcspn(p, ",");
        if (k == n && memcmp(p, word, n) == 0)
            return true;
        p += k + (p[k] == ',');
    }
    return false;
}

static void add(list *l, const tb_prompt *p)
{
    const char *id = json_string_value(workflow_id(p));
    if (l->statuses && !in_list(l->statuses, status_names[p->state]))
        return;
    if (l->workflow && (!id || strcmp(id, l->workflow) != 0))
        return;
    json_array_append_new(l->jobs, job_of(p));
}

static void add_one(list *l, const tb_prompt *p)
{
    tb_map_set(l->live, p->id, 1);
    add(l, p);
}

/* What runs and what waits. Loop. */
static void add_live(tb_server *s, list *l)
{
    const tb_prompt *p;
    for (int i = 0; (p = tb_queue_running(s->queue, i)); i++)
        add_one(l, p);
    for (int i = 0; (p = tb_queue_pending(s->queue, i)); i++)
        add_one(l, p);
}

/* What was; one may have ended since the loop looked. Worker. */
static tb_status add_past(list *l, tb_err *err)
{
    tb_prompt **past = NULL;
    int count = 0;
    TB_TRY(tb_queue_past_list(l->queue, -1, 0, &past, &count, err));
    for (int i = 0; i < count; i++)
        if (tb_map_get(l->live, past[i]->id) < 0)
            add(l, past[i]);
    tb_prompts_free(&past, count);
    return TB_OK;
}

static json_int_t time_of(const json_t *job, const char *name)
{
    return json_integer_value(json_object_get(job, name));
}

static json_int_t duration_of(const json_t *job)
{
    const json_int_t end = time_of(job, "execution_end_time");
    return end ? end - time_of(job, "execution_start_time") : 0;
}

static int by_creation(const void *a, const void *b)
{
    const json_int_t x = time_of(*(json_t *const *)a, "create_time"),
                     y = time_of(*(json_t *const *)b, "create_time");
    return (x > y) - (x < y);
}

static int by_duration(const void *a, const void *b)
{
    const json_int_t x = duration_of(*(json_t *const *)a), y = duration_of(*(json_t *const *)b);
    return (x > y) - (x < y);
}

/* The part asked for, sorted. New reference. */
static json_t *page_of(const json_t *jobs, bool duration, bool descending, int64_t offset,
                       int64_t limit)
{
    const int64_t n = (int64_t)json_array_size(jobs);
    const json_t **sorted = tb_xcalloc((size_t)n + 1, sizeof *sorted);
    json_t *page = json_array();
    for (int64_t i = 0; i < n; i++)
        sorted[i] = json_array_get(jobs, (size_t)i);
    qsort(sorted, (size_t)n, sizeof *sorted, duration ? by_duration : by_creation);
    for (int64_t i = offset; i < n && (limit < 0 || i < offset + limit); i++)
        json_array_append(page, (json_t *)(uintptr_t)sorted[descending ? n - 1 - i : i]);
    free(sorted);
    return page;
}

/* The words of a comma-separated list, trimmed and in small letters, that are no status, as "a, b".
 * New; NULL: all are. */
static char *unknown_statuses(const char *words)
{
    tb_str unknown = TB_STR_INIT;
    for (const char *p = words; p && *p;) {
        const size_t k = strcspn(p, ",");
        bool known = k == 0;
        for (size_t i = 0; i < sizeof status_names / sizeof *status_names; i++)
            known |= strlen(status_names[i]) == k && memcmp(status_names[i], p, k) == 0;
        if (!known)
            tb_str_addf(&unknown, "%s%.*s", unknown.len ? ", " : "", (int)k, p);
        p += k + (p[k] == ',');
    }
    return unknown.len ? tb_str_take(&unknown) : NULL;
}

/* A word of the query in small letters, without the spaces around the parts of a list. Owned; NULL:
 * it is not there, or empty. */
static char *query_word(tb_request *q, const char *name)
{
    const char *text = tb_request_query(q, name);
    tb_str word = TB_STR_INIT;
    for (const char *p = text; p && *p; p++) {
        const char small = (char)tolower((unsigned char)*p);
        const size_t blanks = strspn(p, " \t");
        const bool outer = blanks && (word.len == 0 || word.s[word.len - 1] == ',' ||
                                      p[blanks] == ',' || !p[blanks]);
        if (outer)
            p += blanks - 1;
        else
            tb_str_addn(&word, &small, 1);
    }
    return word.len ? tb_str_take(&word) : NULL;
}

static bool is_one_of(const char *s, const char *a, const char *b)
{
    return !s || strcmp(s, a) == 0 || strcmp(s, b) == 0;
}

/* Limit and offset; false: one is wrong, and the client has been told. */
static bool read_part(list *l, tb_request *q)
{
    const char *limit = tb_request_query(q, "limit"), *offset = tb_request_query(q, "offset");
    const char *wrong = NULL;
    if (limit && !tbs_query_integer(limit, &l->limit))
        wrong = "limit must be an integer";
    else if (limit && l->limit <= 0)
        wrong = "limit must be a positive integer";
    else if (offset && !tbs_query_integer(offset, &l->offset))
        wrong = "offset must be an integer";
    if (wrong)
        refuse(q, 400, wrong);
    l->offset = l->offset < 0 ? 0 : l->offset;
    return !wrong;
}

/* What is asked for; false: it is wrong, and the client has been told. */
static bool read_query(list *l, tb_request *q)
{
    char *by = query_word(q, "sort_by"), *order = query_word(q, "sort_order");
    char *unknown = unknown_statuses(l->statuses);
    bool sound = false;
    if (unknown) {
        char *text =
            tb_xasprintf("Invalid status value(s): %s. Valid values: pending, in_progress, "
                         "completed, failed, cancelled",
                         unknown);
        refuse(q, 400, text);
        free(text);
    } else if (!is_one_of(by, "created_at", "execution_duration")) {
        refuse(q, 400, "sort_by must be 'created_at' or 'execution_duration'");
    } else if (!is_one_of(order, "asc", "desc")) {
        refuse(q, 400, "sort_order must be 'asc' or 'desc'");
    } else {
        l->duration = by && strcmp(by, "execution_duration") == 0;
        l->descending = !order || strcmp(order, "desc") == 0;
        sound = read_part(l, q);
    }
    free(by);
    free(order);
    free(unknown);
    return sound;
}

static json_t *answer(const list *l)
{
    const int64_t total = (int64_t)json_array_size(l->jobs);
    json_t *page = page_of(l->jobs, l->duration, l->descending, l->offset, l->limit);
    const bool more = l->offset + (int64_t)json_array_size(page) < total;
    return json_pack("{sos{sIsosIsb}}", "jobs", page, "pagination", "offset", (json_int_t)l->offset,
                     "limit", l->limit < 0 ? json_null() : json_integer(l->limit), "total",
                     (json_int_t)total, "has_more", more);
}

static void free_list(list *l)
{
    json_decref(l->jobs);
    tb_map_free(&l->live);
    free(l->statuses);
    free(l->workflow);
    free(l);
}

static json_t *make_list(void *arg, tb_err *err)
{
    list *l = arg;
    json_t *j = add_past(l, err) == TB_OK ? answer(l) : NULL;
    free_list(l);
    return j;
}

void tbs_get_jobs(void *ctx, tb_request *q)
{
    tb_server *s = ctx;
    const char *workflow = tb_request_query(q, "workflow_id");
    list *l = tb_xcalloc(1, sizeof *l);
    *l = (list){ .queue = s->queue,
                 .jobs = json_array(),
                 .live = tb_map_new(),
                 .statuses = query_word(q, "status"),
                 .workflow = workflow && *workflow ? tb_xstrdup(workflow) : NULL,
                 .limit = -1 };
    if (!read_query(l, q)) {
        free_list(l);
        return;
    }
    add_live(s, l);
    tb_reply_made(q, make_list, l);
}

/* ------------------------------------------------------------------------------- one, and ending
 */

/* A live job is put together on the loop, a past one is read on a worker; written there, both. */
typedef struct one_job {
    tb_queue *queue;
    char *id;
    json_t *job; /* NULL: not live */
    char *text;  /* NULL: there is none */
} one_job;

static void write_job(void *arg)
{
    one_job *j = arg;
    tb_prompt *past = j->job ? NULL : tb_queue_past(j->queue, j->id, NULL);
    if (past)
        j->job = whole_job(past);
    j->text = j->job ? tb_json_long_ints_take(json_dumps(j->job, JSON_COMPACT)) : NULL;
    json_decref(j->job);
    tb_prompt_free(&past);
}

static void send_job(tb_request *q, void *arg)
{
    one_job *j = arg;
    if (j->text)
        tb_reply_json_text_take(q, j->text);
    else
        refuse(q, 404, "Job not found");
    free(j->id);
    free(j);
}

void tbs_get_job(void *ctx, tb_request *q)
{
    tb_server *s = ctx;
    one_job *j = tb_xcalloc(1, sizeof *j);
    const char *id = tb_request_rest(q);
    const tb_prompt *live = tb_queue_find(s->queue, id);
    *j = (one_job){ .queue = s->queue, .id = tb_xstrdup(id), .job = live ? whole_job(live) : NULL };
    tb_web_work(q, write_job, send_job, j);
}

static bool cancel(tb_server *s, const char *id)
{
    return tb_queue_remove(s->queue, id) || tb_queue_interrupt(s->queue, id);
}

/* /jobs/ID/cancel */
static void cancel_one(tb_server *s, tb_request *q, const char *rest)
{
    static const char tail[] = "/cancel";
    if (!tb_str_ends(rest, tail)) {
        refuse(q, 404, "Job not found");
        return;
    }
    char *id = tb_xstrndup(rest, strlen(rest) - strlen(tail));
    tb_reply_json_take(q, 200, json_pack("{sb}", "cancelled", cancel(s, id)));
    free(id);
}

/* Lowercase, with its hyphens. */
static bool is_uuid(const char *id)
{
    for (int i = 0; i < 36; i++) {
        const bool hyphen = i == 8 || i == 13 || i == 18 || i == 23;
        if (hyphen ? id[i] != '-' : !id[i] || !strchr("0123456789abcdef", id[i]))
            return false;
    }
    return !id[36];
}

/* Ids here may be any text: one that is no UUID has to be of a prompt there is. */
static bool is_job_id(const tb_server *s, const json_t *id)
{
    const char *text = json_string_value(id);
    if (!text || is_uuid(text) || tb_queue_find(s->queue, text))
        return text != NULL;
    tb_prompt *past = tb_queue_past(s->queue, text, NULL);
    const bool known = past != NULL;
    tb_prompt_free(&past);
    return known;
}

/* The ids that are none; [] when all are. New reference. */
static json_t *invalid_ids(const tb_server *s, const json_t *ids)
{
    json_t *invalid = json_array(), *id;
    size_t i;
    json_array_foreach(ids, i, id)
    {
        if (is_job_id(s, id))
            continue;
        char *text = json_is_string(id) ? tb_xstrdup(json_string_value(id))
                                        : json_dumps(id, JSON_ENCODE_ANY);
        json_array_append_new(invalid, json_string(text ? text : ""));
        free(text);
    }
    return invalid;
}

/* /jobs/cancel with {"job_ids": [...]} */
static void cancel_many(tb_server *s, tb_request *q)
{
    size_t n, i;
    const char *text = tb_request_body(q, &n);
    json_t *body = tb_json_parse(text, n, "the body", NULL), *id;
    const json_t *ids = json_object_get(body, "job_ids");
    json_t *invalid = invalid_ids(s, ids);
    bool any = false;
    if (!body) {
        refuse(q, 400, "Request body must be valid JSON");
    } else if (!json_is_array(ids)) {
        refuse(q, 400, "job_ids must be a list");
    } else if (json_array_size(invalid)) {
        tb_reply_json_take(
            q, 400,
            json_pack("{sssO}", "error", "job_ids contains invalid id(s)", "invalid_ids", invalid));
    } else {
        json_array_foreach(ids, i, id)
        {
            any |= cancel(s, json_string_value(id));
        }
        tb_reply_json_take(q, 200, json_pack("{sb}", "cancelled", any));
    }
    json_decref(invalid);
    json_decref(body);
}

void tbs_post_jobs(void *ctx, tb_request *q)
{
    const char *rest = tb_request_rest(q);
    if (strcmp(rest, "cancel") == 0)
        cancel_many(ctx, q);
    else
        cancel_one(ctx, q, rest);
}
