#!/usr/bin/env bash
# test_web_modules.sh - the editor's types, and the tests of those of its modules that need no page (tests/web/).
set -u
root=$(cd "$(dirname "$0")/.." && pwd)
modules=$(dirname "${TUBELET_BIN:-$root/build/debug/tubelet}")/web/node_modules

if [ ! -d "$modules/esbuild" ]; then
    echo "test_web_modules: skipped, this build has no editor (cmake said why)"
    exit 77
fi
exec node "$root/tests/web/run.mjs" "$modules"
