/* progress.h - what a run is doing, for people: a live line on a terminal, else a line now and
 * then.
 *
 * Time left comes from this run's own times per node type, and from the plan's predictions where a
 * type has not run yet.
 */
#pragma once

#include <stdio.h>

#include "tubelet.h"

typedef struct cli_progress cli_progress;

/* live: redraw one line; otherwise whole lines, at most one in two seconds. */
cli_progress *cli_progress_new(FILE *f, bool live);
void cli_progress_free(cli_progress **p);
/* The full plan (tb_run_plan), before any other event. */
void cli_progress_plan(cli_progress *p, const json_t *plan);
/* A node began, moved on or ended. */
void cli_progress_event(cli_progress *p, const tb_event *ev);
/* Draw the line again; called about ten times a second. */
void cli_progress_tick(cli_progress *p);
/* Take the live line away, before something else is printed. */
void cli_progress_clear(cli_progress *p);

/* "sample/step_11/cond" -> 12, and *scope becomes the bytes before "/step_"; -1: no denoising step.
 */
int cli_step_of(const char *node, size_t *scope);
