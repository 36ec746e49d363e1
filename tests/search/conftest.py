import pytest


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory):
    """Worlds are built into a folder of the test run, not into the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AGENTGYM_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield
