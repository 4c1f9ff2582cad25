#!/usr/bin/env bash
# test_examples.sh - every node has an example, `tubelet nodes` prints it, it runs as it is printed, and what comes
# out is of the types the node's table promises.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

bin=$(realpath "${TUBELET_BIN:-build/debug/tubelet}")
export NO_COLOR=1 LC_ALL=C.UTF-8
export LSAN_OPTIONS=${LSAN_OPTIONS-suppressions=$PWD/tests/lsan.supp:print_suppressions=0}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export TUBELET_STORE=$work/store XDG_CACHE_HOME=$work/cache TUBELET_MODEL=${TUBELET_MODEL-$PWD/examples/tiny} # wherever the build folder is
ln -s "$PWD/docs" "$PWD/examples" "$work" # examples read shipped files and write beside them
cd "$work"
failures=0

fail() {
    echo "$1" >&2
    failures=$((failures + 1))
}

# "name type" of each output, from the page of a node on stdin; lists have "list" behind the type.
outputs_of() {
    sed -n '/^  output /,/^$/p' | sed -nE '2,$s/^  ([A-Za-z_]+) +([A-Z*][A-Z_,*]*( list)?).*/\1 \2/p'
}

# What `tubelet run` prints for a value of each type.
number='-?[0-9.]+(e[-+]?[0-9]+)?'
declare -A looks=(
    [INT]='-?[0-9]+' [FLOAT]=$number ["INT,FLOAT"]=$number [BOOLEAN]='true|false' [STRING]='".*"'
    [IMAGE]='F32 \[[0-9]+,[0-9]+,[0-9]+,3\]' [VIDEO]='\{ images = F32 \[.*,3\], fps = .*\}'
    [LATENT]='\{ samples = F32 \[([0-9]+,){3}[0-9]+\].*\}' [VELOCITY]='F32 \[([0-9]+,){3}[0-9]+\]'
    [CONDITIONING]='\{ text = F32 \[[0-9]+,[0-9]+\].*\}' [SIGMAS]='\{.*sigmas = .*\}'
    [MODEL]='\{ (kind = "model"|.*(settings|model) =).*\}' [CLIP]='\{ kind = "clip", .*\}' [VAE]='\{ kind = "vae", .*\}' ["*"]='.+'
    [CLIP_VISION]='\{ kind = "clip_vision", .*\}' [CLIP_VISION_OUTPUT]='\{ (features = F32 .*)?\}'
    [MASK]='F32 \[[0-9]+,[0-9]+,[0-9]+\]' [NOISE]='\{ .*seed = .*\}' [SAMPLER]='\{ .*sampler = .*\}'
    [GUIDER]='\{ .*model = .*\}'
)

check_output() { # node, output, type; what the run printed in $node.out
    local node=$1 output=$2 type=${3% list} lines
    lines=$(grep -cE "^$node\.$output = " "$node.out" || true)
    if [[ $3 = *list ]]; then
        [ "$lines" -gt 1 ] || fail "$node: its list $output has $lines values"
    else
        [ "$lines" -eq 1 ] || fail "$node: $output is printed $lines times"
    fi
    [ "$(grep -cE "^$node\.$output = (${looks[$type]-no such type})$" "$node.out" || true)" -eq "$lines" ] ||
        fail "$node: $output is no $type: $(grep "^$node\.$output = " "$node.out")"
}

# Nodes that write files (output nodes without outputs, too) print their paths instead of values.
check_file() { # node
    local path
    path=$(cat "$1.out")
    [[ ($path = "$work"/out.* || $path = "$work"/cache/tubelet/temp/*) && -s $path ]] ||
        fail "$1: wrote '$path', not out.* in the current folder or a temporary file"
}

check_node() { # node
    local node=$1 output type
    "$bin" nodes "$node" >"$node.page"
    sed -n '/^  example$/,$s/^    //p' "$node.page" >"$node.example"
    if [ ! -s "$node.example" ]; then
        fail "$node has no example"
        return
    fi
    { echo 'local tb = require "tubelet"' && echo 'return tb.graph { build = function()' && cat "$node.example" && echo 'end }'; } >"$node.lua"
    if ! "$bin" run "$node.lua" >"$node.out" 2>"$node.err"; then
        fail "the example of $node fails: $(cat "$node.err")"
        return
    fi
    ! grep -q 'Not supported yet' "$node.page" || return 0 # its outputs are not given
    while read -r output type; do
        if [ "$type" = FILE ]; then
            check_file "$node"
        else
            check_output "$node" "$output" "$type"
        fi
    done < <(outputs_of <"$node.page")
    [ -n "$(outputs_of <"$node.page")" ] || check_file "$node"
}

mapfile -t nodes < <("$bin" nodes --json | sed -nE 's/^    "name": "([^"]*)",$/\1/p')
[ ${#nodes[@]} -ge 36 ] || fail "only ${#nodes[@]} nodes are listed: ${nodes[*]}"
for node in "${nodes[@]}"; do
    check_node "$node"
done
echo "${#nodes[@]} examples"
exit $((failures > 0))
