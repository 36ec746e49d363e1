import numpy as np
import pytest
import torch
import toys
from chat_templates import TEMPLATES, tokenizer_with

import agentgym
from agentgym.core.errors import ConfigError, UnknownNameError
from agentgym.core.policy import Completion, Policy, Sampling
from agentgym.core.records import Drift, Segment, Span, Trajectory
from agentgym.credit import METHODS, make
from agentgym.policies.rendering import HFRenderer
from agentgym.policies.tiny import build_model
from agentgym.policies.transformers import TransformersPolicy
from agentgym.rollout.batch import to_batch
from agentgym.rollout.columns import from_tables, to_tables
from agentgym.rollout.context import Summary, View, context_strategy
from agentgym.rollout.conversation import Conversation
from agentgym.rollout.engine import collect_all
from agentgym.rollout.jobs import plan
from agentgym.rollout.journal import decode, encode
from agentgym.training.config import RLSection
from agentgym.training.logprobs import batch_logprobs, split_rows
from agentgym.training.losses import aggregate
from agentgym.training.update import _starts, policy_step

STRATEGIES = ("full", "window:2", "window:60tokens", "summary:clip,keep=1,every=2")
REWRITING = {"qwen3-stripped": ("thinking",), "last-tools": ("tools",)}


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def models():
    """A tiny model and its tokenizer for each template."""
    found = {}
    for name in TEMPLATES:
        tokenizer = tokenizer_with(name)
        found[name] = build_model(tokenizer, layers=2, hidden=32, context=4096, seed=1), tokenizer
    return found


class Thinks(Policy):
    """Plays the expert's moves with thinking in front, and says how likely the model finds each token."""

    name = "thinks"
    bound = True

    def __init__(self, model, tokenizer, **kwargs):
        self.model, self.renderer = model, HFRenderer(tokenizer, **kwargs)
        self.prompts = []

    async def act(self, request):
        move = request.env.expert_message(mistake_rate=0.7, rng=toys.rng_of(request.seed))
        text = f"<think>\nreason {request.turn}\n</think>\n\n{move}"
        prompt, ids = list(request.prompt_ids), self.renderer.encode(text) + self.renderer.end_message()
        self.prompts.append((request.episode_id, request.turn, prompt, ids, [dict(m) for m in request.messages]))
        with torch.no_grad():
            logits = self.model(torch.tensor([prompt + ids])).logits[0].double().log_softmax(-1)
        places = range(len(prompt) - 1, len(prompt) + len(ids) - 1)
        return Completion(text, ids, [logits[p, t].item() for p, t in zip(places, ids, strict=True)])


def rooms(structured=False):
    return agentgym.make("toy/Rooms-v0", **({"action_format": "json"} if structured else {}))


def play(policy, context="full", episodes=4, structured=False, **kwargs):
    return collect_all(
        list(plan(episodes, 2, 0)),
        lambda: rooms(structured),
        policy,
        sampling=Sampling(max_tokens=6),
        context=context_strategy(context),
        **kwargs,
    )


def gap(model, records):
    """Largest difference between the learner's log-probabilities of recorded tokens and the recorded ones."""
    batch = to_batch(records)
    found = batch_logprobs(model, batch, max_tokens=3000)
    assert batch.policy_mask.sum() > 30
    return np.abs(found - batch.column("logprob"))[batch.policy_mask].max()


def check_contexts(policy, records):
    """Every message stands in exactly one segment, right behind the prompt that it was written to."""
    by_turn = {(episode, turn): (prompt, ids) for episode, turn, prompt, ids, _ in policy.prompts}
    for record in records:
        seen = [np.zeros(len(segment.token_ids), dtype=int) for segment in record.segments]
        for turn in record.turns:
            prompt, ids = by_turn[record.trajectory_id, turn.index]
            segment = record.segments[turn.policy_span.segment]
            assert segment.token_ids[: turn.policy_span.start] == prompt
            assert segment.token_ids[turn.policy_span.start : turn.policy_span.end] == ids
            assert turn.reply_span.start == turn.policy_span.end
            assert turn.reply_span.segment == turn.policy_span.segment
            seen[turn.policy_span.segment][turn.policy_span.start : turn.policy_span.end] += 1
        for counts, segment in zip(seen, record.segments, strict=True):
            assert counts.tolist() == [int(flag) for flag in segment.policy_mask]
            assert any(segment.policy_mask)


@pytest.mark.parametrize("template", list(TEMPLATES))
def test_the_probe_finds_what_a_template_rewrites(models, template):
    renderer = HFRenderer(models[template][1])
    expected = REWRITING.get(template, ())
    assert renderer.rewrites == bool(expected)
    for what in expected:
        assert any(f"earlier {what}" in note for note in renderer.notes)
    assert not HFRenderer(models[template][1], history="sampled").rewrites


@pytest.mark.parametrize("context", STRATEGIES)
@pytest.mark.parametrize("template", list(TEMPLATES))
def test_the_learner_reads_what_the_sampler_read(models, template, context):
    model, tokenizer = models[template]
    policy = TransformersPolicy(model, tokenizer)
    records = play(policy, context)
    assert all(record.token_faithful for record in records)
    assert gap(model, records) < 1e-4
    thinks = Thinks(model, tokenizer)
    records = play(thinks, context)
    assert gap(model, records) < 1e-4
    check_contexts(thinks, records)


@pytest.mark.parametrize("template", ["qwen3-stripped", "last-tools"])
def test_a_template_that_rewrites_begins_segments(models, template):
    policy = Thinks(*models[template])
    structured = template == "last-tools"
    records = play(policy, structured=structured)
    several = [record for record in records if len(record.turns) > 1]
    assert several
    check_contexts(policy, records)
    user = rooms(structured).messages and rooms(structured).messages[0]["role"] == "user"
    for record in several:
        assert record.drift.clean + record.drift.forked == len(record.turns) - 1
        assert len(record.segments) == record.drift.forked + 1
        if user:
            assert record.drift.forked
    tokenizer = models[template][1]
    for _, _, prompt, _, messages in policy.prompts:
        text = tokenizer.apply_chat_template(
            messages, tools=rooms(True).tools if structured else None, add_generation_prompt=True, tokenize=False
        )
        assert tokenizer.backend_tokenizer.decode(prompt, skip_special_tokens=False) == text


def test_history_as_it_was_sampled_keeps_one_segment(models):
    policy = Thinks(*models["qwen3-stripped"], history="sampled")
    records = play(policy)
    assert all(len(record.segments) == 1 and record.drift.forked == 0 for record in records)
    assert gap(policy.model, records) < 1e-4


def test_thinking_is_kept_where_the_template_keeps_it(models):
    for record in play(Thinks(*models["qwen3-kept"])):
        assert record.drift == Drift(clean=len(record.turns) - 1)
        assert len(record.segments) == 1


def test_a_window_holds_the_opening_and_the_last_turns(models):
    policy = Thinks(*models["chatml"])
    records = play(policy, "window:2", episodes=12)
    longest = max(len(record.turns) for record in records)
    assert longest > 3
    for _, turn, _, _, messages in policy.prompts:
        assert [m["role"] for m in messages[:2]] == ["system", "user"]
        assert sum(m["role"] == "assistant" for m in messages) == min(turn, 2)
        assert messages[1]["content"].startswith("Find the lamp. Rooms")
    for record in records:
        assert record.drift.forked == max(0, len(record.turns) - 3)
        assert len(record.segments) == 1 + record.drift.forked


def test_a_window_of_tokens_keeps_what_fits(models):
    policy = Thinks(*models["chatml"])
    play(policy, "window:60tokens", episodes=8)
    opening = {}
    for episode, turn, prompt, _, messages in policy.prompts:
        if turn == 0:
            opening[episode] = len(prompt)
        kept = sum(m["role"] == "assistant" for m in messages)
        assert kept >= min(turn, 1)
        assert kept <= 1 or len(prompt) - opening[episode] <= 60


def test_a_summary_stands_for_what_left(models):
    policy = Thinks(*models["chatml"])
    records = play(policy, "summary:clip,keep=1,every=2", episodes=12)
    assert max(len(record.turns) for record in records) > 3
    for _, turn, _, _, messages in policy.prompts:
        assert ("What happened before" in messages[1]["content"]) == (turn > 2)
        if turn == 3:
            assert messages[1]["content"].count("- wrote:") == 2
            assert sum(m["role"] == "assistant" for m in messages) == 1
    check_contexts(policy, records)


def test_a_blocking_summariser_leaves_the_event_loop(models):
    import threading

    threads = set()

    def summarise(summary, exchanges):
        threads.add(threading.current_thread())
        return summary + "x"

    summarise.blocking = True
    policy = Thinks(*models["chatml"])
    collect_all(list(plan(6, 1, 0)), rooms, policy, sampling=Sampling(), context=Summary(summarise, keep=1, every=1))
    assert threads
    assert threading.main_thread() not in threads


def test_inline_replies_can_leave_the_context_too(models):
    renderer = HFRenderer(models["chatml"][1])
    talk = Conversation(
        "job", [{"role": "user", "content": "question"}], (), "inline", renderer, context_strategy("window:1")
    )
    first = list(talk.prompt_ids)
    for number in range(3):
        prompt = list(talk.prompt_ids)
        talk.add_message(
            Completion(f"say {number}", renderer.encode(f"say {number}"), [0.0] * len(renderer.encode(f"say {number}")))
        )
        talk.add_reply([{"role": "user", "content": f"<r>{number}</r>"}])
        kept = "" if number == 0 else f"say {number - 1}<r>{number - 1}</r>"
        assert prompt == first + renderer.encode(kept) if number == 0 else prompt[: len(first)] == first
        assert renderer.decode(prompt[len(first) :]) == kept
    assert talk.messages[-1] == {"role": "assistant", "content": "say 2<r>2</r>"}
    assert talk.drift == Drift(clean=1, forked=2)


def test_a_fork_shares_its_past_and_nothing_else(models):
    renderer = HFRenderer(models["chatml"][1])
    talk = Conversation(
        "", [{"role": "user", "content": "question"}], (), "chat", renderer, context_strategy("window:1")
    )
    say = lambda text: talk.add_message(Completion(text, renderer.encode(text), [0.0] * len(renderer.encode(text))))  # noqa: E731
    say("look")
    talk.add_reply([{"role": "user", "content": "Nothing."}])
    other = talk.fork()
    assert other.prompt_ids == talk.prompt_ids
    before = [list(s.token_ids) for s in other.segments()], list(other.messages)
    say("answer")
    talk.add_reply([{"role": "user", "content": "Right."}])
    assert talk.prompt_ids != other.prompt_ids
    assert ([list(s.token_ids) for s in other.segments()], other.messages) == before


# Servers that render themselves


def _server_talk():
    return Conversation("", [{"role": "user", "content": "q"}], (), "chat", None)


def _answer(talk, prompt, ids, **kwargs):
    span = talk.add_message(Completion("a", ids, [-1.0] * len(ids), prompt_ids=prompt, **kwargs))
    talk.add_reply([{"role": "user", "content": "r"}])
    return span


def test_a_server_s_prompt_goes_on_or_begins_a_segment():
    talk = _server_talk()
    assert _answer(talk, [1, 2, 3], [10, 11]) == (0, 3, 5)
    assert _answer(talk, [1, 2, 3, 10, 11, 4, 5], [12]) == (0, 7, 8)
    assert talk.drift == Drift(clean=1)
    assert _answer(talk, [1, 2, 3, 10, 11, 4, 5, 99, 6], [13]) == (1, 9, 10)  # 12 came back as 99
    assert talk.drift == Drift(clean=1, realigned=1, drifted_tokens=1)
    assert _answer(talk, [1, 7] + [8] * 40, [14]) == (2, 42, 43)
    assert talk.drift == Drift(clean=1, realigned=2, drifted_tokens=10)
    _answer(talk, [1] * 60, [15])
    assert _answer(talk, [2], [16]) == (4, 1, 2)
    assert talk.drift.forked == 2
    assert talk.faithful
    segments = talk.segments()
    assert [sum(segment.policy_mask) for segment in segments] == [3, 1, 1, 1, 1]
    assert segments[0].token_ids == [1, 2, 3, 10, 11, 4, 5, 12]
    assert talk.prompt_ids is None


@pytest.mark.parametrize("missing", [0, 1])
def test_one_message_without_ids_makes_the_episode_unfaithful(missing):
    talk = _server_talk()
    for number in range(3):
        prompt = None if number == missing else [1, 2, 3]
        _answer(talk, prompt, [10])
    assert not talk.faithful
    assert talk.segments() == []


@pytest.mark.parametrize(
    "odd",
    [{"token_ids": ["a"]}, {"token_ids": [2**40]}, {"token_ids": [None]}, {"prompt_ids": [1.5]}, {"logprobs": [None]}],
)
def test_tokens_that_no_record_holds_fail_one_episode(odd):
    class Server(Policy):
        async def act(self, request):
            values = {"token_ids": [7], "logprobs": [-1.0], "prompt_ids": [1, 2]}
            wrong = int(request.episode_id[1:]) == 2
            return Completion("look[hall]", **{**values, **(odd if wrong else {})})

    jobs = list(plan(4, 1, 0))
    records = collect_all(jobs, lambda: agentgym.make("toy/Rooms-v0"), Server(), sampling=Sampling())
    assert [[fault.boundary for fault in record.faults] for record in records] == [[], [], ["policy"], []]
    for index, record in enumerate(records):
        assert decode(encode(index, [record])) == (index, [record])


def test_versions_are_kept_per_token():
    talk = _server_talk()
    _answer(talk, [1, 2], [10, 11, 12], versions=[3, 3, 4])
    assert talk.segments()[0].versions == [-1, -1, 3, 3, 4]


# Names


@pytest.mark.parametrize(
    "text",
    ["window", "window:0", "window:x", "window:-1", "summary:clip,keep=0", "summary:clip,of=1", "full:2", "4096"],
)
def test_a_wrong_strategy_is_explained(text):
    with pytest.raises(ConfigError, match=text.partition(":")[0]):
        context_strategy(text)


def test_an_unknown_strategy_names_the_known_ones():
    with pytest.raises(UnknownNameError, match="Did you mean 'window'"):
        context_strategy("windw:3")
    with pytest.raises(UnknownNameError, match="clip"):
        context_strategy("summary:clap")


def test_a_summariser_of_one_s_own_is_named_by_its_module():
    strategy = context_strategy("summary:agentgym.rollout.context:clip,keep=1,every=1")
    assert strategy.view([], View()) == View()


def test_a_window_of_tokens_needs_tokens():
    class Silent(Policy):
        async def act(self, request):
            return Completion("look[hall]")

    with pytest.raises(ConfigError, match="policy with tokens"):
        play(Silent(), "window:60tokens")


# The chain behind: records, batches, credit, losses


@pytest.fixture(scope="module")
def windowed(models):
    return play(Thinks(*models["chatml"]), "window:1", episodes=8)


def test_records_of_several_segments_come_back(windowed):
    assert max(len(record.segments) for record in windowed) > 2
    for record, back in zip(windowed, from_tables(*to_tables(windowed)), strict=True):
        for one, other in zip(record.segments, back.segments, strict=True):
            assert (one.token_ids, one.policy_mask, one.versions) == (
                other.token_ids,
                other.policy_mask,
                other.versions,
            )
        assert (record.drift, record.usage, record.turns) == (back.drift, back.usage, back.turns)
        assert Trajectory.from_dict(record.to_dict()) == record


def test_old_records_without_a_tally_are_read(windowed):
    old = windowed[0].to_dict()
    del old["drift"], old["usage"]
    assert Trajectory.from_dict(old).drift == Drift()
    table, turns = to_tables(windowed[:1])
    assert from_tables(table.drop_columns(["drift", "usage"]), turns)[0].drift == Drift()


def _in_one_segment(record):
    """The same episode with nothing but its sampled tokens, one of the environment before each message."""
    copy = Trajectory.from_dict(record.to_dict())
    whole = Segment()
    for turn in copy.turns:
        _, start, end = turn.policy_span
        for name in ("token_ids", "policy_mask", "logprobs", "versions"):
            getattr(whole, name).extend(getattr(copy.segments[turn.policy_span.segment], name)[start - 1 : end])
        turn.policy_span = Span(0, len(whole.token_ids) - (end - start), len(whole.token_ids))
    copy.segments = [whole]
    return copy


AVAILABLE = {"token_id", "logprob", "anchor", "observation", "executable", "valid", "outcome"}


LOOKS_AT_LENGTHS = {"pure_released", "igpo_2025"}  # released forms that count tokens which nobody sampled


@pytest.mark.parametrize(
    "name", [name for name in METHODS if set(METHODS[name].needs) <= AVAILABLE and name not in LOOKS_AT_LENGTHS]
)
def test_credit_does_not_depend_on_segments(windowed, name):
    several, one = to_batch(windowed), to_batch([_in_one_segment(record) for record in windowed])
    method = make(name)
    first, second = method(several), method(one)
    assert not first.token[~several.policy_mask].any()
    assert first.token[several.policy_mask] == pytest.approx(second.token[one.policy_mask])
    assert first.turn == pytest.approx(second.turn)


def test_a_row_is_a_segment_and_ends_with_its_last_sampled_token(windowed):
    batch = to_batch(windowed)
    pieces = split_rows(batch, batch.policy_mask, max_tokens=2000)
    assert sorted(np.concatenate([rows.index for rows in pieces])) == np.flatnonzero(batch.policy_mask).tolist()
    assert sum(len(rows.ids) for rows in pieces) == sum(len(record.segments) for record in windowed)
    for rows in pieces:
        asked = np.unique(batch.token_trajectory[rows.index])
        order = np.array(list(dict.fromkeys(batch.token_trajectory[rows.index].tolist())))
        assert (order[rows.trajectory.numpy()] == batch.token_trajectory[rows.index]).all()
        assert len(asked) == len(order)


@pytest.mark.parametrize("aggregation", ["token-mean", "seq-mean-token-mean", "seq-mean-token-sum"])
def test_a_loss_weighs_trajectories_not_segments(windowed, aggregation):
    batch = to_batch(windowed)
    (rows,) = split_rows(batch, batch.policy_mask, max_tokens=100_000)
    value = torch.as_tensor(batch.column("logprob")[rows.index])
    found = aggregate(value, torch.ones_like(value), aggregation, offsets=_starts(rows))
    each = [
        batch.column("logprob")[(batch.token_trajectory == i) & batch.policy_mask] for i in range(batch.n_trajectories)
    ]
    expected = {
        "token-mean": np.concatenate(each).mean(),
        "seq-mean-token-mean": np.mean([values.mean() for values in each]),
        "seq-mean-token-sum": np.mean([values.sum() for values in each]),
    }[aggregation]
    assert found.item() == pytest.approx(expected, rel=1e-6)


def test_an_update_on_several_segments_raises_what_paid(models):
    tokenizer = tokenizer_with("chatml")
    model = build_model(tokenizer, layers=1, hidden=32, context=4096, seed=5)
    records = play(Thinks(model, tokenizer), "window:1", episodes=8)
    batch = to_batch(records)
    credit = make("grpo")(batch.with_turn_rewards(np.where(batch.is_last_turn, batch.turn_trajectory % 2, 0.0)))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    before = batch_logprobs(model, batch)
    metrics = policy_step(model, optimizer, batch, credit, np.arange(batch.n_trajectories), RLSection(), 1.0)
    after = batch_logprobs(model, batch)
    assert metrics["sampler_gap"] < 1e-4
    assert ((after - before) * credit.token).sum() > 0
