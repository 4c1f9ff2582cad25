/* web_assets.c - the editor's files: from the program itself, or from a folder while it is being
 * developed. */
#include "server/web_assets.h"

#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/str.h"
#include "server/paths.h"
#include "server/web_internal.h"

static const char no_editor[] =
    "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>tubelet</title>"
    "<h1>tubelet is running</h1><p>This build has no editor: it was made without node or npm. "
    "Run scripts/setup.sh, configure and build again (-DTUBELET_WEB=ON), and it is here.</p>"
    "<p>The API works without it: docs/api.md describes it.</p></html>\n";

/* Is gzip among the codings, and not with weight 0? */
static bool takes_gzip(const char *codings)
{
    for (const char *p = codings ? codings : ""; *p;) {
        p += strspn(p, ", \t");
        const size_t n = strcspn(p, ","), name = strcspn(p, ",; \t");
        const char *q = memmem(p, n, "q=", 2);
        const bool zero = q && strtod(q + 2, NULL) <= 0;
        if (!zero && ((name == 4 && strncmp(p, "gzip", 4) == 0) || (name == 1 && *p == '*')))
            return true;
        p += n;
    }
    return false;
}

static void send_asset(tb_request *q, const tb_web_asset *a)
{
    if (!takes_gzip(q->ask.headers[WEB_ACCEPT_ENCODING])) {
        tb_reply_text(q, 406, "The editor's files are compressed: send Accept-Encoding: gzip");
        return;
    }
    tb_reply_header(q, "Content-Encoding", "gzip");
    tb_reply_header(q, "Vary", "Accept-Encoding");
    tb_reply_bytes(q, a->mime, a->etag, a->gzip, (size_t)(a->end - a->gzip));
}

static const char *page_mime(const char *path)
{
    const char *extension = tb_fs_extension(path);
    if (strcmp(extension, "html") == 0)
        return "text/html; charset=utf-8";
    if (strcmp(extension, "js") == 0)
        return "text/javascript; charset=utf-8";
    if (strcmp(extension, "css") == 0)
        return "text/css; charset=utf-8";
    return strcmp(extension, "svg") == 0 ? "image/svg+xml" : tbs_web_mime(path);
}

static bool send_from_folder(tb_request *q, const char *name)
{
    char *path = tbs_path_below(q->web->o.web_dir, name + 1, true, NULL);
    const bool found = path && tb_fs_is_file(path);
    if (found)
        tb_reply_file(q, path, page_mime(path), NULL);
    free(path);
    return found;
}

bool tbs_web_assets_serve(tb_request *q)
{
    const char *name = strcmp(q->path, "/") == 0 ? "/index.html" : q->path;
    if (q->web->o.web_dir)
        return send_from_folder(q, name);
    for (const tb_web_asset *a = tb_web_assets; a->path; a++)
        if (strcmp(a->path, name) == 0) {
            send_asset(q, a);
            return true;
        }
    if (tb_web_assets->path || strcmp(q->path, "/") != 0)
        return false;
    tb_reply_bytes(q, "text/html; charset=utf-8", NULL, no_editor, sizeof no_editor - 1);
    return true;
}
