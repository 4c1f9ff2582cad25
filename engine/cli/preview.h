/* preview.h - between the files of `tubelet preview`: what shows, and what saves. */
#pragma once

#include <stdint.h>

#include "base/err.h"

typedef struct cli_look {
    const char *const *paths; /* videos and pictures */
    int count;
    int64_t frames; /* shown of each; 0: as many as fit */
    double scale;   /* 0: small ones are enlarged */
} cli_look;

/* A contact sheet, a row for each file, into a picture. The graph inside a single file goes into
 * it. Prints the path. */
tb_status cli_save_sheet(const cli_look *look, const char *path, tb_err *err);
/* The same of an animation that plays for ever, the files beside each other. */
tb_status cli_save_gif(const cli_look *look, const char *path, tb_err *err);
