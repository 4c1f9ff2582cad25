/* clock.h - time: monotonic for durations, wall only for display. */
#pragma once

#include <stdint.h>

double tb_clock_seconds(void);  /* monotonic; differences only */
int64_t tb_clock_wall_ms(void); /* Unix time in milliseconds, for display and histories */
