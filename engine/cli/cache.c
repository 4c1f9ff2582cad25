/* cache.c - `tubelet cache`: look into the store, check it, make room, protect results. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "cli/session.h"
#include "cli/storing.h"

enum { SHORT_KEY = 12 }; /* hex digits shown in lists; enough to be named by */

/* ---------------------------------------------------------------------------------------- list */

static json_t *info_json(const tb_result_info *r)
{
    char hex[TB_KEY_HEX];
    return json_pack("{ss ss sI sf sI sI sb}", "key", tb_key_hex(&r->key, hex), "type", r->type,
                     "bytes", (json_int_t)r->bytes, "cost_ms", r->cost_ms, "created_ms",
                     (json_int_t)r->created_ms, "used_ms", (json_int_t)r->used_ms, "pinned",
                     (int)r->pinned);
}

static json_t *stats_json(tb_store *s, const tb_store_stats *st)
{
    return json_pack("{ss sI sI sI sI sI sI}", "path", tb_store_path(s), "results",
                     (json_int_t)st->results, "blobs", (json_int_t)st->blobs, "bytes",
                     (json_int_t)st->bytes, "cap_bytes", (json_int_t)st->cap_bytes, "pinned",
                     (json_int_t)st->pinned, "runs", (json_int_t)st->runs);
}

static void print_results(const tb_result_info *list, int count)
{
    static const char *const head[] = { "key", "type", "size", "cost", "last used", "" };
    cli_table t = { .columns = 6, .right = 1 << 2 | 1 << 3 };
    for (int i = 0; i < 6; i++)
        cli_table_add(&t, head[i]);
    for (int i = 0; i < count; i++) {
        char hex[TB_KEY_HEX], text[64];
        cli_table_addf(&t, "%.*s", SHORT_KEY, tb_key_hex(&list[i].key, hex));
        cli_table_add(&t, list[i].type);
        cli_table_add(&t, tb_str_bytes(list[i].bytes, text, sizeof text));
        cli_table_add(&t, tb_str_seconds(list[i].cost_ms / 1000, text, sizeof text));
        cli_table_add(&t, cli_time(list[i].used_ms, text, sizeof text));
        cli_table_add(&t, list[i].pinned ? "pinned" : "");
    }
    cli_table_print(&t, stdout, true);
}

static void print_stats(tb_store *s, const tb_store_stats *st)
{
    char used[40], cap[40];
    printf("%llu results, %s of %s, %llu pinned, %llu runs, in %s\n",
           (unsigned long long)st->results, tb_str_bytes(st->bytes, used, sizeof used),
           tb_str_bytes(st->cap_bytes, cap, sizeof cap), (unsigned long long)st->pinned,
           (unsigned long long)st->runs, tb_store_path(s));
}

static void print_list_json(tb_store *s, const tb_store_stats *st, const tb_result_info *list,
                            int count)
{
    json_t *j = stats_json(s, st), *items = json_array();
    for (int i = 0; i < count; i++)
        json_array_append_new(items, info_json(&list[i]));
    json_object_set_new(j, "items", items);
    cli_print_json(j);
    json_decref(j);
}

static tb_status list_results(tb_store *s, const cli_args *args, tb_err *err)
{
    int64_t limit = 20;
    tb_result_info *list = NULL;
    int count = 0;
    tb_store_stats st;
    const char *sort = cli_text(args, "sort");
    TB_TRY(cli_int(args, "limit", 1, 1000000, &limit, err));
    TB_TRY(tb_store_stat(s, &st, err));
    TB_TRY(tb_store_list(s, sort ? sort : "used", (int)limit, &list, &count, err));
    if (cli_flag(args, "json")) {
        print_list_json(s, &st, list, count);
    } else {
        if (count)
            print_results(list, count);
        printf("%s", count ? "\n" : "");
        print_stats(s, &st);
    }
    free(list);
    return TB_OK;
}

/* ---------------------------------------------------------------------------------- one result */

static tb_status named_key(tb_store *s, const cli_args *args, tb_key *key, tb_err *err)
{
    if (args->operand_count < 2)
        return tb_err_set(err, TB_EUSAGE, "cache %s needs a key; 'tubelet cache ls' shows them",
                          args->operands[0]);
    return tb_store_key_of_prefix(s, args->operands[1], key, err);
}

static tb_status pin(tb_store *s, const cli_args *args, bool pinned, tb_err *err)
{
    tb_key key;
    char hex[TB_KEY_HEX];
    TB_TRY(named_key(s, args, &key, err));
    TB_TRY(tb_store_pin(s, &key, pinned, err));
    TB_TRY(tb_store_flush(s, err));
    printf("%.*s is %s.\n", SHORT_KEY, tb_key_hex(&key, hex),
           pinned ? "pinned: it is never evicted" : "no longer pinned");
    return TB_OK;
}

static json_t *tensor_json(void *ctx, const tb_tensor *t, tb_err *err)
{
    char text[96];
    (void)ctx;
    (void)err;
    return json_sprintf("%s %s", tb_dtype_name(tb_tensor_dtype(t)),
                        tb_shape_text(tb_tensor_shape(t), text, sizeof text));
}

static tb_status outputs_json(tb_store *s, const tb_key *key, json_t *into, tb_err *err)
{
    tb_value **outputs = NULL;
    int count = 0;
    TB_TRY(tb_store_get(s, key, &outputs, &count, err));
    for (int i = 0; i < count; i++) {
        json_t *j = tb_value_to_json(outputs[i], tensor_json, NULL, err);
        json_array_append_new(into, j ? j : json_null());
        tb_value_unref(&outputs[i]);
    }
    free(outputs);
    return TB_OK;
}

static void print_result(const tb_result_info *r, const json_t *outputs)
{
    char hex[TB_KEY_HEX], text[64];
    printf("key      %s\ntype     %s\n", tb_key_hex(&r->key, hex), r->type);
    printf("size     %s\n", tb_str_bytes(r->bytes, text, sizeof text));
    printf("cost     %s\n", tb_str_seconds(r->cost_ms / 1000, text, sizeof text));
    printf("created  %s\n", cli_time(r->created_ms, text, sizeof text));
    printf("used     %s\n", cli_time(r->used_ms, text, sizeof text));
    printf("pinned   %s\n", r->pinned ? "yes" : "no");
    size_t i;
    json_t *j;
    json_array_foreach(outputs, i, j)
    {
        char *line = tb_json_canonical(j);
        printf("%-7s  %zu: %s\n", i ? "" : "outputs", i, line);
        free(line);
    }
}

static tb_status show(tb_store *s, const cli_args *args, tb_err *err)
{
    tb_key key;
    tb_result_info info;
    TB_TRY(named_key(s, args, &key, err));
    if (!tb_store_has(s, &key, &info))
        return tb_err_set(err, TB_ENOTFOUND, "there is no result %s; 'tubelet cache ls' shows them",
                          args->operands[1]);
    json_t *outputs = json_array();
    const tb_status st = outputs_json(s, &key, outputs, err);
    if (st == TB_OK && cli_flag(args, "json")) {
        json_t *j = info_json(&info);
        json_object_set(j, "outputs", outputs);
        cli_print_json(j);
        json_decref(j);
    } else if (st == TB_OK) {
        print_result(&info, outputs);
    }
    json_decref(outputs);
    return st;
}

/* -------------------------------------------------------------------------------- housekeeping */

static tb_status gc(tb_store *s, const cli_args *args, tb_err *err)
{
    uint64_t target = UINT64_MAX, freed = 0;
    char text[40];
    TB_TRY(cli_bytes(args, "to", &target, err));
    TB_TRY(tb_store_gc(s, target, &freed, err));
    if (cli_flag(args, "json"))
        printf("{\"freed_bytes\": %llu}\n", (unsigned long long)freed);
    else
        printf("%s freed.\n", tb_str_bytes(freed, text, sizeof text));
    return TB_OK;
}

/* The exit code tells what was found: 0 sound, 1 corrupt, 2 missing, 3 unreadable. */
static tb_status verify(tb_store *s, const cli_args *args, int *code, tb_err *err)
{
    uint64_t checked = 0, corrupt = 0, missing = 0;
    TB_TRY(tb_store_verify(s, code, &checked, &corrupt, &missing, err));
    if (cli_flag(args, "json"))
        printf("{\"checked\": %llu, \"corrupt\": %llu, \"missing\": %llu, \"sound\": %s}\n",
               (unsigned long long)checked, (unsigned long long)corrupt,
               (unsigned long long)missing, *code == 0 ? "true" : "false");
    else
        printf("%llu checked, %llu corrupt, %llu missing: %s\n", (unsigned long long)checked,
               (unsigned long long)corrupt, (unsigned long long)missing,
               *code == 0 ? "the store is sound."
                          : "what was damaged is dropped and will be computed again.");
    return TB_OK;
}

static tb_status dispatch(tb_store *s, const cli_args *args, int *code, tb_err *err)
{
    const char *word = args->operands[0];
    if (strcmp(word, "ls") == 0)
        return list_results(s, args, err);
    if (strcmp(word, "show") == 0)
        return show(s, args, err);
    if (strcmp(word, "verify") == 0)
        return verify(s, args, code, err);
    if (strcmp(word, "gc") == 0)
        return gc(s, args, err);
    return pin(s, args, strcmp(word, "pin") == 0, err);
}

static int run(cli_args *args)
{
    tb_err err = TB_ERR_INIT;
    int code = 0;
    if (!args->operand_count) {
        tb_err_set(&err, TB_EUSAGE, "say what to do: one of %s", args->command->words);
        return cli_usage(args->command, &err);
    }
    const bool looks =
        strcmp(args->operands[0], "ls") == 0 || strcmp(args->operands[0], "show") == 0;
    tb_store *s = cli_store_open(args, looks, &err);
    if (!s)
        return cli_fail(&err);
    const tb_status st = dispatch(s, args, &code, &err);
    tb_store_close(&s);
    if (st == TB_EUSAGE)
        return cli_usage(args->command, &err);
    return st == TB_OK ? code : cli_fail(&err);
}

static const cli_option options[] = {
    { "sort", "ORDER", "ls: the order.", .choices = "used|created|bytes|cost" },
    { "limit", "N", "ls: show N results (default 20)." },
    { "to", "SIZE", "gc: evict down to this size, e.g. 2G (default: the cap)." },
    { "json", NULL, "Print JSON." },
    CLI_STORE_OPTION,
    { 0 },
};

const cli_command cli_cache = {
    .name = "cache",
    .operands = "ls | show KEY | verify | gc | pin KEY | unpin KEY",
    .summary = "Look into the store, check it, make room in it, protect results",
    .detail = "A KEY may be shortened to its first digits, as long as they name one result.",
    .options = options,
    .examples = { "tubelet cache ls --sort cost", "tubelet cache gc --to 2G" },
    .words = "ls|show|verify|gc|pin|unpin",
    .max_operands = 2,
    .run = run,
};
