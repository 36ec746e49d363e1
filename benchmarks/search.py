"""Search: building and opening a world, queries, turns of the environment, queries of the server.

Usage: python benchmarks/search.py [--documents 10000] [--parts build,open,queries,turns,server] [--cpu]

``--cpu`` counts processor time instead of wall time where one process works alone, for machines that are shared. The
world is built into a temporary folder, so that building is measured too, unless AGENTGYM_CACHE names one. Queries are
those of the reasoning chains, each asked once; the cache of repeated queries is not used.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from agentgym import make
from agentgym.environments.search.library import Library
from agentgym.environments.search.world.build import open_world
from agentgym.tools.retriever.impact import ImpactIndex
from agentgym.tools.retriever.server import serving

CLIENTS = 32
SECONDS = 4.0


def show(what: str, value: str) -> None:
    print(f"{what:<44}{value}", flush=True)


def peak() -> float:
    """Peak memory of this process and of its largest child, in GB."""
    own, child = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return (own + child * (os.cpu_count() or 1)) / 2**20


def processor() -> float:
    """Seconds that this process and its finished children have worked."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def build(documents: int) -> None:
    began, worked = time.perf_counter(), processor()
    library = open_world(0, documents)
    seconds, worked = time.perf_counter() - began, processor() - worked
    show("documents", f"{len(library.corpus):,}")
    show("questions", f"{len(library.questions):,}")
    show("build, documents and index and questions", f"{seconds:.1f} s wall, {worked:.1f} s processor")
    began, worked = time.perf_counter(), processor()
    ImpactIndex.build(library.corpus.contents())
    show("  of which indexing, one process", f"{time.perf_counter() - began:.1f} s, {processor() - worked:.1f} s")
    show("  peak memory, all processes at most", f"{peak():.2f} GB")


def opening(documents: int) -> None:
    code = (
        "import time; from agentgym.environments.search.world.build import open_world;"
        "t = time.perf_counter(); x = open_world(0, {n}); x.retriever.search('river', 3);"
        "print(time.perf_counter() - t)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code.format(n=documents)], capture_output=True, text=True, check=True, env=os.environ
    )
    show("open in a new process, first query included", f"{float(done.stdout):.3f} s")


def chain_queries(library: Library) -> list[str]:
    found = []
    for number in range(len(library.questions)):
        found += [step["query"] for step in library.questions.record(number)["chain"]]
    return list(dict.fromkeys(found))


def queries(library: Library, clock: Callable[[], float]) -> None:
    questions = [library.questions.record(i)["question"] for i in range(min(len(library.questions), 2000))]
    index = library.retriever
    assert isinstance(index, ImpactIndex)
    kinds = {
        "chain": chain_queries(library)[:3000],
        "whole question": questions,
        "common words": [
            "born in the town",
            "mayor of the town in the year",
            "who wrote the book",
            "river mountain school",
        ]
        * 25,
    }
    for kind, texts in kinds.items():
        times = []
        for text in texts:
            began = clock()
            index._search(text, 3)
            times.append((clock() - began) * 1e3)
        p50, p95 = np.percentile(times, [50, 95])
        show(f"query, {kind} ({len(texts)})", f"p50 {p50:.3f} ms   p95 {p95:.3f} ms")


def turns(documents: int, clock: Callable[[], float]) -> None:
    for layout in ("chat", "inline"):
        env = make("agentgym/Search-v0", documents=documents, layout=layout)
        ids = list(env.game.tasks().ids("train") or ())  # each task once, so that queries are new
        retriever = env.game._library.retriever
        played = [_scripted(env, name) for name in ids[:1200]]
        retriever._cached.cache_clear()
        count, began = 0, clock()
        for name, messages in played:
            env.reset(seed=0, options={"task_id": name})
            for message in messages:
                env.step(message)
            count += len(messages)
        show(f"environment, {layout}, retrieval included", f"{count / (clock() - began):,.0f} turns/s")


def _scripted(env: Any, name: str) -> tuple[str, list[str]]:
    env.reset(seed=0, options={"task_id": name})
    messages = []
    while env.running:
        messages.append(env.expert_message())
        env.step(messages[-1])
    return name, messages


def server(library: Library, documents: int) -> None:
    for processes in (1, 2):
        port, context = 18000 + processes, multiprocessing.get_context("spawn")
        workers = [context.Process(target=_serve, args=(documents, port), daemon=True) for _ in range(processes)]
        for worker in workers:
            worker.start()
        # a word that no document holds makes each query a new one for the cache of repeated queries
        chain = chain_queries(library)
        texts = [f"{chain[i % len(chain)]} q{i}" for i in range(100_000)]
        rates = asyncio.run(_load(port, texts))
        for worker in workers:
            worker.terminate()
            worker.join()
        show(f"server, {processes} process(es), {CLIENTS} clients", rates)


def _serve(documents: int, port: int) -> None:
    library = open_world(0, documents)

    async def run() -> None:
        async with serving(library.corpus, library.retriever, port=port, shared_port=True):
            await asyncio.Event().wait()

    asyncio.run(run())


async def _load(port: int, texts: list[str]) -> str:
    """Queries a second that 32 keep-alive clients get, and how long each waits."""
    bodies = [json.dumps({"query": text, "topk": 3, "return_scores": True}).encode() for text in texts]
    requests = [b"POST /retrieve HTTP/1.1\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body) for body in bodies]
    for _ in range(200):
        try:
            connections = [await asyncio.open_connection("127.0.0.1", port) for _ in range(CLIENTS)]
            break
        except OSError:
            await asyncio.sleep(0.1)
    else:
        raise RuntimeError("The server doesn't start.")
    waits: list[float] = []
    source: Iterator[bytes] = (request for _ in range(10) for request in requests)
    until = time.perf_counter() + SECONDS

    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (began := time.perf_counter()) < until:
            writer.write(next(source))
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(head.partition(b"Content-Length: ")[2].split(b"\r\n")[0]))
            waits.append((time.perf_counter() - began) * 1e3)
        writer.close()

    await asyncio.gather(*(client(*connection) for connection in connections))
    return f"{len(waits) / SECONDS:,.0f} queries/s   p50 {np.median(waits):.1f} ms"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=10_000)
    parser.add_argument("--parts", default="build,open,queries,turns,server")
    parser.add_argument("--cpu", action="store_true")
    options = parser.parse_args()
    clock = time.process_time if options.cpu else time.perf_counter
    parts = options.parts.split(",")
    show("machine", f"{os.cpu_count()} cores, Python {platform.python_version()}, load {os.getloadavg()[0]:.1f}")
    show("clock", "processor time" if options.cpu else "wall time")
    with tempfile.TemporaryDirectory() as folder:
        os.environ.setdefault("AGENTGYM_CACHE", folder)
        if "build" in parts:
            build(options.documents)
        library = open_world(0, options.documents)
        size = sum(path.stat().st_size for path in Path(os.environ["AGENTGYM_CACHE"]).rglob("*") if path.is_file())
        show("on disk", f"{size / 2**20:,.0f} MB")
        if "open" in parts:
            opening(options.documents)
        if "queries" in parts:
            queries(library, clock)
        if "turns" in parts:
            turns(options.documents, clock)
        if "server" in parts:
            server(library, options.documents)


if __name__ == "__main__":
    main()
