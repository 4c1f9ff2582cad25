#!/usr/bin/env bash
# test_conformance.sh - what clients of ComfyUI rely on when a server runs a graph, held against `tubelet serve` with the
# nodes of tests/lua/conformance_nodes.lua.
set -u
root=$(cd "$(dirname "$0")/.." && pwd)
bin=${TUBELET_BIN:-$root/build/debug/tubelet}
dir=$(dirname "$bin")/clients

"$root/tests/clients/install.sh" "$dir" || exit 1
cd "$dir" && TUBELET_BIN=$bin TUBELET_NODES=$root/tests/lua/conformance_nodes.lua exec node --test conformance.test.js semantics.test.js
