"""Adapters for the formulas that are reward schemes: each case is an episode booked in a ``Ledger``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agentgym.core.ledger import Ledger
from agentgym.core.rewards import Posterior, Renorm, RewardScheme, Rule, accumulate

Inputs = Mapping[str, Any]


def _ledger(weights: Mapping[str, float], rules: tuple[Rule, ...], turns: Sequence[Mapping[str, float]]) -> Ledger:
    ledger = Ledger(RewardScheme("golden", weights, rules))
    for turn in turns[:-1]:
        ledger.add(turn)
    ledger.add(turns[-1], end="terminated")
    return ledger


def posterior_grpo(inputs: Inputs) -> dict[str, Any]:
    """``R_f + R_o + R_o R_t``: the process reward times the outcome."""
    scheme = {"format": 1.0, "outcome": 1.0, "thinking": 1.0}
    rules = (Posterior("posterior", ("thinking",), "outcome"),)
    columns = zip(inputs["format"], inputs["outcome"], inputs["thinking"], strict=True)
    return {"reward": [_ledger(scheme, rules, [dict(zip(scheme, row, strict=True))]).total for row in columns]}


def ppr_renorm(inputs: Inputs) -> dict[str, Any]:
    """``r_p + r_o − 1`` a step."""
    rules = (Renorm("renorm", ("process",), "outcome"),)
    rows = zip(inputs["process"], inputs["outcome"], strict=True)
    ledgers = [_ledger({"process": 1.0}, rules, [{"process": float(p), "outcome": float(o)}]) for p, o in rows]
    return {"step_reward": [ledger.total for ledger in ledgers]}


def gra_gate(inputs: Inputs) -> dict[str, Any]:
    """Step rewards count iff the outcome is above the threshold; the outcome always counts."""
    rules = (accumulate(["step"], on="outcome", at_least=inputs["threshold"], strict=">=" not in inputs["rule"]),)
    totals = []
    for outcome, steps in zip(inputs["outcome"], inputs["step_rewards"], strict=True):
        turns = [{"step": float(step)} for step in steps]
        turns[-1]["outcome"] = float(outcome)
        totals.append(_ledger({"step": 1.0, "outcome": 1.0}, rules, turns).total)
    return {"total": totals}


ADAPTERS: dict[str, Any] = {
    "paper_formulas:posterior_grpo": posterior_grpo,
    "paper_formulas:ppr_renorm": ppr_renorm,
    "paper_formulas:gra_gate": gra_gate,
}
