"""Failures are data: put to one boundary, tried again where that is safe, never a reward of zero, never a lost episode."""

import contextlib
import os
import resource
import subprocess
import sys
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentgym import AgentEnv, Completion, Policy
from agentgym.core.errors import Boundary, ConfigError, Fault, UnknownNameError
from agentgym.core.formats import BracketFormat
from agentgym.rollout.engine import Limits, Retries
from agentgym.rollout.injector import Injection
from agentgym.rollout.jobs import plan
from rollout import games
from rollout.test_deadlines import dicts, play

RATES = "policy=0.1,tool=0.05,env=0.05,hang=0.02"


class TestInjection:
    def test_it_reads_what_the_manual_says(self):
        found = Injection.parse(" policy=0.05, tool=0.05,env=0.02,hang=0.01,kill-worker=30s")
        assert found == Injection(0.05, 0.05, 0.02, 0.01, 30.0)
        assert Injection.parse("") == Injection()
        assert [Injection.parse(f"kill-worker={text}").kill_worker for text in ("500ms", "2m", "1h", "7")] == [
            0.5,
            120.0,
            3600.0,
            7.0,
        ]

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("polcy=0.1", "Did you mean 'policy'"),
            ("policy", "policy=0.05"),
            ("policy=", "policy=0.05"),
            ("policy=2", "policy must be a probability"),
            ("policy=-0.1", "policy must be a probability"),
            ("policy=nan", "policy must be a probability"),
            ("tool=many", "tool must be a probability"),
            ("kill-worker=soon", "kill-worker must be a time"),
            ("kill-worker=0s", "kill-worker must be a time"),
            ("env=0.1,env=0.2", "'env' stands there twice"),
        ],
    )
    def test_it_names_what_it_cannot_read(self, text, said):
        with pytest.raises((ConfigError, UnknownNameError), match="--inject") as caught:
            Injection.parse(text)
        assert said in str(caught.value)

    @given(st.text(max_size=30))
    def test_any_text_is_read_or_refused(self, text):
        with contextlib.suppress(ConfigError, UnknownNameError):
            Injection.parse(text)

    def test_draws_have_their_rates_and_are_independent(self):
        injection = Injection(policy=0.3, tool=0.3)
        draws = [
            (
                injection.hits("policy", job, 0, turn),
                injection.hits("tool", job, 0, turn),
                injection.hits("policy", job, 1, turn),
            )
            for job in plan(400, 1, 0)
            for turn in range(10)
        ]
        for side in range(3):
            assert 0.27 < sum(draw[side] for draw in draws) / len(draws) < 0.33
        assert 0.07 < sum(draw[0] and draw[1] for draw in draws) / len(draws) < 0.11
        assert 0.07 < sum(draw[0] and draw[2] for draw in draws) / len(draws) < 0.11


@pytest.mark.parametrize("concurrency", [1, 64])
def test_injected_failures_are_the_same_at_any_concurrency(concurrency):
    setup = {"injection": Injection.parse(RATES), "limits": Limits(call_seconds=0.1)}
    played = play(60, concurrency=concurrency, **setup)
    assert dicts(played) == dicts(play(60, concurrency=7, **setup))
    assert [item.job.index for item in played] == list(range(60))
    retried = Counter(fault.boundary for item in played for fault in item.timing.retried)
    assert set(retried) == {"policy", "tool", "environment"}
    clean = play(60)
    for item, usual in zip(played, clean, strict=True):
        (record,) = item.trajectories
        if record.scored:
            assert record.to_dict() == usual.trajectories[0].to_dict()
        else:
            assert (record.success, record.outcome) == (None, None)
            assert record.faults[0].message in ("injected", "step did not return within its time limit")


def test_without_retries_every_failure_is_final():
    played = play(60, injection=Injection(tool=0.1, policy=0.1), retries=Retries(0, 0))
    faults = [fault for item in played for fault in item.trajectories[0].faults]
    assert {fault.boundary for fault in faults} == {"policy", "tool"}
    assert not any(item.timing.retried for item in played)
    assert len(faults) > 10


class TestBoundaries:
    def test_a_request_is_made_again_with_the_same_seed(self):
        seeds = []

        class Flaky(games.Expert):
            async def act(self, request):
                seeds.append((request.episode_id, request.turn, request.seed))
                if seeds.count(seeds[-1]) == 1:
                    raise ConnectionError("reset")
                return await super().act(request)

        played = play(3, Flaky())
        assert dicts(played) == dicts(play(3))
        assert set(Counter(seeds).values()) == {2}

    def test_a_failure_that_cannot_go_away_is_not_tried_again(self):
        asked = []

        class Refuses(Policy):
            async def act(self, request):
                asked.append(request.turn)
                raise Fault("policy", "no such episode")

        (item,) = play(1, Refuses())
        assert len(asked) == 1
        assert item.trajectories[0].faults[0].boundary == "policy"

    def test_a_sandbox_fault_begins_the_episode_again(self):
        played = play(20, make_env=lambda: AgentEnv(games.FaultyGame()))
        bad = [item for item in played if item.trajectories[0].faults]
        assert bad
        for item in bad:
            assert item.timing.attempts == 3
            assert [fault.boundary for fault in item.timing.retried] == ["sandbox", "sandbox"]
            assert item.trajectories[0].faults[0].boundary == "sandbox"
            assert item.trajectories[0].stop_reason == "fault"

    def test_a_grammar_that_breaks_is_the_parsers(self):
        class Grammar(BracketFormat):
            name = "broken"

            def parse(self, message, tools):
                if "answer" in message:
                    raise RecursionError("too deep")
                return super().parse(message, tools)

        class Game(games.toys.RoomsGame):
            formats = (Grammar(),)

        played = play(4, make_env=lambda: AgentEnv(Game()), retries=Retries(episodes=0))
        assert {fault.boundary for item in played for fault in item.trajectories[0].faults} == {"parser"}

    def test_a_grader_is_the_graders(self):
        class Game(games.toys.RoomsGame):
            def act(self, action):
                if action.name == "answer":
                    raise Fault(Boundary.GRADER, "no verdict", retryable=True)
                return super().act(action)

        played = play(4, make_env=lambda: AgentEnv(Game()))
        assert {fault.boundary for item in played for fault in item.trajectories[0].faults} == {"grader"}

    def test_a_state_key_that_breaks_is_the_environments(self):
        class Game(games.toys.RoomsGame):
            def state_key(self):
                if self.state.seen:
                    raise ZeroDivisionError
                return super().state_key()

        played = play(4, make_env=lambda: AgentEnv(Game()))
        assert {fault.boundary for item in played for fault in item.trajectories[0].faults} == {"environment"}

    def test_a_context_that_cannot_be_made_is_the_policys(self):
        from agentgym.rollout.context import Summary

        def summarise(summary, exchanges):
            raise ValueError("no words")

        class Looks(Policy):
            async def act(self, request):
                return Completion("look[attic]")

        (item,) = play(1, Looks(), context=Summary(summarise, keep=1, every=2))
        assert item.trajectories[0].faults[0].boundary == "policy"
        assert "no words" in item.trajectories[0].faults[0].message


class TestStorage:
    CHILD = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv.pop(1)),) * 2)
import conftest
from agentgym.cli.main import main
main()
"""

    def rollout(self, out, limit, *more):
        words = [
            "rollout",
            "--env",
            "toy/Rooms-v0",
            "--policy",
            "scripted",
            "--episodes",
            "40",
            "--out",
            str(out),
            *more,
        ]
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        return subprocess.run(
            [sys.executable, "-c", self.CHILD, str(limit), *words], capture_output=True, text=True, env=env, timeout=120
        )

    def test_a_full_disk_stops_the_run_in_one_line_and_it_goes_on_later(self, tmp_path):
        full = self.rollout(tmp_path / "a", 30_000)
        assert full.returncode == 2
        assert full.stderr.strip().splitlines()[-1].startswith("agentgym: storage: ")
        assert "--resume" in full.stderr
        assert "Traceback" not in full.stderr
        rest = self.rollout(tmp_path / "a", resource.RLIM_INFINITY, "--resume")
        assert rest.returncode == 0, rest.stderr
        whole = self.rollout(tmp_path / "b", resource.RLIM_INFINITY)
        assert whole.returncode == 0, whole.stderr
        for table in ("turns", "trajectories"):
            name = f"{table}/00000.parquet"
            assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()

    def test_a_file_where_the_folder_should_be(self, tmp_path):
        (tmp_path / "file").write_text("")
        done = self.rollout(tmp_path / "file", resource.RLIM_INFINITY)
        assert done.returncode == 2
        assert "agentgym: storage:" in done.stderr
        assert "Traceback" not in done.stderr
