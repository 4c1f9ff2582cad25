# shell.sh - what the tests that run the program share; sourced at the root of the tree.
#
# Everything is written below $work, which is gone afterwards. Sets bin, root, work, out and err.

bin=${TUBELET_BIN:-$PWD/build/debug/tubelet}
root=$PWD
tiny=$root/examples/tiny
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export XDG_CACHE_HOME=$work/cache NO_COLOR=1 LC_ALL=C.UTF-8
unset TUBELET_STORE
out=$work/stdout err=$work/stderr
failures=0
cd "$work" || exit 1

fail() {
    echo "$1" >&2
    failures=$((failures + 1))
}

# Run tubelet; its output is in $out and $err, its exit code in $code.
tubelet() {
    code=0
    "$bin" "$@" >"$out" 2>"$err" </dev/null || code=$?
}

expect() { # exit code, arguments...
    local want=$1
    shift
    tubelet "$@"
    [ "$code" -eq "$want" ] || fail "tubelet $*: exit code $code, wanted $want: $(tail -n 3 "$err")"
}

# The whole of stderr but for the sentence of the plan and the lines of progress.
says() {
    local got
    got=$(grep -vE '^[0-9]+ of [0-9]+ nodes (will run|cached)|^[a-z0-9_/]+  (step )?[0-9]' "$err")
    [ "$got" = "$1" ] || fail "stderr is"$'\n'"  $got"$'\n'"wanted"$'\n'"  $1"
}

has() { # file, fixed text
    grep -qF -- "$2" "$1" || fail "missing: $2"$'\n'"in: $(head -n 30 "$1")"
}

run_tests() {
    local t before
    for t in $(declare -F | sed -n 's/^declare -f test_/test_/p'); do
        before=$failures
        $t
        [ "$failures" -eq "$before" ] && echo "ok   $t" || echo "FAIL $t"
    done
    [ "$failures" -eq 0 ]
}
