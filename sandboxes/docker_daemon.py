"""The Docker daemon: how to reach it, and what of ours is on it."""

from __future__ import annotations

import contextlib
import importlib
import os
import socket
from functools import cache
from typing import Any

from agentgym.core.errors import MissingExtraError, UnsupportedError
from agentgym.sandboxes.keeper.owners import owner_gone, owner_name

LABEL = "agentgym.sandbox.owner"
"""Of every container and image: the machine and the process that it belongs to."""
_CONNECTIONS = 64


@cache
def connect() -> Any:
    """A client of the daemon that ``DOCKER_HOST`` names, or of the local one.

    Raises:
        MissingExtraError: docker-py is not installed.
        UnsupportedError: No daemon answers.
    """
    try:
        docker = importlib.import_module("docker")
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            "The Docker sandbox needs docker-py. Install it with: pip install 'agentgym-kit[docker]'"
        ) from error
    try:
        _knock(os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock")
        client = docker.from_env(timeout=120, max_pool_size=_CONNECTIONS).api
        _share_connections(client)
        client.ping()
    except PermissionError as error:
        raise UnsupportedError(
            "You may not talk to the Docker daemon. Join its group (sudo usermod -aG docker $USER, then log in again), "
            "or set DOCKER_HOST to a daemon of your own."
        ) from error
    except Exception as error:  # docker-py raises its own, requests' and urllib3's
        raise UnsupportedError(
            f"No Docker daemon answers ({type(error).__name__}: {error}). Start it (systemctl start docker), or set "
            "DOCKER_HOST to where it listens."
        ) from error
    remove_stale(client)
    return client


def _share_connections(client: Any) -> None:
    """One pool of connections to a local socket. docker-py makes one for every URL, and so never uses any twice."""
    adapter = client.adapters.get("http+docker://")
    if hasattr(adapter, "pools"):
        connect_to = adapter.get_connection
        adapter.get_connection = lambda url, proxies=None: connect_to("http+docker://localhost", proxies)


def _knock(address: str) -> None:
    """Raises OSError when nothing listens on a local socket. docker-py would leave one open that it can't use."""
    if address.startswith("unix://"):
        with socket.socket(socket.AF_UNIX) as probe:
            probe.connect(address.removeprefix("unix://"))


def remove_stale(client: Any) -> list[str]:
    """Removes containers and images of processes of this machine that are gone. Returns their ids."""
    removed = []
    for container in client.containers(all=True, filters={"label": LABEL}):
        if _gone(container["Labels"][LABEL]):
            with contextlib.suppress(Exception):
                client.remove_container(container["Id"], force=True, v=True)
                removed.append(container["Id"])
    for image in client.images(filters={"label": LABEL}):
        if _gone(image["Labels"][LABEL]):
            with contextlib.suppress(Exception):
                client.remove_image(image["Id"], force=True)
                removed.append(image["Id"])
    return removed


def _machine() -> str:
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:  # noqa: PTH123
            return file.read().strip()
    except OSError:
        return os.uname().nodename


os.register_at_fork(after_in_child=connect.cache_clear)  # a connection can't be shared by two processes


def owner() -> str:
    """What ``LABEL`` says on what this process makes."""
    return f"{_machine()}:{owner_name(os.getpid())}"


def _gone(owner: str) -> bool:
    machine, _, process = owner.rpartition(":")
    return machine == _machine() and owner_gone(process)
