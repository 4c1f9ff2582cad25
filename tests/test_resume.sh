#!/usr/bin/env bash
# test_resume.sh - kill -9 at any moment of a run, then the same command: finished steps are not run again and
# the video is that of an undisturbed run, to the byte. TUBELET_SEED repeats the moments, TRIALS sets how many.
set -u
bin=${TUBELET_BIN:?the program to test}
trials=${TRIALS:-4}
seed=${TUBELET_SEED:-$RANDOM}
steps=10
graph=$PWD/graphs/text_to_video.lua
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
RANDOM=$seed
echo "TUBELET_SEED=$seed"
failures=0

fail() {
    echo "FAIL: $*"
    failures=$((failures + 1))
}

# The program itself, not a shell around it: what is started in the background is what is killed.
make_video() { # store
    cd "$dir" && exec "$bin" run "$graph" --steps $steps --store "$1" --out out.mp4 --json
}

# Denoising steps that an event was told of.
steps_with() { # event, log
    grep "\"event\": *\"$1\"" "$2" | grep -oE '"node": *"sample/step_[0-9]+/step"' | sort -u
}

start=$(date +%s%N)
(make_video "$dir/whole") > "$dir/whole.log" || { echo "FAIL: the undisturbed run"; exit 1; }
mv "$dir/out.mp4" "$dir/whole.mp4"
whole_ms=$((($(date +%s%N) - start) / 1000000))
[ "$(steps_with finished "$dir/whole.log" | wc -l)" = $steps ] || fail "the log does not tell of $steps steps"

for trial in $(seq "$trials"); do
    rm -rf "$dir/store" "$dir/out.mp4"
    (make_video "$dir/store") > "$dir/first.log" 2>&1 &
    pid=$!
    ms=$((RANDOM % whole_ms))
    sleep "$(printf '%d.%03d' $((ms / 1000)) $((ms % 1000)))"
    kill -9 $pid 2> "$dir/killed.log"
    wait $pid 2> "$dir/killed.log"
    for part in "$dir"/out.mp4.part-*; do
        [ -e "$part" ] && fail "trial $trial: a half-written $part would be taken for a video"
    done
    (make_video "$dir/store") > "$dir/second.log" || fail "trial $trial: the second run"
    cmp -s "$dir/whole.mp4" "$dir/out.mp4" || fail "trial $trial: another video after a kill at $ms ms"
    again=$(comm -12 <(steps_with stored "$dir/first.log") <(steps_with finished "$dir/second.log"))
    [ -z "$again" ] || fail "trial $trial: stored steps were run again: $again"
    echo "killed at $ms of $whole_ms ms: $(steps_with stored "$dir/first.log" | wc -l) steps kept," \
        "$(steps_with finished "$dir/second.log" | wc -l) run afterwards"
done
"$bin" cache verify --store "$dir/store" > /dev/null || fail "the store is not sound"
[ $failures = 0 ] && echo "ok: $trials kills"
exit $((failures > 0))
