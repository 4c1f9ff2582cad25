#!/usr/bin/env bash
# test_tree.sh - the folders depend on each other in one direction only:
#
#     cli, server, script -> run -> store, graph -> node.h ; nodes -> models -> compute, formats -> base
#
# Every #include is held against the tables below; a line that breaks one is printed as file:line with the
# reason for the rule.
set -euo pipefail
set -f # patterns below are for [[ == ]], not for files
cd "${1:-$(dirname "${BASH_SOURCE[0]}")/..}"

# Which of our headers, as paths below engine/, the files of a folder may include.
rules='
engine/base     base/*
engine/compute  base/* compute/*
engine/formats  base/* formats/* compute/tensor.h
engine/models   base/* compute/* formats/* models/*
engine/graph    base/* graph/* node.h compute/tensor.h
engine/store    base/* store/* graph/value.h compute/tensor.h
engine/run      base/* run/* graph/* store/* script/script.h node.h tubelet.h compute/compute.h compute/mode.h compute/tensor.h models/models.h
engine/script   base/* script/* graph/* node.h compute/tensor.h
engine/server   base/* server/* run/* store/* script/* graph/* tubelet.h compute/compute.h compute/tensor.h formats/media.h formats/sheet.h models/latent_rgb.h
engine/cli      base/* cli/* server/server.h run/* store/* script/* graph/* node.h tubelet.h compute/compute.h compute/mode.h compute/tensor.h formats/media.h formats/sheet.h models/models.h
nodes           base/* compute/* formats/* models/* graph/value*.h graph/records.h node.h
'

# Which files may include the headers of a library.
libraries='
lua*.h        engine/script/* engine/cli/doctor.c
lauxlib.h     engine/script/*
libwebsockets.h engine/server/web*
sqlite3.h     engine/store/* engine/cli/*
uv.h          engine/run/* engine/script/* engine/server/* engine/cli/* engine/tubelet.h
libav*        engine/formats/media_module*
libsw*        engine/formats/media_module*
nettle/sha*.h  engine/base/*
xxhash.h      engine/base/* engine/store/*
cblas*.h      engine/compute/cpu/*
immintrin.h   engine/compute/cpu/*
'

# The scheduler opens the compute worker and the models for the nodes; the maths itself is for nodes and models.
maths='tb_(linear|gemm|attention|conv|rope|rmsnorm|layernorm|channel_norm|activate|axpy|umt5|clip_vision|wan|safetensors|weights|tokenizer|media)(_|\()'

failures=0
fail() {
    echo "$1" >&2
    failures=$((failures + 1))
}

matches() { # text, patterns...
    local text=$1 p
    shift
    for p in "$@"; do
        # shellcheck disable=SC2053
        [[ $text != $p ]] || return 0
    done
    return 1
}

# "file line header" of every #include with the given opening quote.
includes() {
    grep -rn --include='*.[ch]' "^ *# *include *$1" engine nodes 2>/dev/null | sed -E 's/^([^:]*):([0-9]*):[^"<]*["<]([^">]*).*/\1 \2 \3/'
}

# The header's path below engine/, found as the compiler does: beside the file first.
resolve() { # file, header
    local path=${1%/*}/$2
    [ -f "$path" ] || path=engine/$2
    path=$(realpath -m --relative-to=engine "$path")
    echo "$path"
}

check_ours() { # file, line, header
    local header folder allowed
    header=$(resolve "$1" "$3")
    [ -f "engine/$header" ] || [ -f "build/$header" ] || fail "$1:$2: includes \"$3\", which is not in the tree; headers of libraries stand in <>"
    while read -r folder allowed; do
        [ -n "$folder" ] && [[ $1 == "$folder"/* ]] || continue
        matches "$header" $allowed || fail "$1:$2: includes \"$header\"; files of $folder may include only: $allowed"
    done <<<"$rules"
}

check_library() { # file, line, header
    local header allowed
    while read -r header allowed; do
        # shellcheck disable=SC2053
        [ -n "$header" ] && [[ $3 == $header ]] || continue
        matches "$1" $allowed || fail "$1:$2: includes <$3>; only these may: $allowed"
    done <<<"$libraries"
}

while read -r file line header; do
    check_ours "$file" "$line" "$header"
done < <(includes '"')
while read -r file line header; do
    check_library "$file" "$line" "$header"
done < <(includes '<')

# The graph, the store and the scheduler compute nothing.
while IFS= read -r hit; do
    fail "${hit%%:*}:$(cut -d: -f2 <<<"$hit"): calls tensor maths, a model or a file format: $(cut -d: -f3- <<<"$hit" | xargs)"
done < <(grep -rnE --include='*.[ch]' "\\b$maths" engine/graph engine/store engine/run 2>/dev/null)

# Each folder of engine/ has a rule.
for folder in $(find engine -mindepth 1 -maxdepth 1 -type d | sort); do
    grep -q "^$folder " <<<"$rules" || fail "$folder: has no rule in tests/test_tree.sh"
done

[ "$failures" -eq 0 ] || { echo "test_tree: $failures lines break the direction of the tree" >&2; exit 1; }
echo "ok   the tree points one way"
