"""The trainer: a supervised warm start, then RL as five functions over one batch.

``collect`` plays groups of episodes, ``score`` adds the columns that the credit method needs, ``assign`` computes the
credit, ``update`` makes the optimizer steps, ``log`` writes what happened. One learner on one device; larger scale goes
through other trainers. Everything random follows from the seed and the step's number, so that a resumed run is the run.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from agentgym.core.errors import ConfigError, DataError
from agentgym.core.ledger import rescore
from agentgym.core.policy import Sampling
from agentgym.core.records import Trajectory
from agentgym.core.registry import load
from agentgym.core.seeding import derive_rng, derive_seed
from agentgym.credit import Batch, Credit, CreditError, make
from agentgym.evaluation.intervals import mean_interval, wilson
from agentgym.rollout.batch import to_batch, trainable
from agentgym.rollout.jobs import plan
from agentgym.training.ahead import Ahead
from agentgym.training.collecting import Collector
from agentgym.training.config import TrainConfig
from agentgym.training.correction import corrected, staleness
from agentgym.training.engines import Engine, TorchEngine, make_engine
from agentgym.training.models import build_policy
from agentgym.training.optimizers import Optimizers, adamw, muon_adamw
from agentgym.training.scoring import fill, scorers_for
from agentgym.training.update import Metrics, autocast, minibatches, policy_step, supervised_step


class Trainer:
    """A training run in memory.

    Args:
        config: The run.
        policy: A ready policy with a trainable ``model``; None builds the one that the configuration names.
    """

    def __init__(self, config: TrainConfig, policy: Any = None) -> None:
        self.config = config
        if config.sampling.temperature <= 0:
            raise ConfigError("sampling.temperature must be above 0 to train: greedy samples have no gradient.")
        self.policy = policy if policy is not None else build_policy(config)
        self.model = self.policy.model
        self.device: torch.device = next(self.model.parameters()).device
        try:
            self.method = make(config.credit.method, **config.credit.parameters)
        except (CreditError, TypeError) as error:
            raise ConfigError(f"credit: {error}") from error
        self._collector = Collector(config)
        self.warm_steps = 0
        self.updates = 0
        self._optimizer: Optimizers | None = None
        self._phase = "warm_start"
        self.scorers: dict[str, Any] = {}
        self.engine: Engine = TorchEngine(self.policy)
        self._ahead: Ahead[list[Trajectory]] | None = None
        self._waiting: list[Trajectory] | None = None

    # ------------------------------------------------------------------ warm start

    def warm_step(self) -> Metrics:
        """One supervised step on fresh episodes of the expert."""
        section, step = self.config.warm_start, self.warm_steps
        if self._optimizer is None:
            self._optimizer = self._warm_optimizer()
        factor = _warmup_cosine(step, section.steps, section.warmup)
        self._optimizer.scale(factor)
        expert = load("agentgym.policies.scripted:ScriptedPolicy")(section.mistake_rate, self.policy.renderer)
        jobs = list(plan(section.batch_size, 1, derive_seed(self.config.seed, "warm start", step)))
        batch = to_batch([t for t in self._collector.play(jobs, expert, self.config.sampling) if trainable(t)])
        self.model.train()
        metrics = supervised_step(
            self.model,
            self._optimizer,
            batch,
            max_tokens=self.config.rl.max_tokens,
            max_grad_norm=1.0,
            observation_weight=section.observation_weight,
        )
        self.model.eval()
        self.warm_steps += 1
        self.policy.updated(self.version)
        rate = section.learning_rate * factor
        return {**metrics, "learning_rate": rate, "outcome": float(np.nanmean(batch.outcome))}

    # ------------------------------------------------------------------ RL, in five functions

    def begin_rl(self, *, scorer_warmup: bool = True) -> None:
        """Makes what RL needs: its engine, its optimizer and its scorers, all from the policy as it stands."""
        self._phase = "rl"
        if self.config.engine.name != "torch":
            self.engine = make_engine(self.config, self.policy)
            self.engine.sync(self.version)
        self._optimizer = adamw(self.model, self.config.rl.learning_rate, self.config.rl.weight_decay)
        self.scorers = scorers_for(self.config, self.policy)
        for i in range(self.config.credit.scorer_warmup if self.scorers and scorer_warmup else 0):
            batch = self.batch(self.collect(-1 - i))
            for scorer in self.scorers.values():
                scorer.fit(batch)

    def collect(self, update: int) -> list[Trajectory]:
        """Groups of episodes of the current policy; see `Collector.collect`."""
        return self._collector.collect(update, self.engine.policy)

    def batch(self, trajectories: Sequence[Trajectory]) -> Batch:
        """The columns of the episodes that were scored."""
        usable = [trajectory for trajectory in trajectories if trainable(trajectory)]
        if not usable:
            fault = trajectories[0].fatal if trajectories else None
            why = f" The first one: {fault.boundary}: {fault.message}" if fault is not None else ""
            raise DataError(f"None of {len(trajectories)} episodes was scored.{why}")
        return to_batch(usable)

    def score(self, batch: Batch, records: Sequence[Trajectory] = ()) -> tuple[Batch, Metrics]:
        """The batch with the columns that the method and the loss need; scorers that learn do so first.

        ``records`` are those of the batch, in its order: beliefs read the answers and the tokens there.
        """
        metrics: Metrics = {}
        with autocast(self.device):
            if self.engine.own_weights:
                batch, metrics = corrected(
                    batch,
                    self.model,
                    self.config.engine,
                    temperature=self.config.sampling.temperature,
                    max_tokens=self.config.rl.max_tokens,
                )
            batch, learned = fill(self.scorers, batch, records, self.model)
        return batch, {**metrics, **learned}

    def assign(self, batch: Batch) -> Credit:
        """The credit of every turn and token."""
        return self.method(batch)

    def update(self, batch: Batch, credit: Credit) -> Metrics:
        """The optimizer steps of one update; returns means over them."""
        section = self.config.rl
        assert self._optimizer is not None
        factor = min(1.0, (self.updates + 1) / max(section.warmup_updates, 1))
        self._optimizer.scale(factor)
        rng = derive_rng(self.config.seed, "minibatches", self.updates)
        temperature = self.config.sampling.temperature
        self.model.train()
        rows = [
            policy_step(self.model, self._optimizer, batch, credit, chosen, section, temperature)
            for chosen in minibatches(batch, credit, section, rng)
        ]
        self.model.eval()
        self.updates += 1
        self.policy.updated(self.version)
        metrics = {key: float(np.mean([row[key] for row in rows if key in row])) for key in (rows[0] if rows else {})}
        if rows:
            metrics["sampler_gap"] = rows[0]["sampler_gap"]
        return {**metrics, "optimizer_steps": float(len(rows)), "learning_rate": section.learning_rate * factor}

    def rl_step(self) -> dict[str, Any]:
        """Collect, score, assign, update; returns the row to log."""
        began = time.perf_counter()
        trajectories = self._take()
        collected = time.perf_counter()
        age = staleness(trajectories, self.version)
        self._let_learner_work()
        records = [trajectory for trajectory in trajectories if trainable(trajectory)]
        batch, scores = self.score(self.batch(trajectories), records)
        credit = self.assign(batch)
        metrics = self.update(batch, credit)
        ended = time.perf_counter()
        synced = self._hand_over()
        scored = [trajectory for trajectory in trajectories if trajectory.scored]
        return {
            "success": float(np.mean([bool(t.success) for t in scored])),
            "outcome": float(np.nanmean(batch.outcome)),
            "reward": float(np.mean([t.total_reward for t in scored])),
            "turns": float(np.mean([len(t.turns) for t in scored])),
            "invalid_turns": float(1.0 - batch.column("valid").mean()),
            "faults": len(trajectories) - len(scored),
            "tokens": int(batch.policy_mask.sum()),
            "staleness": age,
            **metrics,
            **scores,
            **synced,
            **{f"credit/{key}": value for key, value in credit.diagnostics.items() if isinstance(value, float)},
            "seconds_collect": collected - began,
            "seconds_learn": ended - collected,
            "seconds_sync": time.perf_counter() - ended,
        }

    @property
    def version(self) -> int:
        """Of the learner's weights: optimizer phases so far."""
        return self.warm_steps + self.updates

    def close(self) -> None:
        """Ends the engine and what is still in play. Safe to call twice."""
        self._collector.close()
        self.engine.close()

    def _take(self) -> list[Trajectory]:
        """The episodes of this update: those collected ahead, or fresh ones."""
        found, self._waiting = self._waiting, None
        return self.collect(self.updates) if found is None else found

    def _let_learner_work(self) -> None:
        """What the engine does while the learner works: sleep, or collect the next batch with the weights it has."""
        if self.config.engine.sleep:
            self.engine.sleep()
        if self.config.engine.steps_off and self.updates + 1 < self.config.rl.updates:
            following = self.updates + 1
            self._ahead = Ahead(lambda: self.collect(following))

    def _hand_over(self) -> Metrics:
        """Gives the engine the new weights, once it has finished what it was doing with the old ones."""
        if self._ahead is not None:
            self._waiting, self._ahead = self._ahead.result(), None
        if self.config.engine.sleep:
            self.engine.wake()
        metrics = self.engine.sync(self.version)
        self._collector.on_weights(self.version)
        return metrics

    # ------------------------------------------------------------------ evaluation

    def evaluate(self, *, greedy: bool) -> dict[str, Any]:
        """Success, reward and turns on held-out tasks, the same ones at every call and for every method.

        ``reward`` is what the run's own scheme pays. ``score`` is what the environment's default scheme would have
        paid, so that runs under different schemes compare.
        """
        section = self.config.evaluation
        sampling = Sampling(0.0 if greedy else 1.0, max_tokens=self.config.sampling.max_tokens)
        jobs = list(plan(section.tasks, 1, derive_seed(0, "evaluation")))
        found = self._collector.play(jobs, self.engine.policy, sampling, split=section.split)
        scored = [trajectory for trajectory in found if trajectory.scored]
        success = wilson(sum(bool(t.success) for t in scored), len(scored))
        reward = mean_interval([t.total_reward for t in scored])
        default = self._collector.env.schemes["gated"]
        score = [rescore([turn.components for turn in t.turns], default, t.end).total for t in scored]
        return {
            "success": success.value,
            "success_low": success.low,
            "success_high": success.high,
            "reward": reward.value,
            "reward_low": reward.low,
            "reward_high": reward.high,
            "score": float(np.mean(score)),
            "turns": float(np.mean([len(t.turns) for t in scored])),
            "tasks": len(scored),
        }

    # ------------------------------------------------------------------ state

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next step depends on."""
        return {
            "phase": self._phase,
            "warm_steps": self.warm_steps,
            "updates": self.updates,
            "model": self.model.state_dict(),
            "optimizer": None if self._optimizer is None else self._optimizer.state_dict(),
            "scorers": {name: scorer.state_dict() for name, scorer in self.scorers.items()},
            "waiting": None if self._waiting is None else json.dumps([t.to_dict() for t in self._waiting]),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on where ``state_dict`` was taken."""
        self.model.load_state_dict(state["model"])
        self.warm_steps, self.updates = state["warm_steps"], state["updates"]
        self._phase = state["phase"]
        if self._phase == "rl":
            self.begin_rl(scorer_warmup=False)
        elif state["optimizer"] is not None:
            self._optimizer = self._warm_optimizer()
        if self._optimizer is not None and state["optimizer"] is not None:
            self._optimizer.load_state_dict(state["optimizer"])
        for name, scorer in self.scorers.items():
            scorer.load_state_dict(state["scorers"][name])
        if state["waiting"] is not None:
            self._waiting = [Trajectory.from_dict(item) for item in json.loads(state["waiting"])]
        self.policy.updated(self.version)

    # ------------------------------------------------------------------ parts

    def _warm_optimizer(self) -> Optimizers:
        section = self.config.warm_start
        if section.matrix_learning_rate:
            return muon_adamw(self.model, section.learning_rate, section.matrix_learning_rate, section.weight_decay)
        return adamw(self.model, section.learning_rate, section.weight_decay)


def _warmup_cosine(step: int, steps: int, warmup: float) -> float:
    """Factor of the learning rate: a linear rise over ``warmup`` of the steps, then a cosine down to a tenth."""
    rise = max(int(steps * warmup), 1)
    if step < rise:
        return (step + 1) / rise
    return 0.1 + 0.45 * (1 + math.cos(math.pi * (step - rise) / max(steps - rise, 1)))
