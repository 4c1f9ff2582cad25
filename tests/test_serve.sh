#!/usr/bin/env bash
# test_serve.sh - `tubelet serve` as a user starts and stops it.
set -euo pipefail
bin=${TUBELET_BIN:?}
tmp=$(mktemp -d)
pids=()
cleanup() {
    for p in "${pids[@]}"; do kill -KILL "$p" 2>/dev/null || true; done
    rm -rf "$tmp"
}
trap cleanup EXIT
cd "$tmp"

failures=0
check() { # what, got, wanted (a pattern)
    # shellcheck disable=SC2053
    if [[ $2 == $3 ]]; then
        echo "ok   $1"
    else
        printf 'FAIL %s\n     got    %s\n     wanted %s\n' "$1" "$2" "$3" >&2
        failures=$((failures + 1))
    fi
}

# Starts a server; sets pid and url (the last word of its line).
start() { # arguments
    : >out
    "$bin" serve --port 0 --store store "$@" >out 2>err &
    pid=$!
    pids+=("$pid")
    for _ in $(seq 2400); do
        [ -s out ] && break
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.05
    done
    url=$(awk '{ print $NF }' out)
    port=${url##*:}
    port=${port%%/*}
}

stop() { # signal; sets code
    kill "-$1" "$pid"
    code=0
    wait "$pid" || code=$?
}

# One request by hand: there may be no curl. Prints the status line and the body's last line.
get() { # path, header lines...
    local path=$1
    shift
    exec 3<>"/dev/tcp/127.0.0.1/$port"
    printf 'GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n' "$path" >&3
    for h in "$@"; do printf '%s\r\n' "$h" >&3; done
    printf '\r\n' >&3
    tr -d '\r\0' <&3 | sed -n '1p;$p'
    exec 3<&- 3>&-
}

# ---------------------------------------------------------------------------- start, answer, stop
start
check "the address is one line" "$(cat out)" 'tubelet is at http://127.0.0.1:*/'
check "the first page is there" "$(get / 'Accept-Encoding: gzip' 2>/dev/null | head -1)" 'HTTP/1.1 200 OK'
check "its own API answers" "$(get /api/tubelet/info | head -1)" 'HTTP/1.1 200 OK'
check "ComfyUI's API answers" "$(get /queue)" '*{"queue_running":\[\],"queue_pending":\[\]}*'
check "folders are made" "$(ls -d input output temp | xargs)" 'input output temp'
set +e
second=$("$bin" serve --port "$port" --store store2 2>&1 >/dev/null)
code=$?
set -e
check "a taken port is said" "$code $second" "1 *port $port is taken, perhaps by another tubelet: stop that program, or choose another port (--port 0 finds a free one)"
stop TERM
check "SIGTERM stops it" "$code" 0
check "it says what goes on" "$(cat err)" 'Stopping; a run that is under way goes on with the next start.'

# ------------------------------------------------------------------------------- the temp folder
touch temp/left input/kept
start
check "temp is emptied" "$(ls temp)" ''
check "input is not" "$(ls input)" kept
stop INT
check "Ctrl+C stops it" "$code" 0
mkdir -p mine/temp && touch mine/temp/precious
start --base mine
check "a temp folder of the user's keeps what it has" "$(ls mine/temp)" precious
stop TERM

# ------------------------------------------------------------------------------ beyond this machine
start --listen 0.0.0.0
check "beyond loopback the address carries a token" "$url" 'http://*:*/?token=????????????????????????????????'
token=${url##*token=}
check "without it nothing is done" "$(get /queue | head -1)" 'HTTP/1.1 401 Unauthorized'
check "with it" "$(get "/queue?token=$token" | head -1)" 'HTTP/1.1 200 OK'
check "or as a header" "$(get /queue "Authorization: Bearer $token" | head -1)" 'HTTP/1.1 200 OK'
stop TERM

# ---------------------------------------------------------------------------------- wrong options
fails() { # arguments
    set +e
    "$bin" serve --port 0 --store store "$@" 2>&1 >/dev/null | grep -v "^See"
    set -e
}
check "an address that is none" "$(fails --listen elsewhere)" "*'elsewhere' is no address to listen on: 127.0.0.1 for this machine, 0.0.0.0 for all that reach it"
check "an address of another machine" "$(fails --listen 192.0.2.1)" '*192.0.2.1 is no address of this machine'
check "a folder that is not there" "$(fails --base nowhere)" '*there is no folder nowhere'
check "graphs that are not there" "$(fails --graphs nowhere)" '*there is no folder nowhere'
check "a folder without the editor" "$(fails --web-dir input)" "*there is no index.html in input: build the editor into it with 'node web/build.mjs DIR'"
check "a port that is none" "$(fails --port 70000)" '*--port*0..65535*70000*'

[ "$failures" -eq 0 ] || { echo "test_serve: $failures checks failed" >&2; exit 1; }
