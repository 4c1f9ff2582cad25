/* model_compare.c - `tubelet model compare`: a graph in f32 and in int8, and how far the second
 * leads from the first, step by step and in what comes out.
 *
 * Both runs are computed anew and leave nothing behind: the nodes that write files are left out,
 * what they would have been given is compared instead.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/open.h"
#include "cli/session.h"

/* The denoising steps of one run, in order, and what came out. */
typedef struct step {
    char *node;
    tb_value *latent; /* LIST: the first output */
} step;

typedef struct side {
    const char *mode;
    step *steps;
    size_t count, cap;
    step *outputs; /* first outputs of the targets */
    size_t output_count, output_cap;
    const json_t *targets;
    double seconds; /* of the evaluations of the transformer but the first, which opens it */
    int evaluations;
    bool show; /* tell the progress on the terminal */
    bool ended;
    tb_err err;
} side;

/* ----------------------------------------------------------------------------------- distances */

typedef struct distance {
    double apart, size; /* sums of squares: of the difference, of the reference */
    double low, high, count;
} distance;

static void add_tensor(distance *d, const tb_tensor *a, const tb_tensor *b)
{
    if (tb_tensor_dtype(a) != TB_F32 || tb_tensor_dtype(b) != TB_F32 ||
        tb_tensor_count(a) != tb_tensor_count(b))
        return;
    const float *x = tb_tensor_f32(a), *y = tb_tensor_f32(b);
    for (int64_t i = 0; i < tb_tensor_count(a); i++) {
        const double v = (double)x[i], e = (double)y[i] - v;
        d->low = d->count > 0 && d->low < v ? d->low : v;
        d->high = d->count > 0 && d->high > v ? d->high : v;
        d->size += v * v;
        d->apart += e * e;
        d->count++;
    }
}

/* Of all tensors in two values of one make. */
static void add_value(distance *d, const tb_value *a, const tb_value *b)
{
    if (!a || !b || tb_value_kind(a) != tb_value_kind(b))
        return;
    if (tb_value_kind(a) == TB_TENSOR)
        add_tensor(d, tb_value_as_tensor(a), tb_value_as_tensor(b));
    for (int i = 0; tb_value_kind(a) == TB_LIST && i < tb_list_count(a) && i < tb_list_count(b);
         i++)
        add_value(d, tb_list_at(a, i), tb_list_at(b, i));
    for (int i = 0; tb_value_kind(a) == TB_RECORD && i < tb_record_count(a); i++)
        add_value(d, tb_record_at(a, i), tb_record_get(b, tb_record_name(a, i)));
}

static double relative(const distance *d)
{
    return d->size > 0 ? sqrt(d->apart / d->size) : 0;
}

/* Against the reference's own range; 1 for pictures from black to white. 200 dB: the same. */
static double psnr(const distance *d)
{
    const double range = d->high - d->low, mean = d->count > 0 ? d->apart / d->count : 0;
    return mean > 0 && range > 0 ? 10 * log10(range * range / mean) : 200;
}

/* ------------------------------------------------------------------------------------- one run */

static step keep(const char *node, const tb_value *list)
{
    return (step){ tb_xstrdup(node), tb_value_ref(list) };
}

static bool is_target(const side *s, const char *node)
{
    for (size_t i = 0; i < json_array_size(s->targets); i++)
        if (strcmp(json_string_value(json_array_get(s->targets, i)), node) == 0)
            return true;
    return false;
}

static void keep_outputs(side *s, const tb_run *run)
{
    for (size_t i = 0; i < json_array_size(s->targets); i++) {
        const char *node = json_string_value(json_array_get(s->targets, i));
        int count = 0;
        tb_value *const *out = tb_run_outputs(run, node, &count);
        if (!out || count < 1)
            continue;
        TB_GROW(s->outputs, s->output_cap, s->output_count + 1);
        s->outputs[s->output_count++] = keep(node, out[0]);
    }
}

static void on_event(void *ctx, tb_run *run, const tb_event *ev)
{
    side *s = ctx;
    if (ev->kind == TB_EV_FINISHED && strcmp(ev->type, "dit_step") == 0)
        s->seconds += s->evaluations++ ? ev->ms / 1000 : 0;
    if (ev->kind == TB_EV_FINISHED && strcmp(ev->type, "sampler_step") == 0 &&
        ev->output_count > 0 && !is_target(s, ev->node)) {
        TB_GROW(s->steps, s->cap, s->count + 1);
        s->steps[s->count++] = keep(ev->node, ev->outputs[0]);
        if (s->show)
            fprintf(stderr, "\r%s: step %zu ", s->mode, s->count);
    }
    if (ev->kind != TB_EV_END)
        return;
    if (ev->status == TB_OK)
        keep_outputs(s, run);
    else
        s->err = *ev->err;
    s->ended = true;
    if (s->show)
        fputc('\n', stderr);
}

static tb_status run_side(side *s, const cli_source *source, const cli_args *args, tb_err *err)
{
    int64_t threads = 0;
    uint64_t memory = 0;
    TB_TRY(cli_int(args, "threads", 1, 64, &threads, err));
    TB_TRY(cli_bytes(args, "memory", &memory, err));
    tb_engine *e = tb_engine_new(
        &(tb_engine_options){
            .no_store = true, .threads = (int)threads, .memory_limit = memory, .compute = s->mode },
        err);
    if (!e)
        return err->status;
    cli_add_models(e, args);
    const tb_run_options ro = {
        .document = source->document, .script = source->script, .on_event = on_event, .ctx = s
    };
    if (tb_engine_submit(e, &ro, NULL, err))
        while (!s->ended && uv_run(tb_engine_loop(e), UV_RUN_ONCE))
            ;
    if (s->err.status != TB_OK)
        *err = s->err;
    tb_engine_free(&e);
    return err->status;
}

static void clear(side *s)
{
    for (size_t i = 0; i < s->count; i++) {
        free(s->steps[i].node);
        tb_value_unref(&s->steps[i].latent);
    }
    for (size_t i = 0; i < s->output_count; i++) {
        free(s->outputs[i].node);
        tb_value_unref(&s->outputs[i].latent);
    }
    free(s->steps);
    free(s->outputs);
}

/* ---------------------------------------------------------------- targets instead of files */

static void add_source(json_t *targets, const json_t *link)
{
    if (!tb_json_is_link(link))
        return;
    json_t *id = json_array_get(link, 0);
    for (size_t i = 0; i < json_array_size(targets); i++)
        if (json_equal(json_array_get(targets, i), id))
            return;
    json_array_append(targets, id);
}

/* Nodes that write files give way to what they are fed with. */
static tb_status aim(cli_source *s, tb_err *err)
{
    const tb_types *types = cli_source_types(s, err);
    json_t *graph = json_object_get(s->document, "graph"), *node, *value, *targets = json_array();
    const char *id, *name;
    if (!types) {
        json_decref(targets);
        return err->status;
    }
    json_object_foreach(graph, id, node)
    {
        const char *class_type = json_string_value(json_object_get(node, "class_type"));
        const tb_type *t = class_type ? tb_types_find(types, class_type) : NULL;
        if (!t || !(t->def->flags & TB_NODE_TARGET))
            continue;
        json_object_foreach(json_object_get(node, "inputs"), name, value)
            add_source(targets, value);
    }
    if (json_array_size(targets))
        json_object_set(s->document, "targets", targets);
    json_decref(targets);
    return TB_OK;
}

/* -------------------------------------------------------------------------------------- the answer
 */

static const char *meaning(double db)
{
    return db >= 40   ? "the two cannot be told apart by eye"
           : db >= 30 ? "the same video; fine details differ when looked at side by side"
           : db >= 20
               ? "the same scene with visible differences; look at both before relying on int8"
               : "int8 leads to another video here; stay with f32 for this one";
}

static json_t *compare(const side *a, const side *b)
{
    json_t *steps = json_array(), *outputs = json_array();
    for (size_t i = 0; i < a->count && i < b->count; i++) {
        distance d = { 0 };
        add_value(&d, a->steps[i].latent, b->steps[i].latent);
        json_array_append_new(
            steps, json_pack("{ss sf}", "node", a->steps[i].node, "relative_error", relative(&d)));
    }
    for (size_t i = 0; i < a->output_count && i < b->output_count; i++) {
        distance d = { 0 };
        add_value(&d, a->outputs[i].latent, b->outputs[i].latent);
        if (d.count > 0)
            json_array_append_new(outputs, json_pack("{ss sf sf ss}", "node", a->outputs[i].node,
                                                     "relative_error", relative(&d), "psnr_db",
                                                     psnr(&d), "meaning", meaning(psnr(&d))));
    }
    return json_pack("{so so s{sf sf}}", "steps", steps, "outputs", outputs, "transformer_seconds",
                     "f32", a->seconds, "int8", b->seconds);
}

static void print(const json_t *j)
{
    json_t *item;
    size_t i;
    cli_table t = { .columns = 2, .right = 1 << 1 };
    cli_table_add(&t, "step");
    cli_table_add(&t, "relative error");
    json_array_foreach(json_object_get(j, "steps"), i, item)
    {
        cli_table_add(&t, json_string_value(json_object_get(item, "node")));
        cli_table_addf(&t, "%.5f", json_real_value(json_object_get(item, "relative_error")));
    }
    cli_table_print(&t, stdout, true);
    json_array_foreach(json_object_get(j, "outputs"), i, item)
        printf("\n%s: relative error %.5f, PSNR %.1f dB: %s.\n",
               json_string_value(json_object_get(item, "node")),
               json_real_value(json_object_get(item, "relative_error")),
               json_real_value(json_object_get(item, "psnr_db")),
               json_string_value(json_object_get(item, "meaning")));
    const json_t *s = json_object_get(j, "transformer_seconds");
    const double f32 = json_real_value(json_object_get(s, "f32")),
                 int8 = json_real_value(json_object_get(s, "int8"));
    if (int8 > 0)
        printf(
            "Behind the first evaluation, which opens it, the transformer took %.2f s in f32 and "
            "%.2f s in int8, %.2f times as fast.\n",
            f32, int8, f32 / int8);
}

static int run(cli_args *args)
{
    tb_err err = TB_ERR_INIT;
    cli_source source;
    const bool show = isatty(STDERR_FILENO);
    side f32 = { .mode = "f32", .show = show }, int8 = { .mode = "int8", .show = show };
    int code = cli_source_prepare(&source, args);
    if (code < 0) {
        tb_status st = aim(&source, &err);
        f32.targets = int8.targets = json_object_get(source.document, "targets");
        st = st == TB_OK ? run_side(&f32, &source, args, &err) : st;
        st = st == TB_OK ? run_side(&int8, &source, args, &err) : st;
        if (st == TB_OK && !f32.count)
            tb_err_set(&err, TB_EINVAL, "the graph samples nothing that could be compared");
        code = err.status == TB_OK ? 0 : cli_fail(&err);
    }
    if (f32.count && code == 0) {
        json_t *j = compare(&f32, &int8);
        if (cli_flag(args, "json"))
            cli_print_json(j);
        else
            print(j);
        json_decref(j);
    }
    clear(&f32);
    clear(&int8);
    cli_source_close(&source);
    return code;
}

static const cli_option options[] = {
    CLI_GRAPH_OPTIONS,
    { "json", NULL, "Print JSON." },
    { "threads", "N", "Compute threads (default: all cores)." },
    CLI_MODELS_OPTION,
    CLI_MEMORY_OPTION,
    { 0 },
};

const cli_command cli_model_compare = {
    .name = "model compare",
    .operands = "GRAPH",
    .summary = "Say how far int8 leads from f32 on a graph, step by step",
    .detail =
        "The graph runs twice, in f32 and in int8 (--compute int8), without the store and without\n"
        "writing files. For each denoising step the relative error of the latent is printed, for\n"
        "what comes out the relative error and the PSNR against its own range.",
    .options = options,
    .examples = { "tubelet model compare graphs/text_to_video.lua --prompt \"a red ball "
                  "bounces\"" },
    .max_operands = 1,
    .takes_graph = true,
    .run = run,
};
