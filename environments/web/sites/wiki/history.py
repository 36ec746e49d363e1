"""What the wiki asks git about its pages, read once for a head instead of by two processes for every page shown."""

from __future__ import annotations

import re
from typing import Any

MAX_COMMITS = 4_000
"""Commits whose statistics are kept; then all are forgotten."""

_stats: dict[str, Any] = {}
"""By commit. An identifier is a digest of all that it names, so what it says holds in every repository."""
_newest: dict[str, dict[str, str]] = {}
"""Head -> file -> the newest commit that touched it. Empty where histories meet: git then leaves commits out."""
_PATTERN = re.compile(r"[*?\[\\:]")


def install() -> None:
    """Makes the wiki's storage look here first."""
    import git
    from otterwiki.gitstorage import GitStorage

    slow_commit, slow_stats = GitStorage._get_commit, git.Commit.stats.fget

    def get_commit(self: Any, filename: str, revision: str | None) -> Any:
        found = _newest_of(self.repo, filename) if revision is None else None
        return slow_commit(self, filename, revision) if found is None else git.Commit(self.repo, bytes.fromhex(found))

    def stats(self: Any) -> Any:
        known = _stats.get(self.hexsha)
        return slow_stats(self) if known is None else git.Stats(dict(known.total), dict(known.files))

    GitStorage._get_commit = get_commit
    git.Commit.stats = property(stats)


def _newest_of(repo: Any, filename: str) -> str | None:
    """The commit that ``git rev-list -1 HEAD -- filename`` names; None where it has to be asked."""
    import git

    if not isinstance(filename, str) or _PATTERN.search(filename):
        return None
    try:
        head = git.SymbolicReference.dereference_recursive(repo, "HEAD")
    except ValueError:
        return None  # nothing was committed yet
    if head not in _newest:
        _read(repo, head)
    return _newest[head].get(filename)


def _read(repo: Any, head: str) -> None:
    """Reads the history of a head in one go, as ``Commit.stats`` reads it for one commit."""
    import git

    if len(_stats) > MAX_COMMITS:
        _stats.clear()
        _newest.clear()
    newest: dict[str, str] = {}
    linear = True
    text = repo.git.log(head, "--", format="%x00%H %P", numstat=True, no_renames=True, raw=True)
    for part in text.split("\0")[1:]:
        first, *rest = part.split("\n")
        commit, *parents = first.split()
        lines = [line for line in rest if line]
        linear = linear and len(parents) <= 1
        half = len(lines) // 2
        kinds = (line.split("\t")[0][-1] for line in lines[:half])
        listed = "".join(f"{kind}\t{line}\n" for kind, line in zip(kinds, lines[half:], strict=True))
        if len(parents) <= 1:
            _stats[commit] = git.Stats._list_from_string(repo, listed)
            for name in _stats[commit].files:
                newest.setdefault(str(name), commit)
    _newest[head] = newest if linear else {}
