#!/usr/bin/env bash
# test_comfy_sampling.sh - ComfyUI's custom sampling graph gives the bytes of its KSampler, whole and in parts, and
# model patches reach the samplers. On the bundled model at small sizes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

. tests/shell.sh

export LSAN_OPTIONS=${LSAN_OPTIONS-suppressions=$root/tests/lsan.supp:print_suppressions=0}
export TUBELET_STORE=$work/store TUBELET_MODEL=$tiny
unset TUBELET_MODELS

# Graphs NAME.json that write NAME_00001_.png.
python3 - <<'END'
import json

model, text, latent = ["2", 0], {"positive": ["6", 0], "negative": ["7", 0]}, {"latent_image": ["9", 0]}


def node(class_type, **inputs):
    return {"class_type": class_type, "inputs": inputs}


def save(name, nodes, samples=["11", 0]):
    graph = {
        "2": node("UNETLoader", unet_name="tubelet-tiny", weight_dtype="default"),
        "5": node("CLIPLoader", clip_name="tubelet-tiny", type="wan"),
        "6": node("CLIPTextEncode", text="a red ball bounces on the grass", clip=["5", 0]),
        "7": node("CLIPTextEncode", text="", clip=["5", 0]),
        "8": node("VAELoader", vae_name="tubelet-tiny"),
        "9": node("EmptyHunyuanLatentVideo", width=32, height=32, length=1, batch_size=1),
        "12": node("VAEDecode", samples=samples, vae=["8", 0]),
        "13": node("SaveImage", images=["12", 0], filename_prefix=name),
        **nodes,
    }
    json.dump(graph, open(name + ".json", "w"))


def ksampler(model=model):
    return node("KSampler", model=model, seed=5, steps=4, cfg=3.0, sampler_name="euler", scheduler="simple",
                denoise=1.0, **text, **latent)


guider = {
    "20": node("RandomNoise", noise_seed=5),
    "21": node("CFGGuider", model=model, cfg=3.0, **text),
    "22": node("KSamplerSelect", sampler_name="euler"),
    "23": node("BasicScheduler", model=model, scheduler="simple", steps=4, denoise=1.0),
}


def sampler(noise, sigmas, image):
    return node("SamplerCustomAdvanced", noise=[noise, 0], guider=["21", 0], sampler=["22", 0], sigmas=sigmas,
                latent_image=image)


whole = sampler("20", ["23", 0], ["9", 0])
save("plain", {"11": ksampler()})
save("custom", {**guider, "11": whole})
save("old", {**guider, "11": node("SamplerCustom", model=model, add_noise=True, noise_seed=5, cfg=3.0,
                                  sampler=["22", 0], sigmas=["23", 0], **text, **latent)})
parts = {**guider, "24": node("SplitSigmas", sigmas=["23", 0], step=2), "26": node("DisableNoise"),
         "25": sampler("20", ["24", 0], ["9", 0]), "11": sampler("26", ["24", 1], ["25", 0])}
save("parts", parts)
save("estimate", parts, ["25", 1])
# values that are linked: the steps are known only when the graph runs
save("late", {**guider, "40": node("math_number", a=2, b=2), "41": node("PrimitiveFloat", value=3.0), "11": whole,
              "21": node("CFGGuider", model=model, cfg=["41", 0], **text),
              "23": node("BasicScheduler", model=model, scheduler="simple", steps=["40", 0], denoise=1.0)})
save("manual", {**guider, "23": node("ManualSigmas", sigmas="1.0, 0.96, 0.88, 0.7, 0.0"), "11": whole})
part = {"start_percent": 0.0, "end_percent": 1.0}
patches = {
    "rescale": node("RescaleCFG", model=model, multiplier=0.7),
    "star": node("CFGZeroStar", model=model),
    "apg": node("APG", model=model, eta=0.5, norm_threshold=5.0, momentum=0.1),
    "skip": node("SkipLayerGuidanceDiT", model=model, double_layers="0, 1", single_layers="", scale=3.0,
                 rescaling_scale=0.0, **part),
    "simple": node("SkipLayerGuidanceDiTSimple", model=model, double_layers="1", single_layers="", **part),
    "cache": node("EasyCache", model=model, reuse_threshold=3.0, start_percent=0.1, end_percent=0.95, verbose=False),
}
for name, patch in patches.items():
    # behind the patch another change of the model
    save(name, {"30": patch, "31": node("ModelSamplingSD3", model=["30", 0], shift=8.0), "11": ksampler(["31", 0])})
save("off", {"30": node("SkipLayerGuidanceDiT", model=model, double_layers="1", single_layers="", scale=0.0,
                        rescaling_scale=0.0, **part), "11": ksampler(["30", 0])})
save("clash", {"30": patches["apg"], "31": node("CFGZeroStar", model=["30", 0]), "11": ksampler(["31", 0])})
save("astray", {"30": patches["star"], "31": node("model_shift", model=["30", 0], shift=3.0), "11": ksampler(["31", 0])})
save("unlike", {**guider, "23": node("schedule", steps=4), "11": whole})
END

runs() { # name: writes NAME.pixels
    "$bin" run "$1.json" >out 2>err || fail "$1: $(cat err)"
    python3 - "$1" <<'END'
import struct, sys
data, at, pixels = open(sys.argv[1] + "_00001_.png", "rb").read(), 8, b""
while at < len(data):
    n, kind = struct.unpack(">I4s", data[at : at + 8])
    pixels += data[at + 8 : at + 8 + n] if kind == b"IDAT" else b""
    at += n + 12
open(sys.argv[1] + ".pixels", "wb").write(pixels)
END
}

refused() { # name, sentence
    if "$bin" run "$1.json" >out 2>err; then
        fail "$1: it ran"
    fi
    grep -qF "$2" err || fail "$1: wanted: $2; got: $(cat err)"
}

runs plain
for name in custom old parts late off; do
    runs $name
    cmp -s plain.pixels $name.pixels || fail "$name: another picture than KSampler's"
done
for name in estimate manual rescale star apg skip simple cache; do
    runs $name
    ! cmp -s plain.pixels $name.pixels || fail "$name: the same picture as without it"
done
runs cache
"$bin" plan custom.json >out 2>&1 || fail "plan: $(cat out)"
! grep -q 'depend on data' out || fail "the parts are known only when the graph runs: $(cat out)"

refused clash "node '31' (CFGZeroStar): the model has a patch of this kind already (apg); bypass one of them"
refused astray "node '31' (model_shift): model cannot take what node '30' (CFGZeroStar) gives: settings for ComfyUI's samplers; link it to what that node is linked to"
refused unlike "node '11' (SamplerCustomAdvanced): sigmas must come from one of ComfyUI's nodes: BasicScheduler, SplitSigmas, SplitSigmasDenoise or ManualSigmas"
sed 's/1.0, 0.96, 0.88, 0.7, 0.0/1.0, 1.5, 0.0/' manual.json >levels.json
refused levels "levels must be numbers 0..1 like 1,0.9,0.5,0, got '1.0,1.5,0.0'"

exit $((failures > 0))
