#!/usr/bin/env bash
# test_abilities_edit.sh - the graphs that work in space and in the prompt, at small size: what comes out is as large
# and long as it should be, known pixels stay and others change, shared steps are computed once, a second run
# computes nothing, and wrong input earns one sentence.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

. tests/shell.sh
export LSAN_OPTIONS=${LSAN_OPTIONS-suppressions=$root/tests/lsan.supp:print_suppressions=0}
export TUBELET_MODEL=${TUBELET_MODEL-$tiny}

# Run a graph of ours at small size; frames are written without loss.
make() { # name, file, arguments...
    local name=$1 file=$2
    shift 2
    expect 0 run "$root/graphs/$name.lua" --out "$file" "$@"
    [ -s "$file" ] || fail "$name wrote no $file"
}
lossless=(--set mux.format=apng)

# What run told about a node type: how many ran. The run's events are in $out.
ran() { # type
    grep -c "^{\"event\":\"finished\",.*\"type\":\"$1\"" "$out" || true
}

# The same graph again, with the same arguments: all that is asked for is stored.
again() { # name, arguments...
    local name=$1
    shift
    expect 0 run "$root/graphs/$name.lua" "$@" --json
    [ "$(ran dit_step)$(ran vae_decode)$(ran vae_encode)$(ran mux)$(ran save_image)" = 00000 ] ||
        fail "$name: a second run computes again: $(grep finished "$out")"
}

# Sets shape and psnr of a part of b against that part of a; at is where it lies in a.
measure() { # a, b, part of b, at
    expect 0 run "$root/tests/lua/measure.lua" --a "$1" --b "$2" --part "${3-}" --at "${4-}"
    shape=$(sed -n 's/^distance.shape = "\(.*\)"$/\1/p' "$out")
    psnr=$(sed -n 's/^distance.psnr = //p' "$out")
}

above() { awk -v a="$psnr" -v b="$1" 'BEGIN { exit !(a > b) }' || fail "$2: $psnr dB, wanted more than $1"; }
below() { awk -v a="$psnr" -v b="$1" 'BEGIN { exit !(a < b) }' || fail "$2: $psnr dB, wanted less than $1"; }

refuses() { # sentence, graph, arguments...
    local sentence=$1 name=$2
    shift 2
    expect 20 run "$root/graphs/$name.lua" "$@"
    [ "$(sed "s|^$root/graphs/$name.lua:[0-9]*: ||" "$err")" = "$sentence" ] ||
        fail "$name $*: stderr is"$'\n'"  $(cat "$err")"$'\n'"wanted"$'\n'"  $sentence"
    [ ! -s "$out" ] || fail "$name $*: a file was written: $(cat "$out")"
}

small=(--size 32x32 --frames 5 --steps 2)
video=$work/video.png
make text_to_video "$video" "${small[@]}" "${lossless[@]}"

test_graphs_are_short_and_explained() {
    local file name param
    for file in "$root"/graphs/*.lua; do
        name=$(basename "$file")
        [ "$(wc -l <"$file")" -le 40 ] || fail "$name has $(wc -l <"$file") lines"
        for word in '^-- Makes: ' '^-- .*Memory: ' '^-- .*Time: '; do
            grep -qE -- "$word" "$file" || fail "$name has no line '$word'"
        done
        expect 0 run "$file" --help
        while read -r param; do
            grep -qE "^  --$param( |$)" "$out" || fail "$name does not take --$param"
        done < <(sed -nE 's/^    ([a-z0-9]+) *= tb\.(int|float|string|path|choice).*/\1/p' "$file")
    done
}

test_text_to_image() {
    make text_to_image "$work/picture.png" --size 48x32 --steps 2
    measure "$work/picture.png" "$work/picture.png"
    [ "$shape" = "1 frames of 48x32" ] || fail "the picture is $shape"
    again text_to_image --out "$work/picture.png" --size 48x32 --steps 2
    refuses "node 'noise_init' (noise_init): width and height must be multiples of 16 up to 65536 with this model, got 40x32" \
        text_to_image --size 40x32
}

test_video_to_video() {
    local args=(--video "$video" --steps 10 --prompt "a large blue ball bounces on the snow at night")
    make video_to_video little.png "${args[@]}" "${lossless[@]}" --strength 0.1
    measure "$video" little.png
    [ "$shape" = "5 frames of 32x32" ] || fail "the video is $shape"
    local little=$psnr
    expect 0 run "$root/graphs/video_to_video.lua" --out much.png "${args[@]}" "${lossless[@]}" --strength 0.8 --json
    [ "$(ran dit_step)" -eq 16 ] || fail "strength 0.8 of 10 steps evaluates the model $(ran dit_step) times, wanted 16"
    measure "$video" much.png
    below "$little" "more strength leaves less of the input"
    below 60 "the video changes"
    again video_to_video --out much.png "${args[@]}" "${lossless[@]}" --strength 0.8
    make video_to_video resized.png "${args[@]}" "${lossless[@]}" --size 48x32 --strength 0.1
    measure resized.png resized.png
    [ "$shape" = "5 frames of 48x32" ] || fail "the resized video is $shape"
    refuses "tubelet: strength must be 0.01..1, got 0.0" video_to_video "${args[@]}" --strength 0
    refuses "tubelet: parameter 'video' has no default: give --video" video_to_video
    refuses "node 'sample/step_02/cond' (dit_step): the latent must have an even number of rows and columns, got 5x4 \
(width x height): make width and height of the video multiples of 16 pixels" video_to_video --video "$video" --steps 3 --strength 0.3 --size 40x32
    refuses "node 'vae_encode' (vae_encode): the number of frames must be 4k + 1 (1, 5, 9, ...), got 4; set trim or \
cut the video" video_to_video --video "$video" --frames 4
}

# A box of 9x7 at 17,9 covers the cells from 16,8 to 32,16.
test_inpaint() {
    local args=(--video "$video" --steps 2 --x 17 --y 9 --width 9 --height 7 --edge 2 --prompt "a blue cube")
    make inpaint inpainted.png "${args[@]}" "${lossless[@]}"
    measure "$video" inpainted.png
    [ "$shape" = "5 frames of 32x32" ] || fail "the video is $shape"
    local part
    for part in 0,0,32,6 0,18,32,14 0,0,14,32; do # all but the box and two pixels around it
        measure "$video" inpainted.png "$part"
        above 90 "the pixels of $part stay"
    done
    make inpaint other.png "${args[@]}" --seed 2 "${lossless[@]}"
    measure other.png inpainted.png 16,8,16,8
    below 60 "another seed makes something else in the box"
    make inpaint hard.png "${args[@]}" --edge 0 "${lossless[@]}"
    measure "$video" hard.png 16,8,16,1
    below 90 "the box grows to whole cells"
    measure "$video" hard.png 0,0,16,32
    above 90 "without an edge the next pixel stays"
    again inpaint --out inpainted.png "${args[@]}" "${lossless[@]}"
    make inpaint all.png --video "$video" --steps 2 --x 0 --y 0 --width 32 --height 32 "${lossless[@]}"
}

test_inpaint_of_a_picture() {
    make text_to_image picture.png --size 32x32 --steps 2
    make inpaint box.png --video picture.png --steps 2 --x 8 --y 8 --width 8 --height 8 --edge 0
    measure picture.png box.png 16,0,16,32
    [ "$shape" = "1 frames of 32x32" ] || fail "the picture is $shape"
    above 90 "the pixels beside the box stay"
    refuses "node 'box_mask' (box_mask): the box must lie within the pictures, 32x32, got one of 32x32 at 1,16" \
        inpaint --video picture.png --x 1
    refuses "tubelet: width must be at least 1, got 0" inpaint --video picture.png --width 0
    refuses "node 'load_video' (load_video): cannot open '$work/none.png': No such file or directory" inpaint --video none.png
}

test_outpaint() {
    local args=(--video "$video" --canvas 64x48 --steps 2 --edge 2)
    make outpaint wide.png "${args[@]}" "${lossless[@]}"
    measure "$video" wide.png 18,10,28,28 2,2
    [ "$shape" = "5 frames of 64x48" ] || fail "the video is $shape"
    above 90 "the input's pixels stay"
    measure "$video" wide.png 16,8,32,32 0,0
    below 90 "the input's border is mixed"
    again outpaint --out wide.png "${args[@]}" "${lossless[@]}"
    make outpaint other.png "${args[@]}" --seed 2 "${lossless[@]}"
    measure other.png wide.png 48,0,16,48
    below 60 "another seed makes something else beside the input"
    make outpaint corner.png "${args[@]}" --x 0 --y 16 --edge 0 "${lossless[@]}"
    measure "$video" corner.png 0,16,32,32 0,0
    above 90 "the input is where it was placed"
    refuses "node 'image_pad' (image_pad): the pictures must fit on the canvas, 16x64, got 32x32 at 0,16; resize them, or \
make the canvas larger" outpaint --video "$video" --canvas 16x64
    refuses "size must be WIDTHxHEIGHT in pixels, as 64x64, got 'large'" outpaint --video "$video" --canvas large
}

test_branch() {
    local args=(--size 32x32 --frames 5 --steps 4)
    expect 0 run "$root/graphs/branch.lua" "${args[@]}" --at 3 "${lossless[@]}" --out branch.png --json
    [ "$(ran dit_step)" -eq 10 ] || fail "3 shared steps and 1 of each side evaluate the model $(ran dit_step) times, wanted 10"
    [ "$(grep -cE '"finished","node":"shared/step_0[012]/step"' "$out")" -eq 3 ] || fail "the shared steps: $(cat "$out")"
    ! grep -qE '"finished","node":"(left|right)/step_0[012]' "$out" || fail "a side takes a shared step"
    again branch "${args[@]}" --at 3 "${lossless[@]}" --out branch.png
    expect 0 run "$root/graphs/branch.lua" "${args[@]}" --at 3 --branch "a green cone" "${lossless[@]}" --out cone.png --json
    [ "$(ran dit_step)" -eq 2 ] || fail "another branch evaluates the model $(ran dit_step) times, wanted 2"
    make text_to_video plain.png "${args[@]}" "${lossless[@]}"
    measure plain.png branch.png 0,0,32,32 0,0
    [ "$shape" = "5 frames of 64x32" ] || fail "the video is $shape"
    above 90 "the left side is a plain run"
    measure plain.png branch.png 32,0,32,32 0,0
    below 60 "the right side is another video"
    refuses "at must be below steps, 4, got 4" branch "${args[@]}" --at 4
    refuses "tubelet: at must be 1..999, got 0" branch "${args[@]}" --at 0
}

test_two_stage() {
    local args=(--size 32x32 --frames 5 --steps 4 --switch 2)
    make text_to_video plain.png --size 32x32 --frames 5 --steps 4 "${lossless[@]}"
    expect 0 run "$root/graphs/two_stage.lua" "${args[@]}" "${lossless[@]}" --out same.png --json
    [ "$(ran dit_step)" -eq 0 ] || fail "two stages of one model are not the steps of a plain run"
    measure plain.png same.png
    above 90 "two stages of one model are a plain run"
    cp -r "$tiny/transformer" second
    local weights size
    weights=$(ls second/*.safetensors)
    size=$(stat -c %s "$weights")
    chmod u+w "$weights"
    dd if=/dev/zero of="$weights" bs=1 count=65536 seek=$((size / 2)) conv=notrunc status=none
    expect 0 run "$root/graphs/two_stage.lua" "${args[@]}" "${lossless[@]}" --out two.png --model2 second --json
    [ "$(ran dit_step)" -eq 4 ] || fail "the second model takes $(ran dit_step) evaluations, wanted 4"
    ! grep -q '"finished","node":"noisy_steps/step' "$out" || fail "the first model's steps run again"
    measure plain.png two.png
    [ "$shape" = "5 frames of 32x32" ] || fail "the video is $shape"
    below 90 "the second model changes the video"
    again two_stage "${args[@]}" "${lossless[@]}" --out two.png --model2 second
    refuses "switch must be below steps, 4, got 4" two_stage --steps 4 --switch 4
}

test_contact_sheet() {
    local args=("${small[@]}" --prompts "a {red|blue} ball; a cone" --columns 2 --scale 3)
    make contact_sheet sheet.png "${args[@]}"
    measure sheet.png sheet.png
    [ "$shape" = "1 frames of 192x288" ] || fail "the sheet is $shape"
    measure sheet.png sheet.png 0,96,96,96 0,0
    below 60 "the rows are different videos"
    again contact_sheet --out sheet.png "${args[@]}"
    refuses "the braces of the template do not match at 'a {red ball'" contact_sheet --prompts "a {red ball"
}

# A model that cannot be shown what is known, as Wan2.1 T2V: the sampler holds it.
test_a_model_without_channels_for_known_latents() {
    command -v python3 >/dev/null || return 0
    cp -r "$tiny" t2v
    chmod -R u+w t2v
    python3 "$root/tests/plain_t2v.py" t2v
    expect 0 model show t2v
    grep -qE '^family +Wan T2V$' "$out" || fail "the cut model is $(grep family "$out")"
    local args=(--video "$video" --steps 2 --x 16 --y 8 --width 16 --height 8 --edge 0 --model t2v "${lossless[@]}")
    make inpaint held.png "${args[@]}"
    measure "$video" held.png 0,0,16,32
    above 90 "the pixels beside the box stay"
    make inpaint held2.png "${args[@]}" --seed 2
    measure held2.png held.png 16,8,16,8
    below 60 "another seed makes something else in the box"
    make video_to_video held.png --video "$video" --steps 2 --model t2v "${lossless[@]}"
    make outpaint held.png --video "$video" --canvas 48x32 --steps 2 --model t2v "${lossless[@]}"
}

run_tests
