"""The demo, much shortened: every part of it runs, and running it again only reports."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the demo needs the extra [train]")

ROOT = Path(__file__).parents[2]
SHORT = [
    "warm_start.steps=3",
    "warm_start.batch_size=8",
    "rl.updates=2",
    "rl.groups=8",
    "rl.group_size=2",
    "evaluation.tasks=8",
    "evaluation.every=1",
    "model.layers=1",
    "model.hidden=32",
]


def demo(out: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "examples" / "demo.py"), "--out", str(out)]
    for setting in SHORT:
        command += ["--set", setting]
    return subprocess.run(
        command, cwd=ROOT, env=_environment(), capture_output=True, text=True, check=False, timeout=300
    )


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def test_the_demo_runs_and_reports(tmp_path):
    first = demo(tmp_path)
    assert first.returncode == 0, first.stdout + first.stderr
    for text in ("warm start", "GRPO, outcome only", "turn RLOO, step credit", "95% interval"):
        assert text in first.stdout
    page = (tmp_path / "report.html").read_text("utf-8")
    assert page.count("<svg") == 5
    assert page.count('class="turn"') >= 1
    assert "http://" not in page and "https://" not in page, "the report must be one self-contained file"
    again = demo(tmp_path)
    assert again.stdout.splitlines()[:8] == first.stdout.splitlines()[:8]
