#!/usr/bin/env bash
# test_errors.sh - models, graphs, scripts and parameters that are wrong: the exact sentence with its line, the exit
# code, and no file left behind.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
. tests/shell.sh

cat >video.lua <<'LUA'
local tb = require "tubelet"
return tb.graph {
  params = {
    prompt = tb.string { default = "a ball" }, frames = tb.int { default = 1, min = 1, max = 4097 },
    size = tb.string { default = "64x64" }, out = tb.path { default = "out.mp4" },
    model = tb.path { optional = true }, transformer = tb.path { optional = true },
    vae = tb.path { optional = true }, text_encoder = tb.path { optional = true },
  },
  build = function(p)
    local m = tb.load_model { path = p.model, transformer = p.transformer, vae = p.vae, text_encoder = p.text_encoder }
    local x = tb.noise_init { model = m.model, size = p.size, frames = p.frames }
    local z = tb.sample { model = m.model, latent = x, steps = 1, cfg = 1, positive = tb.text_encode { clip = m.clip, text = p.prompt } }
    return tb.mux { video = tb.vae_decode { vae = m.vae, latent = z }, path = p.out }
  end,
}
LUA

refuses() { # sentence, exit code, arguments of run...
    local sentence=$1 want=$2
    shift 2
    expect "$want" run video.lua --no-store "$@"
    says "$sentence"
    [ ! -s "$out" ] || fail "stdout is not empty: $(cat "$out")"
    ! compgen -G '*.mp4*' >/dev/null || fail "left behind: $(ls)"
}

# A copy of the bundled model as ./m, to be damaged.
copy_model() {
    rm -rf m && cp -r "$tiny" m
}

# Replace text in a file of weights by text of the same length: its header stays readable.
patch_weights() { # file, sed expression
    LC_ALL=C sed -i "$2" "$1"
}

test_missing_model() {
    refuses "video.lua:10: node 'load_model' (load_model): there is no model '$work/none': neither a folder nor a file of that name" \
        20 --model none
    mkdir empty
    refuses "video.lua:10: node 'load_model' (load_model): '$work/empty' is no model: a diffusers folder (transformer/, vae/, text_encoder/, tokenizer/), an original Wan folder or a .safetensors, .gguf or .pth file is needed" \
        20 --model empty
}

test_damaged_weights() {
    local file=m/transformer/model.safetensors
    copy_model && truncate -s 5000000 $file
    refuses "video.lua:10: node 'load_model' (load_model): '$work/$file' is cut short: tensor 'blocks.3.ffn.0.weight' ends at byte 5256960 of the data, which has 4976544" \
        20 --model m
    copy_model && : >$file
    refuses "video.lua:10: node 'load_model' (load_model): '$work/$file' is not a safetensors file: it has 0 bytes, fewer than 8" \
        20 --model m
    copy_model && printf '\xff\xff\xff\xff\xff\xff\xff\x7f' | dd of=$file conv=notrunc status=none
    refuses "video.lua:10: node 'load_model' (load_model): '$work/$file' is not a safetensors file: its header would be 9223372036854775807 bytes long, at most 100000000 are accepted" \
        20 --model m
    copy_model && patch_weights $file 's/\[192, 36, 1, 2, 2\]/[192, 99, 1, 2, 2]/'
    refuses "video.lua:10: node 'load_model' (load_model): '$work/$file' is damaged: tensor 'patch_embedding.weight' of shape [192,99,1,2,2] and dtype F16 needs 152064 bytes, its data_offsets span 55296" \
        20 --model m
    copy_model && patch_weights $file 's/"F16"/"F99"/'
    refuses "video.lua:10: node 'load_model' (load_model): '$work/$file': tensor 'patch_embedding.weight' has the dtype F99, which is not supported; convert the file to F32, F16, BF16, F8_E4M3 or F8_E5M2" \
        20 --model m
}

test_wrong_tensors() {
    local file=m/transformer/model.safetensors
    copy_model && patch_weights $file 's/blocks\.1\.ffn\.0\.weight/blocks.1.fnn.0.weight/'
    refuses "video.lua:12: node 'sample/step_00/cond' (dit_step): '$work/m/transformer' has no tensor 'blocks.1.ffn.0.weight'; the nearest name it has is 'blocks.1.fnn.0.weight'" \
        20 --model m
    copy_model && patch_weights $file 's/\("blocks\.2\.ffn\.0\.weight": {"dtype": "F16", "shape": \)\[768, 192\]/\1[192, 768]/'
    refuses "video.lua:12: node 'sample/step_00/cond' (dit_step): '$work/m/transformer': tensor 'blocks.2.ffn.0.weight' must have the shape [768,192], it has [192,768]" \
        20 --model m
}

test_parts_that_do_not_fit() {
    local golden=$root/tests/golden
    refuses "video.lua:10: node 'load_model' (load_model): the transformer wants text features of 128 numbers, the text encoder '$golden/umt5_a_hf.safetensors' gives 48: they belong to different models" \
        20 --model "$tiny" --text_encoder "$golden/umt5_a_hf.safetensors"
    refuses "video.lua:10: node 'load_model' (load_model): the transformer makes latents of 16 channels, the VAE '$golden/vae22_a_decoder_orig.safetensors' has 8: they belong to different models" \
        20 --model "$tiny" --vae "$golden/vae22_a_decoder_orig.safetensors"
    refuses "video.lua:10: node 'load_model' (load_model): '$golden/umt5_a_hf.safetensors' holds no VAE" \
        20 --model "$tiny" --vae "$golden/umt5_a_hf.safetensors"
    copy_model && rm -r m/vae
    refuses "video.lua:13: node 'vae_decode' (vae_decode): the model has no VAE: give load_model the path of one as 'vae'" 20 --model m
    copy_model && echo hello >m/tokenizer/tokenizer.json
    refuses "video.lua:12: node 'text_encode' (text_encode): $work/m/tokenizer/tokenizer.json is not valid JSON: invalid token near 'hello' at line 1, column 5" \
        20 --model m
}

test_wrong_sizes() {
    local place="video.lua:11: node 'noise_init' (noise_init)"
    refuses "$place: size must be WIDTHxHEIGHT like 64x64, got '64x6x'" 20 --size 64x6x
    refuses "$place: width and height must be multiples of 16 up to 65536 with this model, got 63x64" 20 --size 63x64
    refuses "$place: width and height must be multiples of 16 up to 65536 with this model, got 0x0" 20 --size 0x0
    refuses "$place: frames must be 4k + 1 with this model (1, 5, 9, ...), got 18" 20 --frames 18
    refuses "tubelet: frames must be 1..4097, got 0" 20 --frames 0
    refuses "tubelet: frames must be an integer, got 'x'" 20 --frames x
    expect 2 run video.lua --promt x
    says "tubelet run: unknown option '--promt', did you mean '--prompt'?
See 'tubelet run --help'."
}

test_too_large_for_the_memory() {
    expect 30 run video.lua --no-store --size 4096x4096 --frames 4097
    grep -qxE 'tubelet: the run needs about [0-9]+ GiB at its peak, but [0-9.]+ [GM]iB can be used; choose a smaller size or fewer frames' \
        "$err" || fail "$(cat "$err")"
    ! compgen -G '*.mp4*' >/dev/null || fail "left behind: $(ls)"
}

test_wrong_outputs() {
    mkdir folder.mp4
    expect 20 run video.lua --no-store --out folder.mp4
    says "video.lua:13: node 'mux' (mux): path must name a file, but '$work/folder.mp4' is a folder"
    rmdir folder.mp4
    refuses "video.lua:13: node 'mux' (mux): '$work/video.lua' must be a folder, but a file is there" 20 --out video.lua/x.mp4
    refuses "video.lua:13: node 'mux' (mux): path must end in .mp4, .webm, .gif, .webp or .png, got 'x.avi'" 20 --out x.avi
    if [ "$(id -u)" -eq 0 ]; then
        echo "skip a folder without permission: root may write everywhere"
        return
    fi
    mkdir -m 555 locked
    refuses "video.lua:13: node 'mux' (mux): cannot write '$work/locked/x.mp4': the folder '$work/locked': Permission denied" 1 --out locked/x.mp4
}

test_wrong_graphs() {
    cat >graph.json <<'JSON'
{ "a": { "class_type": "math_number", "inputs": { "a": ["b", 0], "b": 1, "op": "add" } },
  "b": { "class_type": "math_number", "inputs": { "a": ["a", 0], "b": 1, "op": "add" } } }
JSON
    expect 20 run graph.json
    says "node 'a' (math_number): the links form a cycle: a -> b -> a; remove one of them"
    cat >graph.lua <<'LUA'
local tb = require "tubelet"
return tb.graph { build = function()
  local m = tb.load_model {}
  local x = tb.noise_init { model = m.model, seed = "a", frames = 1.5 }
  local z = tb.sample { model = m.clip, latent = x, cfg = -3,
                        positive = tb.text_encode { clip = m.clip, text = "a" } }
  return tb.mux { video = tb.vae_decode { vae = m.vae, latent = z }, fps = "fast" }
end }
LUA
    expect 20 run graph.lua
    says "graph.lua:4: node 'noise_init' (noise_init): frames must be an integer, got 1.5
graph.lua:4: node 'noise_init' (noise_init): seed must be an integer, got 'a'
graph.lua:5: node 'sample' (sample): model must be MODEL, got CLIP from output 'clip' of node 'load_model' (load_model)
graph.lua:5: node 'sample' (sample): cfg must be 0..100, got -3
graph.lua:7: node 'mux' (mux): fps must be a number, got 'fast'"
}

test_wrong_names_in_lua() {
    cat >graph.lua <<'LUA'
local tb = require "tubelet"
return tb.graph { build = function()
  return tb.vae_decod { }
end }
LUA
    expect 20 run graph.lua
    says "graph.lua:3: tubelet has no node 'vae_decod'; did you mean 'vae_decode'?"
    sed -i 's/vae_decod { }/load_model { pathh = "x" }/' graph.lua
    expect 20 run graph.lua
    says "graph.lua:3: load_model has no input 'pathh'; did you mean 'path'? It takes path, transformer, vae, text_encoder, tokenizer, image_encoder"
}

test_wrong_scripts() {
    printf 'local tb = require "tubelet"\nlocal m = = 3\n' >graph.lua
    expect 20 run graph.lua
    says "graph.lua:2: unexpected symbol near '='"
    printf 'local m\n\nreturn m.x\n' >graph.lua
    expect 20 run graph.lua
    says "graph.lua:3: attempt to index a nil value (local 'm')"
    printf 'return 3\n' >graph.lua
    expect 20 run graph.lua
    says "tubelet: graph.lua must return tb.graph { build = function(p) ... end }, got number"
    printf 'while true do pcall(function() while true do end end) end\n' >graph.lua
    expect 30 run graph.lua
    says "graph.lua:1: the script ran too long: more instructions than allowed; look for an endless loop"
    printf 'local s = "x"\nwhile true do s = s .. s end\n' >graph.lua
    expect 30 run graph.lua
    says "graph.lua:2: the script needs more than 64 MiB of memory"
}

run_tests
