"""Process rewards by a judge as a column, and agreement with people's choices."""

import json

import numpy as np
import pytest

from agentgym.core.env import AgentEnv
from agentgym.core.errors import ConfigError, DataError
from agentgym.core.policy import Sampling
from agentgym.credit import make
from agentgym.policies.scripted import ScriptedPolicy
from agentgym.policies.step_judge import StepJudge
from agentgym.rollout.batch import to_batch
from agentgym.rollout.engine import collect_all
from agentgym.rollout.jobs import plan
from agentgym.training.judged import JudgeScorer, agreement, read_choices


def looks_first(messages, images=()):
    """A judge that likes looking, and dislikes answering."""
    question = messages[-1]["content"]
    if "Action 1:" in question:
        first = question.partition("Action 1:")[2].partition("Action 2:")[0]
        return json.dumps({"preference": 1 if "look[" in first else 2})
    return json.dumps({"rating": 9 if "look[" in question.rpartition("The action:")[2] else 2})


@pytest.fixture(scope="module")
def records():
    def make_env():
        return AgentEnv("toys:RoomsGame")

    return collect_all(list(plan(12, 4, 1)), make_env, ScriptedPolicy(0.5), sampling=Sampling())


def test_ratings_become_a_column_that_methods_read(records):
    scorer = JudgeScorer(looks_first)
    scorer.read(records)
    batch = to_batch(records, text_only=True)
    column = scorer(batch)["process_reward"]
    turns = [turn for record in records for turn in record.turns]
    assert column.tolist() == [0.9 if turn.message.startswith("look") else 0.2 for turn in turns]
    scored = batch.with_columns({"process_reward": column})
    assert scored.column("process_reward").shape == (batch.n_turns,)


def test_preferences_compare_what_siblings_did_in_the_same_state(records):
    scorer = JudgeScorer(looks_first, mode="prefer")
    scorer.read(records)
    column = scorer(to_batch(records, text_only=True))["process_reward"]
    turns = [(record.group_id, turn) for record in records for turn in record.turns]
    states = {}
    for group, turn in turns:
        states.setdefault((group, turn.state_key), set()).add(turn.action)
    assert any(len(actions) > 1 for actions in states.values())
    for value, (group, turn) in zip(column, turns, strict=True):
        alone = len(states[group, turn.state_key]) == 1
        assert np.isnan(value) == alone
        if not alone:
            assert 0 <= value <= 1


def test_malformed_replies_are_absent_not_zero(records):
    scorer = JudgeScorer(lambda messages, images=(): "I like it")
    scorer.read(records)
    assert np.isnan(scorer(to_batch(records, text_only=True))["process_reward"]).all()


def test_records_of_another_batch_are_refused(records):
    scorer = JudgeScorer(looks_first)
    scorer.read(records[:-1])
    with pytest.raises(DataError, match="records"):
        scorer(to_batch(records, text_only=True))


def test_settings():
    with pytest.raises(ConfigError, match="need a judge"):
        JudgeScorer()
    with pytest.raises(ConfigError, match="'rate' or 'prefer'"):
        JudgeScorer(looks_first, mode="rank")


def row(chosen, rejected, **more):
    return {"intent": "Find it", "text_observation": "page", "chosen": chosen, "rejected": rejected, **more}


def chat(text):
    return [{"role": "user", "content": "?"}, {"role": "assistant", "content": text}]


def test_choices_of_people(tmp_path):
    path = tmp_path / "choices.jsonl"
    rows = [row(chat("look[a]"), chat("answer[b]")), row(chat("look[a]"), chat("answer[c]")),
            row("answer[d]", ["look[e]", "answer[f]"], trajectory="looked around")]  # fmt: skip
    path.write_text("\n".join(map(json.dumps, rows)))
    choices = read_choices(path)
    assert [(choice.chosen, choice.rejected) for choice in choices] == [
        ("look[a]", ("answer[b]", "answer[c]")),
        ("answer[d]", ("look[e]", "answer[f]")),
    ]
    found = agreement(StepJudge(looks_first), choices)
    # The judge likes looking: both first pairs are right. answer[d] loses to look[e]; against answer[f], which stands
    # in the other place, it says 2.
    assert (found["pairs"], found["states"], found["best_of_n"]) == (4, 2, 0.5)
    assert found["pairwise"] == 0.5 + 0.25
    undecided = agreement(StepJudge(lambda messages, images=(): "?"), choices)
    assert (undecided["pairwise"], undecided["undecided"]) == (0.0, 1.0)
    path.write_text(json.dumps(rows))
    assert read_choices(path) == choices


@pytest.mark.parametrize("bad", ["{", '{"intent": "x"}', json.dumps(row(1, "x")), json.dumps(row([{}], "x"))])
def test_rows_that_cant_be_read(tmp_path, bad):
    path = tmp_path / "bad.jsonl"
    path.write_text(bad)
    with pytest.raises(DataError):
        read_choices(path)


def test_a_credit_method_takes_the_column(records):
    scorer = JudgeScorer(looks_first)
    scorer.read(records)
    batch = to_batch(records, text_only=True)
    scored = batch.with_columns(scorer(batch))
    credit = make("pure", baseline="step")(scored)
    assert len(credit.turn) == batch.n_turns
    assert np.abs(credit.turn).sum() > 0
