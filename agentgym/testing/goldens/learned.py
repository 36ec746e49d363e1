"""Adapters for cases of ``paper_formulas`` that belong to learned scorers. Needs torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from agentgym.training.implicit_prm import trajectory_dpo_loss, trajectory_scores


def istar_dpo_sum(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """One pair; an episode's score is β times the *sum* over its steps."""
    steps = [inputs["q_pos_steps"], inputs["q_neg_steps"]]
    ratio = torch.tensor([value for episode in steps for value in episode], dtype=torch.float64)
    turns = torch.tensor([len(episode) for episode in steps])
    score = trajectory_scores(ratio, torch.repeat_interleave(torch.arange(2), turns), turns, inputs["beta"], "sum")
    return {"loss": float(trajectory_dpo_loss(score, torch.zeros(2), torch.tensor([True, False])))}


ADAPTERS: dict[str, Any] = {"paper_formulas:istar_paper_dpo_sum_of_steps": istar_dpo_sum}
