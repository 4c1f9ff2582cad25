/* editor.c - the routes below /api/tubelet/ (docs/api.md). */
#include <stdlib.h>

#include "base/mem.h"
#include "server/editor_internal.h"

enum { SMALL = 64 << 10, GRAPH = 64 << 20 };

const tb_route tbs_editor_routes[] = {
    { TB_GET, "/api/tubelet/info", 0, 0, tbs_get_info },
    { TB_GET, "/api/tubelet/nodes", 0, 0, tbs_get_nodes },
    { TB_GET, "/api/tubelet/examples", 0, 0, tbs_get_examples },
    { TB_GET, "/api/tubelet/graphs", 0, 0, tbs_get_graphs },
    { TB_GET, "/api/tubelet/graphs/*", 0, 0, tbs_get_graph },
    { TB_PUT, "/api/tubelet/graphs/*", 0, GRAPH, tbs_put_graph },
    { TB_POST, "/api/tubelet/build", 0, GRAPH, tbs_post_build },
    { TB_POST, "/api/tubelet/lua", 0, GRAPH, tbs_post_lua },
    { TB_POST, "/api/tubelet/open", TB_ROUTE_FILE, GRAPH, tbs_post_open },
    { TB_POST, "/api/tubelet/check", 0, GRAPH, tbs_post_check },
    { TB_POST, "/api/tubelet/plan", 0, GRAPH, tbs_post_plan },
    { TB_GET, "/api/tubelet/runs", 0, 0, tbs_get_runs },
    { TB_POST, "/api/tubelet/runs", 0, GRAPH, tbs_post_runs },
    { TB_GET, "/api/tubelet/runs/*", 0, 0, tbs_get_run },
    { TB_POST, "/api/tubelet/runs/*", TB_ROUTE_BODY_OPTIONAL, SMALL, tbs_post_run },
    { TB_DELETE, "/api/tubelet/runs/*", TB_ROUTE_BODY_OPTIONAL, SMALL, tbs_delete_run },
    { TB_GET, "/api/tubelet/results", 0, 0, tbs_get_results },
    { TB_GET, "/api/tubelet/results/*", 0, 0, tbs_get_result },
    { TB_POST, "/api/tubelet/results/*", 0, SMALL, tbs_post_result },
    { TB_DELETE, "/api/tubelet/results/*", TB_ROUTE_BODY_OPTIONAL, SMALL, tbs_delete_result },
    { TB_POST, "/api/tubelet/gc", TB_ROUTE_BODY_OPTIONAL, SMALL, tbs_post_gc },
    { 0 },
};

void tbs_editor_open(tb_server *s)
{
    s->editor = tb_xcalloc(1, sizeof *s->editor);
    pthread_mutex_init(&s->editor->saving, NULL);
    tbs_events_open(s);
    tbs_watch_open(s);
}

void tbs_editor_close(tb_server *s)
{
    if (!s->editor)
        return;
    tbs_watch_close(s);
    tbs_events_close(s);
    pthread_mutex_destroy(&s->editor->saving);
    free(s->editor);
    s->editor = NULL;
}
