"""What web tests share. Without the extra nothing here is collected; without Chromium its tests skip with the reason."""

import importlib.util
import os

import pytest

if importlib.util.find_spec("selectolax") is None or importlib.util.find_spec("tinycss2") is None:
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture(scope="session")
def chromium():
    """Skips where there is no Chromium or no Playwright."""
    pytest.importorskip("playwright", reason="needs pip install 'agentgym-kit[web]'")
    from agentgym.core.errors import ConfigError
    from agentgym.tools.browser.program import chromium_path

    try:
        return chromium_path()
    except ConfigError as error:
        pytest.skip(str(error))


NEEDS = {
    "test_miniwob.py": ("miniwob", "pip install 'agentgym-kit[miniwob]'"),
    "test_worker.py": ("time_machine", "pip install 'agentgym-kit[web-sites]'"),
    "test_shop.py": ("oscar", "pip install 'agentgym-kit[web-sites]'"),
    "test_forum.py": ("machina", "pip install 'agentgym-kit[web-sites]'"),
    "test_data.py": ("datasette", "pip install 'agentgym-kit[web-sites]'"),
    "test_browsergym_live.py": ("browsergym", "BrowserGym in an environment of its own, since it pins Playwright"),
    "test_issues.py": ("roundup", "pip install 'agentgym-kit[web-sites]'"),
    "test_wiki.py": ("otterwiki", "pip install 'agentgym-kit[web-sites]'"),
    "test_held_out.py": ("django", "pip install 'agentgym-kit[web-sites]'"),
    "test_code.py": ("klaus", "pip install 'agentgym-kit[web-sites]'"),
}
"""Files of tests that need packages beside the pinned set: `.ci/run` installs those, and runs the files for itself."""
PATIENT = ("test_hostile.py", "test_safety.py") if not os.environ.get("AGENTGYM_TEST_WEB") else ()
"""Files whose tests wait for deadlines, minutes in all: `.ci/run` has a stage for them."""


def pytest_ignore_collect(collection_path, config):
    """What lacks a package is left out, and said in the header."""
    module = NEEDS.get(collection_path.name, ("",))[0]
    if collection_path.name in PATIENT:
        return True
    return True if module and importlib.util.find_spec(module) is None else None


def pytest_report_header(config):
    """Which files are left out, and why."""
    return [
        f"{name} is left out: it needs {module!r} ({install})"
        for name, (module, install) in NEEDS.items()
        if importlib.util.find_spec(module) is None
    ] + [f"{name} is left out: it waits a lot; set AGENTGYM_TEST_WEB=1" for name in PATIENT]
