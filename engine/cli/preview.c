/* preview.c - `tubelet preview`: frames of videos and pictures in the terminal.
 *
 * With colour a character is two pixels, one above the other (an upper half block in 24-bit
 * colours); without, one pixel of an ASCII grey ramp for the same area.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "cli/cli.h"
#include "cli/preview.h"
#include "formats/media.h"

enum { FRAME_COLUMNS = 26, FRAME_ROWS = FRAME_COLUMNS, MAX_FRAMES = 8, MAX_FILES = 64 };

/* How pictures are shown. */
typedef struct screen {
    int room;   /* columns */
    int wanted; /* frames; 0: as many as fit */
    bool color;
} screen;

/* count pictures side by side, each columns x rows characters. */
typedef struct layout {
    int count, columns, rows;
} layout;

/* One picture alone is as wide as its height allows: a contact sheet fills the terminal. */
static layout arrange(const tb_media_info *of, const screen *on)
{
    layout s = { 0 };
    const double shape = (double)of->height / (double)of->width / 2; /* rows a column */
    const int64_t frames = of->frames > 0 ? of->frames : 1;
    const int fit = on->room / FRAME_COLUMNS > 0 ? on->room / FRAME_COLUMNS : 1;
    s.count = on->wanted ? on->wanted : fit < MAX_FRAMES ? fit : MAX_FRAMES;
    s.count = s.count < frames ? s.count : (int)frames;
    s.columns = (on->room - (s.count - 1)) / s.count;
    if (!on->wanted && s.columns > 2 * FRAME_COLUMNS && s.columns * shape > FRAME_ROWS)
        s.columns = (int)fmax(2 * FRAME_COLUMNS, FRAME_ROWS / shape);
    s.columns = s.columns > 0 ? s.columns : 1;
    const double rows = s.columns * shape;
    s.rows = rows < 1 ? 1 : rows > 200 ? 200 : (int)lround(rows);
    return s;
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
static void print_sheet(const layout *s, const float *pixels, bool color)
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

/* "out.mp4  17 frames of 64x64, 8 a second" */
static void print_title(const char *path, const tb_media_info *of)
{
    printf("%s%s%s  ", cli_style(stdout, "1").text, path, cli_style(stdout, "0").text);
    if (of->frames > 1)
        printf("%lld frames of ", (long long)of->frames);
    printf("%lldx%lld", (long long)of->width, (long long)of->height);
    printf(of->frames > 1 && of->fps > 0 ? ", %g a second\n" : "\n", of->fps);
}

static tb_status show(const char *path, const screen *on, bool titled, tb_err *err)
{
    tb_media_info info;
    TB_TRY(tb_media_probe(path, &info, err));
    json_decref(info.texts);
    layout s = arrange(&info, on);
    tb_tensor *some = tb_media_read_spread(path, s.count, NULL, err);
    tb_tensor *small =
        some ? tb_media_resize(some, s.columns, 2 * (int64_t)s.rows, "area", err) : NULL;
    if (small) {
        s.count = (int)tb_tensor_dim(small, 0);
        if (titled)
            print_title(path, &info);
        print_sheet(&s, tb_tensor_f32(small), on->color);
    }
    tb_tensor_unref(&some);
    tb_tensor_unref(&small);
    return err->status;
}

/* One that cannot be read does not hide the others. */
static int show_all(const cli_look *look, const screen *on)
{
    int code = 0;
    for (int i = 0; i < look->count; i++) {
        tb_err err = TB_ERR_INIT;
        if (show(look->paths[i], on, look->count > 1, &err) != TB_OK)
            code = cli_fail(&err);
    }
    return code;
}

static int save(const cli_look *look, const char *sheet, const char *gif, const cli_command *c)
{
    tb_err err = TB_ERR_INIT;
    if (sheet)
        cli_save_sheet(look, sheet, &err);
    if (gif && err.status == TB_OK)
        cli_save_gif(look, gif, &err);
    return err.status == TB_OK ? 0 : err.status == TB_EUSAGE ? cli_usage(c, &err) : cli_fail(&err);
}

static tb_status scale_of(const cli_args *args, double *scale, tb_err *err)
{
    const char *text = cli_text(args, "scale");
    char *end = NULL;
    if (!text)
        return TB_OK;
    *scale = strtod(text, &end);
    if (end == text || *end || !(*scale >= 0.01 && *scale <= 16))
        return tb_err_set(err, TB_EUSAGE, "--scale must be 0.01..16, got '%s'", text);
    return TB_OK;
}

static tb_status check(const cli_args *args, tb_err *err)
{
    if (!args->operand_count)
        return tb_err_set(err, TB_EUSAGE, "name a video or a picture");
    if (cli_text(args, "scale") && !cli_text(args, "sheet") && !cli_text(args, "gif"))
        return tb_err_set(err, TB_EUSAGE, "--scale is for what --sheet and --gif write");
    return TB_OK;
}

static int run(cli_args *args)
{
    tb_err err = TB_ERR_INIT;
    int64_t room = cli_width(stdout);
    cli_look look = { .paths = args->operands, .count = args->operand_count };
    if (check(args, &err) != TB_OK || cli_int(args, "width", 4, 1000, &room, &err) != TB_OK ||
        cli_int(args, "frames", 1, 100, &look.frames, &err) != TB_OK ||
        scale_of(args, &look.scale, &err) != TB_OK)
        return cli_usage(args->command, &err);
    const char *mode = cli_text(args, "color"), *sheet = cli_text(args, "sheet"),
               *gif = cli_text(args, "gif");
    if (sheet || gif)
        return save(&look, sheet, gif, args->command);
    const screen on = { .room = (int)room,
                        .wanted = (int)look.frames,
                        .color = mode && strcmp(mode, "auto") != 0 ? strcmp(mode, "always") == 0
                                                                   : cli_color(stdout) };
    return show_all(&look, &on);
}

static const cli_option options[] = {
    { "width", "N", "Columns to fill (default: the terminal's)." },
    { "frames", "N", "Frames side by side (default: as many as fit, 8 in a sheet)." },
    { "color", "WHEN", "24-bit colour or grey characters.", .choices = "auto|always|never" },
    { "sheet", "OUT.png", "Write a contact sheet instead: a row of frames for each file." },
    { "gif", "OUT.gif", "Write an animation that plays for ever, the files beside each other." },
    { "scale", "X", "Size of sheet and GIF, as 2 or 0.5 (default: small videos are enlarged)." },
    { 0 },
};

const cli_command cli_preview = {
    .name = "preview",
    .operands = "FILE...",
    .summary = "Show frames of videos, or save them as a contact sheet or GIF",
    .detail =
        "Several files are shown below one another, to compare them. A sheet or GIF of one file\n"
        "keeps the graph inside it.",
    .options = options,
    .examples = { "tubelet preview out.mp4 other.mp4 --frames 4",
                  "tubelet preview out.mp4 --gif out.gif --sheet sheet.png" },
    .max_operands = MAX_FILES,
    .run = run,
};
