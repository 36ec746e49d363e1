"""A rollout run from a configuration: what ``agentgym rollout`` does, callable."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Mapping
from contextlib import aclosing
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from agentgym.core.env import AgentEnv
from agentgym.core.errors import ConfigError
from agentgym.core.policy import Policy, PolicySpec, Sampling
from agentgym.core.records import Trajectory
from agentgym.core.registration import make
from agentgym.core.registry import Registry, load
from agentgym.core.version import __version__
from agentgym.rollout.context import context_strategy
from agentgym.rollout.engine import play_jobs
from agentgym.rollout.injector import Injection
from agentgym.rollout.jobs import plan
from agentgym.rollout.lanes import Setup
from agentgym.rollout.limits import Limits, Retries
from agentgym.rollout.storage import SHARD_SIZE, RunWriter, stored_totals
from agentgym.rollout.tally import Tally
from agentgym.rollout.trees import ForkAt
from agentgym.rollout.workers import parse_workers, play_with_workers, require

INJECTED_CALL_SECONDS = 2.0
"""Time limit of a call when hangs are injected and none is set: otherwise nobody would notice them."""


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
    retries: Retries = field(default_factory=Retries)
    inject: str = ""
    """Failures to make on purpose, see ``Injection.parse``."""
    tree: str = ""
    """Where episodes branch, see ``ForkAt.parse``."""
    shard_size: int = SHARD_SIZE
    screenshots: str = ""
    """Folder that pictures go to. They belong to no record, so a run has the same episodes with and without."""

    def __post_init__(self) -> None:
        for name in ("episodes", "group_size", "shard_size"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, got {getattr(self, name)}.")
        context_strategy(self.context)
        injection = Injection.parse(self.inject)
        if injection.hang and self.limits.call_seconds is None:
            object.__setattr__(self, "limits", replace(self.limits, call_seconds=INJECTED_CALL_SECONDS))
        if self.tree:
            ForkAt.parse(self.tree)

    def resolved(self, env: AgentEnv) -> dict[str, Any]:
        """The configuration as it is stored with the run: everything that a reader needs to interpret it."""
        return {
            "env_id": self.env_id,
            "env_kwargs": dict(self.env_kwargs),
            "scheme": env.scheme.to_dict(),
            "components": [asdict(component) for component in type(env.game).components],
            "action_format": env.action_format.name,
            "tools": env.tools if env.action_format.structured else [],
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
            "retries": asdict(self.retries),
            "inject": self.inject,
            "tree": self.tree,
            "shard_size": self.shard_size,
            "version": __version__,
        }

    def make_env(self) -> AgentEnv:
        """One environment of the run."""
        return make(self.env_id, split=self.split, **self.env_kwargs)

    def setup(self, policy: Policy) -> Setup:
        """What its episodes share, with ``policy`` as the one that plays them."""
        return Setup(
            self.make_env,
            policy,
            self.sampling,
            self.limits,
            self.retries,
            Injection.parse(self.inject),
            ForkAt.parse(self.tree) if self.tree else None,
            context_strategy(self.context),
            Path(self.screenshots) if self.screenshots else None,
        )


def check_policy(spec: PolicySpec) -> None:
    """Raises ConfigError or UnknownNameError where ``make_policy`` would for what can be seen without building it."""
    build = _builder(spec)
    try:
        inspect.signature(build).bind(**spec.kwargs)
    except TypeError as error:
        raise ConfigError(f"The policy {spec.name!r} can't be made with {spec.kwargs}: {error}") from error


def _builder(spec: PolicySpec) -> Callable[..., Policy]:
    policies: Registry[Callable[..., Policy]] = load("agentgym.policies:POLICIES")
    build: Callable[..., Policy] = load(spec.name) if ":" in spec.name else policies.get(spec.name)
    return build


def make_policy(spec: PolicySpec) -> Policy:
    """Builds a policy from its registry name, or ``"module:attribute"``, and its arguments."""
    build = _builder(spec)
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
    workers: str | int = 0,
    policy: Policy | None = None,
    on_start: Callable[[Tally, int], None] | None = None,
    on_episode: Callable[[Trajectory, Tally, int], None] | None = None,
) -> Tally:
    """Plays and stores the episodes of a run that aren't stored yet.

    Args:
        config: The run.
        out: Its folder.
        resume: Go on with a run that is there.
        concurrency: Episodes in flight, over all workers. Changes nothing that is stored.
        workers: Processes that play, or a Ray cluster, see ``parse_workers``. 0: this process.
        policy: A ready policy, for this process only; None builds it from the configuration.
        on_start: Called before the first episode with the totals of what is stored and the number of jobs that is.
        on_episode: Called after each episode with it, the totals of this process and the number of jobs stored in all.

    Returns:
        The totals of what this process played.
    """
    if concurrency < 1:
        raise ConfigError(f"concurrency must be at least 1, got {concurrency}.")
    env = config.make_env()
    resolved = config.resolved(env)
    pictures = env.game.has_pictures
    env.close()
    if config.screenshots and not pictures:
        raise ConfigError(f"{config.env_id} has no pictures to store (web environments have some in Chromium).")
    where = parse_workers(workers)
    here = where.kind == "here"
    if policy is not None and not here:
        raise ConfigError("Workers build their policy themselves: name it in the configuration.")
    require(where)
    owned = policy is None and here
    if owned:
        policy = make_policy(config.policy)  # before anything is written: its arguments may be wrong
    elif policy is None:
        check_policy(config.policy)
    tally = Tally()
    try:
        with RunWriter(out, resolved, config.episodes, resume=resume, shard_size=config.shard_size) as writer:
            if on_start is not None:
                on_start(stored_totals(out, retried=False), len(writer.done))
            left = config.episodes - len(writer.done)
            if not left:
                return tally
            jobs = plan(
                config.episodes,
                config.group_size,
                config.seed,
                task_ids=config.task_ids,
                progress=config.progress,
                skip=writer.done.copy(),
            )
            at_once = min(concurrency, left)
            if policy is not None:
                played = play_jobs(jobs, config.setup(policy), concurrency=at_once)
            else:
                played = play_with_workers(jobs, config, where, concurrency=at_once)
            async with aclosing(played):
                async for job, trajectories, timing in played:
                    writer.add(job.index, trajectories, {**asdict(timing), "finished": time.time()})
                    tally.add_retried(timing.retried)
                    for trajectory in trajectories:
                        tally.add(trajectory)
                        if on_episode is not None:
                            on_episode(trajectory, tally, len(writer.done))
    finally:
        if owned and policy is not None:
            policy.close()
    return tally
