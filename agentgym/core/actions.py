"""Typed actions, and the tools that they call."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from agentgym.core.errors import did_you_mean

_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
}


@dataclass(frozen=True, slots=True)
class Action:
    """One call of one tool."""

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    call_id: str = ""
    """Id that the model gave the call, where its format has ids."""

    def __str__(self) -> str:
        return f"{self.name}({', '.join(f'{key}={value!r}' for key, value in self.arguments.items())})"

    def to_dict(self) -> dict[str, Any]:
        """Name and arguments, as they are recorded."""
        return {"name": self.name, "arguments": dict(self.arguments)}


@dataclass(frozen=True, slots=True)
class Tool:
    """Something that the agent can call. ``parameters`` is a JSON schema of type ``object``."""

    name: str
    description: str
    parameters: Mapping[str, Any] = field(default_factory=lambda: {"type": "object", "properties": {}})

    @property
    def properties(self) -> Mapping[str, Mapping[str, Any]]:
        """Parameter name -> its schema, in order."""
        properties: Mapping[str, Mapping[str, Any]] = self.parameters.get("properties", {})
        return properties

    def schema(self) -> dict[str, Any]:
        """The tool in the form of OpenAI's API, which chat templates understand."""
        function = {"name": self.name, "description": self.description, "parameters": dict(self.parameters)}
        return {"type": "function", "function": function}

    def bind_text(self, texts: Mapping[str, str]) -> dict[str, Any]:
        """Arguments of a text grammar, read as the types that the schema asks for where that is possible."""
        return {key: _read(text, self.properties.get(key, {}).get("type")) for key, text in texts.items()}

    def problem(self, arguments: Mapping[str, Any]) -> str:
        """What is wrong with the arguments, or ``""``."""
        for key, value in arguments.items():
            expected = self.properties.get(key)
            if expected is None:
                takes = ", ".join(self.properties) or "none"
                return f"{self.name} has no argument {key!r}.{did_you_mean(key, self.properties)} It takes: {takes}."
            types = _TYPES.get(expected.get("type", ""))
            if types and (not isinstance(value, types) or (isinstance(value, bool) and bool not in types)):
                return f"{self.name}: {key!r} must be of type {expected['type']}, got {clip(json_text(value), 60)}."
            if "enum" in expected and value not in expected["enum"]:
                return f"{self.name}: {key!r} must be one of {expected['enum']}, got {clip(json_text(value), 60)}."
        for key in self.parameters.get("required", ()):
            if key not in arguments:
                return f"{self.name} needs the argument {key!r}."
        return ""


def tool(name: str, description: str, **parameters: str) -> Tool:
    """A tool whose parameters are all required strings: ``tool("search", "...", query="what to look for")``."""
    properties = {key: {"type": "string", "description": text} for key, text in parameters.items()}
    return Tool(name, description, {"type": "object", "properties": properties, "required": list(properties)})


def json_text(value: Any) -> str:
    """Compact JSON of anything; what JSON can't hold is written with ``str``."""
    return json.dumps(value, ensure_ascii=False, default=str)


def clip(text: str, limit: int) -> str:
    """``text``, or its beginning and a note of how much was cut."""
    return text if len(text) <= limit else f"{text[:limit]}... [{len(text) - limit} characters cut]"


def _read(text: str, kind: str | None) -> Any:
    """``text`` as the JSON type ``kind``; the text itself where it can't be read so."""
    if kind not in ("integer", "number", "boolean", "array", "object"):
        return text
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return value if isinstance(value, _TYPES[kind]) else text
