#!/usr/bin/env bash
# test_browser.sh - the editor in Debian's Chromium, through the real server.
#
# The tests are in tests/browser/, one file a topic; node's own runner runs them. Exit code 77 (skipped, and
# ctest says so) where no Chromium is installed, as on Ubuntu, whose package is a snap.
# TUBELET_SHOTS=FOLDER keeps a picture of each state.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

chromium=${TUBELET_CHROMIUM:-/usr/bin/chromium}
if [ ! -x "$chromium" ]; then
    echo "skipped: there is no $chromium; install the package chromium, or name a browser in TUBELET_CHROMIUM" >&2
    exit 77
fi
if ! command -v npm >/dev/null; then
    echo "skipped: there is no npm; scripts/setup.sh installs it" >&2
    exit 77
fi
bin=${TUBELET_BIN:-$PWD/build/debug/tubelet}
modules=${bin%/*}/browser_tests

# The tests run from a copy beside their modules: nothing is installed into the source tree.
mkdir -p "$modules"
cp tests/browser/*.mjs tests/browser/package.json tests/browser/package-lock.json "$modules/"
if ! cmp -s tests/browser/package-lock.json "$modules/node_modules/installed"; then
    (cd "$modules" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error)
    cp tests/browser/package-lock.json "$modules/node_modules/installed"
fi
TUBELET_ROOT=$PWD TUBELET_BIN=$bin exec node --test "$modules"/*.test.mjs
