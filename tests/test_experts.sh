#!/usr/bin/env bash
# test_experts.sh - models of two transformers (Wan2.2 A14B): a folder with transformer_2 runs as the node `experts`
# does, and as two samplers, one after the other, do; LoRAs reach the expert they are for.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

. tests/shell.sh

# A second transformer: the first one with other weights in its middle.
mkdir -p two/transformer_2
for part in vae text_encoder tokenizer scheduler transformer; do
    [ ! -e "$tiny/$part" ] || ln -s "$tiny/$part" two/
done
cp "$tiny/transformer/config.json" two/transformer_2/
python3 - "$tiny/transformer" two/transformer_2 <<'PY'
import glob, os, sys
(path,) = glob.glob(sys.argv[1] + "/*.safetensors")
data = bytearray(open(path, "rb").read())
for i in range(len(data) // 2 | 1, len(data) // 2 + 400000, 2):
    data[i] ^= 0x80
open(os.path.join(sys.argv[2], os.path.basename(path)), "wb").write(data)
PY
echo '{ "_class_name": "WanPipeline", "boundary_ratio": 0.7 }' >two/model_index.json
mkdir -p original/high_noise_model original/low_noise_model
cp "$tiny"/transformer/* original/high_noise_model/
cp two/transformer_2/* original/low_noise_model/

# Of six steps with shift 3 the noise is 1, 0.94, 0.86, 0.75 | 0.6, 0.38.
cat >experts.lua <<'LUA'
local tb = require "tubelet"
return tb.graph {
  params = { lora = tb.string { default = "" } },
  build = function(p)
    local two, one = tb.load_model { path = "two" }, tb.load_model { path = "two/transformer" }
    local second = tb.load_model { transformer = "two/transformer_2" }
    local function text(s) return tb.text_encode { clip = two.clip, text = s } end
    local noise = tb.noise_init { model = two.model, size = "32x32", frames = 5, seed = 1 }
    local function sample(model, more)
      local inputs = { model = model, latent = noise, positive = text("a red ball"), negative = text(""), steps = 6,
                       shift = 3 }
      for name, value in pairs(more or {}) do inputs[name] = value end
      return tb.sample(inputs)
    end
    local function save(name, latent)
      return tb.save_tensor { value = tb.vae_decode { vae = two.vae, latent = latent }, path = name .. ".safetensors" }
    end
    local both = tb.experts { high = one.model, low = second.model, boundary = 0.7 }
    local function starred(model, expert)
      return tb.load_lora { model = model, path = p.lora, strength = 0.5, expert = expert }
    end
    local saved = {
      save("folder", sample(two.model)),
      save("node", sample(both)),
      save("stages", sample(second.model, { latent = sample(one.model, { end_step = 4 }), start_step = 4 })),
      save("high", sample(one.model)),
    }
    if p.lora ~= "" then
      saved[#saved + 1] = save("lora_folder", sample(starred(two.model, "low")))
      saved[#saved + 1] = save("lora_node", sample(tb.experts { high = one.model, low = starred(second.model), boundary = 0.7 }))
      saved[#saved + 1] = save("lora_both", sample(starred(two.model)))
    end
    return saved
  end,
}
LUA

same() {
    cmp -s "$1.safetensors" "$2.safetensors" || fail "$1 and $2 differ"
}

differ() {
    ! cmp -s "$1.safetensors" "$2.safetensors" || fail "$1 and $2 are the same"
}

expect 0 run experts.lua --lora "$tiny/lora/star.safetensors"

test_two_transformers_are_one_model() {
    same folder node
    same folder stages
    differ folder high
}

test_a_lora_is_for_one_expert_or_both() {
    same lora_folder lora_node
    differ lora_folder lora_both
    differ lora_folder folder
}

test_the_original_release_has_folders_by_noise() {
    expect 0 model show original --json
    has "$out" '"boundary": 0.9'
    has "$out" '"transformer_2"'
    expect 0 model show two
    has "$out" 'transformer_2'
    has "$out" '0.7'
}

test_experts_that_do_not_belong_together_are_refused() {
    cp -r two strange
    python3 - strange/transformer_2 <<'PY'
import glob, json, struct, sys
(path,) = glob.glob(sys.argv[1] + "/*.safetensors")
data = open(path, "rb").read()
size = struct.unpack_from("<Q", data)[0]
header = json.loads(data[8:8 + size])
shape = header["patch_embedding.weight"]["shape"]
shape[0], shape[1] = shape[0] * shape[1] // 16, 16
text = json.dumps(header).encode().ljust(size)
open(path, "wb").write(data[:8] + text + data[8 + size:])
PY
    sed 's/path = "two" /path = "strange" /' experts.lua >strange.lua
    expect 20 run strange.lua
    has "$err" "the two experts do not belong together: '$work/strange/transformer_2' has 16 channels, the other"
}

run_tests
