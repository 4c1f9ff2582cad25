/* runs.c - `tubelet runs`: the history. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/str.h"
#include "cli/session.h"
#include "cli/storing.h"

tb_err *cli_store_error(tb_err *err)
{
    if (err->status == TB_EIO)
        err->status = TB_ESTORE;
    return err;
}

tb_store *cli_store_open(const cli_args *args, bool read_only, tb_err *err)
{
    tb_store *s = tb_store_open(
        &(tb_store_options){ .path = cli_text(args, "store"), .read_only = read_only }, err);
    if (!s)
        cli_store_error(err);
    return s;
}

static json_t *run_json(const tb_run_info *r)
{
    return json_pack("{sI ss sI sI si si si ss? ss?}", "run", (json_int_t)r->id, "status",
                     r->status, "started_ms", (json_int_t)r->started_ms, "ended_ms",
                     (json_int_t)r->ended_ms, "nodes_total", r->nodes_total, "nodes_done",
                     r->nodes_done, "nodes_cached", r->nodes_cached, "title", r->title, "error",
                     r->error);
}

static void print_json(const tb_run_info *list, int count)
{
    json_t *array = json_array();
    for (int i = 0; i < count; i++)
        json_array_append_new(array, run_json(&list[i]));
    cli_print_json(array);
    json_decref(array);
}

static void print_table(const tb_run_info *list, int count)
{
    static const char *const head[] = { "run",   "status", "started", "time",
                                        "nodes", "cached", "graph" };
    cli_table t = { .columns = 7, .right = 1 | 1 << 3 | 1 << 4 | 1 << 5 };
    for (int i = 0; i < 7; i++)
        cli_table_add(&t, head[i]);
    for (int i = 0; i < count; i++) {
        const tb_run_info *r = &list[i];
        char text[64];
        cli_table_addf(&t, "%llu", (unsigned long long)r->id);
        cli_table_add(&t, r->status);
        cli_table_add(&t, cli_time(r->started_ms, text, sizeof text));
        cli_table_add(&t, r->ended_ms > r->started_ms
                              ? tb_str_seconds((double)(r->ended_ms - r->started_ms) / 1000, text,
                                               sizeof text)
                              : "");
        cli_table_addf(&t, "%d/%d", r->nodes_done, r->nodes_total);
        cli_table_addf(&t, "%d", r->nodes_cached);
        cli_table_addf(&t, "%s%s%s", r->title ? r->title : "", r->error ? ": " : "",
                       r->error ? r->error : "");
    }
    cli_table_print(&t, stdout, true);
}

static int show(tb_store *store, int limit, bool json)
{
    tb_err err = TB_ERR_INIT;
    tb_run_info *list = NULL;
    int count = 0;
    if (store && tb_store_runs(store, limit, &list, &count, &err) != TB_OK)
        return cli_fail(&err);
    if (json)
        print_json(list, count);
    else if (count)
        print_table(list, count);
    else
        puts("No runs yet.");
    for (int i = 0; i < count; i++)
        tb_run_info_clear(&list[i]);
    free(list);
    return 0;
}

static int run(cli_args *args)
{
    tb_err err = TB_ERR_INIT;
    int64_t limit = 20;
    if (cli_int(args, "limit", 1, 100000, &limit, &err) != TB_OK)
        return cli_usage(args->command, &err);
    tb_store *store = cli_store_open(args, true, &err);
    if (!store && err.status != TB_ENOTFOUND)
        return cli_fail(&err);
    const int code = show(store, (int)limit, cli_flag(args, "json"));
    tb_store_close(&store);
    return code;
}

static const cli_option options[] = {
    { "json", NULL, "Print JSON." },
    { "limit", "N", "Show the newest N runs (default 20)." },
    CLI_STORE_OPTION,
    { 0 },
};

const cli_command cli_runs = {
    .name = "runs",
    .operands = "",
    .summary = "List the runs, newest first",
    .options = options,
    .examples = { "tubelet runs", "tubelet runs --limit 3 --json" },
    .run = run,
};
