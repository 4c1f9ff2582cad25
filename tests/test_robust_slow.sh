#!/usr/bin/env bash
# test_robust_slow.sh - the same for two minutes.
TUBELET_SOAK_SECONDS=120 exec bash "$(dirname "$0")/test_robust.sh"
