/* model_verify.c - `tubelet model verify`: is every file of a model there, sound, and what was
 * published? */
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/str.h"
#include "cli/cli.h"
#include "models/models.h"

/* ------------------------------------------------------------------------------------- progress */

typedef struct bar {
    int told; /* per cent */
} bar;

static void on_progress(void *ctx, const char *file, int64_t done, int64_t total)
{
    bar *b = ctx;
    const int share = total > 0 ? (int)(100.0 * (double)done / (double)total) : 0;
    if (share == b->told)
        return;
    b->told = share;
    fprintf(stderr, "\r%3d %%  %s\033[K", share, tb_fs_basename(file));
}

/* ---------------------------------------------------------------------------------------- table */

/* The path below the one that was given. */
static const char *below(const char *root, const char *path)
{
    const size_t n = strlen(root);
    return tb_str_starts(path, root) && path[n] ? path + n + strspn(path + n, "/") : path;
}

static void numbers_cell(cli_table *t, const json_t *row)
{
    json_t *bad = json_object_get(row, "bad"), *one;
    long long nan = 0, inf = 0;
    size_t i;
    json_array_foreach(bad, i, one)
    {
        nan += json_integer_value(json_object_get(one, "nan"));
        inf += json_integer_value(json_object_get(one, "inf"));
    }
    const size_t zero = json_array_size(json_object_get(row, "zero"));
    if (json_is_string(json_object_get(row, "error")))
        cli_table_add(t, "DAMAGED");
    else if (nan || inf)
        cli_table_addf(t, "%lld NaN, %lld inf", nan, inf);
    else if (zero)
        cli_table_addf(t, "fine, %zu all 0", zero);
    else
        cli_table_add(t, bad ? "fine" : "");
}

static void print_table(const json_t *report)
{
    static const char *const head[] = {
        "  file", "size", "tensors", "numbers", "content", "SHA-256"
    };
    cli_table t = { .columns = 6, .right = 1 << 1 | 1 << 2 };
    const char *root = json_string_value(json_object_get(report, "path"));
    const json_t *row;
    size_t i;
    char text[40];
    for (int c = 0; c < 6; c++)
        cli_table_add(&t, head[c]);
    json_array_foreach(json_object_get(report, "files"), i, row)
    {
        const json_t *tensors = json_object_get(row, "tensors");
        const char *content = json_string_value(json_object_get(row, "content")),
                   *sha256 = json_string_value(json_object_get(row, "sha256"));
        cli_table_addf(&t, "  %s", below(root, json_string_value(json_object_get(row, "path"))));
        cli_table_add(
            &t, tb_str_bytes((unsigned long long)json_integer_value(json_object_get(row, "bytes")),
                             text, sizeof text));
        if (tensors)
            cli_table_addf(&t, "%lld", (long long)json_integer_value(tensors));
        else
            cli_table_add(&t, "");
        numbers_cell(&t, row);
        cli_table_add(&t, content && strcmp(content, "differs") == 0 ? "DIFFERS"
                          : content                                  ? content
                                                                     : "");
        cli_table_add(&t, sha256 ? sha256 : "");
    }
    cli_table_print(&t, stdout, true);
}

/* -------------------------------------------------------------------------------------- sentences
 */

static void print_head(const json_t *report)
{
    const char *family = json_string_value(json_object_get(report, "family"));
    const json_t *missing = json_object_get(report, "missing"), *name;
    size_t i;
    printf("path        %s\n", json_string_value(json_object_get(report, "path")));
    if (family)
        printf("family      %s\n", family);
    json_array_foreach(missing, i, name)
    {
        printf("%s%s", i ? ", " : "missing     ", json_string_value(name));
    }
    puts(json_array_size(missing) ? "\n" : "");
}

static size_t count_content(const json_t *files, const char *content)
{
    const json_t *row;
    size_t i, n = 0;
    json_array_foreach(files, i, row)
    {
        const char *is = json_string_value(json_object_get(row, "content"));
        n += is && strcmp(is, content) == 0;
    }
    return n;
}

/* Files that were made at full size and never filled are all zeros; but so are some biases. */
static void print_zeros(const json_t *files)
{
    const json_t *row;
    size_t i, n = 0;
    const char *file = NULL, *tensor = NULL;
    json_array_foreach(files, i, row)
    {
        const json_t *zero = json_object_get(row, "zero");
        if (!n && json_array_size(zero)) {
            tensor = json_string_value(json_array_get(zero, 0));
            file = json_string_value(json_object_get(row, "path"));
        }
        n += json_array_size(zero);
    }
    if (n)
        printf("Tensors that are all 0, as where a download was never filled in: %zu, the first is "
               "'%s' of '%s'.\n",
               n, tensor, file);
}

static void print_end(const json_t *report)
{
    const json_t *files = json_object_get(report, "files"),
                 *problems = json_object_get(report, "problems"), *text;
    const size_t count = json_array_size(files), same = count_content(files, "matches"),
                 unknown = count_content(files, "unknown");
    size_t i;
    puts("");
    print_zeros(files);
    json_array_foreach(problems, i, text)
    {
        puts(json_string_value(text));
    }
    if (json_array_size(problems))
        printf("Not well: %zu of the lines above %s what is wrong.\n", json_array_size(problems),
               json_array_size(problems) == 1 ? "says" : "say");
    else if (!unknown)
        puts("All is well: every file is what is on record of it.");
    else if (!same)
        puts("All is well as far as can be known, for nothing is on record here: compare each "
             "SHA-256 "
             "with the publisher's.");
    else
        printf("All is well: %zu of %zu files are what is on record of them, of %zu nothing is on "
               "record.\n",
               same, count, unknown);
}

/* ------------------------------------------------------------------------------------ the command
 */

static int run(cli_args *args)
{
    tb_err err = TB_ERR_INIT;
    bar b = { .told = -1 };
    if (!args->operand_count) {
        tb_err_set(&err, TB_EUSAGE, "name a model: tubelet model verify PATH");
        return cli_usage(args->command, &err);
    }
    const bool show = isatty(STDERR_FILENO);
    const tb_model_watch watch = { show ? on_progress : NULL, &b };
    json_t *report = tb_model_verify(args->operands[0], &watch, &err);
    if (show)
        fputs("\r\033[K", stderr);
    if (!report)
        return cli_fail(&err);
    if (cli_flag(args, "json")) {
        cli_print_json(report);
    } else {
        print_head(report);
        print_table(report);
        print_end(report);
    }
    const bool well = json_array_size(json_object_get(report, "problems")) == 0;
    json_decref(report);
    return well ? 0 : tb_status_exit_code(TB_EFORMAT);
}

static const cli_option options[] = {
    { "json", NULL, "Print JSON." },
    { 0 },
};

const cli_command cli_model_verify = {
    .name = "model verify",
    .operands = "PATH",
    .summary = "Say whether every file of a model is there, sound, and what was published",
    .detail =
        "Every file below PATH is read whole: its structure, its numbers (NaN, infinite, all 0), "
        "its\n"
        "SHA-256. That is compared with what is on record: the links of Hugging Face's cache,\n"
        ".cache/huggingface beside a download, SHA256SUMS, FILE.sha256. Shards are held against "
        "their\n"
        "index, tensors against what the architecture asks for. Exit code 0: nothing is wrong.",
    .options = options,
    .examples = { "tubelet model verify examples/tiny",
                  "tubelet model verify Wan2.1-T2V-1.3B --json" },
    .max_operands = 1,
    .run = run,
};
