/* web_assets.c - the page of the editor. */
#include "server/web_internal.h"

#include <string.h>

static const char no_editor[] =
    "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>tubelet</title>"
    "<h1>tubelet is running</h1><p>This build has no editor: it was made without node. Install "
    "nodejs and npm (scripts/setup.sh does), build again, and it is here.</p>"
    "<p>The API works: see docs/api.md.</p></html>\n";

bool web_assets_serve(tb_request *q)
{
    if (strcmp(q->path, "/") != 0)
        return false;
    tb_reply_bytes(q, "text/html; charset=utf-8", NULL, no_editor, sizeof no_editor - 1);
    return true;
}
