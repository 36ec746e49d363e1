"""Which Chromium is started. Needs nothing installed, so that ``agentgym doctor`` can ask."""

from __future__ import annotations

import os
import shutil
import subprocess

from agentgym.core.errors import ConfigError

ENVIRONMENT = "AGENTGYM_CHROMIUM"
"""Environment variable that names the Chromium to start."""
NAMES = (
    "chromium-headless-shell",
    "chrome-headless-shell",
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
)
"""Looked for on the path, in this order: the headless shells take half the time for a page."""


def chromium_path() -> str:
    """The Chromium to start: what the environment variable names, else the first of the usual names on the path."""
    named = os.environ.get(ENVIRONMENT, "")
    if named:
        path = shutil.which(named)
        if path is None:
            raise ConfigError(f"{ENVIRONMENT} names {named!r}, which can't be executed.")
        return path
    found = next((path for path in map(shutil.which, NAMES) if path), None)
    if found is None:
        raise ConfigError(
            f"No Chromium was found on the path (tried {', '.join(NAMES)}). Install it (Debian: apt-get install"
            f" chromium-headless-shell, or chromium) or name it in {ENVIRONMENT}."
        )
    return found


def chromium_version(path: str) -> str:
    """What the program calls itself. Raises ConfigError where it doesn't start."""
    try:
        answer = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise ConfigError(f"{path} doesn't start: {str(error)[:200]}") from error
    return answer.stdout.strip()
