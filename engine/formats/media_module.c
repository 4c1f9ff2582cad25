/* media_module.c - the entry of tubelet_media.so. */
#include "formats/media_module_priv.h"

#include <stdio.h>
#include <string.h>

#include <libavcodec/avcodec.h>
#include <libavutil/log.h>
#include <libswscale/swscale.h>

static const tb_media_host *the_host;

tb_status tbi_media_fail(tb_err *err, tb_status status, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    the_host->err_setv(err, status, fmt, ap);
    va_end(ap);
    return status;
}

tb_status tbi_media_fail_av(tb_err *err, tb_status status, int code, const char *fmt, ...)
{
    char what[600], why[AV_ERROR_MAX_STRING_SIZE];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    if (av_strerror(code, why, sizeof why) < 0)
        snprintf(why, sizeof why, "FFmpeg error %d", code);
    return tbi_media_fail(err, code == AVERROR(ENOMEM) ? TB_ENOMEM : status, "%s: %s", what, why);
}

static char version_text[200]; /* written once, when the module is opened */

static const char *version(void)
{
    return version_text;
}

static void write_version(void)
{
    const unsigned c = avcodec_version(), f = avformat_version(), s = swscale_version();
    snprintf(version_text, sizeof version_text,
             "libavcodec %u.%u.%u, libavformat %u.%u.%u, libswscale %u.%u.%u", c >> 16,
             c >> 8 & 255, c & 255, f >> 16, f >> 8 & 255, f & 255, s >> 16, s >> 8 & 255, s & 255);
}

const tb_media_table *tb_media_module_open(const tb_media_host *host)
{
    static const tb_media_table table = {
        .abi = TB_MEDIA_ABI,
        .version = version,
        .probe = tbi_media_probe,
        .read = tbi_media_read,
        .encode = tbi_media_encode,
        .tag = tbi_media_tag,
        .release = av_free,
    };
    the_host = host;
    write_version();
    av_log_set_level(AV_LOG_QUIET);
    return &table;
}
