"""The rollout engine: groups, faults, limits, batching, and equal records at any concurrency."""

import asyncio
import sys

import pytest
import toys

import agentgym
from agentgym import AgentEnv, BatchPolicy, Capabilities, Completion, Policy, Sampling
from agentgym.core.errors import ConfigError
from agentgym.core.policy import Request
from agentgym.rollout.engine import Limits, collect, collect_all
from agentgym.rollout.jobs import plan


class Expert(Policy):
    name = "expert"
    bound = True

    async def act(self, request: Request) -> Completion:
        return Completion(request.env.expert_message(mistake_rate=0.5, rng=toys.rng_of(request.seed)))


def make():
    return agentgym.make("toy/Rooms-v0")


def play(episodes=12, group=3, policy=None, make_env=make, **kwargs):
    return collect_all(list(plan(episodes, group, 0)), make_env, policy or Expert(), sampling=Sampling(), **kwargs)


def test_groups_share_task_and_seed_but_not_the_policys_draws():
    records = play(24, 4)
    for first in range(0, 24, 4):
        group = records[first : first + 4]
        assert len({record.group_id for record in group}) == 1
        assert len({(record.task_id, record.seed) for record in group}) == 1
    assert len({record.task_id for record in records}) == 6
    assert len({tuple(turn.message for turn in record.turns) for record in records}) > 6


@pytest.mark.parametrize("concurrency", [1, 5, 64])
def test_concurrency_changes_nothing(concurrency):
    assert [r.to_dict() for r in play(concurrency=concurrency)] == [r.to_dict() for r in play(concurrency=3)]


def test_records_hold_what_happened():
    (record,) = play(1, 1)
    assert record.scored
    assert record.success is True
    assert record.outcome == 1.0
    assert record.reference["room"] in toys.ROOMS
    assert record.total_reward == pytest.approx(sum(turn.reward for turn in record.turns))
    assert record.total_reward == pytest.approx(sum(turn.attributed for turn in record.turns))
    assert [turn.index for turn in record.turns] == list(range(len(record.turns)))
    assert record.turns[1].observation != record.turns[0].observation
    assert not record.token_faithful


def test_an_unfinished_episode_has_the_lowest_outcome():
    class Silent(Policy):
        async def act(self, request):
            return Completion("...")

    (record,) = play(1, 1, Silent())
    assert (record.truncated, record.truncation_reason) == (True, "max_turns")
    assert (record.success, record.outcome) == (False, 0.0)


class Breaks(toys.RoomsGame):
    def act(self, action):
        if self.state.rooms[0] == "hall":
            raise OSError("gone")
        return super().act(action)


class Leaves(toys.RoomsGame):
    def act(self, action):
        if self.state.rooms[0] == "hall":
            sys.exit("gone")
        return super().act(action)


class LeavesItsThread(Leaves):
    capabilities = Capabilities(blocking=True)


@pytest.mark.parametrize("game", [Breaks, Leaves, LeavesItsThread])
def test_a_failing_environment_is_data(game):
    records = play(30, 1, make_env=lambda: AgentEnv(game()))
    faulted = [record for record in records if record.faults]
    assert faulted
    assert len(faulted) < 30
    for record in faulted:
        assert (record.faults[0].boundary, record.success, record.outcome) == ("environment", None, None)
        assert "gone" in record.faults[0].message
        assert not record.scored


@pytest.mark.parametrize("failure", [TimeoutError("no answer"), SystemExit(3)])
def test_a_failing_policy_is_data_too(failure):
    class Flaky(Expert):
        async def act(self, request):
            if request.turn == 1 and request.episode_id.endswith("3"):
                raise failure
            return await super().act(request)

    records = play(8, 1, Flaky())
    assert [len(record.faults) for record in records] == [0, 0, 0, 1, 0, 0, 0, 0]
    assert records[3].faults[0].boundary == "policy"
    assert records[3].faults[0].turn == 1


def test_a_users_mistake_stops_the_run():
    class Wrong(Policy):
        async def act(self, request):
            raise ConfigError("no such model")

    with pytest.raises(ConfigError, match="no such model"):
        play(8, 1, Wrong())
    with pytest.raises(ConfigError, match="concurrency"):
        asyncio.run(anext(collect([], make, Expert(), sampling=Sampling(), concurrency=0)))


def test_requests_of_waiting_episodes_are_answered_together():
    sizes = []

    class Batched(BatchPolicy):
        bound = True
        threaded = False

        def generate(self, requests):
            sizes.append(len(requests))
            return [Completion(request.env.expert_message()) for request in requests]

    play(16, 1, Batched(), concurrency=8)
    assert sizes == [8, 8, 8, 8]


def test_batches_are_bounded_and_errors_reach_every_member():
    class Bounded(BatchPolicy):
        max_batch = 3

        def generate(self, requests):
            assert len(requests) <= 3
            raise RuntimeError("engine died")

    assert all(record.faults[0].boundary == "policy" for record in play(7, 1, Bounded()))


class Blocking(toys.RoomsGame):
    capabilities = agentgym.Capabilities(blocking=True)


def test_blocking_environments_run_in_threads():
    plain, threaded = play(6, 2), play(6, 2, make_env=lambda: AgentEnv(Blocking()))
    assert [record.turns for record in plain] == [record.turns for record in threaded]


def test_time_is_limited():
    class Slow(Policy):
        async def act(self, request):
            await asyncio.sleep(0.02)
            return Completion("hm")

    (record,) = play(1, 1, Slow(), limits=Limits(seconds=0.01))
    assert record.truncation_reason == "deadline"
    assert record.turns == []


def test_a_consumer_may_leave_early():
    async def take_two():
        found = []
        async for _, record, _ in collect(plan(50, 1, 0), make, Expert(), sampling=Sampling(), concurrency=4):
            found.append(record)
            if len(found) == 2:
                break
        return found

    assert len(asyncio.run(take_two())) == 2
