"""The conversation between an environment and a policy, as messages and as tokens.

Token faithfulness: sampled ids are appended as they are. Only what the environment says is tokenised; the model's own
text never is, so that what is trained on is what was sampled. Where the next context is not the one before with
something appended, because a strategy or the chat template rewrites history or because a server rendered it otherwise,
a new segment begins with the new context as its prompt: each sampled token is trained in the context that it was
sampled in, and in no other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from agentgym.core.errors import Boundary, Fault
from agentgym.core.policy import Completion, Layout, Renderer, RewritingRenderer
from agentgym.core.records import Drift, Segment, Span
from agentgym.core.text import Message
from agentgym.rollout.context import ContextStrategy, Exchange, Full, View

REALIGN_TOKENS = 16
"""A server's context that differs from what was sampled in at most this many tokens counts as spelled differently, one
that differs in more as rewritten. Only the tally depends on it."""

SUMMARY_HEADING = "\n\nWhat happened before:\n"
"""Between the opening and a summary of the turns that left the context."""


class Conversation:
    """Grows turn by turn.

    Args:
        system_prompt: The job; empty for none.
        opening: What the environment says first.
        tools: JSON schemas of the tools, for chat templates. Only for structured formats.
        layout: ``chat``, or ``inline`` where replies go into the same assistant message.
        renderer: Of the policy. None: the policy has no tokens, or a server renders and returns them.
        context: What the policy reads of a long episode. None: everything.
    """

    def __init__(
        self,
        system_prompt: str,
        opening: Sequence[Message],
        tools: Sequence[dict[str, Any]],
        layout: Layout,
        renderer: Renderer | None,
        context: ContextStrategy | None = None,
    ) -> None:
        self.layout: Layout = layout
        self.renderer = renderer
        self.tools = tools
        self.context = context or Full()
        self._clean = 0
        self._drift = Drift()
        self.faithful = renderer is not None
        """Whether all that was sampled is known as tokens."""
        self._opening: list[Message] = [{"role": "system", "content": system_prompt}] if system_prompt else []
        self._opening.extend(opening)
        self._messages = [Message(**message) for message in self._opening]
        self._segments = [Segment()]
        self._exchanges: list[Exchange] = []
        self._view = View()
        self._read = len(self._messages)
        self._said = ""
        self._wrote = 0
        self._begun = self._replied = self._rewrote = False
        self._append_only = isinstance(self.context, Full) and not (layout == "chat" and _rewrites(renderer))
        self._opening_ids: list[int] = []
        if renderer is not None:
            self._opening_ids = renderer.initial(self._messages, tools, layout)
            self._add_environment(self._opening_ids)

    @property
    def drift(self) -> Drift:
        """How the contexts so far followed one another."""
        return self._drift._replace(clean=self._clean)

    @property
    def messages(self) -> list[Message]:
        """What the policy reads next, as messages."""
        self.prepare()
        return self._messages

    @property
    def prompt_ids(self) -> list[int] | None:
        """The same as tokens, up to where the policy writes. None where nobody here knows them."""
        self.prepare()
        return self._segments[-1].token_ids if self.faithful and self.renderer is not None else None

    def prepare(self) -> None:
        """Makes the context of the next message; `messages` and `prompt_ids` do it where nobody has.

        Call it in a thread where ``context.blocking``.
        """
        if not self._replied:
            return
        self._replied = False
        if self._append_only:
            if self.renderer is not None:
                self._clean += 1
            return
        view = self.context.view(self._exchanges, self._view)
        same = view == self._view
        if not same:
            self._view, self._rewrote = view, True
            self._messages = self._viewed()
        if self.renderer is None or not self.faithful:
            return
        if same and self._template_continues():
            self._clean += 1
        else:
            self._count(Drift(forked=1))
            self._segments.append(Segment())
            self._add_environment(self._rewritten())
        self._read = len(self._messages)

    def add_message(self, completion: Completion) -> Span | None:
        """Takes what the policy wrote; returns its tokens' span.

        Raises:
            Fault: The policy's ids, log-probabilities or versions differ in number.
        """
        self.prepare()
        if self.renderer is None and completion.prompt_ids is not None:
            self._take_prompt(completion.prompt_ids)
        self._begun, self._said = True, completion.text
        self._say(completion.text)
        ids = completion.token_ids
        if ids is None or (self.renderer is None and completion.prompt_ids is None):
            self.faithful = False
            return None
        logprobs = completion.logprobs if completion.logprobs is not None else [0.0] * len(ids)
        versions = completion.versions if completion.versions is not None else [completion.weight_version] * len(ids)
        if len(logprobs) != len(ids) or len(versions) != len(ids):
            raise Fault(
                Boundary.POLICY,
                f"it returned {len(ids)} tokens with {len(logprobs)} log-probabilities and {len(versions)} versions",
            )
        segment = self._segments[-1]
        start = self._wrote = len(segment.token_ids)
        segment.token_ids.extend(ids)
        segment.policy_mask.extend([True] * len(ids))
        segment.logprobs.extend(logprobs)
        segment.versions.extend(versions)
        return Span(len(self._segments) - 1, start, start + len(ids))

    def add_reply(self, messages: Sequence[Message]) -> Span | None:
        """Takes what the environment replied; returns its tokens' span.

        The reply stands behind the message that it answers, whatever the next context will look like. None where a
        server renders: its tokens are first known when it is asked again.
        """
        if self.layout == "inline":
            self._say("".join(message["content"] for message in messages))
        else:
            self._messages.extend(messages)
        self._replied = True
        span, ids = None, None
        if self.renderer is not None and self.faithful:
            segment = self._segments[-1]
            start = len(segment.token_ids)
            closed = self.renderer.is_closed(segment.token_ids)
            self._add_environment(self.renderer.suffix(messages, self.layout, closed=closed))
            span = Span(len(self._segments) - 1, start, len(segment.token_ids))
            ids = None if self._append_only else segment.token_ids[self._wrote :]
        if not self._append_only:
            self._exchanges.append(Exchange(self._said, list(messages), ids))
        return span

    def segments(self) -> list[Segment]:
        """The token sequences of the episode; none where ids are missing.

        A context that nobody wrote to is left out.
        """
        if not self.faithful:
            return []
        unused = len(self._segments) > 1 and not any(self._segments[-1].policy_mask)
        return self._segments[:-1] if unused else self._segments

    def fork(self) -> Conversation:
        """An independent copy at this point."""
        copy = object.__new__(Conversation)
        copy.__dict__.update(self.__dict__)
        copy._messages = [Message(**message) for message in self._messages]
        copy._exchanges = list(self._exchanges)
        copy._segments = [
            Segment(list(s.token_ids), list(s.policy_mask), list(s.logprobs), list(s.versions)) for s in self._segments
        ]
        return copy

    def _template_continues(self) -> bool:
        if self.layout == "inline" or not _rewrites(self.renderer):
            return True
        messages, read = self._messages, self._read
        renderer = cast(RewritingRenderer, self.renderer)
        return renderer.continues(messages[:read], messages[read], messages[read + 1 :], self.tools)

    def _rewritten(self) -> list[int]:
        """The tokens of a context that doesn't go on from the one before."""
        assert self.renderer is not None
        if self.layout == "chat" and _rewrites(self.renderer):
            return self.renderer.initial(self._messages, self.tools, self.layout)
        ids = list(self._opening_ids)
        if self._view.summary:
            ids = self.renderer.initial(self._viewed_opening(), self.tools, self.layout)
        for exchange in self._exchanges[self._view.first :]:
            ids.extend(exchange.ids or ())
        return ids

    def _viewed(self) -> list[Message]:
        messages = self._viewed_opening()
        kept = self._exchanges[self._view.first :]
        if self.layout == "inline":
            stream = "".join(x.message + "".join(message["content"] for message in x.reply) for x in kept)
            return [*messages, Message(role="assistant", content=stream)] if kept else messages
        for exchange in kept:
            messages += [Message(role="assistant", content=exchange.message), *exchange.reply]
        return messages

    def _viewed_opening(self) -> list[Message]:
        messages = [Message(**message) for message in self._opening]
        if self._view.summary:
            messages[-1]["content"] += SUMMARY_HEADING + self._view.summary
        return messages

    def _take_prompt(self, prompt: Sequence[int]) -> None:
        """Takes the context that a server says it read: the one known so far and more, or a new one."""
        known = self._segments[-1].token_ids
        if not self._begun:
            self.faithful = True
            self._add_environment(prompt)
        elif self.faithful:
            shared = next((i for i, (a, b) in enumerate(zip(known, prompt, strict=False)) if a != b), None)
            shared = min(len(known), len(prompt)) if shared is None else shared
            drifted = len(known) - shared
            if not drifted:
                self._clean += 1
                self._add_environment(prompt[shared:])
            else:
                respelled = drifted <= REALIGN_TOKENS and not self._rewrote
                self._count(Drift(realigned=1, drifted_tokens=drifted) if respelled else Drift(forked=1))
                self._segments.append(Segment())
                self._add_environment(prompt)
        self._rewrote = False

    def _count(self, drift: Drift) -> None:
        self._drift = self._drift.plus(drift)

    def _say(self, text: str) -> None:
        if self.layout == "inline" and self._messages[-1]["role"] == "assistant":
            self._messages[-1]["content"] += text
        else:
            self._messages.append({"role": "assistant", "content": text})

    def _add_environment(self, ids: Sequence[int]) -> None:
        segment = self._segments[-1]
        segment.token_ids.extend(ids)
        segment.policy_mask.extend([False] * len(ids))
        segment.logprobs.extend([0.0] * len(ids))
        segment.versions.extend([-1] * len(ids))


def _rewrites(renderer: Renderer | None) -> bool:
    return bool(getattr(renderer, "rewrites", False))
