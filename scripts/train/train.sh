#!/usr/bin/env bash
# train.sh - trains the bundled model from nothing: world, VAE, latents, transformer, export, evaluation.
#
#   scripts/train/train.sh --hours N [--work DIR] [--out DIR]
#
# May be stopped at any time and started again: each part goes on from its checkpoint in --work
# (build/train/run), losing three minutes at most; what has had its time is not trained again. More
# hours than before train further. Two cores are used: one for what the next part waits for, one for
# what can be made beside it. Progress is in the logs of --work; the report is --work/report.md.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
hours='' work=$root/build/train/run out=$root/examples/tiny

fail() {
    echo "train.sh: $1" >&2
    exit 2
}

while [ $# -gt 0 ]; do
    case $1 in
    --hours | --work | --out)
        [ $# -ge 2 ] || fail "$1 wants a value"
        declare "${1#--}=$2"
        shift 2
        ;;
    *) fail "unknown option '$1'; it takes --hours N, --work DIR and --out DIR" ;;
    esac
done
[[ $hours =~ ^[0-9]+(\.[0-9]+)?$ ]] || fail "--hours wants a number of hours, as 8 or 0.5, got '$hours'"
python=/usr/bin/python3
"$python" -c 'import torch, numpy' 2>/dev/null ||
    fail "PyTorch is not there; install it: apt-get install --no-install-recommends python3-torch python3-numpy gcc libc6-dev"

# Debian's OpenBLAS does not know newer processors
if [ -z "${OPENBLAS_CORETYPE:-}" ]; then
    OPENBLAS_CORETYPE=Haswell
    grep -q avx512f /proc/cpuinfo && OPENBLAS_CORETYPE=SkylakeX
fi
export OPENBLAS_CORETYPE
mkdir -p "$work" && work=$(cd "$work" && pwd)
trap 'kill $(jobs -p) 2>/dev/null || true' EXIT

# part NAME PROGRAM ARGUMENTS...: one program of the recipe, its log added to NAME.log
part() {
    local name=$1 program=$2
    shift 2
    echo "$(date +%H:%M) $name"
    (cd "$work" && exec "$python" "$here/$program" "$@") >>"$work/$name.log" 2>&1 ||
        fail "$name failed; the last lines of $work/$name.log say why: $(tail -n 2 "$work/$name.log")"
}

# share S: minutes of that share of the hours
share() {
    awk -v h="$hours" -v s="$1" 'BEGIN { print h * 60 * s }'
}

# within LEAST MOST EACH: so many for each hour, within these bounds
within() {
    awk -v h="$hours" -v a="$1" -v b="$2" -v n="$3" 'BEGIN { n = int(h * n); print (n < a ? a : n > b ? b : n) }'
}

text_minutes=$(awk -v m="$(share 0.02)" 'BEGIN { print (m < 6 ? m : 6) }')
{
    part text train_text.py --minutes "$text_minutes" --out text.pt
    part features features.py --minutes "$(share 0.1)" --out features.pt
} &
part vae train_vae.py --minutes "$(share 0.25)" --out vae.pt
wait $!
part decoder train_vae.py --decoder --start vae.pt --minutes "$(share 0.1)" --lr 0.004 --out decoder.pt &
part latents latents.py --vae vae.pt --out latents --clips "$(within 200 24000 3000)"
wait $!
part transformer train_dit.py --workers 2 --latents latents --text text.pt --minutes "$(share 0.5)" --out dit.pt

part export export.py --dit dit.pt --vae decoder.pt --out "$out"
mkdir -p "$out/lora"
part lora train_lora.py --model "$out" --minutes "$(share 0.05)" --out "$out/lora/star.safetensors"
# through the engine when it is built: 0.23 s a clip of 17x64x64 at 20 steps, 0.32 s in torch
engine=()
[ ! -x "$root/build/release/tubelet" ] || engine=(--tubelet "$root/build/release/tubelet")
part evaluation evaluate.py --folder "$out" "${engine[@]}" --threads 2 --features features.pt \
    --prompts "$(within 8 200 200)" --vae-clips "$(within 24 96 96)" --camera-clips "$(within 4 24 24)" \
    --frechet-clips "$(within 128 2000 500)" --out evaluation.json
part report report.py --work . --out report.md
echo "$work/report.md"
