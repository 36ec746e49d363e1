"""Whatever hangs is left behind: the episode ends, the lane goes on, and nobody waits at the end."""

import asyncio
import subprocess
import sys
import threading
import time

import pytest

import agentgym
from agentgym import AgentEnv, BatchPolicy, Completion, Policy, Sampling
from agentgym.core.errors import ConfigError
from agentgym.rollout.engine import Limits, Retries, Setup, play_jobs
from agentgym.rollout.injector import Injection
from agentgym.rollout.jobs import plan
from rollout import games


def make():
    return agentgym.make("toy/Rooms-v0")


def play(episodes, policy=None, make_env=make, concurrency=8, group=1, jobs=None, **setup):
    async def run():
        found = {}
        ready = Setup(make_env, policy or games.Expert(), Sampling(), **setup)
        async for played in play_jobs(jobs or plan(episodes, group, 0), ready, concurrency=concurrency):
            found[played.job.index] = played
        return [found[index] for index in sorted(found)]

    return asyncio.run(run())


def dicts(played):
    return [[record.to_dict() for record in item.trajectories] for item in played]


class Sleepy(Policy):
    """Never answers in the second turn of every third episode."""

    def __init__(self, stubborn=False):
        self.stubborn = stubborn
        self.cancelled = 0

    async def act(self, request):
        while request.turn == 1 and int(request.episode_id[1:]) % 3 == 0:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                self.cancelled += 1
                if not self.stubborn:
                    raise
        return Completion("look[attic]")


def test_a_policy_that_hangs_past_the_deadline_truncates_the_episode():
    played = play(6, Sleepy(), limits=Limits(seconds=0.5))
    for index, item in enumerate(played):
        (record,) = item.trajectories
        assert record.scored
        if index % 3 == 0:
            assert (record.truncation_reason, record.stop_reason, len(record.turns)) == ("deadline", "deadline", 1)
            assert record.outcome == 0.0
        else:
            assert record.truncation_reason == "max_turns"


def test_a_request_that_takes_too_long_is_made_again_and_then_a_fault():
    policy = Sleepy()
    played = play(6, policy, limits=Limits(call_seconds=0.05), retries=Retries(requests=2))
    (record,) = played[0].trajectories
    assert [(fault.boundary, fault.turn) for fault in record.faults] == [("policy", 1)]
    assert not record.scored
    assert record.total_reward == pytest.approx(sum(turn.reward for turn in record.turns))
    assert [fault.boundary for fault in played[0].timing.retried] == ["policy", "policy"]
    assert policy.cancelled == 6
    assert played[1].trajectories[0].scored


def test_a_policy_that_ignores_its_cancellation_is_left_behind():
    played = play(4, Sleepy(stubborn=True), limits=Limits(call_seconds=0.05), concurrency=2)
    assert [bool(item.trajectories[0].faults) for item in played] == [True, False, False, True]
    assert "cancelled" in played[0].trajectories[0].faults[0].message


def test_a_thread_of_a_policy_that_hangs_does_not_keep_the_process():
    class Stuck(BatchPolicy):
        def generate(self, requests):
            games.HUNG.wait()
            return []

    games.HUNG.clear()
    (item,) = play(1, Stuck(), limits=Limits(seconds=0.05))
    assert item.trajectories[0].truncation_reason == "deadline"
    games.HUNG.set()


@pytest.fixture
def hung():
    games.HUNG.clear()
    yield
    games.HUNG.set()


@pytest.mark.parametrize("limits", [Limits(call_seconds=0.7), Limits(seconds=0.7)])
def test_an_environment_that_hangs_is_left_behind_and_replaced(hung, limits):
    made = []

    def make_hanging():
        made.append(AgentEnv(games.HallGame()))
        return made[-1]

    played = play(20, make_env=make_hanging, concurrency=10, limits=limits, retries=Retries(episodes=1))
    bad = [item for item in played if item.trajectories[0].reference["room"] == "hall"]
    assert 0 < len(bad) < 20
    for item, usual in zip(played, play(20), strict=True):
        if item not in bad and item.trajectories[0].terminated:
            assert item.trajectories[0].turns == usual.trajectories[0].turns
    for item in bad:
        (fault,) = item.trajectories[0].faults
        assert (fault.boundary, fault.message) == ("environment", "step did not return within its time limit")
        assert item.timing.attempts == 2
    assert len(made) > len(bad)


def test_threads_end_when_what_hung_returns(hung):
    before = threading.active_count()
    play(10, make_env=lambda: AgentEnv(games.HallGame()), limits=Limits(call_seconds=0.05))
    games.HUNG.set()
    deadline = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() <= before


def test_the_process_ends_although_an_environment_hangs():
    code = (
        "import sys; sys.path[:0] = ['tests']\nimport conftest\n"
        "from rollout import games\nfrom rollout.test_deadlines import play, Limits, Retries, AgentEnv\n"
        "games.HallGame.how = 'sleep'\n"
        "print(len(play(8, make_env=lambda: AgentEnv(games.HallGame()), limits=Limits(call_seconds=0.05))))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "8", done.stderr


def test_an_environment_that_cannot_be_made_in_time_or_at_all():
    class Broken(games.toys.RoomsGame):
        def __init__(self):
            raise OSError("no disk")

    (item,) = play(1, make_env=lambda: AgentEnv(Broken()))
    (fault,) = item.trajectories[0].faults
    assert (fault.boundary, item.timing.attempts) == ("environment", 3)
    assert "no disk" in fault.message


def test_hangs_need_a_limit_to_be_noticed():
    with pytest.raises(ConfigError, match="call_seconds"):
        Setup(make, games.Expert(), Sampling(), injection=Injection(hang=0.1))
    with pytest.raises(ConfigError, match="seconds must be above 0"):
        Limits(seconds=0)


def test_a_time_limit_changes_nothing_for_those_who_keep_it():
    assert dicts(play(10)) == dicts(play(10, limits=Limits(seconds=60, call_seconds=30)))


class TestOwnProcess:
    def test_records_are_the_same(self):
        assert dicts(play(4, make_env=games.make_well_hosted, concurrency=2)) == [
            [{**record, "env_id": "WellHostedGame"} for record in item] for item in dicts(play(4, concurrency=2))
        ]

    def hall(self):
        """A job whose game misbehaves."""
        return next(item.job for item in play(12) if item.trajectories[0].reference["room"] == "hall")

    def test_a_crash_is_a_fault_of_the_environment(self):
        (item,) = play(1, make_env=games.make_hosted, jobs=[self.hall()], retries=Retries(episodes=1))
        assert [fault.message for fault in item.trajectories[0].faults] == ["its process ended (exit code 9)"]
        assert item.timing.attempts == 2

    def test_a_hang_is_killed(self):
        setup = {"make_env": games.make_hosted_hang, "jobs": [self.hall()], "retries": Retries(episodes=0)}
        (item,) = play(1, limits=Limits(seconds=1.0), **setup)
        assert item.trajectories[0].faults[0].message == "step did not return within its time limit"

    def test_what_makes_it_must_be_sendable(self):
        with pytest.raises(ConfigError, match="process of its own"):
            play(1, make_env=lambda: AgentEnv(games.WellHostedGame()))
