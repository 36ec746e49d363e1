import numpy as np
import pytest
import torch

from agentgym.core.errors import ConfigError, DataError
from agentgym.training import logprobs
from agentgym.training.logprobs import (
    LogprobScorer,
    batch_logprobs,
    gather_logprobs,
    logits_at,
    split_rows,
    token_logprobs,
)

TURNS = [[[0], [1, 2]], [[3, 4], [5]], [[6]], [[0, 1], [2], [3, 4], [5]]]


def _by_hand(model, batch, temperature=1.0):
    """Log-probabilities of the policy tokens, each episode alone, through plain log_softmax."""
    found = np.zeros(batch.n_tokens)
    for row in range(batch.n_trajectories):
        span = slice(batch.token_offsets[row], batch.token_offsets[row + 1])
        ids = torch.from_numpy(batch.column("token_id")[span].copy())[None]
        with torch.no_grad():
            logp = (model(ids).logits[0, :-1] / temperature).log_softmax(-1)
        values = logp.gather(-1, ids[0, 1:, None])[:, 0].double().numpy()
        found[span] = np.concatenate([[0.0], values])
    return np.where(batch.policy_mask, found, 0.0)


@pytest.mark.parametrize("max_tokens", [1, 20, 10_000])
@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_batched_logprobs_equal_those_of_single_episodes(make_model, make_batch, max_tokens, temperature):
    model, batch = make_model(hidden=64), make_batch(TURNS, [0.0] * 4)
    found = batch_logprobs(model, batch, temperature=temperature, max_tokens=max_tokens)
    assert np.abs(found - _by_hand(model, batch, temperature)).max() < 1e-5


def test_pieces_hold_every_asked_token_once_and_keep_to_their_size(make_batch):
    batch = make_batch(TURNS * 5, [0.0] * 20)
    pieces = split_rows(batch, batch.policy_mask, max_tokens=40)
    assert sorted(np.concatenate([rows.index for rows in pieces])) == np.flatnonzero(batch.policy_mask).tolist()
    assert all(rows.ids.numel() <= 40 for rows in pieces)
    for rows in pieces:
        assert rows.ids[rows.mask].tolist() == batch.column("token_id")[rows.index].tolist()
        assert rows.row.tolist() == rows.mask.nonzero()[:, 0].tolist()


def test_only_chosen_trajectories_are_taken(make_batch):
    batch = make_batch(TURNS, [0.0] * 4)
    pieces = split_rows(batch, batch.policy_mask, max_tokens=1000, trajectories=np.array([1, 3]))
    assert set(batch.token_trajectory[np.concatenate([rows.index for rows in pieces])]) == {1, 3}


def test_an_episode_can_t_begin_with_a_policy_token(make_batch):
    batch = make_batch(TURNS, [0.0] * 4)
    with pytest.raises(DataError, match="Trajectory 0 begins"):
        split_rows(batch, np.ones(batch.n_tokens, dtype=bool), max_tokens=100)


def test_gradients_equal_those_of_the_full_logits(make_model, make_batch):
    batch = make_batch(TURNS, [0.0] * 4)
    (rows,) = split_rows(batch, batch.policy_mask, max_tokens=10_000)
    weights = torch.linspace(-1, 1, len(rows.index))
    gradients = []
    for full in (False, True):
        model = make_model()
        if full:
            logp = model(rows.ids).logits[:, :-1].log_softmax(-1).gather(-1, rows.ids[:, 1:, None])[..., 0]
            values = logp[rows.mask[:, 1:]]
        else:
            values = token_logprobs(model, rows).logprob
        (values * weights).sum().backward()
        gradients.append([parameter.grad.clone() for parameter in model.parameters()])
    for ours, plain in zip(*gradients, strict=True):
        assert torch.allclose(ours, plain, atol=1e-6)


def test_chunks_change_neither_values_nor_gradients(monkeypatch):
    torch.manual_seed(0)
    logits, targets = torch.randn(50, 11), torch.randint(11, (50,))
    results = []
    for elements in (1 << 20, 33):
        monkeypatch.setattr(logprobs, "_DIRECT_ELEMENTS", elements)
        leaf = logits.clone().requires_grad_()
        found = gather_logprobs(leaf, targets, 0.7, entropy_gradient=True)
        (found.logprob.sum() + found.entropy.square().sum()).backward()
        results.append((found.logprob.detach(), found.entropy.detach(), leaf.grad))
    for whole, chunked in zip(*results, strict=True):
        assert torch.allclose(whole, chunked, atol=1e-6)


def test_entropy_is_that_of_the_distribution_and_has_a_gradient_on_request():
    logits = torch.tensor([[0.0, 0.0, 0.0, 0.0], [100.0, 0.0, 0.0, 0.0]], requires_grad=True)
    found = gather_logprobs(logits, torch.tensor([0, 0]))
    assert found.entropy.tolist() == pytest.approx([np.log(4), 0.0], abs=1e-5)
    assert not found.entropy.requires_grad
    assert gather_logprobs(logits, torch.tensor([0, 0]), entropy_gradient=True).entropy.requires_grad


def test_nothing_asked_gives_nothing(make_model):
    found = gather_logprobs(torch.zeros(0, 5), torch.zeros(0, dtype=torch.long))
    assert found.logprob.shape == found.entropy.shape == (0,)


def test_the_output_layer_is_left_as_it_was(make_model, make_batch):
    model, batch = make_model(), make_batch(TURNS, [0.0] * 4)
    (rows,) = split_rows(batch, batch.policy_mask, max_tokens=10_000)
    before = model(rows.ids).logits
    assert logits_at(model, rows.ids, rows.mask).shape == (len(rows.index), model.config.vocab_size)
    assert torch.equal(model(rows.ids).logits, before)


def test_greedy_training_is_refused(make_model, make_batch):
    batch = make_batch(TURNS, [0.0] * 4)
    (rows,) = split_rows(batch, batch.policy_mask, max_tokens=10_000)
    with pytest.raises(ConfigError, match="above 0"):
        token_logprobs(make_model(), rows, temperature=0.0)


def test_the_scorer_fills_its_column(make_model, make_batch):
    model, batch = make_model(), make_batch(TURNS, [0.0] * 4)
    scored = batch.with_columns(LogprobScorer("ref_logprob")(batch, model))
    assert np.abs(scored.column("ref_logprob") - _by_hand(model, batch)).max() < 1e-5
