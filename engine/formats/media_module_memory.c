/* media_module_memory.c - a file in memory behind AVIOContext, sought and grown as a file on disk
 * would be. */
#include <errno.h>
#include <string.h>

#include <libavutil/mem.h>

#include "formats/media_module_priv.h"

enum { BUFFER_BYTES = 1 << 16 };

typedef struct cursor {
    tbi_media_memory *memory;
    size_t at;
} cursor;

static int grow(tbi_media_memory *m, size_t need)
{
    if (need <= m->cap)
        return 0;
    const size_t cap = need < BUFFER_BYTES ? BUFFER_BYTES : need + need / 2;
    uint8_t *data = av_realloc(m->data, cap);
    if (!data)
        return AVERROR(ENOMEM);
    m->data = data;
    m->cap = cap;
    return 0;
}

static int write_bytes(void *opaque, uint8_t *bytes, int n)
{
    cursor *c = opaque;
    tbi_media_memory *m = c->memory;
    const size_t end = c->at + (size_t)n;
    const int e = grow(m, end);
    if (e < 0)
        return e;
    if (c->at > m->size)
        memset(m->data + m->size, 0, c->at - m->size);
    memcpy(m->data + c->at, bytes, (size_t)n);
    c->at = end;
    m->size = end > m->size ? end : m->size;
    return n;
}

static int read_bytes(void *opaque, uint8_t *bytes, int n)
{
    cursor *c = opaque;
    const tbi_media_memory *m = c->memory;
    if (c->at >= m->size)
        return AVERROR_EOF;
    const size_t left = m->size - c->at, take = left < (size_t)n ? left : (size_t)n;
    memcpy(bytes, m->data + c->at, take);
    c->at += take;
    return (int)take;
}

static int64_t seek_to(void *opaque, int64_t offset, int whence)
{
    cursor *c = opaque;
    int64_t at = offset;
    switch (whence & ~AVSEEK_FORCE) {
    case AVSEEK_SIZE: return (int64_t)c->memory->size;
    case SEEK_CUR: at += (int64_t)c->at; break;
    case SEEK_END: at += (int64_t)c->memory->size; break;
    default: break;
    }
    if (at < 0)
        return AVERROR(EINVAL);
    c->at = (size_t)at;
    return at;
}

AVIOContext *tbi_media_memory_open(tbi_media_memory *m, bool write)
{
    cursor *c = av_mallocz(sizeof *c);
    uint8_t *buffer = av_malloc(BUFFER_BYTES);
    AVIOContext *io = NULL;
    if (c && buffer) {
        c->memory = m;
        io = avio_alloc_context(buffer, BUFFER_BYTES, write, c, read_bytes, write_bytes, seek_to);
    }
    if (!io) {
        av_free(buffer);
        av_free(c);
    }
    return io;
}

void tbi_media_memory_close(AVIOContext **io)
{
    if (!*io)
        return;
    avio_flush(*io);
    av_free((*io)->opaque);
    av_freep(&(*io)->buffer);
    avio_context_free(io);
}
