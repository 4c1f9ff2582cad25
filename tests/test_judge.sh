#!/usr/bin/env bash
# test_judge.sh - the judge of generated clips tells every attribute of rendered ones with noise; the measures
# and the report beside it give known answers. Skipped where python3-numpy is missing. Needs no torch.
set -u
root=$(cd "$(dirname "$0")/.." && pwd)
export OPENBLAS_NUM_THREADS=1 PYTHONWARNINGS=ignore PYTHONDONTWRITEBYTECODE=1

python=/usr/bin/python3
"$python" -c "import numpy" 2>/dev/null || { echo "skip: python3-numpy is not installed"; exit 77; }
command -v cc >/dev/null || { echo "skip: there is no C compiler for the renderer"; exit 77; }

failures=0
"$python" "$root/tests/train/check_measures.py" || failures=1
"$python" "$root/tests/train/check_report.py" || failures=1
"$python" "$root/scripts/train/judge.py" --self-test 6 --seed 3 || failures=1
exit "$failures"
