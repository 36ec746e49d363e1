import math

import numpy as np
import pytest
import torch

from agentgym.core.errors import ConfigError
from agentgym.credit import make
from agentgym.training.implicit_prm import (
    ImplicitPrmScorer,
    classification_loss,
    detached_dpo_loss,
    success_pairs,
    trajectory_dpo_loss,
    trajectory_scores,
)
from agentgym.training.logprobs import batch_logprobs

GOOD = 3


def _episodes(rng, count, group_size=4):
    """Episodes of words; an episode succeeds exactly when the good word is among them."""
    turns = [[[int(word)] for word in rng.integers(8, size=rng.integers(1, 4))] for _ in range(count)]
    outcomes = [float([GOOD] in episode) for episode in turns]
    return turns, outcomes, [row // group_size for row in range(count)]


def _recorded(batch, model):
    return batch.with_columns({"logprob": batch_logprobs(model, batch)})


@pytest.mark.parametrize("loss", ["dpo", "ce"])
def test_the_gradient_reaches_every_parameter(make_model, make_batch, loss):
    model = make_model()
    before = [parameter.detach().clone() for parameter in model.parameters()]
    batch = make_batch([[[0], [1, 2]], [[3, 4]]], [1.0, 0.0], [0, 0])
    metrics = ImplicitPrmScorer(model, loss=loss).fit(_recorded(batch, model))
    assert metrics["prm_pairs"] == 1
    for (name, parameter), old in zip(model.named_parameters(), before, strict=True):
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name
        assert not torch.equal(parameter, old), name


def test_it_finds_the_turn_that_decides(make_model, make_batch, rng):
    reference = make_model(seed=1)
    scorer = ImplicitPrmScorer(make_model(seed=1), beta=0.5, lr=1e-2)
    losses = [scorer.fit(_recorded(make_batch(*_episodes(rng, 64)), reference))["prm_loss"] for _ in range(40)]
    assert losses[0] == pytest.approx(math.log(2), abs=1e-3)
    assert losses[-1] < 0.15
    turns, outcomes, groups = _episodes(rng, 64)
    batch = _recorded(make_batch(turns, outcomes, groups), reference)
    batch = batch.with_columns(scorer(batch))
    reward = 0.5 * batch.per_turn(batch.column("prm_logprob") - batch.column("logprob"))
    found = 0
    for row, episode in enumerate(turns):
        of_row = reward[batch.turn_offsets[row] : batch.turn_offsets[row + 1]]
        found += outcomes[row] > 0 and episode[int(of_row.argmax())] == [GOOD]
        assert outcomes[row] > 0 or of_row.max() < 0
    assert found >= 0.95 * sum(outcomes) > 5
    scored = make("oprl", beta=0.5)(batch)
    good = np.array([word == [GOOD] for episode in turns for word in episode])
    assert scored.turn[good].mean() > 0.5 > scored.turn[~good].mean()


def test_pieces_give_the_gradient_of_the_whole(make_model, make_batch, rng):
    reference = make_model(seed=1)
    batch = _recorded(make_batch(*_episodes(rng, 16)), reference)
    weights = []
    for max_tokens in (10_000, 8):
        scorer = ImplicitPrmScorer(make_model(), max_tokens=max_tokens, lr=1e-3)
        scorer.fit(batch)
        weights.append(scorer.model.lm_head.weight.grad.clone())
    assert torch.allclose(*weights, atol=1e-6)


def test_equal_outcomes_teach_the_pair_loss_nothing(make_model, make_batch):
    model = make_model()
    before = model.lm_head.weight.detach().clone()
    batch = make_batch([[[0]], [[1]]], [0.0, 0.0], [0, 0])
    assert ImplicitPrmScorer(model).fit(_recorded(batch, model)) == {}
    assert torch.equal(model.lm_head.weight, before)


def test_all_pairs_of_a_group_and_none_across():
    group, success = torch.tensor([0, 0, 0, 1, 1]), torch.tensor([True, False, True, True, False])
    better, worse = success_pairs(group, success)
    assert list(zip(better.tolist(), worse.tolist(), strict=True)) == [(0, 1), (2, 1), (3, 4)]


def test_the_pair_loss_by_hand():
    # Two successes with Q 1 and 0, one failure with Q 0: -log s(1) and -log s(0), halved.
    score = torch.tensor([1.0, 0.0, 0.0])
    loss = trajectory_dpo_loss(score, torch.zeros(3), torch.tensor([True, False, True]))
    assert loss.item() == pytest.approx((math.log(1 + math.exp(-1)) + math.log(2)) / 2)
    assert trajectory_dpo_loss(score, torch.zeros(3), torch.tensor([True] * 3)).item() == 0.0


def test_the_paper_sums_over_turns_and_the_release_takes_their_mean():
    ratio, trajectory, turns = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([0, 0, 1]), torch.tensor([2, 1])
    assert trajectory_scores(ratio, trajectory, turns, 0.5).tolist() == [1.5, 1.5]
    assert trajectory_scores(ratio, trajectory, turns, 0.5, "mean").tolist() == [0.75, 1.5]


def test_classification_by_hand():
    loss = classification_loss(torch.tensor([0.0, 2.0]), torch.tensor([1.0, 0.0]))
    assert loss.item() == pytest.approx((math.log(2) + math.log(1 + math.exp(2))) / 2)


def test_detached_losses_have_no_gradient_into_the_others():
    others = torch.tensor([[0.0, 1.0]] * 2, requires_grad=True)
    score = torch.tensor([1.0, 0.0], requires_grad=True)
    success = torch.tensor([1.0, 0.0])
    for weighting in ("none", "best_of_n_success", "best_of_n_score"):
        detached_dpo_loss(score, success, others, torch.tensor([[0.0, 1.0]] * 2), weighting).backward()
    assert others.grad is None
    assert score.grad.abs().sum() > 0
    with pytest.raises(ConfigError, match="weighting"):
        detached_dpo_loss(score, success, others, others.detach(), "best")


def test_bad_options_are_explained(make_model):
    with pytest.raises(ConfigError, match="'dpo' or 'ce'"):
        ImplicitPrmScorer(make_model(), loss="bce")
    with pytest.raises(ConfigError, match="'sum'"):
        ImplicitPrmScorer(make_model(), pool="max")
