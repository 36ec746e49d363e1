import itertools
import json
import math
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.autograd import gradcheck

from agentgym.core.errors import ConfigError, DataError
from agentgym.testing.goldens.losses import ADAPTERS
from agentgym.training import losses

GOLDEN = Path(__file__).parents[1] / "golden"
MODES = ("token-mean", "seq-mean-token-sum", "seq-mean-token-mean", "seq-mean-token-sum-norm")
OFFSETS = torch.tensor([0, 3, 4, 8])


def _doubles(values):
    return torch.tensor(values, dtype=torch.float64)


def _sample(seed, shape=(3, 5)):
    """Log-probabilities of learner, old policy and engine, advantages, mask; no ratio lies on a bound."""
    generator = torch.Generator().manual_seed(seed)

    def draw():
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    old = -draw().abs()
    mask = (draw() > -0.8).double()
    return old + 0.3 * draw(), old, old + 0.4 * draw(), draw(), mask


def _cases():
    for file, adapter in ADAPTERS.items():
        for case in json.loads((GOLDEN / f"{file}.json").read_text())["cases"]:
            yield pytest.param(adapter, case, id=f"{file}-{case['name']}")


@pytest.mark.parametrize(("adapter", "case"), list(_cases()))
def test_reference_outputs_and_gradients(adapter, case):
    found = adapter({**case["inputs"], "_case": case["name"]})
    for name, expected in case["outputs"].items():
        if isinstance(expected, dict):
            assert found[name] == pytest.approx(expected, abs=1e-6)
        else:
            torch.testing.assert_close(_doubles(found[name]), _doubles(expected), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("mode", MODES)
def test_gradients_are_those_of_finite_differences(seed, mode):
    logprob, old, _, advantage, mask = _sample(seed)
    logprob.requires_grad_()
    assert gradcheck(lambda x: losses.aggregate(losses.ppo_loss(x, old, advantage).loss, mask, mode), logprob)
    for estimator in (losses.kl_k1, losses.kl_k2, losses.kl_k3, losses.kl_abs):
        assert gradcheck(lambda x, kl=estimator: losses.aggregate(kl(x, old), mask, mode), logprob)


def test_cispo_stops_the_gradient_at_the_weight():
    logprob, old, _, advantage, mask = _sample(0)
    logprob.requires_grad_()
    found = losses.cispo_loss(logprob, old, advantage)
    losses.aggregate(found.loss, mask, "seq-mean-token-sum-norm", denominator=1).backward()
    weight = (logprob - old).exp().clamp(0.8, 1.28)
    torch.testing.assert_close(logprob.grad, (-weight * advantage * mask).detach())
    assert found.clipped.any()
    assert (logprob.grad[found.clipped & (mask > 0)] != 0).all()  # clipped tokens keep theirs


def test_gspo_spreads_the_sequence_ratio_and_keeps_each_tokens_gradient():
    logprob, old, _, advantage, mask = _sample(1)
    logprob.requires_grad_()
    found = losses.gspo_loss(logprob, old, advantage, mask, clip_low=1.0, clip_high=10.0)
    losses.aggregate(found.loss, mask, "seq-mean-token-sum-norm", denominator=1).backward()
    mean = ((logprob - old) * mask).sum(1, keepdim=True) / mask.sum(1, keepdim=True)
    ratio = mean.exp().detach()
    torch.testing.assert_close(found.loss.detach(), -advantage * ratio)
    torch.testing.assert_close(logprob.grad, -advantage * ratio * mask)


def test_gspo_with_one_advantage_a_sequence_is_the_sequence_form():
    logprob, old, _, advantage, mask = _sample(2)
    advantage = advantage[:, 0]

    def sequence_form(x):
        ratio = (((x - old) * mask).sum(1) / mask.sum(1)).exp()
        return torch.maximum(-advantage * ratio, -advantage * ratio.clamp(0.9, 1.1)).mean()

    def token_form(x):
        found = losses.gspo_loss(x, old, advantage, mask, clip_low=0.1, clip_high=0.1)
        return losses.aggregate(found.loss, mask, "seq-mean-token-mean")

    gradients = []
    for form in (sequence_form, token_form):
        leaf = logprob.clone().requires_grad_()
        loss = form(leaf)
        loss.backward()
        gradients.append((loss.detach(), leaf.grad))
    torch.testing.assert_close(gradients[0], gradients[1])


def test_clipped_tokens_have_no_gradient_and_dual_clip_bounds_the_loss():
    old = torch.zeros(4)
    logprob = torch.tensor([0.5, -0.5, 3.0, 3.0]).requires_grad_()
    advantage = torch.tensor([1.0, -1.0, -1.0, -1.0])
    found = losses.ppo_loss(logprob, old, advantage)
    assert found.clipped.tolist() == [True, True, False, False]
    assert found.dual_clipped.tolist() == [False, False, True, True]
    assert found.loss[2].item() == 3.0
    found.loss.sum().backward()
    assert logprob.grad.tolist() == [0.0, 0.0, 0.0, 0.0]
    free = losses.ppo_loss(logprob, old, advantage, dual_clip=None)
    assert free.loss[2].item() == pytest.approx(math.exp(3.0))
    assert not free.dual_clipped.any()


def test_on_policy_every_loss_has_the_plain_policy_gradient():
    _, old, _, advantage, mask = _sample(3)
    for loss in (
        lambda x: losses.ppo_loss(x, old, advantage),
        lambda x: losses.gspo_loss(x, old, advantage, mask),
        lambda x: losses.cispo_loss(x, old, advantage),
    ):
        logprob = old.clone().requires_grad_()
        losses.aggregate(loss(logprob).loss, mask, "token-mean").backward()
        torch.testing.assert_close(logprob.grad, -advantage * mask / mask.sum())


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("seed", range(3))
def test_masked_tokens_count_for_nothing(mode, seed):
    def value_and_gradient(fill):
        logprob, old, rollout, advantage, mask = _sample(seed)
        inputs = [torch.where(mask > 0, x, torch.full_like(x, fill)) for x in (logprob, old, rollout, advantage)]
        logprob = inputs[0].requires_grad_()
        weight = losses.rollout_weights(inputs[1], inputs[2], mask, level="sequence")
        found = losses.gspo_loss(logprob, inputs[1], inputs[3], mask).loss * weight
        found = found + losses.ppo_loss(logprob, inputs[1], inputs[3]).loss
        loss = losses.aggregate(found, mask, mode)
        loss.backward()
        assert (logprob.grad[mask == 0] == 0).all()
        return loss.detach(), logprob.grad

    torch.testing.assert_close(value_and_gradient(0.0), value_and_gradient(-7.0))


def test_aggregation_by_hand():
    loss = _doubles([[1, 2, 3], [10, 20, 30], [7, 7, 7]])
    mask = _doubles([[1, 1, 0], [0, 0, 1], [0, 0, 0]])
    expected = dict(zip(MODES, (33 / 3, 33 / 2, (1.5 + 30) / 2, 33 / 3), strict=True))
    assert {mode: losses.aggregate(loss, mask, mode).item() for mode in MODES} == pytest.approx(expected)
    assert losses.aggregate(loss, mask, "token-mean", denominator=11).item() == pytest.approx(3.0)


@pytest.mark.parametrize("mode", MODES)
def test_micro_batches_with_the_whole_counts_add_up(mode):
    logprob, _, _, _, mask = _sample(4, (6, 5))
    count = {"token-mean": mask.sum(), "seq-mean-token-sum-norm": 5}.get(mode, (mask.sum(1) > 0).sum())
    parts = [losses.aggregate(logprob[i : i + 2], mask[i : i + 2], mode, denominator=count) for i in (0, 2, 4)]
    torch.testing.assert_close(sum(parts), losses.aggregate(logprob, mask, mode))


@pytest.mark.parametrize("mode", MODES)
def test_nothing_to_learn_from_is_zero(mode):
    loss = torch.ones(2, 3, requires_grad=True)
    value = losses.aggregate(loss, torch.zeros(2, 3), mode)
    value.backward()
    assert value.item() == 0.0
    assert not loss.grad.any()


def _padded(flat):
    rows = torch.zeros(3, 4, dtype=flat.dtype)
    for row, (start, end) in enumerate(itertools.pairwise(OFFSETS)):
        rows[row, : end - start] = flat[start:end]
    return rows


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("seed", range(2))
def test_the_flat_face_agrees_with_the_batched_one(mode, seed):
    logprob, old, rollout, advantage, mask = _sample(seed, (8,))
    turns = torch.tensor([0, 0, 1, 0, 0, -1, 1, 1])
    flat = losses.gspo_loss(logprob, old, advantage, mask, offsets=OFFSETS).loss
    dense = losses.gspo_loss(*map(_padded, (logprob, old, advantage, mask))).loss
    torch.testing.assert_close(
        losses.aggregate(flat, mask, mode, offsets=OFFSETS), losses.aggregate(dense, _padded(mask), mode)
    )
    for level in ("token", "turn", "sequence"):
        weights = losses.rollout_weights(old, rollout, mask, level=level, turns=turns, offsets=OFFSETS)
        padded = losses.rollout_weights(*map(_padded, (old, rollout, mask)), level=level, turns=_padded(turns))
        torch.testing.assert_close(_padded(weights), padded)


def test_rollout_weights_by_hand():
    rollout = torch.log(_doubles([[0.5, 0.5, 0.5, 0.5]]))
    old = torch.log(_doubles([[1.0, 0.25, 1.0, 0.9]]))  # ratios 2, 0.5, 2, 1.8
    mask = _doubles([[1, 1, 1, 0]])
    turns = torch.tensor([[0, 0, 1, 1]])

    def weights(level, outside, **bounds):
        found = losses.rollout_weights(old, rollout, mask, level=level, outside=outside, turns=turns, **bounds)
        return found[0].tolist()

    assert weights("token", "truncate", high=1.5) == pytest.approx([1.5, 0.5, 1.5, 0])
    assert weights("token", "truncate", low=0.6, high=None) == pytest.approx([2, 0.6, 2, 0])
    assert weights("token", "mask", high=1.5) == pytest.approx([0, 0.5, 0, 0])
    assert weights("turn", "truncate", high=1.5) == pytest.approx([1, 1, 1.5, 0])
    assert weights("turn", "mask", low=1.5, high=3.0) == pytest.approx([0, 0, 2, 0])
    assert weights("sequence", "truncate", high=1.5) == pytest.approx([1.5, 1.5, 1.5, 0])
    assert weights("sequence", "mask", high=1.5) == [0, 0, 0, 0]
    assert weights("sequence", "mask", high=None) == pytest.approx([2, 2, 2, 0])


def test_weights_of_what_the_engine_did_not_report_are_one_and_carry_no_gradient():
    old = torch.tensor([[-1.0, -1.0]], requires_grad=True)
    weights = losses.rollout_weights(old, torch.tensor([[math.nan, -1.0]]), torch.ones(1, 2))
    assert weights.tolist() == [[1.0, 1.0]]
    assert not weights.requires_grad


@given(st.integers(0, 100), st.sampled_from(["token", "turn", "sequence"]), st.sampled_from(["truncate", "mask"]))
def test_weights_stay_in_their_bounds_and_are_one_without_mismatch(seed, level, outside):
    _, old, rollout, _, mask = _sample(seed)
    turns = torch.arange(5).expand(3, 5) // 2
    options = {"level": level, "outside": outside, "turns": turns, "low": 0.5, "high": 2.0}
    weights = losses.rollout_weights(old, rollout, mask, **options)
    inside = (weights >= 0.5 - 1e-9) & (weights <= 2.0 + 1e-9)
    assert (inside | (weights == 0)).all()
    assert (weights[mask == 0] == 0).all()
    torch.testing.assert_close(losses.rollout_weights(old, old, mask, **options), mask)


@given(st.integers(0, 200))
def test_kl_estimators_have_the_signs_and_values_that_they_promise(seed):
    generator = torch.Generator().manual_seed(seed)
    # half a unit wide: no log-ratio comes near where k3 is clamped, which costs it its unbiasedness
    logits, ref_logits = torch.randn(2, 6, generator=generator, dtype=torch.float64) / 2
    policy, ref = logits.log_softmax(0), ref_logits.log_softmax(0)
    exact = (policy.exp() * (policy - ref)).sum()
    for unbiased in (losses.kl_k1, losses.kl_k3):
        torch.testing.assert_close((policy.exp() * unbiased(policy, ref)).sum(), exact)
    assert (losses.kl_k3(policy, ref) >= 0).all()
    assert (losses.kl_k2(policy, ref) >= 0).all()
    assert losses.kl_k3(policy, policy).abs().max() == 0


@pytest.mark.parametrize("function", ["ppo_loss", "cispo_loss"])
def test_extreme_ratios_stay_finite(function):
    logprob = torch.tensor([0.0, -1e4], requires_grad=True)
    found = getattr(losses, function)(logprob, torch.tensor([-1e4, 0.0]), torch.tensor([-1.0, 1.0]))
    found.loss.sum().backward()
    assert found.loss.isfinite().all()
    assert logprob.grad.isfinite().all()


def test_bad_input_is_refused():
    x, short = torch.zeros(2, 3), torch.zeros(2, 2)
    with pytest.raises(DataError, match=r"\(2, 3\) and \(2, 2\)"):
        losses.ppo_loss(x, short, x)
    with pytest.raises(DataError, match="one shape"):
        losses.aggregate(x, short)
    with pytest.raises(DataError, match="turns"):
        losses.rollout_weights(x, x, x, level="turn", turns=torch.zeros(2, 2, dtype=torch.long))
    for wrong in (
        lambda: losses.ppo_loss(x, x, x, dual_clip=1.0),
        lambda: losses.ppo_loss(x, x, x, clip_low=1.5),
        lambda: losses.gspo_loss(x, x, x, x, clip_high=-0.1),
        lambda: losses.cispo_loss(x, x, x, bound="both"),
        lambda: losses.cispo_loss(x, x, x, clip_low=6.0, clip_high=5.0, bound="absolute"),
        lambda: losses.rollout_weights(x, x, x, level="word"),
        lambda: losses.rollout_weights(x, x, x, level="turn"),
        lambda: losses.aggregate(x, x, "mean"),
    ):
        with pytest.raises(ConfigError):
            wrong()
