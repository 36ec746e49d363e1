"""Built worlds on disk: damaged, half-made, made twice at once, made by processes that were killed."""

import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

from agentgym import AgentGymError
from agentgym.environments.search.world import build
from agentgym.environments.search.world.build import is_whole, open_world

SEED = 77
OPEN = f"""
from agentgym.environments.search.world.build import open_world
library = open_world({SEED}, 1)
print(len(library.corpus), len(library.questions), library.retriever.search("founder of the press", 3).ids.tolist())
"""


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("AGENTGYM_CACHE", str(tmp_path))
    build._open.cache_clear()
    yield tmp_path
    build._open.cache_clear()


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A whole world, to be copied."""
    folder = tmp_path_factory.mktemp("worlds")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AGENTGYM_CACHE", str(folder))
        build._open.cache_clear()
        open_world(SEED, 1)
        build._open.cache_clear()
    (world,) = folder.iterdir()
    return world


def opened():
    build._open.cache_clear()
    return len(open_world(SEED, 1).corpus)


def process():
    return subprocess.Popen([sys.executable, "-c", OPEN], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def bytes_of(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_built_world_is_opened_and_not_built_again(cache, built, monkeypatch):
    shutil.copytree(built, cache / built.name)
    monkeypatch.setattr(build, "build_world", None)
    assert opened() > 1000


@pytest.mark.parametrize("damage", ["truncated", "missing", "no sizes", "sizes of something else", "empty", "a file"])
def test_a_damaged_world_is_built_again(cache, built, damage):
    folder = cache / built.name
    if damage == "a file":
        folder.write_text("", encoding="utf-8")
    elif damage == "empty":
        folder.mkdir()
    else:
        shutil.copytree(built, folder)
        target = folder / "corpus" / "contents.bin" if damage in ("truncated", "missing") else folder / "sizes.json"
        if damage == "truncated":
            os.truncate(target, 1000)
        elif damage == "sizes of something else":
            target.write_text("[1]", encoding="utf-8")
        else:
            target.unlink()
    assert opened() > 1000
    assert is_whole(folder)
    assert bytes_of(folder) == bytes_of(built)
    assert [path.name for path in cache.iterdir()] == [built.name]


def test_a_world_of_the_right_size_that_cannot_be_read_is_named(cache, built):
    shutil.copytree(built, cache / built.name)
    path = cache / built.name / "splits.npy"
    path.write_bytes(b"\xff" * path.stat().st_size)
    with pytest.raises(AgentGymError, match=r"is damaged .* built again"):
        opened()


def test_two_processes_that_build_at_once_get_the_same_world(cache, built):
    both = [process(), process()]
    answers = [one.communicate(timeout=120) for one in both]
    assert answers[0][0] == answers[1][0] != "", answers
    (folder,) = cache.iterdir()
    assert bytes_of(folder) == bytes_of(built)


def test_a_build_that_is_killed_leaves_nothing_that_is_taken_for_a_world(cache):
    killed = process()
    until = time.monotonic() + 60
    while not any(path.is_file() for path in cache.rglob("*")) and time.monotonic() < until:
        time.sleep(0.005)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert not any(is_whole(path) for path in cache.iterdir())
    assert opened() > 1000
    (left,) = [path for path in cache.iterdir() if not is_whole(path)]  # may still be another's workshop
    os.utime(left, (0, 0))
    for path in cache.iterdir():
        if is_whole(path):
            shutil.rmtree(path)
    assert opened() > 1000
    assert [is_whole(path) for path in cache.iterdir()] == [True]


def test_a_cache_that_cannot_be_written_says_how_to_name_another(cache, monkeypatch):
    (cache / "file").write_text("", encoding="utf-8")
    monkeypatch.setenv("AGENTGYM_CACHE", str(cache / "file"))
    with pytest.raises(AgentGymError, match="AGENTGYM_CACHE"):
        opened()
