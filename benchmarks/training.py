"""Speed of the parts of a training step with the tiny model: writing, supervised learning, policy updates.

Shapes are the demo's: 64 episodes of 5 turns, about 8 sampled tokens a turn, 120 tokens an episode. Each figure is the
fastest of several runs. Usage: python benchmarks/training.py [--threads 2] [--repeats 5]
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from agentgym.core.policy import Completion, Request, Sampling
from agentgym.credit import Batch, Credit
from agentgym.policies.tiny import build_tiny
from agentgym.policies.transformers import TransformersPolicy
from agentgym.training.config import RLSection
from agentgym.training.update import policy_step, supervised_step

EPISODES, TURNS, SAMPLED = 64, 5, 8
WORDS = [f"word{number}" for number in range(300)]
TASK, REPLY = " ".join(WORDS[:20]), " ".join(WORDS[20:32])


def fastest(function: Callable[[], Any], repeats: int) -> float:
    """Seconds of the fastest of ``repeats`` calls, after one to warm up."""
    function()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        function()
        times.append(time.perf_counter() - began)
    return min(times)


def play(policy: TransformersPolicy) -> list[tuple[list[int], list[tuple[int, Completion]]]]:
    """All episodes, all turns: ids, and where each message starts."""
    renderer = policy.renderer
    policy.updated(0)  # nothing cached from the run before
    ids = [renderer.initial([{"role": "user", "content": TASK}], (), "chat") for _ in range(EPISODES)]
    messages: list[list[tuple[int, Completion]]] = [[] for _ in ids]
    for turn in range(TURNS):
        requests = [
            Request(f"e{row}", turn, (), prompt, (), row * TURNS + turn, Sampling(max_tokens=SAMPLED))
            for row, prompt in enumerate(ids)
        ]
        for row, completion in enumerate(policy.generate(requests)):
            written = list(completion.token_ids or ())
            messages[row].append((len(ids[row]), completion))
            reply = renderer.suffix([{"role": "user", "content": REPLY}], "chat", closed=renderer.is_closed(written))
            ids[row] = [*ids[row], *written, *reply]
    return list(zip(ids, messages, strict=True))


def as_batch(episodes: Sequence[tuple[list[int], list[tuple[int, Completion]]]]) -> Batch:
    """The episodes as the learner gets them."""
    spans = [[(start, start + len(c.token_ids or ())) for start, c in messages] for _, messages in episodes]
    logprobs = []
    for (ids, messages), of_row in zip(episodes, spans, strict=True):
        row = [0.0] * len(ids)
        for (start, end), (_, completion) in zip(of_row, messages, strict=True):
            row[start:end] = list(completion.logprobs or ())
        logprobs.append(row)
    masks = [
        [int(any(start <= place < end for start, end in of_row)) for place in range(len(ids))]
        for (ids, _), of_row in zip(episodes, spans, strict=True)
    ]
    return Batch.build(
        [row // 8 for row in range(len(episodes))],
        [[0.0] * TURNS for _ in episodes],
        spans=spans,
        masks=masks,
        outcomes=[float(row % 2) for row in range(len(episodes))],
        columns={"token_id": [ids for ids, _ in episodes], "logprob": logprobs},
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    model, tokenizer = build_tiny([" ".join(WORDS)])
    policy = TransformersPolicy(model, tokenizer)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.0)
    episodes = play(policy)
    batch = as_batch(episodes)
    credit = Credit.from_turns(batch, np.random.default_rng(0).normal(size=batch.n_turns))
    size = sum(parameter.numel() for parameter in model.parameters())
    sampled, tokens = int(batch.policy_mask.sum()), batch.n_tokens
    section = RLSection()
    rows = [
        ("write (sampled tokens)", sampled, lambda: play(policy)),
        (
            "supervised step (all tokens)",
            tokens,
            lambda: supervised_step(
                model, optimizer, batch, max_tokens=16_384, max_grad_norm=1.0, observation_weight=0.5
            ),
        ),
        (
            "policy step (all tokens)",
            tokens,
            lambda: policy_step(model, optimizer, batch, credit, np.arange(EPISODES), section, 1.0),
        ),
    ]
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    print(
        f"torch {torch.__version__}, {options.threads} threads, {size:,} parameters, {EPISODES} episodes, {TURNS} turns"
    )
    print(f"{'part':<30}{'seconds':>9}{'tokens/s':>12}")
    for name, count, function in rows:
        seconds = fastest(function, options.repeats)
        print(f"{name:<30}{seconds:>9.3f}{count / seconds:>12,.0f}")


if __name__ == "__main__":
    main()
