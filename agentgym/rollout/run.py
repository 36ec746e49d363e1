"""A rollout run from a configuration: what ``agentgym rollout`` does, callable."""

from __future__ import annotations

import platform
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from agentgym.core.env import AgentEnv
from agentgym.core.errors import ConfigError
from agentgym.core.policy import Policy, PolicySpec, Sampling, Usage
from agentgym.core.records import Drift, Trajectory
from agentgym.core.registration import make
from agentgym.core.registry import Registry, load
from agentgym.core.version import __version__
from agentgym.rollout.context import context_strategy
from agentgym.rollout.engine import Limits, collect
from agentgym.rollout.jobs import plan
from agentgym.rollout.storage import RunWriter


@dataclass(frozen=True)
class RunConfig:
    """Everything that fixes a run's episodes."""

    env_id: str
    policy: PolicySpec
    episodes: int
    env_kwargs: Mapping[str, Any] = field(default_factory=dict)
    group_size: int = 1
    seed: int = 0
    split: str = "train"
    task_ids: tuple[str, ...] = ()
    """Play these, in turn. Empty: the seed draws tasks."""
    sampling: Sampling = field(default_factory=Sampling)
    limits: Limits = field(default_factory=Limits)
    context: str = "full"
    """What the policy reads of a long episode, see `agentgym.rollout.context`."""
    progress: float = 0.0

    def __post_init__(self) -> None:
        for name in ("episodes", "group_size"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, got {getattr(self, name)}.")
        context_strategy(self.context)

    def resolved(self, env: AgentEnv) -> dict[str, Any]:
        """The configuration as it is stored with the run: everything that a reader needs to interpret it."""
        return {
            "env_id": self.env_id,
            "env_kwargs": dict(self.env_kwargs),
            "scheme": env.scheme.to_dict(),
            "components": [asdict(component) for component in type(env.game).components],
            "action_format": env.action_format.name,
            "layout": env.layout,
            "max_turns": env.max_turns,
            "policy": asdict(self.policy),
            "episodes": self.episodes,
            "group_size": self.group_size,
            "seed": self.seed,
            "split": self.split,
            "task_ids": list(self.task_ids),
            "sampling": asdict(self.sampling),
            "limits": asdict(self.limits),
            "context": self.context,
            "progress": self.progress,
            "version": __version__,
        }

    def make_env(self) -> AgentEnv:
        """One environment of the run."""
        return make(self.env_id, split=self.split, **self.env_kwargs)


@dataclass
class Tally:
    """Running totals of a run."""

    episodes: int = 0
    turns: int = 0
    scored: int = 0
    successes: int = 0
    reward: float = 0.0
    outcome: float = 0.0
    invalid_turns: int = 0
    faithful: int = 0
    tokens: int = 0
    drift: Drift = field(default_factory=Drift)
    usage: Usage = field(default_factory=Usage)
    faults: Counter[str] = field(default_factory=Counter)
    truncations: Counter[str] = field(default_factory=Counter)
    rewards: Counter[str] = field(default_factory=Counter)
    """Raw reward by component, summed."""

    def add(self, trajectory: Trajectory) -> None:
        """Counts one episode."""
        self.episodes += 1
        self.turns += len(trajectory.turns)
        self.faithful += trajectory.token_faithful
        self.tokens += sum(sum(segment.policy_mask) for segment in trajectory.segments)
        self.drift = self.drift.plus(trajectory.drift)
        self.usage = self.usage.plus(trajectory.usage)
        for turn in trajectory.turns:
            self.invalid_turns += not turn.action_valid
        for fault in trajectory.faults:
            self.faults[fault.boundary] += 1
        if not trajectory.scored:
            return
        self.scored += 1
        self.successes += bool(trajectory.success)
        self.reward += trajectory.total_reward
        self.outcome += trajectory.outcome or 0.0
        if trajectory.truncation_reason:
            self.truncations[trajectory.truncation_reason] += 1
        for turn in trajectory.turns:
            self.rewards.update(turn.components)

    def summary(self) -> dict[str, Any]:
        """Means over scored episodes, and counts. What has no value is absent."""
        result: dict[str, Any] = {"episodes": self.episodes, "scored": self.scored, "turns": self.turns}
        if self.scored:
            result |= {
                "success": self.successes / self.scored,
                "mean_reward": self.reward / self.scored,
                "mean_outcome": self.outcome / self.scored,
                "turns_per_episode": self.turns / self.episodes,
                "components": {name: value / self.scored for name, value in sorted(self.rewards.items())},
            }
        if self.turns:
            result["invalid_turns"] = self.invalid_turns / self.turns
        if any(self.usage):
            result["usage"] = self.usage._asdict()
        return result | {
            "policy_tokens": self.tokens,
            "token_faithful": self.faithful,
            "contexts": self.drift._asdict(),
            "faults": dict(sorted(self.faults.items())),
            "truncations": dict(sorted(self.truncations.items())),
        }


def make_policy(spec: PolicySpec) -> Policy:
    """Builds a policy from its registry name and arguments."""
    policies: Registry[Callable[..., Policy]] = load("agentgym.policies:POLICIES")
    build = policies.get(spec.name)
    try:
        return build(**spec.kwargs)
    except TypeError as error:
        raise ConfigError(f"The policy {spec.name!r} can't be made with {spec.kwargs}: {error}") from error


async def run(
    config: RunConfig,
    out: Path,
    *,
    resume: bool = False,
    concurrency: int = 64,
    policy: Policy | None = None,
    on_episode: Callable[[Trajectory, Tally, int], None] | None = None,
) -> Tally:
    """Plays and stores the episodes of a run that aren't stored yet.

    Args:
        config: The run.
        out: Its folder.
        resume: Go on with a run that is there.
        concurrency: Episodes in flight. Changes nothing that is stored.
        policy: A ready policy; None builds it from the configuration.
        on_episode: Called after each episode with it, the totals of this process and the number stored in all.
    """
    env = config.make_env()
    resolved = config.resolved(env)
    env.close()
    owned = policy is None
    policy = policy or make_policy(config.policy)  # before anything is written: its arguments may be wrong
    tally = Tally()
    try:
        with RunWriter(out, resolved, config.episodes, resume=resume) as writer:
            task_ids = list(config.task_ids)
            jobs = plan(config.episodes, config.group_size, config.seed, task_ids=task_ids, progress=config.progress)
            left = config.episodes - len(writer.done)
            async for job, trajectory, timing in collect(
                (job for job in jobs if job.index not in writer.done),
                config.make_env,
                policy,
                sampling=config.sampling,
                limits=config.limits,
                concurrency=min(concurrency, left) or 1,
                context=context_strategy(config.context),
            ):
                writer.add(job.index, trajectory, {**asdict(timing), "finished": time.time(), "host": platform.node()})
                tally.add(trajectory)
                if on_episode is not None:
                    on_episode(trajectory, tally, len(writer.done))
    finally:
        if owned:
            policy.close()
    return tally
