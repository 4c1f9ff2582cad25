#!/usr/bin/env bash
# test_style.sh - habits of the code that a search can check: layout, names, sizes, and what the engine
# must not do. Prints every violation as file:line with what to do about it.
set -euo pipefail
cd "${1:-$(dirname "${BASH_SOURCE[0]}")/..}"

mapfile -t c_files < <(find engine nodes tests examples -name '*.[ch]' 2>/dev/null | sort)
mapfile -t engine_files < <(find engine nodes -name '*.[ch]' 2>/dev/null | sort)
# Every text of the project but the licence; recorded reference data is not ours to format.
mapfile -t texts < <(find . -path ./.git -prune -o -path ./build -prune -o -name node_modules -prune -o -path ./tests/golden -prune -o \
    -type f \( -name '*.[ch]' -o -name '*.lua' -o -name '*.sh' -o -name '*.py' -o -name '*.md' -o -name '*.cmake' \
    -o -name 'CMakeLists.txt' -o -name '*.json' -o -path './.ci/*' \) -print | sed 's|^\./||' | sort)

failures=0
fail() {
    echo "$1" >&2
    failures=$((failures + 1))
}

# Print each line of the given files that matches; a violation each.
forbid() { # extended regex, what to do, files...
    local pattern=$1 hint=$2 hit
    shift 2
    [ $# -gt 0 ] || return 0
    while IFS= read -r hit; do
        fail "$hit  <- $hint"
    done < <(grep -nHE "$pattern" "$@")
}

# Files of the list that do not match any of the patterns.
without() { # pattern, files...
    local pattern=$1
    shift
    printf '%s\n' "$@" | grep -vE "$pattern" || true
}

forbid $'\t' 'indent with spaces' "${c_files[@]}"
forbid '[[:space:]]+$' 'remove the blanks at the end of the line' "${c_files[@]}"

for f in "${c_files[@]}"; do
    head -n 1 "$f" | grep -qE "^/\* ${f##*/} - .+" || fail "$f:1: a file begins with /* ${f##*/} - what it is for"
    lines=$(wc -l <"$f")
    [ "$lines" -le 800 ] || fail "$f:800: has $lines lines; look for the second idea inside and give it a file"
    [[ $f != *.h || $f == *_body.h ]] || grep -q '^#pragma once$' "$f" || fail "$f:1: a header has #pragma once"
done

# A library returns an error; programs (the command line, the script child) end their process.
mapfile -t library < <(without '^engine/(base/(log|mem)\.c|cli/|script/(host|sandbox|child))' "${engine_files[@]}")
forbid '\b(_?[eE]xit|quick_exit|abort)\(' 'return a tb_status with a tb_err: the caller decides' "${library[@]}"
forbid '\b(printf|puts|putchar|perror)\(|\bfprintf\(std(out|err)' 'report through tb_err, or tb_log' "${library[@]}"
forbid '\b(strcpy|strcat|sprintf|vsprintf|gets|strtok|alloca|system|popen)\(' 'use str.h, snprintf or posix_spawn' "${engine_files[@]}"
mapfile -t counted < <(without '^engine/(base/mem\.c|formats/media_module|script/host)' "${engine_files[@]}")
forbid '\b(calloc|realloc|strdup|strndup|asprintf)\(' 'use the tb_x functions of base/mem.h' "${counted[@]}"
forbid '\b(TO''DO|FIX''ME|XX''X|HA''CK)\b' 'finish it, or write an issue' "${texts[@]}"

# Nothing of one machine, and no registry: the project is moved as it is.
forbid '(^|[^A-Za-z0-9_.$}])/(work|root|home|Users|farm|tmp/wt)/' 'use a path relative to the project, or an option' "${texts[@]}"
forbid 'https?://[a-z0-9.]*(debian|ubuntu|npmjs|pypi|pythonhosted|crates|huggingface)\.' 'name the package, not its host' "${texts[@]}"

# What the linker sees begins with tb_ (public) or tbi_ (inside the engine) or tbs_ (inside the server); cli_ in the program.
build=$(dirname "${TUBELET_BIN:-build/debug/tubelet}")
if [ -f "$build/libtubelet.a" ]; then
    while read -r name; do
        fail "libtubelet.a: exports '$name'  <- make it static, or name it tb_noun_verb, tbi_noun_verb or tbs_noun_verb"
    done < <(nm -g --defined-only "$build/libtubelet.a" 2>/dev/null | awk 'NF == 3 { print $3 }' |
        grep -vE '^(tb[is]?_|__|\.|_GLOBAL_|DW\.ref)' | sort -u)
fi

if command -v clang-format-14 >/dev/null; then
    while IFS= read -r hit; do
        fail "$hit  <- run clang-format-14 -i"
    done < <(clang-format-14 --dry-run "${c_files[@]}" 2>&1 | sed -nE 's/: (warning|error): code should.*//p' | sort -t: -k1,1 -u)
else
    echo "skip formatting: clang-format-14 is not installed (scripts/setup.sh --test)"
fi

[ "$failures" -eq 0 ] || { echo "test_style: $failures violations" >&2; exit 1; }
echo "ok   style of ${#c_files[@]} C files"
