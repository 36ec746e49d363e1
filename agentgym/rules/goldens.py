"""Which rule takes which golden file: one adapter a file, from a case's ``inputs`` to its ``outputs``.

Golden files hold what reference implementations returned for invented inputs. An adapter only renames and picks; where
a case tests behaviour of a release that differs from its paper, the adapter selects the preset that reproduces it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from agentgym.rules import dapo, igpo, prorag, rlvmr, router_r1, tags, toolrl

Adapter = Callable[[Mapping[str, Any]], dict[str, Any]]


def toolrl_reward(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """``toolrl.toolrl_reward`` with the variant that the case's environment variables select."""
    variant = toolrl.Variant.from_switches(inputs.get("env", {}))
    score = toolrl.toolrl_reward(inputs["response"], inputs["ground_truth"], step=inputs["step"], variant=variant)
    return score._asdict()


def toolrl_match_score(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """``toolrl.match_score``."""
    return {"score": toolrl.match_score(inputs["a"], inputs["b"])}


def router_r1_reward(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """``router_r1.outcome_reward``; the release logs the format score as the metric of a missed exact match."""
    score = router_r1.outcome_reward(
        inputs["solution"],
        inputs["target"],
        format_score=inputs["format_score"],
        cost_reward=inputs["api_cost_reward"],
        cost_weight=inputs["cost_coe"],
        metric=inputs["metric"],
    )
    missed = inputs["metric"] == "em" and score.metric == 0 and tags.last_answer(inputs["solution"]) is not None
    return {**score._asdict(), "metric": inputs["format_score"] if missed else score.metric}


def router_r1_cost(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """``router_r1.CostWindow.observe`` of each cost in turn."""
    window = router_r1.CostWindow(inputs["q_low"], inputs["q_high"], inputs["window"], inputs["transform"])
    return {"cost_rewards": [window.observe(cost) for cost in inputs["costs_in_order"]]}


def rlvmr_tag_rewards(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """``rlvmr.tag_rewards`` of each trajectory: the case ``tag_rewards`` of ``rlvmr`` (the others are advantages)."""
    columns = zip(inputs["outputs"], inputs["valid"], inputs["available"], inputs["episode_rewards"], strict=True)
    rewards = [rlvmr.tag_rewards(messages, *flags, success=reward > 0) for messages, *flags, reward in columns]
    return {"tag_and_reward": [[list(turn) for turn in trajectory] for trajectory in rewards]}


def igpo_f1_outcome(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """``igpo.outcome_reward``; validation (``noformatf1``) pays 0 for a bad format."""
    kind = inputs["val_type"]
    score = igpo.outcome_reward(
        inputs["solution"],
        inputs["ground_truth"].lower().split("<|answer_split|>"),
        metric="em" if kind == "em" else "f1",
        malformed=0.0 if kind == "noformatf1" else -2.0,
    )
    return {"score": score}


def igpo_turn_reward(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """``igpo.belief`` before every turn, and ``igpo.turn_rewards`` on both scales."""
    beliefs = [igpo.belief(logprobs) for logprobs in inputs["gt_token_logprobs_per_turn_start"]]
    return {
        "prob_diff": igpo.turn_rewards(beliefs, gain="prob"),
        "log_prob_diff": igpo.turn_rewards(beliefs, gain="log_prob"),
        "length_normalised_prob": [igpo.probability(value) for value in beliefs],
    }


def prorag_format(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """``prorag.trajectory_format`` and the released ``prorag.step_format``."""
    text = inputs["completion"]
    return {"trajectory": prorag.trajectory_format(text), "step": prorag.step_format(text, released=True)}


def dapo_overlong(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """``dapo.overlong_penalty`` of each length: the case ``dapo_overlong`` of ``paper_formulas``."""
    limits = {"max_length": inputs["max_resp_len"], "buffer": inputs["buffer"], "factor": inputs["penalty_factor"]}
    return {"overlong_reward": [dapo.overlong_penalty(length, **limits) for length in inputs["lengths"]]}


ADAPTERS: dict[str, Adapter] = {
    "toolrl_reward": toolrl_reward,
    "toolrl_match_score": toolrl_match_score,
    "router_r1_reward": router_r1_reward,
    "router_r1_cost": router_r1_cost,
    "rlvmr:tag_rewards*": rlvmr_tag_rewards,
    "igpo_f1_outcome": igpo_f1_outcome,
    "igpo_turn_reward": igpo_turn_reward,
    "prorag_format": prorag_format,
    "paper_formulas:dapo_overlong*": dapo_overlong,
}
"""Golden file (``file`` or ``file:case``) to adapter."""
