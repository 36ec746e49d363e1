"""Structured tool calls of chat servers as canonical JSON in a message's text, and back.

An environment reads text and a record holds text; a server wants to see its own calls again, with their ids. Both forms
hold the same.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Sequence
from typing import Any

from agentgym.core.actions import json_text
from agentgym.core.text import Message

_OPEN, _CLOSE = "<tool_call>\n", "\n</tool_call>"
_CALL = re.compile(r"<tool_call>\n(.*?)\n</tool_call>", re.DOTALL)


def as_text(content: str, calls: Sequence[Any], turn: int) -> str:
    """A message with calls as text: what was said, then each call.

    Args:
        content: What the model said beside its calls.
        calls: In OpenAI's form. Arguments that are not JSON stay what they are; the environment says so.
        turn: Names calls that the server gave no id.
    """
    lines = [content] if content.strip() else []
    for index, call in enumerate(calls):
        function = call["function"]
        row = {
            "id": str(call.get("id") or f"call_{turn}_{index}"),
            "name": str(function.get("name", "")),
            "arguments": _read(function.get("arguments") or "{}"),
        }
        lines.append(_OPEN + json_text(row).replace("</", "<\\/") + _CLOSE)  # no argument can close the tag
    return "\n".join(lines)


def _read(arguments: Any) -> Any:
    """Arguments as an object; text that spells none stays text, for the environment to refuse."""
    if not isinstance(arguments, str):
        return arguments
    with contextlib.suppress(ValueError, RecursionError):
        found = json.loads(arguments, parse_constant=_refuse)
        if isinstance(found, dict):
            return found
    return arguments


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def as_chat(messages: Sequence[Message], tools: Sequence[Any], *, native: bool) -> list[dict[str, Any]]:
    """A conversation as servers take it.

    Args:
        messages: With calls as text.
        tools: Schemas; told in the first message where calls aren't native.
        native: Whether calls go as structures. A message whose calls have no answer each goes as text, and what
            answers it as the user's: servers refuse anything else.
    """
    rows: list[dict[str, Any]] = []
    index = 0
    while index < len(messages):
        message, index = messages[index], index + 1
        replies: list[Message] = []
        while index < len(messages) and messages[index]["role"] == "tool":
            replies.append(messages[index])
            index += 1
        calls = _calls(message["content"]) if native and message["role"] == "assistant" else []
        if calls and sorted(call["id"] for call in calls) == sorted(reply.get("tool_call_id", "") for reply in replies):
            said = _CALL.sub("", message["content"]).strip()
            rows.append({"role": "assistant", "content": said or None, "tool_calls": calls})
            rows += [dict(reply) for reply in replies]
        else:
            rows.append({"role": message["role"], "content": message["content"]})
            rows += [{"role": "user", "content": reply["content"]} for reply in replies]
    if tools and not native:
        told = 'Call tools with <tool_call>{"name": ..., "arguments": {...}}</tool_call>. Tools:\n' + "\n".join(
            json_text(tool.get("function", tool)) for tool in tools
        )
        if rows and rows[0]["role"] == "system":
            rows[0]["content"] += "\n\n" + told
        else:
            rows.insert(0, {"role": "system", "content": told})
    return rows


def _calls(text: str) -> list[dict[str, Any]]:
    found = []
    for body in _CALL.findall(text):
        try:
            row = json.loads(body)
        except (ValueError, RecursionError):
            return []
        if not isinstance(row, dict) or not {"id", "name", "arguments"} <= set(row):
            return []
        arguments = row["arguments"] if isinstance(row["arguments"], str) else json_text(row["arguments"])
        found.append({"id": row["id"], "type": "function", "function": {"name": row["name"], "arguments": arguments}})
    return found
