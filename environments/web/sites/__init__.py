"""The sites: applications with seeded content and a golden database. Nothing is imported before a site is used."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

from agentgym.core.errors import MissingExtraError, unknown_name

if TYPE_CHECKING:
    from agentgym.environments.web.sites.site import Site
    from agentgym.environments.web.sites.world import World


@dataclass(frozen=True)
class SiteKind:
    """One site. Its module has ``make_site() -> Site``, ``open_world(number) -> World`` and ``planted(text)``."""

    name: str
    module: str
    """Leaf module; imported when the site is used, and importable without the packages that the site needs."""
    extra: Literal["web", "web-sites"] = "web"
    needs: tuple[str, ...] = ()
    """Top-level modules of packages beside those of ``[web]``."""

    @property
    def host(self) -> str:
        """Where it is reached."""
        return f"{self.name}.test"

    @property
    def home(self) -> str:
        """Address of its first page."""
        return f"http://{self.host}/"

    def _leaf(self) -> Any:
        return importlib.import_module(self.module)

    def make(self) -> Site:
        """A running copy. Raises MissingExtraError."""
        self.check()
        site: Site = self._leaf().make_site()
        return site

    def world(self, number: int) -> World:
        """The world of a number, opened once. Raises MissingExtraError."""
        return _world_of(self, number)

    def planted(self, text: str) -> tuple[str, ...]:
        """SQL that puts ``text`` where reading agents come by; empty for sites that have no such place."""
        edits: tuple[str, ...] = self._leaf().planted(text)
        return edits

    def check(self) -> None:
        """Raises MissingExtraError where a package is missing."""
        missing = [name for name in self.needs if importlib.util.find_spec(name) is None]
        if missing:
            packages = ", ".join(repr(name) for name in missing)  # `map` is a site here
            raise MissingExtraError(
                f"The site {self.name!r} needs {packages}, which is not installed. Install it with: "
                f"pip install 'agentgym-kit[{self.extra}]'"
            )


@lru_cache(maxsize=256)
def _world_of(kind: SiteKind, number: int) -> World:
    kind.check()
    world: World = kind._leaf().open_world(number)
    return world


_HERE = "agentgym.environments.web.sites"
_KINDS = (
    SiteKind("book", f"{_HERE}.book"),
    SiteKind("mail", f"{_HERE}.mail"),
    SiteKind("calendar", f"{_HERE}.calendar"),
    SiteKind("map", f"{_HERE}.map"),
    SiteKind("shop", f"{_HERE}.shop", "web-sites", ("django", "oscar", "time_machine")),
    SiteKind("forum", f"{_HERE}.forum", "web-sites", ("django", "machina", "time_machine")),
    SiteKind("data", f"{_HERE}.data", "web-sites", ("datasette", "time_machine")),
    SiteKind("wiki", f"{_HERE}.wiki", "web-sites", ("otterwiki", "time_machine")),
    SiteKind("issues", f"{_HERE}.issues", "web-sites", ("roundup", "time_machine")),
    SiteKind("code", f"{_HERE}.code", "web-sites", ("klaus", "time_machine")),
)

SITES: Mapping[str, SiteKind] = {kind.name: kind for kind in _KINDS}
"""Name -> site."""
FIRST_PARTY: tuple[str, ...] = tuple(kind.name for kind in _KINDS if kind.extra == "web")
"""Sites that need nothing beside ``[web]``."""


def site_named(name: str) -> SiteKind:
    """The site of a name. Raises UnknownNameError."""
    if name not in SITES:
        raise unknown_name("web site", name, SITES)
    return SITES[name]


def chosen_sites(sites: Sequence[str] | str) -> tuple[str, ...]:
    """Names of the sites that ``sites`` chooses: a name, several, or ``all``; in the order of ``SITES``.

    Raises:
        UnknownNameError: There is no such site.
    """
    if sites == "all":
        return tuple(SITES)
    names = {site_named(name).name for name in ((sites,) if isinstance(sites, str) else sites)}
    return tuple(name for name in SITES if name in names)
