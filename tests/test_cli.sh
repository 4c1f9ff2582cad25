#!/usr/bin/env bash
# test_cli.sh - the program as its users meet it: help, wrong command lines with their exact sentences, exit
# codes, runs, plans, Ctrl+C, kill -9 and resume, graphs in other forms.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

bin=${TUBELET_BIN:-$PWD/build/debug/tubelet}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export TUBELET_STORE=$work/store NO_COLOR=1 LC_ALL=C.UTF-8
out=$work/out err=$work/err
failures=0

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

# The whole of stderr (or stdout).
says() {
    [ "$(cat "$err")" = "$1" ] || fail "stderr is"$'\n'"  $(cat "$err")"$'\n'"wanted"$'\n'"  $1"
}
prints() {
    [ "$(cat "$out")" = "$1" ] || fail "stdout is"$'\n'"  $(cat "$out")"$'\n'"wanted"$'\n'"  $1"
}
has() { # file, fixed text
    grep -qF -- "$2" "$1" || fail "missing: $2"$'\n'"in: $(head -n 30 "$1")"
}

test_help() {
    expect 0 --version
    grep -qxE 'tubelet [0-9]+\.[0-9]+\.[0-9]+' "$out" || fail "--version prints $(cat "$out")"
    expect 0 --help
    local commands command option
    mapfile -t commands < <(sed -n '/^Commands/,/^$/s/^  \([a-z]*\) .*/\1/p' "$out")
    [ ${#commands[@]} -ge 12 ] || fail "--help lists only ${commands[*]}"
    for command in "${commands[@]}"; do
        expect 0 "$command" --help
        has "$out" "  tubelet $command"
        [ "$(sed -n '/^Examples/,$p' "$out" | grep -c tubelet)" -eq 2 ] || fail "$command --help has not two examples"
        while read -r option; do
            grep -qE -- "--$option( |$)" "$out" || fail "$command --help does not show --$option"
        done < <("$bin" completion bash | sed -n "s/^ *$command) words='\(.*\)'.*/\1/p" | tr ' ' '\n' | sed 's/^--//')
    done
    ! grep -q $'\033' "$out" || fail "colour without a terminal"
    expect 0 help exit-codes
    for code in 0 1 2 20 30 40 130; do
        grep -qE "^ *$code  [a-z]" "$out" || fail "help exit-codes does not explain $code"
    done
}

test_wrong_command_lines() {
    expect 2 rnu
    says "tubelet: unknown command 'rnu', did you mean 'run'?
See 'tubelet --help'."
    expect 2 runs --jsn
    says "tubelet runs: unknown option '--jsn', did you mean '--json'?
See 'tubelet runs --help'."
    expect 2 runs --qqqqqqq
    says "tubelet runs: unknown option '--qqqqqqq'
See 'tubelet runs --help'."
    expect 2 run --steps 3
    has "$err" "unknown option '--steps'"
    expect 2 runs --limit
    says "tubelet runs: --limit needs a value: --limit N
See 'tubelet runs --help'."
    expect 2 runs --limit many
    says "tubelet runs: --limit must be a whole number 1..100000, got 'many'
See 'tubelet runs --help'."
    expect 2 runs --limit=0
    has "$err" "got '0'"
    expect 2 runs --json=yes
    says "tubelet runs: --json takes no value
See 'tubelet runs --help'."
    expect 2 runs now
    says "tubelet runs: 'now' is too much: runs takes only options
See 'tubelet runs --help'."
    expect 2 runs -x
    has "$err" "unknown option '-x'"
    expect 2 run
    says "tubelet run: name a graph: a .lua or .json file, or a video made by tubelet
See 'tubelet run --help'."
    expect 2 cache
    has "$err" "say what to do: one of ls|show|verify|gc|pin|unpin"
    expect 2 cache list
    has "$err" "cache takes one of ls|show|verify|gc|pin|unpin, got 'list'"
    expect 2 cache gc --to 2X
    has "$err" "--to must be a size such as 500M or 2G, got '2X'"
    expect 2 completion fish
    has "$err" "completion takes one of bash|zsh, got 'fish'"
    expect 2 model show
    has "$err" "name a model: tubelet model show PATH"
    expect 2 help me
    has "$err" "there is no command 'me'"
    expect 2 preview
    has "$err" "name a video or a picture"
}

test_files_that_are_no_graphs() {
    expect 20 run "$work/none.lua"
    says "tubelet: there is no file $work/none.lua; name a graph: a .lua or .json file, or a video made by tubelet"
    expect 20 run "$work"
    says "tubelet: $work is a folder; name a graph: a .lua or .json file, or a video made by tubelet"
    echo '{"1": {"inputs": {}}}' >"$work/bad.json"
    expect 20 run "$work/bad.json"
    has "$err" "bad.json is no graph: '1' has no \"class_type\""
    echo '{"nodes": [], "links": []}' >"$work/bad.json"
    expect 20 run "$work/bad.json"
    has "$err" "save it with 'Export (API)'"
    echo '{}' >"$work/bad.json"
    expect 20 run "$work/bad.json"
    has "$err" "holds no nodes"
    echo '{"1": ' >"$work/bad.json"
    expect 20 run "$work/bad.json"
    echo 'plain text' >"$work/bad.mp4"
    expect 20 graph "$work/bad.mp4"
}

test_completion() {
    "$bin" completion zsh >"$work/_tubelet"
    grep -q '^#compdef tubelet' "$work/_tubelet" || fail "zsh completion lacks #compdef"
    # shellcheck disable=SC2016
    PATH=$(dirname "$bin"):$PATH bash -c '
        set -eu
        source <("$0" completion bash)
        complete_words() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); _tubelet; echo "${COMPREPLY[*]}"; }
        complete_words tubelet res
        complete_words tubelet graph x.lua --as ""
        complete_words tubelet cache u
        complete_words tubelet runs --l' "$bin" >"$out"
    prints "resume
json dot svg
unpin
--limit"
}

test_empty_store() {
    expect 0 runs
    has "$out" "No runs yet"
    expect 20 resume
    expect 2 resume x
    has "$err" "RUN must be a whole number"
}

tests=$(declare -F | sed -n 's/^declare -f test_/test_/p')
for t in $tests; do
    before=$failures
    $t
    [ "$failures" -eq "$before" ] && echo "ok   $t" || echo "FAIL $t"
done
[ "$failures" -eq 0 ]
