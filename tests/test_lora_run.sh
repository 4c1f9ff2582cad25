#!/usr/bin/env bash
# test_lora_run.sh - LoRAs as a user meets them: what comes out changes, is stored for itself, and what is wrong is
# told before anything runs.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. tests/shell.sh

export TUBELET_MODEL=$tiny
cp "$tiny/lora/star.safetensors" star.safetensors
cp "$root/graphs/text_to_video.lua" t2v.lua

# The latent of two steps with LoRAs in a row, given as "FILE STRENGTH" lines.
cat >lora.lua <<'END_LUA'
local tb = require "tubelet"
return tb.graph {
  params = { loras = tb.string { default = "" }, out = tb.path { default = "x.safetensors" } },
  build = function(p)
    local m = tb.load_model {}
    local model = m.model
    for path, strength in p.loras:gmatch("(%S+) (%S+)") do
      model = tb.load_lora { model = model, path = path, strength = tonumber(strength) }
    end
    local z = tb.sample { model = model, steps = 2, cfg = 1.0,
                          latent = tb.noise_init { model = m.model, size = "32x32", frames = 5 },
                          positive = tb.text_encode { clip = m.clip, text = "a red ball" } }
    return tb.save_tensor { value = z, path = p.out }
  end,
}
END_LUA

latent() { # file, loras, options...
    local to=$1 loras=$2
    shift 2
    expect 0 run lora.lua --out "$to" --loras "$loras" "$@"
}

differ() {
    ! cmp -s "$1" "$2" || fail "$1 and $2 are the same"
}

same() {
    cmp -s "$1" "$2" || fail "$1 and $2 differ"
}

test_a_lora_changes_what_comes_out_and_nothing_else() {
    latent none.safetensors ""
    latent zero.safetensors "star.safetensors 0"
    latent half.safetensors "star.safetensors 0.5"
    latent full.safetensors "star.safetensors 1"
    latent less.safetensors "star.safetensors -1"
    same none.safetensors zero.safetensors
    differ none.safetensors half.safetensors
    differ half.safetensors full.safetensors
    differ full.safetensors less.safetensors
    latent fresh.safetensors "star.safetensors 1" --no-cache
    same full.safetensors fresh.safetensors
    latent fresh.safetensors "" --no-cache
    same none.safetensors fresh.safetensors
}

test_results_are_stored_by_content_and_strength() {
    latent half.safetensors "star.safetensors 0.5"
    cp star.safetensors moved.safetensors
    latent moved_half.safetensors "moved.safetensors 0.5"
    has "$err" "Everything is stored already"
    same half.safetensors moved_half.safetensors
    latent other.safetensors "star.safetensors 0.5000001"
    ! grep -q "Everything is stored already" "$err" || fail "another strength is another key"
    LC_ALL=C sed '1s/blocks\.7\.ffn/blocks.9.ffn/g' star.safetensors >moved.safetensors
    latent moved_half.safetensors "moved.safetensors 0.5"
    ! grep -q "Everything is stored already" "$err" || fail "other content is another key"
    has "$err" "'moved.safetensors': 2 of its 80 targets are not in this transformer and left out, the first is 'diffusion_model.blocks.9.ffn.0'"
    differ half.safetensors moved_half.safetensors
}

# Two transformers are open at once, a third closes one of them: each step uses its own.
test_models_with_and_without_stand_beside_each_other() {
    cat >beside.lua <<'END_LUA'
local tb = require "tubelet"
return tb.graph { build = function()
  local m = tb.load_model {}
  local models = { m.model, tb.load_lora { model = m.model, path = "star.safetensors" },
                   tb.load_lora { model = m.model, path = "star.safetensors", strength = 0.5 } }
  local noise = tb.noise_init { model = m.model, size = "32x32", frames = 5 }
  local text = tb.text_encode { clip = m.clip, text = "a red ball" }
  local sigmas = tb.schedule { steps = 2 }
  local latents, saved = { noise, noise, noise }, {}
  for step = 0, 1 do
    for i, model in ipairs(models) do
      local v = tb.dit_step { model = model, latent = latents[i], conditioning = text, sigmas = sigmas, step = step }
      latents[i] = tb.sampler_step { latent = latents[i], velocity = v, sigmas = sigmas, step = step }
    end
  end
  for i, latent in ipairs(latents) do
    saved[i] = tb.save_tensor { value = latent, path = "beside_" .. i .. ".safetensors" }
  end
  return table.unpack(saved)
end }
END_LUA
    expect 0 run beside.lua --no-cache
    latent alone_1.safetensors "" --no-cache
    latent alone_2.safetensors "star.safetensors 1" --no-cache
    latent alone_3.safetensors "star.safetensors 0.5" --no-cache
    for i in 1 2 3; do
        same "beside_$i.safetensors" "alone_$i.safetensors"
    done
}

test_the_graph_takes_several() {
    local small="--size 32x32 --frames 1 --steps 1"
    expect 0 run t2v.lua $small --out a.mp4
    expect 0 run t2v.lua $small --out a.mp4 --lora star.safetensors:0
    has "$err" "Everything is stored already"
    expect 0 run t2v.lua $small --out b.mp4 --lora "star.safetensors:0.25; $work/star.safetensors:-1.5e-1"
    expect 0 graph t2v.lua --as lua --lora "star.safetensors;loras:other.safetensors:-1.5e-1"
    has "$out" 'path = "star.safetensors"'
    has "$out" 'path = "loras:other.safetensors", strength = -0.15'
}

test_a_description_says_what_it_is_for() {
    expect 0 model show star.safetensors
    has "$out" "kind      LoRA"
    has "$out" "for       width 192, 8 blocks"
    has "$out" "rank      8"
    has "$out" "targets   80"
    expect 0 model show star.safetensors --json
    has "$out" '"kinds": ['
}

test_what_is_wrong_is_told_before_the_run() {
    expect 20 run lora.lua --loras "nowhere.safetensors 1"
    has "$err" "lora.lua:8: node 'load_lora' (load_lora): cannot open '$work/nowhere.safetensors'"
    head -c 1000 star.safetensors >cut.safetensors
    expect 20 run lora.lua --loras "cut.safetensors 1"
    has "$err" "lora.lua:8: node 'load_lora' (load_lora): '$work/cut.safetensors'"
    expect 20 run lora.lua --loras "$tiny/vae/model.safetensors 1"
    has "$err" "is no LoRA for Wan: its tensor 'encoder.conv1.weight' ends neither in lora_A"
    LC_ALL=C sed '1s/lora_A/dora_A/g' star.safetensors >dora.safetensors
    expect 20 run lora.lua --loras "dora.safetensors 1"
    LC_ALL=C sed '1s/diffusion_model\.blocks/diffusion_model.blokcs/g' star.safetensors >other.safetensors
    expect 20 run lora.lua --loras "other.safetensors 1"
    has "$err" "was made for another model: the transformer '$tiny/transformer' has none of its 80 targets, the first of which is 'diffusion_model.blokcs.0.self_attn.q'"
    expect 20 run t2v.lua --model star.safetensors
    has "$err" "is a LoRA, not a model: load the model it was made for, and give this file to load_lora"
    expect 20 run lora.lua --loras "star.safetensors 101"
    has "$err" "strength must be -100..100, got 101"
}

run_tests
