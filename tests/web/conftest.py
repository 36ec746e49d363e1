"""What web tests share. Without the extra nothing here is collected; without Chromium its tests skip with the reason."""

import importlib.util

import pytest

if importlib.util.find_spec("selectolax") is None or importlib.util.find_spec("tinycss2") is None:
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture(scope="session")
def chromium():
    """Skips where there is no Chromium or no Playwright."""
    pytest.importorskip("playwright", reason="needs pip install 'agentgym-kit[web]'")
    from agentgym.core.errors import ConfigError
    from agentgym.tools.browser.engine import chromium_path

    try:
        return chromium_path()
    except ConfigError as error:
        pytest.skip(str(error))


def pytest_ignore_collect(collection_path, config):
    """MiniWoB++ comes with selenium, so it is no part of the pinned set: `.ci/run` installs its pages alone.

    BrowserGym pins an older Playwright, so its tests run in an environment of their own: see the file.
    """
    if collection_path.name == "test_browsergym_live.py" and importlib.util.find_spec("browsergym") is None:
        return True
    if collection_path.name == "test_miniwob.py" and importlib.util.find_spec("miniwob") is None:
        return True
    return None
