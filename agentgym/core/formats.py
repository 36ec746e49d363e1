"""Action formats: how a model's raw message becomes typed actions.

A format never raises on a model's output: what can't be read comes back as ``Parsed.error``, which says what was
wrong and what would be right. Stop strings stay in the output.
"""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agentgym.core.actions import Action, Tool, clip, json_text
from agentgym.core.errors import did_you_mean
from agentgym.core.registry import Registry

Tools = Mapping[str, Tool]


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a message meant."""

    actions: tuple[Action, ...] = ()
    error: str = ""
    """Why the message could not be read. Empty: it could."""
    thought: str = ""
    """Text around the actions."""


class ActionFormat(ABC):
    """A grammar for actions. Stateless."""

    name: str
    structured: bool = False
    """Tools are shown to the model through its chat template, and each call gets a reply of its own."""

    @abstractmethod
    def parse(self, message: str, tools: Tools) -> Parsed:
        """Reads a message."""

    @abstractmethod
    def render(self, actions: Sequence[Action], tools: Tools, thought: str = "") -> str:
        """Writes a message that ``parse`` reads back. For experts, cheats and examples."""

    @abstractmethod
    def instructions(self, tools: Tools) -> str:
        """The part of the system prompt that explains the grammar."""

    def stop(self, tools: Tools) -> tuple[str, ...]:
        """Strings after which a message is over."""
        return ()


def _signature(tool: Tool) -> str:
    return f"{tool.name}: {tool.description}"


def _unknown(name: str, tools: Tools) -> str:
    return f"Unknown action {clip(name, 40)!r}.{did_you_mean(name[:40], tools)} Actions: {', '.join(tools)}."


class BracketFormat(ActionFormat):
    """``search[red mug]``: one call on a line of its own; the lines around it are thought.

    A tool without parameters is written ``buy[]``; one with several takes JSON between the brackets.
    """

    name = "bracket"
    _LINE = re.compile(r"^\s*(?:Action:\s*)?([A-Za-z_][\w-]*)\s*\[(.*)\]\s*$")

    def parse(self, message: str, tools: Tools) -> Parsed:
        """See ``ActionFormat.parse``."""
        known: list[tuple[str, str]] = []
        unknown: list[str] = []
        thought: list[str] = []
        for line in message.split("\n"):
            match = self._LINE.match(line)
            if match and match[1] in tools:
                known.append((match[1], match[2].strip()))
                continue
            thought.append(line)
            if match:
                unknown.append(match[1])
        text = "\n".join(thought).strip()
        if len(known) != 1:
            if unknown and not known:
                return Parsed(error=_unknown(unknown[0], tools), thought=text)
            found = f"found {len(known)} actions" if known else "found no action"
            ways = ", ".join(map(_bracketed, tools.values()))
            return Parsed(
                error=f"Write exactly one action on a line of its own; {found}. Actions: {ways}.", thought=text
            )
        name, argument = known[0]
        arguments, error = _bind(tools[name], argument)
        return Parsed((Action(name, arguments),) if not error else (), error, text)

    def render(self, actions: Sequence[Action], tools: Tools, thought: str = "") -> str:
        """See ``ActionFormat.render``."""
        lines = [thought] if thought else []
        lines += [f"{action.name}[{_unbind(action)}]" for action in actions]
        return "\n".join(lines)

    def instructions(self, tools: Tools) -> str:
        """See ``ActionFormat.instructions``."""
        lines = [f"  {_bracketed(tool)}  {tool.description}" for tool in tools.values()]
        return "Write one action on a line of its own. Actions:\n" + "\n".join(lines)


class XmlFormat(ActionFormat):
    """``<search>red mug</search>``: the first tag pair named after a tool; the text around it is thought."""

    name = "xml"

    def parse(self, message: str, tools: Tools) -> Parsed:
        """See ``ActionFormat.parse``."""
        first: tuple[int, int, str, str] | None = None
        for name in tools:
            opened = message.find(f"<{name}>")
            closed = message.find(f"</{name}>", opened) if opened >= 0 else -1
            if closed >= 0 and (first is None or opened < first[0]):
                first = (opened, closed + len(name) + 3, name, message[opened + len(name) + 2 : closed].strip())
        if first is None:
            tags = ", ".join(f"<{name}>...</{name}>" for name in tools)
            return Parsed(error=f"Found no action. Write one of {tags}.", thought=message.strip())
        start, stop, name, argument = first
        text = (message[:start] + message[stop:]).strip()
        arguments, error = _bind(tools[name], argument)
        return Parsed((Action(name, arguments),) if not error else (), error, text)

    def render(self, actions: Sequence[Action], tools: Tools, thought: str = "") -> str:
        """See ``ActionFormat.render``."""
        lines = [thought] if thought else []
        lines += [f"<{action.name}>{_unbind(action)}</{action.name}>" for action in actions]
        return "\n".join(lines)

    def instructions(self, tools: Tools) -> str:
        """See ``ActionFormat.instructions``."""
        lines = [
            f"  <{tool.name}>{', '.join(tool.properties)}</{tool.name}>  {tool.description}" for tool in tools.values()
        ]
        return "Write one action in tags. Actions:\n" + "\n".join(lines)

    def stop(self, tools: Tools) -> tuple[str, ...]:
        """The closing tags."""
        return tuple(f"</{name}>" for name in tools)


class ReActFormat(ActionFormat):
    """``Thought: ...`` then ``Action: search[red mug]``. Ends before an observation that the model would invent."""

    name = "react"
    _ACTION = re.compile(r"^\s*Action:\s*(.*)$")

    def parse(self, message: str, tools: Tools) -> Parsed:
        """See ``ActionFormat.parse``."""
        body = message.split("\nObservation:")[0]
        lines = body.split("\n")
        calls = [match[1].strip() for match in map(self._ACTION.match, lines) if match]
        thought = "\n".join(line for line in lines if not self._ACTION.match(line)).removeprefix("Thought:").strip()
        if len(calls) != 1:
            found = f"found {len(calls)}" if calls else "found none"
            return Parsed(error=f"Write exactly one line that begins with 'Action:'; {found}.", thought=thought)
        inner = BracketFormat().parse(calls[0], tools)
        return Parsed(inner.actions, inner.error, thought)

    def render(self, actions: Sequence[Action], tools: Tools, thought: str = "") -> str:
        """See ``ActionFormat.render``."""
        lines = [f"Thought: {thought}"] if thought else []
        lines += [f"Action: {action.name}[{_unbind(action)}]" for action in actions]
        return "\n".join(lines)

    def instructions(self, tools: Tools) -> str:
        """See ``ActionFormat.instructions``."""
        lines = [f"  {_bracketed(tool)}  {tool.description}" for tool in tools.values()]
        return "Write 'Thought: ...' and then 'Action: ...' with one of these actions:\n" + "\n".join(lines)

    def stop(self, tools: Tools) -> tuple[str, ...]:
        """Where the model would begin to invent the reply."""
        return ("\nObservation:",)


class JsonFormat(ActionFormat):
    """``<tool_call>{"name": ..., "arguments": {...}}</tool_call>``, several for parallel calls (Hermes, Qwen).

    Structured calls of a server arrive as canonical JSON: one object or a list of them, without tags.
    """

    name = "json"
    structured = True
    _CALL = re.compile(r"<tool_call>(.*?)</tool_call>", re.DOTALL)
    _SHAPE = '<tool_call>{"name": ..., "arguments": {...}}</tool_call>'

    def parse(self, message: str, tools: Tools) -> Parsed:
        """See ``ActionFormat.parse``."""
        # Nothing begins a call after the last end of one: searching there for each beginning took seconds.
        end = message.rfind("</tool_call>") + len("</tool_call>")
        bodies = self._CALL.findall(message[:end])
        thought = (self._CALL.sub("", message[:end]) + message[end:]).strip() if bodies else ""
        if not bodies:
            bare = message.strip()
            if not bare.startswith(("{", "[")):
                return Parsed(error=f"Found no tool call. Write {self._SHAPE}.", thought=bare)
            bodies = [bare]
        calls: list[Any] = []
        for body in bodies:
            try:
                value = json.loads(body)
            except (ValueError, RecursionError) as error:
                reason = error.msg if isinstance(error, json.JSONDecodeError) else "it is nested too deeply"
                return Parsed(error=f"A tool call is not valid JSON ({reason}). Write {self._SHAPE}.", thought=thought)
            calls.extend(value if isinstance(value, list) else [value])
        return self._read(calls, tools, thought)

    def _read(self, calls: list[Any], tools: Tools, thought: str) -> Parsed:
        actions: list[Action] = []
        for call in calls:
            if isinstance(call, dict) and isinstance(call.get("function"), dict):
                call = {**call["function"], "id": call.get("id", "")}
            if not isinstance(call, dict) or not isinstance(call.get("name"), str):
                return Parsed(error=f"A tool call needs a 'name'. Write {self._SHAPE}.", thought=thought)
            arguments = call.get("arguments", call.get("parameters", {}))
            if isinstance(arguments, str):
                try:
                    arguments = json.loads(arguments or "{}")
                except (ValueError, RecursionError):
                    arguments = None
            if not isinstance(arguments, dict):
                return Parsed(
                    error=f"The arguments of {clip(call['name'], 40)!r} must be a JSON object.", thought=thought
                )
            if call["name"] not in tools:
                return Parsed(error=_unknown(call["name"], tools), thought=thought)
            actions.append(Action(call["name"], arguments, str(call.get("id", ""))))
        if not actions:
            return Parsed(error=f"Found no tool call. Write {self._SHAPE}.", thought=thought)
        return Parsed(tuple(actions), thought=thought)

    def render(self, actions: Sequence[Action], tools: Tools, thought: str = "") -> str:
        """See ``ActionFormat.render``."""
        lines = [thought] if thought else []
        lines += [f"<tool_call>\n{json_text(action.to_dict())}\n</tool_call>" for action in actions]
        return "\n".join(lines)

    def instructions(self, tools: Tools) -> str:
        """See ``ActionFormat.instructions``."""
        lines = [f"  {_signature(tool)} Parameters: {json_text(tool.parameters)}" for tool in tools.values()]
        return f"Call tools with {self._SHAPE}. Tools:\n" + "\n".join(lines)


def _bracketed(tool: Tool) -> str:
    names = list(tool.properties)
    inner = names[0] if len(names) == 1 else "{" + ", ".join(f'"{name}": ...' for name in names) + "}" if names else ""
    return f"{tool.name}[{inner}]"


def _bind(tool: Tool, argument: str) -> tuple[dict[str, Any], str]:
    """Arguments of a text call, or what is wrong with it."""
    names = list(tool.properties)
    if not names:
        return ({}, "") if not argument else ({}, f"{tool.name} takes no argument; write {_bracketed(tool)}.")
    if len(names) == 1:
        return tool.bind_text({names[0]: argument}), ""
    try:
        value = json.loads(argument)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        return {}, f"{tool.name} takes a JSON object with {', '.join(names)}; got {clip(argument, 60)!r}."
    return value, ""


def _unbind(action: Action) -> str:
    if not action.arguments:
        return ""
    if len(action.arguments) == 1:
        value = next(iter(action.arguments.values()))
        return value if isinstance(value, str) else json_text(value)
    return json_text(dict(action.arguments))


FORMATS: Registry[ActionFormat] = Registry("action format")
FORMATS.register("bracket", BracketFormat(), "search[red mug]")
FORMATS.register("json", JsonFormat(), '<tool_call>{"name": "search", "arguments": {"query": "red mug"}}</tool_call>')
FORMATS.register("xml", XmlFormat(), "<search>red mug</search>")
FORMATS.register("react", ReActFormat(), "Thought: ... Action: search[red mug]")
