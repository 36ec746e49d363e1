"""Branches: forked states, shared tokens, seeds of their own, inherited turns trained once."""

from dataclasses import replace

import pytest

import agentgym
from agentgym import AgentEnv, Completion, Policy
from agentgym.core.errors import ConfigError, UnsupportedError
from agentgym.core.policy import Usage
from agentgym.rollout.batch import to_batch
from agentgym.rollout.context import context_strategy
from agentgym.rollout.engine import Retries
from agentgym.rollout.injector import Injection
from agentgym.rollout.tally import Tally
from agentgym.rollout.trees import ForkAt
from rollout import games
from rollout.test_deadlines import dicts, play


class Letters:
    """One token a character."""

    def initial(self, messages, tools, layout):
        return self.encode(messages[-1]["content"])

    def suffix(self, messages, layout, *, closed):
        return self.encode(messages[-1]["content"])

    def is_closed(self, token_ids):
        return False

    def encode(self, text):
        return [ord(letter) for letter in text]

    def end_message(self):
        return []

    def decode(self, token_ids):
        return "".join(map(chr, token_ids))


class Writes(games.Expert):
    """The expert, with tokens."""

    renderer = Letters()

    async def act(self, request):
        text = (await super().act(request)).text
        return Completion(text, self.renderer.encode(text), [-0.5] * len(text))


TREE = ForkAt.parse("1:2,2:1")


def test_reading():
    assert ForkAt.parse("2:3") == ForkAt(((2, 3),))
    assert ForkAt.parse("4:1, 2:3").at == ((2, 3), (4, 1))
    assert str(TREE) == "1:2,2:1"
    for text in ("2", "2:0", "x:1", "1:1,1:2", "", "1:-1"):
        with pytest.raises(ConfigError, match="--tree"):
            ForkAt.parse(text)


def test_branches_share_what_came_before_to_the_token():
    played = play(6, Writes(), forks=TREE, group=2)
    for item in played:
        records = {record.trajectory_id: record for record in item.trajectories}
        root = item.trajectories[0]
        assert len(records) == len(item.trajectories) >= 3
        for record in item.trajectories[1:]:
            parent, fork = records[record.parent_id], record.fork_turn
            assert record.group_id == root.group_id
            assert [turn.owned for turn in record.turns] == [i >= fork for i in range(len(record.turns))]
            for mine, theirs in zip(record.turns[:fork], parent.turns[:fork], strict=True):
                assert (mine.message, mine.observation, mine.components) == (
                    theirs.message,
                    theirs.observation,
                    theirs.components,
                )
                assert (mine.policy_span, mine.reply_span) == (theirs.policy_span, theirs.reply_span)
            upto = parent.turns[fork - 1].reply_span.end
            (segment,), (before,) = record.segments, parent.segments
            assert segment.token_ids[:upto] == before.token_ids[:upto]
            assert segment.logprobs[:upto] == before.logprobs[:upto]
            assert segment is not before
            assert record.total_reward == pytest.approx(sum(turn.attributed for turn in record.turns))
    batch = to_batch([record for item in played for record in item.trajectories])
    assert batch.owned.sum() == sum(turn.owned for item in played for r in item.trajectories for turn in r.turns)


def test_what_was_paid_and_drifted_before_a_fork_counts_once():
    class Paid(Writes):
        """Counts its requests."""

        asked = 0

        async def act(self, request):
            Paid.asked += 1
            return replace(await super().act(request), usage=Usage(10, 1, 0.5))

    (item,) = play(1, Paid(), forks=TREE, context=context_strategy("window:1"))
    totals = Tally()
    for record in item.trajectories:
        totals.add(record)
        own = [turn for turn in record.turns if turn.owned]
        assert record.usage == Usage(10 * len(own), len(own), 0.5 * len(own))
        assert sum(record.drift[:3]) == len(own) - (not record.parent_id)
    assert totals.usage.prompt_tokens == 10 * Paid.asked
    assert len(item.trajectories) > 1


def test_the_root_is_the_episode_that_would_have_been_played_anyway():
    assert [item.trajectories[0].to_dict() for item in play(6, Writes(), forks=TREE)] == [
        item.trajectories[0].to_dict() for item in play(6, Writes())
    ]


@pytest.mark.parametrize("concurrency", [1, 9])
def test_trees_are_the_same_at_any_concurrency_and_with_failures(concurrency):
    injection = Injection(tool=0.05, policy=0.05)
    trees = dicts(play(12, forks=TREE, concurrency=concurrency, injection=injection))
    assert trees == dicts(play(12, forks=TREE, concurrency=4, injection=injection))
    assert any(len(tree) > 3 for tree in trees)


def test_a_branch_that_fails_for_good_leaves_the_others():
    played = play(40, forks=ForkAt.parse("1:3"), injection=Injection(tool=0.15), retries=Retries(episodes=0))
    mixed = [item for item in played if 0 < sum(record.scored for record in item.trajectories) < len(item.trajectories)]
    assert mixed
    assert all(len(record.turns) for item in mixed for record in item.trajectories if record.scored)


def test_branches_of_an_episode_that_ended_before():
    class Answers(Policy):
        async def act(self, request):
            return Completion("answer[attic]")

    (item,) = play(1, Answers(), forks=ForkAt.parse("3:5"))
    assert len(item.trajectories) == 1


def test_a_rule_of_ones_own():
    class WhereWrong:
        def branches(self, record):
            fresh = not record.parent_id and record.turns
            return 1 if fresh and record.turns[-1].components.get("sighted") == 0.0 else 0

    played = play(8, forks=WhereWrong())
    assert any(len(item.trajectories) > 1 for item in played)
    for item in played:
        wrong = [turn for turn in item.trajectories[0].turns[:-1] if turn.components.get("sighted") == 0.0]
        assert len(item.trajectories) == 1 + len(wrong)


def test_games_that_cannot_fork_say_so():
    class Game(games.toys.RoomsGame):
        capabilities = agentgym.Capabilities(fork=False)

    with pytest.raises(UnsupportedError, match="can't be forked"):
        play(1, make_env=lambda: AgentEnv(Game()), forks=TREE)
