/* model.c - `tubelet model show`: what a model folder or file, or a LoRA is, without loading it,
 * and what a video costs with it. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "cli/cli.h"
#include "models/models.h"

static char *plain_text(const json_t *v)
{
    if (json_is_real(v))
        return tb_xasprintf("%.7g", json_real_value(v));
    return json_is_string(v) ? tb_xstrdup(json_string_value(v))
           : json_is_null(v) ? tb_xstrdup("none")
                             : tb_json_canonical(v);
}

static bool is_plain(const json_t *v)
{
    return !json_is_object(v) && !json_is_array(v);
}

/* ------------------------------------------------------------------------------- one table */

/* "F16", or "BF16 700, F32 3" when there are several. */
static void dtype_cell(cli_table *t, const json_t *dtypes)
{
    json_t *o = (json_t *)(uintptr_t)dtypes, *count;
    const char *name;
    tb_str s = TB_STR_INIT;
    json_object_foreach(o, name, count)
    {
        tb_str_addf(&s, "%s%s", s.len ? ", " : "", name);
        if (json_object_size(o) > 1)
            tb_str_addf(&s, " %lld", (long long)json_integer_value(count));
    }
    cli_table_add(t, s.s);
    tb_str_free(&s);
}

static void bytes_cell(cli_table *t, const json_t *v)
{
    char text[40];
    cli_table_add(t, json_is_integer(v) ? tb_str_bytes((unsigned long long)json_integer_value(v),
                                                       text, sizeof text)
                                        : "");
}

static void count_cell(cli_table *t, const json_t *v)
{
    const double n = json_number_value(v);
    if (!json_is_integer(v))
        cli_table_add(t, "");
    else if (n >= 1e9)
        cli_table_addf(t, "%.2f G", n / 1e9);
    else if (n >= 1e6)
        cli_table_addf(t, "%.2f M", n / 1e6);
    else
        cli_table_addf(t, "%.0f", n);
}

static void print_parts(const json_t *model)
{
    static const char *const head[] = { "  part", "parameters", "dtype", "file", "memory", "path" };
    cli_table t = { .columns = 6, .right = 1 << 1 | 1 << 3 | 1 << 4 };
    json_t *parts = json_object_get(model, "parts"), *part;
    const char *name;
    for (int i = 0; i < 6; i++)
        cli_table_add(&t, head[i]);
    json_object_foreach(parts, name, part)
    {
        cli_table_addf(&t, "  %s", name);
        count_cell(&t, json_object_get(part, "parameters"));
        dtype_cell(&t, json_object_get(part, "dtypes"));
        bytes_cell(&t, json_object_get(part, "bytes"));
        bytes_cell(&t, json_object_get(part, "memory_bytes"));
        cli_table_add(&t, json_string_value(json_object_get(part, "path")));
    }
    cli_table_print(&t, stdout, true);
}

/* ------------------------------------------------------------------------------ every detail */

static void print_pairs(const json_t *object, int indent);

/* Does it need lines of its own below its name? */
static bool is_block(const json_t *v)
{
    return json_is_object(v) || (json_array_size(v) > 0 && !is_plain(json_array_get(v, 0)));
}

static void print_list(const json_t *array)
{
    for (size_t i = 0; i < json_array_size(array); i++) {
        char *text = plain_text(json_array_get(array, i));
        printf("%s%s", i ? ", " : "", text);
        free(text);
    }
    puts(json_array_size(array) ? "" : "none");
}

static void print_value(const json_t *v, int indent)
{
    if (is_plain(v)) {
        char *text = plain_text(v);
        puts(text);
        free(text);
    } else if (!is_block(v)) {
        print_list(v);
    } else {
        putchar('\n');
        for (size_t i = 0; i < json_array_size(v); i++)
            print_pairs(json_array_get(v, i), indent);
        if (json_is_object(v))
            print_pairs(v, indent);
    }
}

static void print_pairs(const json_t *object, int indent)
{
    json_t *o = (json_t *)(uintptr_t)object, *v;
    const char *name;
    int column = 0;
    json_object_foreach(o, name, v)
    {
        const int n = is_block(v) ? 0 : cli_columns(name);
        column = n > column && n <= 32 ? n : column;
    }
    json_object_foreach(o, name, v)
    {
        if (is_block(v))
            printf("%*s%s%s%s", indent, "", cli_style(stdout, "1").text, name,
                   cli_style(stdout, "0").text);
        else
            printf("%*s%-*s  ", indent, "", column, name);
        print_value(v, indent + 2);
    }
}

/* ------------------------------------------------------------------------------------ summary */

static void print_summary(const json_t *model)
{
    static const char *const names[] = { "path",     "family",  "shift",     "guidance",
                                         "boundary", "missing", "unreadable" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const json_t *v = json_object_get(model, names[i]);
        if (!v || json_is_null(v) || (json_is_array(v) && json_array_size(v) == 0))
            continue;
        printf("%-10s  ", names[i]);
        print_value(v, 12);
    }
    putchar('\n');
    print_parts(model);
}

/* --------------------------------------------------------------------------------- of a video */

static tb_status read_video(const cli_args *args, tb_model_video *v, tb_err *err)
{
    const char *size = cli_text(args, "size");
    int64_t width, height;
    if (!tb_str_size(size, &width, &height))
        return tb_err_set(err, TB_EUSAGE, "--size must be WIDTHxHEIGHT, as 832x480, got '%s'",
                          size);
    *v = (tb_model_video){ .width = width,
                           .height = height,
                           .frames = 81,
                           .steps = 50,
                           .guided = !cli_flag(args, "no-guidance") };
    TB_TRY(cli_int(args, "frames", 1, 100000, &v->frames, err));
    return cli_int(args, "steps", 1, 1000, &v->steps, err);
}

static void work_cell(cli_table *t, double flop)
{
    if (flop >= 1e15)
        cli_table_addf(t, "%.2f PFLOP", flop / 1e15);
    else if (flop >= 1e12)
        cli_table_addf(t, "%.2f TFLOP", flop / 1e12);
    else
        cli_table_addf(t, "%.2f GFLOP", flop / 1e9);
}

static void print_cost(const json_t *cost, const tb_model_video *v)
{
    static const char *const head[] = { "  part", "work", "time", "memory" };
    cli_table t = { .columns = 4, .right = 1 << 1 | 1 << 2 | 1 << 3 };
    json_t *part;
    const char *name;
    char text[40], peak[40];
    printf("\n%lldx%lld, %lld frames, %lld steps%s:\n", (long long)v->width, (long long)v->height,
           (long long)v->frames, (long long)v->steps, v->guided ? " with guidance" : "");
    for (int i = 0; i < 4; i++)
        cli_table_add(&t, head[i]);
    json_object_foreach(json_object_get(cost, "parts"), name, part)
    {
        cli_table_addf(&t, "  %s", name);
        work_cell(&t, json_number_value(json_object_get(part, "flop")));
        cli_table_add(&t, tb_str_seconds(json_number_value(json_object_get(part, "seconds")), text,
                                         sizeof text));
        bytes_cell(&t, json_object_get(part, "memory_bytes"));
    }
    cli_table_print(&t, stdout, true);
    printf("at least %s at the %.0f GFLOP/s that this machine reaches now; at most %s of memory at "
           "once\n",
           tb_str_seconds(json_number_value(json_object_get(cost, "seconds")), text, sizeof text),
           json_number_value(json_object_get(cost, "flop_per_second")) / 1e9,
           tb_str_bytes((unsigned long long)json_integer_value(json_object_get(cost, "peak_bytes")),
                        peak, sizeof peak));
}

/* --------------------------------------------------------------------------------- the command */

static int run(cli_args *args)
{
    tb_err err = TB_ERR_INIT;
    tb_model_video video;
    if (args->operand_count < 2) {
        tb_err_set(&err, TB_EUSAGE, "name a model: tubelet model show PATH");
        return cli_usage(args->command, &err);
    }
    const char *path = args->operands[1];
    if (cli_text(args, "size") && read_video(args, &video, &err) != TB_OK)
        return cli_usage(args->command, &err);
    json_t *j = tb_model_describe(path, &err);
    json_t *cost = j && cli_text(args, "size") ? tb_model_cost(path, &video, &err) : NULL;
    if (!j || (cli_text(args, "size") && !cost)) {
        json_decref(j);
        return cli_fail(&err);
    }
    if (cost)
        json_object_set(j, "video", cost);
    if (cli_flag(args, "json"))
        cli_print_json(j);
    else if (cli_flag(args, "all") || !json_object_get(j, "parts"))
        print_pairs(j, 0);
    else
        print_summary(j);
    if (cost && !cli_flag(args, "json") && !cli_flag(args, "all"))
        print_cost(cost, &video);
    json_decref(cost);
    json_decref(j);
    return 0;
}

static const cli_option options[] = {
    { "all", NULL, "Files, sizes and configuration of every part." },
    { "size", "WxH", "Also what a video of this size costs on this machine." },
    { "frames", "N", "Its frames; 81 without it." },
    { "steps", "N", "Its denoising steps; 50 without it." },
    { "no-guidance", NULL, "One evaluation a step instead of two." },
    { "json", NULL, "Print JSON." },
    { 0 },
};

const cli_command cli_model = {
    .name = "model",
    .operands = "show PATH",
    .summary = "Say what a model folder or file or a LoRA is, its size, and what is missing",
    .detail =
        "'tubelet model compare GRAPH' says how far int8 leads from f32 on a graph of yours,\n"
        "'tubelet model verify PATH' whether every file is there, sound, and what was published.",
    .options = options,
    .examples = { "tubelet model show examples/tiny --size 64x64 --frames 17",
                  "tubelet model show Wan2.1-T2V-1.3B --json" },
    .words = "show|compare|verify",
    .max_operands = 2,
    .run = run,
};
