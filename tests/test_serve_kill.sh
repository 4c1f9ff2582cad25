#!/usr/bin/env bash
# test_serve_kill.sh - kill -9 the server with one prompt running and five pending, then Ctrl+C in the middle of
# the rest: all six finish, in order, and the one that ran goes on from the step it had reached. Then the same with
# three at once, killed again while it starts, and a model that has vanished meanwhile.
set -u
cd "$(dirname "$0")/.." || exit 1
. tests/shell.sh
store=$work/store
server=

spawn() { # further options
    : > "$work/url"
    "$bin" serve --port 0 --base "$work" --store "$store" "$@" > "$work/url" 2> "$work/serve.log" &
    server=$!
}

start() { # further options
    spawn "$@"
    for _ in $(seq 2400); do
        url=$(sed -n 's|^tubelet is at \(http://[^ ]*\)/$|\1|p' "$work/url")
        [ -n "$url" ] && return
        kill -0 "$server" || break
        sleep 0.05
    done
    echo "the server did not start: $(cat "$work/serve.log")" >&2
    exit 1
}

stop() { # signal
    kill -"$1" "$server"
    wait "$server" 2> "$work/killed"
    server=
}

# shell.sh removes the folder; nothing of ours may outlive it.
trap '[ -n "$server" ] && kill -9 "$server"; rm -rf "$work"' EXIT

queue() { # id, steps, seed, frames, further parameters
    "$bin" graph "$root/graphs/text_to_video.lua" --as json -p steps="$2" -p seed="$3" -p frames="$4" -p out="$1.mp4" "${@:5}" > "$work/graph" ||
        fail "tubelet graph"
    printf '{"prompt_id":"%s","prompt":%s}' "$1" "$(cat "$work/graph")" |
        curl -sf -o "$work/answer" --data-binary @- "$url/prompt" || fail "POST /prompt of $1: $(cat "$work/answer")"
}

get() { curl -sf "$url$1"; }

# The ids in one list of the queue, in order.
ids_of() { get /queue | grep -oE "\"$1\": ?\[.*" | sed 's/, *"queue_pending".*//' | grep -oE '"(job[0-9])"' | tr -d '"' | uniq; }

# Steps of the newest run that are in the store.
stored() {
    sqlite3 "$store/runs.db" "SELECT count(*) FROM run_node WHERE state='stored' AND node LIKE 'sample/step_%/step' AND run=$1"
}
newest_run() { sqlite3 "$store/runs.db" "SELECT coalesce(max(id),0) FROM run"; }

# Nothing runs until six prompts wait behind a long one, which is then stopped.
queue_six() { # steps of the first
    local held
    queue hold 1000 7 33
    wait_for_steps 1
    queue job1 "$1" 1 17
    for i in 2 3 4 5 6; do queue job$i 1 $i 1; done
    held=$(newest_run)
    curl -sf -o "$work/answer" -d '{"prompt_id":"hold"}' "$url/interrupt" || fail "POST /interrupt"
    for _ in $(seq 6000); do
        [ "$(newest_run)" -gt "$held" ] && return
        sleep 0.02
    done
    fail "the first prompt did not begin"
}

wait_for_steps() { # at least so many in the newest run
    for _ in $(seq 6000); do
        [ "$(stored "$(newest_run)")" -ge "$1" ] && return
        sleep 0.02
    done
    fail "the first prompt did not reach step $1"
}

ended() { get /history | grep -oE '"job[0-9]": ?\{' | grep -oE 'job[0-9]'; }

# Steps that take about three seconds on this machine and build: the first prompt is killed after the third.
steps_for_seconds() {
    local began ms
    began=$(date +%s%N)
    "$bin" run "$root/graphs/text_to_video.lua" --steps 10 --out "$work/measure.mp4" --store "$work/measure" 2> "$err" >"$out" ||
        fail "tubelet run"
    ms=$((($(date +%s%N) - began) / 1000000))
    steps=$((3000 * 10 / (ms + 1)))
    [ $steps -ge 12 ] || steps=12
    [ $steps -le 1000 ] || steps=1000
}

wait_for_six() {
    for _ in $(seq 3000); do
        [ "$(ended | wc -l)" = 6 ] && return
        sleep 0.1
    done
    fail "six prompts did not end: $(get /queue | head -c 2000)"
}

test_three_at_once_survive() {
    local i twice steps=20
    store=$work/store_three
    mkdir -p "$work/models"
    cp -r "$tiny" "$work/models/gone"
    start --runs-at-once 3
    for i in 1 2 3; do queue job$i $steps $((10 + i)) 1; done
    queue job4 $steps 14 1 -p model="$work/models/gone"
    for i in 5 6; do queue job$i 2 $((10 + i)) 1; done
    wait_for_steps 2
    stop KILL
    rm -r "$work/models/gone"
    for i in 0.005 0.02 0.05 0.15; do # while it starts, and soon after
        spawn --runs-at-once 3
        sleep $i
        stop KILL
    done

    start --runs-at-once 3
    wait_for_six
    [ "$(get /history | grep -oE '"status_str": ?"success"' | wc -l)" = 5 ] || fail "five should succeed: $(get /history)"
    get /history/job4 > "$out"
    grep -qF "models/gone" "$out" || fail "the model that is gone is not named: $(cat "$out")"
    for i in 1 2 3 5 6; do
        [ -s "$work/output/job$i.mp4" ] || fail "job$i.mp4 is missing"
    done
    stop TERM
    twice=$(sqlite3 "$store/runs.db" "SELECT count(*) FROM (SELECT key FROM run_node WHERE state='stored' AND node LIKE
        'sample/step_%/step' GROUP BY key HAVING count(*)>1)")
    [ "$twice" = 0 ] || fail "$twice steps were computed twice"
    rm -f "$work"/output/job*.mp4
}

test_six_prompts_survive() {
    local steps
    store=$work/store
    steps_for_seconds
    start
    queue_six $steps
    wait_for_steps 3
    stop KILL
    local first kept
    first=$(newest_run)
    kept=$(stored "$first")
    [ "$kept" -lt $steps ] || fail "the first prompt was over before the server was killed"

    start
    [ "$(get /prompt | grep -oE '[0-9]+')" = 6 ] || fail "six prompts should be left: $(get /prompt)"
    wait_for_steps 1
    stop INT
    grep -q "goes on with the next start" "$work/serve.log" || fail "the server does not say that the run goes on"

    start
    wait_for_six
    [ "$(ended | tr '\n' ' ')" = "job1 job2 job3 job4 job5 job6 " ] || fail "ended in the order $(ended | tr '\n' ' ')"
    [ "$(get /history | grep -oE '"status_str": ?"success"' | wc -l)" = 6 ] || fail "not all prompts succeeded: $(get /history)"
    for i in 1 2 3 4 5 6; do
        [ -s "$work/output/job$i.mp4" ] || fail "job$i.mp4 is missing"
    done
    stop TERM

    # no step of the first prompt was computed twice
    local again
    again=$(sqlite3 "$store/runs.db" "SELECT count(*) FROM (SELECT node FROM run_node WHERE state='stored' AND node LIKE
        'sample/step_%/step' AND run BETWEEN $first AND (SELECT run FROM prompt WHERE id='job1') GROUP BY node HAVING count(*)>1)")
    [ "$again" = 0 ] || fail "$again steps were computed twice"
    echo "killed after $kept of $steps steps"
}

run_tests
