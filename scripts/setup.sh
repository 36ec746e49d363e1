#!/usr/bin/env bash
# Makes a virtual environment with everything that tests and demo need. Usage: scripts/setup.sh [VENV]
# Needs Python 3.11 or later and a package index. Does nothing when the environment is up to date.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=${1:-.venv}
torch=torch==2.13.0
stamp=$venv/.agentgym-requirements

say() { printf '[setup] %s\n' "$*"; }

find_python() {
  for candidate in "${PYTHON:-}" python3.13 python3.12 python3.11 python3 python; do
    [ -n "$candidate" ] || continue
    if command -v "$candidate" >/dev/null 2>&1 &&
      "$candidate" -c 'import sys; raise SystemExit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
      printf '%s' "$candidate"
      return
    fi
  done
  echo "[setup] Python 3.11 or later is needed and none was found. Install it, or name one: PYTHON=/path/to/python make" >&2
  exit 1
}

if [ -f "$stamp" ] && cmp -s "$stamp" <(cat requirements.txt pyproject.toml setup.py); then
  exit 0
fi

python=$(find_python)
say "virtual environment in $venv ($("$python" --version))"
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
pip=("$venv/bin/python" -m pip --disable-pip-version-check)

if "$venv/bin/python" -c 'import torch' >/dev/null 2>&1; then
  say "torch is there"
elif command -v nvidia-smi >/dev/null 2>&1 && nvidia-smi >/dev/null 2>&1; then
  say "an NVIDIA GPU: installing the CUDA build of $torch (several GB)"
  "${pip[@]}" install "$torch"
elif [ "$(uname -s)" = Linux ]; then
  say "no NVIDIA GPU: installing a CPU build of $torch (200 MB) from PyTorch's CPU index"
  "${pip[@]}" install --timeout 10 --retries 1 --index-url https://download.pytorch.org/whl/cpu "$torch" 2>/dev/null ||
    { say "that index can't be reached; taking $torch from the default index"; "${pip[@]}" install "$torch"; }
else
  say "installing $torch"
  "${pip[@]}" install "$torch"
fi

say "installing pinned requirements"
"${pip[@]}" install -r requirements.txt
say "installing agentgym itself, editable"
"${pip[@]}" install --no-deps --no-build-isolation -e .
cat requirements.txt pyproject.toml setup.py >"$stamp"
say "done"
