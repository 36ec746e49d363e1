"""The writable folders of sandboxes: trees whose content can be frozen and started from again.

A *layer* is a tmpfs of its own, so that its size is a quota and freeing it is one unmount. A *tree* is what a sandbox
writes to. On overlayfs a tree is an overlay of frozen layers below and one fresh layer on top; freezing it makes the
top layer read-only for good and puts a fresh one on it, so that a snapshot is the list of frozen layers and a fork is
another tree over the same list. Where overlays can't be mounted a tree is one layer, and freezing it copies it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import subprocess
from abc import ABC, abstractmethod
from collections import Counter
from pathlib import Path

from agentgym.sandboxes.keeper import kernel

ROOT = Path("/layers")
TREES = Path("/trees")
MAX_DEPTH = 32
"""Frozen layers below a tree before they are copied into one: each costs a look-up on every missing name."""
_BYTES_PER_INODE = 1024

Chain = tuple[int, ...]
"""Frozen layers, top first."""


def choose(owner: int, folders: tuple[str, ...], *, user_namespace: bool, copy: bool) -> Layers:
    """Overlays where they work (and ``copy`` isn't asked for), else copies."""
    for place in (ROOT, TREES):
        place.mkdir()
    skeleton = ROOT / "0" / "u"
    for folder in (skeleton, *(skeleton / name for name in folders)):
        folder.mkdir(parents=True)
        os.chown(folder, owner, owner)
    if not copy:
        overlays = OverlayLayers(owner, folders, user_namespace=user_namespace)
        with contextlib.suppress(OSError):
            if overlays.hides_what_was_deleted():
                return overlays
    return CopiedLayers(owner, folders)


class Layers(ABC):
    """All layers and trees of a keeper. Not thread-safe: the keeper has one thread."""

    kind: str

    def __init__(self, owner: int, folders: tuple[str, ...]) -> None:
        self._owner = owner
        self._folders = folders
        self._users: Counter[int] = Counter()
        self._trees: dict[int, tuple[int, Chain, int]] = {}
        self._next = 1

    @abstractmethod
    def freeze(self, tree: int) -> Chain:
        """The content of a tree now, as a chain that the caller must ``release``."""

    @abstractmethod
    def _mount(self, tree: int, chain: Chain, size: int) -> None:
        """Puts a tree that starts as ``chain`` in its place."""

    def create(self, chain: Chain, size: int) -> int:
        """A new tree over ``chain`` that may hold ``size`` bytes, frozen ones included."""
        tree = self._number()
        (TREES / str(tree)).mkdir()
        try:
            self._mount(tree, chain, size)
        except (OSError, subprocess.CalledProcessError):
            (TREES / str(tree)).rmdir()
            raise
        return tree

    def reset(self, tree: int, chain: Chain) -> None:
        """Makes the content of a tree that of ``chain``."""
        self._hold(chain)
        _, _, size = self._trees[tree]
        self._unmount(tree)
        self._mount(tree, chain, size)
        self.release(chain)

    def release(self, chain: Chain) -> None:
        """Gives back a chain. Layers that nobody holds any more are freed."""
        for layer in chain:
            self._users[layer] -= 1
            if self._users[layer] == 0:
                del self._users[layer]
                kernel.unmount(str(ROOT / str(layer)))
                (ROOT / str(layer)).rmdir()

    def open_folders(self, tree: int) -> None:
        """Gives the writable folders back to their owner, who may have locked himself out: commands start in them."""
        for name in self._folders:
            path = TREES / str(tree) / name
            mode = stat.S_IMODE(path.stat().st_mode)
            if mode & stat.S_IRWXU != stat.S_IRWXU:
                path.chmod(mode | stat.S_IRWXU)

    def close(self, tree: int) -> None:
        """Frees a tree."""
        self._unmount(tree)
        (TREES / str(tree)).rmdir()

    def counts(self) -> dict[str, int]:
        """How many layers and trees are held. Both are 0 when every sandbox is closed."""
        return {"layers": len(self._users), "trees": len(self._trees)}

    def _number(self) -> int:
        self._next += 1
        return self._next - 1

    def _hold(self, chain: Chain) -> None:
        self._users.update(chain)

    def _new_layer(self, size: int) -> int:
        layer = self._number()
        path = ROOT / str(layer)
        path.mkdir()
        inodes = max(size // _BYTES_PER_INODE, 1024)
        flags = kernel.MS_NOSUID | kernel.MS_NODEV
        kernel.mount("tmpfs", str(path), "tmpfs", flags, f"mode=0755,size={size},nr_inodes={inodes}")
        for name in ("u", "w"):
            (path / name).mkdir()
            os.chown(path / name, self._owner, self._owner)
        return layer

    def _unmount(self, tree: int) -> None:
        top, chain, _ = self._trees.pop(tree)
        kernel.unmount(str(TREES / str(tree)))
        self.release((top, *chain))

    def _flatten(self, tree: int, size: int) -> Chain:
        layer = self._new_layer(size)
        self._hold((layer,))
        # ``cp`` and not Python's own: an agent can nest folders deeper than any path or recursion limit.
        command = ["cp", "-a", "--", *(str(TREES / str(tree) / name) for name in self._folders)]
        subprocess.run([*command, str(ROOT / str(layer) / "u")], check=True, stdin=subprocess.DEVNULL)
        return (layer,)


class OverlayLayers(Layers):
    """Copy on write."""

    kind = "overlay"

    def __init__(self, owner: int, folders: tuple[str, ...], *, user_namespace: bool) -> None:
        super().__init__(owner, folders)
        # Renaming a folder that lies in a frozen layer needs redirects; unprivileged overlays have none.
        self._options = "userxattr" if user_namespace else "redirect_dir=on"

    def hides_what_was_deleted(self) -> bool:
        """Whether a folder made anew is empty, for which an unprivileged overlay needs a kernel of 2023."""
        tree = self.create((), 1 << 20)
        place = TREES / str(tree) / self._folders[0] / "probe"
        try:
            (place / "old").mkdir(parents=True)
            self.release(self.freeze(tree))
            shutil.rmtree(place)
            place.mkdir()
            return not any(place.iterdir())
        finally:
            self.close(tree)

    def freeze(self, tree: int) -> Chain:
        """See ``Layers.freeze``. Costs two mounts, whatever the size."""
        top, chain, size = self._trees[tree]
        if any((ROOT / str(top) / "u").iterdir()):
            frozen = (top, *chain)
            self._hold(frozen)
            if len(frozen) > MAX_DEPTH:
                flat = self._flatten(tree, size)
                self.release(frozen)
                frozen = flat
            self._unmount(tree)
            self._mount(tree, frozen, size)
            return frozen
        self._hold(chain)
        return chain

    def _mount(self, tree: int, chain: Chain, size: int) -> None:
        used = sum(_used(layer) for layer in chain)
        top = self._new_layer(max(size - used, 1 << 16))
        self._hold((top, *chain))
        # Paths relative to the folder of the layers, since all of them must fit into one page.
        os.chdir(ROOT)
        lower = ":".join(f"{layer}/u" for layer in (*chain, 0))
        options = f"lowerdir={lower},upperdir={top}/u,workdir={top}/w,{self._options}"
        try:
            kernel.mount("overlay", str(TREES / str(tree)), "overlay", kernel.MS_NOSUID | kernel.MS_NODEV, options)
        except OSError:
            self.release((top, *chain))
            raise
        self._trees[tree] = (top, chain, size)


class CopiedLayers(Layers):
    """Plain copies, for hosts without overlays. ``disk`` binds each copy by itself."""

    kind = "copy"

    def freeze(self, tree: int) -> Chain:
        """See ``Layers.freeze``. Costs as much as there is."""
        return self._flatten(tree, self._trees[tree][2])

    def _mount(self, tree: int, chain: Chain, size: int) -> None:
        top = self._new_layer(size)
        self._hold((top,))
        try:
            source = ROOT / str(chain[0] if chain else 0) / "u"
            subprocess.run(["cp", "-a", "--", f"{source}/.", str(ROOT / str(top) / "u")], check=True)
            flags = kernel.MS_BIND
            kernel.mount(str(ROOT / str(top) / "u"), str(TREES / str(tree)), flags=flags)
        except (OSError, subprocess.CalledProcessError):
            self.release((top,))
            raise
        self._trees[tree] = (top, (), size)


def _used(layer: int) -> int:
    status = os.statvfs(ROOT / str(layer))
    return (status.f_blocks - status.f_bfree) * status.f_frsize
