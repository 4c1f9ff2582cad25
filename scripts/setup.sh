#!/usr/bin/env bash
# setup.sh - install what building tubelet needs on Debian 12 or Ubuntu 22.04 and later.
#
#     scripts/setup.sh          compiler, build tools, libraries
#     scripts/setup.sh --test   also what the tests use
#
# Needs root or sudo only when something is missing. With everything in place it takes milliseconds.
set -euo pipefail

# OpenBLAS is opened at run time, once the processor is known: its headers are not needed.
packages=(
    gcc libc6-dev cmake ninja-build pkg-config
    liblua5.4-dev libuv1-dev libsqlite3-dev libjansson-dev libxxhash-dev nettle-dev
    libwebsockets-dev libwebsockets-evlib-uv
    libavformat-dev libavcodec-dev libavutil-dev libswscale-dev
    libopenblas0-pthread
)
# The editor's bundle. Whoever has node from elsewhere keeps it.
node=$(node --version 2>/dev/null) || node=v0
node=${node#v}
if ! command -v npm >/dev/null || [ "${node%%.*}" -lt 18 ]; then
    packages+=(nodejs npm)
fi
# On Ubuntu chromium is a snap, which containers and servers often cannot run.
add_chromium() {
    if grep -qs '^ID=ubuntu' /etc/os-release; then
        echo "setup.sh: no chromium is installed on Ubuntu, where it is a snap; tests in the browser are skipped without /usr/bin/chromium" >&2
    else
        packages+=(chromium)
    fi
}
for arg in "$@"; do
    case $arg in
    --test)
        packages+=(clang-format-14 curl sqlite3)
        [ -x /usr/bin/chromium ] || add_chromium
        ;;
    -h | --help)
        sed -n '2,7s/^# \{0,1\}//p' "$0"
        exit 0
        ;;
    *)
        echo "setup.sh: unknown argument '$arg': only --test is known" >&2
        exit 2
        ;;
    esac
done

if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
    echo "setup.sh: not a Debian or Ubuntu; install the equivalents of: ${packages[*]}" >&2
    exit 0 # the build says what it does not find
fi

missing() {
    local have
    have=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "${packages[@]}" 2>/dev/null) || true
    comm -23 <(printf '%s\n' "${packages[@]}" | sort) <(sed -n 's/^installed //p' <<<"$have" | sort -u)
}

mapfile -t wanted < <(missing)
[ ${#wanted[@]} -gt 0 ] || exit 0

as_root=()
if [ "$(id -u)" != 0 ]; then
    if ! command -v sudo >/dev/null; then
        echo "setup.sh: needs root or sudo for: apt-get install --no-install-recommends ${wanted[*]}" >&2
        exit 1
    fi
    as_root=(sudo)
fi

apt() {
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 \
        apt-get -qq -o DPkg::Lock::Timeout=120 -o Dpkg::Use-Pty=0 "$@"
}

echo "installing: ${wanted[*]}"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! { apt update && apt install -y --no-install-recommends "${wanted[@]}"; } </dev/null >"$log" 2>&1; then
    tail -n 15 "$log" >&2
    echo "setup.sh: apt-get could not install the packages (its last lines are above)" >&2
    exit 1
fi
