"""Adapters for golden files of methods on whole trajectories and on tokens, each through a `Batch` or a kernel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from agentgym.credit import Batch, Norm, make
from agentgym.credit.kernels.pure import score_from_logits, softmin_weighted
from agentgym.credit.kernels.redistribute import attention_distribution
from agentgym.credit.kernels.returns import policy_token_returns, returns_cut_by_mask
from agentgym.credit.methods.process import PureReleased
from agentgym.credit.methods.token_returns import Prime
from agentgym.credit.scorers import Arena
from agentgym.testing.goldens.compare import Masked
from agentgym.testing.goldens.layout import dense_batch, dense_outcome, groups_of

Inputs = Mapping[str, Any]
Outputs = dict[str, Any]


def grpo(inputs: Inputs) -> Outputs:
    """verl's GRPO; without the standard deviation it is Dr.GRPO."""
    if not inputs["norm_adv_by_std_in_grpo"]:
        return dense_outcome(inputs, "dr_grpo_verl")
    return dense_outcome(inputs, "grpo_verl", norm=Norm(eps=inputs.get("epsilon", 1e-6), singleton="raw"))


def rloo(inputs: Inputs) -> Outputs:
    """verl's RLOO."""
    return dense_outcome(inputs, "rloo_verl")


def opo(inputs: Inputs) -> Outputs:
    """verl's OPO."""
    return dense_outcome(inputs, "opo_verl")


def trl_advantages(inputs: Inputs) -> Outputs:
    """TRL's GRPO advantages with the scale that the case's name says."""
    if "rewards_per_func" in inputs:
        return _gdpo(inputs)
    rewards = inputs["rewards"]
    scale: Any = next((kind for kind in ("batch", "none") if kind in inputs["_case"]), "group")
    batch = Batch.build(groups_of(len(rewards), inputs["num_generations"]), [[reward] for reward in rewards])
    return {"advantages": make("grpo", norm=Norm(scale=scale, eps=1e-4))(batch).trajectory}


def _gdpo(inputs: Inputs) -> Outputs:
    """TRL's ``normalize_then_sum``; null is a reward that doesn't apply."""
    rewards = np.asarray(inputs["rewards_per_func"], dtype=np.float64)
    batch = Batch.build(
        groups_of(len(rewards), inputs["num_generations"]),
        [[0.0]] * len(rewards),
        columns={"component_reward": rewards},
    )
    return {"advantages": make("gdpo", weights=tuple(inputs["weights"]))(batch).trajectory}


def gae_masked(inputs: Inputs) -> Outputs:
    """verl's GAE, compared on policy tokens."""
    batch = dense_batch(inputs, columns={"value": inputs["values"]})
    credit = make("gae", gamma=inputs["gamma"], lam=inputs["lam"])(batch)
    return _with_returns(batch, credit, inputs["response_mask"])


def bilevel(inputs: Inputs) -> Outputs:
    """RAGEN's bi-level GAE with its boundaries at non-zero rewards, compared on policy tokens."""
    batch = dense_batch({**inputs, "response_mask": inputs["loss_mask"]}, columns={"value": inputs["values"]})
    parameters = {"gamma": inputs["gamma"], "lam": inputs["lam"], "turn_gamma": inputs["high_level_gamma"]}
    credit = make("bilevel_gae_released", **parameters)(batch)
    return _with_returns(batch, credit, inputs["loss_mask"])


def _with_returns(batch: Batch, credit: Any, mask: Any) -> Outputs:
    flags = np.asarray(mask) > 0
    returns = np.where(batch.policy_mask, credit.value_target, 0.0)
    return {"advantages": Masked(batch.dense(credit.token), flags), "returns": Masked(batch.dense(returns), flags)}


def reinforce_pp(inputs: Inputs) -> Outputs:
    """verl's REINFORCE++ (with a discount) and its baseline form (without)."""
    if "gamma" not in inputs:
        return dense_outcome(inputs, "reinforce_pp_baseline_verl")
    batch = dense_batch(inputs)
    mask = np.asarray(inputs["response_mask"]) > 0
    token = make("reinforce_pp_verl", gamma=inputs["gamma"])(batch).token
    returns = returns_cut_by_mask(batch.token_rewards, batch.policy_mask, batch.token_offsets, inputs["gamma"])
    return {"advantages": Masked(batch.dense(token), mask), "returns": Masked(batch.dense(returns), mask)}


def remax(inputs: Inputs) -> Outputs:
    """verl's ReMax, compared on policy tokens."""
    batch = dense_batch(inputs, columns={"greedy_return": inputs["reward_baselines"]})
    mask = np.asarray(inputs["response_mask"]) > 0
    returns = policy_token_returns(batch.token_rewards, batch.policy_mask, batch.token_offsets, 1.0)
    return {
        "advantages": Masked(batch.dense(make("remax")(batch).token), mask),
        "returns": Masked(batch.dense(returns), mask),
    }


def prime(inputs: Inputs) -> Outputs:
    """The recipe's two streams, compared on policy tokens."""
    mask = np.asarray(inputs["response_mask"])
    groups = groups_of(len(mask), inputs["n_samples"])
    columns = {"token_process_reward": inputs["rm_scores"]}
    batch = Batch.from_dense(groups, np.zeros(mask.shape), mask, outcomes=inputs["acc"], columns=columns)
    weights = {"process_weight": inputs["reward_dpo_coef"], "outcome_weight": inputs["reward_gt_coef"]}
    method = Prime(signal="token_process_reward", **weights)
    returns = np.where(batch.policy_mask, method.returns(batch), 0.0)
    return {
        "advantages": Masked(batch.dense(method(batch).token), mask > 0),
        "returns": Masked(batch.dense(returns), mask > 0),
    }


def pure_rloo(inputs: Inputs) -> Outputs:
    """The verl branch: suffix sum or strict suffix minimum."""
    batch = dense_batch({**inputs, "response_mask": inputs["eos_mask"]})
    mask = np.asarray(inputs["eos_mask"]) > 0
    method = PureReleased(inputs["return_aggregate_method"], inputs["adv_norm"], padded_length=mask.shape[1])
    returns = Masked(batch.dense(method.advantage(batch)), mask)
    return {"advantages": Masked(batch.dense(method(batch).token), mask), "returns": returns}


def pure_softmin(inputs: Inputs) -> Outputs:
    """Soft-min weights over steps; without a temperature, the mean."""
    mask = np.asarray(inputs["step_mask"], dtype=np.bool_)
    score = score_from_logits(np.asarray(inputs["logits"], dtype=np.float64)[mask])
    offsets = np.concatenate([[0], np.cumsum(mask.sum(axis=1))])
    process = np.zeros(mask.shape)
    process[mask] = softmin_weighted(score, offsets, inputs.get("temperature"))
    return {"process_reward": process, "outcome_reward": process.sum(axis=1)}


def abc_attention(inputs: Inputs) -> Outputs:
    """The attention of the last response row."""
    attention = np.asarray(inputs["attention_head_mean"])
    return {"distribution": attention_distribution(attention, inputs["query_len"], inputs["response_len"])}


def arena(inputs: Inputs) -> Outputs:
    """The released knock-out with a judge that returns the two strengths."""
    strength = inputs.get("strength", [0.0])
    calls: list[list[int]] = []

    def judge(first: int, second: int) -> tuple[float, float]:
        calls.append([first, second])
        return strength[first], strength[second]

    batch = Batch.build([0] * len(strength), [[0.0]] * len(strength))
    rewards = Arena(byes="released")(batch, judge)["arena_reward"]
    return {"rewards": rewards, "n_judge_calls": len(calls), "judge_calls": calls}


ADAPTERS: dict[str, Any] = {
    "grpo": grpo,
    "rloo": rloo,
    "opo": opo,
    "trl_advantages": trl_advantages,
    "gae_masked": gae_masked,
    "turn_gae_bilevel": bilevel,
    "reinforce_pp": reinforce_pp,
    "remax": remax,
    "prime": prime,
    "pure_rloo": pure_rloo,
    "pure_softmin": pure_softmin,
    "abc_attention": abc_attention,
    "arena_single_elimination": arena,
}
