#!/usr/bin/env bash
# test_cli.sh - the program as its users meet it: help, wrong command lines with their exact sentences, exit
# codes, runs, plans, Ctrl+C, kill -9 and resume, graphs in other forms.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

. tests/shell.sh
cd "$root"
export LSAN_OPTIONS=${LSAN_OPTIONS-suppressions=tests/lsan.supp:print_suppressions=0}

# The whole of stderr (or stdout).
says() {
    [ "$(cat "$err")" = "$1" ] || fail "stderr is"$'\n'"  $(cat "$err")"$'\n'"wanted"$'\n'"  $1"
}
prints() {
    [ "$(cat "$out")" = "$1" ] || fail "stdout is"$'\n'"  $(cat "$out")"$'\n'"wanted"$'\n'"  $1"
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
    has "$err" 'the workflow holds no node that could run'
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
json lua dot svg
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

# ------------------------------------------------------------------------- graphs and runs

# A video by the bundled model, small enough to be made in a second or two.
cat >"$work/video.lua" <<'LUA'
local tb = require "tubelet"
return tb.graph {
  doc = "A test video.",
  params = {
    prompt = tb.string { default = "a small blue cube", doc = "What to show." },
    steps  = tb.int { default = 3, min = 1, max = 500, doc = "Denoising steps." },
    cfg    = tb.float { default = 3.0, min = 0, max = 30 },
    loud   = tb.bool { default = false },
    store  = tb.string { default = "x", doc = "Hidden by an option of run." },
    out    = tb.path { default = "out.mp4" },
  },
  build = function(p)
    local m = tb.load_model { path = "examples/tiny" }
    local x = tb.noise_init { model = m.model, seed = p.loud and 2 or 1, size = "32x32", frames = 5 }
    local z = tb.sample { model = m.model, latent = x, steps = p.steps, cfg = p.cfg,
                          positive = tb.text_encode { id = "positive", clip = m.clip, text = p.prompt },
                          negative = tb.text_encode { id = "negative", clip = m.clip, text = "" } }
    return tb.mux { video = tb.vae_decode { vae = m.vae, latent = z }, path = p.out, fps = 8 }
  end,
}
LUA

cat >"$work/wrong.json" <<'JSON'
{ "m": { "class_type": "load_model", "inputs": { "path": "examples/tiny" } },
  "x": { "class_type": "noise_init", "inputs": { "model": ["m", 0], "frames": 0, "sise": "64x64" } },
  "s": { "class_type": "sampel", "inputs": {} },
  "d": { "class_type": "vae_decode", "inputs": { "vae": ["m", 0], "latent": ["x", 4] } } }
JSON

# Wait until a file has n lines that match; false when the process is over before.
wait_for() { # pid, n, pattern, file
    local found
    while kill -0 "$1" 2>/dev/null; do
        found=$(grep -cE "$3" "$4" 2>/dev/null) || true # the file may not be there yet
        [ "${found:-0}" -lt "$2" ] || return 0
        sleep 0.01
    done
    return 1
}

test_all_errors_of_a_graph() {
    expect 20 run "$work/wrong.json"
    says "node 'x' (noise_init): frames must be 1..100000, got 0
node 'x' (noise_init): there is no input 'sise'; did you mean 'size'?
node 's': unknown node type 'sampel'; did you mean 'sample'?
node 'd' (vae_decode): vae must be VAE, got MODEL from output 'model' of node 'm' (load_model)
node 'd' (vae_decode): latent is linked to output 4 of node 'x' (noise_init), which has 1 output"
    prints ""
    expect 20 plan "$work/wrong.json" --json
    [ "$(grep -c '^{"event":"error",.*}$' "$out")" -eq 5 ] || fail "not five errors: $(cat "$out")"
}

test_parameters_of_a_graph() {
    expect 0 run "$work/video.lua" --help
    has "$out" "A test video."
    has "$out" "  --steps INT      Denoising steps. [1..500; default 3]"
    has "$out" "  --no-cache "
    expect 2 run "$work/video.lua" --stesp 4
    has "$err" "unknown option '--stesp', did you mean '--steps'?"
    expect 20 plan "$work/video.lua" --steps 0
    has "$err" "steps must be 1..500, got 0"
    expect 20 plan "$work/video.lua" --param spets=3
    has "$err" "spets"
    expect 2 plan "$work/video.lua" --param spets
    has "$err" "--param must be NAME=VALUE, got 'spets'"
    expect 2 plan "$work/video.lua" --loud=yes
    has "$err" "--loud must be true or false, got 'yes'"
    expect 0 graph "$work/video.lua" --loud --param store=y --prompt "a cone"
    has "$out" '"seed": 2'
    has "$out" '"text": "a cone"'
    expect 0 graph "$work/video.lua" --no-loud
    has "$out" '"seed": 1'
    expect 2 plan "$work/wrong.json" --param steps=3
    has "$err" "has no parameters; change an input with --set NODE.INPUT=VALUE"
}

test_set_changes_inputs() {
    expect 20 run "$work/video.lua" --set nose_init.seed=4
    says "tubelet: --set: the graph has no node 'nose_init', did you mean 'noise_init'?"
    expect 20 run "$work/video.lua" --set noise_init.sead=4
    says "tubelet: --set: node 'noise_init' (noise_init) has no input 'sead', did you mean 'seed'?"
    expect 2 run "$work/video.lua" --set noise_init.seed
    has "$err" "--set must be NODE.INPUT=VALUE, got 'noise_init.seed'"
    expect 20 run "$work/video.lua" --set noise_init.seed=many
    has "$err" "seed must be an integer, got 'many'"
    expect 0 graph "$work/video.lua" --set positive.text=12 --set noise_init.frames=9
    has "$out" '"text": "12"'
    has "$out" '"frames": 9'
}

test_plan_then_run_then_plan() {
    expect 0 plan "$work/video.lua" --out "$work/p.mp4"
    grep -qE '^[0-9]+ of [0-9]+ nodes will run, more than [0-9.]+ m?s, peak [0-9.]+ [KM]iB\.$' "$out" || fail "$(head -n 1 "$out")"
    grep -qE '^  sample \([0-9]+ nodes\)  ' "$out" || fail "no folded scope in the plan"
    expect 0 plan "$work/video.lua" --all
    grep -qE '^  sample/step_00/cond +dit_step ' "$out" || fail "no single steps with --all"
    expect 0 run "$work/video.lua" --out "$work/p.mp4"
    prints "$work/p.mp4"
    grep -qE '^0 of [0-9]+ nodes cached, ' "$err" || fail "$(tail -n 1 "$err")"
    expect 0 plan "$work/video.lua" --out "$work/p.mp4"
    has "$out" "Everything is stored already; nothing will run."
    cp "$work/p.mp4" "$work/first.mp4"
    expect 0 run "$work/video.lua" --out "$work/p.mp4"
    cmp -s "$work/p.mp4" "$work/first.mp4" || fail "a cached run gave other bytes"
    expect 0 plan "$work/video.lua" --prompt "a red ball"
    grep -qE '(about|more than) [0-9.]+ s' "$out" || fail "no time from earlier runs: $(head -n 1 "$out")"
}

test_compute_modes() {
    expect 2 run "$work/video.lua" --compute int4
    has "$err" "int4"
    expect 0 run "$work/video.lua" --out "$work/m.mp4"
    expect 0 plan "$work/video.lua" --out "$work/m.mp4" --compute int8
    ! grep -q 'Everything is stored already' "$out" || fail "int8 takes results of f32"
    expect 0 run "$work/video.lua" --out "$work/m8.mp4" --compute int8
    # beside the texts the noise, where a busy machine made it worth keeping
    grep -qE '^[23] of [0-9]+ nodes cached, ' "$err" || fail "the two texts only are those of f32: $(tail -n 1 "$err")"
    expect 0 plan "$work/video.lua" --out "$work/m8.mp4" --compute int8
    has "$out" "Everything is stored already; nothing will run."
    expect 0 plan "$work/video.lua" --out "$work/m.mp4"
    has "$out" "Everything is stored already; nothing will run."
}

test_model_compare() {
    rm -f "$work/video.mp4"
    expect 0 model compare "$work/video.lua" --out "$work/never.mp4" --steps 3
    [ "$(grep -cE '^sample/step_0[0-9][a-z/]* +0\.0[0-9]+$' "$out")" -eq 3 ] || fail "$(cat "$out")"
    grep -qE '^vae_decode: relative error 0\.[0-9]+, PSNR [0-9.]+ dB: [a-z].*\.$' "$out" || fail "$(cat "$out")"
    [ ! -e "$work/never.mp4" ] || fail "model compare writes files"
    [ ! -s "$err" ] || fail "$(cat "$err")"
    expect 0 model compare "$work/video.lua" --steps 2 --json
    has "$out" '"psnr_db"'
    expect 0 model compare --help
    has "$out" "tubelet model compare GRAPH"
    expect 2 model compare
    has "$err" "name a graph"
    expect 20 model compare "$work/video.lua" --set noise_init.sead=4
    has "$err" "did you mean 'seed'"
    echo 'local tb = require "tubelet" return tb.graph { build = function() return tb.math_number { a = 1, b = 2 } end }' >"$work/sum.lua"
    expect 20 model compare "$work/sum.lua"
    has "$err" "the graph samples nothing that could be compared"
}

test_model_verify() {
    cp -r examples/tiny "$work/model"
    (cd "$work/model" && find . -name '*.safetensors' -exec sha256sum {} + >SHA256SUMS)
    expect 0 model verify "$work/model"
    grep -qE '^  transformer/model\.safetensors +[0-9.]+ MiB +231  fine +matches  [0-9a-f]{64}$' "$out" || fail "$(cat "$out")"
    grep -qE '^All is well: 4 of 10 files are what is on record of them, of 6 nothing is on record\.$' "$out" || fail "$(tail -n 2 "$out")"
    [ ! -s "$err" ] || fail "$(cat "$err")"
    printf 'X' | dd of="$work/model/vae/model.safetensors" bs=1 seek=5000000 conv=notrunc 2>/dev/null
    rm "$work/model/tokenizer/tokenizer.json"
    expect 20 model verify "$work/model"
    grep -qE '^  vae/model\.safetensors .* DIFFERS  [0-9a-f]{64}$' "$out" || fail "$(cat "$out")"
    has "$out" "vae/model.safetensors' differs from what was published: its hash is "
    has "$out" "missing     tokenizer"
    has "$out" "Not well: 1 of the lines above says what is wrong."
    expect 20 model verify "$work/model" --json
    has "$out" '"content": "differs"'
    expect 2 model verify
    has "$err" "name a model: tubelet model verify PATH"
    expect 20 model verify "$work/nowhere"
    says "tubelet: there is no model '$work/nowhere': neither a folder nor a file of that name"
    expect 0 model verify --help
    has "$out" "tubelet model verify PATH"
}

test_until_prints_values() {
    expect 0 run "$work/video.lua" --until vae_decode
    prints "vae_decode.image = F32 [5,32,32,3]"
    expect 20 run "$work/video.lua" --until nowhere
    has "$err" "there is no node 'nowhere' to run until"
}

test_json_lines() {
    expect 0 run "$work/video.lua" --out "$work/j.mp4" --no-cache --json
    ! grep -qv '^{"event":".*}$' "$out" || fail "not one object a line: $(grep -v '^{"event":' "$out" | head -n 3)"
    head -n 1 "$out" | grep -q '"event":"planned"' || fail "does not begin with the plan"
    tail -n 1 "$out" | grep -q '"event":"end","status":"ok"' || fail "does not end with the end"
    has "$out" "\"event\":\"delivered\",\"node\":\"mux\",\"type\":\"mux\",\"path\":\"$work/j.mp4\",\"kind\":\"video\""
    [ ! -s "$err" ] || fail "--json says on stderr: $(cat "$err")"
}

test_graphs_in_other_forms() {
    expect 0 graph "$work/video.lua" --as json
    cp "$out" "$work/api.json"
    expect 0 graph "$work/video.lua" --as json --expanded
    ! grep -q '"class_type": "sample"' "$out" || fail "a composite is left by --expanded"
    has "$out" '"sample/step_02/step"'
    cp "$out" "$work/expanded.json"
    expect 0 graph "$work/api.json" --as lua
    cp "$out" "$work/saved.lua"
    expect 0 graph "$work/saved.lua" --as lua
    cmp -s "$out" "$work/saved.lua" || fail "Lua to document to Lua changes the file"
    expect 0 run "$work/video.lua" --out "$work/f.mp4"
    for form in api.json expanded.json saved.lua; do
        expect 0 plan "$work/$form"
        has "$out" "Everything is stored already"
    done
    expect 0 graph "$work/api.json" --as dot
    has "$out" '"sample" -> "vae_decode" [label="latent"];'
    expect 0 graph "$work/expanded.json" --as svg --depth 1
    has "$out" '<svg xmlns="http://www.w3.org/2000/svg"'
    [ "$(grep -c '^<g>' "$out")" -eq 7 ] || fail "the folded picture has $(grep -c '^<g>' "$out") boxes, not 7"
    [ "$(tail -n 1 "$out")" = "</svg>" ] || fail "the picture has no end"
    expect 2 graph "$work/api.json" --as png
    has "$err" "--as must be one of json|lua|dot|svg, got 'png'"
}

test_a_video_is_its_graph() {
    expect 0 run "$work/video.lua" --out "$work/v.mp4" --prompt "a green cone"
    expect 0 graph "$work/v.mp4" --as json
    has "$out" '"text": "a green cone"'
    expect 0 run "$work/v.mp4" --set mux.path="$work/again.mp4"
    prints "$work/again.mp4"
    has "$err" "nodes cached"
    expect 0 preview "$work/again.mp4" --width 60 --frames 3
    cp "$out" "$work/frames"
    expect 0 preview "$work/v.mp4" --width 60 --frames 3
    cmp -s "$out" "$work/frames" || fail "the video's own graph gave another video"
    [ "$(wc -l <"$out")" -eq 10 ] || fail "the preview has $(wc -l <"$out") lines, not 10"
    ! grep -q $'\033' "$out" || fail "colour without a terminal"
    expect 0 preview "$work/v.mp4" --width 60 --color always
    has "$out" "▀"
    expect 20 preview "$work/video.lua"
}

test_killed_runs_resume() {
    local steps=60 ran
    expect 0 run "$work/video.lua" --steps $steps --out "$work/killed.mp4" --store "$work/whole"
    mv "$work/killed.mp4" "$work/whole.mp4"
    "$bin" run "$work/video.lua" --steps $steps --out "$work/killed.mp4" --json >"$work/events" 2>&1 &
    local pid=$!
    wait_for $pid 3 '"stored","node":"sample/step_[0-9]*/step"' "$work/events" || fail "no step was stored"
    kill -KILL $pid && wait $pid 2>/dev/null || true
    [ ! -e "$work/killed.mp4" ] || fail "the run was over before it was killed"
    expect 0 runs
    grep -qE '^ *[0-9]+  interrupted ' "$out" || fail "not shown as interrupted: $(head -n 2 "$out")"
    expect 0 resume --json
    ran=$(grep -c '"event":"finished".*/step"' "$out" || true)
    [ "$ran" -le $((steps - 3)) ] || fail "$ran of $steps steps ran again"
    cmp -s "$work/whole.mp4" "$work/killed.mp4" || fail "a resumed run gave other bytes"
    expect 20 resume
    says "tubelet: every run in the store is finished; there is nothing to resume"
    expect 20 resume 9999
    says "tubelet: there is no run 9999; 'tubelet runs' lists them"
}

test_resume_keeps_the_mode() {
    local steps=30 ran id
    expect 0 run "$work/video.lua" --steps $steps --prompt mode --out "$work/mode.mp4" --compute int8 --store "$work/whole8"
    mv "$work/mode.mp4" "$work/whole8.mp4"
    "$bin" run "$work/video.lua" --steps $steps --prompt mode --out "$work/mode.mp4" --compute int8 --json >"$work/events" 2>&1 &
    local pid=$!
    wait_for $pid 3 '"stored","node":"sample/step_[0-9]*/step"' "$work/events" || fail "no step was stored"
    kill -KILL $pid && wait $pid 2>/dev/null || true
    expect 0 runs --limit 1
    id=$(sed -n '2s/^ *\([0-9]*\) .*/\1/p' "$out")
    expect 0 resume --json
    ! grep -q 'was computed as' "$err" || fail "$(cat "$err")"
    ran=$(grep -c '"event":"finished".*/step"' "$out" || true)
    [ "$ran" -le $((steps - 3)) ] || fail "$ran of $steps steps ran again"
    cmp -s "$work/whole8.mp4" "$work/mode.mp4" || fail "a run in int8 that was resumed gave other bytes"
    expect 0 resume "$id" --compute f32 --json
    grep -qE "^Run $id was computed as cpu-int8/[a-z0-9]+/[0-9]+, this goes on as cpu-f32/[a-z0-9]+/[0-9]+: results of the two are kept apart, so its finished steps are computed again\.$" "$err" || fail "$(cat "$err")"
    [ "$(grep -c '"event":"finished".*/step"' "$out")" -eq $steps ] || fail "f32 takes steps of int8"
    expect 20 resume
}

test_interrupts() {
    "$bin" run "$work/video.lua" --steps 400 --prompt stop --out "$work/i.mp4" >"$out" 2>"$err" &
    local pid=$!
    wait_for $pid 1 'will run' "$err" || fail "the run was over before Ctrl+C"
    kill -INT $pid
    code=0
    wait $pid || code=$?
    [ "$code" -eq 130 ] || fail "Ctrl+C ends with $code, not 130"
    has "$err" "Stopping; what is finished is kept. Press Ctrl+C again to stop at once."
    grep -qE "finished nodes are stored; 'tubelet resume [0-9]+' goes on from there\.$" "$err" || fail "$(tail -n 1 "$err")"
    expect 0 runs --limit 1 --json
    has "$out" '"status": "canceled"'
}

# Both signals wait while the process stands still, so the second comes before the first is done with.
test_second_signal_ends_at_once() {
    "$bin" run "$work/video.lua" --steps 400 --out "$work/t.mp4" >"$out" 2>"$err" &
    local pid=$!
    wait_for $pid 1 'will run' "$err" || fail "the run was over before Ctrl+C"
    kill -STOP $pid
    kill -INT $pid
    kill -TERM $pid
    kill -CONT $pid
    code=0
    wait $pid || code=$?
    [ "$code" -eq 130 ] || fail "two signals end with $code, not 130"
    has "$err" "Stopped at once; what was stored is kept."
    expect 0 runs --json
    has "$out" '"status": "interrupted"'
}

test_live_bar_on_a_terminal() {
    command -v script >/dev/null || { echo "skip live bar: no script(1)"; return 0; }
    script -qec "$bin run $work/video.lua --steps 60 --out $work/b.mp4" /dev/null >"$out" </dev/null
    sed 's/\r$//' <"$out" | tr '\r' '\n' >"$work/lines"
    grep -qE '^sample  step [0-9]+/60 .*[━#]+ +[0-9]+ %' "$work/lines" || fail "no bar: $(head -n 5 "$work/lines")"
    ! grep -qE $'\033\\[[0-9]*m' "$out" || fail "colour in spite of NO_COLOR"
    tail -n 1 "$work/lines" | sed 's/\x1b\[K//g' | grep -qE '^0 of [0-9]+ nodes cached' ||
        fail "the bar is left behind: $(tail -n 1 "$work/lines")"
}

test_memory_limit() {
    expect 30 run "$work/video.lua" --memory 1M --out "$work/m.mp4"
    has "$err" "but 1.0 MiB can be used; choose a smaller size or fewer frames"
    expect 2 run "$work/video.lua" --memory much
    has "$err" "--memory must be a size such as 500M or 2G, got 'much'"
}

test_unusable_store() {
    expect 40 run "$work/video.lua" --store /dev/null/nowhere
    has "$err" "/dev/null/nowhere"
    expect 40 cache verify --store /dev/null/nowhere
}

# ---------------------------------------------------------------------- looking at things

test_cache() {
    expect 0 run "$work/video.lua" --out "$work/c.mp4"
    expect 0 cache ls --limit 3
    local key
    key=$(awk 'NR == 2 { print $1 }' "$out")
    expect 0 cache show "$key"
    has "$out" "key      $key"
    expect 0 cache pin "$key"
    prints "$key is pinned: it is never evicted."
    expect 0 cache show "$key" --json
    has "$out" '"pinned": true'
    expect 0 cache gc --to 0
    expect 0 cache ls
    grep -qE "^$key .*pinned" "$out" || fail "gc took a pinned result"
    expect 0 cache unpin "$key"
    expect 0 cache verify
    grep -qE '^[0-9]+ checked, 0 corrupt, 0 missing: the store is sound\.$' "$out" || fail "$(cat "$out")"
    expect 20 cache show zz
}

test_nodes_models_doctor() {
    expect 0 nodes
    grep -qE '^sampling$' "$out" || fail "no category"
    grep -qE '^  sample +[A-Z].*\.' "$out" || fail "no line for sample"
    expect 0 nodes sample
    grep -qE '^  steps +INT +20 +1\.\.1000 +Denoising steps\.' "$out" || fail "no input row: $(cat "$out")"
    expect 0 nodes sample --json
    has "$out" '"name": "sample"'
    expect 0 nodes math_number --markdown
    has "$out" '| `op` | COMBO | "add" | add \| subtract \| multiply'
    has "$out" '| `number` | INT,FLOAT | | INT if a and b are, except for divide and power. |'
    expect 2 nodes --json --markdown
    says "tubelet nodes: --json and --markdown are two forms; choose one
See 'tubelet nodes --help'."
    expect 20 nodes sampel
    says "tubelet: there is no node 'sampel', did you mean 'sample'?"
    expect 0 model show examples/tiny
    grep -qE '^  transformer +5\.17 M +F16 ' "$out" || fail "$(cat "$out")"
    expect 0 model show examples/tiny --json
    expect 0 model show examples/tiny --size 64x64 --frames 17 --steps 4
    has "$out" "64x64, 17 frames, 4 steps with guidance:"
    has "$out" "5.78 GFLOP"
    expect 0 model show examples/tiny --size 64x64 --frames 17 --steps 4 --no-guidance
    has "$out" "2.89 GFLOP"
    expect 20 model show examples/tiny --size 60x64
    has "$err" "width and height must be multiples of 16, got 60x64"
    expect 20 model show examples/tiny --size 64x64 --frames 16
    has "$err" "frames must be 4k + 1, got 16"
    expect 2 model show examples/tiny --size large
    has "$err" "--size must be WIDTHxHEIGHT, as 832x480, got 'large'"
    expect 20 model show "$work"
    expect 0 doctor
    has "$out" "All is well."
    grep -qE '^ok   core type ' "$out" || fail "doctor does not name the core type"
    expect 1 doctor --store /dev/null/nowhere
    grep -qE '^BAD  store ' "$out" || fail "doctor likes a store that cannot be"
}

tests=$(declare -F | sed -n 's/^declare -f test_/test_/p')
for t in $tests; do
    before=$failures
    export TUBELET_STORE=$work/store_$t
    $t
    [ "$failures" -eq "$before" ] && echo "ok   $t" || echo "FAIL $t"
done
[ "$failures" -eq 0 ]
