/* media_module_read.c - decode pictures and videos to 8-bit RGB.
 *
 * Files come from strangers. Only formats and codecs on two short lists are tried, a file can open
 * no other file or address (playlists and references are off), and pictures have at most
 * MAX_PIXELS.
 */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <libavcodec/avcodec.h>
#include <libavutil/display.h>
#include <libavutil/opt.h>
#include <libavutil/pixdesc.h>
#include <libswscale/swscale.h>

#include "formats/media_module_priv.h"

#define FORMATS \
    "mov,mp4,matroska,webm,avi,gif,apng,png_pipe,jpeg_pipe,webp_pipe,bmp_pipe,ogg,mpegts,flv"
#define CODECS                                                                                 \
    "h264,hevc,vp8,vp9,av1,libdav1d,libaom-av1,mpeg4,mpeg2video,mjpeg,theora,ffv1,prores,png," \
    "apng,gif,"                                                                                \
    "webp,bmp,rawvideo"

enum {
    IO_BYTES = 1 << 16,
    MAX_PIXELS = 1 << 28,          /* of one picture */
    MAX_COUNTED_BYTES = 256 << 20, /* files up to this size are walked through to count frames */
};

typedef struct reader {
    const char *path;
    int fd;
    int64_t size;
    AVIOContext *io;
    AVFormatContext *format;
    AVStream *stream;
    AVCodecContext *codec;
    AVPacket *packet;
    AVFrame *frame, *rgb;
    struct SwsContext *scaler;
    const atomic_bool *cancel;
} reader;

/* ------------------------------------------------------------------------------------- the file */

static int read_fd(void *opaque, uint8_t *bytes, int n)
{
    const reader *r = opaque;
    ssize_t got;
    do
        got = read(r->fd, bytes, (size_t)n);
    while (got < 0 && errno == EINTR);
    return got < 0 ? AVERROR(errno) : got == 0 ? AVERROR_EOF : (int)got;
}

static int64_t seek_fd(void *opaque, int64_t offset, int whence)
{
    const reader *r = opaque;
    if (whence & AVSEEK_SIZE)
        return r->size;
    const off_t at = lseek(r->fd, offset, whence & ~AVSEEK_FORCE);
    return at < 0 ? AVERROR(errno) : at;
}

static int refuse_open(AVFormatContext *s, AVIOContext **pb, const char *url, int flags,
                       AVDictionary **o)
{
    (void)s, (void)pb, (void)url, (void)flags, (void)o;
    return AVERROR(EPERM);
}

static int canceled(void *opaque)
{
    const reader *r = opaque;
    return r->cancel && atomic_load(r->cancel);
}

static void reader_close(reader *r)
{
    sws_freeContext(r->scaler);
    av_frame_free(&r->frame);
    av_frame_free(&r->rgb);
    av_packet_free(&r->packet);
    avcodec_free_context(&r->codec);
    avformat_close_input(&r->format);
    if (r->io) {
        av_freep(&r->io->buffer);
        avio_context_free(&r->io);
    }
    if (r->fd >= 0)
        close(r->fd);
}

static tb_status open_file(reader *r, tb_err *err)
{
    struct stat st;
    r->fd = open(r->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe must not hold us */
    if (r->fd < 0)
        return tbi_media_fail(err, errno == ENOENT ? TB_ENOTFOUND : TB_EIO, "cannot open '%s': %s",
                              r->path, strerror(errno));
    if (fstat(r->fd, &st) != 0 || !S_ISREG(st.st_mode))
        return tbi_media_fail(err, TB_EINVAL, "'%s' is not a regular file", r->path);
    r->size = st.st_size;
    return TB_OK;
}

/* avio_alloc_context takes the buffer only when it succeeds. */
static AVIOContext *open_io(reader *r)
{
    uint8_t *buffer = av_malloc(IO_BYTES);
    AVIOContext *io =
        buffer ? avio_alloc_context(buffer, IO_BYTES, 0, r, read_fd, NULL, seek_fd) : NULL;
    if (!io)
        av_free(buffer);
    return io;
}

static tb_status open_format(reader *r, tb_err *err)
{
    r->io = open_io(r);
    r->format = r->io ? avformat_alloc_context() : NULL;
    if (!r->format)
        return tbi_media_fail(err, TB_ENOMEM, "no memory to open '%s'", r->path);
    r->format->pb = r->io;
    r->format->flags |= AVFMT_FLAG_CUSTOM_IO;
    r->format->io_open = refuse_open;
    r->format->interrupt_callback = (AVIOInterruptCB){ canceled, r };
    av_opt_set(r->format, "format_whitelist", FORMATS, 0);
    av_opt_set(r->format, "codec_whitelist", CODECS, 0);
    const int e = avformat_open_input(&r->format, "", NULL, NULL);
    if (e < 0)
        return tbi_media_fail(
            err, e == AVERROR(ENOMEM) ? TB_ENOMEM : TB_EFORMAT,
            "'%s' is damaged or is no picture or video that can be read (PNG, JPEG, "
            "WebP, BMP, GIF, MP4, MOV, WebM, MKV, AVI)",
            r->path);
    return TB_OK;
}

static bool is_picture(const reader *r)
{
    const char *name = r->format->iformat->name;
    const size_t n = strlen(name);
    return n > 5 && strcmp(name + n - 5, "_pipe") == 0;
}

static tb_status find_stream(reader *r, tb_err *err)
{
    const int e = avformat_find_stream_info(r->format, NULL);
    const int at = e < 0 ? e : av_find_best_stream(r->format, AVMEDIA_TYPE_VIDEO, -1, -1, NULL, 0);
    if (at < 0)
        return tbi_media_fail(err, TB_EFORMAT,
                              "'%s' has no picture or video inside that can be read", r->path);
    r->stream = r->format->streams[at];
    const AVCodecParameters *p = r->stream->codecpar;
    if (p->width < 1 || p->height < 1)
        return tbi_media_fail(err, TB_EFORMAT, "'%s' is damaged: nothing in it can be decoded",
                              r->path);
    if ((int64_t)p->width * p->height > MAX_PIXELS)
        return tbi_media_fail(err, TB_ELIMIT, "'%s' has %dx%d pixels; at most %d are read", r->path,
                              p->width, p->height, MAX_PIXELS);
    for (unsigned i = 0; i < r->format->nb_streams; i++)
        if ((int)i != at)
            r->format->streams[i]->discard = AVDISCARD_ALL;
    return TB_OK;
}

static tb_status reader_open(reader *r, const char *path, const atomic_bool *cancel, tb_err *err)
{
    *r = (reader){ .path = path, .fd = -1, .cancel = cancel };
    TB_TRY(open_file(r, err));
    TB_TRY(open_format(r, err));
    TB_TRY(find_stream(r, err));
    r->packet = av_packet_alloc();
    r->frame = av_frame_alloc();
    r->rgb = av_frame_alloc();
    if (!r->packet || !r->frame || !r->rgb)
        return tbi_media_fail(err, TB_ENOMEM, "no memory to read '%s'", path);
    return TB_OK;
}

/* ---------------------------------------------------------------------------------------- facts */

/* Walks through the packets; VP8 has packets that show nothing, so they cannot be counted so. */
static int64_t count_packets(reader *r)
{
    if (r->stream->codecpar->codec_id == AV_CODEC_ID_VP8 || r->size > MAX_COUNTED_BYTES)
        return -1;
    int64_t n = 0;
    while (av_read_frame(r->format, r->packet) >= 0) {
        n += r->packet->stream_index == r->stream->index;
        av_packet_unref(r->packet);
    }
    return n ? n : -1;
}

/* GIF's delays are whole hundredths of a second, so only their sum tells the rate that was meant:
 * the whole number that gives this sum, if there is one. */
static double gif_rate(const AVStream *s)
{
    const double frames = (double)s->nb_frames,
                 seconds = (double)s->duration * av_q2d(s->time_base);
    const double fps = frames / seconds, whole = round(fps);
    return whole >= 1 && fabs(frames / whole - seconds) < 0.011 ? whole : fps;
}

static double frame_rate(const reader *r)
{
    const AVStream *s = r->stream;
    double fps = s->avg_frame_rate.den ? av_q2d(s->avg_frame_rate) : 0;
    if (s->codecpar->codec_id == AV_CODEC_ID_GIF && s->nb_frames > 0 && s->duration > 0)
        fps = gif_rate(s);
    return fps > 0 && fps <= 1000 ? fps : 25;
}

static int quarter_turns(const reader *r)
{
    size_t n = 0;
    const uint8_t *matrix = av_stream_get_side_data(r->stream, AV_PKT_DATA_DISPLAYMATRIX, &n);
    if (!matrix || n < 9 * sizeof(int32_t))
        return 0;
    int32_t m[9];
    memcpy(m, matrix, sizeof m);
    const double counterclockwise = av_display_rotation_get(m);
    return isfinite(counterclockwise) ? (int)((lrint(-counterclockwise / 90) % 4 + 4) % 4) : 0;
}

static tb_status texts_of(const reader *r, tb_media_facts *f, tb_err *err)
{
    static const char *const keys[TB_MEDIA_KEY_COUNT] = TB_MEDIA_KEYS;
    for (int i = 0; i < TB_MEDIA_KEY_COUNT; i++) {
        const AVDictionaryEntry *tag = av_dict_get(r->format->metadata, keys[i], NULL, 0);
        if (tag && !(f->texts[i] = av_strdup(tag->value)))
            return tbi_media_fail(err, TB_ENOMEM, "no memory to read '%s'", r->path);
    }
    return TB_OK;
}

static tb_status facts_of(reader *r, tb_media_facts *f, tb_err *err)
{
    f->width = r->stream->codecpar->width;
    f->height = r->stream->codecpar->height;
    f->quarter_turns = quarter_turns(r);
    TB_TRY(texts_of(r, f, err));
    f->frames = 1;
    if (is_picture(r))
        return TB_OK;
    f->fps = frame_rate(r);
    f->frames = r->stream->nb_frames > 0 ? r->stream->nb_frames : count_packets(r);
    return TB_OK;
}

tb_status tbi_media_probe(const char *path, tb_media_facts *facts, tb_err *err)
{
    reader r;
    *facts = (tb_media_facts){ 0 };
    tb_status st = reader_open(&r, path, NULL, err);
    if (st == TB_OK)
        st = facts_of(&r, facts, err);
    reader_close(&r);
    return st;
}

/* ------------------------------------------------------------------------------------- decoding */

static tb_status open_codec(reader *r, tb_err *err)
{
    const AVCodecParameters *p = r->stream->codecpar;
    const AVCodec *codec = avcodec_find_decoder(p->codec_id);
    if (!codec)
        return tbi_media_fail(err, TB_EFORMAT, "'%s' is in %s, which this FFmpeg cannot decode",
                              r->path, avcodec_get_name(p->codec_id));
    r->codec = avcodec_alloc_context3(codec);
    if (!r->codec)
        return tbi_media_fail(err, TB_ENOMEM, "no memory to read '%s'", r->path);
    av_opt_set(r->codec, "codec_whitelist", CODECS, 0);
    r->codec->max_pixels = MAX_PIXELS;
    r->codec->thread_count = 2;
    r->codec->err_recognition = AV_EF_CRCCHECK | AV_EF_BITSTREAM | AV_EF_BUFFER | AV_EF_EXPLODE;
    r->codec->pkt_timebase = r->stream->time_base;
    int e = avcodec_parameters_to_context(r->codec, p);
    if (e >= 0)
        e = avcodec_open2(r->codec, codec, NULL);
    return e < 0 ? tbi_media_fail_av(err, TB_EFORMAT, e, "cannot decode '%s'", r->path) : TB_OK;
}

/* Files without a colour tag follow custom: BT.601 below 720 rows, BT.709 from there on. */
static int colour_matrix(const AVFrame *f)
{
    switch ((int)f->colorspace) {
    case AVCOL_SPC_BT709: return SWS_CS_ITU709;
    case AVCOL_SPC_BT2020_NCL:
    case AVCOL_SPC_BT2020_CL: return SWS_CS_BT2020;
    case AVCOL_SPC_BT470BG:
    case AVCOL_SPC_SMPTE170M: return SWS_CS_ITU601;
    case AVCOL_SPC_SMPTE240M: return SWS_CS_SMPTE240M;
    case AVCOL_SPC_FCC: return SWS_CS_FCC;
    default: return f->height < 720 ? SWS_CS_ITU601 : SWS_CS_ITU709;
    }
}

static bool is_full_range(const AVFrame *f)
{
    switch ((int)f->format) {
    case AV_PIX_FMT_YUVJ420P:
    case AV_PIX_FMT_YUVJ422P:
    case AV_PIX_FMT_YUVJ444P:
    case AV_PIX_FMT_YUVJ440P:
    case AV_PIX_FMT_YUVJ411P: return true;
    default: return f->color_range == AVCOL_RANGE_JPEG;
    }
}

static void set_colours(struct SwsContext *scaler, const AVFrame *f, int picture)
{
    const AVPixFmtDescriptor *d = av_pix_fmt_desc_get(f->format);
    if (!d || d->flags & AV_PIX_FMT_FLAG_RGB || d->nb_components < 3)
        return;
    /* JPEG and WebP are BT.601 by their specifications, whatever their size. */
    const int matrix = picture ? SWS_CS_ITU601 : colour_matrix(f);
    sws_setColorspaceDetails(scaler, sws_getCoefficients(matrix), is_full_range(f),
                             sws_getCoefficients(SWS_CS_DEFAULT), 1, 0, 1 << 16, 1 << 16);
}

/* Frames that change size inside a video are brought to the size of the first. */
static tb_status to_rgb(reader *r, bool alpha, tb_err *err)
{
    const enum AVPixelFormat wanted = alpha ? AV_PIX_FMT_RGBA : AV_PIX_FMT_RGB24;
    const AVFrame *f = r->frame;
    if (!r->rgb->data[0]) {
        r->rgb->format = wanted;
        r->rgb->width = f->width;
        r->rgb->height = f->height;
        if (av_frame_get_buffer(r->rgb, 0) < 0)
            return tbi_media_fail(err, TB_ENOMEM, "no memory for a frame of %dx%d", f->width,
                                  f->height);
    }
    r->scaler = sws_getCachedContext(
        r->scaler, f->width, f->height, f->format, r->rgb->width, r->rgb->height, wanted,
        SWS_BICUBIC | SWS_ACCURATE_RND | SWS_BITEXACT | SWS_FULL_CHR_H_INT | SWS_FULL_CHR_H_INP,
        NULL, NULL, NULL);
    if (!r->scaler)
        return tbi_media_fail(err, TB_EFORMAT, "the pixels of '%s' (%s) cannot be converted to RGB",
                              r->path, av_get_pix_fmt_name(f->format));
    set_colours(r->scaler, f, is_picture(r));
    const int e = sws_scale(r->scaler, (const uint8_t *const *)f->data, f->linesize, 0, f->height,
                            r->rgb->data, r->rgb->linesize);
    return e < 0 ? tbi_media_fail_av(err, TB_EFORMAT, e, "cannot convert '%s' to RGB", r->path)
                 : TB_OK;
}

/* Palettes, GIF and lossless WebP have an alpha whether it is used or not: there the pixels say. */
static bool has_alpha(const reader *r)
{
    const AVPixFmtDescriptor *d = av_pix_fmt_desc_get(r->frame->format);
    const AVFrame *f = r->rgb;
    if (!d || !(d->flags & AV_PIX_FMT_FLAG_ALPHA))
        return false;
    if (r->codec->codec_id == AV_CODEC_ID_PNG && r->frame->format != AV_PIX_FMT_PAL8)
        return true;
    for (int y = 0; y < f->height; y++)
        for (int x = 0; x < f->width; x++)
            if (f->data[0][y * f->linesize[0] + 4 * x + 3] != 255)
                return true;
    return false;
}

static tb_status damaged(const reader *r, int64_t frame, int e, tb_err *err)
{
    if (e == AVERROR(ENOMEM))
        return tbi_media_fail(err, TB_ENOMEM, "no memory to decode '%s'", r->path);
    return is_picture(r)
               ? tbi_media_fail(err, TB_EFORMAT, "'%s' is damaged: nothing in it can be decoded",
                                r->path)
               : tbi_media_fail(err, TB_EFORMAT,
                                "'%s' is damaged: frame %lld cannot be decoded; set frames to "
                                "read those before it",
                                r->path, (long long)frame);
}

/* The next frame into r->frame. 1: there is one, 0: the end, < 0: an error of FFmpeg's. */
static int next_frame(reader *r)
{
    for (;;) {
        int e = avcodec_receive_frame(r->codec, r->frame);
        if (e == 0)
            return r->frame->decode_error_flags || r->frame->flags & AV_FRAME_FLAG_CORRUPT
                       ? AVERROR_INVALIDDATA
                       : 1;
        if (e != AVERROR(EAGAIN))
            return e == AVERROR_EOF ? 0 : e;
        e = av_read_frame(r->format, r->packet);
        if (e == AVERROR_EOF) {
            e = avcodec_send_packet(r->codec, NULL);
        } else if (e >= 0) {
            if (r->packet->stream_index == r->stream->index)
                e = avcodec_send_packet(r->codec, r->packet);
            av_packet_unref(r->packet);
        }
        if (e < 0)
            return e;
    }
}

static tb_status decode(reader *r, int64_t first, int64_t max_frames, const tb_media_sink *sink,
                        tb_err *err)
{
    const int64_t end = is_picture(r) ? first + 1 : max_frames > 0 ? first + max_frames : INT64_MAX;
    for (int64_t at = 0; at < end; at++) {
        const int e = next_frame(r);
        if (canceled(r))
            return tbi_media_fail(err, TB_ECANCELED, "canceled after %lld frames", (long long)at);
        if (e < 0)
            return damaged(r, at, e, err);
        if (e == 0)
            break;
        if (at < first)
            continue;
        TB_TRY(to_rgb(r, sink->has_alpha != NULL, err));
        if (sink->has_alpha)
            *sink->has_alpha = has_alpha(r);
        TB_TRY(sink->frame(sink->ctx, r->rgb->width, r->rgb->height, r->rgb->data[0],
                           r->rgb->linesize[0], err));
    }
    return TB_OK;
}

tb_status tbi_media_read(const char *path, int64_t first, int64_t max_frames,
                         const tb_media_sink *sink, const atomic_bool *cancel, tb_err *err)
{
    reader r;
    tb_status st = reader_open(&r, path, cancel, err);
    if (st == TB_OK)
        st = open_codec(&r, err);
    if (st == TB_OK)
        st = decode(&r, first, max_frames, sink, err);
    reader_close(&r);
    return st;
}
