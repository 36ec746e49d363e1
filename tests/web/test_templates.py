"""Every template of every site over many worlds: its expert solves it, and nobody is paid who looks at nothing."""

import re
from pathlib import Path

import pytest

import agentgym
from agentgym.core.seeding import derive_rng
from agentgym.environments.web.cheats import everything
from agentgym.environments.web.sites import FIRST_PARTY
from agentgym.environments.web.tasks import template, templates
from agentgym.environments.web.templates import ALL
from agentgym.tools.browser.actions import INFEASIBLE
from web import site_checks as checks

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


def light(name):
    """Whether all of a template is quick: it runs on our own sites alone."""
    return set(template(name).sites) <= set(FIRST_PARTY)


def worlds(name):
    """In how many worlds a template is tried."""
    if not checks.EVERYTHING:
        return 4
    return 40 if light(name) or checks.THOROUGH else 8


@pytest.fixture
def play():
    """An environment of one template, and the numbers of its tasks: as many worlds as are asked for."""
    made = []

    def build(name, most):
        env = agentgym.make(checks.ENV, templates=(name,))
        made.append(env)
        found = {}
        for number in range(most * 3):
            found.setdefault(env.game.tasks().get(f"train/{number}").data["world"], number)
        return env, list(found.values())[:most]

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
    env, numbers = play(name, worlds(name))
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
    env, numbers = play(name, worlds(name) // 4)
    for number in numbers:
        observation, info = env.reset(seed=number, options={"task_id": f"train/{number}"})
        rng, cheat = derive_rng("everything", name, number), everything()
        while env.running:
            observation, *_, info = env.step(cheat(observation, rng))
        assert not info.get("success"), env.game.state.text
        assert env.ledger.total <= 0.0


@pytest.mark.parametrize("name", NAMES)
def test_a_question_has_one_answer(name):
    """Whoever draws the same words in the same world draws the same goal, so nothing is named by what others share."""
    goals, own = {}, template(name)
    for number in range(60):
        world = number % 4
        draft = own.draw(world, derive_rng("one answer", name, number))
        if not draft.goal.confirm:  # what the user says, the task doesn't
            asked = (world, draft.text, str(draft.edits))
            assert goals.setdefault(asked, draft.goal.to_dict()) == draft.goal.to_dict(), draft.text


# ------------------------------------------------------------------ what the README says

README = Path(__file__).parents[2] / "environments" / "web" / "README.md"
WRITERS = ("book", "mail", "calendar", "map", "shop", "forum", "wiki", "issues")
READ_ONLY = {"look up", "compare", "navigate", "infeasible"}
WRITING = {"create", "edit", "delete", "confirm"}


def table():
    """The templates by site and kind, as the README has them."""
    rows, kinds = {}, {}
    for item in ALL:
        site = item.sites[0] if len(item.sites) == 1 else "several"
        rows.setdefault(site, {}).setdefault(item.kind, []).append(f"`{item.name}`" + ("\\*" if item.held_out else ""))
        kinds[item.kind] = None
    lines = ["| site | kind | templates (\\* held out) |", "|---|---|---|"]
    for site, found in rows.items():
        lines += [f"| {site} | {kind} | {', '.join(found[kind])} |" for kind in kinds if kind in found]
    return "\n".join(lines)


def test_every_site_has_every_kind_that_it_can_have():
    for site in (*WRITERS, "data", "code"):
        kinds = {item.kind for item in ALL if item.sites == (site,)}
        assert kinds == (READ_ONLY | WRITING if site in WRITERS else READ_ONLY), site
    assert {site for item in ALL if item.kind == "multi-site" for site in item.sites} == {"code", "data", *WRITERS}
    assert {item.kind for item in ALL} == {*READ_ONLY, *WRITING, "multi-site"}
    assert all(0.0 < item.difficulty <= 1.0 for item in ALL)
    assert len({item.name for item in ALL}) == len(ALL)


def test_the_readme_names_all_templates():
    text = README.read_text()
    assert table() in text, f"The table in {README.name} must be:\n\n{table()}"
    own, held = templates(FIRST_PARTY), [item for item in ALL if item.held_out]
    several = [item for item in own if len(item.sites) > 1]
    words = " ".join(text.split())
    assert f"{len(ALL)} templates (" in words
    assert f"{len(own)} on the first-party sites, {len(several)} of them over several of those" in words
    assert f"{len(ALL) - len(own)} on the others" in words
    assert (
        f"`templates` holds {len(held)} templates ({len([item for item in own if item.held_out])} first-party)" in words
    )
