#!/usr/bin/env bash
# abilities.sh - run the commands of docs/abilities.md, one after another as they stand there, and make its pictures
# anew: a few minutes with the bundled model. Those for other models (--model) are left out.
#
#   scripts/abilities.sh                     pictures to docs/abilities
#   scripts/abilities.sh --to DIR OPTION...  elsewhere, with further options for every graph: --cfg 1
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

root=$PWD
bin=$(realpath "${TUBELET_BIN:-build/release/tubelet}")
to=$root/docs/abilities
if [ "${1-}" = --to ]; then
    to=$(realpath -m "${2:?--to wants a folder}")
    shift 2
fi
more=("$@")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export TUBELET_STORE=$work/store TUBELET_MODEL=${TUBELET_MODEL-$root/examples/tiny}

tubelet() { # run GRAPH OPTION...
    echo "$*" >&2
    "$bin" "$@" "${more[@]}" >/dev/null 2>"$work/log" || { cat "$work/log" >&2 && return 1; }
}

picture() { # name, file..., options of preview
    "$bin" preview "${@:2}" --sheet "$work/picture.png" >/dev/null
    mv "$work/picture.png" "$to/$1"
}

# The page as a script: its commands, and for each comment with files the picture below it.
script() {
    awk '/^    tubelet run / && !/ --model / { print substr($0, 5) }
         /^<!-- .* -->$/ { files = substr($0, 6, length($0) - 9) }
         /^!\[.*\]\(abilities\/[a-z_]*\.png\)$/ { sub(/.*\//, ""); sub(/\)$/, ""); print "picture " $0 " " files }' \
        "$root/docs/abilities.md"
}

mkdir -p "$to"
ln -s "$root/graphs" "$work/graphs" # graphs are named as on the page, and keep that name in what they make
script >"$work/page"
cd "$work"
. ./page
