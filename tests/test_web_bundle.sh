#!/usr/bin/env bash
# test_web_bundle.sh - the editor's bundle keeps to its size, and two builds of it give the same bytes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

modules=$(dirname "${TUBELET_BIN:-build/debug/tubelet}")/web/node_modules
if ! [ -d "$modules/esbuild" ]; then
    echo "test_web_bundle: skipped, this build has no editor (cmake said why)"
    exit 0
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

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
