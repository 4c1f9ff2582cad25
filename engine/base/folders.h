/* folders.h - where the user's files lie: input, output, temp, and models by kind.
 *
 * A path of a graph may name a folder instead of spelling it: "input:photo.png",
 * "output:video/clip.mp4", "vae:wan_2.1_vae.safetensors". Such a name never leaves its folder: what
 * would (an absolute name, "..") is taken for a plain path instead, and there is no such file.
 *
 * Kinds of models and their folders below a root are ComfyUI's: diffusion_models (also unet),
 * text_encoders (also clip), vae, checkpoints, loras, clip_vision, ...
 *
 * Memory:  a tb_folders owns its texts.
 * Threads: read-only once it is set up; any thread may look.
 */
#pragma once

#include <stdbool.h>

#include "base/json.h"

typedef struct tb_folders tb_folders;

/* Nothing set: input is "input" below the folder a run was started in, or that folder itself, which
 * is the output as well; no models. */
tb_folders *tb_folders_new(void);
void tb_folders_free(tb_folders **f);
/* kind: "input", "output" or "temp" (asserted). Sets one folder. */
void tb_folders_set(tb_folders *f, const char *kind, const char *path);
/* A folder that holds diffusion_models/, vae/, ...; earlier roots win. */
void tb_folders_add_root(tb_folders *f, const char *root);
/* Those of $TUBELET_MODELS, separated by ':', and "models" below the current folder. */
void tb_folders_add_usual_roots(tb_folders *f);
/* One model under a name of its own, behind the files. */
void tb_folders_add_model(tb_folders *f, const char *kind, const char *name, const char *path);

/* May a name of that kind be checked? Not before its folder is set, where it is input, output or
 * temp. */
bool tb_folders_knows(const tb_folders *f, const char *kind);

/* Five letters drawn when the folders were made, for names of temporary files. Borrowed. */
const char *tb_folders_session(const tb_folders *f);
/* Borrowed; NULL: not set. */
const char *tb_folders_temp(const tb_folders *f);

/* The i-th kind of models; NULL behind the last. */
const char *tb_folders_kind(int i);
/* ComfyUI's present name of a kind ("unet" is diffusion_models); input, output and temp stay. NULL:
 * there is no such kind. Static string. */
const char *tb_folders_kind_of(const char *name);
/* The folders of a kind that are searched, in order, also those that are not there. New reference.
 */
json_t *tb_folders_paths(const tb_folders *f, const char *kind);
/* Names below them: models (files, and folders with a config.json) of model kinds, all files of
 * others; "sub/name", sorted, each once.
 * New reference. */
json_t *tb_folders_names(const tb_folders *f, const char *kind);
/* The path of a file of that kind, freed by free(). "name [output]" asks for another folder, as
 * ComfyUI's names of input files do. NULL with a sentence that says where it was
 * looked for and what is there. */
char *tb_folders_find(const tb_folders *f, const char *kind, const char *name, tb_err *err);
/* Does a path name a folder and then leave it ("output:../x")? There is no such file to read; to
 * write one is refused. */
bool tb_folders_leaves(const char *path);
/* The path behind "KIND:name", in `cwd` where the kind has no folder of its own; a file that is not
 * there gets the path where it would be. Freed by free(); NULL: it names no folder. */
char *tb_folders_named(const tb_folders *f, const char *cwd, const char *path);
