import asyncio
import contextlib
import json
import logging
import time
import traceback

import pytest
from chat_servers import Server, chat

import agentgym
from agentgym.core.errors import ConfigError, Fault
from agentgym.core.policy import PolicySpec, Request, Sampling, Usage
from agentgym.policies import http
from agentgym.policies.http import GivenUp, JsonClient, Retry, retry_after
from agentgym.policies.openai import OpenAIPolicy
from agentgym.policies.tool_calls import as_chat, as_text
from agentgym.rollout.engine import collect_all
from agentgym.rollout.jobs import plan
from agentgym.rollout.run import RunConfig, run
from agentgym.rollout.storage import read_run

KEY = "sk-very/secret+key=="
TOOLS = [{"type": "function", "function": {"name": "look", "description": "", "parameters": {"type": "object"}}}]


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch):
    monkeypatch.setattr(http.Retry, "pause", _quick(Retry.pause))


def _quick(pause):
    def quick(self, attempt, asked, chance):
        found = pause(self, attempt, asked, chance)
        return found if found is None else min(found, 0.01) if asked is None else found

    return quick


@contextlib.contextmanager
def policy(server, **kwargs):
    made = OpenAIPolicy("m", server.url, **kwargs)
    try:
        yield made
    finally:
        made.close()


def request(content="hi", **kwargs):
    fields = {"stop": (), "seed": 5, "sampling": Sampling(), **kwargs}
    messages = fields.pop("messages", [{"role": "user", "content": content}])
    return Request("e", 0, messages, None, **fields)


def ask(server, *, made=None, ask_with=None, **kwargs):
    with policy(server, **kwargs) as made:
        return asyncio.run(made.act(ask_with or request()))


# What goes out and comes back


def test_a_message_is_asked_for_and_counted():
    with Server(chat("hello")) as server:
        completion = ask(server, prices={"prompt": 2.0, "completion": 10.0}, ask_with=request(stop=("</a>",)))
    assert (completion.text, completion.finish_reason, completion.token_ids) == ("hello", "stop", None)
    assert completion.usage == Usage(100, 20, pytest.approx((100 * 2 + 20 * 10) / 1e6))
    (body,) = server.requests
    assert body["messages"] == [{"role": "user", "content": "hi"}]
    assert (body["model"], body["temperature"], body["max_tokens"], body["stop"]) == ("m", 1.0, 256, ["</a>"])
    assert "authorization" not in {name.lower() for name in server.headers[0]}


@pytest.mark.parametrize("reason", ["length", "stop", "tool_calls", None])
def test_reasons_to_finish(reason):
    with Server(chat("x", finish_reason=reason)) as server:
        assert ask(server).finish_reason == ("length" if reason == "length" else "stop")


def test_a_stop_string_that_the_server_took_comes_back():
    with (
        Server(
            chat("<search>mug"),
            chat("<search>mug", stop_reason="</search>"),
            chat("plain"),
            chat("<search>mug</search> and more"),
            chat("<search>mug", finish_reason="length"),
        ) as server,
        policy(server) as made,
    ):
        texts = [asyncio.run(made.act(request(stop=("</search>", "</buy>")))).text for _ in range(5)]
    closed = "<search>mug</search>"
    assert texts == [closed, closed, "plain", closed, "<search>mug"]


def test_token_ids_make_a_faithful_completion():
    content = [{"logprob": -0.5}, {"logprob": -1.5}]
    answer = {**chat("ab", token_ids=[7, 8], logprobs={"content": content}), "prompt_token_ids": [1, 2, 3]}
    with Server(answer) as server:
        completion = ask(server)
        assert (completion.prompt_ids, completion.token_ids, completion.logprobs) == ([1, 2, 3], [7, 8], [-0.5, -1.5])
        assert server.requests[0]["return_token_ids"] is True
        greedy = ask(server, ask_with=request(sampling=Sampling(0.0)))
        assert greedy.logprobs == [0.0, 0.0]


@pytest.mark.parametrize(("logprob", "faithful"), [(-1e-6, True), (-0.7, False)])
def test_log_probabilities_must_be_those_that_were_drawn_from(logprob, faithful):
    def answer(body, _):
        content = [{"logprob": logprob if body.get("top_k") == 1 else -0.9}]
        return {**chat("a", token_ids=[7], logprobs={"content": content}), "prompt_token_ids": [1]}

    with Server(answer) as server, policy(server) as made:
        for _ in range(2):
            completion = asyncio.run(made.act(request(sampling=Sampling(0.7))))
            assert (completion.token_ids is not None) == faithful
        assert sum(body.get("top_k") == 1 for body in server.requests) == 1
        assert asyncio.run(made.act(request())).token_ids == [7]


def test_half_of_the_tokens_is_none():
    content = [{"logprob": -0.5}]
    with Server({**chat("ab", token_ids=[7, 8], logprobs={"content": content}), "prompt_token_ids": [1]}) as server:
        assert ask(server).token_ids is None


def test_a_server_that_refuses_token_fields_is_asked_without():
    def picky(body, _):
        return {"status": 400, "body": {"error": "unknown field"}} if "return_token_ids" in body else chat("fine")

    with Server(picky) as server, policy(server) as made:
        assert [asyncio.run(made.act(request())).text for _ in range(3)] == ["fine"] * 3
    assert sum("return_token_ids" in body for body in server.requests) == 1


# Tool calls


def _call(name="look", arguments='{"place": "hall"}', call_id="c1"):
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def test_native_calls_reach_the_environment_and_go_back():
    env = agentgym.make("toy/Rooms-v0", action_format="json")
    env.reset(seed=1)
    text = as_text(
        "I look.", [_call(arguments='{"room": "hall"}'), _call(call_id="c2", arguments='{"room": "attic"}')], 0
    )
    _, _, _, _, info = env.step(text)
    assert info["action_valid"]
    assert [call["arguments"]["room"] for call in info["tool_calls"]] == ["hall", "attic"]
    messages = [{"role": "user", "content": "q"}, {"role": "assistant", "content": text}, *env.messages]
    rows = as_chat(messages, env.tools, native=True)
    assert rows[1]["content"] == "I look."
    assert [call["id"] for call in rows[1]["tool_calls"]] == ["c1", "c2"]
    assert [row["tool_call_id"] for row in rows[2:]] == ["c1", "c2"]
    assert json.loads(rows[1]["tool_calls"][0]["function"]["arguments"]) == {"room": "hall"}


@pytest.mark.parametrize(
    "arguments",
    ["{broken", '"text"', "[1]", "Infinity", '{"room": NaN}', '{"room": "</tool_call>"}', "", None, {"room": "hall"}],
)
def test_odd_arguments_are_the_environment_s_to_refuse(arguments):
    env = agentgym.make("toy/Rooms-v0", action_format="json")
    env.reset(seed=1)
    text = as_text("", [_call(arguments=arguments)], 0)
    env.step(text)
    rows = as_chat([{"role": "assistant", "content": text}, *env.messages], env.tools, native=True)
    called = {call["id"] for row in rows for call in row.get("tool_calls", ())}
    assert called == {row["tool_call_id"] for row in rows if row["role"] == "tool"}


def test_calls_without_their_answers_go_as_text():
    text = as_text("", [_call(), _call(call_id="c2")], 0)
    one = [{"role": "assistant", "content": text}, {"role": "tool", "content": "r", "tool_call_id": "c1"}]
    assert [row["role"] for row in as_chat(one, TOOLS, native=True)] == ["assistant", "user"]
    assert "tool_calls" not in as_chat(one, TOOLS, native=True)[0]


def test_text_calls_are_told_in_the_prompt():
    rows = as_chat([{"role": "system", "content": "job"}, {"role": "user", "content": "q"}], TOOLS, native=False)
    assert rows[0]["content"].startswith("job\n\n")
    assert "look" in rows[0]["content"]
    assert as_chat([{"role": "user", "content": "q"}], TOOLS, native=False)[0]["role"] == "system"


def test_an_episode_through_native_calls():
    order = iter(range(100))

    def answer(body, _):
        rooms = body["messages"][-1]["content"] if len(body["messages"]) == 2 else ""
        answer.rooms = answer.rooms or rooms.partition("Rooms: ")[2].rstrip(".").split(", ")
        number = next(order)
        lamp = "There is the lamp." in body["messages"][-1]["content"]
        room = answer.rooms[number if not lamp else number - 1]
        call = _call("answer" if lamp else "look", json.dumps({"room": room}), f"c{number}")
        return chat(None, finish_reason="tool_calls") | {
            "choices": [{"message": {"content": None, "tool_calls": [call]}, "finish_reason": "tool_calls"}]
        }

    answer.rooms = []
    with Server(answer) as server, policy(server) as made:
        (record,) = collect_all(
            list(plan(1, 1, 0)),
            lambda: agentgym.make("toy/Rooms-v0", action_format="json"),
            made,
            sampling=Sampling(),
        )
    assert record.success, record.faults
    assert not record.token_faithful
    assert record.usage == Usage(100 * len(record.turns), 20 * len(record.turns), 0.0)
    assert all(body["messages"][-1]["role"] == "tool" for body in server.requests[1:])
    assert all(body["tools"] for body in server.requests)


# Trouble


@pytest.mark.parametrize(
    "trouble",
    [
        {"status": 500},
        {"status": 503, "body": {"error": "busy"}},
        {"status": 429},
        {"hang_up": True},
        {"raw": b'{"choices": [', "cut": True},
        {"raw": b"<html>gateway</html>"},
        {"raw": b'{"choices": [{"mess'},
        {"delay": 1.0},
    ],
    ids=["500", "503", "429", "hang-up", "cut", "html", "half-json", "slow"],
)
def test_what_may_pass_is_asked_again(trouble):
    with Server(trouble, trouble, chat("at last")) as server:
        assert ask(server, timeout=0.3).text == "at last"
        assert len(server.requests) == 3


def test_retry_after_is_waited_for():
    with Server({"status": 429, "headers": {"Retry-After": "0.4"}}, chat()) as server:
        began = time.monotonic()
        ask(server)
        assert time.monotonic() - began >= 0.4


def test_a_server_that_asks_for_too_long_a_pause_is_given_up_on():
    with Server({"status": 429, "headers": {"Retry-After": "3600"}}) as server:
        with pytest.raises(Fault, match="pause of 3600 s") as caught:
            ask(server)
        assert len(server.requests) == 1
        assert isinstance(caught.value, GivenUp)


def test_in_the_end_an_episode_fails_and_the_run_goes_on():
    with Server({"status": 500, "body": {"error": "down"}}) as server, policy(server, attempts=3) as made:
        records = collect_all(list(plan(2, 1, 0)), lambda: agentgym.make("toy/Rooms-v0"), made, sampling=Sampling())
        assert len(server.requests) == 6
    assert [record.faults[0].boundary for record in records] == ["policy", "policy"]
    assert "3 times" in records[0].faults[0].message
    assert "HTTP 500" in records[0].faults[0].message


def test_a_server_that_was_never_there_ends_the_run():
    with Server(chat()) as server:
        url = server.url
    made = OpenAIPolicy("m", url, attempts=2)
    try:
        with pytest.raises(ConfigError, match=r"failed 2 times.*Is it running"):
            asyncio.run(made.act(request()))
    finally:
        made.close()


def test_a_server_that_goes_away_later_fails_episodes():
    with Server(chat(), {"hang_up": True}) as server, policy(server, attempts=2) as made:
        asyncio.run(made.act(request()))
        with pytest.raises(GivenUp):
            asyncio.run(made.act(request()))


def test_a_refused_request_is_not_repeated():
    with Server(chat(), {"status": 400, "body": {"error": "context too long"}}) as server, policy(server) as made:
        asyncio.run(made.act(request()))
        with pytest.raises(Fault, match="context too long") as caught:
            asyncio.run(made.act(request()))
        assert not isinstance(caught.value, GivenUp)
        assert len(server.requests) == 2


@pytest.mark.parametrize("body", [{}, {"choices": []}, {"choices": [{}]}, {"choices": [{"message": 3}]}, [1], None])
def test_an_answer_of_another_form_is_a_fault(body):
    with Server({"status": 200, "body": body}) as server, pytest.raises(Fault, match="another form"):
        ask(server)


def test_requests_in_flight_are_limited():
    with Server({"delay": 0.05, "body": chat()}) as server, policy(server, concurrency=3) as made:

        async def many():
            await asyncio.gather(*(made.act(request()) for _ in range(12)))

        asyncio.run(many())
        assert server.most_in_flight == 3


def test_a_cancelled_request_frees_its_place():
    with Server({"delay": 0.5, "body": chat()}, chat()) as server, policy(server, concurrency=1) as made:

        async def impatient():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(made.act(request()), 0.1)
            return await asyncio.wait_for(made.act(request()), 5)

        assert asyncio.run(impatient()).text == "hello"


def test_a_policy_outlives_the_loop_that_asked():
    with Server(chat()) as server, policy(server) as made:
        assert [asyncio.run(made.act(request())).text for _ in range(3)] == ["hello"] * 3


# Keys


@pytest.fixture
def key(monkeypatch):
    monkeypatch.setenv("TEST_KEY", KEY)


def _echo(status):
    def entry(body, headers):
        sent = headers.get("authorization") or headers["Authorization"]
        import base64
        import urllib.parse

        plain = sent.removeprefix("Bearer ")
        spelled = [
            sent,
            json.dumps(plain),
            urllib.parse.quote(plain, safe=""),
            base64.b64encode(plain.encode()).decode(),
        ]
        return {"status": status, "raw": ("x" * 290 + " ".join(spelled)).encode()}

    return entry


def _holds_key(text):
    return any(part in text for part in (KEY, KEY[:10], "c2stdmVye", "very%2Fsecret"))


@pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 422, 500, 503])
def test_a_server_that_echoes_the_key_tells_nobody(key, status, caplog):
    caplog.set_level(logging.DEBUG)
    with Server(_echo(status)) as server:
        with pytest.raises((Fault, ConfigError)) as caught:
            ask(server, key_env="TEST_KEY", attempts=2)
        assert f"Bearer {KEY}" in {*server.headers[0].values()}
    told = "".join(traceback.format_exception(caught.value)) + str(caught.value) + repr(caught.value)
    assert not _holds_key(told)
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("agentgym")]
    assert not _holds_key("".join(ours))


def test_a_message_that_holds_the_key_is_no_message(key):
    with Server(chat(f"your key is {KEY}")) as server, pytest.raises(Fault, match="contains the key") as caught:
        ask(server, key_env="TEST_KEY")
    assert not _holds_key(str(caught.value))


@pytest.mark.parametrize("status", [200, 400, 500])
def test_no_key_reaches_a_stored_run(key, tmp_path, status):
    with Server(_echo(status)) as server:
        spec = PolicySpec("openai", {"model": "m", "base_url": server.url, "key_env": "TEST_KEY", "attempts": 2})
        config = RunConfig("toy/Rooms-v0", spec, 2)
        asyncio.run(run(config, tmp_path / "run"))
    assert all(record.faults for record in read_run(tmp_path / "run"))
    stored = b"".join(file.read_bytes() for file in (tmp_path / "run").rglob("*") if file.is_file())
    assert not _holds_key(stored.decode("utf-8", "replace"))


def test_a_refused_key_ends_the_run_in_one_line(key):
    with Server({"status": 401, "body": {"error": "bad key"}}) as server:
        with pytest.raises(ConfigError, match="TEST_KEY") as caught:
            ask(server, key_env="TEST_KEY")
        assert len(server.requests) == 1
    assert "\n" not in str(caught.value)


def test_a_missing_key_is_named():
    with pytest.raises(ConfigError, match="NO_SUCH_KEY"):
        OpenAIPolicy("m", "http://localhost:1/v1", key_env="NO_SUCH_KEY")


# Arguments


@pytest.mark.parametrize("url", ["localhost:8000", "", "ftp://x/v1", "http://"])
def test_an_address_that_is_none_is_explained(url):
    with pytest.raises(ConfigError, match="http://localhost:8000"):
        OpenAIPolicy("m", url)


@pytest.mark.parametrize("url", ["http://user:pw@host/v1", "http://host/v1?key=pw"])
def test_an_address_with_a_key_is_refused_and_not_repeated(url):
    with pytest.raises(ConfigError, match="environment variable") as caught:
        OpenAIPolicy("m", url)
    assert "pw" not in str(caught.value)


@pytest.mark.parametrize("prices", [{"prompt": -1}, {"prompt": "x"}, {"m": 3}, {"input": 3}])
def test_wrong_prices_are_explained(prices):
    with pytest.raises(ConfigError, match="rices"):
        OpenAIPolicy("m", "http://localhost:1/v1", prices=prices)


def test_prices_by_model():
    with Server(chat()) as server:
        assert ask(server, prices={"m": {"completion": 5.0}, "n": {"prompt": 1.0}}).usage.cost == pytest.approx(1e-4)


def test_an_unknown_model_ends_the_run():
    with (
        Server({"status": 404, "body": {"error": "no such model"}}) as server,
        pytest.raises(ConfigError, match="no such model"),
    ):
        ask(server)


# Pauses


def test_pauses_grow_and_are_never_the_same():
    retry, real = Retry(attempts=5, first=1.0, longest=5.0), Retry.pause.__closure__[0].cell_contents
    pauses = [[real(retry, attempt, None, chance) for chance in (0.0, 0.5, 0.999)] for attempt in range(5)]
    assert pauses[0] == pytest.approx([0.5, 0.75, 1.0], abs=0.01)
    assert pauses[2] == pytest.approx([2.0, 3.0, 4.0], abs=0.01)
    assert pauses[3] == pytest.approx([2.5, 3.75, 5.0], abs=0.01)
    assert pauses[4] == [None] * 3
    assert real(retry, 0, 3.0, 0.5) >= 3.0
    assert real(retry, 0, 6.0, 0.5) is None


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("3", 3.0),
        ("0.5", 0.5),
        ("-4", 0.0),
        ("soon", None),
        (None, None),
        ("nan", None),
        ("Fri, 01 Jan 2027 00:00:10 GMT", 10.0),
        ("Fri, 01 Jan 2027 00:00:00 GMT", 0.0),
    ],
)
def test_retry_after_is_a_number_or_a_date(value, seconds):
    assert retry_after(value, now=1798761600.0) == seconds


def test_a_client_reads_an_empty_answer():
    async def empty(url):
        client = JsonClient(url)
        try:
            return await client.post("/pause")
        finally:
            await client.close()

    with Server({"raw": b""}) as server:
        assert asyncio.run(empty(server.url)) is None
