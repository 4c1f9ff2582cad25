/* log.c - one line per notable event. */
#include "base/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards everything below */
static tb_log_level lowest = TB_LOG_WARN;
static bool asked_env;
static void (*sink_fn)(void *, tb_log_level, const char *);
static void *sink_ctx;
static void (*listener_fn)(void *, tb_log_level, const char *);
static void *listener_ctx;

void tb_log_set_level(tb_log_level level)
{
    pthread_mutex_lock(&lock);
    lowest = level;
    asked_env = true;
    pthread_mutex_unlock(&lock);
}

void tb_log_set_sink(void (*sink)(void *, tb_log_level, const char *), void *ctx)
{
    pthread_mutex_lock(&lock);
    sink_fn = sink;
    sink_ctx = ctx;
    pthread_mutex_unlock(&lock);
}

void tb_log_set_listener(void (*listener)(void *, tb_log_level, const char *), void *ctx)
{
    pthread_mutex_lock(&lock);
    listener_fn = listener;
    listener_ctx = ctx;
    pthread_mutex_unlock(&lock);
}

static void ask_env(void)
{
    const char *e = getenv("TUBELET_LOG");
    asked_env = true;
    if (e && strcmp(e, "debug") == 0)
        lowest = TB_LOG_DEBUG;
    else if (e && strcmp(e, "info") == 0)
        lowest = TB_LOG_INFO;
}

void tb_log(tb_log_level level, const char *fmt, ...)
{
    char line[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    pthread_mutex_lock(&lock);
    if (!asked_env)
        ask_env();
    if (level >= lowest) {
        if (sink_fn)
            sink_fn(sink_ctx, level, line);
        else
            fprintf(stderr, "tubelet: %s\n", line);
        if (listener_fn)
            listener_fn(listener_ctx, level, line);
    }
    pthread_mutex_unlock(&lock);
}
