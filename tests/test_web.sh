#!/usr/bin/env bash
# test_web.sh - the editor's logic, the size of its bundle, and that two builds give the same bytes. What happens in a
# browser is not tested here. Skipped where the build folder has no modules (TUBELET_WEB=OFF, or no node).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

build=$(dirname "${TUBELET_BIN:-build/debug/tubelet}")
modules=$build/web/node_modules
if ! [ -d "$modules" ]; then
    echo "test_web: skipped: $modules is not there"
    exit 77
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

node web/test/run.mjs --modules "$modules"

node web/build.mjs "$work/one" --modules "$modules"
node web/build.mjs "$work/two" --modules "$modules"
diff -r "$work/one" "$work/two"

most=200000
size=$(gzip -9nc "$work/one/app.js" | wc -c)
echo "app.js: $size bytes gzip -9, at most $most"
if [ "$size" -gt "$most" ]; then
    echo "app.js has grown past its budget" >&2
    exit 1
fi

if grep -q '"resolved"' web/package-lock.json; then
    echo "web/package-lock.json names a registry; install with web/.npmrc in place" >&2
    exit 1
fi
