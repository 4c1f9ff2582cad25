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

enum { MOST_CELLS = 8 }; /* 2 x 2 x 2 */

/* The cells that make position (t, y, col) of the result, in order; NULL for frames of zeros. */
static void find_cells(const job *j, int64_t t, int64_t y, int64_t col, const float **cells)
{
    const vae_act *f = j->from;
    const int64_t ft = j->op->time, fs = j->op->space;
    for (int64_t i = 0; i < ft; i++) {
        const int64_t frame = t * ft + i - j->lead;
        for (int64_t r = 0; r < fs; r++)
            for (int64_t c = 0; c < fs; c++)
                *cells++ = frame < 0
                               ? NULL
                               : f->x + ((frame * f->h + y * fs + r) * f->w + col * fs + c) * f->c;
    }
}

/* One row of x. Both functions count channels and cells up instead of dividing: these loops run
 * once for every number of the widest activations. */
static void down_row(void *ctx, int64_t row, int worker)
{
    (void)worker;
    const job *j = ctx;
    const vae_act *f = j->from, *x = j->x;
    const int64_t cells = j->op->time * j->op->space * j->op->space, group = f->c * cells / x->c;
    const float share = 1 / (float)group, *at[MOST_CELLS];
    float *out = x->x + row * x->w * x->c;
    for (int64_t col = 0; col < x->w; col++) {
        find_cells(j, row / x->h, row % x->h, col, at);
        for (int64_t o = 0, channel = 0, cell = 0; o < x->c; o++) {
            float sum = 0;
            for (int64_t i = 0; i < group; i++) {
                if (at[cell])
                    sum += at[cell][channel];
                if (++cell == cells)
                    cell = 0, channel++;
            }
            *out++ += sum * share;
        }
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
        int64_t copy = (t % ft * fs + y % fs) * fs + col % fs; /* of a channel, in its repeats */
        for (int64_t o = 0; o < x->c; o++, copy += cells) {
            for (; copy >= repeats; copy -= repeats)
                in++;
            *out++ += *in;
        }
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
