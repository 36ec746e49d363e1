"""vLLM on GPUs: sampling, weight transfer, sleep, training. Checks itself and prints tables. Needs a GPU; two for nccl.

Usage: python benchmarks/gpu/policies.py --model Qwen/Qwen3-0.6B [--transfers disk,ipc,nccl] [--episodes 64]

Each transfer is checked alike: the engine starts from the model's weights, gets changed ones, must then agree with the
learner (the probe, and the log-probabilities of freshly sampled episodes), and once more with requests in flight. An
interrupted message must carry both versions. Then ``agentgym train`` runs some updates with the engine: on one GPU with
sleep and wake, and one step off-policy. Not run by the tests and not yet run by us: no machine of ours had a GPU.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from agentgym import Sampling, make
from agentgym.core.policy import Request
from agentgym.policies.transformers import load_model
from agentgym.policies.vllm.engine import EnginePolicy
from agentgym.rollout.batch import to_batch, trainable
from agentgym.rollout.engine import collect_all
from agentgym.rollout.jobs import plan
from agentgym.training.config import from_dict
from agentgym.training.logprobs import batch_logprobs
from agentgym.training.metrics import read_metrics
from agentgym.training.run import train

TRAINING: Mapping[str, Mapping[str, Any]] = {"sleep and wake": {"sleep": True}, "one step off": {"steps_off": 1}}
"""How engine and learner share the GPU."""
MEAN_GAP = 0.05
"""Nats between bfloat16 engine and bfloat16 learner that are rounding, on average over sampled tokens."""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True)
    parser.add_argument("--transfers", default="disk,ipc" + (",nccl" if torch.cuda.device_count() > 1 else ""))
    parser.add_argument("--episodes", type=int, default=64)
    parser.add_argument("--memory", type=float, default=0.4, help="share of the GPU's memory for the engine")
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        raise SystemExit("No GPU here: nothing to check.")
    rows = [{"transfer": name, **check(name, arguments)} for name in arguments.transfers.split(",")]
    trained = [trains(name, engine, arguments) for name, engine in TRAINING.items()]
    print(f"\n{torch.cuda.get_device_name()}, {arguments.model}, {arguments.episodes} episodes at once")
    show(rows)
    show(trained)


def show(rows: Sequence[Mapping[str, str]]) -> None:
    """A table."""
    print()
    for row in ({name: name for name in rows[0]}, *rows):
        print("  ".join(f"{value!s:>16}" for value in row.values()))


def check(transfer: str, arguments: argparse.Namespace) -> dict[str, str]:
    # nccl refuses two ends on one GPU: the learner then takes the last one, the engine the first.
    device = f"cuda:{torch.cuda.device_count() - 1}" if transfer == "nccl" else "cuda:0"
    learner, _ = load_model(arguments.model, device=device, dtype="bfloat16")
    engine_args = {"gpu_memory_utilization": arguments.memory, "enable_sleep_mode": transfer == "ipc"}
    policy = EnginePolicy(arguments.model, transfer=transfer, context=4096, engine_args=engine_args)  # type: ignore[arg-type]
    try:
        gap = policy.probe(learner)
        speed, before = play(policy, learner, arguments.episodes)
        seconds = [update(policy, learner, version) for version in range(1, 6)]
        _, after = play(policy, learner, arguments.episodes)
        both = interrupted(policy, learner)
        slept = sleep(policy, learner) if transfer == "ipc" else "-"
    finally:
        policy.close()
        del learner
        torch.cuda.empty_cache()
    return {
        "probe gap": f"{gap:.3f}",
        "tokens/s": f"{speed:,.0f}",
        "gap before": f"{before:.4f}",
        "gap after": f"{after:.4f}",
        "update ms": f"{1000 * statistics.median(seconds):.0f}",
        "in flight": f"{both}/8",
        "sleep frees": slept,
    }


def update(policy: EnginePolicy, learner: Any, version: int) -> float:
    """Changes the learner a little and hands it over; the probe inside raises where it did not arrive."""
    generator = torch.Generator(device=next(learner.parameters()).device).manual_seed(version)
    with torch.no_grad():
        for parameter in learner.parameters():
            noise = torch.randn(parameter.shape, generator=generator, device=parameter.device, dtype=torch.float32)
            parameter.add_((noise * 0.02 * parameter.float().std()).to(parameter.dtype))
    began = time.perf_counter()
    policy.update_weights(learner, version)
    return time.perf_counter() - began


def play(policy: EnginePolicy, learner: Any, episodes: int) -> tuple[float, float]:
    """Sampled tokens a second, and the mean gap between recorded and learner's log-probabilities."""
    began = time.perf_counter()
    records = collect_all(
        list(plan(episodes, 4, 0)),
        lambda: make("agentgym/ShoppingTiny-v0"),
        policy,
        sampling=Sampling(max_tokens=64),
        concurrency=episodes,
    )
    seconds = time.perf_counter() - began
    batch = to_batch([record for record in records if trainable(record)])
    found = batch_logprobs(learner, batch, device=next(learner.parameters()).device)
    gap = float(np.abs(found - batch.column("logprob"))[batch.policy_mask].mean())
    assert gap < MEAN_GAP, f"learner and engine differ by {gap:.3f} nats a token on average"
    return batch.policy_mask.sum() / seconds, gap


def interrupted(policy: EnginePolicy, learner: Any) -> int:
    """Updates while eight long messages are written; returns how many carry both versions."""

    async def run() -> int:
        assert policy.renderer is not None
        prompt = policy.renderer.initial([{"role": "user", "content": "Count to ten thousand."}], (), "chat")
        asked = [Request(str(i), 0, (), prompt, (), i, Sampling(max_tokens=2048)) for i in range(8)]
        tasks = [asyncio.create_task(policy.act(request)) for request in asked]
        await asyncio.sleep(1)
        await asyncio.to_thread(update, policy, learner, 10)
        answers = await asyncio.gather(*tasks)
        for answer in answers:
            versions = list(answer.versions or ())
            assert versions == sorted(versions), "versions fall within a message"
            assert set(versions) <= {5, 10}, f"unknown versions {set(versions)}"
        return sum(len(set(answer.versions or ())) == 2 for answer in answers)

    both = asyncio.run(run())
    assert both, "no message was interrupted; take a larger model or a shorter pause"
    return both


def sleep(policy: EnginePolicy, learner: Any) -> str:
    """Sleeps, wakes, hands the weights over again and must sample as before; returns the memory that was freed."""
    used = torch.cuda.mem_get_info()[0]
    policy.sleep()
    freed = torch.cuda.mem_get_info()[0] - used
    policy.wake()
    policy.update_weights(learner, 11)
    play(policy, learner, 8)
    return f"{freed / 2**30:.1f} GiB"


def trains(name: str, engine: Mapping[str, Any], arguments: argparse.Namespace) -> dict[str, str]:
    """Four updates of ``agentgym train``; every hand-over of weights is probed."""
    config = from_dict(
        {
            "env": {"id": "agentgym/ShoppingTiny-v0"},
            "model": {"path": arguments.model},
            "sampling": {"max_tokens": 64},
            "rl": {"updates": 4, "groups": 8, "group_size": 8, "learning_rate": 1e-6},
            "engine": {
                "name": "vllm",
                "arguments": {"context": 4096, "engine_args": {"gpu_memory_utilization": arguments.memory}},
                **engine,
            },
            "evaluation": {"tasks": 8},
        }
    )
    with tempfile.TemporaryDirectory() as out:
        began = time.perf_counter()
        train(config, Path(out))
        seconds = time.perf_counter() - began
        rows = read_metrics(Path(out), "rl")
    stale = [int(row["staleness"]) for row in rows]
    assert stale == [0, *[engine.get("steps_off", 0)] * 3], f"staleness {stale}"
    assert all(row["faults"] == 0 for row in rows), "episodes failed"
    return {
        "training": name,
        "seconds": f"{seconds:.0f}",
        "sync gap": f"{max(row['sync_gap'] for row in rows):.3f}",
        "sampler gap": f"{max(row['sampler_gap'] for row in rows):.4f}",
        "staleness": " ".join(map(str, stale)),
    }


if __name__ == "__main__":
    main()
