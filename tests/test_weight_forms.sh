#!/usr/bin/env bash
# test_weight_forms.sh - the bundled model as GGUF and PyTorch files, in a diffusers folder and under ComfyUI's loaders:
# the same bytes come out as from safetensors.
set -euo pipefail
root=$(realpath "$(dirname "${BASH_SOURCE[0]}")/..")
bin=$(realpath "${TUBELET_BIN:-$root/build/debug/tubelet}")
export NO_COLOR=1 LC_ALL=C.UTF-8
export LSAN_OPTIONS=${LSAN_OPTIONS-suppressions=$root/tests/lsan.supp:print_suppressions=0}
command -v python3 >/dev/null || { echo "skip: no python3"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tiny=$root/examples/tiny
export TUBELET_STORE=$work/store TUBELET_MODEL=$tiny XDG_CACHE_HOME=$work/cache
unset TUBELET_MODELS
cd "$work"
failures=0

fail() {
    echo "$1" >&2
    failures=$((failures + 1))
}

convert() { # form, part, target
    mkdir -p "$(dirname "$3")"
    python3 "$root/tests/weight_forms.py" "$1" "$tiny/$2/model.safetensors" "$3"
    cp "$tiny/$2/config.json" "$(dirname "$3")"
}

# a diffusers folder whose parts are other files than safetensors
convert gguf transformer mixed/transformer/tiny-F16.gguf
convert gguf text_encoder mixed/text_encoder/umt5-F16.gguf
convert pth vae mixed/vae/diffusion_pytorch_model.bin
cp -r "$tiny/tokenizer" "$tiny/scheduler" mixed
# and ComfyUI's folders
convert pth transformer models/unet/tiny.pth
convert gguf text_encoder models/text_encoders/umt5.gguf
convert gguf vae models/vae/tiny_vae.gguf
cp -r "$tiny/tokenizer" models/text_encoders

cat >run.lua <<'LUA'
local tb = require "tubelet"
return tb.graph {
  params = { from = tb.string { default = "" }, out = tb.path { default = "x.safetensors" } },
  build = function(p)
    local m
    if p.from == "loaders" then
      m = { model = tb.UnetLoaderGGUF { unet_name = "tiny.pth" },
            clip = tb.CLIPLoaderGGUF { clip_name = "umt5.gguf" },
            vae = tb.VAELoader { vae_name = "tiny_vae.gguf" } }
    else
      m = tb.load_model { path = p.from }
    end
    local noise = tb.noise_init { model = m.model, seed = 7, size = "32x32", frames = 5 }
    local red = tb.text_encode { clip = m.clip, text = "a red ball" }
    local none = tb.text_encode { clip = m.clip, text = "" }
    local latent = tb.sample { model = m.model, latent = noise, positive = red, negative = none, steps = 2 }
    local frames = tb.vae_decode { vae = m.vae, latent = latent }
    return tb.save_tensor { value = frames, path = p.out }
  end,
}
LUA

run() { # from, out
    "$bin" run run.lua --from "$1" --out "$2" >out 2>err || fail "from '$1': $(cat err)"
}
run "" plain.safetensors
run mixed mixed.safetensors
run loaders loaders.safetensors
cmp plain.safetensors mixed.safetensors || fail "GGUF and .bin parts gave other frames than safetensors"
cmp plain.safetensors loaders.safetensors || fail "ComfyUI's loaders gave other frames from .pth and GGUF"

"$bin" model show mixed >out 2>err || fail "model show: $(cat err)"
grep -q 'transformer  *5.17 M  F16' out || fail "model show: $(cat out)"

[ "$failures" -eq 0 ] || exit 1
echo "ok   from GGUF and PyTorch files the same frames as from safetensors"
