"""The server and the client, over real sockets."""

import asyncio
import contextlib
import http.client
import json
import socket
import threading
import time

import pytest

from agentgym import AgentGymError, Boundary, Fault, make
from agentgym.tools.retriever.client import RetrieverClient
from agentgym.tools.retriever.corpus import Corpus, Texts
from agentgym.tools.retriever.dialects import DIALECTS, read_reply, write_request
from agentgym.tools.retriever.http import Connection, Patience, Reply
from agentgym.tools.retriever.impact import ImpactIndex
from agentgym.tools.retriever.server import MOST_BODY, MOST_HEADER, serving

msgpack = pytest.importorskip("msgpack")
TEXTS = ['"Mug"\nthe red mug', '"Cup"\na blue cup', '"Wine"\nred wine in a red glass — ü']
QUICK = Patience(connect=0.5, read=0.5, total=2.0, retries=1, pause=0.01)


class Explosive(ImpactIndex):
    """A retriever with a defect."""

    def search(self, query, k):
        if query == "boom":
            raise RuntimeError("a defect")
        return super().search(query, k)


@contextlib.contextmanager
def running():
    """A server in a thread; gives its port."""
    corpus = Corpus(Texts.of(TEXTS))
    started, stop, found = threading.Event(), None, {}

    async def run():
        nonlocal stop
        stop = asyncio.Event()
        async with serving(corpus, Explosive.build(TEXTS), port=0) as port:
            found.update(port=port, loop=asyncio.get_running_loop())
            started.set()
            await stop.wait()

    thread = threading.Thread(target=asyncio.run, args=(run(),), daemon=True)
    thread.start()
    assert started.wait(10)
    yield found["port"]
    found["loop"].call_soon_threadsafe(stop.set)
    thread.join(10)


@pytest.fixture(scope="module")
def port():
    with running() as number:
        yield number


@pytest.fixture
def url(port):
    return f"http://127.0.0.1:{port}/retrieve"


def ask(port, body, path="/retrieve", method="POST", **headers):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request(method, path, body, headers)
    reply = connection.getresponse()
    data = reply.read()
    connection.close()
    return reply.status, data


def test_search_r1(port):
    body = json.dumps({"queries": ["red wine", "cup", "zzz"], "topk": 2, "return_scores": True})
    status, data = ask(port, body)
    result = json.loads(data)["result"]
    assert status == 200
    assert [[hit["document"]["id"] for hit in hits] for hits in result] == [["2", "0"], ["1"], []]
    assert result[0][0]["document"]["contents"] == TEXTS[2]
    assert result[0][0]["score"] > result[0][1]["score"] > 0


def test_search_r1_without_scores_gives_documents(port):
    result = json.loads(ask(port, json.dumps({"queries": ["cup"], "topk": 1, "return_scores": False}))[1])["result"]
    assert result == [[{"id": "1", "contents": TEXTS[1]}]]
    assert json.loads(ask(port, json.dumps({"queries": ["cup"]}))[1])["result"] == result


def test_skyrl_and_verl(port):
    result = json.loads(ask(port, json.dumps({"query": "red", "topk": 1, "return_scores": True}))[1])["result"]
    assert [hit["document"]["id"] for hit in result[0]] == ["2"]


def test_gem(port):
    body = msgpack.packb({"query": "red", "topk": 2, "return_scores": True})
    result = msgpack.unpackb(ask(port, body, **{"Content-Type": "application/msgpack"})[1])["result"]
    assert [hit["document"]["id"] for hit in result] == ["2", "0"]


def test_rerank_clients_name_their_depth_otherwise(port):
    body = json.dumps({"queries": ["red"], "topk_retrieval": 10, "topk_rerank": 1, "return_scores": True})
    assert len(json.loads(ask(port, body)[1])["result"][0]) == 1


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("query", ["", " ", "?!", "\ud800", "\0", "é" * 50_000, "red " * 50_000])
def test_any_text_is_a_query(url, dialect, query):
    client = RetrieverClient(url, dialect)
    ((found,),) = [client.search([query], 1000)]
    assert [passage.id for passage, _ in found] == (["2", "0"] if "red" in query else [])
    client.close()


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_client_speaks_each_dialect(url, dialect):
    client = RetrieverClient(url, dialect)
    found = client.search(["red wine", "blue"], 2)
    assert [[passage.id for passage, _ in hits] for hits in found] == [["2", "0"], ["1"]]
    assert found[0][0][0].contents == TEXTS[2]
    client.close()


def test_health(port):
    assert json.loads(ask(port, None, "/health", "GET")[1]) == {"documents": 3}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "neither"),
        (b"{", "neither"),
        (b"[]", "neither"),
        (b'{"topk": 3}', "needs 'queries'"),
        (b'{"queries": [1]}', "needs 'queries'"),
        (b'{"query": "a", "topk": 0.5}', "'topk'"),
        (b'{"query": "a", "topk": 100000}', "'topk'"),
        (b"\xc1\xff", "neither"),
        (msgpack.packb([1]), "must be an object"),
    ],
)
def test_bad_requests_say_what_is_wrong(port, body, words):
    status, data = ask(port, body)
    assert status == 400
    assert words in json.loads(data)["error"]


def test_other_paths_and_bodies(port):
    assert ask(port, b"{}", "/other")[0] == 404
    assert ask(port, None, "/retrieve", "GET")[0] == 404
    assert ask(port, None, **{"Content-Length": str(MOST_BODY + 1)})[0] == 413


def test_a_defect_of_the_retriever_is_an_answer(port, url):
    status, data = ask(port, b'{"query": "boom"}')
    assert status == 500 and "a defect" in json.loads(data)["error"]
    with pytest.raises(Fault, match="500"):
        RetrieverClient(url, patience=QUICK).search(["boom"], 1)


def raw(port, *pieces):
    """Sends bytes as they are and reads until the server closes or falls silent."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as sock:
        for piece in pieces:
            sock.sendall(piece)
            time.sleep(0.02)
        sock.settimeout(0.3)
        found = b""
        with contextlib.suppress(TimeoutError):
            while data := sock.recv(65536):
                found += data
        return found


def request(body, *headers):
    lines = ["POST /retrieve HTTP/1.1", "Host: x", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def test_pipelined_requests_are_answered_in_order(port):
    bodies = [json.dumps({"query": word, "topk": 1}).encode() for word in ("cup", "wine", "mug")]
    found = raw(port, b"".join(request(body) for body in bodies[:2]) + request(bodies[2], "Connection: close"))
    assert [found.index(text.encode()) for text in ("blue cup", "red wine", "the red mug")] == sorted(
        found.index(text.encode()) for text in ("blue cup", "red wine", "the red mug")
    )
    assert found.count(b"200 OK") == 3


def test_requests_in_pieces(port):
    whole = request(b'{"query": "cup"}')
    assert b"blue cup" in raw(port, *[whole[i : i + 7] for i in range(0, len(whole), 7)])
    assert raw(
        port, request(b"", "Expect: 100-continue").replace(b"Length: 0", b"Length: 16"), b'{"query": "cup"}'
    ).startswith(b"HTTP/1.1 100")


def test_what_is_not_http(port):
    assert b"400 Bad Request" in raw(port, b"hello\r\n\r\n")
    assert b"411 Length Required" in raw(port, b"POST /retrieve HTTP/1.1\r\n\r\n")
    assert b"400 Bad Request" in raw(port, b"x" * (MOST_HEADER + 1))
    assert b"413" in raw(port, b"POST /retrieve HTTP/1.1\r\nContent-Length: " + b"9" * 9000 + b"\r\n\r\n")


def test_many_clients_at_once(url):
    failures = []

    def work(number):
        client = RetrieverClient(url, DIALECTS[number % 3])
        for i in range(20):
            word, expected = (("mug", "0"), ("cup", "1"), ("wine", "2"))[(number + i) % 3]
            if client.search([word], 1)[0][0][0].id != expected:
                failures.append((number, i))
        client.close()

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_a_port_that_is_taken(port):
    async def start():
        async with serving(Corpus(Texts.of(TEXTS)), ImpactIndex.build(TEXTS), port=port):
            pass

    with pytest.raises(AgentGymError, match="Choose another port"):
        asyncio.run(start())


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return sock.getsockname()[1]


def test_a_server_that_is_away_is_a_fault_that_says_so():
    with pytest.raises(Fault, match="nothing listens there; tries: 2") as caught:
        RetrieverClient(f"http://127.0.0.1:{free_port()}/retrieve", patience=QUICK).search(["a"], 1)
    assert caught.value.boundary == Boundary.TOOL
    assert caught.value.retryable


def test_a_server_that_is_silent_is_given_up_in_time():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/retrieve"
        patience = Patience(connect=0.2, read=0.1, total=0.25, retries=50, pause=0.01)
        began = time.monotonic()
        with pytest.raises(Fault, match="did not answer in time"):
            RetrieverClient(url, patience=patience).search(["a"], 1)
        assert time.monotonic() - began < 5


@contextlib.contextmanager
def sending(*pieces, pause=0.0, then_close=True):
    """A server that answers every request with these bytes, slowly, and perhaps leaves it at that; gives its url."""
    stop = threading.Event()

    def serve(listening):
        while not stop.is_set():
            with contextlib.suppress(OSError):
                connection, _ = listening.accept()
                with connection:
                    connection.recv(65536)
                    for piece in pieces:
                        connection.sendall(piece)
                        stop.wait(pause)
                    if not then_close:
                        stop.wait(5)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.1)
        thread = threading.Thread(target=serve, args=(listening,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/retrieve"
        stop.set()
        thread.join(10)


HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
IMPATIENT = Patience(connect=0.2, read=0.3, total=0.8, retries=5, pause=0.01)


@pytest.mark.parametrize(
    ("pieces", "pause", "closes", "words"),
    [
        ([HEAD, *[b" "] * 900], 0.05, True, "in time"),  # drips its body
        ([bytes([byte]) for byte in HEAD * 20], 0.05, True, "in time"),  # drips its header
        ([HEAD, b'{"result": [['], 0.0, False, "in time"),  # hangs in the middle of an answer
        ([HEAD, b'{"result": [['], 0.0, True, "IncompleteRead"),  # dies there
        ([], 0.0, True, "can't be used"),  # hangs up without a word
        ([b"220 mail.example ESMTP\r\n"], 0.0, True, "can't be used"),  # is something else
    ],
)
def test_a_server_that_fails_within_an_answer_is_given_up_in_time(pieces, pause, closes, words):
    with sending(*pieces, pause=pause, then_close=closes) as url:
        began = time.monotonic()
        with pytest.raises(Fault, match=words) as caught:
            RetrieverClient(url, patience=IMPATIENT).search(["a"], 1)
        assert time.monotonic() - began < 4
    assert caught.value.retryable and url in caught.value.message


def test_a_name_that_nobody_resolves_is_given_up_in_time(monkeypatch):
    asleep = threading.Event()

    def look_up(*args, **kwargs):
        asleep.wait(20)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    began = time.monotonic()
    with pytest.raises(Fault, match="in time"):
        RetrieverClient("http://retriever.example/retrieve", patience=IMPATIENT).search(["a"], 1)
    assert time.monotonic() - began < 4
    asleep.set()


def test_a_name_with_several_addresses_is_tried_at_each(port, monkeypatch):
    look_up = socket.getaddrinfo

    def addresses(host, number, *args, **kwargs):
        if host != "two.example":
            return look_up(host, number, *args, **kwargs)
        return [look_up(one, number, *args, **kwargs)[0] for one in ("127.0.0.9", "127.0.0.1")]

    monkeypatch.setattr(socket, "getaddrinfo", addresses)
    assert RetrieverClient(f"http://two.example:{port}/retrieve", patience=QUICK).search(["cup"], 1)[0]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: [])
    with pytest.raises(Fault, match="no address"):
        RetrieverClient(f"http://none.example:{port}/retrieve", patience=QUICK).search(["cup"], 1)


def test_pauses_between_tries_differ(monkeypatch):
    slept = []
    monkeypatch.setattr(time, "sleep", slept.append)
    for _ in range(20):
        with pytest.raises(Fault):
            RetrieverClient(f"http://127.0.0.1:{free_port()}/retrieve").search(["a"], 1)
    first, second = slept[::2], slept[1::2]
    assert len(first) == len(second) == 20 and len(set(slept)) > 20
    assert all(0.05 <= pause <= 0.15 for pause in first) and all(0.1 <= pause <= 0.3 for pause in second)


@pytest.mark.parametrize("body", [b'{"result": [["x"]]}', b'{"result": [[1]]}', b'{"result": 3}', b"[" * 100_000, b""])
def test_answers_of_another_form_are_faults(body):
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    with sending(answer) as url, pytest.raises(Fault, match="than the dialect 'search-r1' has"):
        RetrieverClient(url, patience=IMPATIENT).search(["a"], 1)


def test_a_connection_that_the_server_closed_is_opened_again(url, port):
    connection = Connection(url, QUICK)
    body, kind = write_request("search-r1", ["cup"], 1)
    connection.post(body, kind)
    connection._local.connection.sock.shutdown(socket.SHUT_RDWR)
    assert read_reply("search-r1", connection.post(body, kind).body)[0][0][0].id == "1"


def test_client_errors(url):
    with pytest.raises(AgentGymError, match="Unknown dialect"):
        RetrieverClient(url, "french")  # type: ignore[arg-type]
    with pytest.raises(AgentGymError, match="looks like"):
        RetrieverClient("ftp://x")
    with pytest.raises(Fault, match="refused"):
        RetrieverClient(url.replace("retrieve", "other")).search(["a"], 1)
    client = RetrieverClient(url, "skyrl")
    client._connection.post = lambda body, kind: Reply(200, b'{"answer": []}', "application/json")
    with pytest.raises(Fault, match="than the dialect 'skyrl' has"):
        client.search(["cup"], 1)


def test_playing_search_with_a_server(tmp_path):
    """A world of the environment behind a server gives what it gives in the same process."""
    from agentgym.environments.search.world.build import open_world

    library = open_world(0, 1)
    ready, stop = threading.Event(), threading.Event()
    found = {}

    async def run():
        async with serving(library.corpus, library.retriever, port=0) as number:
            found["port"] = number
            ready.set()
            while not stop.is_set():
                await asyncio.sleep(0.01)

    thread = threading.Thread(target=asyncio.run, args=(run(),), daemon=True)
    thread.start()
    assert ready.wait(10)
    url = f"http://127.0.0.1:{found['port']}/retrieve"
    traces = []
    for settings in ({}, {"retriever": url}, {"retriever": url, "dialect": "gem"}):
        env = make("agentgym/Search-v0", documents=1, **settings)
        observation, _ = env.reset(seed=3)
        trace = [observation]
        while env.running:
            text, reward, *_, info = env.step(env.expert_message())
            trace += [text, reward, info["rewards"]]
        traces.append(trace)
    stop.set()
    thread.join(10)
    assert traces[0] == traces[1] == traces[2]
    away = make("agentgym/Search-v0", documents=1, retriever=f"http://127.0.0.1:{free_port()}/retrieve")
    away.reset(seed=3)
    text, *_, info = away.step(away.expert_message())
    assert "nothing listens there" in text and "retrieval_fault" in info["tags"]
    assert info["faults"][0][0] == "tool" and "search_cost" not in info["rewards"]
