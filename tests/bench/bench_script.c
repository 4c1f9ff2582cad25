/* bench_script.c - how long a graph file takes from nothing to an expanded graph.
 *
 * Start the child, load graphs/text_to_video.lua, build it, ask for the types, expand its sampler.
 * Prints the median of each in milliseconds. Run it at the root of the project, with TUBELET_BIN
 * naming the program. The aim is 15 ms in all, of a release build.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "script/script.h"

enum { ROUNDS = 51, PHASES = 5 };

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static json_t *must(json_t *answer, const tb_err *err)
{
    if (!answer) {
        fprintf(stderr, "%s: %s\n", err->origin, err->message);
        exit(1);
    }
    return answer;
}

static void run_once(double ms[PHASES + 1])
{
    tb_err err = TB_ERR_INIT;
    double at[PHASES + 1] = { tb_clock_seconds() };
    tb_script *s = tb_script_start(&err);
    if (!s)
        must(NULL, &err);
    at[1] = tb_clock_seconds();
    json_decref(must(tb_script_load(s, "graphs/text_to_video.lua", &err), &err));
    at[2] = tb_clock_seconds();
    json_t *params = json_object();
    json_decref(must(tb_script_build(s, params, &err), &err));
    at[3] = tb_clock_seconds();
    json_decref(must(tb_script_types(s, &err), &err));
    at[4] = tb_clock_seconds();
    json_t *inputs = json_pack("{s[si]s[si]s[si]s[si]}", "model", "m", 0, "latent", "x", 0,
                               "positive", "p", 0, "negative", "n", 0);
    json_decref(must(tb_script_expand(s, "sample", "sample", inputs, &err), &err));
    at[5] = tb_clock_seconds();
    for (int i = 0; i < PHASES; i++)
        ms[i] = 1000 * (at[i + 1] - at[i]);
    ms[PHASES] = 1000 * (at[PHASES] - at[0]);
    json_decref(params);
    json_decref(inputs);
    tb_script_stop(&s);
}

int main(void)
{
    static const char *const names[] = { "start", "load", "build", "types", "expand", "all" };
    double ms[PHASES + 1][ROUNDS];
    for (int r = 0; r < ROUNDS; r++) {
        double row[PHASES + 1];
        run_once(row);
        for (int i = 0; i <= PHASES; i++)
            ms[i][r] = row[i];
    }
    for (int i = 0; i <= PHASES; i++) {
        qsort(ms[i], ROUNDS, sizeof(double), by_value);
        printf("%-7s %7.2f ms\n", names[i], ms[i][ROUNDS / 2]);
    }
    return 0;
}
