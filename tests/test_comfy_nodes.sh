#!/usr/bin/env bash
# test_comfy_nodes.sh - ComfyUI's workflows run: files of its editor and of its API, with models in its folder names,
# on the bundled model at small sizes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

. tests/shell.sh

export LSAN_OPTIONS=${LSAN_OPTIONS-suppressions=$root/tests/lsan.supp:print_suppressions=0}
export TUBELET_STORE=$work/store TUBELET_MODEL=$tiny
unset TUBELET_MODELS

# The parts of the bundled model under the names that the workflows ask for.
mkdir -p models/unet models/text_encoders models/vae models/loras models/clip_vision input
ln -s "$root/examples/tiny/transformer" models/unet/wan2.1_tiny_fp16.safetensors
ln -s "$root/examples/tiny/text_encoder" models/text_encoders/umt5_tiny.safetensors
ln -s "$root/examples/tiny/tokenizer" models/text_encoders/tokenizer
ln -s "$root/examples/tiny/vae" models/vae/wan_tiny_vae.safetensors
ln -s "$root/examples/tiny" models/clip_vision/clip_vision_tiny.safetensors # it reads no image features
ln -s "$root/examples/tiny/lora/star.safetensors" models/loras/fast.safetensors
cp "$root/docs/frames.png" input/start.png

runs() { # file, files that are written...
    local file=$1 name
    shift
    if ! "$bin" run "$file" >out 2>err; then
        fail "$file: $(cat err)"
        return
    fi
    for name in "$@"; do
        [ -s "$name" ] || fail "$file: there is no $name; it wrote $(tr '\n' ' ' <out)"
        grep -qxF "$work/$name" out || fail "$file: it did not say that it wrote $name"
    done
}

refused() { # file, sentence
    if "$bin" run "$1" >out 2>err; then
        fail "$1: it ran"
    fi
    grep -qF "$2" err || fail "$1: wanted: $2; got: $(cat err)"
}

runs "$root/tests/workflows/wan_t2v.json" video/ComfyUI_00001_.mp4
# once more: everything is stored, and the file of the first time is told again
runs "$root/tests/workflows/wan_t2v.json" video/ComfyUI_00001_.mp4
grep -q '1 of 1 nodes cached' err || fail "the second run computed something: $(cat err)"
[ ! -e video/ComfyUI_00002_.mp4 ] || fail "the second run wrote another file"
# another picture is another file
"$bin" run "$root/tests/workflows/wan_t2v.json" --set 3.seed=8 >out 2>err || fail "$(cat err)"
[ -s video/ComfyUI_00002_.mp4 ] || fail "another seed: $(cat out err)"

runs "$root/tests/workflows/wan_i2v.json" ComfyUI_00001_.webp
runs "$root/tests/workflows/wan22_subgraph.json" video/Wan2.2_text_to_video_00001_.mp4
runs "$root/tests/workflows/routed.json" routed_00001_.mp4

# A bypassed copy of the whole graph, one bypassed picture, an unfinished node, and a LoRA by its name on Windows.
mkdir -p models/loras/sub
ln -s ../fast.safetensors models/loras/sub/fast.safetensors
runs "$root/tests/workflows/two_copies.json" two/copies_00001_.mp4
grep -qF "node '301' (KSampler): model is not connected; link it to an output of type MODEL (and 3 more); no output needs it, so it is left out" err ||
    fail "unfinished nodes: $(cat err)"

# A video holds the graph it was made by, and is one to run again.
runs video/ComfyUI_00001_.mp4 video/ComfyUI_00001_.mp4

# API format, with a name that has the date, into a folder.
"$bin" graph "$root/tests/workflows/routed.json" >api.json
"$bin" run api.json --set '18.filename_prefix=%year%/clip_%width%' >out 2>err || fail "$(cat err)"
[ -s "$(date +%Y)/clip_32_00001_.mp4" ] || fail "names with words: $(cat out err)"

# Pictures, previews, latents.
cat >pictures.json <<'END'
{ "1": { "class_type": "LoadImage", "inputs": { "image": "start.png" } },
  "2": { "class_type": "ImageScale", "inputs": { "image": ["1", 0], "upscale_method": "area", "width": 32,
         "height": 32, "crop": "center" } },
  "3": { "class_type": "SaveImage", "inputs": { "images": ["6", 0], "filename_prefix": "still" } },
  "4": { "class_type": "PreviewImage", "inputs": { "images": ["2", 0] } },
  "5": { "class_type": "VAELoader", "inputs": { "vae_name": "wan_tiny_vae.safetensors" } },
  "6": { "class_type": "RepeatImageBatch", "inputs": { "image": ["2", 0], "amount": 3 } },
  "7": { "class_type": "VAEEncode", "inputs": { "pixels": ["2", 0], "vae": ["5", 0] } },
  "8": { "class_type": "SaveLatent", "inputs": { "samples": ["7", 0], "filename_prefix": "latents/one" } },
  "9": { "class_type": "ImageScaleBy", "inputs": { "image": ["2", 0], "upscale_method": "bilinear", "scale_by": 1.5 } },
  "10": { "class_type": "ImageScaleToTotalPixels", "inputs": { "image": ["9", 0], "upscale_method": "area",
          "megapixels": 0.01, "resolution_steps": 16 } },
  "11": { "class_type": "VHS_VideoCombine", "inputs": { "images": ["10", 0], "frame_rate": 8, "loop_count": 0,
          "filename_prefix": "combined", "format": "video/h264-mp4", "pix_fmt": "yuv420p", "crf": 19,
          "pingpong": false, "save_output": true } } }
END
runs pictures.json combined_00001.mp4 still_00001_.png still_00003_.png latents/one_00001_.latent
ls cache/tubelet/temp/ComfyUI_temp_*_00001_.png >/dev/null || fail "there is no preview: $(cat out)"
cat >decode.json <<'END'
{ "1": { "class_type": "LoadLatent", "inputs": { "latent": "one_00001_.latent" } },
  "2": { "class_type": "VAELoader", "inputs": { "vae_name": "wan_tiny_vae.safetensors" } },
  "3": { "class_type": "VAEDecode", "inputs": { "samples": ["1", 0], "vae": ["2", 0] } },
  "4": { "class_type": "SaveImage", "inputs": { "images": ["3", 0], "filename_prefix": "decoded" } } }
END
cp latents/one_00001_.latent input/
runs decode.json decoded_00001_.png

# Switches and values: only the branch that is wanted is computed.
cat >switch.json <<'END'
{ "1": { "class_type": "PrimitiveBoolean", "inputs": { "value": false } },
  "2": { "class_type": "UNETLoader", "inputs": { "unet_name": "tubelet-tiny", "weight_dtype": "default" } },
  "3": { "class_type": "LoraLoaderModelOnly", "inputs": { "model": ["2", 0], "lora_name": "fast.safetensors",
         "strength_model": 1.0 } },
  "4": { "class_type": "ComfySwitchNode", "inputs": { "switch": ["1", 0], "on_false": ["2", 0], "on_true": ["3", 0] } },
  "5": { "class_type": "CLIPLoader", "inputs": { "clip_name": "tubelet-tiny", "type": "wan" } },
  "6": { "class_type": "CLIPTextEncode", "inputs": { "text": "a red ball", "clip": ["5", 0] } },
  "7": { "class_type": "Wan22ImageToVideoLatent", "inputs": { "vae": ["8", 0], "width": 32, "height": 32, "length": 5,
         "batch_size": 2, "start_image": ["9", 0] } },
  "8": { "class_type": "VAELoader", "inputs": { "vae_name": "tubelet-tiny" } },
  "9": { "class_type": "LoadImage", "inputs": { "image": "start.png" } },
  "10": { "class_type": "PrimitiveInt", "inputs": { "value": 2 } },
  "11": { "class_type": "KSampler", "inputs": { "model": ["4", 0], "seed": 5, "steps": ["10", 0], "cfg": 1.0,
          "sampler_name": "dpmpp_2m", "scheduler": "beta", "positive": ["6", 0], "negative": ["6", 0],
          "latent_image": ["7", 0], "denoise": 1.0 } },
  "12": { "class_type": "VAEDecodeTiled", "inputs": { "samples": ["11", 0], "vae": ["8", 0], "tile_size": 64,
          "overlap": 64, "temporal_size": 64, "temporal_overlap": 8 } },
  "13": { "class_type": "SaveWEBM", "inputs": { "images": ["12", 0], "filename_prefix": "switched", "codec": "vp9",
          "fps": 8.0, "crf": 32.0 } },
  "14": { "class_type": "SaveAnimatedPNG", "inputs": { "images": ["12", 0], "filename_prefix": "moving", "fps": 8.0,
          "compress_level": 4 } } }
END
runs switch.json switched_00001_.webm switched_00002_.webm moving_00001_.png moving_00002_.png
grep -q acTL moving_00001_.png || fail "moving_00001_.png is not animated"
sed 's/"value": false/"value": true/' switch.json >lora.json
runs lora.json switched_00003_.webm switched_00004_.webm moving_00003_.png moving_00004_.png
! cmp -s moving_00001_.png moving_00003_.png || fail "the LoRA changes nothing"
sed -e 's/"strength_model": 1.0/"strength_model": 1.0, "clip": ["5", 0], "strength_clip": 0.5/' \
    -e 's/LoraLoaderModelOnly/LoraLoader/' lora.json >lora_clip.json
runs lora_clip.json switched_00005_.webm moving_00005_.png
sed 's/fast.safetensors/slow.safetensors/' lora.json >no_lora.json
refused no_lora.json "node '3' (LoraLoaderModelOnly): lora_name: there is no 'slow.safetensors' in models/loras; did you mean 'fast.safetensors'? There are fast.safetensors, sub/fast.safetensors, tubelet-tiny-star"

# What is wrong is told with the node, what is there, and what to do.
sed 's/tubelet-tiny/none.safetensors/' switch.json >none.json
refused none.json "node '2' (UNETLoader): unet_name: there is no 'none.safetensors' in models/unet, models/diffusion_models; there are wan2.1_tiny_fp16.safetensors, tubelet-tiny"
sed 's/dpmpp_2m/dpm_fast/' switch.json >sampler.json
refused sampler.json "node '11' (KSampler): sampler_name must be one of euler|euler_ancestral|heun|dpmpp_sde|dpmpp_sde_gpu|dpmpp_2m|dpmpp_2m_sde|dpmpp_2m_sde_gpu|dpmpp_3m_sde|dpmpp_3m_sde_gpu|lcm|ipndm|deis|res_multistep|ddim|uni_pc|uni_pc_bh2, got 'dpm_fast'"
sed 's/"switched"/"..\/out"/' switch.json >leave.json
refused leave.json "path must stay inside the output folder, got '../out_#####_.webm'"
sed 's/"ImageScale"/"ImageScal"/' pictures.json >unknown.json
refused unknown.json "node '2': unknown node type 'ImageScal'; did you mean 'ImageScale'?"

exit $((failures > 0))
