"""Builds the base image of the Docker backend from Debian packages, without a registry."""

from __future__ import annotations

import hashlib
import inspect
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path

from agentgym.core.cache import cache_root
from agentgym.core.errors import UnsupportedError
from agentgym.sandboxes import docker

PACKAGES = ("python3", "python3-pytest", "ripgrep")
"""On top of Debian's smallest system."""
SUITE = "bookworm"
_LABEL = "agentgym.sandbox.recipe"


def build(name: str = docker.IMAGE) -> str:
    """Makes the base image, unless the daemon has one of the same recipe, and returns its id.

    The root file system is kept in the cache folder (``$AGENTGYM_CACHE``, else ``~/.cache/agentgym``) under the hash
    of its recipe, for other daemons of this machine.

    Raises:
        UnsupportedError: There is no daemon, or the packages can't be had. Says what to do.
    """
    api = docker.connect()  # say that there is no daemon before the minutes of work, not after
    if (found := there(name)) is not None:
        return found
    archive = _cache() / f"{SUITE}-{recipe()}.tar"
    if not archive.exists():
        _make(archive)
    repository, _, tag = name.partition(":")
    api.import_image_from_file(str(archive), repository=repository, tag=tag, changes=[f"LABEL {_LABEL}={recipe()}"])
    return str(api.inspect_image(name)["Id"])


def there(name: str = docker.IMAGE) -> str | None:
    """The id of the daemon's image of that name, if it was made by this recipe."""
    for image in docker.connect().images(name=name, filters={"label": f"{_LABEL}={recipe()}"}):
        return str(image["Id"])
    return None


def recipe() -> str:
    """A hash of all that decides what is in the image, but for the versions that the mirror has today."""
    parts = (SUITE, *PACKAGES, inspect.getsource(bootstrap), inspect.getsource(prepare))
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


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
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, env=_with_proxy(os.environ)
    )
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


def mirror() -> str:
    """The mirror of ``SUITE`` that this machine's own apt is set up with; empty when there is none."""
    for line in _apt(["apt-get", "indextargets", "--format", "$(REPO_URI) $(CODENAME)", "Created-By: Packages"]):
        address, _, suite = line.partition(" ")
        if suite == SUITE:
            return address
    return ""


def _with_proxy(environment: Mapping[str, str]) -> dict[str, str]:
    """Variables with the proxy that apt is set up with, which debootstrap doesn't ask for."""
    found = [line.split('"')[1] for line in _apt(["apt-config", "dump", "Acquire::http::Proxy"]) if '"' in line]
    return {**({"http_proxy": found[0]} if found and found[0] else {}), **environment}


def _apt(command: list[str]) -> list[str]:
    if shutil.which(command[0]) is None:
        return []
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    return done.stdout.splitlines()


def _cache() -> Path:
    path = cache_root() / "images"
    path.mkdir(parents=True, exist_ok=True)
    return path


def _make(archive: Path) -> None:
    """Bootstraps a root file system into an archive, which is there whole or not at all."""
    with tempfile.TemporaryDirectory(prefix="agentgym-image-") as folder:
        root = Path(folder) / "root"
        bootstrap(root, mirror=mirror())
        whole = archive.with_suffix(f".{os.getpid()}")
        with tarfile.open(whole, "w") as tar:
            tar.add(root, arcname=".")
        whole.replace(archive)
