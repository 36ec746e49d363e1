"""The conversation between an environment and a policy, as messages and as tokens.

Token faithfulness: sampled ids are appended as they are. Only what the environment says is tokenised; the model's own
text never is, so that what is trained on is what was sampled.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from agentgym.core.policy import Completion, Layout, Renderer
from agentgym.core.records import Segment, Span
from agentgym.core.text import Message


class Conversation:
    """Grows turn by turn.

    Args:
        system_prompt: The job; empty for none.
        opening: What the environment says first.
        tools: JSON schemas of the tools, for chat templates. Only for structured formats.
        layout: ``chat``, or ``inline`` where replies go into the same assistant message.
        renderer: Of the policy. None: no tokens are kept.
    """

    def __init__(
        self,
        system_prompt: str,
        opening: Sequence[Message],
        tools: Sequence[dict[str, Any]],
        layout: Layout,
        renderer: Renderer | None,
    ) -> None:
        self.layout: Layout = layout
        self.renderer = renderer
        self.messages: list[Message] = [{"role": "system", "content": system_prompt}] if system_prompt else []
        self.messages.extend(opening)
        self.segment = Segment()
        self.faithful = renderer is not None
        if renderer is not None:
            self._add_environment(renderer.initial(self.messages, tools, layout))

    @property
    def prompt_ids(self) -> list[int] | None:
        """The whole context as tokens, up to where the policy writes next."""
        return self.segment.token_ids if self.faithful else None

    def add_message(self, completion: Completion) -> Span | None:
        """Takes what the policy wrote; returns its tokens' span."""
        self._add_to_assistant(completion.text)
        if self.renderer is None or completion.token_ids is None:
            self.faithful = False
            return None
        start = len(self.segment.token_ids)
        ids = completion.token_ids
        self.segment.token_ids.extend(ids)
        self.segment.policy_mask.extend([True] * len(ids))
        self.segment.logprobs.extend(completion.logprobs if completion.logprobs is not None else [0.0] * len(ids))
        self.segment.versions.extend([completion.weight_version] * len(ids))
        return Span(0, start, start + len(ids))

    def add_reply(self, messages: Sequence[Message]) -> Span | None:
        """Takes what the environment replied; returns its tokens' span."""
        if self.layout == "inline":
            self._add_to_assistant("".join(message["content"] for message in messages))
        else:
            self.messages.extend(messages)
        if self.renderer is None or not self.faithful:
            return None
        start = len(self.segment.token_ids)
        closed = self.renderer.is_closed(self.segment.token_ids)
        self._add_environment(self.renderer.suffix(messages, self.layout, closed=closed))
        return Span(0, start, len(self.segment.token_ids))

    def segments(self) -> list[Segment]:
        """The token sequences of the episode; none where ids are missing."""
        return [self.segment] if self.faithful else []

    def _add_to_assistant(self, text: str) -> None:
        if self.layout == "inline" and self.messages[-1]["role"] == "assistant":
            self.messages[-1]["content"] += text
        else:
            self.messages.append({"role": "assistant", "content": text})

    def _add_environment(self, ids: Sequence[int]) -> None:
        self.segment.token_ids.extend(ids)
        self.segment.policy_mask.extend([False] * len(ids))
        self.segment.logprobs.extend([0.0] * len(ids))
        self.segment.versions.extend([-1] * len(ids))
