"""What ``agentgym doctor`` looks at."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import agentgym
from agentgym.core.registration import env_ids

EXTRAS: dict[str, dict[str, str]] = {
    "train": {"torch": "torch", "transformers": "transformers", "accelerate": "accelerate", "peft": "peft"},
    "search": {"faiss": "faiss-cpu", "msgpack": "msgpack"},
    "docker": {"docker": "docker"},
    "swe": {"libcst": "libcst"},
    "web": {"playwright": "playwright", "selectolax": "selectolax", "tinycss2": "tinycss2"},
    "miniwob": {"miniwob": "miniwob"},
}
"""Extra -> import name -> distribution."""

CORE = {"gymnasium": "gymnasium", "numpy": "numpy", "typer": "typer", "rich": "rich", "pyarrow": "pyarrow"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that works or doesn't."""

    name: str
    ok: bool
    detail: str
    fix: str = ""
    optional: bool = True


def diagnose() -> list[Finding]:
    """Everything, in the order in which a person would mend it."""
    return [*_core(), *_clash(), *_extras(), *_gpu(), *_programs(), *_sandboxes(), *_environments()]


def _core() -> Iterator[Finding]:
    version = platform.python_version()
    yield Finding("Python", sys.version_info >= (3, 11), version, "install Python 3.11 or later", optional=False)
    supported = platform.system() in ("Linux", "Darwin")
    yield Finding("platform", supported, f"{platform.system()} {platform.machine()}", "Linux is fully supported")
    yield Finding("agentgym", True, f"{agentgym.__version__} in {Path(agentgym.__file__).parent}")
    for module, distribution in CORE.items():
        yield _package(module, distribution, f"pip install {distribution}", optional=False)


def _clash() -> Iterator[Finding]:
    """Another project's distribution has our import name; installed over ours it shadows files."""
    try:
        other = importlib.metadata.version("agentgym")
    except importlib.metadata.PackageNotFoundError:
        return
    yield Finding(
        "name clash",
        False,
        f"the unrelated distribution 'agentgym' {other} is installed and has our import name",
        "pip uninstall agentgym, then pip install --force-reinstall agentgym-kit",
        optional=False,
    )


def _extras() -> Iterator[Finding]:
    for extra, modules in EXTRAS.items():
        for module, distribution in modules.items():
            yield _package(module, distribution, f"pip install 'agentgym-kit[{extra}]'", optional=True)


def _package(module: str, distribution: str, fix: str, *, optional: bool) -> Finding:
    if importlib.util.find_spec(module) is None:
        return Finding(module, False, "not installed", fix, optional)
    try:
        return Finding(module, True, importlib.metadata.version(distribution), "", optional)
    except importlib.metadata.PackageNotFoundError:
        return Finding(module, True, "version unknown", "", optional)


def _gpu() -> Iterator[Finding]:
    if shutil.which("nvidia-smi") is None:
        yield Finding("NVIDIA GPU", False, "none found; models run on the CPU")
        return
    if importlib.util.find_spec("torch") is None:
        yield Finding("NVIDIA GPU", False, "found, but torch is not installed", "pip install 'agentgym-kit[train]'")
        return
    import torch

    usable = torch.cuda.is_available()
    detail = torch.cuda.get_device_name(0) if usable else f"found, but torch {torch.__version__} can't use it"
    yield Finding("NVIDIA GPU", usable, detail, "" if usable else "install a CUDA build of torch")


def _programs() -> Iterator[Finding]:
    path = shutil.which("bwrap")
    fix = "" if path else "apt install bubblewrap"
    yield Finding("bwrap", path is not None, path or "not found; needed for sandboxes without Docker", fix)
    yield _chromium()


def _chromium() -> Finding:
    """Started, since one that is installed may lack libraries."""
    from agentgym.core.errors import ConfigError
    from agentgym.tools.browser.program import chromium_path, chromium_version

    try:
        path = chromium_path()
        return Finding("Chromium", True, f"{chromium_version(path)} ({path})")
    except ConfigError as error:
        fix = "apt install chromium-headless-shell, or chromium"
        return Finding("Chromium", False, f"web environments run without it, in text only. {error}", fix)


def _sandboxes() -> Iterator[Finding]:
    """Tried out, since a program that is installed may still not be allowed to work."""
    if platform.system() != "Linux":
        yield Finding("sandboxes", False, f"{platform.system()} has none of ours but Docker's", "use Linux")
        return
    from agentgym.sandboxes import diagnose as diagnose_backends
    from agentgym.sandboxes import diagnose_host

    for item in diagnose_backends():
        yield Finding(f"sandbox {item.name}", item.ok, item.detail, item.fix)
    for item in diagnose_host():
        yield Finding(f"  {item.name}", item.ok, item.detail, item.fix)


def _environments() -> Iterator[Finding]:
    ids = env_ids()
    yield Finding("environments", bool(ids), f"{len(ids)} registered", "reinstall agentgym-kit", optional=False)
