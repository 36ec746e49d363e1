"""The generated parts of the documentation are what the build would write."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_pages_are_up_to_date():
    build = subprocess.run(
        [sys.executable, "docs/build_credit.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert build.returncode == 0, f"run python docs/build_credit.py\n{build.stderr}"
