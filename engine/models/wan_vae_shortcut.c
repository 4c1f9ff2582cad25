/* wan_vae_shortcut.c - the parameter-free shortcuts around the levels of the Wan2.2 autoencoder.
 *
 * Down: cells of time x space x space become channels in the order (channel, frame, row, column),
 * and equal groups of them are averaged. Up: channels are repeated and taken apart in the same
 * order.
 */
#include "models/wan_vae_internal.h"

typedef struct job {
    const vae_op *op;
    const vae_act *from;
    vae_act *x;
    int64_t lead; /* zero frames in front (down), result frames dropped in front (up) */
} job;

/* One row of x. */
static void down_row(void *ctx, int64_t row, int worker)
{
    (void)worker;
    const job *j = ctx;
    const vae_act *f = j->from, *x = j->x;
    const int64_t ft = j->op->time, fs = j->op->space, cells = ft * fs * fs;
    const int64_t group = f->c * cells / x->c, t = row / x->h, y = row % x->h;
    const float share = 1 / (float)group;
    float *out = x->x + row * x->w * x->c;
    for (int64_t col = 0; col < x->w; col++)
        for (int64_t o = 0; o < x->c; o++, out++) {
            float sum = 0;
            for (int64_t q = o * group; q < (o + 1) * group; q++) {
                const int64_t frame = t * ft + q / (fs * fs) % ft - j->lead;
                const int64_t r = y * fs + q / fs % fs, c = col * fs + q % fs;
                if (frame >= 0)
                    sum += f->x[((frame * f->h + r) * f->w + c) * f->c + q / cells];
            }
            *out += sum * share;
        }
}

static void up_row(void *ctx, int64_t row, int worker)
{
    (void)worker;
    const job *j = ctx;
    const vae_act *f = j->from, *x = j->x;
    const int64_t ft = j->op->time, fs = j->op->space, cells = ft * fs * fs;
    const int64_t repeats = x->c * cells / f->c, t = row / x->h + j->lead, y = row % x->h;
    float *out = x->x + row * x->w * x->c;
    for (int64_t col = 0; col < x->w; col++) {
        const float *in = f->x + ((t / ft * f->h + y / fs) * f->w + col / fs) * f->c;
        const int64_t cell = (t % ft * fs + y % fs) * fs + col % fs;
        for (int64_t o = 0; o < x->c; o++)
            *out++ += in[(o * cells + cell) / repeats];
    }
}

void tbi_vae_add_down(tb_compute *c, const vae_op *op, const vae_act *input, vae_act *x)
{
    job j = { op, input, x, (op->time - input->t % op->time) % op->time };
    tb_parallel(c, x->t * x->h, down_row, &j);
}

void tbi_vae_add_up(tb_compute *c, const vae_op *op, const vae_act *input, bool first, vae_act *x)
{
    job j = { op, input, x, first ? op->time - 1 : 0 };
    tb_parallel(c, x->t * x->h, up_row, &j);
}
