#!/usr/bin/env bash
# test_abilities_page.sh - docs/abilities.md shows every graph, its commands can run one after another (they are
# planned, with stand-ins for the files that earlier ones make), and its pictures are there and small.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

. tests/shell.sh
export LSAN_OPTIONS=${LSAN_OPTIONS-suppressions=$root/tests/lsan.supp:print_suppressions=0}
page=$root/docs/abilities.md
MOST_BYTES=1500000

# The page's commands, one a line.
commands() {
    sed -n '/^    tubelet run /{:more
        /\\$/{N;s/ *\\\n */ /;b more
        }
        s/^ *//p
    }' "$page"
}

pictures() { grep -oE '\(abilities/[a-z_]+\.png\)' "$page" | tr -d '()'; }

test_every_graph_is_shown() {
    local file
    for file in "$root"/graphs/*.lua; do
        commands | grep -q "^tubelet run graphs/$(basename "$file") " || fail "docs/abilities.md does not show $file"
    done
}

# What a command makes, without making it: 17 frames (of a picture 1) of the size that is asked for.
cat >stand_in.lua <<LUA
local tb = require "tubelet"
local size = require "size"
return tb.graph { params = { size = tb.string {}, out = tb.path {} }, build = function(p)
  local width, height = size(p.size)
  local picture = tb.load_image { path = "$root/docs/frames.png", width = width, height = height }
  local frames = tb.image_frames { start = picture, frames = p.out:find("png") and 1 or 17 }
  return tb.mux { video = frames.image, path = p.out, fps = 8 }
end }
LUA

option() { # command, name: its value there
    sed -nE "s/.* --$2 ([^ ]+).*/\1/p" <<<"$1"
}

test_commands_can_run() {
    local command file size
    ln -sf "$root/graphs" graphs
    while read -r command; do
        for name in video image first second; do
            file=$(option "$command" $name)
            [ -z "$file" ] || [ -e "$file" ] || fail "no command above makes $file: $command"
        done
        eval "expect 0 ${command/#tubelet run/plan}"
        file=$(option "$command" out) size=$(option "$command" size)
        expect 0 run stand_in.lua --size "${size:-64x64}" --out "$file"
    done < <(commands | grep -v -e ' --model ')
    [ "$(commands | wc -l)" -ge 17 ] || fail "only $(commands | wc -l) commands are found"
}

# One for another model: its options are there.
test_commands_take_their_options() {
    local _ graph rest name
    while read -r _ _ graph rest; do
        expect 0 run "$root/$graph" --help
        for name in $(sed 's/"[^"]*"//g' <<<"$rest" | grep -oE -- '--[a-z0-9]+'); do
            grep -qE -- "^  $name " "$out" || fail "$graph has no option $name"
        done
    done < <(commands | grep -e ' --model ')
}

test_pictures_are_there_and_small() {
    local name
    while read -r name; do
        [ -s "$root/docs/$name" ] || fail "docs/$name is missing; run scripts/abilities.sh"
    done < <(pictures)
    [ "$(pictures | wc -l)" -eq "$(find "$root/docs/abilities" -type f | wc -l)" ] || fail "docs/abilities holds what the page does not show"
    [ "$(pictures | wc -l)" -eq "$(grep -c '^<!-- .* -->$' "$page")" ] || fail "a picture has no files in a comment above it"
    [ "$(cat "$root"/docs/abilities/* | wc -c)" -le $MOST_BYTES ] || fail "the pictures are larger than $MOST_BYTES bytes together"
}

run_tests
