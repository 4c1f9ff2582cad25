#!/usr/bin/env bash
# test_look.sh - what came out, in a terminal: `tubelet preview` of one file and several, contact sheets, GIFs.
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
. tests/shell.sh

# Two videos, a picture and then grey: 5 frames of 64x32 at 5 a second, 9 of 32x48 at 10.
cat >two.lua <<LUA
local tb = require "tubelet"
return tb.graph { build = function()
  local function clip(path, width, height, frames, fps)
    local one = tb.load_image { path = "$root/docs/frames.png", width = width, height = height }
    tb.mux { video = tb.image_frames { start = one, frames = frames }.image, path = path, fps = fps }
  end
  clip("wide.mp4", 64, 32, 5, 5)
  clip("tall.mp4", 32, 48, 9, 10)
end }
LUA
"$bin" run two.lua --store "$work/store" >"$out" 2>"$err" || fail "the videos: $(cat "$err")"

# Width and height of a GIF or PNG, from its header.
size_of() {
    case $1 in
    *.gif) od -An -tu2 -j6 -N4 "$1" | xargs ;;
    *.png) od -An -tu1 -j16 -N8 "$1" | awk '{ print $3 * 256 + $4, $7 * 256 + $8 }' ;;
    esac
}
is() { # what, got, wanted
    [ "$2" = "$3" ] || fail "$1: $2, wanted $3"
}

test_several_files_stand_below_each_other() {
    expect 0 preview wide.mp4 tall.mp4 --width 50 --frames 2
    is "titles" "$(grep -c frames "$out")" 2
    is "the first title" "$(head -n 1 "$out")" "wide.mp4  5 frames of 64x32, 5 a second"
    has "$out" "tall.mp4  9 frames of 32x48, 10 a second"
    is "rows of 24 columns" "$(wc -l <"$out")" $((1 + 6 + 1 + 18))
    expect 20 preview wide.mp4 two.lua --width 50
    has "$out" "wide.mp4" # one that cannot be read does not hide the others
    has "$err" "two.lua"
}

test_one_wide_picture_fills_the_terminal() {
    expect 0 preview wide.mp4 tall.mp4 --sheet sheet.png
    is "printed" "$(cat "$out")" sheet.png
    expect 0 preview sheet.png --width 120
    is "columns" "$(head -n 1 "$out" | tr -d '\n' | wc -c)" 120
}

test_contact_sheets() {
    expect 0 preview wide.mp4 tall.mp4 --sheet sheet.png
    is "two rows, enlarged to 128 and 144 pixels" "$(size_of sheet.png)" "768 210"
    expect 0 preview wide.mp4 tall.mp4 --sheet sheet.png --frames 3 --scale 1
    is "three frames of each as they are" "$(size_of sheet.png)" "192 82"
    expect 0 preview wide.mp4 --sheet one.jpg
    expect 0 graph one.jpg --as json # a single video's graph goes along
    has "$out" "tall.mp4"
    expect 20 graph sheet.png --as json
}

test_gifs() {
    expect 0 preview tall.mp4 --gif one.gif
    is "printed" "$(cat "$out")" one.gif
    is "enlarged to 256 pixels or more" "$(size_of one.gif)" "192 288"
    has one.gif NETSCAPE2.0 # plays for ever
    expect 0 graph one.gif --as json
    has "$out" "tall.mp4"
    expect 0 preview wide.mp4 tall.mp4 --gif both.gif --scale 0.5
    is "side by side, at half the size" "$(size_of both.gif)" "50 24"
    expect 0 preview both.gif wide.mp4 --width 40
    has "$out" "both.gif  10 frames of 50x24, 10 a second"
    expect 0 preview wide.mp4 --gif a.gif --sheet a.png
    is "both printed" "$(cat "$out")" "a.png"$'\n'"a.gif"
}

test_what_cannot_be_is_said() {
    local before
    expect 2 preview wide.mp4 --gif out.mp4
    has "$err" "--gif must name a file of type gif, got 'out.mp4'"
    expect 2 preview wide.mp4 --sheet out
    has "$err" "--sheet must name a file of type png|jpg|webp, got 'out'"
    expect 2 preview wide.mp4 --scale 2
    has "$err" "--scale is for what --sheet and --gif write"
    expect 2 preview wide.mp4 --gif x.gif --scale big
    has "$err" "--scale must be 0.01..16, got 'big'"
    expect 0 preview wide.mp4 --gif self.gif
    before=$(cksum <self.gif)
    expect 2 preview self.gif --gif ./self.gif
    has "$err" "--gif would overwrite 'self.gif'; choose another name"
    is "and it is left alone" "$(cksum <self.gif)" "$before"
    expect 20 preview wide.mp4 nowhere.mp4 --gif x.gif
    has "$err" "nowhere.mp4"
    [ ! -e x.gif ] || fail "a GIF although a file was missing"
    expect 20 preview wide.mp4 --gif /dev/null/x.gif
    has "$err" "/dev/null"
}

run_tests
