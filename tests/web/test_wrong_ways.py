"""Whoever does something else than the task asks isn't paid, and wrong writes are noticed: every template that writes."""

import pytest

import agentgym
from agentgym.environments.web.sites import FIRST_PARTY
from agentgym.environments.web.tasks import template
from web import site_checks as checks
from web.wrong_ways import WrongWays, tasks_that_write

NAMES = [item.name for item in checks.all_here() if tasks_that_write(item.name, 1)]
if checks.EVERYTHING:  # those on our own sites are tried without being asked
    NAMES = [name for name in NAMES if not set(template(name).sites) <= set(FIRST_PARTY)]


@pytest.mark.parametrize("name", NAMES)
def test_no_wrong_way_is_paid_or_goes_unnoticed(name):
    env = agentgym.make(checks.ENV, templates=(name,))
    for task in tasks_that_write(name, 1):
        ways = WrongWays(env, task).all()
        assert ways.gone >= 1, task.data["text"]
        assert not ways.faults, (task.data["text"], ways.faults)
    env.close()
