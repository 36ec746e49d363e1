"""Names to objects, loaded when they are first used.

A registry entry is a string ``"module:attribute"``, so that naming a thing imports nothing. This is the only way
in which core reaches content (environments, policies, tools, credit methods).
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any, Generic, TypeVar, cast

from agentgym.core.errors import ConfigError, MissingExtraError, did_you_mean, unknown_name

T = TypeVar("T")

EXTRA_OF_MODULE = {
    "torch": "train",
    "transformers": "train",
    "accelerate": "train",
    "peft": "train",
    "tensorboard": "train",
    "faiss": "search",
    "msgpack": "search",
    "ray": "ray",
    "vllm": "vllm",
    "safetensors": "vllm",
    "httpx2": "openai",
    "PIL": "web",
    "playwright": "web",
    "selectolax": "web",
    "tinycss2": "web",
    "time_machine": "web-sites",
    "django": "web-sites",
    "oscar": "web-sites",
    "machina": "web-sites",
    "datasette": "web-sites",
    "otterwiki": "web-sites",
    "roundup": "web-sites",
    "klaus": "web-sites",
}
"""Top-level module -> the extra of agentgym-kit that installs it."""


def load(target: str) -> Any:
    """Imports ``"module:attribute"`` and returns the attribute.

    Raises:
        ConfigError: The string has another form, or the module lacks the attribute.
        MissingExtraError: The module needs a package that is not installed.
    """
    module_name, colon, attribute = target.partition(":")
    if not colon or not module_name or not attribute:
        raise ConfigError(f"Expected 'module:attribute', got {target!r}.")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise missing_extra(error, needed_by=target) from error
    try:
        return getattr(module, attribute)
    except AttributeError:
        public = [name for name in vars(module) if not name.startswith("_")]
        raise ConfigError(
            f"Module {module_name!r} has no attribute {attribute!r}.{did_you_mean(attribute, public)}"
        ) from None


def missing_extra(error: ModuleNotFoundError, *, needed_by: str) -> MissingExtraError:
    """The one-line error that says how to install what ``error`` missed."""
    name = (error.name or "").partition(".")[0]
    extra = EXTRA_OF_MODULE.get(name)
    if extra is None:
        return MissingExtraError(f"{needed_by!r} needs the module {error.name!r}, which is not installed.")
    return MissingExtraError(
        f"{needed_by!r} needs {name!r}, which is not installed. Install it with: pip install 'agentgym-kit[{extra}]'"
    )


class Registry(Generic[T]):
    """A table of one kind of thing. ``kind`` is the word that errors use ("environment", "policy")."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._targets: dict[str, str | T] = {}
        self._summaries: dict[str, str] = {}

    def register(self, name: str, target: str | T, summary: str = "") -> None:
        """Adds ``name``. ``target`` is ``"module:attribute"`` or the object itself.

        Raises:
            ConfigError: Another target holds the name.
        """
        if self._targets.get(name, target) != target:
            raise ConfigError(f"The {self.kind} {name!r} is registered already, as {self._targets[name]!r}.")
        self._targets[name] = target
        self._summaries[name] = summary

    def get(self, name: str) -> T:
        """The object of that name, imported on first use.

        Raises:
            UnknownNameError: No such name; suggests close ones.
        """
        try:
            target = self._targets[name]
        except KeyError:
            raise unknown_name(self.kind, name, sorted(self._targets)) from None
        if isinstance(target, str):
            return cast(T, load(target))
        return target

    def summary(self, name: str) -> str:
        """The one-line summary given at registration."""
        return self._summaries[name]

    def __contains__(self, name: object) -> bool:
        return name in self._targets

    def __iter__(self) -> Iterator[str]:
        return iter(self._targets)

    def __len__(self) -> int:
        return len(self._targets)
