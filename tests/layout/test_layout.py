"""The layout: what a wheel holds, who may import whom, and what importing costs."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONTENT = ("environments", "tools", "policies", "sandboxes")
HEAVY = (
    "torch",
    "transformers",
    "pyarrow",
    "rich",
    "vllm",
    "docker",
    "playwright",
    "textworld",
    "ray",
    "bm25s",
    "typer",
)


def python(code: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], cwd=cwd, capture_output=True, text=True, check=False)


@pytest.fixture(scope="session")
def wheel(tmp_path_factory) -> list[str]:
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    with zipfile.ZipFile(next(out.glob("*.whl"))) as archive:
        return archive.namelist()


def test_the_wheel_holds_agentgym_alone(wheel):
    roots = {name.split("/")[0] for name in wheel}
    assert {root for root in roots if not root.endswith(".dist-info")} == {"agentgym"}


def test_the_wheel_holds_every_file_of_the_package(wheel):
    tracked = subprocess.run(
        ["git", "ls-files", "agentgym", *CONTENT], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    wanted = set()
    for name in tracked:
        if name in {f"agentgym/{folder}" for folder in CONTENT}:
            continue  # the symlinks themselves
        wanted.add(name if name.startswith("agentgym/") else f"agentgym/{name}")
    assert wanted - set(wheel) == set()


@pytest.mark.parametrize("folder", CONTENT)
def test_content_folders_refuse_their_bare_names(folder):
    result = python(f"import {folder}")
    assert result.returncode != 0
    assert f"Import this package as 'agentgym.{folder}'" in result.stderr


@pytest.mark.parametrize("folder", CONTENT)
def test_symlinks_are_committed(folder):
    link = ROOT / "agentgym" / folder
    assert link.is_symlink()
    assert str(link.readlink()) == f"../{folder}"


@pytest.mark.parametrize("statement", ["import agentgym", "import agentgym, agentgym.cli.main"])
def test_importing_loads_nothing_heavy(statement):
    allowed = {"typer"} if "cli" in statement else set()
    result = python(f"{statement}; import sys, json; print(json.dumps([m for m in {HEAVY!r} if m in sys.modules]))")
    assert result.returncode == 0, result.stderr
    assert set(json.loads(result.stdout)) <= allowed


def test_imports_run_one_way():
    result = subprocess.run(
        [
            sys.executable,
            "-c",
            "from importlinter.cli import lint_imports_command; lint_imports_command()",
            "--no-cache",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_nothing_is_written_about_registries():
    hosts = ("pypi" + ".org", "pythonhosted" + ".org", "deb.debian" + ".org", "registry.npmjs" + ".org")
    result = subprocess.run(
        ["git", "grep", "-lIE", "|".join(hosts)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.stdout == ""
