"""Serving a stored retriever until interrupted, in one process or several that share a port."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import signal
from collections.abc import Callable
from pathlib import Path

from agentgym.tools.retriever.server import serving
from agentgym.tools.retriever.stored import open_retriever


def serve_folder(
    folder: Path,
    *,
    host: str,
    port: int,
    default_k: int,
    reranker: str = "",
    processes: int = 1,
    ready: Callable[[int], None],
) -> None:
    """Serves a folder that ``build_retriever`` made; returns on an interrupt or a request to terminate.

    Args:
        folder: The retriever.
        host: Address to listen on.
        port: Port; 0 takes a free one, for one process.
        default_k: Hits where a request doesn't say.
        reranker: Cross-encoder that reorders the best hits; empty for none.
        processes: How many; the index is one file that all of them read.
        ready: Called with the port when the first process listens.

    Raises:
        DataError: No complete retriever in the folder.
        ConfigError: The port can't be had.
    """
    context = multiprocessing.get_context("spawn")
    helpers = [
        context.Process(target=_serve, args=(folder, host, port, default_k, reranker, True), daemon=True)
        for _ in range(processes - 1)
    ]
    for helper in helpers:
        helper.start()
    try:
        _serve(folder, host, port, default_k, reranker, processes > 1, ready)
    finally:
        for helper in helpers:
            helper.terminate()
            helper.join()


def _serve(
    folder: Path,
    host: str,
    port: int,
    default_k: int,
    reranker: str,
    shared: bool,
    ready: Callable[[int], None] | None = None,
) -> None:
    corpus, retriever = open_retriever(folder, reranker=reranker)

    async def run() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            # not every platform has signals in event loops; there an interrupt ends the process as usual
            with contextlib.suppress(NotImplementedError):
                asyncio.get_running_loop().add_signal_handler(number, stop.set)
        async with serving(
            corpus, retriever, host=host, port=port, default_k=default_k, shared_port=shared
        ) as listening:
            if ready is not None:
                ready(listening)
            await stop.wait()

    asyncio.run(run())
