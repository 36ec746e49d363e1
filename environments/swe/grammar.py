"""The native grammar: function calls in tags, with arguments as they are (no escaping of code)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from agentgym.core.actions import Action, clip, json_text
from agentgym.core.errors import did_you_mean
from agentgym.core.formats import ActionFormat, Parsed, Tools


def _parts(text: str, opening: re.Pattern[str], closing: re.Pattern[str]) -> tuple[list[tuple[str, str]], str]:
    """Name and content of each part, and what stands around them. One pass: models repeat themselves for pages."""
    parts: list[tuple[str, str]] = []
    around: list[str] = []
    place = 0
    while (begin := opening.search(text, place)) and (end := closing.search(text, begin.end())):
        around.append(text[place : begin.start()])
        parts.append((begin[1], text[begin.end() : end.start()]))
        place = end.end()
    return parts, "".join([*around, text[place:]])


class FunctionFormat(ActionFormat):
    """``<function=view><parameter=path>a.py</parameter></function>``, one a message.

    The form of SWE-Gym's and Qwen-Coder's agents. One line end after an opening and before a closing tag is not part
    of an argument.
    """

    name = "function"
    _OPEN = re.compile(r"<function=([\w-]+)>")
    _CLOSE = re.compile(r"</function>")
    _PARAMETER = re.compile(r"<parameter=([\w-]+)>\n?")
    _PARAMETER_END = re.compile(r"</parameter>(?=\s*(?:<parameter=[\w-]+>|\Z))")
    _SHAPE = "<function=NAME>\n<parameter=KEY>\nVALUE\n</parameter>\n</function>"

    def parse(self, message: str, tools: Tools) -> Parsed:
        """See ``ActionFormat.parse``."""
        calls, rest = _parts(message, self._OPEN, self._CLOSE)
        thought = rest.strip()
        if len(calls) != 1:
            found = f"found {len(calls)}" if calls else "found none"
            return Parsed(
                error=f"Write exactly one function call; {found}. The form is:\n{self._SHAPE}", thought=thought
            )
        name, body = calls[0]
        if name not in tools:
            hint = did_you_mean(name[:40], tools)
            return Parsed(error=f"Unknown function {clip(name, 40)!r}.{hint} Functions: {', '.join(tools)}.")
        parameters, rest = _parts(body, self._PARAMETER, self._PARAMETER_END)
        texts = {key: value.removesuffix("\n") for key, value in parameters}
        if rest.strip():
            return Parsed(error=f"The parameters can't be read. The form is:\n{self._SHAPE}", thought=thought)
        return Parsed((Action(name, tools[name].bind_text(texts)),), thought=thought)

    def render(self, actions: Sequence[Action], tools: Tools, thought: str = "") -> str:
        """See ``ActionFormat.render``."""
        parts = [thought] if thought else []
        for action in actions:
            lines = [f"<function={action.name}>"]
            for key, value in action.arguments.items():
                text = value if isinstance(value, str) else json_text(value)
                lines.append(f"<parameter={key}>\n{text}\n</parameter>")
            parts.append("\n".join([*lines, "</function>"]))
        return "\n".join(parts)

    def instructions(self, tools: Tools) -> str:
        """See ``ActionFormat.instructions``."""
        lines = []
        for tool in tools.values():
            needed = tool.parameters.get("required", ())
            names = [name if name in needed else f"[{name}]" for name in tool.properties]
            lines.append(f"  {tool.name}({', '.join(names)})  {tool.description}")
        return f"Call one function a message, in this form:\n{self._SHAPE}\nFunctions:\n" + "\n".join(lines)

    def stop(self, tools: Tools) -> tuple[str, ...]:
        """The end of the call."""
        return ("</function>",)
