/* server_internal.h - what the files of server/ share. */
#pragma once

#include "server/paths.h"
#include "server/queue.h"
#include "server/server.h"

struct tb_server {
    tb_engine *engine;
    tb_queue *queue;
    tb_web *web;
    char *url, *token;
    char *base_dir, *input_dir, *output_dir, *temp_dir, *graphs_dir; /* absolute */
    tb_server_options o;
    const char *read_roots[5]; /* what runs may read below; ends with NULL */
    int temp_lock;             /* -1: another server uses the temp folder */
    uint64_t upload_cap;       /* bytes */
    tb_route *routes;          /* all tables, joined */
    tb_endpoint endpoints[3];
    struct tbs_library *library; /* library.c */
    struct tbs_comfy *comfy;     /* comfy_*.c: clients of /ws */
    struct tbs_editor *editor;   /* editor_*.c: clients of /api/tubelet/events */
};

/* Handlers get the server as ctx. Each table ends with { 0 }. */
extern const tb_route tbs_comfy_routes[];     /* comfy_*.c */
extern const tb_route tbs_editor_routes[];    /* editor_*.c: below /api/tubelet/ */
extern const tb_endpoint tbs_comfy_endpoint;  /* /ws */
extern const tb_endpoint tbs_editor_endpoint; /* /api/tubelet/events */

/* Make and drop the state of each side; called by server.c. */
void tbs_comfy_open(tb_server *s);
void tbs_comfy_close(tb_server *s);
/* A line was logged: {"level", "text", "time_ms"}. */
void tbs_comfy_log(tb_server *s, const json_t *line);
void tbs_editor_open(tb_server *s);
void tbs_editor_close(tb_server *s);

/* comfy_models.c: __metadata__ of a safetensors file: 8 bytes of length, little endian, then JSON.
 * New reference; NULL: it is none, or has none. */
json_t *tbs_file_metadata(const char *path);

/* All node types a document may use here: the engine's, the library's and those of node files.
 * NULL on error. */
const tb_types *tbs_types(const tb_server *s, tb_err *err);
/* The child that knows scripts/lib and the node files. NULL: it could not be started. Any thread,
 * both: in the first moments they wait for the child, so the loop had better not call them. */
tb_script *tbs_library_script(const tb_server *s);

/* What a run may read and write here: below our folders, and the output folder alone. Any thread.
 */
void tbs_run_options(const tb_server *s, tb_run_options *o);

/* paths.c: a client's name of a file, below one of our folders and nowhere else: no "..", no
 * absolute path, no link that leads out. type: "input", "output", "temp"; subfolder may be "". A
 * new string, or NULL with TB_EINVAL or TB_ENOTFOUND. must_exist: the file itself is there. */
char *tbs_file_path(const tb_server *s, const char *type, const char *subfolder, const char *name,
                    bool must_exist, tb_err *err);
/* The other way: an absolute path as {"filename", "subfolder", "type"}, or NULL when it is outside.
 * New reference. */
json_t *tbs_file_entry(const tb_server *s, const char *path);
