#!/usr/bin/env bash
# test_web_bundle.sh - two builds of the editor from clean installs are byte for byte the same, small enough, and
# without source map. Skipped where node, npm or the registry is missing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
limit=$((200 * 1000)) # bytes of app.js, gzip -9

if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
    echo "skip test_web_bundle: node or npm is missing"
    exit 0
fi
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

for i in 1 2; do
    mkdir -p "$tmp/$i/deeper"
    cp web/package.json web/package-lock.json "$tmp/$i/deeper"
    if ! (cd "$tmp/$i/deeper" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >"$tmp/log" 2>&1); then
        echo "skip test_web_bundle: npm ci failed: $(tail -n 1 "$tmp/log")"
        exit 0
    fi
    node web/build.mjs "$tmp/out$i" --modules "$tmp/$i/deeper/node_modules"
done

failures=0
fail() {
    echo "FAIL $1" >&2
    failures=$((failures + 1))
}
diff -r "$tmp/out1" "$tmp/out2" >&2 || fail "two builds differ"
for name in app.js index.css index.html licenses.txt; do
    [ -s "$tmp/out1/$name" ] || fail "$name was not written"
done
size=$(gzip -9nc "$tmp/out1/app.js" | wc -c)
[ "$size" -le "$limit" ] || fail "app.js has $size bytes compressed, at most $limit are wanted"
! grep -l "sourceMappingURL" "$tmp/out1"/* || fail "a source map is named"
! grep -n '"resolved": "http' web/package-lock.json >&2 || fail "the lock file names a registry"
for name in react react-dom @xyflow/react; do
    grep -q "^$name [0-9]" "$tmp/out1/licenses.txt" || fail "licenses.txt lacks $name"
done
[ "$failures" -eq 0 ] || exit 1
echo "ok   the editor's bundle is reproducible, $size bytes compressed"
