#!/usr/bin/env bash
# demo.sh - from a fresh machine to a video: install what is missing, build, run the bundled model.
#
#     scripts/demo.sh                                            the prompt below
#     scripts/demo.sh "a small blue cube spins on the sand"      your own; see examples/tiny/README.md
#
# Writes out.mp4 in the project's folder and shows some of its frames in the terminal.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

case ${1-} in
-h | --help)
    sed -n '2,7s/^# \{0,1\}//p' scripts/demo.sh
    exit 0
    ;;
esac
prompt=${1:-a large red ball bounces on the grass by day}
tubelet=build/release/tubelet
log=build/demo.log

scripts/setup.sh
mkdir -p build
echo "building (the log is in $log)"
if ! { cmake --preset release && cmake --build --preset release --target tubelet; } </dev/null >"$log" 2>&1; then
    tail -n 30 "$log" >&2
    echo "demo.sh: the build failed (its last lines are above, all of it in $log)" >&2
    exit 1
fi

"$tubelet" run graphs/text_to_video.lua --prompt "$prompt" --out out.mp4 >/dev/null
"$tubelet" preview out.mp4
echo "$prompt: $PWD/out.mp4"
