/* comfy_info.c - what there is: node classes, the machine, what the server can do. 2.9 to 2.11. */
#include <float.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>

#include "base/mem.h"
#include "graph/program.h"
#include "server/comfy_internal.h"
#include "server/comfy_routes.h"

#define COMFYUI_VERSION "0.3.64" /* whose behaviour this is */

/* ---------------------------------------------------------------------------------- object_info */

static bool is(const tb_input_def *in, const char *type)
{
    return strcmp(in->type, type) == 0;
}

/* Names of files are looked up anew each time. */
static json_t *choices_of(const tb_types *types, const tb_input_def *in)
{
    const tb_folders *folders = tb_types_folders(types);
    if (in->files && folders)
        return tb_folders_names(folders, in->files);
    json_t *list = json_array();
    for (const char *p = in->choices; p && *p;) {
        const size_t k = strcspn(p, "|");
        json_array_append_new(list, json_stringn(p, k));
        p += k + (p[k] == '|');
    }
    return list;
}

json_t *tbs_highest(const tb_input_def *in)
{
    return in->i_max == INT64_MAX && tb_input_is_seed(in) ? tb_json_of_uint64(UINT64_MAX)
                                                          : json_integer(in->i_max);
}

static void set_number(json_t *o, const tb_input_def *in)
{
    if (is(in, "INT")) {
        if (!in->required)
            json_object_set_new(o, "default", json_integer(in->i_default));
        if (in->i_min != INT64_MIN)
            json_object_set_new(o, "min", json_integer(in->i_min));
        json_object_set_new(o, "max", tbs_highest(in));
    } else if (is(in, "FLOAT")) {
        if (!in->required)
            json_object_set_new(o, "default", json_real(in->f_default));
        if (in->f_min > -DBL_MAX)
            json_object_set_new(o, "min", json_real(in->f_min));
        if (in->f_max < DBL_MAX)
            json_object_set_new(o, "max", json_real(in->f_max));
        json_object_set_new(o, "step", json_real(0.01));
    } else if (is(in, "BOOLEAN") && !in->required) {
        json_object_set_new(o, "default", json_boolean(in->i_default));
    }
}

static json_t *options_of(const tb_input_def *in)
{
    json_t *o = json_object();
    set_number(o, in);
    if (in->s_default)
        json_object_set_new(o, "default", json_string(in->s_default));
    if (is(in, "STRING"))
        json_object_set_new(o, "multiline", json_boolean(in->flags & TB_IN_MULTILINE));
    if (in->flags & TB_IN_SEED)
        json_object_set_new(o, "control_after_generate", json_true());
    if (in->flags & TB_IN_UPLOAD)
        json_object_set_new(o, "image_upload", json_true());
    if (in->flags & TB_IN_ADVANCED)
        json_object_set_new(o, "advanced", json_true());
    if (in->flags & TB_IN_LAZY)
        json_object_set_new(o, "lazy", json_true());
    if (in->doc && *in->doc)
        json_object_set_new(o, "tooltip", json_string(in->doc));
    return o;
}

json_t *tbs_input_config(const tb_types *types, const tb_input_def *in)
{
    json_t *type = is(in, "COMBO") ? choices_of(types, in) : json_string(in->type);
    return json_pack("[oo]", type, options_of(in));
}

static void add_inputs(json_t *info, const tb_types *types, const tb_type *t)
{
    json_t *inputs = json_pack("{s{}}", "required"), *order = json_pack("{s[]}", "required");
    for (int i = 0; i < t->input_count; i++) {
        const tb_input_def *in = &t->def->inputs[i];
        const char *part = in->flags & TB_IN_OPTIONAL ? "optional" : "required";
        if (!json_object_get(inputs, part)) {
            json_object_set_new(inputs, part, json_object());
            json_object_set_new(order, part, json_array());
        }
        json_object_set_new(json_object_get(inputs, part), in->name, tbs_input_config(types, in));
        json_array_append_new(json_object_get(order, part), json_string(in->name));
    }
    json_object_set_new(info, "input", inputs);
    json_object_set_new(info, "input_order", order);
}

static void add_outputs(json_t *info, const tb_type *t)
{
    json_t *types = json_array(), *lists = json_array(), *names = json_array(),
           *docs = json_array();
    for (int i = 0; i < t->output_count; i++) {
        const tb_output_def *o = &t->def->outputs[i];
        json_array_append_new(types, json_string(o->type));
        json_array_append_new(lists, json_boolean(o->is_list));
        json_array_append_new(names, json_string(o->name));
        json_array_append_new(docs, json_string(o->doc ? o->doc : ""));
    }
    json_object_set_new(info, "output", types);
    json_object_set_new(info, "output_is_list", lists);
    json_object_set_new(info, "output_name", names);
    json_object_set_new(info, "output_tooltips", docs);
}

static json_t *text(const char *s, const char *otherwise)
{
    return json_string(s && *s ? s : otherwise);
}

json_t *tbs_object_info(const tb_types *types, const tb_type *t)
{
    json_t *info = json_object();
    add_inputs(info, types, t);
    add_outputs(info, t);
    json_object_set_new(info, "name", json_string(t->def->name));
    json_object_set_new(info, "display_name", text(t->def->title, t->def->name));
    json_object_set_new(info, "description", text(t->def->doc, ""));
    json_object_set_new(info, "python_module",
                        json_string(t->kind == TB_PRIMITIVE ? "nodes" : "custom_nodes.lua"));
    json_object_set_new(info, "category", text(t->def->category, ""));
    json_object_set_new(info, "output_node", json_boolean(t->def->flags & TB_NODE_TARGET));
    return info;
}

typedef struct wanted {
    const tb_server *server;
    char *name; /* NULL: all types */
} wanted;

/* Choices are looked for in folders. */
static json_t *make_object_info(void *arg, tb_err *err)
{
    wanted *w = arg;
    const tb_types *types = tbs_types(w->server, err);
    json_t *info = types ? json_object() : NULL;
    for (int i = 0; types && i < tb_types_count(types); i++) {
        const tb_type *t = tb_types_at(types, i);
        if (!w->name || strcmp(w->name, t->def->name) == 0)
            json_object_set_new(info, t->def->name, tbs_object_info(types, t));
    }
    free(w->name);
    free(w);
    return info;
}

static void reply_object_info(const tb_server *s, tb_request *q, const char *name)
{
    wanted *w = tb_xcalloc(1, sizeof *w);
    *w = (wanted){ .server = s, .name = name ? tb_xstrdup(name) : NULL };
    tb_reply_made(q, make_object_info, w);
}

void tbs_get_object_info(void *ctx, tb_request *q)
{
    reply_object_info(ctx, q, NULL);
}

void tbs_get_object_info_of(void *ctx, tb_request *q)
{
    reply_object_info(ctx, q, tb_request_rest(q));
}

/* ---------------------------------------------------------------------------------- the machine */

/* "MemAvailable" of the kernel, which counts what can be given back; else what is free. */
static uint64_t memory_available(const struct sysinfo *si)
{
    char line[128];
    unsigned long long kib = 0;
    FILE *f = fopen("/proc/meminfo", "re");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "MemAvailable: %llu kB", &kib) == 1)
            break;
    if (f)
        fclose(f);
    return kib ? (uint64_t)kib * 1024 : (uint64_t)si->freeram * si->mem_unit;
}

void tbs_get_system_stats(void *ctx, tb_request *q)
{
    struct sysinfo si = { 0 };
    (void)ctx;
    sysinfo(&si);
    const json_int_t total = (json_int_t)((uint64_t)si.totalram * si.mem_unit);
    const json_int_t available = (json_int_t)memory_available(&si);
    json_t *system =
        json_pack("{sssIsIsssssssb s[s]}", "os", "posix", "ram_total", total, "ram_free", available,
                  "comfyui_version", COMFYUI_VERSION, "python_version", "none", "pytorch_version",
                  "tubelet " TUBELET_VERSION, "embedded_python", 0, "argv", "tubelet");
    json_object_set_new(system, "required_frontend_version", json_string(""));
    json_object_set_new(system, "installed_templates_version", json_string(""));
    json_object_set_new(system, "required_templates_version", json_string(""));
    json_t *device =
        json_pack("{sssssnsIsIsIsI}", "name", "cpu", "type", "cpu", "index", "vram_total", total,
                  "vram_free", available, "torch_vram_total", total, "torch_vram_free", available);
    tb_reply_json_take(q, 200, json_pack("{sos[o]}", "system", system, "devices", device));
}

json_t *tbs_comfy_features(const tb_server *s)
{
    return json_pack("{sbsIsb}", "supports_preview_metadata", 1, "max_upload_size",
                     (json_int_t)s->upload_cap, "progress_full", 1);
}

void tbs_get_features(void *ctx, tb_request *q)
{
    tb_reply_json_take(q, 200, tbs_comfy_features(ctx));
}
