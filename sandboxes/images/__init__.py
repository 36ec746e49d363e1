"""Builds the base image of the Docker backend from Debian packages, without a registry."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from agentgym.core.errors import UnsupportedError
from agentgym.sandboxes import docker

PACKAGES = ("python3", "python3-pytest", "ripgrep")
"""On top of Debian's smallest system."""
SUITE = "bookworm"


def bootstrap(target: Path, *, mirror: str = "") -> None:
    """Fills a folder with a root file system. Takes a minute or two and needs root.

    Args:
        target: The folder.
        mirror: Where packages come from; empty for debootstrap's own choice.

    Raises:
        UnsupportedError: debootstrap is not installed, or this is not root, or it failed. Says what to do.
    """
    if shutil.which("debootstrap") is None:
        raise UnsupportedError("debootstrap is not installed; install it with: apt install debootstrap")
    if os.geteuid() != 0:
        raise UnsupportedError("debootstrap needs root; run this command with sudo.")
    command = ["debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", SUITE, str(target)]
    command += [mirror] if mirror else []
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UnsupportedError(f"debootstrap failed: {done.stdout.strip().splitlines()[-3:]}")
    prepare(target)


def prepare(root: Path) -> None:
    """Adds the agent's user and folders to a root file system, and drops what only takes room."""
    with (root / "etc/passwd").open("a") as file:
        file.write("agent:x:1000:1000::/home/agent:/bin/bash\n")
    with (root / "etc/group").open("a") as file:
        file.write("agent:x:1000:\n")
    for name in ("workspace", "home/agent"):
        (root / name).mkdir(parents=True, exist_ok=True)
        os.chown(root / name, 1000, 1000)
    for name in ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/man", "usr/share/locale"):
        shutil.rmtree(root / name, ignore_errors=True)


def import_folder(root: Path, name: str = docker.IMAGE) -> str:
    """Makes a root file system a Docker image and returns its id."""
    api = docker.connect()
    with tempfile.NamedTemporaryFile(suffix=".tar") as archive:
        with tarfile.open(archive.name, "w") as tar:
            tar.add(root, arcname=".")
        repository, _, tag = name.partition(":")
        api.import_image_from_file(archive.name, repository=repository, tag=tag)
    return str(api.inspect_image(name)["Id"])


def build(name: str = docker.IMAGE) -> str:
    """Builds the base image and returns its id."""
    docker.connect()  # say that there is no daemon before the minutes of work, not after
    with tempfile.TemporaryDirectory(prefix="agentgym-image-") as folder:
        root = Path(folder) / "root"
        bootstrap(root)
        return import_folder(root, name)
