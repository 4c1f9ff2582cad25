/* comfy_bench.h - ComfyUI's routes on a free port, with nodes made for tests behind them. */
#pragma once

#include <stdatomic.h>

#include "node.h"
#include "server/server_internal.h"
#include "store_help.h"
#include "web_client.h"

/* --------------------------------------------------------------------------------------- nodes */

typedef struct num_params {
    int64_t value, ms;
    const char *fail;
} num_params;

static const tb_input_def num_in[] = {
    TB_IN_INT(num_params, value, 0, 0, 100000, "", "Handed on, plus one."),
    TB_IN_INT(num_params, ms, 0, 0, 60000, "ms", "How long it takes."),
    TB_IN_STRING(num_params, fail, "", 0, "Fails with this."),
    { 0 },
};
static const tb_output_def int_out[] = { { .name = "value", .type = "INT" }, { 0 } };

/* While it stands, a t_num that takes time stops half-way and waits. */
static atomic_bool held_half_way;

static tb_status num_run(tb_job *job, const void *vp, tb_err *err)
{
    const num_params *p = vp;
    if (*p->fail)
        return tb_err_set(err, TB_EINVAL, "%s", p->fail);
    for (int64_t i = 0; i < p->ms; i++) {
        TB_TRY(tb_job_check(job, err));
        usleep(1000);
        tb_job_progress(job, (double)(i + 1) / (double)p->ms);
        while (i == p->ms / 2 && held_half_way) {
            TB_TRY(tb_job_check(job, err));
            usleep(1000);
        }
    }
    tb_job_set_take(job, 0, tb_value_int(p->value + 1));
    return TB_OK;
}

typedef struct pick_params {
    const char *colour, *text;
    double scale;
    bool flag;
} pick_params;

static const tb_input_def pick_in[] = {
    TB_IN_COMBO(pick_params, colour, "RED", "RED|GREEN|BLUE", "Which."),
    TB_IN_STRING(pick_params, text, NULL, 0, "Said."),
    TB_IN_FLOAT(pick_params, scale, 0.5, 0, 1, "", "How much."),
    TB_IN_BOOL(pick_params, flag, 0, "Or not."),
    { 0 },
};
static const tb_output_def text_out[] = { { .name = "text", .type = "STRING" }, { 0 } };

static tb_status pick_run(tb_job *job, const void *vp, tb_err *err)
{
    const pick_params *p = vp;
    char text[200];
    (void)err;
    snprintf(text, sizeof text, "%s %s %g %d", p->colour, p->text, p->scale, p->flag);
    tb_job_set_take(job, 0, tb_value_string(text));
    return TB_OK;
}

typedef struct end_params {
    int64_t value;
    const char *path;
} end_params;

static const tb_input_def end_in[] = {
    TB_IN_INT(end_params, value, 0, 0, 1000000, "", "Written."),
    { .name = "path",
      .type = "STRING",
      .flags = TB_IN_UNKEYED,
      .offset = TB_FIELD(end_params, path, const char *),
      .s_default = "end.txt" },
    { 0 },
};

static tb_status end_run(tb_job *job, const void *vp, tb_err *err)
{
    const end_params *p = vp;
    (void)err;
    tb_job_set_take(job, 0, tb_value_int(p->value));
    return TB_OK;
}

static tb_status end_deliver(tb_job *job, const void *vp, tb_err *err)
{
    const end_params *p = vp;
    char text[40], *path = tb_job_target_path(job, p->path, err);
    if (!path)
        return err->status;
    snprintf(text, sizeof text, "%lld\n", (long long)tb_value_as_int(tb_job_output(job, 0)));
    const tb_status st = tb_fs_write(path, text, strlen(text), false, err);
    if (st == TB_OK)
        tb_job_delivered(job, path, tb_str_ends(path, ".mp4") ? "video" : "image");
    free(path);
    return st;
}

typedef struct show_params {
    const tb_value *image;
} show_params;

static const tb_input_def show_in[] = { TB_IN_PORT(show_params, image, "IMAGE", 0, "It."), { 0 } };

static tb_status show_run(tb_job *job, const void *vp, tb_err *err)
{
    (void)vp;
    (void)err;
    tb_job_set_take(job, 0, tb_value_int(0));
    return TB_OK;
}

#define BENCH_NODE(n, fl, ins, outs, fn)                          \
    .abi = TB_NODE_ABI, .version = 1, .name = (n), .flags = (fl), \
    .params_size = sizeof(ins##_params), .inputs = ins##_in, .outputs = (outs), .run = (fn)

static const tb_node_def num_def = { BENCH_NODE("t_num", TB_NODE_KEEP, num, int_out, num_run) };
static const tb_node_def add_def = { BENCH_NODE("t_inline", TB_NODE_INLINE, num, int_out,
                                                num_run) };
static const tb_node_def quick_def = { BENCH_NODE("t_quick", 0, num, int_out, num_run) };
static const tb_node_def pick_def = { BENCH_NODE("t_pick", TB_NODE_KEEP, pick, text_out,
                                                 pick_run) };
static const tb_node_def end_def = { BENCH_NODE("t_end", TB_NODE_KEEP | TB_NODE_TARGET, end,
                                                int_out, end_run),
                                     .deliver = end_deliver };
static const tb_node_def show_def = { BENCH_NODE("t_show", TB_NODE_TARGET, show, int_out,
                                                 show_run) };
static const tb_node_def *const bench_nodes[] = { &num_def, &quick_def, &add_def, &pick_def,
                                                  &end_def, &show_def,  NULL };

/* -------------------------------------------------------------------------------------- server */

typedef struct bench {
    tb_store *store;
    tb_engine *engine;
    tb_server *server;
    char *dir;
    loop_thread thread;
    int port;
} bench;

/* Takes dir. */
static void bench_start(bench *b, char *dir)
{
    tb_err err = TB_ERR_INIT;
    char *store = tb_fs_join(dir, "store");
    *b = (bench){ .dir = dir, .store = st_open(store) };
    b->engine = tb_engine_new(&(tb_engine_options){ .store = b->store,
                                                    .threads = 1,
                                                    .memory_cache = (size_t)1 << 20,
                                                    .nodes = bench_nodes },
                              &err);
    REQUIRE(b->engine);
    b->server = tb_server_start(b->engine, &(tb_server_options){ .base_dir = dir }, &err);
    if (!b->server)
        fprintf(stderr, "%s\n", err.message);
    REQUIRE(b->server);
    b->port = tb_web_port(b->server->web);
    loop_start(&b->thread, tb_engine_loop(b->engine));
    free(store);
}

static void bench_close_here(void *arg)
{
    bench *b = arg;
    tb_server_stop(&b->server);
}

static void bench_stop(bench *b)
{
    loop_call(&b->thread, bench_close_here, b);
    loop_stop(&b->thread);
    tb_engine_free(&b->engine);
    tb_store_close(&b->store);
}

static void bench_end(bench *b)
{
    bench_stop(b);
    st_remove(b->dir);
    free(b->dir);
}

/* -------------------------------------------------------------------------------------- asking */

/* Single quotes become double ones. Freed by free(). */
static inline char *quoted(const char *text)
{
    char *s = tb_xstrdup(text);
    for (char *c = s; *c; c++)
        *c = *c == '\'' ? '"' : *c;
    return s;
}

static inline json_t *json_of(const char *text)
{
    char *s = quoted(text);
    json_t *j = json_loads(s, JSON_DECODE_ANY, NULL);
    if (!j)
        fprintf(stderr, "no JSON: %s\n", s);
    REQUIRE(j);
    free(s);
    return j;
}

/* The JSON of an answer; new reference. body: with single quotes, or NULL. */
static inline json_t *ask(client *c, int status, const char *method, const char *path,
                          const char *body)
{
    char *sent = body ? quoted(body) : NULL;
    const int got = client_call(c, method, path, sent);
    if (got != status)
        fprintf(stderr, "%s %s: %s\n", method, path, c->body.s ? c->body.s : "");
    CHECK_INT(got, status);
    json_t *j = tb_json_parse(c->body.s ? c->body.s : "", c->body.len, "the answer", NULL);
    free(sent);
    return j ? j : json_null();
}

/* The text at a path like "error.type" or "a.0.b" of a value. */
static inline const char *at(json_t *j, const char *path)
{
    static char text[2000];
    char part[100];
    for (const char *p = path; j && *p;) {
        const size_t n = strcspn(p, ".");
        snprintf(part, sizeof part, "%.*s", (int)n, p);
        j = json_is_array(j) ? json_array_get(j, strtoul(part, NULL, 10))
                             : json_object_get(j, part);
        p += n + (p[n] == '.');
    }
    char *s = j ? json_dumps(j, JSON_ENCODE_ANY | JSON_COMPACT) : tb_xstrdup("(none)");
    snprintf(text, sizeof text, "%s", json_is_string(j) ? json_string_value(j) : s);
    free(s);
    return text;
}

/* Waits until history has the prompt; its entry. New reference. */
static inline json_t *history_of(client *c, const char *id)
{
    char path[200];
    snprintf(path, sizeof path, "/history/%s", id);
    for (int i = 0; i < 6000; i++) {
        json_t *all = ask(c, 200, "GET", path, NULL);
        json_t *entry = json_incref(json_object_get(all, id));
        json_decref(all);
        if (entry)
            return entry;
        usleep(10000);
    }
    REQUIRE(!"the prompt ended");
    return NULL;
}
