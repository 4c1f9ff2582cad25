#!/usr/bin/env bash
# test_train_slow.sh - the whole recipe in one command, on next to no time: a model that the engine runs, a report, and
# nothing trained twice when it is started again.
set -u
root=$(cd "$(dirname "$0")/.." && pwd)
bin=${TUBELET_BIN:-$root/build/debug/tubelet}
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT

/usr/bin/python3 -c "import torch, numpy" 2>/dev/null || { echo "skip: python3-torch is not installed"; exit 77; }
command -v cc >/dev/null || { echo "skip: there is no C compiler"; exit 77; }

fail() {
    echo "FAIL: $1" >&2
    tail -n 3 "$work"/run/*.log >&2
    exit 1
}

train() {
    "$root/scripts/train/train.sh" --hours 0.02 --work "$work/run" --out "$work/tiny"
}

train || fail "train.sh does not run through"
for made in report.md evaluation.json; do
    [ -s "$work/run/$made" ] || fail "there is no $made"
done
size=$(du -sk "$work/tiny" | cut -f1)
[ "$size" -lt 25600 ] || fail "the model has $size kB, wanted at most 25 MB"

"$bin" run "$root/graphs/text_to_video.lua" --model "$work/tiny" --steps 2 --frames 5 --out "$work/clip.mp4" --no-store ||
    fail "the engine does not run the model"
[ -s "$work/clip.mp4" ] || fail "no clip came out"

before=$(sha256sum "$work/tiny/transformer/model.safetensors" "$work/tiny/vae/model.safetensors")
train || fail "train.sh does not run a second time"
after=$(sha256sum "$work/tiny/transformer/model.safetensors" "$work/tiny/vae/model.safetensors")
[ "$before" = "$after" ] || fail "a second run with the same hours trained further"
