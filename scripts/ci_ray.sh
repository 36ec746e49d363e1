#!/usr/bin/env bash
# Rollouts on a local Ray cluster of two nodes, and the data sets that are exported, in an environment of their own.
# Usage: scripts/ci_ray.sh [VENV]
set -euo pipefail
cd "$(dirname "$0")/.."
venv=${1:-.venv-ray}
[ -x "$venv/bin/python" ] || python3 -m venv "$venv"
"$venv/bin/python" -m pip install -q --disable-pip-version-check pytest hypothesis "datasets>=4" ".[ray]"
export OMP_NUM_THREADS=1 RAY_USAGE_STATS_ENABLED=0
export RAY_CLIENT_SERVER_CHECK_CHANNEL_TIMEOUT_S=180 # its 30 seconds for a client's server are short on two busy cores
PYTHONPATH=. "$venv/bin/python" -m pytest tests/rollout/test_ray.py tests/data "${@:2}"
