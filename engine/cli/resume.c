/* resume.c - `tubelet resume`: go on with a run that was stopped, failed or killed. */
#include <stdlib.h>
#include <string.h>

#include "cli/session.h"
#include "cli/storing.h"
#include "compute/mode.h"

enum { LOOK_BACK = 1000 }; /* runs searched for an unfinished one */

static bool is_done(const tb_run_info *r)
{
    return strcmp(r->status, "done") == 0;
}

static json_t *read_document(const tb_run_info *r, tb_err *err)
{
    const char *text = r->document ? r->document : "";
    return tb_json_parse(text, strlen(text), "the stored graph", err);
}

/* The same but for the numeric class: a video finished in another mode is finished. */
static bool same_document(const tb_run_info *a, const tb_run_info *b)
{
    json_t *x = read_document(a, NULL), *y = read_document(b, NULL);
    json_object_del(x, "class");
    json_object_del(y, "class");
    const bool same = x && y && json_equal(x, y);
    json_decref(x);
    json_decref(y);
    return same;
}

/* Has the very same graph been finished by one of the newer runs, list[0..count-1]? */
static bool finished_since(tb_store *store, const tb_run_info *run, const tb_run_info *list,
                           int count)
{
    bool found = false;
    for (int i = 0; i < count && !found; i++) {
        tb_run_info later = { 0 };
        if (!is_done(&list[i]) || strcmp(list[i].title, run->title) != 0 ||
            tb_store_run_get(store, list[i].id, &later, NULL) != TB_OK)
            continue;
        found = same_document(&later, run);
        tb_run_info_clear(&later);
    }
    return found;
}

static tb_status newest_unfinished(tb_store *store, tb_run_info *info, tb_err *err)
{
    tb_run_info *list = NULL;
    int count = 0;
    TB_TRY(tb_store_runs(store, LOOK_BACK, &list, &count, err));
    for (int i = 0; i < count && !info->id; i++) {
        if (is_done(&list[i]) || strcmp(list[i].status, "running") == 0)
            continue;
        if (tb_store_run_get(store, list[i].id, info, NULL) == TB_OK &&
            finished_since(store, info, list, i))
            tb_run_info_clear(info);
    }
    for (int i = 0; i < count; i++)
        tb_run_info_clear(&list[i]);
    free(list);
    return info->id ? TB_OK
                    : tb_err_set(err, TB_ENOTFOUND,
                                 "every run in the store is finished; there is nothing to resume");
}

static tb_status find_run(tb_store *store, uint64_t id, tb_run_info *info, tb_err *err)
{
    if (!id)
        return newest_unfinished(store, info, err);
    const tb_status st = tb_store_run_get(store, id, info, err);
    if (st == TB_ENOTFOUND) {
        tb_err_clear(err);
        return tb_err_set(err, st, "there is no run %llu; 'tubelet runs' lists them",
                          (unsigned long long)id);
    }
    if (st == TB_OK && strcmp(info->status, "running") == 0)
        return tb_err_set(err, TB_EINVAL, "run %llu is running now; stop it first, or wait",
                          (unsigned long long)id);
    return st;
}

static tb_status stored_run(const cli_args *args, tb_run_info *info, tb_err *err)
{
    int64_t id = 0;
    if (args->operand_count)
        TB_TRY(cli_number(args->operands[0], "RUN", 1, INT64_MAX, &id, err));
    tb_store *store = cli_store_open(args, true, err);
    if (!store)
        return err->status;
    const tb_status st = find_run(store, (uint64_t)id, info, err);
    tb_store_close(&store);
    return st;
}

/* The mode to go on in: the one asked for, else the run's own. Runs of older versions do not say
 * theirs: f32. */
static tb_mode mode_of(const cli_args *args, const char *class)
{
    const char *asked = cli_text(args, "compute");
    tb_mode mode = TB_MODE_F32;
    if (asked)
        tb_mode_parse(asked, &mode, NULL);
    else
        tb_mode_of_class(class, &mode);
    return mode;
}

/* Why finished steps are not found. */
static void tell_class(uint64_t run, const char *then, const char *now)
{
    if (then && strcmp(then, now) != 0)
        fprintf(stderr,
                "Run %llu was computed as %s, this goes on as %s: results of the two are kept "
                "apart, so its finished steps are computed again.\n",
                (unsigned long long)run, then, now);
}

static int resume_run(const cli_args *args, const tb_run_info *info)
{
    tb_err err = TB_ERR_INIT;
    json_t *document = read_document(info, &err);
    if (!document)
        return cli_fail(&err);
    const char *class = json_string_value(json_object_get(document, "class"));
    const tb_mode mode = mode_of(args, class);
    fprintf(stderr, "Resuming run %llu: %s\n", (unsigned long long)info->id,
            info->title ? info->title : "");
    tell_class(info->id, class, tb_mode_class(mode));
    const int code = cli_session(&(cli_session_options){ .document = document,
                                                         .title = info->title,
                                                         .args = args,
                                                         .resume = info->id,
                                                         .compute = tb_mode_name(mode) });
    json_decref(document);
    return code;
}

static int run(cli_args *args)
{
    tb_err err = TB_ERR_INIT;
    tb_run_info info = { 0 };
    const tb_status st = stored_run(args, &info, &err);
    const int code = st == TB_OK       ? resume_run(args, &info)
                     : st == TB_EUSAGE ? cli_usage(args->command, &err)
                                       : cli_fail(&err);
    tb_run_info_clear(&info);
    return code;
}

static const cli_option options[] = {
    { "json", NULL, "One JSON object a line on stdout for everything that happens." },
    { "threads", "N", "Compute threads (default: all cores)." },
    CLI_COMPUTE_OPTION,
    CLI_MODELS_OPTION,
    CLI_MEMORY_OPTION,
    CLI_STORE_OPTION,
    { 0 },
};

const cli_command cli_resume = {
    .name = "resume",
    .operands = "[RUN]",
    .summary = "Go on with a run that was stopped; by default the newest unfinished one",
    .detail =
        "The graph is the one that was stored with the run; finished nodes are not run again.\n"
        "It goes on in the run's own mode (f32 or int8), unless --compute asks for the other.\n"
        "'tubelet runs' shows the numbers.",
    .options = options,
    .examples = { "tubelet resume", "tubelet resume 12" },
    .max_operands = 1,
    .run = run,
};
