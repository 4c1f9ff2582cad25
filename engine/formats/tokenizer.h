/* tokenizer.h - text to token ids, from tokenizer.json (Unigram) or a SentencePiece model file.
 *
 * Sources: SentencePiece (Kudo and Richardson, arXiv 1808.06226), its model protobuf, and Hugging
 * Face's tokenizer.json. The precompiled character map is matched by longest prefix, as
 * SentencePiece does; neighbouring unknown characters are one <unk>, as both do. Bytes stand for
 * unknown characters only where the file says so: tokenizer.json of UMT5 does not, its model file
 * does.
 *
 * Threads: read-only after opening.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

typedef struct tb_tokenizer tb_tokenizer;

/* path: tokenizer.json, spiece.model, a folder that holds one of them, a .safetensors file that
 * carries the model file as the tensor "spiece_model", or a .gguf file with llama.cpp's metadata of
 * a T5 tokenizer. */
tb_tokenizer *tb_tokenizer_open(const char *path, tb_err *err);
/* Does a .gguf file of weights carry its tokenizer? */
bool tb_tokenizer_carried(const char *file);
/* The file that opening this path would read; freed by free(). NULL with TB_ENOTFOUND. */
char *tb_tokenizer_file(const char *path, tb_err *err);
void tb_tokenizer_close(tb_tokenizer **t);
int64_t tb_tokenizer_size(const tb_tokenizer *t);
/* UTF-8 in (invalid bytes become U+FFFD), ids out with the special tokens of the template; *ids is
 * freed by free(). max > 0 truncates to max ids and keeps the final special token. */
tb_status tb_tokenizer_encode(const tb_tokenizer *t, const char *text, int64_t max, int32_t **ids,
                              int64_t *count, tb_err *err);
const char *tb_tokenizer_piece(const tb_tokenizer *t, int32_t id); /* borrowed; NULL out of range */
