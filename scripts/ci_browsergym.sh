#!/usr/bin/env bash
# BrowserGym's environments as a game, with Debian's Chromium, in an environment of their own: BrowserGym pins an older
# Playwright than ours. Usage: scripts/ci_browsergym.sh [VENV]
set -euo pipefail
cd "$(dirname "$0")/.."
venv=${1:-.venv-browsergym}
[ -x "$venv/bin/python" ] || python3 -m venv "$venv"
"$venv/bin/python" -m pip install -q --disable-pip-version-check --no-deps -r scripts/browsergym-requirements.txt
AGENTGYM_NO_SKIPS=1 PYTHONPATH=. OMP_NUM_THREADS=1 \
  "$venv/bin/python" -m pytest tests/web/test_browsergym_live.py tests/web/test_browsergym.py "${@:2}"
