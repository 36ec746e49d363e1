"""Conversations as tokens, for any Hugging Face tokenizer that has a chat template.

What a policy sampled is never tokenised again. Only what the environment adds is: the template renders a stand-in
conversation in which a marker takes the place of the sampled message, and what follows the marker is the suffix.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Sequence
from typing import Any, Literal

import jinja2

from agentgym.core.errors import ConfigError
from agentgym.core.policy import Layout
from agentgym.core.text import Message

_log = logging.getLogger(__name__)

_MARKS = ("\ue010", "\ue011")
_ANSWER = f"{_MARKS[0]}answer{_MARKS[1]}"
_PROBE = ' a  "b"\n<c>{d}&é '
"""Content on which trimming, escaping and quoting by a template show."""

_PROBE_TOOL: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "look",
        "description": "Looks.",
        "parameters": {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]},
    },
}

_Parts = tuple[str, ...]


def _mark(index: int) -> str:
    return f"{_MARKS[0]}{index}{_MARKS[1]}"


class HFRenderer:
    """Renders with the tokenizer's own chat template, token-faithfully. Implements ``core.policy.Renderer``.

    The text around message contents depends on the roles alone for nearly every template, so it is worked out once a
    sequence of roles and contents are put in between; where a template does more with a content than copying or
    trimming it, the template is run each time. A content that spells a special token is tokenised as plain text, so
    that no observation can end a message.

    Args:
        tokenizer: A fast tokenizer with a chat template.
        template_kwargs: Passed to the template, such as ``{"enable_thinking": False}``.
        history: ``template``: where the template writes earlier messages differently once more follow (it strips
            thinking, or shows tools beside the last question only), contexts follow it, each in a segment of its own.
            ``sampled``: contexts only ever grow, and history stays as it was sampled.

    Attributes:
        rewrites: Whether contexts may be rewritten by the template.
        notes: Where this template's rendering of a whole conversation differs from appending message by message.

    Raises:
        ConfigError: No chat template, or one that can't render a user and an assistant message.
    """

    def __init__(
        self,
        tokenizer: Any,
        template_kwargs: dict[str, Any] | None = None,
        history: Literal["template", "sampled"] = "template",
    ) -> None:
        if history not in ("template", "sampled"):
            raise ConfigError(f"history must be 'template' or 'sampled', got {history!r}.")
        if not getattr(tokenizer, "chat_template", None):
            raise ConfigError(
                f"The tokenizer {getattr(tokenizer, 'name_or_path', '')!r} has no chat template. Set"
                " `tokenizer.chat_template`, or use the instruction-tuned version of the model."
            )
        self.tokenizer = tokenizer
        self._kwargs = dict(template_kwargs or {})
        self._backend = tokenizer.backend_tokenizer
        self._special = {token.content: index for index, token in tokenizer.added_tokens_decoder.items()}
        self._frames: dict[tuple[Any, ...], tuple[_Parts, bool] | None] = {}
        self._tool_role = "tool" if self._takes("user", "assistant", "tool") else "user"
        self._shows_call_ids = self._find_call_ids()
        self._end_ids, self._end_text = self._find_end()
        self._final_ids = {self._end_ids[-1], tokenizer.eos_token_id} - {None}
        self._reopen = self._find_reopen()
        rewritten = self._find_rewritten()
        self.rewrites = history == "template" and bool(rewritten)
        self.notes = self._instabilities(rewritten)
        for note in self.notes:
            _log.warning("Chat template: %s", note)

    # What the protocol asks for

    def initial(self, messages: Sequence[Message], tools: Sequence[dict[str, Any]], layout: Layout) -> list[int]:
        """Tokens of the first prompt, up to where the policy starts to write. Equal in both layouts."""
        return self._tokens(messages, tools, cut=False)

    def suffix(self, messages: Sequence[Message], layout: Layout, *, closed: bool) -> list[int]:
        """Tokens to append after a sampled message. See ``core.policy.Renderer.suffix``.

        In the inline layout contents are appended as they are, to the message that the policy is writing; where it
        closed that message, another one is opened first.
        """
        if layout == "inline":
            return (self._reopen if closed else []) + [
                token for message in messages for token in self.encode(message["content"])
            ]
        tokens = self._tokens(messages, (), cut=True)
        return tokens[tokens.index(self._end_ids[-1]) + 1 :] if closed else tokens

    def is_closed(self, token_ids: Sequence[int]) -> bool:
        """Whether sampled ids end with the end-of-message token."""
        return len(token_ids) > 0 and token_ids[-1] == self._end_ids[-1]

    def encode(self, text: str) -> list[int]:
        """Tokens of plain text. Text that spells a special token becomes ordinary tokens."""
        self._backend.encode_special_tokens = True
        try:
            return self._encode(text)
        finally:
            self._backend.encode_special_tokens = False

    def end_message(self) -> list[int]:
        """The end-of-message token(s), as the template writes them."""
        return list(self._end_ids)

    def decode(self, token_ids: Sequence[int]) -> str:
        """Text of sampled ids without the end token. Special tokens inside stay visible."""
        ids = list(token_ids)
        while ids and ids[-1] in self._final_ids:
            ids.pop()
        text: str = self._backend.decode(ids, skip_special_tokens=False)
        return text

    def continues(
        self,
        before: Sequence[Message],
        answer: Message,
        reply: Sequence[Message],
        tools: Sequence[dict[str, Any]],
    ) -> bool:
        """See ``core.policy.RewritingRenderer.continues``. Compares texts as the template writes them."""
        prompt, closed = self._apply(before, tools), self._apply([*before, answer], tools, prompt=False)
        whole = self._apply([*before, answer, *reply], tools)
        return whole.startswith(prompt) and whole.startswith(closed)

    @property
    def final_ids(self) -> frozenset[int]:
        """Tokens after which a message is over: the template's end-of-message token and the tokenizer's end token."""
        return frozenset(self._final_ids)

    # Rendering

    def _tokens(self, messages: Sequence[Message], tools: Sequence[dict[str, Any]], *, cut: bool) -> list[int]:
        """``cut``: only what follows a sampled message; else the conversation from its first token."""
        if any(message["role"] == "assistant" for message in messages):
            return self._history(messages, tools)  # templates do more with those than copy them
        frame = self._frame(messages, tools, cut)
        if frame is None:
            return self._encode(self._text(messages, tools, cut))
        parts, trimmed = frame
        contents = [message["content"].strip() if trimmed else message["content"] for message in messages]
        if not any(special in content for content in contents for special in self._special):
            return self._encode("".join(_interleave(parts, contents)))
        tokens = self._encode(parts[0])
        for content, part in zip(contents, parts[1:], strict=True):
            tokens += self.encode(content) + self._encode(part)
        return tokens

    def _history(self, messages: Sequence[Message], tools: Sequence[dict[str, Any]]) -> list[int]:
        """Tokens of a conversation that the template has rewritten. What the environment said stays plain text."""
        spelled = [special for special in self._special if any(special in message["content"] for message in messages)]
        hidden = {special: _mark(index) for index, special in enumerate(spelled)}
        rows = []
        for message in messages:
            content = message["content"]
            if message["role"] != "assistant":
                for special, mark in hidden.items():
                    content = content.replace(special, mark)
            rows.append(content)
        text = self._apply(_with_contents(messages, rows), tools)
        tokens: list[int] = []
        for piece in re.split(f"({_MARKS[0]}\\d+{_MARKS[1]})", text):
            shown = next((special for special, mark in hidden.items() if mark == piece), None)
            tokens += self._encode(piece) if shown is None else self.encode(shown)
        return tokens

    def _frame(
        self, messages: Sequence[Message], tools: Sequence[dict[str, Any]], cut: bool
    ) -> tuple[_Parts, bool] | None:
        """The texts around the contents, and whether contents are trimmed. None: the template does more with them."""
        if self._shows_call_ids and any("tool_call_id" in message for message in messages):
            return self._find_frame(messages, tools, cut)  # new ids each time: storing them would only fill memory
        roles = tuple(message["role"] for message in messages)
        key = (cut, json.dumps(list(tools), sort_keys=True) if tools else "", *roles)
        if key not in self._frames:
            self._frames[key] = self._find_frame(messages, tools, cut)
        return self._frames[key]

    def _find_frame(
        self, messages: Sequence[Message], tools: Sequence[dict[str, Any]], cut: bool
    ) -> tuple[_Parts, bool] | None:
        marks = [_mark(index) for index in range(len(messages))]
        text = self._text(_with_contents(messages, marks), tools, cut)
        parts: list[str] = []
        for mark in marks:
            before, found, text = text.partition(mark)
            if not found:
                return None
            parts.append(before)
        parts.append(text)
        probes = [f"{_PROBE}{index}\t" for index in range(len(messages))]
        probed = self._text(_with_contents(messages, probes), tools, cut)
        for trimmed in (False, True):
            contents = [probe.strip() if trimmed else probe for probe in probes]
            if "".join(_interleave(parts, contents)) == probed:
                return tuple(parts), trimmed
        return None

    def _text(self, messages: Sequence[Message], tools: Sequence[dict[str, Any]], cut: bool) -> str:
        if not cut:
            return self._apply(messages, tools)
        stand_in: list[Message] = [{"role": "user", "content": "question"}, {"role": "assistant", "content": _ANSWER}]
        return self._apply([*stand_in, *messages], tools).partition(_ANSWER)[2]

    def _apply(self, messages: Sequence[Message], tools: Sequence[dict[str, Any]], *, prompt: bool = True) -> str:
        rows: list[dict[str, Any]] = [dict(message) for message in messages]
        for row in rows:
            row["role"] = self._tool_role if row["role"] == "tool" else row["role"]
        try:
            text = self.tokenizer.apply_chat_template(
                rows, tools=list(tools) or None, add_generation_prompt=prompt, tokenize=False, **self._kwargs
            )
        except (jinja2.TemplateError, TypeError, KeyError, ValueError) as error:
            roles = ", ".join(row["role"] for row in rows)
            raise ConfigError(f"The chat template can't render messages with the roles {roles}: {error}") from error
        return str(text)

    def _encode(self, text: str) -> list[int]:
        try:
            encoding = self._backend.encode(text, add_special_tokens=False)
        except (TypeError, UnicodeEncodeError):  # lone surrogates have no bytes, so no tokenizer takes them
            encoding = self._backend.encode(text.encode("utf-8", "replace").decode(), add_special_tokens=False)
        ids: list[int] = encoding.ids
        return ids

    # What is worked out once

    def _takes(self, *roles: str) -> bool:
        self._tool_role = "tool"
        try:
            self._apply([{"role": role, "content": role} for role in roles], ())
        except ConfigError:
            return False
        return True

    def _find_call_ids(self) -> bool:
        """Whether the template writes the ids of tool calls."""
        replies: list[list[Message]] = [
            [{"role": "tool", "content": "", "tool_call_id": name}] for name in ("a1", "b2")
        ]
        first, second = (self._text(reply, (), cut=True) for reply in replies)
        return first != second

    def _find_end(self) -> tuple[list[int], str]:
        """Tokens between an assistant's content and the next message, up to and with the end-of-message token."""
        messages: list[Message] = [{"role": "user", "content": "question"}, {"role": "assistant", "content": _ANSWER}]
        tail = self._apply(messages, (), prompt=False).partition(_ANSWER)[2]
        ids = self._encode(tail)
        for count, token in enumerate(ids, start=1):
            if token in self._special.values():
                return ids[:count], self.tokenizer.convert_ids_to_tokens(token)
        eos = self.tokenizer.eos_token_id
        if eos is None:
            raise ConfigError("The chat template ends messages without a special token, and the tokenizer has no eos.")
        return [eos], self.tokenizer.eos_token

    def _find_reopen(self) -> list[int]:
        """Tokens from behind the end of an assistant's message to the start of another one."""
        question: list[Message] = [{"role": "user", "content": "question"}]
        header = self._apply(question, ()).removeprefix(self._apply(question, (), prompt=False))
        after = self._apply([*question, {"role": "assistant", "content": _ANSWER}], (), prompt=False)
        return self._encode(after.partition(_ANSWER)[2].partition(self._end_text)[2] + header)

    def _find_rewritten(self) -> tuple[str, ...]:
        """What of a conversation the template writes differently once more follows."""
        question: Message = {"role": "user", "content": "question"}
        answer: Message = {"role": "assistant", "content": "answer"}
        second: Message = {"role": "assistant", "content": "second answer"}
        thought: Message = {"role": "assistant", "content": "<think>\nreason\n</think>\n\nanswer"}
        tool: Message = {"role": "tool", "content": "result"}
        found = {}
        for what, message, tools in (
            ("messages", answer, ()),
            ("thinking", thought, ()),
            ("tools", answer, (_PROBE_TOOL,)),
        ):
            found[what] = any(
                self._is_rewritten(before, said, reply, tools)
                for reply in (question, tool)
                for before, said in (([question], message), ([question, message, reply], second))
            )
        if found["messages"]:  # the other two follow from it
            return ("messages",)
        return tuple(what for what, is_rewritten in found.items() if is_rewritten)

    def _is_rewritten(
        self, before: Sequence[Message], answer: Message, reply: Message, tools: Sequence[dict[str, Any]]
    ) -> bool:
        try:
            return not self.continues(before, answer, [reply], tools)
        except ConfigError:  # a conversation that the template refuses has no history to rewrite
            return False

    def _instabilities(self, rewritten: tuple[str, ...]) -> tuple[str, ...]:
        """Compares appending message by message with rendering the whole conversation."""
        notes = []
        if self._tool_role != "tool":
            notes.append("it takes no 'tool' messages; replies of tools are rendered as 'user'.")
        if rewritten:
            then = (
                "a new segment begins wherever it does"
                if self.rewrites
                else "history stays as it was sampled, which a server that renders whole conversations does not do"
            )
            notes.append(f"it writes earlier {' and '.join(rewritten)} differently once more follows; {then}.")
        if "messages" in rewritten:
            return tuple(notes)
        messages: list[Message] = [
            {"role": "user", "content": "first question"},
            {"role": "assistant", "content": "first answer"},
            {"role": "tool", "content": "second question"},
        ]
        appended = (
            self.initial(messages[:1], (), "chat")
            + self.encode("first answer")
            + self.suffix(messages[2:], "chat", closed=False)
        )
        whole = self._encode(self._apply(messages, ()))
        if appended != whole:
            at = _first_difference(appended, whole)
            notes.append(
                "rendering a whole conversation gives other tokens than appending to what was sampled: "
                f"{self._backend.decode(whole[at : at + 12], skip_special_tokens=False)!r} where appending gives "
                f"{self._backend.decode(appended[at : at + 12], skip_special_tokens=False)!r}. Records follow what was "
                "sampled; a server that renders whole conversations sees the other form."
            )
        return tuple(notes)


def _with_contents(messages: Sequence[Message], contents: Sequence[str]) -> list[Message]:
    return [{**message, "content": content} for message, content in zip(messages, contents, strict=True)]


def _interleave(parts: Sequence[str], contents: Sequence[str]) -> list[str]:
    texts = [parts[0]]
    for content, part in zip(contents, parts[1:], strict=True):
        texts += (content, part)
    return texts


def _first_difference(left: Sequence[int], right: Sequence[int]) -> int:
    for index, (a, b) in enumerate(zip(left, right, strict=False)):
        if a != b:
            return index
    return min(len(left), len(right))
