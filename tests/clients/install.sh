#!/usr/bin/env bash
# install.sh DIR - the tests of this folder and the client libraries they use, in DIR: from the npm registry by the lock
# file, once.
set -u
from=$(cd "$(dirname "$0")" && pwd)
dir=$1

if ! command -v npm > /dev/null; then
    echo "the tests of client libraries need npm; scripts/setup.sh --test installs it" >&2
    exit 1
fi
mkdir -p "$dir" || exit 1
exec 9> "$dir/lock" && flock 9 || exit 1
cp "$from"/*.js "$dir" || exit 1
if [ ! -d "$dir/node_modules" ] || ! cmp -s "$from/package-lock.json" "$dir/package-lock.json"; then
    cp "$from"/package.json "$from"/package-lock.json "$dir" &&
        (cd "$dir" && npm ci --no-audit --no-fund --ignore-scripts --loglevel=error) ||
        {
            rm -rf "$dir/package-lock.json"
            echo "npm could not install the client libraries; is there a registry to reach?" >&2
            exit 1
        }
fi
