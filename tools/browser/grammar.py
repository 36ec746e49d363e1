"""Actions as Python calls, ``click('a3')``, read with ``ast``, never executed; WebArena's form as aliases."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from typing import Any

from agentgym.core.actions import Action, clip
from agentgym.core.errors import did_you_mean
from agentgym.core.formats import ActionFormat, Parsed, Tools

MAX_CALL = 20_000
"""Characters of one call."""

_FENCE = re.compile(r"```(?:[A-Za-z]+\n)?(.*?)```", re.DOTALL)
_CALL = re.compile(r"^\s*(?:Action:\s*)?([A-Za-z_]\w*)\s*\((.*)\)\s*;?\s*$", re.DOTALL)
_ALIAS = re.compile(r"^\s*(?:Action:\s*)?([a-z_]+)((?:\s*\[[^\n]*\])?)\s*$")
_BRACKETS = re.compile(r"\[([^\]]*)\]")
_NAMES = ("click", "close_tab", "go_back", "go_forward", "goto", "hover", "new_tab", "press", "scroll", "stop",
          "tab_focus", "type")  # fmt: skip
_EXAMPLE = "click('a3')"


class CallFormat(ActionFormat):
    """One call on a line of its own, or in a fenced block: ``fill('a3', 'Ann')``.

    Arguments are literals, by position or by name. WebArena's actions are read too: ``click [3]``,
    ``type [3] [Ann] [1]``, ``stop [42]``. The lines around the call are thought.
    """

    name = "calls"

    def parse(self, message: str, tools: Tools) -> Parsed:
        """See ``ActionFormat.parse``."""
        found, thought = _candidates(message, tools)
        if len(found) != 1:
            return Parsed(error=_count_error(message, len(found), tools), thought=thought)
        text = found[0]
        match = _CALL.match(text)
        read = _call(match[1], text, tools) if match else _alias(text, tools)
        if isinstance(read, str):
            return Parsed(error=read, thought=thought)
        return Parsed(tuple(read), thought=thought)

    def render(self, actions: Sequence[Action], tools: Tools, thought: str = "") -> str:
        """See ``ActionFormat.render``."""
        lines = [thought] if thought else []
        for action in actions:
            arguments = (f"{key}={value!r}" for key, value in action.arguments.items())
            if list(action.arguments) == list(tools[action.name].properties)[: len(action.arguments)]:
                arguments = (repr(value) for value in action.arguments.values())
            lines.append(f"{action.name}({', '.join(arguments)})")
        return "\n".join(lines)

    def instructions(self, tools: Tools) -> str:
        """See ``ActionFormat.instructions``."""
        lines = [f"  {_signature(name, tools)}  {tool.description}" for name, tool in tools.items()]
        return f"Write one action on a line of its own, as a call like {_EXAMPLE}. Actions:\n" + "\n".join(lines)


def _signature(name: str, tools: Tools) -> str:
    tool = tools[name]
    required = tool.parameters.get("required", ())
    return f"{name}({', '.join(key if key in required else f'{key}=...' for key in tool.properties)})"


def _candidates(message: str, tools: Tools) -> tuple[list[str], str]:
    """What in a message is meant as an action, and the text around it."""
    for block in _FENCE.findall(message):
        text = block.strip()
        if _is_action(text, tools):
            return [text], message.replace(block, "").replace("``````", "").strip()
    whole = message.strip()
    if (
        "\n" in whole
        and len(whole) <= MAX_CALL
        and (match := _CALL.match(whole))
        and match[1] in tools
        and _parses(whole)
    ):
        return [whole], ""
    found: list[str] = []
    thought: list[str] = []
    for line in message.split("\n"):
        (found if len(line) <= MAX_CALL and _is_action(line, tools) else thought).append(line)
    return found, "\n".join(thought).strip()


def _is_action(text: str, tools: Tools) -> bool:
    match = _CALL.match(text) if len(text) <= MAX_CALL else None
    if match is not None:
        return match[1] in tools
    alias = _ALIAS.match(text) if len(text) <= MAX_CALL else None
    return alias is not None and alias[1] in _NAMES and (bool(alias[2].strip()) or alias[1] in _BARE)


def _parses(text: str) -> bool:
    try:
        ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def _count_error(message: str, count: int, tools: Tools) -> str:
    if count > 1:
        return f"Write exactly one action; found {count}."
    for line in message[:MAX_CALL].split("\n"):
        match = _CALL.match(line)
        if match and line.strip().endswith(")"):
            name = match[1]
            return f"Unknown action {clip(name, 40)!r}.{did_you_mean(name[:40], tools)} Actions: {', '.join(tools)}."
    return f"Found no action. Write one on a line of its own, like {_EXAMPLE}. Actions: {', '.join(tools)}."


def _call(name: str, text: str, tools: Tools) -> list[Action] | str:
    source = text.strip().removeprefix("Action:").strip().rstrip(";")
    try:
        tree = ast.parse(source, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return f"The call {clip(source, 60)!r} is not well formed. Write it like {_signature(name, tools)}."
    if not isinstance(tree, ast.Call) or not isinstance(tree.func, ast.Name):
        return f"Write a single call, like {_EXAMPLE}."
    names = list(tools[name].properties)
    if len(tree.args) > len(names):
        return f"{name} takes at most {len(names)} arguments, got {len(tree.args)}: {_signature(name, tools)}."
    arguments: dict[str, Any] = {}
    given = list(zip(names, tree.args, strict=False)) + [(word.arg or "**", word.value) for word in tree.keywords]
    for key, node in given:
        if key in arguments:
            return f"{name}: {key!r} is given twice."
        try:
            arguments[key] = _literal(node)
        except (ValueError, TypeError, RecursionError, MemoryError):
            return f"{name}: {key!r} must be a literal (a string, a number, a list), not an expression."
    return [Action(name, _coerced(name, arguments, tools))]


def _literal(node: ast.expr) -> Any:
    if isinstance(node, ast.Starred):
        raise ValueError
    value = ast.literal_eval(node)
    if isinstance(value, tuple):
        value = list(value)
    if isinstance(value, (bytes, complex, set, dict)) or value is Ellipsis:
        raise ValueError
    return value


def _coerced(name: str, arguments: Mapping[str, Any], tools: Tools) -> dict[str, Any]:
    """Numbers where text is wanted become text: ``click(12)`` is ``click('12')``."""
    properties = tools[name].properties
    return {
        key: str(value)
        if properties.get(key, {}).get("type") == "string" and isinstance(value, (int, float))
        else value
        for key, value in arguments.items()
        if value is not None
    }


# ------------------------------------------------------------------ WebArena's form

_BARE = ("close_tab", "go_back", "go_forward", "new_tab", "stop")


def _alias(text: str, tools: Tools) -> list[Action] | str:
    """Reads WebArena's id actions. ``type`` with Enter (its default) becomes ``fill`` and ``press``."""
    match = _ALIAS.match(text)
    name = match[1] if match else ""
    body = match[2].strip() if match else ""
    if name == "stop":  # an answer may hold brackets of its own
        return [Action("send_msg_to_user", {"text": body[1:-1].strip()})]
    values = [] if body == "[]" else [value.strip() for value in _BRACKETS.findall(body)]
    wanted = {"type": (2, 3), "close_tab": (0, 0), "go_back": (0, 0), "go_forward": (0, 0), "new_tab": (0, 0)}
    low, high = (1, 2) if name == "press" else wanted.get(name, (1, 1))
    if not low <= len(values) <= high:
        return f"{name} takes {low if low == high else f'{low} to {high}'} values in brackets, got {len(values)}."
    match name:
        case "click" | "hover":
            return [Action(name, {"bid": values[0]})]
        case "type":
            write = Action("fill", {"bid": values[0], "value": values[1]})
            enter = Action("press", {"bid": values[0], "key_comb": "Enter"})
            return [write] if values[2:] == ["0"] else [write, enter]
        case "press":
            if len(values) == 2:
                return [Action("press", {"bid": values[0], "key_comb": values[1]})]
            if "keyboard_press" in tools:
                return [Action("keyboard_press", {"key": values[0]})]
            return "Nothing has the keyboard's focus here: name the element too, like press [3] [Enter]."
        case "scroll":
            return [Action("scroll", {"delta_x": 0, "delta_y": -600 if values[0].lower() == "up" else 600})]
        case "goto":
            return [Action("goto", {"url": values[0]})]
        case "tab_focus":
            if not values[0].isascii() or not values[0].isdecimal():
                return "tab_focus takes the number of a tab, like tab_focus [1]."
            return [Action("tab_focus", {"index": int(values[0][:6])})]
        case "close_tab":
            return [Action("tab_close", {})]
    return [Action(name, {})]
