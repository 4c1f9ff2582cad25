/* log.h - one line per notable event, to stderr or wherever the program sends it.
 *
 * Threads: any. Errors that a caller handles are not logged; they travel as tb_err.
 */
#pragma once

typedef enum tb_log_level { TB_LOG_DEBUG, TB_LOG_INFO, TB_LOG_WARN } tb_log_level;

void tb_log(tb_log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Lines below this level are dropped. The default is TB_LOG_WARN; TUBELET_LOG=debug|info changes
 * it. */
void tb_log_set_level(tb_log_level level);
/* Where lines go (without newline); NULL restores stderr. Called from any thread, one line at a
 * time. */
void tb_log_set_sink(void (*sink)(void *ctx, tb_log_level level, const char *line), void *ctx);
/* Called with each line besides, in the same way; NULL: nobody. */
void tb_log_set_listener(void (*listener)(void *ctx, tb_log_level level, const char *line),
                         void *ctx);
