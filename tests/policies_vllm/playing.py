"""Episodes and what they are checked against."""

import contextlib
import copy

import numpy as np
import torch
from chat_templates import tokenizer_with

import agentgym
from agentgym.core.policy import Request, Sampling
from agentgym.policies.rendering import HFRenderer
from agentgym.policies.tiny import build_model
from agentgym.rollout.batch import to_batch
from agentgym.rollout.context import context_strategy
from agentgym.rollout.engine import collect_all
from agentgym.rollout.jobs import plan
from agentgym.training.logprobs import batch_logprobs

STRATEGIES = ("full", "window:2", "window:60tokens", "summary:clip,keep=1,every=2")

ENGINE_ARGS = {"enforce_eager": True, "max_num_seqs": 64}
SHORT = Sampling(max_tokens=8)


def build(seed, **config):
    """A tiny model whose head can be tied, and its ChatML tokenizer."""
    tokenizer = tokenizer_with("chatml")
    model = build_model(tokenizer, layers=2, hidden=64, context=1024, seed=seed)
    for name, value in config.items():
        setattr(model.config, name, value)
    if config.get("tie_word_embeddings"):
        model.tie_weights()
    return model, tokenizer


def play(policy, context="full", episodes=6, sampling=SHORT, concurrency=64, **env):
    records = collect_all(
        list(plan(episodes, 2, 0)),
        lambda: agentgym.make("toy/Rooms-v0", **env),
        policy,
        sampling=sampling,
        context=context_strategy(context),
        concurrency=concurrency,
    )
    assert not [record.faults for record in records if record.faults]
    return records


def gap(model, records, temperature=1.0):
    """Largest difference between the learner's log-probabilities of recorded tokens and the recorded ones."""
    batch = to_batch(records)
    found = batch_logprobs(model, batch, temperature=temperature, max_tokens=6000)
    assert batch.policy_mask.sum() > 30
    return np.abs(found - batch.column("logprob"))[batch.policy_mask].max()


def request(policy, text="find the lamp", episode="e", seed=1, stop=(), **sampling):
    prompt = policy.renderer.initial([{"role": "user", "content": text}], (), "chat")
    return Request(episode, 0, (), prompt, tuple(stop), seed, Sampling(**{"max_tokens": 16, **sampling}))


@contextlib.contextmanager
def with_template(policy, name):
    """The same engine under another chat template. All templates share one vocabulary."""
    before = policy.renderer
    policy.renderer = policy._renderer = HFRenderer(tokenizer_with(name))
    try:
        yield policy
    finally:
        policy.renderer = policy._renderer = before


def logprobs(model, prompt, ids):
    """The learner's log-probabilities of ``ids`` after ``prompt``."""
    with torch.no_grad():
        logits = model(torch.tensor([[*prompt, *ids]])).logits[0].log_softmax(-1)
    return [logits[len(prompt) - 1 + i, token].item() for i, token in enumerate(ids)]


def canonical(records):
    """What must be equal to the byte."""
    return [copy.deepcopy(record.to_dict()) for record in records]
