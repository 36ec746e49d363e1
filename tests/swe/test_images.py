"""Rows of public datasets in an image of their shape that is built here. Needs Docker: `make test-sandboxes`."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agentgym.core.actions import Action
from agentgym.core.env import AgentEnv
from agentgym.core.errors import AgentGymError
from agentgym.sandboxes import SandboxSpec, open_sandbox

GAME = "agentgym.environments.swe.row_game:SWERowsGame"
IMAGE = "agentgym/test-row:1"
BUGGY = "def clamp(x, low, high):\n    if x < low:\n        return low\n    return x\n"
FIXED = "def clamp(x, low, high):\n    if x < low:\n        return low\n    if x > high:\n        return high\n    return x\n"
VISIBLE = "from pkg import clamp\n\n\ndef test_low():\n    assert clamp(-1, 0, 5) == 0\n"
HIDDEN = VISIBLE + "\n\ndef test_high():\n    assert clamp(9, 0, 5) == 5\n"
FIX = (
    "diff --git a/pkg/__init__.py b/pkg/__init__.py\n--- a/pkg/__init__.py\n+++ b/pkg/__init__.py\n@@ -1,4 +1,6 @@\n"
    " def clamp(x, low, high):\n     if x < low:\n         return low\n+    if x > high:\n+        return high\n     return x\n"
)
BREAK = (
    "diff --git a/pkg/__init__.py b/pkg/__init__.py\n--- a/pkg/__init__.py\n+++ b/pkg/__init__.py\n@@ -1,6 +1,4 @@\n"
    " def clamp(x, low, high):\n     if x < low:\n         return low\n-    if x > high:\n-        return high\n     return x\n"
)
TESTS = (
    "diff --git a/tests/test_pkg.py b/tests/test_pkg.py\n--- a/tests/test_pkg.py\n+++ b/tests/test_pkg.py\n"
    "@@ -3,3 +3,7 @@\n \n def test_low():\n     assert clamp(-1, 0, 5) == 0\n+\n+\n+def test_high():\n+    assert clamp(9, 0, 5) == 5\n"
)
HIGH, LOW = "tests/test_pkg.py::test_high", "tests/test_pkg.py::test_low"


def _files(kind: str) -> dict[str, str]:
    """What the image of a dataset holds: SWE-smith's a healthy repository, R2E's the hidden tests too."""
    smith = kind == "swe-smith"
    files = {"pkg/__init__.py": FIXED if smith else BUGGY, "tests/test_pkg.py": HIDDEN if smith else VISIBLE}
    return files | ({"r2e_tests/test_1.py": HIDDEN, "r2e_tests/__init__.py": ""} if kind == "r2e" else {})


def _row(kind: str, image: str) -> dict[str, Any]:
    if kind == "r2e":
        expected = json.dumps({"test_low": "PASSED", "test_high": "PASSED"})
        return {
            "repo_name": "pkg", "commit_hash": "c" * 40, "problem_statement": "clamp ignores high", "docker_image": image,
            "expected_output_json": expected,
        }  # fmt: skip
    smith = kind == "swe-smith"
    return {
        "instance_id": "owner__repo-1", "repo": "owner/repo", "problem_statement": "clamp ignores high", "image_name": image,
        "patch": BREAK if smith else FIX, "test_patch": "" if smith else TESTS, "FAIL_TO_PASS": json.dumps([HIGH]),
        "PASS_TO_PASS": json.dumps([LOW]),
    }  # fmt: skip


@pytest.fixture(scope="module")
def images() -> Iterator[dict[str, str]]:
    """Images of the datasets' shape: a repository with its history in ``/testbed``, Python with pytest."""
    try:
        open_sandbox(SandboxSpec(writable_image=True), "docker").close()
    except (AgentGymError, ImportError) as error:
        if "docker" in os.environ.get("AGENTGYM_REQUIRE", ""):
            pytest.fail(str(error))
        pytest.skip(str(error))
    from agentgym.sandboxes import docker

    api = docker.connect()
    made = {}
    for kind in ("swe-bench", "swe-gym", "swe-smith", "r2e"):
        with open_sandbox(SandboxSpec(writable_image=True), "docker") as sandbox:
            for path, text in _files(kind).items():
                sandbox.write_file(f"/testbed/{path}", text)
            sandbox.exec("mkdir -p /testbed/.git && echo the future > /testbed/.git/ORIG_HEAD")
            api.commit(sandbox._id, repository=f"agentgym/test-{kind}", tag="1")  # type: ignore[attr-defined]
        made[kind] = f"agentgym/test-{kind}:1"
    yield made
    for image in made.values():
        api.remove_image(image, force=True)


def _env(kind: str, images: dict[str, str], folder: Path) -> AgentEnv:
    (folder / "rows.json").write_text(json.dumps([_row(kind, images[kind])]))
    split = "test" if kind == "swe-bench" else "train"
    return AgentEnv(GAME, rows=str(folder / "rows.json"), kind=kind, split=split)


def _call(env: AgentEnv, name: str, **arguments: object) -> tuple[str, dict[str, Any]]:
    message = env.action_format.render([Action(name, arguments)], env.tools_by_name)
    text, _, _, _, info = env.step(message)
    return text, info


@pytest.mark.parametrize("kind", ["swe-bench", "swe-gym", "swe-smith", "r2e"])
def test_a_fix_counts_and_tricks_do_not(kind: str, images: dict[str, str], tmp_path: Path) -> None:
    env = _env(kind, images, tmp_path)
    text, _ = env.reset(seed=0)
    assert "clamp ignores high" in text
    text, _ = _call(env, "bash", command="ls -a; ls r2e_tests; cat pkg/__init__.py")
    assert ".git" not in text and "test_1.py" not in text, "neither history nor hidden tests"
    assert "x > high" not in text, "the bug is there"
    snapshot = env.snapshot()
    hook = "echo 'import os; os._exit(0)' > conftest.py; mkdir -p r2e_tests; cp conftest.py r2e_tests/test_1.py"
    _call(env, "bash", command=f"echo 'def test_high(): pass' > tests/test_pkg.py; {hook}")
    _, info = _call(env, "submit")
    assert not info["success"] and info["rewards"]["submission"] == pytest.approx(1 / 3), "tests don't count"
    env.restore(snapshot)
    _call(env, "insert", path="pkg/__init__.py", line=0, text="# nothing")
    _call(env, "bash", command="truncate -s 20M core; mkfifo pipe; chmod 000 core; ln -s / link")
    _, info = _call(env, "submit")
    assert not info["success"] and info["rewards"]["submission"] == pytest.approx(2 / 3)
    env.restore(snapshot)
    _call(
        env, "replace", path="pkg/__init__.py", old="    return x\n",
        new="    if x > high:\n        return high\n    return x\n",
    )  # fmt: skip
    text, info = _call(env, "submit")
    assert info["success"] and info["rewards"]["solved"] == 1.0, text
    env.close()
    snapshot.close()


def test_a_row_turn_by_turn(images: dict[str, str], tmp_path: Path) -> None:
    env = _env("swe-bench", images, tmp_path)
    env.reset(seed=0)
    _, info = _call(env, "view", path="pkg/__init__.py")
    assert info["rewards"]["localised"] == 1.0
    text, _ = _call(env, "run_tests")
    assert text.startswith("1 passed, 0 failed"), "the visible tests alone"
    env.close()
