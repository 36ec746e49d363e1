"""Any server with chat completions as a policy: hosted models, vLLM, SGLang, llama.cpp.

The server renders the conversation, so an episode is token-faithful only where the server says which tokens it read and
sampled (vLLM does). Episodes of other servers are marked, and trainers refuse them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from agentgym.core.errors import Boundary, ConfigError, Fault
from agentgym.core.policy import Completion, FinishReason, Policy, Request, Usage
from agentgym.policies.http import GivenUp, JsonClient, NotThere, Retry
from agentgym.policies.loop import LoopThread
from agentgym.policies.tool_calls import as_chat, as_text

_log = logging.getLogger(__name__)

_PATH = "/chat/completions"
_CERTAIN = 1e-3


class OpenAIPolicy(Policy):
    """A model behind ``/chat/completions``.

    Args:
        model: Name that the server knows it by.
        base_url: Address, up to what stands before ``/chat/completions``, such as ``http://localhost:8000/v1``.
        key_env: Environment variable that holds the key, such as ``OPENAI_API_KEY``; empty for none. The key itself is
            never an argument: arguments are stored with every run.
        tool_calls: ``native``: tools go to the server as schemas and come back as structured calls, which the
            environment gets as canonical JSON. ``text``: the model is told the tools in the prompt's first message.
        tokens: ``auto`` asks for token ids and log-probabilities and does without where the server refuses; ``never``
            doesn't ask.
        prices: Of a million tokens, ``{"prompt": 2.5, "completion": 10.0}``; what is absent costs nothing. With
            ``{model: {...}}`` the entry of ``model`` counts.
        concurrency: Requests in flight.
        timeout: Seconds that one attempt may take.
        attempts: How often a request is asked before its episode fails.
        max_tokens_field: What the server calls the limit of new tokens (``max_completion_tokens`` at some).
        send_seed: Whether the server takes a seed.
        context: Tokens of a sequence at most; None: whatever the server takes.
        extra: Further fields of every request.

    Raises:
        ConfigError: An argument is wrong, or the variable of the key isn't set.
    """

    name = "openai"
    deterministic = False

    def __init__(
        self,
        model: str,
        base_url: str,
        *,
        key_env: str = "",
        tool_calls: Literal["native", "text"] = "native",
        tokens: Literal["auto", "never"] = "auto",
        prices: Mapping[str, Any] | None = None,
        concurrency: int = 32,
        timeout: float = 300.0,
        attempts: int = 6,
        max_tokens_field: str = "max_tokens",
        send_seed: bool = True,
        context: int | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        if tool_calls not in ("native", "text") or tokens not in ("auto", "never"):
            raise ConfigError(
                f"tool_calls is 'native' or 'text' and tokens 'auto' or 'never', got {tool_calls!r} and {tokens!r}."
            )
        self.model, self.context = model, context
        self._native = tool_calls == "native"
        self._prices = _prices(prices or {}, model)
        self._max_tokens_field, self._send_seed, self._extra = max_tokens_field, send_seed, dict(extra or {})
        self._asks_tokens = tokens == "auto"
        self._answered = False
        self._processed: asyncio.Task[bool] | None = None
        self._client = JsonClient(
            base_url,
            key_env=key_env,
            timeout=timeout,
            concurrency=concurrency,
            retry=Retry(attempts=attempts),
            service="the chat server",
        )
        self._loop = LoopThread("chat server")

    async def act(self, request: Request) -> Completion:
        """See ``Policy.act``."""
        return await self._loop.call(self._act(request))

    def close(self) -> None:
        """Closes the connections."""
        if self._client is not None:
            self._loop.run(self._client.close())
        self._loop.close()

    async def _act(self, request: Request) -> Completion:
        answer = await self._post(self._body(request))
        try:
            return await self._completion(request, answer)
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
            raise Fault(
                Boundary.POLICY, f"the chat server's answer has another form ({type(error).__name__}: {error})"
            ) from None

    async def _post(self, body: dict[str, Any]) -> Any:
        """Asks, first with what only some servers know; one that refuses that is asked without from then on."""
        with_tokens = self._asks_tokens
        try:
            answer = await self._client.post(_PATH, {**body, **(_TOKEN_FIELDS if with_tokens else {})})
        except Fault as fault:
            if isinstance(fault, GivenUp) and not self._client.reached:
                raise ConfigError(f"{fault.message}. Is it running, and is base_url right?") from None
            if isinstance(fault, GivenUp) or not with_tokens or self._answered:
                raise
            answer = await self._client.post(_PATH, body)
            self._asks_tokens = False
            _log.warning("The chat server takes no token fields; episodes will not be token-faithful.")
        except NotThere as error:
            raise ConfigError(f"{error} Check base_url and model.") from None
        self._answered = True
        return answer

    def _body(self, request: Request) -> dict[str, Any]:
        sampling = request.sampling
        native = bool(request.tools) and self._native
        body: dict[str, Any] = {
            "model": self.model,
            "messages": as_chat(request.messages, request.tools, native=native),
            self._max_tokens_field: sampling.max_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
        }
        if sampling.top_k:
            body["top_k"] = sampling.top_k
        if self._send_seed:
            body["seed"] = request.seed % 2**31
        if request.stop:
            body["stop"] = list(request.stop)
        if native:
            body["tools"] = list(request.tools)
        if request.layout == "inline" and request.messages[-1]["role"] == "assistant":
            body |= {"continue_final_message": True, "add_generation_prompt": False}
        return body | self._extra

    async def _completion(self, request: Request, answer: Any) -> Completion:
        choice = answer["choices"][0]
        message = choice["message"]
        text = str(message.get("content") or message.get("refusal") or "")
        calls = message.get("tool_calls") or ()
        if calls:
            text = as_text(text, calls, request.turn)
        else:
            text = _with_stop(text, request.stop, choice)
        if self._client.redact(text) != text:
            raise Fault(Boundary.POLICY, "the chat server's message contains the key")
        reason = str(choice.get("finish_reason") or "stop")
        finish: FinishReason = "length" if reason == "length" else "abort" if reason in ("abort", "error") else "stop"
        prompt, ids, logprobs = await self._tokens(request, answer, choice)
        return Completion(
            text=text,
            token_ids=ids,
            logprobs=logprobs,
            finish_reason=finish,
            weight_version=self.weight_version,
            prompt_ids=prompt,
            usage=self._usage(answer.get("usage") or {}),
        )

    async def _tokens(
        self, request: Request, answer: Any, choice: Any
    ) -> tuple[list[int] | None, list[int] | None, list[float] | None]:
        """Ids of the prompt and the message, and log-probabilities; all or nothing."""
        prompt = answer.get("prompt_token_ids") or choice.get("prompt_token_ids")
        ids, content = choice.get("token_ids"), (choice.get("logprobs") or {}).get("content")
        if not prompt or not ids or content is None or len(content) != len(ids):
            return None, None, None
        sampling = request.sampling
        if sampling.temperature == 0:
            return list(prompt), list(ids), [0.0] * len(ids)
        if (sampling.temperature != 1 or sampling.top_p != 1 or sampling.top_k) and not await self._is_processed():
            return None, None, None
        return list(prompt), list(ids), [float(row["logprob"]) for row in content]

    async def _is_processed(self) -> bool:
        """Whether log-probabilities are those after temperature, top-k and top-p. Asked once."""
        if self._processed is None:
            self._processed = asyncio.get_running_loop().create_task(self._look_whether_processed())
        return await asyncio.shield(self._processed)

    async def _look_whether_processed(self) -> bool:
        body = {
            "model": self.model,
            "messages": [{"role": "user", "content": "a"}],
            self._max_tokens_field: 1,
            "temperature": 0.5,
            "top_k": 1,
            **_TOKEN_FIELDS,
        }
        answer = await self._client.post(_PATH, body)
        found = bool(abs(answer["choices"][0]["logprobs"]["content"][0]["logprob"]) < _CERTAIN)
        if not found:
            _log.warning(
                "The chat server's log-probabilities are those before temperature, top-k and top-p; episodes will not"
                " be token-faithful. A vLLM server gives the others with --logprobs-mode processed_logprobs."
            )
        return found

    def _usage(self, counted: Mapping[str, Any]) -> Usage:
        prompt, completion = int(counted.get("prompt_tokens") or 0), int(counted.get("completion_tokens") or 0)
        price = self._prices
        cost = (prompt * price.get("prompt", 0.0) + completion * price.get("completion", 0.0)) / 1e6
        return Usage(prompt, completion, cost)


_TOKEN_FIELDS: dict[str, Any] = {
    "logprobs": True,
    "return_token_ids": True,
    "include_stop_str_in_output": True,
    "skip_special_tokens": False,
}


def _prices(table: Mapping[str, Any], model: str) -> dict[str, float]:
    row = table.get(model, table)
    if not isinstance(row, Mapping):
        raise ConfigError(f"The prices of {model!r} must be a table such as {{'prompt': 2.5}}, got {row!r}.")
    known = {name: row[name] for name in ("prompt", "completion") if name in row}
    wrong = [name for name, price in known.items() if not isinstance(price, int | float) or price < 0]
    if wrong or (table and not known):
        raise ConfigError(
            f"Prices are numbers from 0 for 'prompt' and 'completion' per million tokens; for {model!r}: {dict(table)}."
        )
    return {name: float(price) for name, price in known.items()}


def _with_stop(text: str, stops: Sequence[str], choice: Mapping[str, Any]) -> str:
    """The text with the stop string that ended it, which most servers take away.

    A server that names it is believed; for a closing tag that is missing, its opening tag says that it was there.
    """
    if choice.get("finish_reason") != "stop":
        return text
    found = [text.find(stop) + len(stop) for stop in stops if stop in text]
    if found:
        return text[: min(found)]
    named = choice.get("stop_reason", choice.get("matched_stop"))
    if isinstance(named, str) and named in stops:
        return text + named
    for stop in stops:
        if stop.startswith("</") and text.rfind(stop.replace("</", "<", 1)[:-1]) > text.rfind(stop):
            return text + stop
    return text
