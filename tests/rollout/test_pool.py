"""The pool: groups for a trainer across weight updates, nothing lost, nothing played twice for nothing."""

import asyncio

import pytest

import agentgym
from agentgym import Completion, Policy, Sampling
from agentgym.core.errors import ConfigError
from agentgym.rollout.engine import Setup, collect_all
from agentgym.rollout.jobs import plan
from agentgym.rollout.pool import RolloutPool
from rollout import games
from rollout.test_trees import Letters


def make():
    return agentgym.make("toy/Rooms-v0")


def pool_of(policy=None, concurrency=6, background=False):
    return RolloutPool(
        Setup(make, policy or games.Expert(), Sampling()), concurrency=concurrency, background=background
    )


class Versioned(Policy):
    """Looks around for ever; its tokens say which weights wrote them."""

    renderer = Letters()

    def __init__(self, hold=()):
        self.asking = 0
        self.hold = hold
        self.release = asyncio.Event()

    async def act(self, request):
        self.asking += 1
        try:
            if int(request.episode_id[1:]) in self.hold and request.turn == 2:
                await self.release.wait()
            for _ in range(1 + int(request.episode_id[1:])):  # episodes take different times
                await asyncio.sleep(0)
            ids = self.renderer.encode("look[attic]")
            return Completion("look[attic]", ids, [0.0] * len(ids), weight_version=self.weight_version)
        finally:
            self.asking -= 1


@pytest.mark.parametrize("background", [False, True])
@pytest.mark.parametrize("carry", ["keep", "drop"])
def test_every_group_is_handed_out_once_and_is_what_it_would_have_been(background, carry):
    whole = collect_all(list(plan(48, 4, 0)), make, games.Expert(), sampling=Sampling())
    found = []
    with pool_of(background=background) as pool:
        pool.submit(plan(32, 4, 0))
        for update in range(6):
            if update == 2:
                pool.submit(plan(16, 4, 0, first=32))
            taken = pool.take(2)
            assert [len(group) for group in taken] == [4, 4]
            assert [len({record.group_id for record in group}) for group in taken] == [1, 1]
            found.extend(record for group in taken for record in group)
            if background:
                pool.pause()
            pool.on_weights(update + 1, carry)
        assert pool.groups == 0
    assert sorted(found, key=lambda record: record.trajectory_id) == whole


def test_surplus_is_kept_for_the_next_time():
    with pool_of(concurrency=40) as pool:
        pool.submit(plan(40, 4, 0))
        first = pool.take(1)
        before = pool.finished_groups
        assert before > 0
        second = pool.take(before)
        ids = [group[0].group_id for group in [*first, *second]]
        assert len(set(ids)) == len(ids)


def test_a_slow_group_is_not_lost_and_comes_when_it_is_done():
    policy = Versioned(hold=(0,))
    with pool_of(policy, background=True) as pool:
        pool.submit(plan(24, 2, 0))
        first = pool.take(5)
        assert "g0000000" not in {group[0].group_id for group in first}
        assert first[0][0].group_id == "g0000001"
        pool._loop.call_soon_threadsafe(policy.release.set)
        rest = pool.take(7)
        assert rest[0][0].group_id == "g0000000"


def test_kept_episodes_say_which_weights_sampled_each_token():
    policy = Versioned()
    with pool_of(policy, concurrency=3) as pool:
        pool.submit(plan(6, 1, 0))
        pool.take(1)
        assert policy.asking == 0
        policy.weight_version = 1
        pool.on_weights(1, "keep")
        records = [record for group in pool.take(5) for record in group]
    assert pool.carried >= 2
    seen = [sorted(set(record.segments[0].versions) - {-1}) for record in records]
    assert [0, 1] in seen
    assert [1] in seen
    for record in records:
        versions = [version for version in record.segments[0].versions if version >= 0]
        assert versions == sorted(versions)


def test_dropped_episodes_begin_again_with_the_new_weights():
    policy = Versioned(hold=range(1, 9))
    with pool_of(policy, concurrency=4, background=True) as pool:
        pool.submit(plan(5, 1, 0))
        pool.take(1)
        policy.weight_version = 1
        pool.on_weights(1, "drop")
        pool._loop.call_soon_threadsafe(policy.release.set)
        records = [record for group in pool.take(4) for record in group]
    assert pool.dropped >= 3
    assert all(set(record.segments[0].versions) <= {-1, 1} for record in records)


def test_no_request_is_at_the_policy_between_two_takes():
    policy = Versioned()
    with pool_of(policy, concurrency=8) as pool:
        pool.submit(plan(32, 1, 0))
        for _ in range(4):
            pool.take(3)
            assert policy.asking == 0


def test_refusals():
    with pool_of() as pool:
        pool.submit(plan(8, 4, 0))
        with pytest.raises(ConfigError, match="3 groups were asked for and 2"):
            pool.take(3)
        with pytest.raises(ConfigError, match="Job 0 is in the pool"):
            pool.submit(plan(1, 1, 0))
        assert len(pool.take(2)) == 2
        pool.submit(plan(4, 4, 0))  # handed out, so the number is free again
    with pytest.raises(ConfigError, match="concurrency"):
        pool_of(concurrency=0)


def test_a_users_mistake_reaches_the_trainer():
    class Wrong(Policy):
        async def act(self, request):
            raise ConfigError("no such model")

    with pool_of(Wrong()) as pool:
        pool.submit(plan(4, 1, 0))
        with pytest.raises(ConfigError, match="no such model"):
            pool.take(1)


def test_closing_twice_and_with_episodes_in_flight():
    pool = pool_of(concurrency=4)
    pool.submit(plan(40, 1, 0))
    pool.take(1)
    pool.close()
    pool.close()
