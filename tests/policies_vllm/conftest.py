"""vLLM for real: one engine in this process and one server, over a tiny model. scripts/ci_vllm.sh runs them."""

import importlib.util
import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

HAVE = importlib.util.find_spec("vllm") is not None
if not HAVE and os.environ.get("AGENTGYM_NO_SKIPS"):
    collect_ignore_glob = ["test_*.py"]  # the stage of .ci/run that installs vLLM runs them

for name, value in {
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "OMP_NUM_THREADS": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "HF_HUB_OFFLINE": "1",
}.items():
    os.environ.setdefault(name, value)

SERVER_FLAGS = ("--enforce-eager", "--no-enable-chunked-prefill", "--dtype", "float32", "--enable-scale-out")


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(item.fspath).parent == Path(__file__).parent:
            item.add_marker(pytest.mark.filterwarnings("ignore"))  # vLLM's own
            if not HAVE:
                item.add_marker(pytest.mark.skip(reason="vLLM is not installed; scripts/ci_vllm.sh installs it"))


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def learner():
    """What the engines hold when they start."""
    from playing import build

    return build(1)


@pytest.fixture(scope="session")
def other():
    """Other weights of the same shape."""
    from playing import build

    return build(2)[0]


@pytest.fixture(scope="session")
def folder(learner, tmp_path_factory):
    from agentgym.policies.tiny import save

    return str(save(*learner, tmp_path_factory.mktemp("model")))


@pytest.fixture(scope="session")
def adapter(learner, tmp_path_factory):
    """A LoRA adapter that changes a lot: its folder, and the model with it."""
    import copy

    import peft
    import torch

    model = peft.get_peft_model(
        copy.deepcopy(learner[0]),
        peft.LoraConfig(r=4, lora_alpha=16, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM"),
    )
    generator = torch.Generator().manual_seed(0)
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            parameter.data = torch.randn(parameter.shape, generator=generator) * 0.3
    target = tmp_path_factory.mktemp("adapter")
    model.save_pretrained(target)
    return str(target), model.eval()


@pytest.fixture(scope="session")
def engine(folder):
    """An engine in this process. Whoever changes its weights puts them back."""
    from playing import ENGINE_ARGS

    from agentgym.policies.vllm import vllm_policy

    policy = vllm_policy(folder, engine_args=ENGINE_ARGS)
    yield policy
    policy.close()


def start_server(folder, *flags):
    """A vLLM server's process and address, as soon as it answers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", folder, "--port", str(port)]
    command += ["--host", "127.0.0.1", *SERVER_FLAGS, "--max-num-seqs", "64", *flags]
    environment = {**os.environ, "VLLM_SERVER_DEV_MODE": "1", "VLLM_LOGGING_LEVEL": "ERROR"}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    url = f"http://127.0.0.1:{port}"
    for _ in range(1200):
        if process.poll() is not None:
            raise RuntimeError(f"The vLLM server ended: {process.stderr.read().decode()[-2000:]}")
        try:
            urllib.request.urlopen(url + "/health", timeout=5).close()
            return process, url
        except OSError:
            time.sleep(0.25)
    process.terminate()
    raise RuntimeError("The vLLM server did not start within five minutes.")


@pytest.fixture(scope="session")
def server(folder):
    """Address of a server over the same model."""
    process, url = start_server(
        folder, "--logprobs-mode", "processed_logprobs", "--enable-auto-tool-choice", "--tool-call-parser", "hermes"
    )
    yield url
    process.terminate()
    process.wait(60)
    process.stderr.close()
