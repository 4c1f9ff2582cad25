/* editor_help.h - a real server on a free port, with an empty base folder and store, and JSON calls
 * to it.
 */
#pragma once

#include <dirent.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include "base/fs.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "server/server.h"
#include "web_client.h"

typedef struct serving {
    char dir[64];
    char *model; /* the bundled one, absolute */
    tb_engine *engine;
    tb_server *server;
    loop_thread loop;
    client c;
    int port;
} serving;

static inline void serving_open(serving *v)
{
    tb_err err = TB_ERR_INIT;
    char *store = tb_xasprintf("%s/store", v->dir);
    v->engine = tb_engine_new(&(tb_engine_options){ .store_path = store, .threads = 1 }, &err);
    REQUIRE(v->engine);
    v->server = tb_server_start(v->engine, &(tb_server_options){ .base_dir = v->dir }, &err);
    if (!v->server)
        fprintf(stderr, "%s\n", err.message);
    REQUIRE(v->server);
    v->port = atoi(strrchr(tb_server_url(v->server), ':') + 1);
    loop_start(&v->loop, tb_engine_loop(v->engine));
    REQUIRE(client_open(&v->c, v->port));
    free(store);
}

static inline void serving_close(serving *v)
{
    client_close(&v->c);
    loop_stop(&v->loop);
    tb_server_stop(&v->server);
    tb_engine_free(&v->engine);
}

static inline void serving_start(serving *v)
{
    *v = (serving){ .dir = "/tmp/tb_editor_XXXXXX", .model = realpath("examples/tiny", NULL) };
    REQUIRE(mkdtemp(v->dir) && v->model);
    setenv("TUBELET_MODEL", v->model, 1);
    char *graphs = tb_xasprintf("%s/graphs", v->dir);
    mkdir(graphs, 0755);
    free(graphs);
    serving_open(v);
}

static inline void remove_tree(const char *path)
{
    DIR *d = opendir(path);
    for (struct dirent *e; d && (e = readdir(d));) {
        struct stat st;
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        char *inside = tb_fs_join(path, e->d_name);
        if (lstat(inside, &st) == 0 && S_ISDIR(st.st_mode))
            remove_tree(inside);
        else
            unlink(inside);
        free(inside);
    }
    if (d)
        closedir(d);
    rmdir(path);
}

static inline void serving_stop(serving *v)
{
    serving_close(v);
    remove_tree(v->dir);
    free(v->model);
}

/* A file below the base folder. */
static inline void put_file(const serving *v, const char *name, const char *text)
{
    tb_err err = TB_ERR_INIT;
    char *path = tb_fs_join(v->dir, name);
    CHECK_OK(tb_fs_write(path, text, strlen(text), false, &err));
    free(path);
}

/* ---------------------------------------------------------------------------------------- calls */

/* Answers to what the server distrusts end the connection. */
static inline void reopen_if_over(serving *v)
{
    const char *connection = client_header(&v->c, "Connection");
    if (v->c.status && connection && strcasecmp(connection, "close") != 0)
        return;
    client_close(&v->c);
    REQUIRE(client_open(&v->c, v->port));
}

/* The answer's JSON, NULL when there is none; its status in v->c.status. body may be NULL. */
static inline json_t *call_text(serving *v, const char *method, const char *path, const char *body)
{
    char *whole = tb_xasprintf("/api/tubelet/%s", path);
    client_call(&v->c, method, whole, body);
    free(whole);
    json_t *answer =
        v->c.body.len ? json_loadb(v->c.body.s, v->c.body.len, JSON_DECODE_ANY, NULL) : NULL;
    const int status = v->c.status;
    reopen_if_over(v);
    v->c.status = status;
    return answer;
}

static inline json_t *call_take(serving *v, const char *method, const char *path, json_t *body)
{
    char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    json_t *answer = call_text(v, method, path, text);
    free(text);
    json_decref(body);
    return answer;
}

static inline json_t *get(serving *v, const char *path)
{
    return call_text(v, "GET", path, NULL);
}

/* A value inside: "runs.0.outputs.0.key". Borrowed; NULL: not there. */
static inline json_t *at(const json_t *j, const char *path)
{
    while (j && *path) {
        char name[200];
        const size_t n = strcspn(path, ".");
        snprintf(name, sizeof name, "%.*s", (int)n, path);
        j = json_is_array(j) ? json_array_get(j, strtoul(name, NULL, 10))
                             : json_object_get(j, name);
        path += n + (path[n] == '.');
    }
    return (json_t *)(uintptr_t)j;
}

static inline const char *text_at(const json_t *j, const char *path)
{
    const char *s = json_string_value(at(j, path));
    return s ? s : "";
}

static inline long long number_at(const json_t *j, const char *path)
{
    const json_t *v = at(j, path);
    return json_is_number(v) ? (long long)json_number_value(v) : -1;
}

static inline double real_at(const json_t *j, const char *path)
{
    return json_number_value(at(j, path));
}

#define CHECK_STATUS(v, want)                                                            \
    do {                                                                                 \
        if ((v)->c.status != (want)) {                                                   \
            fprintf(stderr, "%s:%d: status %d, wanted %d: %.300s\n", __FILE__, __LINE__, \
                    (v)->c.status, (want), (v)->c.body.s ? (v)->c.body.s : "");          \
            tb_test_failures++;                                                          \
        }                                                                                \
    } while (0)

/* A call that is refused with this status, code and sentence. */
#define CHECK_REFUSED(v, method, path, body, want_status, code, message) \
    do {                                                                 \
        json_t *refused_ = call_text((v), (method), (path), (body));     \
        CHECK_STATUS((v), (want_status));                                \
        CHECK_STR(text_at(refused_, "error.code"), (code));              \
        CHECK_STR(text_at(refused_, "error.message"), (message));        \
        json_decref(refused_);                                           \
    } while (0)

/* ------------------------------------------------------------------------------------ documents */

/* A picture of 32x32 from so many steps. */
static inline json_t *sampling(const serving *v, const char *prompt, int steps, const char *out)
{
    json_t *graph = json_pack(
        "{s{sss{ss}} s{sss{s[si]siss si}} s{sss{s[si]ss}} s{sss{s[si]s[si]s[si]sisf}s{s[ii]ss}}"
        " s{sss{s[si]s[si]}} s{sss{s[si]ss}}}",
        "m", "class_type", "load_model", "inputs", "path", v->model, /* m */
        "x", "class_type", "noise_init", "inputs", "model", "m", 0, "seed", 3, "size", "32x32",
        "frames", 1,                                                                /* x */
        "p", "class_type", "text_encode", "inputs", "clip", "m", 1, "text", prompt, /* p */
        "s", "class_type", "sample", "inputs", "model", "m", 0, "latent", "x", 0, "positive", "p",
        0, "steps", steps, "cfg", 1.0, "_meta", "pos", 100, 40, "title", "Denoise", /* s */
        "d", "class_type", "vae_decode", "inputs", "vae", "m", 2, "latent", "s", 0, /* d */
        "o", "class_type", "save_image", "inputs", "images", "d", 0, "path", out);
    REQUIRE(graph);
    return json_pack("{so}", "graph", graph);
}

/* Queue it; the prompt's id. */
static inline void post_run(serving *v, json_t *document, const char *title, char id[64])
{
    json_t *r =
        call_take(v, "POST", "runs", json_pack("{sOss}", "document", document, "title", title));
    CHECK_STATUS(v, 200);
    snprintf(id, 64, "%s", text_at(r, "prompt_id"));
    json_decref(r);
}

/* Its run, once it is over. New reference. */
static inline json_t *wait_run(serving *v, const char *id)
{
    for (int i = 0; i < 6000; i++) {
        char path[100];
        snprintf(path, sizeof path, "runs/%s", id);
        json_t *r = get(v, path);
        const char *state = text_at(r, "state");
        if (*state && strcmp(state, "pending") != 0 && strcmp(state, "running") != 0)
            return r;
        json_decref(r);
        nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
    }
    REQUIRE(!"the run ends");
    return NULL;
}
