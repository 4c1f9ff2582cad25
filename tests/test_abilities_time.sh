#!/usr/bin/env bash
# test_abilities_time.sh - the graphs along time, run as a user runs them, at a small size: how many frames come out,
# that frames which were given stay as they were, that no seam stands out, that a second run computes nothing, and
# the sentence for each wrong input.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

. tests/shell.sh
export TUBELET_MODEL=${TUBELET_MODEL-$tiny}
ln -s "$root/graphs" graphs

# Frames of a video as numbers, and what is asked of them.
cat >frames.lua <<'LUA'
local tb = require "tubelet"
return tb.graph {
  params = { videos = tb.string {} },
  build = function(p)
    local all = {}
    for path in p.videos:gmatch("%S+") do
      all[#all + 1] = tb.save_tensor { value = tb.load_video { path = path }.images, path = path .. ".safetensors" }
    end
    return all
  end,
}
LUA
cat >frames.py <<'PY'
import json, math, struct, sys, zlib


def load(path):
    """Frames of a safetensors file with one f32 tensor, each a tuple, and their height and width."""
    data = open(path, "rb").read()
    size = struct.unpack_from("<Q", data)[0]
    header = json.loads(data[8:8 + size])
    header.pop("__metadata__", None)
    (tensor,) = header.values()
    count, height, width, channels = tensor["shape"]
    one = height * width * channels
    start = 8 + size + tensor["data_offsets"][0]
    return [struct.unpack_from(f"<{one}f", data, start + 4 * one * i) for i in range(count)], height, width


def difference(a, b):
    return sum(abs(x - y) for x, y in zip(a, b)) / len(a)


def median(values):
    return sorted(values)[len(values) // 2]


def shape(path):
    frames, height, width = load(path)
    print(f"{len(frames)} {width}x{height}")


def psnr(path, at, other, other_at, count):
    """The worst of `count` frames from `at` on, in decibels against those of another video."""
    a, b = load(path)[0], load(other)[0]
    worst = max(sum((x - y) ** 2 for x, y in zip(a[int(at) + i], b[int(other_at) + i])) / len(a[0])
                for i in range(int(count)))
    print(99 if worst == 0 else int(-10 * math.log10(worst)))


def seam(path, *places):
    """The largest step into the frames named (0: from the last), in percent of the steps around it: what moves
    faster moves faster for a while."""
    frames = load(path)[0]
    n = len(frames)
    steps = [difference(frames[i - 1], frames[i]) for i in range(n)]
    print(int(100 * max(steps[i] / median([steps[(i + k) % n] for k in (-2, -1, 1, 2)]) for i in map(int, places))))


def cut(path, other):
    """The step from one video to another, in percent of the median step of the first."""
    a, b = load(path)[0], load(other)[0]
    print(int(100 * difference(a[-1], b[0]) / median([difference(x, y) for x, y in zip(a, a[1:])])))


def picture(path, phase):
    """A PNG of 160x32 with waves of colour, for a window to move over."""
    def wave(x, y, period):
        return int(127 + 120 * math.sin(float(phase) + x / period + y / 9))
    rows = b"".join(b"\0" + bytes(wave(x, y, p) for x in range(160) for p in (4, 7, 11)) for y in range(32))
    parts = ((b"IHDR", struct.pack(">IIBBBBB", 160, 32, 8, 2, 0, 0, 0)), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    with open(path, "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
        for kind, data in parts:
            file.write(struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)))


globals()[sys.argv[1]](*sys.argv[2:])
PY

numbers() { # videos...: their frames, as numbers
    expect 0 run --no-store frames.lua --videos "$*"
}

measure() { # function, video, arguments...
    local what=$1 video=$2
    shift 2
    python3 frames.py "$what" "$video.safetensors" "$@"
}

declare -A wanted
make() { # video, what it must be: "frames WxH", graph and its arguments...
    wanted[$1]=$2
    expect 0 run "graphs/$3.lua" "${@:4}" --out "$1"
    expect 0 run "graphs/$3.lua" "${@:4}" --out "$1"
    has "$err" "Everything is stored already"
}

is_as_wanted() { # videos...
    local video got
    for video in "$@"; do
        got=$(measure shape "$video")
        [ "$got" = "${wanted[$video]}" ] || fail "$video is $got, wanted ${wanted[$video]}"
    done
}

# Frames at..at+count of a video are those of another but for the codec; a frame further on they are not.
keeps() { # video, at, original, at, count
    local same moved
    same=$(measure psnr "$1" "$2" "$3.safetensors" "$4" "$5")
    moved=$(measure psnr "$1" $(($2 + 1)) "$3.safetensors" "$4" 1)
    [ "$same" -ge 30 ] || fail "frames $2.. of $1 are $same dB from those of $3, at least 30 wanted"
    [ "$moved" -le 25 ] || fail "frames $2.. of $1 cannot be told from the next ones: $moved dB"
}

refuses() { # sentence, graph and its arguments...
    expect 20 run "graphs/$2.lua" "${@:3}" --out no.mp4
    [[ "$(cat "$err")" =~ ^graphs/$2\.lua:[0-9]+:\ (.*)$ && ${BASH_REMATCH[1]} = "$1" ]] ||
        fail "$2 ${*:3}"$'\n'"says $(cat "$err")"$'\n'"wanted $1"
    [ ! -e no.mp4 ] || fail "$2 ${*:3}: a video was written"
}

# Videos whose frames are known: a window moves over a picture.
cat >pan.lua <<'LUA'
local tb = require "tubelet"
return tb.graph {
  params = { picture = tb.path {}, frames = tb.int { default = 9 }, out = tb.path {} },
  build = function(p)
    local picture, all = tb.load_image { path = p.picture }, nil
    for i = 0, p.frames - 1 do
      local one = tb.image_slice { image = picture, axis = "width", start = 6 * i, count = 32 }
      all = all and tb.image_concat { a = all, b = one } or one
    end
    return tb.mux { video = all, path = p.out, fps = 12 }
  end,
}
LUA
for pan in "a 0 9" "b 2 12" "short 0 4"; do
    read -r name phase frames <<<"$pan"
    python3 frames.py picture "$name.png" "$phase"
    expect 0 run --no-store pan.lua --picture "$name.png" --frames "$frames" --out "$name.mp4"
done
small=(--size 32x32 --steps 2)
moving=(--steps 4 --cfg 1 --prompt "a large red ball on the grass by day, the camera zooms in")
turning=(--steps 4 --cfg 1 --prompt "a large yellow cone spins on the sand by day" --frames 37 --window 17)
story=("${small[@]}" --frames 33 --window 17 --overlap 4)
make forward.mp4 "21 32x32" extend_forward --video a.mp4 "${small[@]}"
make backward.mp4 "13 32x32" extend_backward --video a.mp4 "${small[@]}" --overlap 9 --frames 13
make joined.mp4 "28 32x32" join_clips --first a.mp4 --second b.mp4 "${small[@]}"
make loop.mp4 "16 64x64" loop "${moving[@]}" --frames 16
make ring.mp4 "24 32x32" loop "${small[@]}" --frames 24 --window 13
make long.mp4 "37 64x64" long_video "${turning[@]}" --overlap 12
make story.mp4 "33 32x32" storyboard "${story[@]}" --prompts "a red ball on the grass by day; a blue cube at night ;"
expect 0 run graphs/storyboard.lua "${story[@]}" --prompts "a red ball on the grass by day" --out first.mp4
expect 0 run graphs/text_to_video.lua "${moving[@]}" --out plain.mp4
expect 0 run graphs/extend_forward.lua --video plain.mp4 --prompt "" --steps 2 --cfg 1 --out next.mp4
expect 0 run graphs/extend_backward.lua --video plain.mp4 --prompt "" --steps 2 --cfg 1 --out past.mp4
numbers {a,b,forward,backward,joined,loop,plain,ring,long,story,first,next,past}.mp4

test_extend_forward() {
    is_as_wanted forward.mp4
    keeps forward.mp4 0 a.mp4 0 9
    expect 0 plan graphs/extend_forward.lua --video a.mp4 --size 48x48 # what is slow is known before
    has "$out" "[21,48,48,3]"
}

test_extend_backward() {
    is_as_wanted backward.mp4
    keeps backward.mp4 4 a.mp4 0 9
}

test_join_clips() {
    is_as_wanted joined.mp4
    keeps joined.mp4 0 a.mp4 0 9
    keeps joined.mp4 16 b.mp4 0 12
}

# Without a prompt, what is made shows what the known frames show: the new frame beside them is like them.
test_known_frames_are_seen() {
    local near far pair
    for pair in "next 17 16" "past 11 0"; do
        read -r name at beside <<<"$pair"
        near=$(measure psnr "$name.mp4" "$at" plain.mp4.safetensors "$beside" 1)
        far=$(measure psnr "$name.mp4" "$at" long.mp4.safetensors "$beside" 1)
        [ "$near" -gt $((far + 1)) ] || fail "$name: the new frame is $near dB from the known one beside it, $far dB from another video's"
    done
}

test_loop() {
    is_as_wanted loop.mp4 ring.mp4
    local seam plain
    seam=$(measure seam loop.mp4 0)
    plain=$(measure seam plain.mp4 0)
    [ "$seam" -le 200 ] || fail "the step from the last frame to the first is $seam % of those around it"
    [ "$plain" -gt "$seam" ] || fail "a video that is no loop has a step of $plain %, the loop one of $seam %"
}

test_long_video() {
    is_as_wanted long.mp4
    local seam cut
    seam=$(measure seam long.mp4 $(seq 5 36))
    cut=$(measure cut long.mp4 plain.mp4.safetensors)
    [ "$seam" -le 250 ] || fail "a step of the long video is $seam % of those around it"
    [ "$cut" -gt 250 ] || fail "a cut to another video is a step of $cut % only; this test sees nothing"
}

test_storyboard() {
    is_as_wanted story.mp4
    local start end
    start=$(measure psnr story.mp4 0 first.mp4.safetensors 0 4)
    end=$(measure psnr story.mp4 29 first.mp4.safetensors 29 4)
    [ "$start" -gt $((end + 6)) ] || fail "the second prompt changes the start ($start dB) as much as the end ($end dB)"
}

test_wrong_inputs() {
    local few="a video of at least 5 frames is wanted, '$work/short.mp4' has 4"
    refuses "node 'load_video' (load_video): $few" extend_forward --video short.mp4
    refuses "node 'load_video' (load_video): $few" extend_backward --video short.mp4
    refuses "node 'second' (load_video): $few" join_clips --first a.mp4 --second short.mp4
    refuses "overlap must be 4k + 1 frames (5, 9, 13, ...), got 6" extend_forward --video a.mp4 --overlap 6
    refuses "frames must be more than the 9 known ones, got 9" extend_backward --video a.mp4 --overlap 9 --frames 9
    refuses "frames must be more than the 18 known ones, got 17" join_clips --first a.mp4 --second b.mp4 --overlap 9
    refuses "size must be WIDTHxHEIGHT in pixels, as 64x64, got '64'" join_clips --first a.mp4 --second b.mp4 --size 64
    refuses "frames must be 4k (8, 12, 16, ...), got 18" loop --frames 18
    refuses "node 'sample_windows' (sample_windows): overlap must be below the window's 5 latent frames, got 5" long_video --window 17 --overlap 20
    refuses "node 'noise_init' (noise_init): width and height must be multiples of 16 up to 65536 with this model, got 40x40" \
        storyboard --size 40x40
}

run_tests
