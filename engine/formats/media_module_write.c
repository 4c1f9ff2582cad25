/* media_module_write.c - encode frames into a file in memory.
 *
 * Same frames, same options, same bytes: no times and no versions are written (bitexact), the
 * conversion of colours takes no shortcuts that differ between processors, and codecs get a number
 * of threads that hangs on the size of the picture alone.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <libavcodec/avcodec.h>
#include <libavutil/imgutils.h>
#include <libavutil/opt.h>
#include <libswscale/swscale.h>

#include "formats/media_module_priv.h"

typedef struct format_spec {
    const char *name, *muxer;      /* muxer NULL: the codec's packet is the file */
    const char *encoder, *package; /* what Debian's package must be built with */
    enum AVPixelFormat pixels;
    bool even;           /* the codec wants even sizes */
    int default_quality; /* 1..100 */
    void (*set)(AVCodecContext *c, AVDictionary **options, int quality);
} format_spec;

typedef struct writer {
    const tb_media_encoding *e;
    const format_spec *spec;
    int width, height; /* as coded */
    AVCodecContext *codec;
    AVFormatContext *format;
    AVStream *stream;
    AVPacket *packet;
    AVFrame *rgb, *coded;
    struct SwsContext *scaler;
    tbi_media_palette *palette;
    tbi_media_memory memory;
    AVIOContext *io;
} writer;

/* -------------------------------------------------------------------------------------- options */

static void set_number(AVDictionary **options, const char *name, double value)
{
    char text[32];
    snprintf(text, sizeof text, "%g", value);
    av_dict_set(options, name, text, 0);
}

/* Quality 70 is x264's crf 17, where loss is hard to see; 100 is crf 5, 1 is crf 45. */
static void set_h264(AVCodecContext *c, AVDictionary **options, int quality)
{
    c->gop_size = 48;
    set_number(options, "crf", 45 - 0.4 * quality);
    av_dict_set(options, "preset", "medium", 0);
}

static void set_vp9(AVCodecContext *c, AVDictionary **options, int quality)
{
    c->gop_size = 48;
    c->bit_rate = 0;
    set_number(options, "crf", floor(60 - 0.55 * quality));
    av_dict_set(options, "deadline", "good", 0);
    av_dict_set(options, "cpu-used", "2", 0);
}

static void set_webp(AVCodecContext *c, AVDictionary **options, int quality)
{
    (void)c;
    set_number(options, "quality", quality);
}

static void set_jpeg(AVCodecContext *c, AVDictionary **options, int quality)
{
    (void)options;
    c->color_range = AVCOL_RANGE_JPEG;
    c->flags |= AV_CODEC_FLAG_QSCALE; /* 1 best .. 31 worst */
    c->global_quality = (int)lrint(FF_QP2LAMBDA * (31 - 0.3 * quality));
    c->qmin = 1;
}

static void set_png(AVCodecContext *c, AVDictionary **options, int quality)
{
    (void)quality;
    c->compression_level = 6;
    av_dict_set(options, "pred", "paeth", 0);
}

static const format_spec specs[] = {
    { "mp4", "mp4", "libx264", "libx264", AV_PIX_FMT_YUV420P, true, 70, set_h264 },
    { "webm", "webm", "libvpx-vp9", "libvpx", AV_PIX_FMT_YUV420P, false, 75, set_vp9 },
    { "gif", "gif", "gif", "GIF", AV_PIX_FMT_PAL8, false, 100, NULL },
    { "webp", "webp", "libwebp_anim", "libwebp", AV_PIX_FMT_RGB32, false, 90, set_webp },
    { "apng", "apng", "apng", "APNG", AV_PIX_FMT_RGB24, false, 100, set_png },
    { "png", NULL, "png", "PNG", AV_PIX_FMT_RGB24, false, 100, set_png },
    { "jpg", NULL, "mjpeg", "JPEG", AV_PIX_FMT_YUVJ444P, false, 95, set_jpeg },
};

static const format_spec *find_spec(const char *name)
{
    for (size_t i = 0; i < sizeof specs / sizeof *specs; i++)
        if (strcmp(specs[i].name, name) == 0)
            return &specs[i];
    return NULL;
}

/* --------------------------------------------------------------------------------------- frames */

static uint8_t to_byte(float x)
{
    const float v = 255.0F * x;
    return v >= 255.0F ? 255 : v > 0.0F ? (uint8_t)v : 0;
}

void tbi_media_quantise(const float *pixels, int64_t width, int64_t height, int channels,
                        int64_t out_width, int64_t out_height, uint8_t *out, int64_t stride)
{
    for (int64_t y = 0; y < out_height; y++) {
        const float *from = pixels + (y < height ? y : height - 1) * width * channels;
        uint8_t *to = out + y * stride;
        for (int64_t i = 0; i < channels * width; i++)
            to[i] = to_byte(from[i]);
        for (int64_t x = width; x < out_width; x++)
            memcpy(to + channels * x, to + channels * (width - 1), (size_t)channels);
    }
}

static void load_rgb(writer *w, int64_t i)
{
    const tb_media_encoding *e = w->e;
    tbi_media_quantise(e->pixels + i * e->height * e->width * e->channels, e->width, e->height,
                       e->channels, w->width, w->height, w->rgb->data[0], w->rgb->linesize[0]);
}

static AVFrame *new_frame(const writer *w, enum AVPixelFormat pixels)
{
    AVFrame *f = av_frame_alloc();
    if (!f)
        return NULL;
    f->format = pixels;
    f->width = w->width;
    f->height = w->height;
    if (av_frame_get_buffer(f, 0) < 0)
        av_frame_free(&f);
    return f;
}

static enum AVPixelFormat given_pixels(const writer *w)
{
    return w->e->channels == 4 ? AV_PIX_FMT_RGBA : AV_PIX_FMT_RGB24;
}

/* As they are coded: PNG has no alpha unless one is given. */
static enum AVPixelFormat coded_pixels(const writer *w)
{
    return w->e->channels == 4 && w->spec->pixels == AV_PIX_FMT_RGB24 ? AV_PIX_FMT_RGBA
                                                                      : w->spec->pixels;
}

static bool is_yuv(const writer *w)
{
    return w->spec->pixels == AV_PIX_FMT_YUV420P || w->spec->pixels == AV_PIX_FMT_YUVJ444P;
}

static tb_status open_scaler(writer *w, tb_err *err)
{
    w->scaler = sws_getContext(
        w->width, w->height, given_pixels(w), w->width, w->height, coded_pixels(w),
        SWS_BICUBIC | SWS_ACCURATE_RND | SWS_BITEXACT | SWS_FULL_CHR_H_INP | SWS_FULL_CHR_H_INT,
        NULL, NULL, NULL);
    if (!w->scaler)
        return tbi_media_fail(err, TB_ENOMEM, "no memory to convert frames of %dx%d", w->width,
                              w->height);
    if (is_yuv(w)) {
        const bool full = w->codec->color_range == AVCOL_RANGE_JPEG;
        const int matrix = full ? SWS_CS_ITU601 : SWS_CS_ITU709;
        sws_setColorspaceDetails(w->scaler, sws_getCoefficients(SWS_CS_DEFAULT), 1,
                                 sws_getCoefficients(matrix), full, 0, 1 << 16, 1 << 16);
    }
    return TB_OK;
}

static tb_status open_palette(writer *w, tb_err *err)
{
    w->palette = tbi_media_palette_new();
    if (!w->palette)
        return tbi_media_fail(err, TB_ENOMEM, "no memory for a palette");
    for (int64_t i = 0; i < w->e->frames; i++) {
        load_rgb(w, i);
        tbi_media_palette_count(w->palette, w->rgb->data[0], w->width, w->height,
                                w->rgb->linesize[0]);
    }
    tbi_media_palette_build(w->palette);
    return TB_OK;
}

static tb_status open_frames(writer *w, tb_err *err)
{
    w->packet = av_packet_alloc();
    w->rgb = new_frame(w, given_pixels(w));
    w->coded = new_frame(w, coded_pixels(w));
    if (!w->packet || !w->rgb || !w->coded)
        return tbi_media_fail(err, TB_ENOMEM, "no memory for frames of %dx%d", w->width, w->height);
    return w->spec->pixels == AV_PIX_FMT_PAL8 ? open_palette(w, err) : open_scaler(w, err);
}

static tb_status make_frame(writer *w, int64_t i, tb_err *err)
{
    int e = av_frame_make_writable(w->coded);
    load_rgb(w, i);
    if (e >= 0 && w->palette)
        tbi_media_palette_map(w->palette, w->rgb->data[0], w->width, w->height, w->rgb->linesize[0],
                              w->coded->data[0], w->coded->linesize[0],
                              (uint32_t *)(void *)w->coded->data[1]);
    else if (e >= 0)
        e = sws_scale(w->scaler, (const uint8_t *const *)w->rgb->data, w->rgb->linesize, 0,
                      w->height, w->coded->data, w->coded->linesize);
    w->coded->pts = i;
    w->coded->quality = w->codec->global_quality; /* JPEG takes it from the frame */
    return e < 0 ? tbi_media_fail_av(err, TB_EIO, e, "cannot convert frame %lld", (long long)i)
                 : TB_OK;
}

/* ------------------------------------------------------------------------------ codec and muxer */

static tb_status no_encoder(const writer *w, tb_err *err)
{
    return tbi_media_fail(
        err, TB_ENOTFOUND,
        "the FFmpeg installed here was built without %s, which format %s needs; install "
        "the system's own libavcodec package or choose another format",
        w->spec->package, w->spec->name);
}

static void describe_codec(writer *w)
{
    AVCodecContext *c = w->codec;
    const AVRational rate = av_d2q(w->e->fps, 1001000);
    c->width = w->width;
    c->height = w->height;
    c->pix_fmt = coded_pixels(w);
    c->time_base = av_inv_q(rate);
    c->framerate = rate;
    c->flags |= AV_CODEC_FLAG_BITEXACT;
    c->thread_count = w->width * w->height > 512 * 512 ? 4 : 1;
    if (w->spec->pixels == AV_PIX_FMT_YUV420P) {
        c->color_range = AVCOL_RANGE_MPEG;
        c->colorspace = AVCOL_SPC_BT709;
        c->color_primaries = AVCOL_PRI_BT709;
        c->color_trc = AVCOL_TRC_BT709;
    }
    if (w->format && w->format->oformat->flags & AVFMT_GLOBALHEADER)
        c->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
}

static tb_status open_encoder(writer *w, tb_err *err)
{
    const AVCodec *codec = avcodec_find_encoder_by_name(w->spec->encoder);
    if (!codec)
        return no_encoder(w, err);
    w->codec = avcodec_alloc_context3(codec);
    if (!w->codec)
        return tbi_media_fail(err, TB_ENOMEM, "no memory to encode");
    describe_codec(w);
    AVDictionary *options = NULL;
    if (w->spec->set)
        w->spec->set(w->codec, &options, w->e->quality ? w->e->quality : w->spec->default_quality);
    const int e = avcodec_open2(w->codec, codec, &options);
    av_dict_free(&options);
    return e < 0 ? tbi_media_fail_av(err, TB_EINVAL, e,
                                     "%s cannot encode %dx%d at %g frames a second", w->spec->name,
                                     w->width, w->height, w->e->fps)
                 : TB_OK;
}

/* The MP4 muxer reads back what it wrote to move the index to the front. */
static int reopen(AVFormatContext *s, AVIOContext **io, const char *url, int flags,
                  AVDictionary **o)
{
    (void)url, (void)o;
    *io = flags & AVIO_FLAG_WRITE ? NULL : tbi_media_memory_open(s->opaque, false);
    return *io ? 0 : AVERROR(ENOMEM);
}

static int close_reopened(AVFormatContext *s, AVIOContext *io)
{
    (void)s;
    tbi_media_memory_close(&io);
    return 0;
}

static tb_status open_output(writer *w, tb_err *err)
{
    w->io = tbi_media_memory_open(&w->memory, true);
    if (!w->io)
        return tbi_media_fail(err, TB_ENOMEM, "no memory to write %s", w->spec->name);
    if (!w->spec->muxer)
        return TB_OK;
    if (avformat_alloc_output_context2(&w->format, NULL, w->spec->muxer, NULL) < 0)
        return no_encoder(w, err);
    w->stream = avformat_new_stream(w->format, NULL);
    if (!w->stream)
        return tbi_media_fail(err, TB_ENOMEM, "no memory to write %s", w->spec->name);
    w->format->pb = w->io;
    w->format->opaque = &w->memory;
    w->format->io_open = reopen;
    w->format->io_close2 = close_reopened;
    w->format->flags |= AVFMT_FLAG_CUSTOM_IO | AVFMT_FLAG_BITEXACT;
    return TB_OK;
}

static tb_status start_file(writer *w, tb_err *err)
{
    if (!w->format)
        return TB_OK;
    AVDictionary *options = NULL;
    w->stream->time_base = w->codec->time_base;
    w->stream->avg_frame_rate = w->codec->framerate;
    if (strcmp(w->spec->name, "mp4") == 0)
        av_dict_set(&options, "movflags", "+faststart", 0);
    if (strcmp(w->spec->name, "webp") == 0)
        av_dict_set(&options, "loop", "0", 0); /* for ever */
    int e = avcodec_parameters_from_context(w->stream->codecpar, w->codec);
    if (e >= 0)
        e = avformat_write_header(w->format, &options);
    av_dict_free(&options);
    return e < 0 ? tbi_media_fail_av(err, TB_EIO, e, "cannot begin the %s file", w->spec->name)
                 : TB_OK;
}

static int put_packet(writer *w)
{
    if (!w->format)
        return avio_write(w->io, w->packet->data, w->packet->size), 0;
    w->packet->stream_index = 0;
    if (w->packet->duration <= 0)
        w->packet->duration = 1;
    av_packet_rescale_ts(w->packet, w->codec->time_base, w->stream->time_base);
    return av_interleaved_write_frame(w->format, w->packet);
}

/* Send a frame (NULL: the end) and write all packets that are ready. */
static int push(writer *w, const AVFrame *f)
{
    int e = avcodec_send_frame(w->codec, f);
    while (e >= 0) {
        e = avcodec_receive_packet(w->codec, w->packet);
        if (e == AVERROR(EAGAIN) || e == AVERROR_EOF)
            return 0;
        if (e >= 0)
            e = put_packet(w);
        av_packet_unref(w->packet);
    }
    return e;
}

static tb_status encode_frames(writer *w, tb_err *err)
{
    const atomic_bool *cancel = w->e->cancel;
    int e = 0;
    for (int64_t i = 0; i < w->e->frames && e >= 0; i++) {
        if (cancel && atomic_load(cancel))
            return tbi_media_fail(err, TB_ECANCELED, "canceled after %lld frames", (long long)i);
        TB_TRY(make_frame(w, i, err));
        e = push(w, w->coded);
    }
    if (e >= 0)
        e = push(w, NULL);
    if (e >= 0 && w->format)
        e = av_write_trailer(w->format);
    return e < 0 ? tbi_media_fail_av(err, TB_EIO, e, "encoding to %s failed", w->spec->name)
                 : TB_OK;
}

static tb_status run(writer *w, tb_err *err)
{
    TB_TRY(open_output(w, err));
    TB_TRY(open_encoder(w, err));
    TB_TRY(open_frames(w, err));
    TB_TRY(start_file(w, err));
    TB_TRY(encode_frames(w, err));
    avio_flush(w->io);
    return w->io->error < 0 ? tbi_media_fail_av(err, TB_EIO, w->io->error,
                                                "cannot hold the %s file", w->spec->name)
                            : TB_OK;
}

static void writer_close(writer *w)
{
    sws_freeContext(w->scaler);
    tbi_media_palette_free(w->palette);
    av_frame_free(&w->rgb);
    av_frame_free(&w->coded);
    av_packet_free(&w->packet);
    avcodec_free_context(&w->codec);
    avformat_free_context(w->format);
    tbi_media_memory_close(&w->io);
    av_free(w->memory.data);
}

tb_status tbi_media_encode(const tb_media_encoding *e, uint8_t **data, size_t *size, tb_err *err)
{
    const format_spec *spec = find_spec(e->format);
    if (!spec)
        return tbi_media_fail(err, TB_EINTERNAL, "the media module has no format '%s'", e->format);
    writer w = { .e = e, .spec = spec };
    w.width = (int)(spec->even ? (e->width + 1) / 2 * 2 : e->width);
    w.height = (int)(spec->even ? (e->height + 1) / 2 * 2 : e->height);
    const tb_status st = run(&w, err);
    if (st == TB_OK) {
        *data = w.memory.data;
        *size = w.memory.size;
        w.memory.data = NULL;
    }
    writer_close(&w);
    return st;
}
