"""Adapters for golden files of methods on turns, each through a `Batch` or a kernel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from agentgym.credit import Batch, Norm, make
from agentgym.credit.kernels import igpo_released, spa
from agentgym.credit.kernels.anchors import anchor_advantage, similarity_codes
from agentgym.credit.kernels.igpo import accumulate
from agentgym.credit.kernels.implicit import scale_by_largest
from agentgym.credit.kernels.mt_grpo import before_first_result, mt_grpo_advantage
from agentgym.credit.kernels.normalise import normalise
from agentgym.credit.methods.common import turn_returns
from agentgym.credit.methods.process import ProRag
from agentgym.credit.methods.released import SpaReleased
from agentgym.credit.methods.signals import step_signal
from agentgym.credit.methods.turns import anchor_codes
from agentgym.credit.segments import discounted_to_go
from agentgym.testing.goldens.compare import Masked
from agentgym.testing.goldens.layout import Rows, dense_batch, dense_outcome, groups_of, rows_batch

Inputs = Mapping[str, Any]
Outputs = dict[str, Any]


def gigpo(inputs: Inputs) -> Outputs:
    """The release on one row a turn: statistics of the episode over rows."""
    if "uid" not in inputs:
        return _gigpo_similarity(inputs)
    if "mode" not in inputs:
        return _gigpo_episode(inputs)
    rows = rows_batch(inputs, inputs["step_env_rewards"], columns={"anchor": inputs["anchor_obs"]})
    scale: Any = "group" if inputs["mode"] == "mean_std_norm" else "none"
    episode, step = Norm(scale=scale, eps=inputs["epsilon"], singleton="raw"), Norm(scale=scale, eps=inputs["epsilon"])
    parameters = {"gamma": inputs["gamma"], "episode_norm": episode, "step_norm": step}
    returns = turn_returns(rows.batch, rows.batch.turn_reward, inputs["gamma"])
    return {
        "step_returns": returns[rows.back],
        "episode_advantages": rows.masked(_gigpo_rows(rows, {**parameters, "omega": 0.0})),
        "advantages": rows.masked(_gigpo_rows(rows, {**parameters, "omega": inputs["step_advantage_w"]})),
    }


def _gigpo_rows(rows: Rows, parameters: dict[str, Any]) -> Any:
    """Through the method; through its kernels where rows of a trajectory disagree about the episode's reward."""
    batch = rows.batch
    if rows.agree:
        return make("gigpo_released", reward="outcome", **parameters)(batch).token
    returns = turn_returns(batch, batch.turn_reward, parameters["gamma"])
    episode = normalise(rows.totals, batch.turn_group, parameters["episode_norm"])
    step = anchor_advantage(returns, anchor_codes(batch), parameters["step_norm"])
    return batch.over_turns(episode + parameters["omega"] * step)


def _gigpo_episode(inputs: Inputs) -> Outputs:
    """The episode part alone, with statistics over trajectories as in the paper, or over rows."""
    rows = rows_batch(inputs, np.zeros(len(inputs["uid"])), columns={"anchor": np.arange(len(inputs["uid"]))})
    population = "turn" if inputs["compute_mean_std_cross_steps"] else "trajectory"
    norm = Norm(scale="none" if inputs["remove_std"] else "group", eps=inputs["epsilon"], singleton="raw")
    credit = make("gigpo", population=population, episode_norm=norm, reward="outcome", omega=0.0)(rows.batch)
    return {"episode_advantages": rows.masked(credit.token)}


def _gigpo_similarity(inputs: Inputs) -> Outputs:
    """Greedy clustering at the difflib ratio that ends the case's name."""
    texts, name = inputs["anchor_obs"], inputs["_case"].rpartition("_")[2]
    threshold = float(name) if name.replace(".", "", 1).isdigit() else 0.95
    return {"group_ids": similarity_codes(texts, [0] * len(texts), threshold)}


def igpo(inputs: Inputs) -> Outputs:
    """The February 2026 release on token rewards."""
    scale: Any = "group" if inputs["norm_adv_by_std_in_grpo"] else "none"
    return dense_outcome(
        inputs,
        "igpo_released",
        signal="token_reward",
        gamma=inputs["gamma"],
        joint=inputs["info_gain_norm_mode"] == "joint",
        norm=Norm(scale=scale, ddof=0, variance_eps=1e-8, eps=inputs["epsilon"]),
        outcome_weight=inputs.get("curriculum_f1_weight", 1.0),
        gain_weight=inputs.get("curriculum_ig_weight", 1.0),
    )


def igpo_2025(inputs: Inputs) -> Outputs:
    """The early attempt: with a discount by the first position, without one by each position."""
    batch = dense_batch(inputs)
    gamma = inputs.get("gamma")
    method = make("igpo_2025", baseline="position") if gamma is None else make("igpo_2025", gamma=gamma)
    mask = np.asarray(inputs["response_mask"]) > 0
    to_go = discounted_to_go(batch.token_rewards, batch.token_offsets, 1.0 if gamma is None else gamma)
    returns = Masked(batch.dense(np.where(batch.policy_mask, to_go, 0.0)), mask)
    return {"advantages": Masked(batch.dense(method(batch).token), mask), "returns": returns}


def igpo_fireworks(inputs: Inputs) -> Outputs:
    """One group; gains and outcomes a turn."""
    batch = Batch.build([0] * len(inputs["ig_rewards"]), inputs["ig_rewards"])
    outcome = np.concatenate([np.asarray(o, dtype=np.float64) for o in inputs["outcome_rewards"]])
    scaled = igpo_released.fireworks_turn_reward(batch.turn_reward, outcome, batch.turn_group, inputs["eps"])
    total = accumulate(scaled, batch.turn_offsets, inputs["gamma"])
    return {"turn_advantages": np.split(total, batch.turn_offsets[1:-1])}


def istar(inputs: Inputs) -> Outputs:
    """The released iStar estimator that the case's name says, on one row a turn."""
    name = inputs["_case"]
    estimators = {"rloo_process": "process", "rloo": "rloo", "grpo": "grpo", "reinforce_pp": "reinforce_pp"}
    estimator = next((kind for prefix, kind in estimators.items() if name.startswith(prefix)), "combined")
    step = np.asarray(inputs["step_rewards"]).sum(axis=1)
    rows = rows_batch(inputs, np.zeros(len(step)), columns={"process_reward": step})
    if not rows.agree:
        raise NotImplementedError("rows of one trajectory carry different episode rewards")
    scale: Any = "group" if "mean_std" in name else "none"
    method = make(
        "istar_released",
        estimator=estimator,
        weight=inputs.get("step_advantage_w", 1.0),
        signal="process_reward",
        reward="outcome",
        norm=Norm(scale=scale, singleton="raw", eps=inputs.get("epsilon", 1e-6)),
    )
    return {"advantages": rows.masked(method(rows.batch).token)}


def istar_paper(inputs: Inputs) -> Outputs:
    """The paper's form, as the method `oprl`."""
    steps = inputs["step_rewards"]
    batch = Batch.build(
        [0] * len(steps),
        [[0.0] * len(s) for s in steps],
        outcomes=inputs["episode_rewards"],
        columns={"process_reward": steps},
    )
    norm = Norm(eps=inputs["eps"], ddof=1 if inputs["std"] == "unbiased" else 0)
    found = {}
    for key, alpha, weight in (("A_E", 0.0, 1.0), ("A", inputs["alpha"], 1.0)):
        found[key] = (
            make("oprl", signal="process_reward", alpha=alpha, episode_norm=norm, step_norm=norm)(batch).turn * weight
        )
    step = (
        make("oprl", signal="process_reward", alpha=1.0, episode_norm=norm, step_norm=norm)(batch).turn - found["A_E"]
    )
    split = batch.turn_offsets[1:-1]
    return {
        "A_E": found["A_E"][batch.turn_offsets[:-1]],
        "A_S": np.split(step, split),
        "A": np.split(found["A"], split),
    }


def spa_paper(inputs: Inputs) -> Outputs:
    """The paper's turn reward."""
    progress, grounded = np.asarray(inputs["predicted_contribution"]), np.asarray(inputs["grounded"]) != 0
    return {"step_rewards": spa.progress_reward(progress, grounded, 1.0, inputs["beta_grounding"])}


def spa_data_org(inputs: Inputs) -> Outputs:
    """The released data script: leave-one-out outcome plus grounding, the last turn always grounded."""
    counts = inputs["n_steps"]
    executable = [[not nothing for nothing in flags] + [False] for flags in inputs["next_obs_nothing_happens"]]
    batch = Batch.build(
        [0] * len(counts),
        [[0.0] * count for count in counts],
        outcomes=inputs["final_rewards_same_task"],
        columns={"executable": executable},
    )
    return {"step_rewards": np.split(SpaReleased().step_reward(batch), batch.turn_offsets[1:-1])}


def spa_step_rewards(inputs: Inputs) -> Outputs:
    """The released trainer: step scores times the steps that remain, minus the KL penalty."""
    mask = np.asarray(inputs["mask"])
    columns = {name[:-1]: inputs[name] for name in ("logprobs", "ref_logprobs") if name in inputs}
    batch = Batch.from_dense(list(range(len(mask))), np.zeros(mask.shape), mask, columns=columns)
    # Scores fill the assistant runs from the last one backwards; what has no counterpart at the front is lost or 0.
    scores = [
        ([0.0] * count + list(s))[-count:] for s, count in zip(inputs["step_scores"], batch.turn_counts, strict=True)
    ]
    progress = np.concatenate([np.asarray(s, dtype=np.float64) for s in scores])
    batch = batch.with_columns({"progress": progress, "executable": np.zeros(batch.n_turns, dtype=np.bool_)})
    method = SpaReleased(beta=0.0, attribution="progress", kl_coef=inputs.get("kl_coef", 0.0))
    return {"token_rewards": batch.dense(method.token_reward(batch))}


def prorag(inputs: Inputs) -> Outputs:
    """The release's token population. Equal scores leave float32 noise divided by 1e-4 in the reference, and 0 here."""
    mask, score = (
        np.asarray(inputs["completion_mask"]) > 0,
        np.asarray(inputs["step_scores_per_token"], dtype=np.float64),
    )
    change = np.ones(mask.shape, dtype=np.bool_)
    change[:, 1:] = (mask[:, 1:] != mask[:, :-1]) | (score[:, 1:] != score[:, :-1])
    turn_ids = np.where(mask, np.cumsum(change, axis=1), -1)
    groups = groups_of(len(mask), inputs["num_generations"])
    outcomes = inputs["outcome_rewards"]
    batch = Batch.from_dense(groups, np.zeros(mask.shape), mask, turn_ids=turn_ids, outcomes=outcomes)
    batch = batch.with_columns({"process_reward": score.ravel()[batch.turn_start]})
    method = ProRag(beta=inputs["prm_beta"], population="token")
    step = method.step_advantage(batch)
    outcome = make("grpo", reward="outcome", norm=Norm(eps=1e-4))(batch)
    level = np.bincount(batch.turn_group, np.abs(step))[batch.turn_group] == 0
    noise = batch.dense(batch.over_turns(np.where(level, 4 * np.finfo(np.float32).eps / 1e-4, 0.0))) * np.abs(score)
    return {
        "outcome_advantages": outcome.trajectory,
        "step_advantages": Masked(batch.dense(batch.over_turns(step)), mask, noise),
        "advantages": Masked(batch.dense(method(batch).token), mask, noise),
        "_remark": "a group of equal scores: rounding noise in the reference, exactly 0 here" if level.any() else "",
    }


def rlvmr(inputs: Inputs) -> Outputs:
    """The release on one row a turn. The rows say no trajectory, and their statistics need none: each is its own."""
    mask = np.asarray(inputs["mask"]) > 0
    scale: Any = "group" if inputs["mode"] == "mean_std_norm" else "none"
    norm = Norm(scale=scale, singleton="raw", eps=inputs.get("epsilon", 1e-6))
    batch = Batch.from_dense(
        inputs["index"],
        inputs["token_level_rewards"],
        mask,
        turn_ids=np.zeros(mask.shape, dtype=np.int64),
        columns={"process_reward": inputs["step_rewards"], "tag": np.asarray(inputs["tags"], dtype=object)},
    )

    def with_weights(episode: float, step: float) -> Masked:
        method = make(
            "rlvmr_released",
            reward="return",
            episode_norm=norm,
            step_norm=norm,
            episode_weight=episode,
            step_weight=step,
        )
        return Masked(batch.dense(method(batch).token), mask)

    both = with_weights(1.0, inputs["step_advantage_w"])
    return {"advantages": both, "episode": with_weights(1.0, 0.0), "step": with_weights(0.0, 1.0)}


def mt_grpo(inputs: Inputs) -> Outputs:
    """The release, compared on policy tokens. Segments are runs of the mask; the result stands in the one indexed."""
    mask = np.asarray(inputs["completion_mask"]) > 0
    turn, outcome, combined = (np.asarray(inputs[f"{name}_rewards"]) for name in ("turn", "outcome", "combined"))
    groups = groups_of(len(mask), inputs["num_generations"])
    batch = Batch.from_dense(groups, np.zeros(mask.shape), mask, outcomes=outcome)
    segment = np.cumsum(np.diff(mask, axis=1, prepend=mask[:, :1]) != 0, axis=1).ravel()[batch.turn_start]
    result = np.asarray(inputs["result_segment_indices"])[batch.turn_trajectory]
    last_before = (segment < result) & (np.append(segment[1:], 0) >= result) & ~batch.is_last_turn
    last_before |= (segment < result) & batch.is_last_turn
    norm = Norm(eps=1e-4)
    parts = {
        name: normalise(x, batch.group_index, norm)
        for name, x in (("turn", turn), ("outcome", outcome), ("combined", combined))
    }
    before, got = before_first_result(last_before, batch.turn_offsets, batch.turn_trajectory)
    own = batch.turn_trajectory
    weight = inputs["turn_advantage_coef"]
    token = mt_grpo_advantage(parts["turn"], parts["outcome"], parts["combined"], before, got, own, weight)
    return {
        **{f"{name}_advantages": value for name, value in parts.items()},
        "token_advantages": Masked(batch.dense(batch.over_turns(token)), mask),
    }


def istar_step_reward(inputs: Inputs) -> Outputs:
    """Implicit step rewards at the last policy token, and the release's scaling by the largest of the batch."""
    mask = np.asarray(inputs["response_mask"])
    columns = {"prm_logprob": inputs["token_logratio_q"], "logprob": np.zeros(mask.shape)}
    turn_ids = np.zeros(mask.shape, dtype=np.int64)
    batch = Batch.from_dense(range(len(mask)), np.zeros(mask.shape), mask, turn_ids=turn_ids, columns=columns)
    step = batch.at_turn_ends(step_signal(batch, "implicit", inputs["beta"]))
    return {
        "step_rewards": batch.dense(step),
        "batch_norm": batch.dense(scale_by_largest(step, batch.token_offsets)),
    }


ADAPTERS: dict[str, Any] = {
    "gigpo": gigpo,
    "igpo": igpo,
    "igpo_2025_early_attempt": igpo_2025,
    "igpo_fireworks": igpo_fireworks,
    "istar_advantage": istar,
    "paper_formulas:istar_paper_form": istar_paper,
    "paper_formulas:spa_paper_form": spa_paper,
    "spa_rl_data_org": spa_data_org,
    "spa_step_rewards": spa_step_rewards,
    "istar_step_reward": istar_step_reward,
    "prorag": prorag,
    "rlvmr:advantage*": rlvmr,
    "mt_grpo": mt_grpo,
}
