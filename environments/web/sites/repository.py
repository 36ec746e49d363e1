"""Git repositories made from a list of commits, with the same bytes everywhere."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from agentgym.core.errors import ConfigError

BRANCH = "main"


@dataclass(frozen=True)
class Commit:
    """One commit: who, when (seconds since 1970), why, and the files that it writes (text) or removes (None)."""

    author: str
    email: str
    when: int
    message: str
    files: Mapping[str, str | None]


def git_files(commits: Sequence[Commit]) -> dict[str, bytes]:
    """The files of a ``.git`` folder with these commits, and an index of the last one.

    Raises:
        ConfigError: git is not installed, or failed.
    """
    if shutil.which("git") is None:
        raise ConfigError(
            "This site needs git, which is not on the path. Install it, such as with: apt-get install git"
        )
    with tempfile.TemporaryDirectory(prefix="agentgym-git-") as name:
        folder = Path(name)
        for empty in ("objects", "refs/heads"):
            (folder / empty).mkdir(parents=True)
        (folder / "HEAD").write_text(f"ref: refs/heads/{BRANCH}\n")
        (folder / "config").write_text("[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = false\n")
        no_log = ("-c", "core.logAllRefUpdates=false")  # a reflog holds the time of day and the name of this machine
        _git(folder, *no_log, "-c", "fastimport.unpackLimit=0", "fast-import", "--quiet", data=_stream(commits))
        _git(folder, "read-tree", "HEAD")
        found = sorted(path for path in folder.rglob("*") if path.is_file())
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def _git(folder: Path, *arguments: str, data: bytes = b"") -> None:
    settings = {
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "HOME": str(folder),
        "GIT_DIR": str(folder),
    }
    environment = {"PATH": os.environ.get("PATH", ""), **settings}
    done = subprocess.run(
        ["git", *arguments], cwd=folder, env=environment, input=data, capture_output=True, check=False
    )
    if done.returncode:
        words = done.stderr.decode(errors="replace").strip()
        raise ConfigError(f"git {' '.join(arguments)} failed: {words}")


def _stream(commits: Sequence[Commit]) -> bytes:
    """Commits as ``git fast-import`` reads them."""
    parts: list[bytes] = []
    for commit in commits:
        who = f"{commit.author} <{commit.email}> {commit.when} +0000"
        parts.append(f"commit refs/heads/{BRANCH}\nauthor {who}\ncommitter {who}\n".encode())
        parts.append(_data(commit.message))
        for path, text in sorted(commit.files.items()):
            if text is None:
                parts.append(f"D {path}\n".encode())
            else:
                parts.append(f"M 100644 inline {path}\n".encode() + _data(text))
        parts.append(b"\n")
    return b"".join(parts)


def _data(text: str) -> bytes:
    data = text.encode()
    return b"data %d\n%s\n" % (len(data), data)
