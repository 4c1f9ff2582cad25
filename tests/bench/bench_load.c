/* bench_load.c - a transformer's file from closed to the first product, and the memory it takes.
 *
 * usage: bench_load FILE [threads [f32|int8]]     (make_checkpoint makes FILE)
 *
 * The file is read once before, so that it is in the page cache. Everything is packed when the
 * model is open. Five rounds, then their median; the wall clock means something on an idle machine
 * only.
 */
#include <sys/resource.h>

#include "base/mem.h"
#include "bench.h"
#include "compute/mode.h"
#include "models/wan_dit.h"

static void warm(const char *path)
{
    static char block[1 << 20];
    FILE *f = fopen(path, "rb");
    while (f && fread(block, 1, sizeof block, f) > 0)
        ;
    if (!f)
        exit(1);
    fclose(f);
}

int main(int argc, char **argv)
{
    tb_err err = TB_ERR_INIT;
    double core[BENCH_ROUNDS], wall[BENCH_ROUNDS];
    tb_mode mode;
    size_t bytes = 0;
    if (argc < 2 || tb_mode_parse(argc > 3 ? argv[3] : "", &mode, &err) != TB_OK) {
        fputs("usage: bench_load FILE [threads [f32|int8]]\n", stderr);
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    warm(argv[1]);
    for (int i = 0; i < BENCH_ROUNDS; i++) {
        const bench_timing from = bench_now();
        tb_compute *c = tb_compute_new(argc > 2 ? atoi(argv[2]) : 1, &err);
        if (!c)
            bench_die(&err);
        tb_compute_set_mode(c, mode);
        tb_weights *w = tb_weights_open(argv[1], &err);
        tb_wan_dit *m = w ? tb_wan_dit_open(c, w, &err) : NULL;
        if (!m)
            bench_die(&err);
        const bench_timing to = bench_now();
        core[i] = to.core - from.core;
        wall[i] = to.wall - from.wall;
        printf("round %d: wall %.2f s, CPU %.2f s\n", i + 1, wall[i], core[i]);
        bytes = tb_wan_dit_bytes(m);
        tb_wan_dit_close(&m);
        tb_weights_close(&w);
        tb_compute_free(&c);
    }
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    printf(
        "open and pack: wall %.2f s, CPU %.2f s; weights in memory %.2f GB, peak of tensors %.2f "
        "GB, most resident %.2f GB (the file's pages among them)\n",
        bench_median(wall), bench_median(core), (double)bytes / 1e9, (double)tb_mem_peak() / 1e9,
        (double)usage.ru_maxrss * 1024 / 1e9);
    return 0;
}
