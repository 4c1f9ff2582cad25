/* test_script_escape.c - hostile scripts: each ends within 6 s with one clean sentence, and the
 * engine works on. reliability.md 7, T-lua.
 *
 * The memory limit here is the allocator's; RLIMIT_AS is off in sanitized builds
 * (engine/script/child.c).
 */
#include "test.h"

#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "script/script.h"

#define MAX_SECONDS 6.0

#define TOO_LONG "the script ran too long: more instructions than allowed; look for an endless loop"
#define TOO_MUCH "the script needs more than 64 MiB of memory"
#define CPU_TIME \
    "the script took too long; look for an endless loop or a string pattern that never ends"
#define AT "graphs/x.lua:4: "

/* body runs in build, on line 4; want: the whole text, or its beginning when it ends in "*". */
static const struct {
    const char *body, *want;
} cases[] = {
    { "while true do end", AT TOO_LONG },
    { "while true do pcall(function() while true do end end) end", AT TOO_LONG },
    { "xpcall(error, function() while true do end end)", AT TOO_LONG },
    { "local function f() xpcall(error, f) end while true do f() end", AT "C stack overflow" },
    { "local c <close> = setmetatable({}, { __close = function() while true do end end })",
      AT TOO_LONG },
    { "string.find(('a'):rep(40000), ('a*'):rep(60) .. 'b')", AT CPU_TIME },
    { "while true do pcall(string.find, ('a'):rep(40000), ('a*'):rep(60) .. 'b') end",
      AT CPU_TIME },
    { "table.move({}, 1, 1 << 40, 2)", AT CPU_TIME },
    { "string.find('x', ('x'):rep(257))",
      AT "a string pattern may have at most 256 bytes, got 257" },
    { "local s = ('x'):rep(1 << 30)", AT TOO_MUCH },
    { "local s = 'x' while true do s = s .. s end", AT TOO_MUCH },
    { "local t = {} for i = 1, 1e9 do t[i] = { i } end", AT TOO_MUCH },
    { "while true do pcall(function() local t = {} for i = 1, 1e9 do t[i] = { i } end end) end",
      AT "*" },
    { "local s = ('x'):gsub('x', ('y'):rep(100000)) while true do s = s:gsub('y', 'yy') end",
      AT "*" },
    { "local t = {} for i = 1, 99999 do t[i] = i end table.sort(t, function() return true end)",
      AT "invalid order function for sorting*" },
    { "string.format('%99999d', 1)", AT "invalid conversion specification: '%99999d'" },
    { "setmetatable({}, { __gc = print })", AT "a metatable with __gc is not allowed in a graph" },
    { "getmetatable('').__index = print", AT "attempt to index a string value*" },
    { "setmetatable('', {})", AT "bad argument #1 to 'setmetatable' (table expected, got string)" },
    { "load('return 1')", AT "attempt to call a nil value (global 'load')" },
    { "string.dump(print)", AT "attempt to call a nil value (field 'dump')" },
    { "io.open('x')", AT "attempt to index a nil value (global 'io')" },
    { "os.exit(0)", AT "attempt to index a nil value (global 'os')" },
    { "debug.sethook()", AT "attempt to index a nil value (global 'debug')" },
    { "coroutine.wrap(print)", AT "attempt to index a nil value (global 'coroutine')" },
    { "package.loaded.tubelet = nil", AT "attempt to index a nil value (global 'package')" },
    { "collectgarbage('stop')", AT "attempt to call a nil value (global 'collectgarbage')" },
    { "require '/etc/passwd'",
      AT "a module is named by letters, digits and dots, got '/etc/passwd'" },
    { "require 'a..b'", AT "a module is named by letters, digits and dots, got 'a..b'" },
    { "require '\\27Lua'", AT "a module is named by letters, digits and dots, got ' Lua'" },
    { "math.randomseed()", AT "bad argument #1 to 'randomseed' (number expected, got no value)" },
    { "local function f(n) return 1 + f(n) end f(1)", AT "stack overflow*" },
    { "local t = setmetatable({}, {}) getmetatable(t).__index = function(x, k) return x[k] end "
      "t.a()",
      AT "C stack overflow" },
    { "local s = ('('):rep(5000) string.find('x', s)",
      AT "a string pattern may have at most 256*" },
    { "error(setmetatable({}, { __tostring = function() while true do end end }))",
      AT "the script raised a table instead of a message" },
    { "error(nil)", AT "the script raised a nil instead of a message" },
    { "error('')", AT "the script raised an error without a message" },
    { "error(('long \\n\\1\\255'):rep(1000000))", AT "long   ?long   ?*" },
    { "local t = {} t.t = t tb.sink { v = t }",
      AT "input 'v' of tb.sink: tables inside tables go deeper than 32, or in a circle" },
    { "local t = {} t[1] = t tb.sink { v = t }",
      AT "input 'v' of tb.sink: tables inside tables go deeper than 32, or in a circle" },
    { "local t = {} for i = 1, 1e5 do t[i] = i end while true do tb.sink { v = t } end", AT "*" },
    { "while true do tb.sink {} end", AT "*" },
    { "local function f() tb.scope('s', f) end f()",
      AT "a scope has a name without '/', and ids at most 255 bytes" },
    { "tb.sink = print",
      AT "names of the module tubelet cannot be set; define a node with tb.node or tb.composite" },
    { "tb.node { name = 'late', run = print }",
      AT "tb.node must be called when the file is loaded, not inside build or expand" },
    { "tb.tensor.zeros { 1 << 62, 1 << 62 }", AT "a tensor of that shape is too large" },
    { "local t = {} for i = 1, 99 do t[i] = tb.tensor.zeros { 1 << 28 } end", AT "*" },
};

static void check_text(const char *body, const char *got, const char *want)
{
    const size_t n = strlen(want);
    const bool part = n > 0 && want[n - 1] == '*';
    const bool same = part ? strncmp(got, want, n - 1) == 0 : strcmp(got, want) == 0;
    if (same && !strpbrk(got, "\n\t\r\033"))
        return;
    fprintf(stderr, "%s\n  gave   %s\n  wanted %s\n", body, got, want);
    tb_test_failures++;
}

static bool still_works(tb_script *s)
{
    tb_err err = TB_ERR_INIT;
    json_t *types = tb_script_types(s, &err);
    const bool works = json_array_size(types) > 0;
    json_decref(types);
    return works;
}

static void check_source(tb_script *s, const char *label, const char *source, const char *want)
{
    tb_err err = TB_ERR_INIT;
    char got[1200];
    const double start = tb_clock_seconds();
    json_t *sources =
        json_pack("{sss{ss}}", "main", "graphs/x.lua", "files", "graphs/x.lua", source);
    json_t *built = NULL;
    if (tb_script_load_sources(s, sources, &err) == TB_OK)
        built = tb_script_build(s, NULL, &err);
    const double seconds = tb_clock_seconds() - start;
    CHECK(!built);
    check_text(label, tb_err_text(&err, NULL, got, sizeof got), want);
    if (seconds > MAX_SECONDS)
        fprintf(stderr, "%s took %.1f s\n", label, seconds);
    CHECK(seconds <= MAX_SECONDS);
    CHECK(still_works(s));
    json_decref(built);
    json_decref(sources);
}

TEST(hostile_builds_end_cleanly)
{
    tb_err err = TB_ERR_INIT;
    tb_script *s = tb_script_start(&err);
    REQUIRE(s);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *source =
            tb_xasprintf("local tb = require 'tubelet'\n"
                         "tb.node { name = 'sink', inputs = { v = tb.port('*', { optional = true "
                         "}) }, outputs = {}, run = print }\n"
                         "return tb.graph { build = function()\n%s\nreturn tb.sink {}\nend }\n",
                         cases[i].body);
        check_source(s, cases[i].body, source, cases[i].want);
        free(source);
    }
    tb_script_stop(&s);
}

TEST(hostile_files_end_cleanly)
{
    tb_err err = TB_ERR_INIT;
    tb_script *s = tb_script_start(&err);
    REQUIRE(s);
    check_source(s, "bytecode", "\033Lua rubbish",
                 "graphs/x.lua cannot be read: attempt to load a binary chunk (mode is 't')");
    check_source(s, "load loop", "while true do end", "graphs/x.lua:1: " TOO_LONG);
    check_source(s, "empty", "",
                 "graphs/x.lua must return tb.graph { build = function(p) ... end }, got nil");
    char *deep = tb_xcalloc(400001, 1);
    memset(deep, '(', 400000);
    check_source(s, "nesting", deep, "graphs/x.lua cannot be read: C stack overflow");
    free(deep);
    tb_script_stop(&s);
}

static void write_file(const char *dir, const char *name, const char *text)
{
    tb_err err = TB_ERR_INIT;
    char *path = tb_fs_join(dir, name);
    CHECK_OK(tb_fs_write(path, text, strlen(text), false, &err));
    free(path);
}

/* A module beside the graph is read; one behind a link that leads out is not, nor a file too large.
 */
TEST(modules_stay_in_their_folder)
{
    tb_err err = TB_ERR_INIT;
    char dir[] = "/tmp/tubelet-test-XXXXXX", want[600];
    REQUIRE(mkdtemp(dir));
    char *graphs = tb_fs_join(dir, "graphs"), *secret = tb_fs_join(dir, "secret.lua");
    char *inside = tb_fs_join(graphs, "link.lua"), *main = tb_fs_join(graphs, "g.lua");
    REQUIRE(mkdir(graphs, 0700) == 0);
    write_file(dir, "secret.lua", "return 'secret'");
    write_file(graphs, "g.lua", "require 'link'");
    REQUIRE(symlink(secret, inside) == 0);
    tb_script *s = tb_script_start(&err);
    REQUIRE(s);
    CHECK(!tb_script_load(s, main, &err));
    CHECK_STR(err.message, "module 'link' lies outside the graph's folder, behind a link");
    snprintf(want, sizeof want, "%s:1", main);
    CHECK_STR(err.origin, want);
    unlink(inside);
    write_file(graphs, "link.lua", "error('loaded')");
    err = TB_ERR_INIT;
    CHECK(!tb_script_load(s, main, &err));
    CHECK_STR(err.message, "loaded");
    char *big = tb_xcalloc((2 << 20) + 1, 1);
    memset(big, '-', 2 << 20);
    write_file(graphs, "link.lua", big);
    err = TB_ERR_INIT;
    CHECK(!tb_script_load(s, main, &err));
    snprintf(want, sizeof want, "'%s' has 2097152 bytes; at most 1048576 are accepted here",
             inside);
    CHECK_STR(err.message, want);
    tb_script_stop(&s);
    unlink(inside);
    unlink(main);
    unlink(secret);
    rmdir(graphs);
    rmdir(dir);
    free(big);
    free(graphs);
    free(secret);
    free(inside);
    free(main);
}

static const struct tb_test tests[] = {
    TEST_CASE(hostile_builds_end_cleanly),
    TEST_CASE(hostile_files_end_cleanly),
    TEST_CASE(modules_stay_in_their_folder),
};

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "__lua") == 0)
        tb_script_child_main(TB_SCRIPT_CHILD_FD);
    setenv("TUBELET_BIN", "/proc/self/exe", 1);
    return tb_test_main(argc, argv, tests, (int)(sizeof tests / sizeof *tests));
}
