"""BrowserGym's environments as a game: what holds without BrowserGym."""

import importlib.util

import pytest

import agentgym
from agentgym.core.actions import Action
from agentgym.core.errors import MissingExtraError
from agentgym.environments.web.browsergym import rendered


def test_without_browsergym_the_error_says_how_to_install_it():
    if importlib.util.find_spec("browsergym") is None:
        with pytest.raises(MissingExtraError, match="pip install browsergym-core"):
            agentgym.make("agentgym/BrowserGym-v0")


@pytest.mark.parametrize(
    ("action", "text"),
    [
        (Action("click", {"bid": "12"}), "click('12')"),
        (Action("click", {"bid": "a1", "modifiers": ["Shift"]}), "click(bid='a1', modifiers=['Shift'])"),
        (Action("fill", {"bid": "3", "value": 'it\'s\n"x"'}), "fill('3', 'it\\'s\\n\"x\"')"),
        (Action("select_option", {"bid": "3", "options": ["a", "b"]}), "select_option('3', ['a', 'b'])"),
        (Action("scroll", {"delta_x": 0, "delta_y": -60.5}), "scroll(0, -60.5)"),
        (Action("go_back", {}), "go_back()"),
        (Action("mouse_click", {"x": 1, "y": 2, "button": "right"}), "mouse_click(1, 2, 'right')"),
    ],
)
def test_actions_are_written_as_browsergym_reads_them(action, text):
    assert rendered(action) == text
