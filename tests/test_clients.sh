#!/usr/bin/env bash
# test_clients.sh - two client libraries of ComfyUI from the npm registry, unmodified, against `tubelet serve`.
# They are installed below the build folder, from the lock file, once.
set -u
root=$(cd "$(dirname "$0")/.." && pwd)
bin=${TUBELET_BIN:-$root/build/debug/tubelet}
dir=$(dirname "$bin")/clients

"$root/tests/clients/install.sh" "$dir" || exit 1
cd "$dir" && TUBELET_BIN=$bin exec node --test clients.test.js
