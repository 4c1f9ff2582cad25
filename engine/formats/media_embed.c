/* media_embed.c - put texts into a finished file.
 *
 * Sources: PNG specification (W3C, third edition) 5.3, 11.3.3 and annex D; WebP container (RFC
 * 9649) 2.7; TIFF 6.0 section 2; JPEG (ITU T.81) B.2.4.5; GIF89a 24.
 */
#include <string.h>

#include "formats/media_bytes.h"
#include "formats/media_meta.h"

/* CRC-32 of ISO 3309, as PNG annex D defines it. */
static uint32_t crc32_of(const char *p, size_t n)
{
    uint32_t c = 0xffffffffu;
    for (size_t i = 0; i < n; i++) {
        c ^= (uint8_t)p[i];
        for (int k = 0; k < 8; k++)
            c = c & 1 ? 0xedb88320u ^ c >> 1 : c >> 1;
    }
    return ~c;
}

static bool is_ascii(const char *s)
{
    for (; *s; s++)
        if ((unsigned char)*s >= 0x80)
            return false;
    return true;
}

static void add_png_text(tb_str *out, const tbi_media_text *t)
{
    tb_str chunk = TB_STR_INIT;
    tb_str_add(&chunk, is_ascii(t->text) ? "tEXt" : "iTXt");
    tb_str_addn(&chunk, t->key, strlen(t->key) + 1);
    if (!is_ascii(t->text))
        tb_str_addn(&chunk, "\0\0\0\0", 4);
    tb_str_add(&chunk, t->text);
    tbi_add_be(out, (uint32_t)(chunk.len - 4), 4);
    tb_str_addn(out, chunk.s, chunk.len);
    tbi_add_be(out, crc32_of(chunk.s, chunk.len), 4);
    tb_str_free(&chunk);
}

enum { BEHIND_IHDR = 33 };

/* Behind the header; in an animation behind its first picture: readers tell it from a picture by
 * what stands before that, and look at the first bytes only. */
static size_t png_text_place(const uint8_t *file, size_t size)
{
    bool moves = false, pixels = false;
    for (size_t at = BEHIND_IHDR; size - at >= 12;) {
        const size_t chunk = 12 + (size_t)tbi_be32(file + at);
        const bool is_pixels = memcmp(file + at + 4, "IDAT", 4) == 0;
        if (chunk > size - at || (is_pixels && !moves))
            break;
        if (pixels && !is_pixels)
            return at;
        moves = moves || memcmp(file + at + 4, "acTL", 4) == 0;
        pixels = is_pixels;
        at += chunk;
    }
    return BEHIND_IHDR;
}

static bool put_png(tb_str *out, const uint8_t *file, size_t size, const tbi_media_text *texts,
                    int count)
{
    if (size < BEHIND_IHDR)
        return false;
    const size_t place = png_text_place(file, size);
    tb_str_addn(out, file, place);
    for (int i = 0; i < count; i++)
        add_png_text(out, &texts[i]);
    tb_str_addn(out, file + place, size - place);
    return true;
}

static void add_jpeg_comments(tb_str *out, const tbi_media_text *t)
{
    const size_t key = strlen(t->key) + 1, room = 65533 - key;
    const char *text = t->text;
    char mark = ':';
    for (size_t left = strlen(text); left; mark = '+') {
        const size_t n = left < room ? left : room, whole = n + key + 2;
        const uint8_t head[] = { 0xff, 0xfe, (uint8_t)(whole >> 8), (uint8_t)whole };
        tb_str_addn(out, head, sizeof head);
        tb_str_addf(out, "%s%c", t->key, mark);
        tb_str_addn(out, text, n);
        text += n;
        left -= n;
    }
}

static bool put_jpeg(tb_str *out, const uint8_t *file, size_t size, const tbi_media_text *texts,
                     int count)
{
    if (size < 2)
        return false;
    tb_str_addn(out, file, 2);
    for (int i = 0; i < count; i++)
        add_jpeg_comments(out, &texts[i]);
    tb_str_addn(out, file + 2, size - 2);
    return true;
}

static void add_gif_comment(tb_str *out, const tbi_media_text *t)
{
    tb_str text = TB_STR_INIT;
    tb_str_addf(&text, "%s:%s", t->key, t->text);
    tb_str_addn(out, "\x21\xfe", 2);
    for (size_t at = 0; at < text.len;) {
        const uint8_t n = (uint8_t)(text.len - at < 255 ? text.len - at : 255);
        tb_str_addn(out, &n, 1);
        tb_str_addn(out, text.s + at, n);
        at += n;
    }
    tb_str_addn(out, "", 1);
    tb_str_free(&text);
}

static bool put_gif(tb_str *out, const uint8_t *file, size_t size, const tbi_media_text *texts,
                    int count)
{
    const size_t start = size < 13 ? size : tbi_gif_start(file);
    if (start >= size)
        return false;
    tb_str_addn(out, file, start);
    for (int i = 0; i < count; i++)
        add_gif_comment(out, &texts[i]);
    tb_str_addn(out, file + start, size - start);
    return true;
}

/* A TIFF block: the first text in the ASCII tag TBI_EXIF_MODEL, the others in the tags before it.
 * Entries stand by rising tag, so the texts are in reverse order. */
static void add_exif(tb_str *out, const tbi_media_text *texts, int count)
{
    tb_str entries = TB_STR_INIT, data = TB_STR_INIT;
    const size_t data_at = 8 + 2 + 12 * (size_t)count + 4;
    for (int i = count - 1; i >= 0; i--) {
        const size_t at = data_at + data.len;
        tb_str_addf(&data, "%s:%s", texts[i].key, texts[i].text);
        tb_str_addn(&data, "", 1);
        tbi_add_le(&entries, (uint32_t)(TBI_EXIF_MODEL - i), 2);
        tbi_add_le(&entries, 2, 2);
        tbi_add_le(&entries, (uint32_t)(data_at + data.len - at), 4);
        tbi_add_le(&entries, (uint32_t)at, 4);
    }
    tb_str_addn(out, "EXIF", 4);
    tbi_add_le(out, (uint32_t)(data_at + data.len), 4);
    tb_str_addn(out, "II*\0", 4);
    tbi_add_le(out, 8, 4);
    tbi_add_le(out, (uint32_t)count, 2);
    tb_str_addn(out, entries.s, entries.len);
    tbi_add_le(out, 0, 4);
    tb_str_addn(out, data.s, data.len);
    if ((data_at + data.len) & 1)
        tb_str_addn(out, "", 1);
    tb_str_free(&entries);
    tb_str_free(&data);
}

/* The size of a still WebP from the head of its one chunk, "VP8 " or "VP8L". */
static bool webp_size(const uint8_t *chunk, uint32_t *width, uint32_t *height)
{
    if (memcmp(chunk, "VP8 ", 4) == 0) {
        *width = (uint32_t)tbi_le16(chunk + 14) & 0x3fff;
        *height = (uint32_t)tbi_le16(chunk + 16) & 0x3fff;
        return true;
    }
    const uint32_t bits = tbi_le32(chunk + 9);
    *width = (bits & 0x3fff) + 1;
    *height = (bits >> 14 & 0x3fff) + 1;
    return memcmp(chunk, "VP8L", 4) == 0;
}

static bool put_webp(tb_str *out, const uint8_t *file, size_t size, const tbi_media_text *texts,
                     int count)
{
    enum { FIRST = 12, EXTENDED = 30, HAS_EXIF = 0x08 };
    uint32_t width = 0, height = 0;
    const bool extended = size >= EXTENDED && memcmp(file + FIRST, "VP8X", 4) == 0;
    if (size < EXTENDED || (!extended && !webp_size(file + FIRST, &width, &height)))
        return false;
    tb_str_addn(out, file, FIRST);
    if (extended) {
        tb_str_addn(out, file + FIRST, EXTENDED - FIRST);
    } else {
        tb_str_add(out, "VP8X");
        tbi_add_le(out, 10, 4);
        tbi_add_le(out, 0, 4);
        tbi_add_le(out, width - 1, 3);
        tbi_add_le(out, height - 1, 3);
    }
    out->s[20] |= HAS_EXIF;
    const size_t from = extended ? EXTENDED : FIRST;
    tb_str_addn(out, file + from, size - from);
    add_exif(out, texts, count);
    for (int i = 0; i < 4; i++)
        out->s[4 + i] = (char)(uint8_t)((out->len - 8) >> 8 * i);
    return true;
}

bool tbi_media_embed(tb_str *out, const char *format, const uint8_t *file, size_t size,
                     const tbi_media_text *texts, int count)
{
    static const struct {
        const char *format;
        bool (*put)(tb_str *out, const uint8_t *file, size_t size, const tbi_media_text *texts,
                    int count);
    } writers[] = {
        { "png", put_png }, { "apng", put_png },  { "jpg", put_jpeg },
        { "gif", put_gif }, { "webp", put_webp }, { "mp4", tbi_media_mp4_put },
    };
    for (size_t i = 0; i < sizeof writers / sizeof *writers; i++)
        if (strcmp(writers[i].format, format) == 0)
            return writers[i].put(out, file, size, texts, count);
    return false;
}
