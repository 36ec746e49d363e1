"""Undoes the bug with the tools that an agent has."""

from __future__ import annotations

import difflib

import numpy as np

from agentgym.core.actions import Action
from agentgym.environments.swe.game import SWEGame


class SWEExpert:
    """Opens the file that matters, puts back what was changed, runs the tests, submits."""

    def __init__(self, game: SWEGame) -> None:
        self._game = game

    def act(self) -> Action:
        """See ``Expert.act``."""
        game = self._game
        path = game.bug.path
        if not game.state.localised:
            return Action("view", {"path": path})
        wanted = game.pristine[path].decode()
        try:
            now = game.sandbox.read_file(path).decode()
        except FileNotFoundError:
            return Action("create", {"path": path, "text": wanted})
        if now != wanted:
            return _repair(path, now, wanted)
        if game.state.tested != game.state_key():
            return Action("run_tests")
        return Action("submit")

    def mistake(self, rng: np.random.Generator) -> Action:
        """See ``Expert.mistake``."""
        game = self._game
        path = game.bug.path
        sources = sorted(name for name in game.pristine if game.package.is_source(name))
        other = sources[int(rng.integers(len(sources)))]
        target = game.bug.target.rpartition(".")[2] or game.package.name
        lines = game.pristine[path].decode().splitlines()
        line = lines[int(rng.integers(len(lines)))].strip() or "pass"
        choices = (
            Action("view", {"path": other}),
            Action("search", {"pattern": target}),
            Action("bash", {"command": f"cat {other}"}),
            Action("bash", {"command": "ls"}),
            Action("replace", {"path": path, "old": line + "  # not there", "new": line}),
            Action("insert", {"path": path, "text": "# TO", "line": 0}),
            Action("undo", {"path": path}),
            Action("run_tests"),
        )
        return choices[int(rng.integers(len(choices)))]


def _repair(path: str, now: str, wanted: str) -> Action:
    """The replacement that puts back as much as stands together; everything at once where one part alone can't be."""
    old, new = now.splitlines(keepends=True), wanted.splitlines(keepends=True)
    blocks = [
        code for code in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes() if code[0] != "equal"
    ]
    i1, i2, j1, j2 = blocks[0][1], blocks[-1][2], blocks[0][3], blocks[-1][4]
    while True:
        before, after = "".join(old[i1:i2]), "".join(new[j1:j2])
        if before.strip() and now.count(before) == 1:
            return Action("replace", {"path": path, "old": before, "new": after})
        if i1 == 0 and i2 == len(old):
            return Action("replace", {"path": path, "old": before, "new": after})
        if i1 > 0:
            i1, j1 = i1 - 1, j1 - 1
        if i2 < len(old):
            i2, j2 = i2 + 1, j2 + 1
