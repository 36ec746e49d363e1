"""Policy losses, corrections for rollout-learner mismatch, KL estimators and aggregation, as functions of tensors.

Two faces. Batched: tensors (B, L), one sequence a row. Flat: tensors (N,) with ``offsets`` (B + 1,), sequence b being
``[offsets[b], offsets[b + 1])``; what needs no sequence (token ratios, KL) takes either without being told. ``mask`` is
1 on tokens that the policy sampled and 0 elsewhere; masked tokens may hold any finite value and count for nothing.

Log-probabilities are natural logs. ``logprob`` is the learner π with gradient, ``old_logprob`` π at the start of the
update, and ``rollout_logprob`` what the engine recorded at sampling, μ. A loss function returns losses a token;
``aggregate`` makes the scalar. Advantages are (B, L), (N,) or, in the batched face, (B,) for one a sequence.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor

from agentgym.core.errors import ConfigError
from agentgym.training.sequences import check_shapes, longest, per_token, spread, sum_rows, turn_sums

MAX_LOG_RATIO = 20.0
"""Log-ratios are clamped to ± this before ``exp``, so that no token overflows. Beyond it the gradient is 0."""

AggregationMode = Literal["token-mean", "seq-mean-token-sum", "seq-mean-token-mean", "seq-mean-token-sum-norm"]
Level = Literal["token", "turn", "sequence"]


class TokenLoss(NamedTuple):
    """Losses a token, and which tokens a bound cut (bool, same shape) for the clip fractions in the log."""

    loss: Tensor
    clipped: Tensor
    dual_clipped: Tensor


def ppo_loss(
    logprob: Tensor,
    old_logprob: Tensor,
    advantage: Tensor,
    *,
    clip_low: float = 0.2,
    clip_high: float = 0.2,
    dual_clip: float | None = 3.0,
) -> TokenLoss:
    """PPO-clip: ``max(-ρA, -clip(ρ, 1 - low, 1 + high)A)``, ``ρ = exp(logprob - old_logprob)``.

    With ``dual_clip`` c the loss of a token with A < 0 is at most ``-cA``, so that a large ratio on a bad token can't
    blow up (https://arxiv.org/abs/1912.09729). DAPO is ``clip_high=0.28`` with aggregation ``token-mean``
    (https://arxiv.org/abs/2503.14476). Clipped tokens have no gradient. verl's default has the dual clip, TRL's hasn't.

    Raises:
        ConfigError: ``dual_clip`` isn't above 1, or ``clip_low`` isn't in [0, 1], or ``clip_high`` is negative.
        DataError: Shapes differ.
    """
    _check_clip(clip_low, clip_high)
    if dual_clip is not None and dual_clip <= 1:
        raise ConfigError(f"dual_clip must be above 1 or None, got {dual_clip}.")
    advantage = per_token(advantage, logprob, old_logprob)
    ratio = _ratio(logprob - old_logprob)
    plain, clipped = -advantage * ratio, -advantage * ratio.clamp(1 - clip_low, 1 + clip_high)
    loss = torch.maximum(plain, clipped)
    dual_clipped = torch.zeros_like(loss, dtype=torch.bool)
    if dual_clip is not None:
        ceiling = -advantage * dual_clip
        dual_clipped = (advantage < 0) & (loss > ceiling)
        loss = torch.where(advantage < 0, torch.minimum(loss, ceiling), loss)
    return TokenLoss(loss, clipped > plain, dual_clipped)


def gspo_loss(
    logprob: Tensor,
    old_logprob: Tensor,
    advantage: Tensor,
    mask: Tensor,
    *,
    clip_low: float = 3e-4,
    clip_high: float = 4e-4,
    offsets: Tensor | None = None,
) -> TokenLoss:
    """GSPO: PPO-clip on the sequence's ratio ``s = exp(mean over its tokens of log ρ)``.

    The token form of the paper (https://arxiv.org/abs/2507.18071, equation 14): the value is ``s`` on every token and
    the gradient flows through each token's own log-probability, so that advantages may differ within a sequence; with
    one advantage a sequence it is the sequence form. Aggregate with ``seq-mean-token-mean``.

    Raises:
        ConfigError: As ``ppo_loss``.
        DataError: Shapes differ.
    """
    _check_clip(clip_low, clip_high)
    advantage = per_token(advantage, logprob, old_logprob, mask)
    mean = spread(sum_rows((logprob - old_logprob).detach(), mask, offsets), offsets, logprob)
    count = spread(sum_rows(torch.ones_like(logprob), mask, offsets), offsets, logprob)
    log_ratio = logprob - logprob.detach() + mean / count.clamp(min=1)
    ratio = _ratio(log_ratio)
    plain, clipped = -advantage * ratio, -advantage * ratio.clamp(1 - clip_low, 1 + clip_high)
    return TokenLoss(torch.maximum(plain, clipped), clipped > plain, torch.zeros_like(plain, dtype=torch.bool))


def cispo_loss(
    logprob: Tensor,
    old_logprob: Tensor,
    advantage: Tensor,
    *,
    clip_low: float | None = 0.2,
    clip_high: float = 0.28,
    bound: Literal["relative", "absolute"] = "relative",
) -> TokenLoss:
    """CISPO: ``-sg(clip(ρ))·A·logprob``: REINFORCE with a bounded weight; no token loses its gradient.

    ``relative`` clips ρ to [1 - low, 1 + high], as verl does. ``absolute`` takes the bounds themselves, as TRL does:
    its ``epsilon_high`` of 5 means ρ ≤ 5. No lower bound with ``clip_low=None`` (https://arxiv.org/abs/2506.13585).

    Raises:
        ConfigError: An unknown ``bound``, or a lower bound above the upper.
        DataError: Shapes differ.
    """
    if bound not in ("relative", "absolute"):
        raise ConfigError(f"bound must be 'relative' or 'absolute', got {bound!r}.")
    low = None if clip_low is None else (1 - clip_low if bound == "relative" else clip_low)
    high = 1 + clip_high if bound == "relative" else clip_high
    if low is not None and low > high:
        raise ConfigError(f"The lower bound of the ratio must not exceed the upper, got [{low}, {high}].")
    advantage = per_token(advantage, logprob, old_logprob)
    ratio = _ratio(logprob - old_logprob).detach()
    weight = ratio.clamp(min=low, max=high)
    return TokenLoss(-weight * advantage * logprob, weight != ratio, torch.zeros_like(ratio, dtype=torch.bool))


def rollout_weights(
    old_logprob: Tensor,
    rollout_logprob: Tensor,
    mask: Tensor,
    *,
    level: Level = "token",
    outside: Literal["truncate", "mask"] = "truncate",
    low: float | None = None,
    high: float | None = 2.0,
    turns: Tensor | None = None,
    offsets: Tensor | None = None,
) -> Tensor:
    """Importance weights π_old / μ that correct a loss for what the engine sampled from. Multiply token losses by it.

    The ratio is of a token, of a turn or of a sequence (the product of its tokens' ratios). ``truncate`` clips it to
    [low, high] (TIS), ``mask`` sets it to 0 outside (MIS). A sequence ratio over thousands of tokens leaves the bounds
    almost always; a turn's is the usable middle for agents. A token whose ``rollout_logprob`` is NaN (the engine gave
    none) counts as ratio 1. Without gradient.

    Args:
        old_logprob: The learner's, before the update.
        rollout_logprob: The engine's, recorded at sampling.
        mask: 1 on sampled tokens.
        level: What a ratio is of.
        outside: What happens to a ratio outside the bounds.
        low: Lower bound; None for none.
        high: Upper bound; None for none. TRL's default is ``level="sequence", outside="mask", high=3``.
        turns: For ``level="turn"``: index of each token's turn within its sequence, below 0 for none. Same shape.
        offsets: Sequence starts, for flat tensors.

    Returns:
        Weights of the same shape, 0 where the mask is 0.

    Raises:
        ConfigError: Unknown ``level`` or ``outside``, or ``level="turn"`` without ``turns``.
        DataError: Shapes differ.
    """
    if level not in ("token", "turn", "sequence") or outside not in ("truncate", "mask"):
        raise ConfigError(
            f"level must be token, turn or sequence and outside truncate or mask, got {level!r} and {outside!r}."
        )
    check_shapes(old_logprob, rollout_logprob, mask)
    with torch.no_grad():
        log_ratio = torch.nan_to_num(old_logprob - rollout_logprob, nan=0.0) * mask
        if level == "sequence":
            log_ratio = spread(sum_rows(log_ratio, mask, offsets), offsets, log_ratio)
        elif level == "turn":
            if turns is None:
                raise ConfigError("level='turn' needs turns, the index of each token's turn.")
            log_ratio = turn_sums(log_ratio, turns, offsets)
        ratio = _ratio(log_ratio)
        if outside == "truncate":
            weight = ratio if low is None and high is None else ratio.clamp(min=low, max=high)
        else:
            kept = (ratio >= (0.0 if low is None else low)) & (ratio <= (torch.inf if high is None else high))
            weight = ratio * kept
        return weight * mask


def kl_k1(logprob: Tensor, ref_logprob: Tensor) -> Tensor:
    """k1: ``log π - log π_ref``. Unbiased, signed, noisy. As a loss its gradient has mean 0: use it in rewards."""
    return logprob - ref_logprob


def kl_abs(logprob: Tensor, ref_logprob: Tensor) -> Tensor:
    """``|log π - log π_ref|``."""
    return (logprob - ref_logprob).abs()


def kl_k2(logprob: Tensor, ref_logprob: Tensor) -> Tensor:
    """k2: ``(log π - log π_ref)² / 2``. Biased value, but its gradient is the KL's."""
    return 0.5 * (logprob - ref_logprob).square()


def kl_k3(logprob: Tensor, ref_logprob: Tensor) -> Tensor:
    """k3 or low-variance KL: ``exp(d) - d - 1`` with ``d = log π_ref - log π``, clamped to at most 10.

    Unbiased and never negative (http://joschu.net/blog/kl-approx.html). ``d`` is clamped to ±20 first.
    """
    difference = (ref_logprob - logprob).clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO)
    return (difference.exp() - difference - 1).clamp(-10.0, 10.0)


KL_ESTIMATORS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "k1": kl_k1,
    "kl": kl_k1,
    "abs": kl_abs,
    "k2": kl_k2,
    "mse": kl_k2,
    "k3": kl_k3,
    "low_var_kl": kl_k3,
}
"""KL estimators by the names in use. All take (log π, log π_ref), sampled from π, and return one value a token."""


def aggregate(
    loss: Tensor,
    mask: Tensor,
    mode: AggregationMode = "token-mean",
    *,
    denominator: float | Tensor | None = None,
    offsets: Tensor | None = None,
) -> Tensor:
    """One scalar from losses a token.

    =========================  ======================================  ===================================
    mode                       sum over                                ``denominator``, and its default
    =========================  ======================================  ===================================
    token-mean (DAPO, BNPO)    tokens                                  tokens
    seq-mean-token-sum         tokens                                  sequences with a token
    seq-mean-token-mean (GRPO) sequences' means over their tokens      sequences with a token
    seq-mean-token-sum-norm    tokens                                  L, or the longest sequence if flat
    =========================  ======================================  ===================================

    Dr.GRPO is the last with ``denominator = B·max_length``. Give the count of the whole update as ``denominator`` when
    gradients of several micro-batches are added; each default is that of the tensors at hand. Nothing to learn from
    (mask all 0) gives 0, not NaN.

    Raises:
        ConfigError: An unknown mode.
        DataError: Shapes differ.
    """
    check_shapes(loss, mask)
    tokens = sum_rows(torch.ones_like(loss), mask, offsets)
    sums = sum_rows(loss, mask, offsets)
    if mode == "token-mean":
        total, default = sums.sum(), tokens.sum()
    elif mode == "seq-mean-token-sum":
        total, default = sums.sum(), (tokens > 0).sum()
    elif mode == "seq-mean-token-mean":
        total, default = (sums / tokens.clamp(min=1)).sum(), (tokens > 0).sum()
    elif mode == "seq-mean-token-sum-norm":
        total, default = sums.sum(), longest(loss, offsets)
    else:
        raise ConfigError(f"mode must be one of {', '.join(get_args(AggregationMode))}, got {mode!r}.")
    return total / (default.clamp(min=1) if denominator is None else denominator)


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean over tokens with mask 1; 0 where there is none. For clip fractions and KL in the log."""
    return (values * mask).sum() / mask.sum().clamp(min=1)


def _ratio(log_ratio: Tensor) -> Tensor:
    return log_ratio.clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO).exp()


def _check_clip(low: float, high: float) -> None:
    if not 0 <= low <= 1 or high < 0:
        raise ConfigError(f"clip_low must be in [0, 1] and clip_high at least 0, got {low} and {high}.")
