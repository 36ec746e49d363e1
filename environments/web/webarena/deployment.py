"""The deployment that tasks run on: real servers over HTTP, reached by both backends and by the grader."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from agentgym.core.errors import Boundary, ConfigError, Fault
from agentgym.tools.browser.transport import MAX_BODY, Request, Response, SiteError, Transport, tidy
from agentgym.tools.browser.urls import AllowList, normalise

_DROPPED = ("transfer-encoding", "connection", "keep-alive", "content-length")


def addresses(sites: Mapping[str, str]) -> dict[str, str]:
    """Addresses of sites as they are used: without a slash at the end.

    Raises:
        ConfigError: None are given, or one isn't an ``http`` address.
    """
    if not isinstance(sites, Mapping) or not sites:
        raise ConfigError(
            "WebArena's tasks need a deployment: give sites={'shopping': 'http://localhost:7770', ...} with the address"
            " of each site that you run."
        )
    found: dict[str, str] = {}
    for name, url in sites.items():
        parts = urlsplit(str(url))
        if parts.scheme != "http" or not parts.hostname or parts.username is not None:
            raise ConfigError(f"The address of {name!r} must look like http://localhost:7770, got {str(url)!r}.")
        found[str(name).lower()] = normalise(str(url)).rstrip("/")
    return found


def allowed(sites: Mapping[str, str]) -> AllowList:
    """What may be opened: the deployment's hosts and ports."""
    return AllowList(frozenset(urlsplit(url).netloc for url in sites.values()))


class HttpTransport:
    """Sends requests to real servers, one connection each.

    Args:
        timeout: Seconds that a server may take.
    """

    def __init__(self, timeout: float = 30.0) -> None:
        self.timeout = timeout

    def __call__(self, request: Request) -> Response:
        """See ``Transport``."""
        parts = urlsplit(request.url)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=self.timeout)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        headers = {name: value for name, value in request.headers if name != "accept-encoding"}
        try:
            connection.request(request.method, path, request.body or None, headers | {"accept-encoding": "identity"})
            answer = connection.getresponse()
            body = answer.read(MAX_BODY)
            pairs = tuple((name.lower(), value) for name, value in answer.getheaders() if name.lower() not in _DROPPED)
            return Response(answer.status, pairs, body)
        except TimeoutError:
            raise SiteError("timeout", f"The site did not answer within {self.timeout:g} seconds.") from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise SiteError("closed", f"The site can't be reached ({type(error).__name__}).") from None
        finally:
            connection.close()


class Deployment:
    """Sites, how to reach them, and whether they were written to.

    Args:
        sites: As ``addresses`` gives them.
        transport: Where requests go. None: over HTTP.
    """

    def __init__(self, sites: Mapping[str, str], transport: Transport | None = None) -> None:
        self.sites = dict(sites)
        self.allow = allowed(sites)
        self._transport = transport or HttpTransport()

    def __call__(self, request: Request) -> Response:
        """See ``Transport``. Nothing else than the deployment is ever asked."""
        if self.allow.problem(request.url):
            return Response(403)
        return tidy(self._transport(request))

    def base(self, site: str) -> str:
        """See ``helpers.Api``."""
        if site not in self.sites:
            raise Fault(Boundary.GRADER, f"The task asks the site {site!r}, whose address isn't given.")
        return self.sites[site]

    def json(self, method: str, url: str, body: Any = None, token: str = "") -> Any:
        """See ``helpers.Api``."""
        headers = [("content-type", "application/json"), ("accept", "application/json")]
        if token:
            headers.append(("authorization", f"Bearer {token}"))
        data = b"" if body is None else json.dumps(body).encode()
        try:
            answer = self(Request(method, normalise(url), tuple(headers), data, document=False))
            if answer.status != 200:
                raise Fault(Boundary.GRADER, f"{url} answered with status {answer.status}.")
            return json.loads(answer.body)
        except SiteError as error:
            raise Fault(Boundary.GRADER, f"{url}: {error.message}", retryable=True) from None
        except ValueError:
            raise Fault(Boundary.GRADER, f"{url} did not answer with JSON.") from None
