#!/usr/bin/env bash
# Ten thousand episodes with failures made on purpose, and runs that are killed ten times over. About 15 minutes.
# Usage: scripts/ci_soak.sh [PYTHON] [options of benchmarks/soak.py]
set -euo pipefail
cd "$(dirname "$0")/.."
python=${1:-python3}
shift || true
export OMP_NUM_THREADS=1
exec "$python" benchmarks/soak.py "$@"
