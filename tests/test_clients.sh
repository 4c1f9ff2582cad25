#!/usr/bin/env bash
# test_clients.sh - two client libraries of ComfyUI from the npm registry, unmodified, against `tubelet serve`.
# They are installed below the build folder, from the lock file, once.
set -u
root=$(cd "$(dirname "$0")/.." && pwd)
bin=${TUBELET_BIN:-$root/build/debug/tubelet}
dir=$(dirname "$bin")/clients

if ! command -v npm > /dev/null; then
    echo "test_clients: npm is missing; scripts/setup.sh --test installs it" >&2
    exit 1
fi
mkdir -p "$dir" || exit 1
cp "$root"/tests/clients/clients.test.js "$dir" || exit 1
if [ ! -d "$dir/node_modules" ] || ! cmp -s "$root/tests/clients/package-lock.json" "$dir/package-lock.json"; then
    cp "$root"/tests/clients/package.json "$root"/tests/clients/package-lock.json "$dir" &&
        (cd "$dir" && npm ci --no-audit --no-fund --ignore-scripts --loglevel=error) ||
        {
            rm -rf "$dir/package-lock.json"
            echo "test_clients: npm could not install the client libraries; is there a registry to reach?" >&2
            exit 1
        }
fi
cd "$dir" && TUBELET_BIN=$bin exec node --test clients.test.js
