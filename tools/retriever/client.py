"""Asking a retriever behind a network: ours or one of those that it is compatible with."""

from __future__ import annotations

from collections.abc import Sequence

from agentgym.core.errors import Boundary, ConfigError, DataError, Fault
from agentgym.tools.retriever.dialects import DIALECTS, Dialect, Scored, read_reply, write_request
from agentgym.tools.retriever.http import Connection, Patience


class RetrieverClient:
    """Speaks one of the three dialects.

    Args:
        url: Address, ``http://host:8000/retrieve``.
        dialect: What the server understands; ours understands all.
        patience: How long to wait. The default gives up on a server that is away in about half a second, and on one
            that doesn't answer after 15 seconds.
    """

    def __init__(self, url: str, dialect: Dialect = "search-r1", patience: Patience | None = None) -> None:
        if dialect not in DIALECTS:
            raise ConfigError(f"Unknown dialect {dialect!r} of a retriever. Known: {', '.join(DIALECTS)}.")
        self._connection = Connection(url, patience)
        self.dialect: Dialect = dialect

    def search(self, queries: Sequence[str], k: int) -> list[list[Scored]]:
        """The passages that each query finds, with their scores, best first.

        Raises:
            Fault: The server is away, refuses the request or answers in another form (boundary ``tool``).
        """
        batches = [list(queries)] if self.dialect == "search-r1" else [[query] for query in queries]
        found: list[list[Scored]] = []
        for batch in batches:
            body, content_type = write_request(self.dialect, batch, k)
            reply = self._connection.post(body, content_type)
            if reply.status >= 400:
                said = reply.body[:300].decode("utf-8", "replace")
                raise Fault(Boundary.TOOL, f"The retriever at {self._connection.url} refused a request: {said}")
            try:
                hits = read_reply(self.dialect, reply.body)
            except DataError as error:
                raise Fault(Boundary.TOOL, f"{self._connection.url}: {error}") from error
            if len(hits) != len(batch):
                raise Fault(Boundary.TOOL, f"{self._connection.url}: {len(hits)} results for {len(batch)} queries.")
            found += [hits_of[:k] for hits_of in hits]  # some servers have a number of their own
        return found

    def close(self) -> None:
        """Closes all connections; searching again opens new ones."""
        self._connection.close()
