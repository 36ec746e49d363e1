"""The examples in docs/rules.md, and that the page names every public rule."""

import doctest
import importlib
import inspect
import pkgutil
from pathlib import Path

import agentgym.rules

PAGE = Path(__file__).parents[2] / "docs" / "rules.md"


def test_examples():
    assert doctest.testfile(str(PAGE), module_relative=False) == (0, 11)


def test_every_rule_is_on_the_page():
    text = PAGE.read_text()
    for module in pkgutil.iter_modules(agentgym.rules.__path__):
        functions = inspect.getmembers(importlib.import_module(f"agentgym.rules.{module.name}"), inspect.isfunction)
        own = [name for name, f in functions if f.__module__.endswith(module.name) and not name.startswith("_")]
        if module.name != "goldens":
            assert [name for name in own if f"`{name}`" not in text] == []
