#!/usr/bin/env bash
# bench_serve.sh - what the server costs before it does anything: time from start to its first answer (with binaries
# that are not in memory, and that are), memory of it and its Lua child, processor when nobody asks. Medians of five.
#
#     tests/bench/bench_serve.sh [program]
set -eu
cd "$(dirname "$0")/../.."
bin=$(realpath "${1:-build/release/tubelet}")
unset OPENBLAS_CORETYPE
dir=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill "$pid" 2> "$dir/err" || true; rm -rf "$dir"' EXIT
cd "$dir"

# Asks the system to forget the pages of the program and its libraries, as far as nobody else holds them.
forget() {
    local f
    for f in "$bin" $(ldd "$bin" | awk '$3 ~ "^/" { print $3 }'); do
        dd of="$f" oflag=nocache conv=notrunc,fdatasync count=0 2> err || true
    done
}

ask() { # port; succeeds when there is an answer
    { exec 3<> "/dev/tcp/127.0.0.1/$1"; } 2> err || return 1
    printf 'GET /prompt HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n' >&3
    local line
    read -r line <&3
    exec 3<&- 3>&-
    [[ $line == *200* ]]
}

start_ms() { # store: prints the milliseconds, in tenths; leaves the server running
    local start
    : > out
    start=$(date +%s%N)
    "$bin" serve --port 0 --store "$1" > out 2> err.serve &
    pid=$!
    until [ -s out ]; do sleep 0.001; done
    port=$(sed 's/.*:\([0-9]*\)\/.*/\1/' out)
    until ask "$port"; do sleep 0.001; done
    took=$((($(date +%s%N) - start) / 100000))
}

stop() {
    kill "$pid"
    wait "$pid" || true
    pid=
}

row() { # what, "new" or "kept", "cold" or "warm"
    local i all=
    for i in 1 2 3 4 5; do
        [ "$2" = kept ] || rm -rf store
        [ "$3" = warm ] || forget
        start_ms store
        all="$all $took"
        stop
    done
    printf '%s\n' $all | sort -n | awk -v w="$1" '{ v[NR] = $1 }
        END { printf "%-44s %6.1f ms (worst %.1f) %5.2f of the bar of 100 ms\n", w, v[3] / 10, v[5] / 10, v[3] / 1000 }'
}

ticks() { awk '{ print $14 + $15 }' "/proc/$pid/stat"; }

row "first answer, new store, cold binaries" new cold
row "first answer, new store" new warm
row "first answer, existing store, cold binaries" kept cold
row "first answer, existing store" kept warm

start_ms store
sleep 1
child=$(pgrep -P "$pid" || true)
before=$(ticks)
sleep 5
used=$(($(ticks) - before))
for p in $pid $child; do awk '/^VmRSS/ { print $2 }' "/proc/$p/status"; done |
    awk '{ all += $1; each = each " " $1 / 1024 } END { printf "%-44s %6.1f MB of the bar of 30 MB (%s )\n",
        "memory when idle, with the Lua child", all / 1024, each }'
awk -v t="$used" -v hz="$(getconf CLK_TCK)" 'BEGIN { printf "%-44s %6.2f %%\n", "processor when idle", 100 * t / hz / 5 }'
stop
