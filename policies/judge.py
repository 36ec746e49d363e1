"""A judge behind any server with chat completions."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from agentgym.core.errors import AgentGymError, Boundary, ConfigError, Fault
from agentgym.core.text import Message
from agentgym.policies.http import JsonClient, Retry
from agentgym.policies.loop import LoopThread

_KINDS = ((b"\x89PNG", "png"), (b"\xff\xd8", "jpeg"), (b"GIF8", "gif"), (b"RIFF", "webp"))


class ChatJudge:
    """See `agentgym.core.judging.Judge`. Greedy, so that equal questions get equal replies where the server does so.

    Args:
        model: Name that the server knows it by.
        base_url: Address, up to what stands before ``/chat/completions``.
        key_env: Environment variable that holds the key; empty for none.
        timeout: Seconds that one attempt may take.
        attempts: How often a question is asked before the fault.
        max_tokens: New tokens of a reply.
        concurrency: Questions in flight.
        extra: Further fields of every request.

    Raises:
        ConfigError: An argument is wrong, or the variable of the key isn't set.
    """

    deterministic = False

    def __init__(
        self,
        model: str,
        base_url: str,
        *,
        key_env: str = "",
        timeout: float = 120.0,
        attempts: int = 4,
        max_tokens: int = 1024,
        concurrency: int = 8,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        if attempts < 1 or max_tokens < 1:
            raise ConfigError(f"attempts and max_tokens must be at least 1, got {attempts} and {max_tokens}.")
        self.model = model
        self._max_tokens, self._extra = max_tokens, dict(extra or {})
        self._client = JsonClient(
            base_url, key_env=key_env, timeout=timeout, concurrency=concurrency, retry=Retry(attempts),
            service="the judge",
        )  # fmt: skip
        self._loop = LoopThread("judge")

    def __call__(self, messages: Sequence[Message], images: Sequence[bytes] = ()) -> str:
        """See ``Judge``."""
        body = {
            "model": self.model,
            "messages": [*map(dict, messages[:-1]), _seeing(messages[-1], images)],
            "max_tokens": self._max_tokens,
            "temperature": 0,
            **self._extra,
        }
        try:
            answer = self._loop.run(self._client.post("/chat/completions", body))
            return str(answer["choices"][0]["message"]["content"] or "")
        except Fault as fault:
            raise Fault(Boundary.GRADER, fault.message, retryable=fault.retryable) from None
        except AgentGymError:
            raise
        except (KeyError, IndexError, TypeError) as error:
            raise Fault(Boundary.GRADER, f"the judge's answer has another form ({type(error).__name__})") from None

    def close(self) -> None:
        """Closes the connections."""
        self._loop.run(self._client.close())
        self._loop.close()


def _seeing(message: Message, images: Sequence[bytes]) -> dict[str, Any]:
    """The last message with its images as data addresses."""
    if not images:
        return dict(message)
    parts: list[dict[str, Any]] = [{"type": "text", "text": message["content"]}]
    for image in images:
        kind = next((name for start, name in _KINDS if image.startswith(start)), "png")
        address = f"data:image/{kind};base64,{base64.b64encode(image).decode()}"
        parts.append({"type": "image_url", "image_url": {"url": address}})
    return {**message, "content": parts}
