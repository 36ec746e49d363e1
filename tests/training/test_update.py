import dataclasses

import numpy as np
import pytest
import torch

from agentgym.credit import Credit
from agentgym.training.config import RLSection
from agentgym.training.logprobs import batch_logprobs, split_rows, token_logprobs
from agentgym.training.update import minibatches, policy_step, supervised_step

TURNS = [[[0], [1, 2]], [[3, 4], [5]], [[6]], [[0, 1], [2], [3, 4], [5]]]
ALL = np.arange(4)


class _Recorder(torch.optim.SGD):
    """Keeps the gradients that it was given, and changes nothing."""

    def __init__(self, model):
        super().__init__(model.parameters(), lr=0.0)

    def step(self, closure=None):
        self.seen = [p.grad.clone() for group in self.param_groups for p in group["params"]]


@pytest.fixture
def batch(make_model, make_batch):
    """Episodes that a model like ``make_model()`` might have sampled."""
    plain = make_batch(TURNS, [1.0, 0.0, 1.0, 0.0], [0, 0, 1, 1])
    return plain.with_columns({"logprob": batch_logprobs(make_model(), plain)})


def _gradients(make_model, batch, turn_advantages, *, trajectories=ALL, temperature=1.0, **section):
    model = make_model()
    recorder = _Recorder(model)
    credit = Credit.from_turns(batch, np.asarray(turn_advantages, dtype=float))
    metrics = policy_step(
        model, recorder, batch, credit, trajectories, RLSection(max_grad_norm=0.0, **section), temperature
    )
    return recorder.seen, metrics


def _close(left, right, tolerance=1e-6):
    return all(torch.allclose(a, b, atol=tolerance) for a, b in zip(left, right, strict=True))


ADVANTAGES = [1.0, -0.5, 0.0, 2.0, -1.0, 0.5, 0.5, -2.0, 1.0]


def test_on_policy_the_gradient_is_reinforce(make_model, batch):
    found, metrics = _gradients(make_model, batch, ADVANTAGES)
    model = make_model()
    (rows,) = split_rows(batch, batch.policy_mask, max_tokens=10_000)
    advantage = torch.tensor(np.repeat(ADVANTAGES, batch.turn_tokens)[np.argsort(np.argsort(rows.index))])
    (-(token_logprobs(model, rows).logprob * advantage).sum() / int(batch.policy_mask.sum())).backward()
    assert _close(found, [parameter.grad for parameter in model.parameters()])
    assert metrics["sampler_gap"] < 1e-5
    assert metrics["clip_fraction"] == 0.0


@pytest.mark.parametrize(
    "aggregation", ["token-mean", "seq-mean-token-sum", "seq-mean-token-mean", "seq-mean-token-sum-norm"]
)
def test_accumulated_pieces_give_the_gradient_of_the_whole(make_model, batch, aggregation):
    whole, one = _gradients(make_model, batch, ADVANTAGES, aggregation=aggregation)
    pieces, many = _gradients(make_model, batch, ADVANTAGES, aggregation=aggregation, max_tokens=8)
    assert _close(whole, pieces)
    assert one == pytest.approx(many, abs=1e-5)


def test_episodes_that_are_not_chosen_have_no_part(make_model, batch):
    alone, _ = _gradients(make_model, batch, ADVANTAGES, trajectories=np.array([1]))
    others_changed = [9.0, 9.0, *ADVANTAGES[2:4], 9.0, 9.0, 9.0, 9.0, 9.0]
    assert _close(alone, _gradients(make_model, batch, others_changed, trajectories=np.array([1]))[0])


def test_without_credit_there_is_no_gradient_and_no_minibatch(make_model, batch):
    zeros = [0.0] * 9
    assert all(not gradient.any() for gradient in _gradients(make_model, batch, zeros)[0])
    credit = Credit.from_turns(batch, np.array([0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]))
    rng = np.random.default_rng(0)
    assert [part.tolist() for part in minibatches(batch, credit, RLSection(minibatches=2), rng)] == [[1]]
    everyone = minibatches(batch, credit, RLSection(kl_coef=0.1, epochs=2, minibatches=2), rng)
    assert sorted(np.concatenate(everyone).tolist()) == sorted([*range(4)] * 2)


def test_the_divergence_pulls_towards_the_reference(make_model, batch):
    same = batch.with_columns({"ref_logprob": batch.column("logprob")})
    zeros = [0.0] * 9
    gradients, metrics = _gradients(make_model, same, zeros, kl_coef=1.0)
    assert metrics["kl"] == pytest.approx(0.0, abs=1e-6)
    assert all(gradient.abs().max() < 1e-5 for gradient in gradients)
    likelier = np.where(batch.policy_mask, batch.column("logprob") + 0.5, 0.0)
    gradients, metrics = _gradients(make_model, batch.with_columns({"ref_logprob": likelier}), zeros, kl_coef=1.0)
    assert metrics["kl"] > 0.05
    assert any(gradient.abs().max() > 1e-4 for gradient in gradients)


def test_the_entropy_bonus_raises_entropy(make_model, batch):
    model = make_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    credit = Credit.from_turns(batch, np.zeros(9))
    section = RLSection(entropy_coef=1.0, max_grad_norm=1.0)
    values = [policy_step(model, optimizer, batch, credit, ALL, section, 1.0)["entropy"] for _ in range(5)]
    assert values == sorted(values)
    assert values[-1] > values[0] + 1e-4


def test_the_temperature_is_the_sampler_s(make_model, make_batch):
    plain = make_batch(TURNS, [1.0, 0.0, 1.0, 0.0])
    cool = plain.with_columns({"logprob": batch_logprobs(make_model(), plain, temperature=0.5)})
    assert _gradients(make_model, cool, ADVANTAGES, temperature=0.5)[1]["sampler_gap"] < 1e-5
    assert _gradients(make_model, cool, ADVANTAGES)[1]["sampler_gap"] > 1e-3


@pytest.mark.parametrize("loss", ["ppo", "gspo", "cispo"])
def test_learning_raises_what_was_good(make_model, batch, loss):
    model = make_model()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    credit = Credit.from_turns(batch, np.asarray(ADVANTAGES))
    for _ in range(3):
        policy_step(model, optimizer, batch, credit, ALL, RLSection(loss=loss), 1.0)
    change = batch.per_turn(batch_logprobs(model, batch) - batch.column("logprob"))
    assert change[np.asarray(ADVANTAGES) > 0].mean() > 0 > change[np.asarray(ADVANTAGES) < 0].mean()


def test_supervised_steps_learn_the_messages(make_model, make_batch):
    model, batch = make_model(), make_batch(TURNS, [1.0] * 4)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    step = dataclasses.asdict(RLSection())["max_tokens"]
    losses = [supervised_step(model, optimizer, batch, max_tokens=step, max_grad_norm=1.0)["loss"] for _ in range(40)]
    assert losses[-1] < 0.3 * losses[0]


def test_the_weight_of_observations_changes_the_gradient_and_not_the_reported_loss(make_model, make_batch):
    batch = make_batch(TURNS, [1.0] * 4)
    gradients, losses = [], []
    for weight, max_tokens in ((0.0, 10_000), (0.5, 10_000), (0.5, 8)):
        model = make_model()
        recorder = _Recorder(model)
        metrics = supervised_step(
            model, recorder, batch, max_tokens=max_tokens, max_grad_norm=0.0, observation_weight=weight
        )
        gradients.append(recorder.seen)
        losses.append(metrics["loss"])
    assert losses == pytest.approx([losses[0]] * 3, abs=1e-5)
    assert not _close(gradients[0], gradients[1])
    assert _close(gradients[1], gradients[2])
