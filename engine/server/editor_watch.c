/* editor_watch.c - tells clients when a file in the graphs folder changes.
 *
 * inotify says that something happened in a folder; a look at all files, on a worker, says what.
 * Where folders cannot be watched the look is taken every two seconds.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "server/editor_internal.h"

enum { SETTLE_MS = 150, POLL_MS = 2000 };

typedef struct folder {
    uv_fs_event_t *event; /* freed when closed */
    char *path;
} folder;

struct tbs_watch {
    tb_server *server;
    uv_timer_t *timer; /* until things have settled; or the next poll */
    uv_work_t work;
    bool looking, again; /* a look is under way; something has changed since it began */
    bool polling;
    folder *folders;
    size_t folder_count, folder_cap;
    json_t *known; /* path -> [seconds, nanoseconds, bytes]; NULL before the first look */
    json_t *found, *found_folders, *changes; /* of the look under way: [{path, etag}] */
};

/* -------------------------------------------------------------------------------- a look, worker
 */

static void note(void *ctx, const char *path, const struct stat *st)
{
    struct tbs_watch *w = ctx;
    if (S_ISDIR(st->st_mode)) {
        json_array_append_new(w->found_folders, json_string(path));
        return;
    }
    json_t *stamp = json_pack("[III]", (json_int_t)st->st_mtim.tv_sec,
                              (json_int_t)st->st_mtim.tv_nsec, (json_int_t)st->st_size);
    if (json_object_set_new(w->found, path, stamp) != 0)
        return; /* a name that is not UTF-8 */
}

static void add_change(struct tbs_watch *w, const char *path, bool there)
{
    char etag[TB_DIGEST_HEX] = "";
    const char *below = path + strlen(w->server->graphs_dir) + 1;
    if (there && tbs_etag(path, etag, NULL) != TB_OK)
        there = false;
    json_array_append_new(w->changes, json_pack("{ss so}", "path", below, "etag",
                                                there ? json_string(etag) : json_null()));
}

static void look(uv_work_t *work)
{
    struct tbs_watch *w = work->data;
    const char *path;
    json_t *stamp;
    tbs_graphs_walk(w->server, note, w);
    if (!w->known)
        return;
    json_object_foreach(w->found, path, stamp)
    {
        if (!json_equal(stamp, json_object_get(w->known, path)))
            add_change(w, path, true);
    }
    json_object_foreach(w->known, path, stamp)
    {
        if (!json_object_get(w->found, path))
            add_change(w, path, false);
    }
}

/* ---------------------------------------------------------------------------------------- loop */

static void start_look(struct tbs_watch *w);

static void on_timer(uv_timer_t *timer)
{
    start_look(timer->data);
}

static void on_event(uv_fs_event_t *event, const char *name, int events, int status)
{
    struct tbs_watch *w = event->data;
    (void)name;
    (void)events;
    (void)status;
    if (w->looking)
        w->again = true;
    else
        uv_timer_start(w->timer, on_timer, SETTLE_MS, 0);
}

static void free_handle(uv_handle_t *h)
{
    free(h);
}

static bool is_watched(const struct tbs_watch *w, const char *path)
{
    for (size_t i = 0; i < w->folder_count; i++)
        if (strcmp(w->folders[i].path, path) == 0)
            return true;
    return false;
}

static void watch_folder(struct tbs_watch *w, const char *path)
{
    uv_fs_event_t *event;
    if (w->polling || is_watched(w, path))
        return;
    event = tb_xcalloc(1, sizeof *event);
    uv_fs_event_init(tb_engine_loop(w->server->engine), event);
    event->data = w;
    if (uv_fs_event_start(event, on_event, path, 0) != 0) {
        uv_close((uv_handle_t *)event, free_handle);
        w->polling = true;
        return;
    }
    uv_unref((uv_handle_t *)event);
    TB_GROW(w->folders, w->folder_cap, w->folder_count + 1);
    w->folders[w->folder_count++] = (folder){ event, tb_xstrdup(path) };
}

static bool is_listed(const json_t *folders, const char *path)
{
    size_t i;
    json_t *f;
    json_array_foreach(folders, i, f) if (strcmp(json_string_value(f), path) == 0) return true;
    return false;
}

/* A folder that is made anew under an old name is another one. */
static void drop_gone(struct tbs_watch *w)
{
    size_t kept = 0;
    for (size_t i = 0; i < w->folder_count; i++) {
        folder f = w->folders[i];
        if (strcmp(f.path, w->server->graphs_dir) == 0 || is_listed(w->found_folders, f.path)) {
            w->folders[kept++] = f;
            continue;
        }
        uv_close((uv_handle_t *)f.event, free_handle);
        free(f.path);
    }
    w->folder_count = kept;
}

static void looked(uv_work_t *work, int status)
{
    struct tbs_watch *w = work->data;
    size_t i;
    json_t *item;
    (void)status; /* never canceled */
    w->looking = false;
    json_array_foreach(w->changes, i, item)
        tbs_events_send_take(w->server, "graph_changed", json_incref(item));
    drop_gone(w);
    json_array_foreach(w->found_folders, i, item) watch_folder(w, json_string_value(item));
    json_decref(w->known);
    w->known = w->found;
    json_decref(w->found_folders);
    json_decref(w->changes);
    w->found = w->found_folders = w->changes = NULL;
    if (w->again || w->polling)
        uv_timer_start(w->timer, on_timer, w->polling ? POLL_MS : SETTLE_MS, 0);
    w->again = false;
}

static void start_look(struct tbs_watch *w)
{
    w->looking = true;
    w->found = json_object();
    w->found_folders = json_array();
    w->changes = json_array();
    w->work.data = w;
    uv_queue_work(tb_engine_loop(w->server->engine), &w->work, look, looked);
}

void tbs_watch_open(tb_server *s)
{
    struct tbs_watch *w = tb_xcalloc(1, sizeof *w);
    s->editor->watch = w;
    w->server = s;
    w->timer = tb_xcalloc(1, sizeof *w->timer);
    uv_timer_init(tb_engine_loop(s->engine), w->timer);
    uv_unref((uv_handle_t *)w->timer);
    w->timer->data = w;
    watch_folder(w, s->graphs_dir);
    start_look(w);
}

void tbs_watch_close(tb_server *s)
{
    struct tbs_watch *w = s->editor->watch;
    while (w->looking)
        uv_run(tb_engine_loop(s->engine), UV_RUN_ONCE);
    uv_close((uv_handle_t *)w->timer, free_handle);
    for (size_t i = 0; i < w->folder_count; i++) {
        uv_close((uv_handle_t *)w->folders[i].event, free_handle);
        free(w->folders[i].path);
    }
    free(w->folders);
    json_decref(w->known);
    free(w);
    s->editor->watch = NULL;
}
