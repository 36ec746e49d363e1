"""The sites: applications with seeded content and a golden database."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from agentgym.environments.web.sites.book import make_book
from agentgym.environments.web.sites.site import Site

SITES: Mapping[str, Callable[[], Site]] = {"book.test": make_book}
"""Host -> makes a running copy."""
