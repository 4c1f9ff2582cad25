#!/usr/bin/env bash
# test_robust.sh - a server that is treated badly: scripts that never end, and six clients that send anything for some seconds.
set -u
root=$(cd "$(dirname "$0")/.." && pwd)
bin=${TUBELET_BIN:-$root/build/debug/tubelet}
dir=$(dirname "$bin")/clients

"$root/tests/clients/install.sh" "$dir" || exit 1
cd "$dir" && TUBELET_BIN=$bin TUBELET_NODES=$root/tests/lua/conformance_nodes.lua exec node --test robust.test.js
