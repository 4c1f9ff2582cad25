/* server.c - puts the server together: folders, node types, queue, web. */
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/fs.h"
#include "base/mem.h"
#include "server/library.h"
#include "server/server_internal.h"
#include "server/temp.h"

enum { UPLOAD_CAP = 100 << 20 };

/* ------------------------------------------------------------------------------------- folders */

static tb_status make_folder(char **out, const char *base, const char *name, tb_err *err)
{
    char *path = tb_fs_join(base, name);
    const tb_status st = tb_fs_mkdirs(path, err);
    *out = st == TB_OK ? realpath(path, NULL) : NULL;
    free(path);
    if (st == TB_OK && !*out)
        return tb_err_set(err, TB_EIO, "cannot find the folder %s/%s again", base, name);
    return st;
}

static tb_status find_folder(char **out, const char *path, tb_err *err)
{
    *out = tb_fs_is_dir(path) ? realpath(path, NULL) : NULL;
    return *out ? TB_OK : tb_err_set(err, TB_ENOTFOUND, "there is no folder %s", path);
}

static tb_status find_graphs(tb_server *s, tb_err *err)
{
    if (s->o.graphs_dir)
        return find_folder(&s->graphs_dir, s->o.graphs_dir, err);
    char *usual = tb_fs_join(s->base_dir, "graphs");
    const tb_status st =
        find_folder(&s->graphs_dir, tb_fs_is_dir(usual) ? usual : s->base_dir, err);
    free(usual);
    return st;
}

static tb_status open_folders(tb_server *s, tb_err *err)
{
    TB_TRY(find_folder(&s->base_dir, s->o.base_dir ? s->o.base_dir : ".", err));
    TB_TRY(make_folder(&s->input_dir, s->base_dir, "input", err));
    TB_TRY(make_folder(&s->output_dir, s->base_dir, "output", err));
    TB_TRY(make_folder(&s->temp_dir, s->base_dir, "temp", err));
    TB_TRY(find_graphs(s, err));
    s->temp_lock = tbs_temp_open(s->temp_dir);
    return TB_OK;
}

/* "input:photo.png" and the names of models lead to these. */
static void name_folders(tb_server *s)
{
    tb_folders *f = tb_engine_folders(s->engine);
    char *models = tb_fs_join(s->base_dir, "models");
    tb_folders_set(f, "input", s->input_dir);
    tb_folders_set(f, "output", s->output_dir);
    tb_folders_set(f, "temp", s->temp_dir);
    tb_folders_add_root(f, models);
    for (const char *const *m = s->o.models_dirs; m && *m; m++)
        tb_folders_add_root(f, *m);
    tb_folders_add_usual_roots(f);
    free(models);
}

/* --------------------------------------------------------------------------------------- runs */

void tbs_run_options(const tb_server *s, tb_run_options *o)
{
    o->cwd = s->base_dir;
    o->write_root = s->output_dir;
    o->read_roots = s->read_roots;
    o->no_metadata = s->o.no_metadata;
}

/* On a worker. */
static void prepare_run(void *ctx, const tb_prompt *p, tb_run_options *o)
{
    const tb_server *s = ctx;
    tb_err err = TB_ERR_INIT;
    tbs_run_options(s, o);
    o->embed = json_object_get(p->extra_data, "extra_pnginfo");
    if (json_is_object(json_object_get(p->document, "script")))
        return;
    o->script = tbs_library_script(s);
    o->types = o->script ? tbs_types(s, &err) : NULL;
}

static json_t *file_of_run(void *ctx, const char *path)
{
    return tbs_file_entry(ctx, path);
}

static tb_status open_queue(tb_server *s, tb_err *err)
{
    s->queue = tb_queue_new(s->engine, err);
    if (!s->queue)
        return err->status;
    tb_queue_set_hooks(s->queue, &(tb_queue_hooks){ prepare_run, file_of_run, s });
    return TB_OK;
}

/* ---------------------------------------------------------------------------------------- web */

static const tb_route *const route_tables[] = { tbs_comfy_routes, tbs_editor_routes, NULL };
static const tb_endpoint *const endpoint_list[] = { &tbs_comfy_endpoint, &tbs_editor_endpoint,
                                                    NULL };

/* One table; uploads get the cap that was asked for. */
static void join_routes(tb_server *s)
{
    size_t n = 0, cap = 0;
    for (const tb_route *const *t = route_tables; *t; t++)
        for (const tb_route *r = *t; r->path; r++) {
            TB_GROW(s->routes, cap, n + 2);
            s->routes[n] = *r;
            if (r->flags & (TB_ROUTE_MULTIPART | TB_ROUTE_FILE))
                s->routes[n].body_cap = (size_t)s->upload_cap;
            n++;
        }
    if (!s->routes)
        s->routes = tb_xcalloc(1, sizeof *s->routes);
    s->routes[n] = (tb_route){ 0 };
    for (size_t i = 0; endpoint_list[i]; i++)
        s->endpoints[i] = *endpoint_list[i];
}

static tb_status make_token(tb_server *s, tb_err *err)
{
    unsigned char random[16];
    if (s->o.token) {
        s->token = tb_xstrdup(s->o.token);
        return TB_OK;
    }
    if (!s->o.address || tb_web_is_loopback(s->o.address))
        return TB_OK;
    if (getrandom(random, sizeof random, 0) != sizeof random)
        return tb_err_set(err, TB_EIO, "the system gave no random bytes for a token");
    s->token = tb_xcalloc(2 * sizeof random + 1, 1);
    for (size_t i = 0; i < sizeof random; i++)
        snprintf(s->token + 2 * i, 3, "%02x", random[i]);
    return TB_OK;
}

static tb_status open_web(tb_server *s, tb_err *err)
{
    join_routes(s);
    TB_TRY(make_token(s, err));
    const tb_web_options wo = {
        .address = s->o.address,
        .port = s->o.port,
        .token = s->token,
        .allow_hosts = s->o.allow_hosts,
        .cors_origin = s->o.cors_origin,
        .web_dir = s->o.web_dir,
        .temp_dir = s->temp_dir,
        .ctx = s,
    };
    s->web = tb_web_listen(tb_engine_loop(s->engine), &wo, s->routes, s->endpoints, err);
    return s->web ? TB_OK : err->status;
}

/* "All addresses" is none that a browser could open: the first of the machine's own. */
static void first_address(char *text, socklen_t n)
{
    struct ifaddrs *all = NULL;
    snprintf(text, n, "127.0.0.1");
    if (getifaddrs(&all) != 0)
        return;
    for (const struct ifaddrs *i = all; i; i = i->ifa_next) {
        struct sockaddr_in in4;
        if (!i->ifa_addr || i->ifa_addr->sa_family != AF_INET || i->ifa_flags & IFF_LOOPBACK)
            continue;
        memcpy(&in4, i->ifa_addr, sizeof in4);
        inet_ntop(AF_INET, &in4.sin_addr, text, n);
        break;
    }
    freeifaddrs(all);
}

static void name_url(tb_server *s)
{
    const char *address = s->o.address ? s->o.address : "127.0.0.1";
    char own[64];
    if (strcmp(address, "0.0.0.0") == 0 || strcmp(address, "::") == 0) {
        first_address(own, sizeof own);
        address = own;
    }
    const bool v6 = strchr(address, ':') != NULL;
    s->url = tb_xasprintf("http://%s%s%s:%d/%s%s", v6 ? "[" : "", address, v6 ? "]" : "",
                          tb_web_port(s->web), s->token ? "?token=" : "", s->token ? s->token : "");
}

/* ------------------------------------------------------------------------------- start and stop */

static tb_status start(tb_server *s, tb_err *err)
{
    TB_TRY(open_folders(s, err));
    name_folders(s);
    s->read_roots[0] = s->input_dir;
    s->read_roots[1] = s->output_dir;
    s->read_roots[2] = s->temp_dir;
    s->read_roots[3] = s->graphs_dir;
    TB_TRY(open_queue(s, err));
    tbs_comfy_open(s);
    tbs_editor_open(s);
    TB_TRY(open_web(s, err));
    name_url(s);
    tbs_library_open(s);
    tb_queue_start(s->queue);
    return TB_OK;
}

tb_server *tb_server_start(tb_engine *e, const tb_server_options *o, tb_err *err)
{
    tb_server *s = tb_xcalloc(1, sizeof *s);
    s->engine = e;
    s->o = *o;
    s->upload_cap = o->upload_cap ? o->upload_cap : UPLOAD_CAP;
    s->temp_lock = -1;
    if (start(s, err) != TB_OK)
        tb_server_stop(&s);
    return s;
}

const char *tb_server_url(const tb_server *s)
{
    return s->url;
}

void tb_server_stop(tb_server **sp)
{
    tb_server *s = *sp;
    *sp = NULL;
    if (!s)
        return;
    tb_web_close(&s->web);
    tbs_comfy_close(s);
    tbs_editor_close(s);
    tb_queue_free(&s->queue);
    tbs_library_close(s);
    tbs_temp_close(s->temp_lock);
    free(s->routes);
    free(s->url);
    free(s->token);
    free(s->base_dir);
    free(s->input_dir);
    free(s->output_dir);
    free(s->temp_dir);
    free(s->graphs_dir);
    free(s);
}
