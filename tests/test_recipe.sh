#!/usr/bin/env bash
# test_recipe.sh - the training recipe's parts do what they say. Skipped where python3-torch is missing: it
# is no dependency of the engine.
set -u
root=$(cd "$(dirname "$0")/.." && pwd)
export OPENBLAS_NUM_THREADS=1 PYTHONWARNINGS=ignore PYTHONDONTWRITEBYTECODE=1

python=/usr/bin/python3
"$python" -c "import torch, numpy" 2>/dev/null || { echo "skip: python3-torch is not installed"; exit 77; }
command -v cc >/dev/null || { echo "skip: there is no C compiler"; exit 77; }
exec "$python" "$root/tests/train/check_recipe.py"
