#!/usr/bin/env bash
# test.sh - install what is missing, build with address and undefined-behaviour sanitizers and warnings as
# errors, run the tests.
#
#     scripts/test.sh                    all tests but the slow ones
#     scripts/test.sh --all              the slow ones too
#     scripts/test.sh -R store -V        further arguments go to ctest
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

choice=(-LE slow)
case ${1-} in
-h | --help)
    sed -n '2,8s/^# \{0,1\}//p' scripts/test.sh
    exit 0
    ;;
--all)
    choice=()
    shift
    ;;
esac

scripts/setup.sh --test
cmake --preset debug -DTUBELET_WERROR=ON
cmake --build --preset debug
ctest --preset debug --no-tests=error --parallel "$(nproc)" "${choice[@]}" "$@"
