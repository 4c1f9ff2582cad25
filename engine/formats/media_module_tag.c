/* media_module_tag.c - tags put into a finished WebM by writing its packets anew into a second
 * one. */
#include <string.h>

#include "formats/media_module_priv.h"

typedef struct copier {
    tbi_media_memory from, to;
    AVIOContext *in_io, *out_io;
    AVFormatContext *in, *out;
    AVPacket *packet;
} copier;

static int open_input(copier *c, const uint8_t *data, size_t size)
{
    c->from.data = av_memdup(data, size);
    c->from.size = size;
    c->in_io = c->from.data ? tbi_media_memory_open(&c->from, false) : NULL;
    c->in = c->in_io ? avformat_alloc_context() : NULL;
    if (!c->in)
        return AVERROR(ENOMEM);
    c->in->pb = c->in_io;
    c->in->flags |= AVFMT_FLAG_CUSTOM_IO;
    const int e = avformat_open_input(&c->in, "", av_find_input_format("matroska"), NULL);
    return e < 0 ? e : c->in->nb_streams == 1 ? 0 : AVERROR_INVALIDDATA;
}

static int open_output(copier *c, const char *const *tags)
{
    const AVStream *from = c->in->streams[0];
    const int e = avformat_alloc_output_context2(&c->out, NULL, "webm", NULL);
    c->out_io = e < 0 ? NULL : tbi_media_memory_open(&c->to, true);
    AVStream *to = c->out_io ? avformat_new_stream(c->out, NULL) : NULL;
    if (!to)
        return e < 0 ? e : AVERROR(ENOMEM);
    c->out->pb = c->out_io;
    c->out->flags |= AVFMT_FLAG_CUSTOM_IO | AVFMT_FLAG_BITEXACT;
    to->time_base = from->time_base;
    to->avg_frame_rate = from->avg_frame_rate;
    for (; *tags; tags += 2)
        av_dict_set(&c->out->metadata, tags[0], tags[1], 0);
    return avcodec_parameters_copy(to->codecpar, from->codecpar);
}

static int copy_packets(copier *c)
{
    c->packet = av_packet_alloc();
    int e = c->packet ? avformat_write_header(c->out, NULL) : AVERROR(ENOMEM);
    while (e >= 0 && (e = av_read_frame(c->in, c->packet)) >= 0) {
        av_packet_rescale_ts(c->packet, c->in->streams[0]->time_base,
                             c->out->streams[0]->time_base);
        c->packet->pos = -1;
        e = av_interleaved_write_frame(c->out, c->packet);
    }
    if (e == AVERROR_EOF)
        e = av_write_trailer(c->out);
    if (e >= 0)
        avio_flush(c->out_io);
    return e < 0 ? e : c->out_io->error;
}

static void copier_close(copier *c)
{
    av_packet_free(&c->packet);
    avformat_close_input(&c->in);
    avformat_free_context(c->out);
    tbi_media_memory_close(&c->in_io);
    tbi_media_memory_close(&c->out_io);
    av_free(c->from.data);
    av_free(c->to.data);
}

tb_status tbi_media_tag(const uint8_t *file, size_t size, const char *const *tags, uint8_t **data,
                        size_t *out_size, tb_err *err)
{
    copier c = { 0 };
    int e = open_input(&c, file, size);
    if (e >= 0)
        e = open_output(&c, tags);
    if (e >= 0)
        e = copy_packets(&c);
    if (e >= 0) {
        *data = c.to.data;
        *out_size = c.to.size;
        c.to.data = NULL;
    }
    copier_close(&c);
    return e < 0 ? tbi_media_fail_av(err, TB_EIO, e, "cannot put the graph into the WebM file")
                 : TB_OK;
}
