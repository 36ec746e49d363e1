"""The episodes of a training run: which jobs an update plays, with which policy, and what waits for the next one."""

from __future__ import annotations

from collections.abc import Sequence

from agentgym.core.env import AgentEnv
from agentgym.core.errors import ConfigError
from agentgym.core.policy import Policy, Sampling
from agentgym.core.records import Trajectory
from agentgym.core.seeding import derive_rng, derive_seed
from agentgym.core.tasks import Curriculum, TaskSampler
from agentgym.rollout.engine import Setup, collect_all
from agentgym.rollout.jobs import Job, plan
from agentgym.rollout.pool import RolloutPool
from agentgym.training.config import TrainConfig
from agentgym.training.models import make_env


class Collector:
    """Plays episodes for a trainer.

    Args:
        config: The run.
    """

    def __init__(self, config: TrainConfig) -> None:
        self.config = config
        self.env = make_env(config)
        """One environment of the run; plays nothing itself."""
        self._pool: RolloutPool | None = None

    def play(
        self, jobs: Sequence[Job], policy: Policy, sampling: Sampling, *, split: str | None = None
    ) -> list[Trajectory]:
        """All episodes of ``jobs``, in order. ``split``: another one than the run's."""
        return collect_all(
            jobs, lambda: self._fresh_env(split), policy, sampling=sampling, concurrency=self.config.concurrency
        )

    def collect(self, update: int, policy: Policy) -> list[Trajectory]:
        """The groups of an update. Equal updates play equal tasks; ones below 0 are of no update.

        With ``rl.spare_groups`` they are the oldest groups that have ended; the others go on at the next call.
        """
        section = self.config.rl
        if not section.spare_groups or update < 0:
            seed = derive_seed(self.config.seed, "rl", update)
            return self.play(self._jobs(section.groups, seed, 0, update), policy, self.config.sampling)
        seed = derive_seed(self.config.seed, "rl", "pool")
        if self._pool is None:
            setup = Setup(lambda: self._fresh_env(None), policy, self.config.sampling)
            self._pool = RolloutPool(setup, concurrency=self.config.concurrency)
            first = update * section.groups
            self._pool.submit(self._jobs(section.spare_groups, seed, first, update))
        first = section.spare_groups + update * section.groups
        self._pool.submit(self._jobs(section.groups, seed, first, update))
        return [trajectory for group in self._pool.take(section.groups) for trajectory in group]

    def on_weights(self, version: int) -> None:
        """Says that the policy has other weights now."""
        if self._pool is not None:
            self._pool.on_weights(version, self.config.rl.carry)

    def close(self) -> None:
        """Ends what is still in play. Safe to call twice."""
        if self._pool is not None:
            self._pool.close()
        self._pool = None

    def _jobs(self, groups: int, seed: int, first_group: int, update: int) -> Sequence[Job]:
        section = self.config.rl
        size = section.group_size
        progress = min(max(update, 0) / max(section.updates, 1), 1.0)
        jobs = list(plan(groups * size, size, seed, progress=progress, first=first_group * size))
        return self._with_curriculum(jobs, seed, progress)

    def _with_curriculum(self, jobs: Sequence[Job], seed: int, progress: float) -> Sequence[Job]:
        window = self.config.env.curriculum
        if not window:
            return jobs
        if len(window) != 4:
            raise ConfigError(f"env.curriculum takes four numbers (low, high, low, high), got {list(window)}.")
        curriculum = Curriculum((window[0], window[1]), (window[2], window[3]))
        sampler = TaskSampler(self.env.game.tasks(), self.config.env.split, curriculum=curriculum)
        tasks = {
            group: sampler.draw(derive_rng(seed, "task", group), progress).task_id for group in {j.group for j in jobs}
        }
        return [Job(j.index, j.group, j.env_seed, j.policy_seed, tasks[j.group], j.progress) for j in jobs]

    def _fresh_env(self, split: str | None) -> AgentEnv:
        """An environment over the same world."""
        env = make_env(self.config)
        if split is not None:
            env.split = split
        return env
