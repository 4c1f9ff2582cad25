/* session.c - a run seen from the terminal. */
#include "cli/session.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/progress.h"
#include "cli/storing.h"

enum { TICK_MS = 100 };
static const double told_interval = 0.1; /* seconds between two progress lines of --json */

typedef struct session {
    const cli_session_options *o;
    bool json;
    tb_engine *engine;
    tb_run *run;
    cli_progress *progress; /* NULL with --json and for plans */
    uv_timer_t timer;
    uv_async_t stop;    /* sent by the signal handler */
    double began, told; /* when it began; the last progress line of --json */
    uint64_t run_id;
    tb_plan_summary plan;
    int stored, files, failures;
    bool ended;
    tb_status status;
} session;

/* -------------------------------------------------------------------------------------- Ctrl+C */

static volatile sig_atomic_t presses;
static uv_async_t *stop_async;

static void on_signal(int number)
{
    (void)number;
    if (++presses > 1) {
        static const char text[] = "\nStopped at once; what was stored is kept.\n";
        const ssize_t ignored = write(STDERR_FILENO, text, sizeof text - 1);
        (void)ignored;
        _exit(130);
    }
    uv_async_send(stop_async);
}

static void on_stop(uv_async_t *a)
{
    session *s = a->data;
    if (s->progress)
        cli_progress_clear(s->progress);
    fputs("Stopping; what is finished is kept. Press Ctrl+C again to stop at once.\n", stderr);
    if (s->run)
        tb_run_cancel(s->run);
}

static void catch_signals(session *s, bool on)
{
    static const int numbers[] = { SIGINT, SIGTERM, SIGHUP };
    struct sigaction sa = { .sa_handler = on ? on_signal : SIG_DFL, .sa_flags = SA_RESTART };
    stop_async = on ? &s->stop : stop_async;
    for (int i = 0; i < 3; i++)
        sigaction(numbers[i], &sa, NULL);
}

/* ---------------------------------------------------------------------------------- JSON events */

static const char *event_name(tb_event_kind k)
{
    static const char *const names[] = {
        [TB_EV_PLANNED] = "planned",   [TB_EV_CACHED] = "cached",
        [TB_EV_STARTED] = "started",   [TB_EV_PROGRESS] = "progress",
        [TB_EV_FINISHED] = "finished", [TB_EV_DELIVERED] = "delivered",
        [TB_EV_FAILED] = "failed",     [TB_EV_STORED] = "stored",
        [TB_EV_BLOCKED] = "blocked",   [TB_EV_WARNING] = "warning",
        [TB_EV_END] = "end",
    };
    return names[k];
}

static void set_text(json_t *j, const char *name, const char *text)
{
    if (text && *text)
        json_object_set_new(j, name, json_string(text));
}

static void set_error(json_t *j, const tb_err *err, const char *type)
{
    char text[1400];
    if (!err || err->status == TB_OK)
        return;
    set_text(j, "status", tb_status_name(err->status));
    set_text(j, "node", err->node);
    set_text(j, "input", err->input);
    set_text(j, "origin", err->origin);
    set_text(j, "message", err->message);
    set_text(j, "text", tb_err_text(err, type && *type ? type : NULL, text, sizeof text));
}

static void print_line(json_t *j)
{
    char *text = json_dumps(j, JSON_COMPACT | JSON_REAL_PRECISION(9));
    puts(text ? text : "{}");
    fflush(stdout);
    free(text);
    json_decref(j);
}

static void print_event(session *s, const tb_event *ev)
{
    const double now = tb_clock_seconds();
    if (ev->kind == TB_EV_PROGRESS && now - s->told < told_interval)
        return;
    s->told = now;
    json_t *j = json_object();
    set_text(j, "event", event_name(ev->kind));
    set_text(j, "node", ev->node);
    set_text(j, "type", ev->type);
    if (ev->kind == TB_EV_PROGRESS)
        json_object_set_new(j, "share", json_real(ev->share));
    if (ev->kind == TB_EV_FINISHED)
        json_object_set_new(j, "ms", json_real(ev->ms));
    set_text(j, "path", ev->path);
    set_text(j, "kind", ev->file_kind);
    set_text(j, "text", ev->text);
    set_error(j, ev->err, ev->type);
    if (ev->kind == TB_EV_PLANNED) {
        json_t *summary = cli_plan_json(ev->plan, NULL);
        json_object_update(j, summary);
        json_decref(summary);
    }
    if (ev->kind == TB_EV_END) {
        set_text(j, "status", tb_status_name(ev->status));
        json_object_set_new(j, "run", json_integer((json_int_t)s->run_id));
        json_object_set_new(j, "seconds", json_real(now - s->began));
    }
    print_line(j);
}

/* ---------------------------------------------------------------------------- the end of a run */

static const char *output_name(const session *s, const tb_run *run, const char *node, int slot,
                               char *buf, size_t n)
{
    const json_t *graph = json_object_get(s->o->document, "graph");
    const char *type =
        json_string_value(json_object_get(json_object_get(graph, node), "class_type"));
    const tb_type *t = type ? tb_types_find(tb_run_types(run), type) : NULL;
    if (t && slot < t->output_count)
        return t->def->outputs[slot].name;
    snprintf(buf, n, "%d", slot);
    return buf;
}

static void print_outputs(const session *s, const tb_run *run, const char *node)
{
    int count = 0;
    tb_value *const *outputs = tb_run_outputs(run, node, &count);
    for (int slot = 0; outputs && slot < count; slot++)
        for (int i = 0; i < tb_list_count(outputs[slot]); i++) {
            char name[24], *text = cli_value_text(tb_list_at(outputs[slot], i));
            const char *out = output_name(s, run, node, slot, name, sizeof name);
            if (s->json)
                print_line(json_pack("{ss ss ss ss}", "event", "output", "node", node, "output",
                                     out, "text", text));
            else
                printf("%s.%s = %s\n", node, out, text);
            free(text);
        }
}

/* Is this node one that the run was for? */
static bool is_target(const session *s, const tb_run *run, const char *id, const json_t *node)
{
    const char *until = cli_text(s->o->args, "until");
    const json_t *targets = json_object_get(s->o->document, "targets");
    const char *type = json_string_value(json_object_get(node, "class_type"));
    if (until)
        return strcmp(id, until) == 0;
    for (size_t i = 0; i < json_array_size(targets); i++)
        if (json_is_string(json_array_get(targets, i)) &&
            strcmp(json_string_value(json_array_get(targets, i)), id) == 0)
            return true;
    const tb_type *t = type ? tb_types_find(tb_run_types(run), type) : NULL;
    return json_array_size(targets) == 0 && t && t->def->flags & TB_NODE_TARGET;
}

/* What a run without files was for: the values of its targets. */
static void print_targets(const session *s, const tb_run *run)
{
    json_t *graph = json_object_get(s->o->document, "graph"), *node;
    const char *id;
    json_object_foreach(graph, id, node)
    {
        if (is_target(s, run, id, node))
            print_outputs(s, run, id);
    }
}

static void print_summary(const session *s, const tb_event *ev)
{
    char seconds[40];
    tb_str_seconds(tb_clock_seconds() - s->began, seconds, sizeof seconds);
    if (ev->status == TB_OK) {
        fprintf(stderr, "%d of %d nodes cached, %s\n", s->plan.nodes_cached, s->plan.nodes_total,
                seconds);
        return;
    }
    if (ev->status == TB_ECANCELED)
        fprintf(stderr, "Stopped after %s.", seconds);
    if (s->run_id)
        fprintf(stderr,
                "%s%d finished nodes are stored; 'tubelet resume %llu' goes on from there.\n",
                ev->status == TB_ECANCELED ? " " : "", s->plan.nodes_cached + s->stored,
                (unsigned long long)s->run_id);
    else if (ev->status == TB_ECANCELED)
        fputc('\n', stderr);
}

static void on_end(session *s, tb_run *run, const tb_event *ev)
{
    s->ended = true;
    s->run = NULL;
    s->status = ev->status;
    if (s->plan.nodes_total)
        s->plan = *ev->plan;
    if (s->progress)
        cli_progress_clear(s->progress);
    if (ev->err && ev->status != TB_OK && ev->status != TB_ECANCELED && !s->failures)
        cli_fail(ev->err);
    if (s->o->plan_only)
        return;
    if (ev->status == TB_OK && !s->files)
        print_targets(s, run);
    fflush(stdout);
    if (!s->json)
        print_summary(s, ev);
}

/* -------------------------------------------------------------------------------------- events */

static void show_plan(session *s, tb_run *run, const tb_plan_summary *summary)
{
    json_t *plan = tb_run_plan(run);
    if (!s->o->plan_only) {
        char sentence[300];
        cli_plan_sentence(summary, sentence, sizeof sentence);
        if (s->progress) {
            fprintf(stderr, "%s\n", sentence);
            cli_progress_plan(s->progress, plan);
        }
    } else if (s->json) {
        json_t *j = cli_plan_json(summary, plan);
        cli_print_json(j);
        json_decref(j);
    } else {
        char sentence[300];
        cli_plan_sentence(summary, sentence, sizeof sentence);
        puts(sentence);
        cli_plan_table(plan, cli_flag(s->o->args, "all"));
    }
    json_decref(plan);
}

static void show_text(session *s, const tb_event *ev)
{
    char text[1400];
    if (s->progress)
        cli_progress_clear(s->progress);
    if (ev->kind == TB_EV_FAILED && ev->err && !*ev->err->node && !*ev->err->origin)
        cli_fail(ev->err);
    else if (ev->kind == TB_EV_DELIVERED)
        puts(ev->path);
    else if (ev->kind == TB_EV_BLOCKED)
        fprintf(stderr, "node '%s' (%s) did not run: %s\n", ev->node, ev->type, ev->text);
    else if (ev->kind == TB_EV_WARNING)
        fprintf(stderr, "warning: %s\n", ev->text);
    else if (ev->err)
        fprintf(stderr, "%s\n", tb_err_text(ev->err, ev->type, text, sizeof text));
    fflush(stdout);
}

static void on_event(void *ctx, tb_run *run, const tb_event *ev)
{
    session *s = ctx;
    if (!s->run_id)
        s->run_id = tb_run_id(run);
    if (ev->kind == TB_EV_PLANNED) {
        s->plan = *ev->plan;
        show_plan(s, run, ev->plan);
    }
    s->stored += ev->kind == TB_EV_STORED;
    s->files += ev->kind == TB_EV_DELIVERED;
    s->failures += ev->kind == TB_EV_FAILED;
    if (ev->kind == TB_EV_END)
        on_end(s, run, ev);
    if (s->json && !s->o->plan_only)
        print_event(s, ev);
    else if (ev->kind == TB_EV_DELIVERED || ev->kind == TB_EV_BLOCKED ||
             ev->kind == TB_EV_WARNING || ev->kind == TB_EV_FAILED)
        show_text(s, ev);
    if (s->progress && ev->kind != TB_EV_END)
        cli_progress_event(s->progress, ev);
}

static void on_tick(uv_timer_t *t)
{
    const session *s = t->data;
    if (s->progress && !s->ended) /* the summary has the last word */
        cli_progress_tick(s->progress);
}

/* ---------------------------------------------------------------------------------- start, run */

static void print_errors(const session *s, const tb_err_list *list, const tb_err *err)
{
    char text[1400];
    for (int i = 0; i < list->count; i++) {
        const char *type = *list->types[i] ? list->types[i] : NULL;
        fprintf(stderr, "%s\n", tb_err_text(&list->items[i], type, text, sizeof text));
        if (s->json) {
            json_t *j = json_pack("{ss}", "event", "error");
            set_error(j, &list->items[i], type);
            print_line(j);
        }
    }
    if (!list->count)
        cli_fail(err);
}

static void open_loop(session *s)
{
    uv_loop_t *loop = tb_engine_loop(s->engine);
    uv_timer_init(loop, &s->timer);
    uv_async_init(loop, &s->stop, on_stop);
    s->timer.data = s->stop.data = s;
    uv_timer_start(&s->timer, on_tick, TICK_MS, TICK_MS);
    uv_unref((uv_handle_t *)&s->timer);
    uv_unref((uv_handle_t *)&s->stop);
    catch_signals(s, true);
}

static void close_loop(session *s)
{
    catch_signals(s, false);
    uv_close((uv_handle_t *)&s->timer, NULL);
    uv_close((uv_handle_t *)&s->stop, NULL);
    uv_run(tb_engine_loop(s->engine), UV_RUN_NOWAIT);
}

void cli_add_models(tb_engine *e, const cli_args *args)
{
    tb_folders *f = tb_engine_folders(e);
    for (int i = 0; i < args->given_count; i++)
        if (strcmp(args->given[i].option->name, "models") == 0)
            tb_folders_add_root(f, args->given[i].value);
    tb_folders_add_usual_roots(f);
}

/* Previews go where nobody has to tidy up. */
static void set_folders(const session *s)
{
    char *cache = tb_fs_cache_dir(), *temp = tb_fs_join(cache, "temp");
    cli_add_models(s->engine, s->o->args);
    tb_folders_set(tb_engine_folders(s->engine), "temp", temp);
    free(temp);
    free(cache);
}

static int submit_and_wait(session *s, tb_err *err)
{
    tb_err_list errors = { 0 };
    const tb_run_options ro = {
        .document = s->o->document,
        .script = s->o->script,
        .title = s->o->title,
        .until = cli_text(s->o->args, "until"),
        .no_cache = cli_flag(s->o->args, "no-cache"),
        .plan_only = s->o->plan_only,
        .resume = s->o->resume,
        .on_event = on_event,
        .ctx = s,
    };
    open_loop(s);
    s->run = tb_engine_submit(s->engine, &ro, &errors, err);
    if (!s->run) {
        print_errors(s, &errors, err);
        s->status = err->status;
    }
    while (s->run && !s->ended && uv_run(tb_engine_loop(s->engine), UV_RUN_ONCE))
        ;
    close_loop(s);
    tb_err_list_free(&errors);
    return tb_status_exit_code(s->status);
}

int cli_session(const cli_session_options *o)
{
    tb_err err = TB_ERR_INIT;
    session s = { .o = o, .json = cli_flag(o->args, "json"), .began = tb_clock_seconds() };
    int64_t threads = 0;
    uint64_t memory = 0;
    if (cli_int(o->args, "threads", 1, 64, &threads, &err) != TB_OK ||
        cli_bytes(o->args, "memory", &memory, &err) != TB_OK)
        return cli_usage(o->args->command, &err);
    const char *store = cli_text(o->args, "store"), *compute = cli_text(o->args, "compute");
    /* looking at a plan makes no store */
    const bool no_store =
        cli_flag(o->args, "no-store") || (o->plan_only && !tb_store_exists(store));
    s.engine = tb_engine_new(&(tb_engine_options){ .store_path = store,
                                                   .no_store = no_store,
                                                   .threads = (int)threads,
                                                   .compute = compute ? compute : o->compute,
                                                   .memory_limit = memory },
                             &err);
    if (!s.engine)
        return cli_fail(cli_store_error(&err));
    set_folders(&s);
    if (!s.json && !o->plan_only)
        s.progress = cli_progress_new(stderr, isatty(STDERR_FILENO));
    const int code = submit_and_wait(&s, &err);
    cli_progress_free(&s.progress);
    tb_engine_free(&s.engine);
    return code;
}
