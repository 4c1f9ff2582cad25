#!/usr/bin/env bash
# test_image_features.sh - image-to-video models that read features of an image encoder (Wan2.1 I2V, FLF2V): a picture
# in, a video out, with random weights at small size; from graphs and from ComfyUI's workflows.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
command -v python3 >/dev/null || { echo "skip: no python3"; exit 77; }

. tests/shell.sh

export TUBELET_STORE=$work/store TUBELET_MODEL=$tiny
unset TUBELET_MODELS
python3 "$root/tests/tiny_i2v.py" "$root" i2v
mkdir wan
python3 "$root/tests/weight_forms.py" pth i2v/wan_clip.safetensors wan/models_clip_open-clip-xlm-roberta.pth
mkdir -p models/clip_vision models/unet models/text_encoders models/vae input
cp i2v/image_encoder/model.safetensors models/clip_vision/clip_vision_h.safetensors
ln -s "$work/i2v/transformer" models/unet/wan2.1_i2v.safetensors
ln -s "$work/i2v/text_encoder" models/text_encoders/umt5.safetensors
ln -s "$work/i2v/tokenizer" models/text_encoders/tokenizer
ln -s "$work/i2v/vae" models/vae/wan_vae.safetensors
cp "$root/docs/frames.png" input/start.png
cp "$root/docs/steps.png" input/other.png

# A latent of two steps. start, last: pictures the video is made between; see: the one whose features are read instead.
cat >steps.lua <<'LUA'
local tb = require "tubelet"
return tb.graph {
  params = { model = tb.path { default = "i2v" }, transformer = tb.path { optional = true },
             image_encoder = tb.path { optional = true }, start = tb.path {}, see = tb.path { optional = true },
             last = tb.path { optional = true }, features = tb.bool { default = true },
             both = tb.bool { default = true }, crop = tb.string { default = "none" }, out = tb.path {} },
  build = function(p)
    local m = tb.load_model { path = p.model, transformer = p.transformer, image_encoder = p.image_encoder }
    local function picture(id, path) return path and tb.load_image { id = id, path = path, width = 32, height = 32 } end
    local function see(id, path)
      return path and p.features and tb.CLIPVisionEncode { id = id, clip_vision = m.clip_vision, crop = p.crop,
                                                           image = tb.load_image { id = id .. "_file", path = path } }
    end
    local start, last = see("see_start", p.see or p.start), see("see_last", p.last)
    local known = tb.WanFirstLastFrameToVideo {
      positive = tb.text_encode { id = "red", clip = m.clip, text = "a red ball" },
      negative = tb.text_encode { id = "none", clip = m.clip, text = "" },
      vae = m.vae, width = 32, height = 32, length = 5, start_image = picture("start", p.start),
      end_image = picture("last", p.last), clip_vision_start_image = start or nil, clip_vision_end_image = last or nil,
    }
    local negative = p.both and known.negative or tb.text_encode { id = "plain", clip = m.clip, text = "" }
    local z = tb.KSampler { model = m.model, positive = known.positive, negative = negative, latent_image = known.latent,
                            seed = 1, steps = 2, cfg = 3.0, sampler_name = "euler", scheduler = "simple" }
    return tb.save_tensor { value = z, path = p.out }
  end,
}
LUA

steps() { # name, arguments...
    local name=$1
    shift
    expect 0 run steps.lua --start input/start.png "$@" --out "$name.safetensors"
}

same() {
    cmp -s "$1.safetensors" "$2.safetensors" || fail "$1 and $2 differ"
}

differ() {
    ! cmp -s "$1.safetensors" "$2.safetensors" || fail "$1 and $2 are the same"
}

test_a_picture_becomes_a_video() {
    expect 0 model show i2v
    has "$out" image_encoder
    expect 0 model verify i2v
    local picture
    for picture in start other; do
        expect 0 run "$root/graphs/image_to_video.lua" --model i2v --image "input/$picture.png" --size 32x32 \
            --frames 5 --steps 2 --out "$picture.mp4"
        [ -s "$picture.mp4" ] || fail "there is no $picture.mp4"
    done
    ! cmp -s start.mp4 other.mp4 || fail "another picture, the same video"
    # the features alone: the same first frame, and what the encoder sees is another picture
    steps plain
    steps seen --see input/other.png
    differ plain seen
    steps crop --crop center
    differ plain crop
}

test_every_form_of_the_encoder_gives_the_same() {
    steps wan --image_encoder wan/models_clip_open-clip-xlm-roberta.pth
    same plain wan
    expect 0 model show wan
    has "$out" image_encoder
}

test_the_negative_pass_takes_features_from_the_positive_one() {
    steps text_only --no-both
    same text_only plain
}

test_two_pictures() {
    steps two --transformer i2v/first_last --last input/other.png
    steps first_of_two --transformer i2v/first_last
    steps two_without_positions --last input/other.png
    steps other_last --transformer i2v/first_last --last input/start.png
    differ two first_of_two
    differ two two_without_positions
    differ two other_last
}

test_models_that_read_no_features_leave_them_aside() {
    steps bundled --model "$tiny"
    steps bundled_none --model "$tiny" --no-features
    same bundled bundled_none
    steps bundled_seen --model "$tiny" --image_encoder i2v/image_encoder
    same bundled bundled_seen
}

test_what_is_missing_says_so() {
    expect 20 run steps.lua --start input/start.png --out no.safetensors --no-features
    has "$err" "this image-to-video model wants CLIP image features of width 32, got none: encode the picture with clip_vision_encode and join it with condition_image"
    mkdir alone
    for part in transformer vae text_encoder tokenizer scheduler; do
        ln -s "$work/i2v/$part" alone/
    done
    expect 0 model show alone
    has "$out" image_encoder
    expect 20 run steps.lua --start input/start.png --out no.safetensors --model alone
    has "$err" "the model has no image encoder: give load_model the path of one as 'image_encoder'"
    expect 20 run steps.lua --start input/start.png --out no.safetensors --image_encoder "$tiny/vae"
    has "$err" "vae' holds no image encoder"
    [ ! -e no.safetensors ] || fail "a file was written without a result"
}

# The template of ComfyUI, with its model and with the bundled one.
test_comfyui_workflows() {
    cat >flow.json <<'END'
{ "37": { "class_type": "UNETLoader", "inputs": { "unet_name": "wan2.1_i2v.safetensors", "weight_dtype": "default" } },
  "38": { "class_type": "CLIPLoader", "inputs": { "clip_name": "umt5.safetensors", "type": "wan" } },
  "39": { "class_type": "VAELoader", "inputs": { "vae_name": "wan_vae.safetensors" } },
  "49": { "class_type": "CLIPVisionLoader", "inputs": { "clip_name": "clip_vision_h.safetensors" } },
  "52": { "class_type": "LoadImage", "inputs": { "image": "start.png" } },
  "51": { "class_type": "CLIPVisionEncode", "inputs": { "clip_vision": ["49", 0], "image": ["52", 0], "crop": "none" } },
  "6": { "class_type": "CLIPTextEncode", "inputs": { "text": "a red ball", "clip": ["38", 0] } },
  "7": { "class_type": "CLIPTextEncode", "inputs": { "text": "", "clip": ["38", 0] } },
  "50": { "class_type": "WanImageToVideo", "inputs": { "positive": ["6", 0], "negative": ["7", 0], "vae": ["39", 0],
          "clip_vision_output": ["51", 0], "start_image": ["52", 0], "width": 32, "height": 32, "length": 5,
          "batch_size": 1 } },
  "54": { "class_type": "ModelSamplingSD3", "inputs": { "model": ["37", 0], "shift": 8.0 } },
  "3": { "class_type": "KSampler", "inputs": { "model": ["54", 0], "seed": 1, "steps": 2, "cfg": 6.0,
         "sampler_name": "uni_pc", "scheduler": "simple", "positive": ["50", 0], "negative": ["50", 1],
         "latent_image": ["50", 2], "denoise": 1.0 } },
  "8": { "class_type": "VAEDecode", "inputs": { "samples": ["3", 0], "vae": ["39", 0] } },
  "28": { "class_type": "SaveAnimatedWEBP", "inputs": { "images": ["8", 0], "filename_prefix": "i2v", "fps": 16.0,
          "lossless": false, "quality": 90, "method": "default" } } }
END
    expect 0 run flow.json
    [ -s i2v_00001_.webp ] || fail "flow.json wrote $(tr '\n' ' ' <"$out")"
    sed 's/"start.png"/"other.png"/' flow.json >other.json
    expect 0 run other.json
    ! cmp -s i2v_00001_.webp i2v_00002_.webp || fail "another picture, the same video"
    sed -e 's/"[a-z0-9_.]*.safetensors"/"tubelet-tiny"/' flow.json >bundled.json
    expect 0 run bundled.json
    [ -s i2v_00003_.webp ] || fail "bundled.json wrote $(tr '\n' ' ' <"$out")"
    sed 's/clip_vision_h/clip_vision_g/' flow.json >none.json
    expect 20 run none.json
    has "$err" "node '49' (CLIPVisionLoader): clip_name: there is no 'clip_vision_g.safetensors' in models/clip_vision; did you mean 'clip_vision_h.safetensors'? There are clip_vision_h.safetensors, tubelet-tiny"
}

run_tests
