"""The conformance suite passes on good environments and fails, by the right check, on broken ones."""

import json

import pytest

import agentgym
from agentgym.testing import ConformanceError, check_agent_env, run_checks
from agentgym.testing.checks import Subject, each_check
from conformance.broken import BROKEN


@pytest.mark.parametrize("env_id", ["toy/Rooms-v0", "toy/Dice-v0"])
def test_good_environments_pass(env_id):
    results = check_agent_env(env_id, cheat_tasks=100)
    assert len(results) == len(list(each_check()))
    inapplicable = {result.name for result in results if result.status == "not applicable"}
    assert inapplicable == (set() if env_id == "toy/Rooms-v0" else {"expert", "mistakes"})


@pytest.mark.parametrize(("name", "check"), BROKEN.items())
def test_a_broken_environment_fails_its_check(name, check):
    results = run_checks(Subject(f"conformance.broken:{name}", {}, None, 5, 100), only=(check,))
    assert [result.status for result in results] == ["failed"], results
    assert results[0].detail


def test_every_check_that_a_game_can_break_is_broken_by_one():
    # `order` and `formats` test AgentEnv and the grammars, which a game can't change
    assert {name for name, _, _ in each_check()} - set(BROKEN.values()) == {"order", "formats"}


def test_the_error_lists_what_failed():
    agentgym.register("toy/NoRender-v0", "conformance.broken:NoRender")
    with pytest.raises(ConformanceError, match="render_and_close"):
        check_agent_env("toy/NoRender-v0", cheat_tasks=20, tasks=2)


def test_reports_are_json():
    from dataclasses import asdict

    results = run_checks(Subject("toys:RoomsGame", {}), only=("declarations",))
    assert json.loads(json.dumps([asdict(result) for result in results]))[0]["status"] == "passed"
