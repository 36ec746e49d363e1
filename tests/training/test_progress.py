import copy

import numpy as np
import pytest
import torch

from agentgym.training.progress import ProgressEstimator, ProgressScorer, predicted_totals, progress_loss

VALUE = np.array([0.5, 0.25, 0.0, 0.0, 0.0, -0.25, 0.0, 0.0])
"""What each word adds to the outcome, wherever it is said."""


def _episodes(rng, count):
    turns = [[[int(word)] for word in rng.integers(8, size=rng.integers(1, 5))] for _ in range(count)]
    return turns, [float(sum(VALUE[word] for (word,) in episode)) for episode in turns]


def test_the_gradient_reaches_every_parameter(make_model, make_batch):
    estimator = ProgressEstimator(make_model())
    before = [parameter.detach().clone() for parameter in estimator.parameters()]
    ProgressScorer(estimator).fit(make_batch([[[0], [1, 2]], [[3, 4]]], [1.0, 0.0]))
    for (name, parameter), old in zip(estimator.named_parameters(), before, strict=True):
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name
        assert not torch.equal(parameter, old), name


def test_it_recovers_what_each_turn_added(make_model, make_batch, rng):
    scorer = ProgressScorer(ProgressEstimator(make_model()), lr=3e-3, batch_size=64)
    first = last = 0.0
    for step in range(80):
        last = scorer.fit(make_batch(*_episodes(rng, 128)))["progress_loss"]
        first = first or last
        assert step or first > 0.02
    assert last < 0.02 * first
    turns, outcomes = _episodes(rng, 100)
    batch = make_batch(turns, outcomes)
    progress = scorer(batch)["progress"]
    truth = np.array([VALUE[word] for episode in turns for (word,) in episode])
    assert np.abs(progress - truth).max() < 0.1
    totals = np.bincount(batch.turn_trajectory, weights=progress)
    assert np.abs(totals - outcomes).max() < 0.15


def test_contributions_are_read_at_the_last_token_of_each_turn(make_model, make_batch):
    estimator = ProgressEstimator(make_model(hidden=64))
    batch = make_batch([[[0], [1, 2]], [[3, 4], [5], [6]]], [1.0, 0.0])
    progress = ProgressScorer(estimator)(batch)["progress"]
    expected = []
    for row in range(2):
        start, end = batch.token_offsets[row : row + 2]
        ids = torch.from_numpy(batch.column("token_id")[start:end].copy())[None]
        with torch.no_grad():
            every = estimator.head(estimator.backbone(ids).logits)[0, :, 0]
        expected += [
            every[stop - 1 - start].item()
            for stop in batch.turn_end[batch.turn_offsets[row] : batch.turn_offsets[row + 1]]
        ]
    assert progress == pytest.approx(expected, abs=1e-5)


def test_small_pieces_learn_the_same(make_model, make_batch, rng):
    batch = make_batch(*_episodes(rng, 16))
    weights = []
    for max_tokens in (10_000, 12):
        scorer = ProgressScorer(ProgressEstimator(make_model()), lr=1e-3, max_tokens=max_tokens)
        scorer.fit(batch)
        weights.append(scorer.estimator.head.weight.detach().clone())
    assert torch.allclose(*weights, atol=1e-5)


def test_episodes_without_an_outcome_are_left_out(make_model, make_batch):
    scorer = ProgressScorer(ProgressEstimator(make_model()))
    assert scorer.fit(make_batch([[[0]], [[1]]], [float("nan")] * 2)) == {}
    assert np.isfinite(scorer.fit(make_batch([[[0]], [[1]]], [float("nan"), 1.0]))["progress_loss"])


def test_an_episode_without_turns_predicts_zero():
    totals = predicted_totals(torch.tensor([0.5, 0.25]), torch.tensor([0, 0]), 2)
    assert totals.tolist() == [0.75, 0.0]
    assert progress_loss(torch.tensor([0.5, 0.25]), torch.tensor([0, 0]), torch.tensor([1.0, 1.0])).item() == (
        pytest.approx((0.0625 + 1) / 2)
    )


def test_its_state_resumes_exactly(make_model, make_batch, rng):
    batches = [make_batch(*_episodes(rng, 40)) for _ in range(3)]
    whole = ProgressScorer(ProgressEstimator(make_model()), lr=1e-3)
    for batch in batches[:2]:
        whole.fit(batch)
    state = copy.deepcopy(whole.state_dict())
    resumed = ProgressScorer(ProgressEstimator(make_model(seed=5)), lr=1e-3)
    resumed.load_state_dict(state)
    assert whole.fit(batches[2]) == resumed.fit(batches[2])
