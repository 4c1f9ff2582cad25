#!/usr/bin/env bash
# bench_start.sh - what a user waits for before anything is computed: medians of nine, beside their bars.
#
#     tests/bench/bench_start.sh [program]
set -eu
cd "$(dirname "$0")/../.."
bin=${1:-build/release/tubelet}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
graph=graphs/text_to_video.lua

median_ms() { # command...
    for _ in 1 2 3 4 5 6 7 8 9; do
        local start end
        start=$(date +%s%N)
        "$@" > "$dir/out" 2>&1
        end=$(date +%s%N)
        echo $(((end - start) / 10000))
    done | sort -n | sed -n 5p
}

row() { # what, bar in ms, command...
    local what=$1 bar=$2 hundredths
    shift 2
    hundredths=$(median_ms "$@")
    awk -v w="$what" -v h="$hundredths" -v b="$bar" \
        'BEGIN { printf "%-34s %8.1f ms %6.2f of the bar of %d ms\n", w, h / 100, h / 100 / b, b }'
}

"$bin" run $graph --store "$dir/store" --out "$dir/out.mp4" > "$dir/out" 2>&1
row "an empty program (/bin/true)" 30 /bin/true
row "--version" 30 "$bin" --version
row "plan, nothing stored" 50 "$bin" plan $graph --store "$dir/none"
row "plan, all stored" 50 "$bin" plan $graph --store "$dir/store"
row "run, all stored, video written" 150 "$bin" run $graph --store "$dir/store" --out "$dir/out.mp4"
