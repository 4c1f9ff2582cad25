/* media_module_palette.c - 256 colours for an animation: median cut over one histogram of all
 * frames (Heckbert, "Color image quantization for frame buffer display", SIGGRAPH 1982).
 *
 * Up to 256 distinct colours are kept exactly. Beyond, colours are counted in cells of 5 bits a
 * channel, and an ordered 4x4 pattern spreads the error: unlike error diffusion it stands still
 * between frames, so that still backgrounds stay still and the file small.
 */
#include <stdlib.h>
#include <string.h>

#include <libavutil/mem.h>

#include "formats/media_module_priv.h"

enum { BITS = 5, SIDE = 1 << BITS, CELLS = SIDE * SIDE * SIDE, COLOURS = 256, EXACT_SLOTS = 1024 };

typedef struct cell {
    uint64_t count, sum[3];
} cell;

typedef struct box {
    int first, count; /* a range of `order` */
    uint64_t pixels;
    int axis, spread; /* the widest axis, and how wide */
} box;

struct tbi_media_palette {
    cell cells[CELLS];
    int order[CELLS], used;        /* cells that hold pixels */
    int scratch[CELLS];            /* of sort_box */
    uint8_t nearest[CELLS];        /* palette index of a cell */
    uint32_t exact[EXACT_SLOTS];   /* open hash of 0xFFRRGGBB; 0 is empty */
    uint8_t exact_at[EXACT_SLOTS]; /* palette index */
    int exact_count;               /* > COLOURS: too many to be exact */
    uint8_t colours[COLOURS][3];
    int colour_count;
};

tbi_media_palette *tbi_media_palette_new(void)
{
    return av_mallocz(sizeof(tbi_media_palette));
}

void tbi_media_palette_free(tbi_media_palette *p)
{
    av_free(p);
}

static int cell_of(int r, int g, int b)
{
    return (r >> (8 - BITS)) << 2 * BITS | (g >> (8 - BITS)) << BITS | b >> (8 - BITS);
}

static uint32_t pack(const uint8_t *c)
{
    return 0xff000000u | (uint32_t)c[0] << 16 | (uint32_t)c[1] << 8 | c[2];
}

/* The slot that holds `colour`, or the empty one where it would stand. */
static int exact_slot(const tbi_media_palette *p, uint32_t colour)
{
    unsigned at = colour * 2654435761u >> 22;
    while (p->exact[at] && p->exact[at] != colour)
        at = (at + 1) % EXACT_SLOTS;
    return (int)at;
}

static void count_exact(tbi_media_palette *p, const uint8_t *c)
{
    const uint32_t colour = pack(c);
    const int at = exact_slot(p, colour);
    if (p->exact[at])
        return;
    if (p->exact_count < COLOURS) {
        p->exact[at] = colour;
        p->exact_at[at] = (uint8_t)p->exact_count;
        memcpy(p->colours[p->exact_count], c, 3);
    }
    p->exact_count++;
}

void tbi_media_palette_count(tbi_media_palette *p, const uint8_t *rgb, int64_t width,
                             int64_t height, int64_t stride)
{
    for (int64_t y = 0; y < height; y++) {
        const uint8_t *row = rgb + y * stride;
        for (int64_t x = 0; x < width; x++) {
            const uint8_t *c = row + 3 * x;
            cell *k = &p->cells[cell_of(c[0], c[1], c[2])];
            k->count++;
            for (int i = 0; i < 3; i++)
                k->sum[i] += c[i];
            if (p->exact_count <= COLOURS)
                count_exact(p, c);
        }
    }
}

static int channel(int cell_index, int axis)
{
    return cell_index >> (2 - axis) * BITS & (SIDE - 1);
}

static void measure(const tbi_media_palette *p, box *b)
{
    b->pixels = 0;
    b->spread = -1;
    for (int i = b->first; i < b->first + b->count; i++)
        b->pixels += p->cells[p->order[i]].count;
    for (int axis = 0; axis < 3; axis++) {
        int lo = SIDE, hi = -1;
        for (int i = b->first; i < b->first + b->count; i++) {
            const int v = channel(p->order[i], axis);
            lo = v < lo ? v : lo;
            hi = v > hi ? v : hi;
        }
        if (hi - lo > b->spread) {
            b->spread = hi - lo;
            b->axis = axis;
        }
    }
}

/* Counting sort of the box's cells along its widest axis: stable, so the order is always the same.
 */
static void sort_box(tbi_media_palette *p, const box *b)
{
    int start[SIDE + 1] = { 0 };
    int *cells = p->order + b->first;
    for (int i = 0; i < b->count; i++)
        start[channel(cells[i], b->axis) + 1]++;
    for (int v = 0; v < SIDE; v++)
        start[v + 1] += start[v];
    for (int i = 0; i < b->count; i++)
        p->scratch[start[channel(cells[i], b->axis)]++] = cells[i];
    memcpy(cells, p->scratch, (size_t)b->count * sizeof *cells);
}

/* Cut at the median pixel; both halves keep at least one cell. */
static void split(tbi_media_palette *p, box *b, box *other)
{
    sort_box(p, b);
    uint64_t seen = 0;
    int left = 0;
    while (left < b->count - 1 && (left == 0 || seen < b->pixels / 2))
        seen += p->cells[p->order[b->first + left++]].count;
    *other = (box){ .first = b->first + left, .count = b->count - left };
    b->count = left;
    measure(p, b);
    measure(p, other);
}

/* The box whose division helps most: many pixels over a wide range. -1: none can be divided. */
static int widest(const box *boxes, int n)
{
    int best = -1;
    uint64_t most = 0;
    for (int i = 0; i < n; i++) {
        const uint64_t gain = boxes[i].pixels * (uint64_t)(boxes[i].spread * boxes[i].spread);
        if (boxes[i].count > 1 && gain > most) {
            best = i;
            most = gain;
        }
    }
    return best;
}

static void average(const tbi_media_palette *p, const box *b, uint8_t *colour)
{
    uint64_t sum[3] = { 0 };
    for (int i = b->first; i < b->first + b->count; i++)
        for (int c = 0; c < 3; c++)
            sum[c] += p->cells[p->order[i]].sum[c];
    for (int c = 0; c < 3; c++)
        colour[c] = (uint8_t)((sum[c] + b->pixels / 2) / b->pixels);
}

static int nearest_colour(const tbi_media_palette *p, int r, int g, int b)
{
    int best = 0, least = 1 << 30;
    for (int i = 0; i < p->colour_count; i++) {
        const int dr = r - p->colours[i][0], dg = g - p->colours[i][1], db = b - p->colours[i][2];
        const int d = 3 * dr * dr + 6 * dg * dg + db * db; /* roughly how the eye weighs them */
        if (d < least) {
            least = d;
            best = i;
        }
    }
    return best;
}

static void cut(tbi_media_palette *p)
{
    box boxes[COLOURS] = { 0 };
    int n = 1;
    for (int i = 0; i < CELLS; i++)
        if (p->cells[i].count)
            p->order[p->used++] = i;
    boxes[0].count = p->used;
    measure(p, &boxes[0]);
    for (int at = 0; n < COLOURS && (at = widest(boxes, n)) >= 0; n++)
        split(p, &boxes[at], &boxes[n]);
    for (int i = 0; i < n; i++)
        average(p, &boxes[i], p->colours[i]);
    p->colour_count = n;
}

void tbi_media_palette_build(tbi_media_palette *p)
{
    if (p->exact_count <= COLOURS) {
        p->colour_count = p->exact_count;
        return;
    }
    cut(p);
    for (int i = 0; i < CELLS; i++) {
        const int half = 1 << (7 - BITS);
        p->nearest[i] = (uint8_t)nearest_colour(p, (channel(i, 0) << (8 - BITS)) + half,
                                                (channel(i, 1) << (8 - BITS)) + half,
                                                (channel(i, 2) << (8 - BITS)) + half);
    }
}

static int clamp_byte(int v)
{
    return v < 0 ? 0 : v > 255 ? 255 : v;
}

static uint8_t dithered(const tbi_media_palette *p, const uint8_t *c, int64_t x, int64_t y)
{
    static const int8_t bayer[4][4] = {
        { 0, 8, 2, 10 }, { 12, 4, 14, 6 }, { 3, 11, 1, 9 }, { 15, 7, 13, 5 }
    };
    const int shift = bayer[y & 3][x & 3] - 8; /* about one cell wide */
    return p->nearest[cell_of(clamp_byte(c[0] + shift), clamp_byte(c[1] + shift),
                              clamp_byte(c[2] + shift))];
}

void tbi_media_palette_map(const tbi_media_palette *p, const uint8_t *rgb, int64_t width,
                           int64_t height, int64_t stride, uint8_t *indices, int64_t out_stride,
                           uint32_t *colours)
{
    const bool exact = p->exact_count <= COLOURS;
    for (int i = 0; i < COLOURS; i++)
        colours[i] = pack(p->colours[i]);
    for (int64_t y = 0; y < height; y++)
        for (int64_t x = 0; x < width; x++) {
            const uint8_t *c = rgb + y * stride + 3 * x;
            indices[y * out_stride + x] =
                exact ? p->exact_at[exact_slot(p, pack(c))] : dithered(p, c, x, y);
        }
}
