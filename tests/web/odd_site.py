"""A site for workers that misbehaves on request."""

import os
import random
import secrets
import signal
import sqlite3
import time
import uuid
from datetime import datetime

from agentgym.environments.web.sites.changes import forget, net_changes, watch
from agentgym.tools.browser.transport import Response


def golden(world):
    db = sqlite3.connect(":memory:")
    db.executescript("CREATE TABLE pad (id INTEGER PRIMARY KEY, text TEXT)")
    db.executemany("INSERT INTO pad (text) VALUES (?)", [("x" * 500,)] * world)
    db.execute("CREATE TABLE thing (id INTEGER PRIMARY KEY, name TEXT)")
    db.execute("INSERT INTO thing VALUES (1, ?)", (f"thing of {world}",))
    watch(db)
    return db.serialize()


class Odd:
    def __init__(self, frozen, folder):
        self.frozen, self.folder = frozen, folder
        self.db = sqlite3.connect(":memory:", isolation_level=None)
        (folder / "file").write_text("mine")

    def __call__(self, request):
        path = request.url.split("/", 3)[3]
        match path:
            case "die":
                os._exit(3)
            case "hang":
                while True:
                    sum(range(1000))
            case "stuck":
                os.kill(os.getpid(), signal.SIGSTOP)
            case "sleep":
                time.sleep(60)
            case "fail":
                raise ValueError("broken")
            case "write":
                self.db.execute("UPDATE thing SET name = 'changed'")
            case "big":
                return Response(200, (("content-type", "text/plain"),), b"x" * 12_000_000)
            case "memory":
                bytearray(8 << 30)
            case "now":
                values = (datetime.now().isoformat(), time.time(), secrets.token_hex(4), str(uuid.uuid4()),
                          random.random(), os.urandom(2))  # fmt: skip
                return Response(200, (), repr(values).encode())
        name = self.db.execute("SELECT name FROM thing").fetchone()[0]
        return Response(200, (("content-type", "text/html"),), f"<title>{name}</title><p>{os.getpid()}".encode())

    def build(self):
        return b"built"

    def restore(self, data, edits):
        self.db.deserialize(data)
        for edit in edits:
            self.db.execute(edit)
        if edits:
            forget(self.db)
        self.frozen.stand_at(1_800_000_000)

    def snapshot(self):
        return self.db.serialize()

    def changes(self):
        return net_changes(self.db)


def make(frozen, folder):
    return Odd(frozen, folder)


def refuses(frozen, folder):
    raise RuntimeError("this site never starts")
