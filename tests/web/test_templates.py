"""Every template of every site over many worlds: its expert solves it, and nobody is paid who looks at nothing."""

import re

import pytest

import agentgym
from agentgym.core.seeding import derive_rng
from agentgym.environments.web.cheats import everything
from agentgym.environments.web.sites import FIRST_PARTY
from agentgym.environments.web.tasks import template
from agentgym.tools.browser.actions import INFEASIBLE
from web import site_checks as checks

WORLDS = 40 if checks.EVERYTHING else 4
NAMES = [item.name for item in checks.all_here()]
COMMON = (
    "done",
    "",
    "0",
    "1",
    "2",
    "3",
    "5",
    "10",
    "yes",
    "no",
    "none",
    "nothing",
    "unknown",
    "N/A",
    "$10.00",
    "Monday",
)


@pytest.fixture
def play(request):
    """An environment of one template, and the numbers of its tasks: as many worlds as are asked for."""
    made = []

    def build(name):
        env = agentgym.make(checks.ENV, templates=(name,))
        made.append(env)
        worlds = {}
        for number in range(WORLDS * 3):
            worlds.setdefault(env.game.tasks().get(f"train/{number}").data["world"], number)
        return env, list(worlds.values())[:WORLDS]

    yield build
    for env in made:
        env.close()


def guesses(text):
    """Answers at once: common ones, and what the question itself names."""
    quoted = re.findall(r"'([^']+)'", text)
    names = re.findall(r"[A-Z][\w-]*(?: [A-Z][\w-]*)*", text)
    return (*COMMON, text, *quoted, *names, *re.findall(r"\d[\d.,-]*\d|\d", text))


@pytest.mark.parametrize("name", NAMES)
def test_the_expert_solves_it_and_nobody_is_paid_for_nothing(play, name):
    env, numbers = play(name)
    for number in numbers:
        _, info = env.reset(seed=number, options={"task_id": f"train/{number}"})
        state, start = env.game.state, env.snapshot()
        progress, text = state.progress, state.text
        assert env.game.changes == ()
        assert progress.wrong == 0
        assert progress.share < 1.0 or not progress.goal.wants
        url = env.game.browser.page.url
        for answer in guesses(text):
            assert not progress.judge(answer, url, (), infeasible=False)["goal"], (answer, text)
        for reason in INFEASIBLE:
            assert not progress.judge(f"{reason}: {text}", url, (), infeasible=True)["goal"], (reason, text)
        *_, info = env.step("send_msg_to_user('done')")
        assert info["rewards"]["goal"] == 0.0
        env.restore(start)
        while env.running:
            *_, info = env.step(env.expert_message())
        assert info["success"], (text, info, env.game.changes)
        assert env.ledger.total > 1.0 - env.game.max_turns * 0.02


@pytest.mark.parametrize("name", NAMES)
def test_whoever_clicks_everything_is_not_paid(play, name):
    env, numbers = play(name)
    for number in numbers[: None if template(name).sites[0] in FIRST_PARTY else 10]:
        observation, _ = env.reset(seed=number, options={"task_id": f"train/{number}"})
        rng, cheat = derive_rng("everything", name, number), everything()
        while env.running:
            observation, *_, info = env.step(cheat(observation, rng))
        assert not info["success"], env.game.state.text
        assert env.ledger.total <= 0.0
