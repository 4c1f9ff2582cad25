#!/usr/bin/env bash
# test_readme.sh - what README.md shows works: its graphs evaluate, its commands exist, its links lead somewhere.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
tubelet=${TUBELET_BIN:-build/debug/tubelet}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export TUBELET_STORE=$work/store
failures=0

check() { # what, command...
    local what=$1
    shift
    if "$@" >"$work/log" 2>&1; then
        echo "ok   $what"
    else
        echo "FAIL $what: $*" >&2
        sed 's/^/     /' "$work/log" >&2
        failures=$((failures + 1))
    fi
}

# The n-th block of ```lua.
block() {
    awk -v n="$1" '/^```lua/ { i++; on = 1; next } /^```/ { on = 0 } on && i == n' README.md
}

block 1 >"$work/mine.lua"
check "the graph of one's own is planned" "$tubelet" plan "$work/mine.lua"
check "and runs" "$tubelet" run "$work/mine.lua" --set sample.steps=1 --set noise_init.frames=1 --set "mux.path=$work/cone.mp4"
check "and writes its video" test -s "$work/cone.mp4"

block 2 | sed '/-- nodes as above/s|.*|return tb.save_image { images = tb.vae_decode {}, path = p.out }|' >"$work/params.lua"
check "a graph has options of its own" grep -q -- --colour <("$tubelet" run "$work/params.lua" --help)

{
    echo 'local tb = require "tubelet"'
    block 3
    cat <<'LUA'
return tb.graph { build = function()
  local m = tb.load_model {}
  local both = tb.two_prompts { clip = m.clip, a = "a red ball", b = "a blue cube" }
  local x = tb.noise_init { model = m.model, size = "32x32", frames = 1 }
  local z = tb.sample { model = m.model, latent = x, positive = both.a, negative = both.b, steps = 1 }
  return tb.save_image { images = tb.brighten { images = tb.vae_decode { vae = m.vae, latent = z } }, path = "bright.png" }
end }
LUA
} >"$work/types.lua"
check "a node and a composite in Lua run" "$tubelet" run "$work/types.lua" --set "save_image.path=$work/bright.png"

# Every `tubelet WORD` in a command block or in the table of commands is a command.
while read -r word; do
    check "tubelet $word is a command" "$tubelet" "$word" --help
done < <(grep -oE '(^    |`)tubelet [a-z]+' README.md | awk '{ print $2 }' | sort -u)

"$tubelet" nodes --markdown >"$work/nodes.md"
check "docs/nodes.md is what 'tubelet nodes --markdown' prints" diff docs/nodes.md "$work/nodes.md"

# Every sampler, schedule and guidance has its line on the page about them.
while read -r name; do
    check "docs/sampling.md tells of $name" grep -qE "^\\|.*[\`=]$name\`" docs/sampling.md
done < <(grep -E '^\| `(sampler|scheduler|guidance)` \| COMBO' docs/nodes.md | sed 's/\\|/\n/g' |
    sed -E 's/^\|.*\| //; s/ \|.*//; s/ //g' | sort -u)

while read -r target; do
    check "README.md's link to $target" test -e "$target"
done < <(grep -oE '\]\([^)#]+\)' README.md | sed 's/^](//; s/)$//' | grep -v '^http' | sort -u)

exit $((failures > 0))
