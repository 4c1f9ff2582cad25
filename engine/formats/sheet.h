/* sheet.h - frames laid out for people: a contact sheet, videos side by side, sizes to look at.
 *
 * Pictures are f32 [frames,H,W,3], 0..1. Threads: each call stands alone; call from a worker.
 * Errors: out of memory, or a side that no picture can have.
 */
#pragma once

#include "base/err.h"
#include "compute/tensor.h"

/* The smallest whole factor that brings the longer side to `side` pixels; 1 for what is as large
 * already. */
int tb_sheet_factor(int64_t width, int64_t height, int64_t side);

/* The pictures in another size: repeated pixels for whole factors, so that small ones stay crisp;
 * means of areas where they shrink. New reference. */
tb_tensor *tb_sheet_scaled(const tb_tensor *images, double scale, tb_err *err);

/* One picture [1,H,W,3]: each row is the frames of one tensor beside each other, rows stand below
 * one another. What rows of different sizes leave free is dark, as is the gap between two of them.
 */
tb_tensor *tb_sheet_rows(tb_tensor *const *rows, int count, tb_err *err);

/* One picture [1,H,W,3] of all frames, at most `columns` beside each other, as one reads; all but
 * the last row are equally long. */
tb_tensor *tb_sheet_grid(const tb_tensor *images, int64_t columns, tb_err *err);

/* Videos beside each other, as time goes: the shorter ones wait at their last frame. fps: of each,
 * 0 for a picture. *rate: frames a second of the result, the highest of them but at most `limit`.
 */
tb_tensor *tb_sheet_beside(tb_tensor *const *videos, const double *fps, int count, double limit,
                           double *rate, tb_err *err);
