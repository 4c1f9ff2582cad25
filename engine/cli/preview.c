/* preview.c - `tubelet preview`: frames of a video or picture in the terminal.
 *
 * With colour a character is two pixels, one above the other (an upper half block in 24-bit
 * colours); without, one pixel of an ASCII grey ramp for the same area.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "formats/media.h"

enum { FRAME_COLUMNS = 26, MAX_FRAMES = 8, MAX_DECODED = 100000 };

/* count pictures side by side, each columns x rows characters. */
typedef struct sheet {
    int count, columns, rows;
    int64_t frames; /* of the video */
} sheet;

static sheet arrange(int64_t frames, int64_t height, int64_t width, int room, int wanted)
{
    sheet s = { .frames = frames };
    const int fit = room / FRAME_COLUMNS > 0 ? room / FRAME_COLUMNS : 1;
    s.count = wanted ? wanted : fit < MAX_FRAMES ? fit : MAX_FRAMES;
    s.count = s.count < frames ? s.count : (int)frames;
    s.columns = (room - (s.count - 1)) / s.count;
    if (s.columns > 2 * FRAME_COLUMNS && !wanted && room > 2 * FRAME_COLUMNS)
        s.columns = 2 * FRAME_COLUMNS;
    s.columns = s.columns > 0 ? s.columns : 1;
    const double rows = (double)s.columns * (double)height / (double)width / 2;
    s.rows = rows < 1 ? 1 : rows > 200 ? 200 : (int)lround(rows);
    return s;
}

/* The frames that are shown, evenly spread from the first to the last. */
static int64_t frame_at(const sheet *s, int i)
{
    return s->count > 1 ? i * (s->frames - 1) / (s->count - 1) : 0;
}

static int level(float v)
{
    return v <= 0 || isnan(v) ? 0 : v >= 1 ? 255 : (int)(v * 255);
}

/* upper and lower: r,g,b. */
static void put_blocks(const float *upper, const float *lower)
{
    printf("\033[38;2;%d;%d;%d;48;2;%d;%d;%dm\xe2\x96\x80", level(upper[0]), level(upper[1]),
           level(upper[2]), level(lower[0]), level(lower[1]), level(lower[2]));
}

static void put_grey(const float *upper, const float *lower)
{
    static const char ramp[] = " .:-=+*#%@";
    /* Rec. 601 luma of both pixels */
    const float sum = 0.299f * (upper[0] + lower[0]) + 0.587f * (upper[1] + lower[1]) +
                      0.114f * (upper[2] + lower[2]);
    putchar(ramp[level(sum / 2) * 10 / 256]);
}

/* pixels: [count][2 * rows][columns][3], the chosen frames only. */
static void print_sheet(const sheet *s, const float *pixels, bool color)
{
    const size_t line = (size_t)s->columns * 3, frame = line * 2 * (size_t)s->rows;
    for (int y = 0; y < s->rows; y++) {
        for (int f = 0; f < s->count; f++) {
            const float *upper = pixels + (size_t)f * frame + (size_t)(2 * y) * line;
            for (int x = 0; x < s->columns; x++)
                (color ? put_blocks : put_grey)(upper + 3 * x, upper + line + 3 * x);
            fputs(color ? "\033[0m" : "", stdout);
            fputs(f + 1 < s->count ? " " : "\n", stdout);
        }
    }
}

/* The chosen frames of `images` [frames,H,W,3] as a tensor of their own. */
static tb_tensor *choose(const tb_tensor *images, const sheet *s, tb_err *err)
{
    const int64_t h = tb_tensor_dim(images, 1), w = tb_tensor_dim(images, 2);
    const size_t frame = (size_t)(h * w * 3);
    tb_tensor *t = tb_tensor_new(TB_F32, &TB_SHAPE(s->count, h, w, 3), err);
    for (int i = 0; t && i < s->count; i++)
        memcpy(tb_tensor_f32_mut(t) + (size_t)i * frame,
               tb_tensor_f32(images) + (size_t)frame_at(s, i) * frame, frame * sizeof(float));
    return t;
}

static tb_status show(const char *path, int room, int wanted, bool color, tb_err *err)
{
    tb_tensor *images = tb_media_read(path, 0, MAX_DECODED, NULL, NULL, err);
    if (!images)
        return err->status;
    const sheet s = arrange(tb_tensor_dim(images, 0), tb_tensor_dim(images, 1),
                            tb_tensor_dim(images, 2), room, wanted);
    tb_tensor *some = choose(images, &s, err);
    tb_tensor_unref(&images);
    tb_tensor *small =
        some ? tb_media_resize(some, s.columns, 2 * (int64_t)s.rows, "area", err) : NULL;
    if (small)
        print_sheet(&s, tb_tensor_f32(small), color);
    tb_tensor_unref(&some);
    tb_tensor_unref(&small);
    return err->status;
}

static int run(cli_args *args)
{
    tb_err err = TB_ERR_INIT;
    int64_t room = cli_width(stdout), frames = 0;
    if (!args->operand_count)
        tb_err_set(&err, TB_EUSAGE, "name a video or a picture");
    if (err.status != TB_OK || cli_int(args, "width", 4, 1000, &room, &err) != TB_OK ||
        cli_int(args, "frames", 1, 100, &frames, &err) != TB_OK)
        return cli_usage(args->command, &err);
    const char *mode = cli_text(args, "color");
    const bool color =
        mode && strcmp(mode, "auto") != 0 ? strcmp(mode, "always") == 0 : cli_color(stdout);
    if (show(args->operands[0], (int)room, (int)frames, color, &err) != TB_OK)
        return cli_fail(&err);
    return 0;
}

static const cli_option options[] = {
    { "width", "N", "Columns to fill (default: the terminal's)." },
    { "frames", "N", "Frames side by side (default: as many as fit)." },
    { "color", "WHEN", "24-bit colour or grey characters.", .choices = "auto|always|never" },
    { 0 },
};

const cli_command cli_preview = {
    .name = "preview",
    .operands = "FILE",
    .summary = "Show frames of a video or picture in the terminal",
    .options = options,
    .examples = { "tubelet preview out.mp4", "tubelet preview out.mp4 --frames 4 --width 120" },
    .max_operands = 1,
    .run = run,
};
