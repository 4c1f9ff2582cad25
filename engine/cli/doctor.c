/* doctor.c - `tubelet doctor`: what this machine offers, what is missing, and what installs it. */
#include <dlfcn.h>
#include <errno.h>
#include <lua.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/session.h"
#include "cli/storing.h"
#include "compute/mode.h"
#include "formats/media.h"
#include "graph/types.h"
#include "script/script.h"

typedef struct report {
    json_t *rows; /* [{name, value, ok, help}] */
    int problems;
} report;

static void add(report *r, bool ok, const char *name, const char *help, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));

/* help: what mends it, said only when !ok; may be NULL. */
static void add(report *r, bool ok, const char *name, const char *help, const char *fmt, ...)
{
    char value[900];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(value, sizeof value, fmt, ap);
    va_end(ap);
    json_t *row = json_pack("{ss ss sb}", "name", name, "value", value, "ok", (int)ok);
    if (!ok && help)
        json_object_set_new(row, "help", json_string(help));
    json_array_append_new(r->rows, row);
    r->problems += !ok;
}

/* --------------------------------------------------------------------------------- the machine */

static void check_machine(report *r)
{
    uv_cpu_info_t *cpus = NULL;
    uv_utsname_t os = { 0 };
    int count = 0;
    char total[40], available[40];
    uv_os_uname(&os);
    add(r, true, "system", NULL, "%s %s %s", os.sysname, os.release, os.machine);
    if (uv_cpu_info(&cpus, &count) == 0 && count > 0)
        add(r, true, "processor", NULL, "%s, %d cores", cpus[0].model, count);
    uv_free_cpu_info(cpus, count);
    add(r, true, "memory", NULL, "%s, %s free",
        tb_str_bytes(uv_get_total_memory(), total, sizeof total),
        tb_str_bytes(uv_get_free_memory(), available, sizeof available));
}

/* ------------------------------------------------------------------------------------- OpenBLAS */

/* In a child process: what OpenBLAS takes when nobody tells it better. */
static void print_own_core(int fd)
{
    unsetenv("OPENBLAS_CORETYPE");
    void *lib = dlopen("libopenblas.so.0", RTLD_NOW | RTLD_LOCAL);
    char *(*corename)(void) = NULL;
    void *symbol = lib ? dlsym(lib, "openblas_get_corename") : NULL;
    memcpy(&corename, &symbol, sizeof corename);
    const char *name = corename ? corename() : "";
    const ssize_t ignored = write(fd, name, strlen(name));
    (void)ignored;
    _exit(0);
}

static void own_core(char *buf, size_t n)
{
    int fds[2];
    snprintf(buf, n, "unknown");
    if (pipe(fds) != 0)
        return;
    const pid_t child = fork();
    if (child == 0)
        print_own_core(fds[1]);
    close(fds[1]);
    const ssize_t got = child > 0 ? read(fds[0], buf, n - 1) : 0;
    if (got > 0)
        buf[got] = 0;
    close(fds[0]);
    if (child > 0)
        waitpid(child, NULL, 0);
}

static void check_compute(report *r)
{
    tb_err err = TB_ERR_INIT;
    char own[64];
    own_core(own, sizeof own);
    tb_compute *c = tb_compute_new(0, &err);
    if (!c) {
        add(r, false, "OpenBLAS", "sudo apt-get install libopenblas0-pthread", "%s", err.message);
        return;
    }
    const char *core = tb_compute_blas_core(c);
    add(r, true, "OpenBLAS", NULL, "%s", tb_compute_blas_config(c));
    add(r, true, "core type", NULL, "%s (chosen by OpenBLAS itself: %s)", core, own);
    add(r, true, "kernels", NULL, "%s", tb_compute_class());
    add(r, true, "int8 kernels", NULL, "%s", tb_compute_int8_kernels(c));
    add(r, true, "threads", NULL, "%d", tb_compute_threads(c));
    tb_compute_free(&c);
}

/* ---------------------------------------------------------------------------------------- media */

static bool can_encode(const char *format, tb_err *err)
{
    const bool still = strcmp(format, "png") == 0 || strcmp(format, "jpg") == 0;
    tb_tensor *images = tb_tensor_new_zero(TB_F32, &TB_SHAPE(still ? 1 : 2, 32, 32, 3), err);
    tb_tensor *bytes =
        images
            ? tb_media_encode(images, &(tb_media_options){ .format = format, .fps = 8 }, NULL, err)
            : NULL;
    const bool ok = bytes != NULL;
    tb_tensor_unref(&images);
    tb_tensor_unref(&bytes);
    return ok;
}

static void check_media(report *r)
{
    static const char install[] = "sudo apt-get install libavformat59 libavcodec59 libswscale6";
    static const char *const formats[] = { "mp4", "webm", "gif", "png", "jpg", "webp" };
    tb_err err = TB_ERR_INIT;
    const char *version = tb_media_version(&err);
    if (!version) {
        add(r, false, "FFmpeg", install, "%s", err.message);
        return;
    }
    add(r, true, "FFmpeg", NULL, "%s", version);
    tb_str good = TB_STR_INIT;
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        tb_err why = TB_ERR_INIT;
        if (can_encode(formats[i], &why))
            tb_str_addf(&good, "%s%s", good.len ? ", " : "", formats[i]);
        else
            add(r, false, formats[i], install, "cannot be written: %s", why.message);
    }
    add(r, true, "writes", NULL, "%s", good.len ? good.s : "nothing");
    tb_str_free(&good);
}

/* --------------------------------------------------------------------------- scripts and store */

static void check_script(report *r)
{
    tb_err err = TB_ERR_INIT;
    tb_types *types = tb_types_new();
    tb_script *s = tb_script_start(&err);
    json_t *array = s ? tb_script_types(s, &err) : NULL;
    if (array && tb_types_add(types, array, &err) == TB_OK)
        add(r, true, "nodes", NULL, "%d", tb_types_count(types));
    else
        add(r, false, "Lua child", "build tubelet anew: scripts/demo.sh", "%s", err.message);
    json_decref(array);
    tb_script_stop(&s);
    tb_types_free(&types);
}

static void check_space(report *r, const char *path)
{
    struct statvfs fs;
    char text[40];
    if (statvfs(path, &fs) != 0) {
        add(r, false, "free space", NULL, "unknown: %s", strerror(errno));
        return;
    }
    const unsigned long long space = (unsigned long long)fs.f_bavail * fs.f_frsize;
    add(r, space > 1ULL << 30, "free space",
        "tubelet cache gc --to 1G, or choose another folder with TUBELET_STORE", "%s",
        tb_str_bytes(space, text, sizeof text));
}

static void check_store(report *r, const cli_args *args)
{
    tb_err err = TB_ERR_INIT;
    tb_store_stats st;
    char used[40], cap[40];
    tb_store *s = cli_store_open(args, false, &err);
    if (!s || tb_store_stat(s, &st, &err) != TB_OK) {
        add(r, false, "store", "choose a folder you may write to with --store DIR or TUBELET_STORE",
            "%s", err.message);
        tb_store_close(&s);
        return;
    }
    add(r, true, "store", NULL, "%s: %llu results, %s of %s", tb_store_path(s),
        (unsigned long long)st.results, tb_str_bytes(st.bytes, used, sizeof used),
        tb_str_bytes(st.cap_bytes, cap, sizeof cap));
    check_space(r, tb_store_path(s));
    tb_store_close(&s);
}

/* ------------------------------------------------------------------------------------ the page */

static void print_report(const report *r)
{
    size_t i;
    json_t *row;
    json_array_foreach(r->rows, i, row)
    {
        const bool ok = json_is_true(json_object_get(row, "ok"));
        const char *help = json_string_value(json_object_get(row, "help"));
        printf("%s%s%s  %-10s  ", cli_style(stdout, ok ? "32" : "31").text, ok ? "ok " : "BAD",
               cli_style(stdout, "0").text, json_string_value(json_object_get(row, "name")));
        cli_print_wrapped(stdout, json_string_value(json_object_get(row, "value")), 17,
                          cli_width(stdout));
        if (help)
            printf("%17s-> %s\n", "", help);
    }
    if (r->problems)
        printf("\n%d thing%s missing.\n", r->problems, r->problems == 1 ? " is" : "s are");
    else
        puts("\nAll is well.");
}

static int run(cli_args *args)
{
    report r = { .rows = json_array() };
    add(&r, true, "tubelet", NULL, "%s", TUBELET_VERSION);
    check_machine(&r);
    check_compute(&r);
    add(&r, true, "libraries", NULL, "libuv %s, SQLite %s, " LUA_RELEASE ", jansson %s",
        uv_version_string(), sqlite3_libversion(), jansson_version_str());
    check_media(&r);
    check_script(&r);
    check_store(&r, args);
    if (cli_flag(args, "json"))
        cli_print_json(r.rows);
    else
        print_report(&r);
    json_decref(r.rows);
    return r.problems ? 1 : 0;
}

static const cli_option options[] = {
    { "json", NULL, "Print JSON." },
    CLI_STORE_OPTION,
    { 0 },
};

const cli_command cli_doctor = {
    .name = "doctor",
    .operands = "",
    .summary = "Check this machine: libraries, processor, codecs, store",
    .detail = "Answers 0 when all is well, else 1, with the command that mends it.",
    .options = options,
    .examples = { "tubelet doctor", "tubelet doctor --json" },
    .run = run,
};
