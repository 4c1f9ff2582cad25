/* comfy.c - ComfyUI's routes, and the state behind its WebSocket. */
#include <stdlib.h>

#include "base/mem.h"
#include "server/comfy_internal.h"
#include "server/comfy_routes.h"

#define BODY   ((size_t)64 << 20) /* a prompt with the workflow that is embedded */
#define SMALL  ((size_t)1 << 20)
#define UPLOAD ((size_t)101 << 20) /* 100 MiB and the form around it */

enum { API = TB_ROUTE_API, NO_BODY_IS_FINE = TB_ROUTE_API | TB_ROUTE_BODY_OPTIONAL };

const tb_route tbs_comfy_routes[] = {
    { TB_POST, "/prompt", API, BODY, tbs_post_prompt },
    { TB_GET, "/prompt", API, 0, tbs_get_prompt },
    { TB_GET, "/queue", API, 0, tbs_get_queue },
    { TB_POST, "/queue", API, SMALL, tbs_post_queue },
    { TB_POST, "/interrupt", NO_BODY_IS_FINE, SMALL, tbs_post_interrupt },
    { TB_GET, "/history", API, 0, tbs_get_history },
    { TB_GET, "/history/*", API, 0, tbs_get_history_of },
    { TB_POST, "/history", API, SMALL, tbs_post_history },
    { TB_GET, "/view", API, 0, tbs_get_view },
    { TB_POST, "/upload/image", TB_ROUTE_API | TB_ROUTE_MULTIPART, UPLOAD, tbs_post_upload_image },
    { TB_POST, "/upload/mask", TB_ROUTE_API | TB_ROUTE_MULTIPART, UPLOAD, tbs_post_upload_mask },
    { TB_GET, "/object_info", API, 0, tbs_get_object_info },
    { TB_GET, "/object_info/*", API, 0, tbs_get_object_info_of },
    { TB_GET, "/system_stats", API, 0, tbs_get_system_stats },
    { TB_GET, "/features", API, 0, tbs_get_features },
    { TB_GET, "/models", API, 0, tbs_get_models },
    { TB_GET, "/models/*", API, 0, tbs_get_models_of },
    { TB_GET, "/embeddings", API, 0, tbs_get_embeddings },
    { TB_GET, "/experiment/models", API, 0, tbs_get_model_folders },
    { TB_GET, "/experiment/models/preview/*", API, 0, tbs_get_model_preview },
    { TB_GET, "/experiment/models/*", API, 0, tbs_get_model_folder },
    { TB_GET, "/view_metadata/*", API, 0, tbs_get_view_metadata },
    { TB_POST, "/free", NO_BODY_IS_FINE, SMALL, tbs_post_free },
    { TB_GET, "/jobs", API, 0, tbs_get_jobs },
    { TB_GET, "/jobs/*", API, 0, tbs_get_job },
    { TB_POST, "/jobs/*", NO_BODY_IS_FINE, SMALL, tbs_post_jobs },
    { TB_GET, "/users", API, 0, tbs_get_users },
    { TB_GET, "/settings", API, 0, tbs_get_settings },
    { TB_GET, "/settings/*", API, 0, tbs_get_setting },
    { TB_POST, "/settings", API, SMALL, tbs_post_settings },
    { TB_POST, "/settings/*", API, SMALL, tbs_post_setting },
    { TB_GET, "/userdata", API, 0, tbs_get_userdata_list },
    { TB_GET, "/v2/userdata", API, 0, tbs_get_userdata_folder },
    { TB_GET, "/userdata/*", API, 0, tbs_get_userdata },
    { TB_POST, "/userdata/*", NO_BODY_IS_FINE | TB_ROUTE_FILE, UPLOAD, tbs_post_userdata },
    { TB_DELETE, "/userdata/*", API, 0, tbs_delete_userdata },
    { TB_GET, "/internal/logs", 0, 0, tbs_get_logs },
    { TB_GET, "/internal/logs/raw", 0, 0, tbs_get_raw_logs },
    { TB_PATCH, "/internal/logs/subscribe", 0, SMALL, tbs_patch_logs },
    { TB_GET, "/extensions", API, 0, tbs_get_empty_list },
    { TB_GET, "/workflow_templates", API, 0, tbs_get_empty_object },
    { TB_GET, "/i18n", API, 0, tbs_get_empty_object },
    { TB_GET, "/internal/folder_paths", 0, 0, tbs_get_folder_paths },
    { TB_GET, "/internal/files/*", 0, 0, tbs_get_files },
    { 0 },
};

/* ------------------------------------------------------------------------------- open and close */

void tbs_comfy_open(tb_server *s)
{
    tbs_comfy *c = tb_xcalloc(1, sizeof *c);
    c->server = s;
    c->logs = json_array();
    s->comfy = c;
    uv_timer_init(tb_engine_loop(s->engine), &c->later);
    uv_unref((uv_handle_t *)&c->later);
    c->later.data = c;
    tb_queue_listen(s->queue, tbs_comfy_on_queue, s);
}

static void on_closed(uv_handle_t *h)
{
    free(h->data);
}

void tbs_comfy_close(tb_server *s)
{
    tbs_comfy *c = s->comfy;
    tb_prompt *p;
    if (!c)
        return;
    s->comfy = NULL;
    tbs_preview_abandon(c);
    for (int i = 0; (p = tb_queue_running(s->queue, i)); i++)
        tbs_progress_free(&p->progress);
    json_decref(c->logs);
    for (tbs_client *k = c->clients, *next; k; k = next) {
        next = k->next;
        free(k->id);
        free(k);
    }
    c->clients = NULL;
    uv_timer_stop(&c->later);
    uv_close((uv_handle_t *)&c->later, on_closed);
}
