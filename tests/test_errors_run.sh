#!/usr/bin/env bash
# test_errors_run.sh - what may befall a run from outside: full disks, stores that cannot be used or are damaged,
# Ctrl+C, a dead owner, two runs at once, moved and changed models, other threads, folders and locales.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
. tests/shell.sh

graph=$root/graphs/text_to_video.lua
small=(--steps 2 --frames 1)
mount_point=
trap '[ -z "$mount_point" ] || umount "$mount_point"; rm -rf "$work"' EXIT

# The video of an undisturbed run, against which the others are held.
"$bin" run "$graph" "${small[@]}" --store "$work/whole" >"$out" 2>"$err" || fail "the first run: $(cat "$err")"
mv out.mp4 whole.mp4

makes_the_video() { # arguments...
    rm -f out.mp4
    expect 0 run "$graph" "${small[@]}" "$@"
    cmp -s out.mp4 whole.mp4 || fail "another video: run $*"
}

nothing_half_written() {
    ! compgen -G '*.part*' >/dev/null || fail "half-written: $(ls)"
}

# A disk of 16 MB at ./disk; false when this user may not have one.
small_disk() {
    mkdir -p disk
    mount -t tmpfs -o size=16m none disk 2>/dev/null || return 1
    mount_point=$work/disk
}
fill_disk() {
    head -c 17m /dev/zero >disk/fill 2>/dev/null
}
drop_disk() {
    umount disk && mount_point=
}

test_full_disk() {
    if ! small_disk; then
        echo "no tmpfs for this user: file sizes are limited instead, see test_limit_on_file_sizes"
        return
    fi
    local store=$work/disk/store
    fill_disk
    makes_the_video --store "$store"
    says "tubelet: nothing of this run will be stored: the disk that holds the store '$store' is full; free some space, or set TUBELET_STORE to a folder on another disk"
    rm -rf disk/*
    makes_the_video --store "$store"
    fill_disk
    makes_the_video --store "$store"
    has "$err" "Everything is stored already; nothing will run."
    rm -f out.mp4
    expect 0 run "$graph" "${small[@]}" --seed 2 --store "$store"
    [ "$(grep -cE 'warning|nothing of this run' "$err")" -le 1 ] || fail "more than one warning: $(cat "$err")"
    rm -f disk/fill
    expect 0 cache verify --store "$store"
    makes_the_video --store "$store"
    has "$err" "Everything is stored already; nothing will run."
    fill_disk
    expect 30 run "$graph" "${small[@]}" --store "$work/elsewhere" --out disk/o.mp4
    has "$err" "$graph:30: node 'mux' (mux): cannot write '$work/disk/o.mp4': No space left on device"
    grep -qxE "[0-9]+ finished nodes are stored; 'tubelet resume 1' goes on from there\." "$err" || fail "$(cat "$err")"
    [ "$(ls disk)" = $'fill\nstore' ] || fail "left behind: $(ls disk)"
    rm -f disk/fill
    expect 0 resume --store "$work/elsewhere"
    [ -s disk/o.mp4 ] || fail "no video after there was room again"
    drop_disk
}

test_limit_on_file_sizes() {
    code=0
    (ulimit -f 2 && exec "$bin" run "$graph" "${small[@]}" --no-store --out big.mp4) >"$out" 2>"$err" || code=$?
    [ $code -eq 30 ] || fail "exit code $code, wanted 30"
    says "$graph:30: node 'mux' (mux): cannot write '$work/big.mp4': File too large"
    nothing_half_written
}

test_stores_that_cannot_be_used() {
    : >file
    expect 40 run "$graph" --store file
    says "tubelet: the store cannot be made: 'file' must be a folder, but a file is there; name another folder with --store or TUBELET_STORE"
    cp -r whole foreign # SQLite keeps the application's mark at byte 68, the format's number at 60
    printf 'else' | dd of=foreign/cache.db bs=1 seek=68 conv=notrunc status=none
    cp foreign/cache.db foreign.before
    expect 40 run "$graph" --store foreign
    says "tubelet: '$work/foreign/cache.db' is not a store of tubelet but another program's file; it was left as it is, choose another folder with TUBELET_STORE"
    cmp -s foreign/cache.db foreign.before || fail "another program's file was changed"
    cp -r whole newer
    printf '\x00\x00\x03\xe7' | dd of=newer/cache.db bs=1 seek=60 conv=notrunc status=none
    cp newer/cache.db newer.before
    expect 40 run "$graph" --store newer
    says "tubelet: '$work/newer/cache.db' was written by a newer tubelet (format 999, this one knows 1); use that version, or another folder with TUBELET_STORE"
    cmp -s newer/cache.db newer.before || fail "a newer store was changed"
}

test_damaged_stores() {
    cp -r whole damaged
    head -c 32768 /dev/zero | tr '\0' x | dd of=damaged/cache.db conv=notrunc status=none
    makes_the_video --store damaged
    grep -qxE "tubelet: the cache '$work/damaged/cache.db' was damaged; it is kept as '$work/damaged/cache.db.damaged-[0-9]+' and a new one was made" \
        "$err" || fail "$(cat "$err")"
    makes_the_video --store damaged
    has "$err" "Everything is stored already; nothing will run."
    head -c 32768 /dev/zero | tr '\0' x | dd of=damaged/runs.db conv=notrunc status=none
    expect 40 run "$graph" --store damaged
    says "tubelet: the run journal '$work/damaged/runs.db' is damaged; move it away to go on without the history of runs"
}

# A byte inside the stored video, found by the mark at the start of every MP4.
test_flipped_blob() {
    cp -r whole flipped
    local at
    at=$(grep -abo ftypisom flipped/cache.db | head -n 1 | cut -d: -f1)
    printf '\xff' | dd of=flipped/cache.db bs=1 seek=$((at + 400)) conv=notrunc status=none
    ! cmp -s flipped/cache.db whole/cache.db || fail "no byte was changed"
    makes_the_video --store flipped
    [ "$(grep -cxE 'tubelet: stored bytes [0-9a-f]{12} are damaged; the result is dropped and computed again' "$err")" -eq 1 ] ||
        fail "not reported once: $(cat "$err")"
    makes_the_video --store flipped
    ! grep -q damaged "$err" || fail "reported again: $(cat "$err")"
    expect 0 cache verify --store flipped
}

# Wait until a file has a line with this text; false when the process is over before.
wait_for() { # pid, text, file
    while kill -0 "$1" 2>/dev/null; do
        ! grep -qF -- "$2" "$3" || return 0
        sleep 0.02
    done
    return 1
}

start_long_run() { # store
    rm -f out.mp4
    "$bin" run "$graph" --steps 12 --frames 5 --store "$1" --json >"$out" 2>"$err" </dev/null &
    pid=$!
    wait_for $pid '"event":"stored","node":"sample/step_01/step"' "$out" || fail "the run was over too early"
}

test_stopped_runs_resume() {
    expect 0 run "$graph" --steps 12 --frames 5 --no-store
    mv out.mp4 long.mp4
    local signal want
    for signal in INT KILL; do
        start_long_run "stopped-$signal"
        kill -$signal $pid
        code=0
        wait $pid 2>/dev/null || code=$?
        [ $signal = KILL ] || [ $code -eq 130 ] || fail "exit code $code after Ctrl+C"
        [ ! -e out.mp4 ] || fail "a video of a run that was stopped"
        nothing_half_written
        [ $signal = KILL ] && want=interrupted || want=canceled
        expect 0 runs --store "stopped-$signal"
        grep -qE "^ *1  $want " "$out" || fail "not shown as $want: $(cat "$out")"
        expect 0 resume --store "stopped-$signal" --json
        ! grep -q '"event":"finished","node":"sample/step_0[01]/' "$out" || fail "a stored step ran again"
        cmp -s out.mp4 long.mp4 || fail "another video after $signal and resume"
    done
}

# As a terminal does it: the signal reaches all processes of the group, the Lua child among them.
test_ctrl_c_says_how_to_go_on() {
    set -m
    "$bin" run "$graph" --steps 40 --frames 5 --store group >"$out" 2>"$err" </dev/null &
    pid=$!
    set +m
    wait_for $pid 'will run' "$err" || fail "the run was over too early"
    kill -INT -- -$pid
    code=0
    wait $pid 2>/dev/null || code=$?
    [ $code -eq 130 ] || fail "exit code $code, wanted 130"
    has "$err" "Stopping; what is finished is kept. Press Ctrl+C again to stop at once."
    grep -qxE "Stopped after .*\. [0-9]+ finished nodes are stored; 'tubelet resume 1' goes on from there\." "$err" || fail "$(cat "$err")"
    ! grep -qE 'script|child' "$err" || fail "$(cat "$err")"
}

test_two_runs_with_one_store() {
    local i pids=()
    for i in 1 2; do
        mkdir "two$i"
        (cd "two$i" && exec "$bin" run "$graph" "${small[@]}" --store "$work/shared") >"two$i/log" 2>&1 </dev/null &
        pids+=($!)
    done
    for i in 1 2; do
        wait "${pids[i - 1]}" || fail "run $i: $(cat "two$i/log")"
        cmp -s "two$i/out.mp4" whole.mp4 || fail "run $i: another video"
        ! grep -qE '^(tubelet|warning):' "two$i/log" || fail "run $i: $(cat "two$i/log")"
    done
    expect 0 cache verify --store shared
}

# The graph inside the file names the model's folder, so the files themselves differ.
all_stored() { # model
    rm -f out.mp4
    expect 0 run "$graph" "${small[@]}" --store whole --model "$1"
    has "$err" "Everything is stored already; nothing will run."
    [ -s out.mp4 ] || fail "no video"
}

test_models_are_known_by_their_bytes() {
    cp -r "$tiny" model
    all_stored model
    mv model moved
    all_stored moved
    printf '\x01' | dd of=moved/vae/model.safetensors bs=1 seek=2000000 conv=notrunc status=none
    expect 0 plan "$graph" "${small[@]}" --store whole --model moved
    ! grep -q "Everything is stored" "$out" || fail "a changed weight was not noticed"
    mv moved model && cp "$tiny/vae/model.safetensors" model/vae/
    all_stored model
}

keys() { # words in front...
    "$@" "$bin" plan "$graph" "${small[@]}" --cfg 2.5 --json --store "$work/none" 2>"$err" | grep '"key"'
}

test_keys_know_no_threads_folder_or_locale() {
    makes_the_video --no-store --threads 1
    makes_the_video --no-store --threads 2
    keys >here
    [ -s here ] || fail "a plan without keys: $(cat "$err")"
    (cd / && keys) | cmp -s - here || fail "other keys in another folder"
    mkdir locale
    localedef -i de_DE -f UTF-8 locale/de_DE.UTF-8 2>/dev/null
    local comma=(env "LOCPATH=$work/locale" LC_ALL=de_DE.UTF-8)
    if [ "$("${comma[@]}" locale decimal_point 2>/dev/null)" = , ]; then
        keys "${comma[@]}" | cmp -s - here || fail "other keys with a decimal comma"
    else
        echo "skip the decimal comma: localedef made no de_DE.UTF-8"
    fi
}

run_tests
