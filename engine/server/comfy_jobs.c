/* comfy_jobs.c - /api/jobs: prompts of any state in one list. 2.13. */
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

/* How many files, and the one to show: of the output folder before others. */
static void set_outputs(json_t *job, const tb_prompt *p)
{
    const char *node, *best_node = NULL;
    json_t *ui, *file, *best = NULL;
    size_t i;
    int count = 0;
    bool saved = false;
    json_object_foreach(p->ui, node, ui)
    {
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
    if (!best)
        return;
    json_t *shown = json_copy(best);
    json_object_set_new(shown, "nodeId", json_string(best_node));
    json_object_set_new(shown, "mediaType", json_string("images"));
    json_object_set_new(job, "preview_output", shown);
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

/* The first word of a list that is no status; NULL: all are. */
static bool statuses_are_known(const char *words)
{
    for (const char *p = words; p && *p;) {
        char word[24];
        const size_t k = strcspn(p, ",");
        bool known = false;
        snprintf(word, sizeof word, "%.*s", (int)(k < sizeof word ? k : sizeof word - 1), p);
        for (size_t i = 0; i < sizeof status_names / sizeof *status_names; i++)
            known |= strcmp(word, status_names[i]) == 0;
        if (!known)
            return false;
        p += k + (p[k] == ',');
    }
    return true;
}

static bool is_one_of(const char *s, const char *a, const char *b)
{
    return !s || strcmp(s, a) == 0 || strcmp(s, b) == 0;
}

/* What is wrong with the query; NULL: nothing. */
static const char *query_error(tb_request *q)
{
    const char *limit = tb_request_query(q, "limit"), *offset = tb_request_query(q, "offset");
    if (!statuses_are_known(tb_request_query(q, "status")))
        return "status must be of pending, in_progress, completed, failed, cancelled";
    if (!is_one_of(tb_request_query(q, "sort_by"), "created_at", "execution_duration"))
        return "sort_by must be created_at or execution_duration";
    if (!is_one_of(tb_request_query(q, "sort_order"), "asc", "desc"))
        return "sort_order must be asc or desc";
    if (limit && tb_request_query_int(q, "limit", -1) < 1)
        return "limit must be a positive integer";
    if (offset && tb_request_query_int(q, "offset", -1) < 0)
        return "offset must be a non-negative integer";
    return NULL;
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

static json_t *make_list(void *arg, tb_err *err)
{
    list *l = arg;
    json_t *j = add_past(l, err) == TB_OK ? answer(l) : NULL;
    json_decref(l->jobs);
    tb_map_free(&l->live);
    free(l->statuses);
    free(l->workflow);
    free(l);
    return j;
}

static char *query_text(tb_request *q, const char *name)
{
    const char *text = tb_request_query(q, name);
    return text ? tb_xstrdup(text) : NULL;
}

void tbs_get_jobs(void *ctx, tb_request *q)
{
    tb_server *s = ctx;
    const char *wrong = query_error(q), *by = tb_request_query(q, "sort_by"),
               *order = tb_request_query(q, "sort_order");
    if (wrong) {
        refuse(q, 400, wrong);
        return;
    }
    list *l = tb_xcalloc(1, sizeof *l);
    *l = (list){ .queue = s->queue,
                 .jobs = json_array(),
                 .live = tb_map_new(),
                 .statuses = query_text(q, "status"),
                 .workflow = query_text(q, "workflow_id"),
                 .duration = by && strcmp(by, "execution_duration") == 0,
                 .descending = !order || strcmp(order, "desc") == 0,
                 .limit = tb_request_query_int(q, "limit", -1),
                 .offset = tb_request_query_int(q, "offset", 0) };
    add_live(s, l);
    tb_reply_made(q, make_list, l);
}

/* ------------------------------------------------------------------------------- one, and ending
 */

void tbs_get_job(void *ctx, tb_request *q)
{
    tb_server *s = ctx;
    const char *id = tb_request_rest(q);
    const tb_prompt *live = tb_queue_find(s->queue, id);
    tb_prompt *past = live ? NULL : tb_queue_past(s->queue, id, NULL);
    if (live || past)
        tb_reply_json_take(q, 200, whole_job(live ? live : past));
    else
        refuse(q, 404, "Job not found");
    tb_prompt_free(&past);
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

/* /jobs/cancel with {"job_ids": [...]} */
static void cancel_many(tb_server *s, tb_request *q)
{
    json_t *body = tb_request_json(q), *id;
    const json_t *ids = json_object_get(body, "job_ids");
    json_t *invalid = json_array();
    bool any = false;
    size_t i;
    if (!body) {
        json_decref(invalid);
        return;
    }
    json_array_foreach(ids, i, id)
    {
        if (!json_is_string(id))
            json_array_append(invalid, id);
    }
    if (!json_is_array(ids) || json_array_size(invalid)) {
        json_t *e = json_pack("{ss}", "error", "job_ids must be a list of texts");
        if (json_array_size(invalid))
            json_object_set(e, "invalid_ids", invalid);
        tb_reply_json_take(q, 400, e);
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
