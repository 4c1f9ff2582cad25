/* server.h - `tubelet serve`: the engine behind HTTP.
 *
 * Audience: cli/serve.c; tests. Threads: the loop thread.
 */
#pragma once

#include "server/web.h"
#include "tubelet.h"

typedef struct tb_server tb_server;

typedef struct tb_server_options {
    const char *address; /* NULL: 127.0.0.1 */
    int port;
    const char *token;              /* NULL: made when address is beyond loopback */
    const char *const *allow_hosts; /* ends with NULL; may be NULL */
    const char *cors_origin;        /* NULL: none */
    const char *web_dir;            /* NULL: the embedded editor */
    const char *base_dir;   /* holds input/, output/, temp/, models/; NULL: the current folder */
    const char *graphs_dir; /* NULL: base_dir/graphs if it is there, else base_dir */
    const char *const *models_dirs; /* further model roots, ends with NULL; may be NULL */
    const char *const *node_files;  /* Lua files that define nodes, ends with NULL; may be NULL */
    bool no_metadata;               /* do not embed graphs in files */
    bool no_cache;                  /* prompts use no earlier results */
    uint64_t upload_cap;            /* bytes; 0: 100 MiB */
} tb_server_options;

/* Listens and starts the queue; the engine is borrowed. */
tb_server *tb_server_start(tb_engine *e, const tb_server_options *o, tb_err *err);
/* "http://127.0.0.1:8188/", with ?token= where one is needed. Borrowed. */
const char *tb_server_url(const tb_server *s);
void tb_server_stop(tb_server **s);
