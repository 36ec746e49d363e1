"""What an agent can do in a browser: the actions of BrowserGym by their names and in their argument order."""

from __future__ import annotations

from typing import Any

from agentgym.core.actions import Tool

BID = {"type": "string", "description": "Reference of an element on the page, such as a3."}
CATEGORIES = (
    "parse", "unknown_ref", "not_actionable", "forbidden_url", "http_error", "timeout", "closed", "unsupported",
)  # fmt: skip
"""What can be wrong with an action; stands in the observation as ``Error (category): ...``."""
INFEASIBLE = ("not_found", "not_allowed", "not_supported")
"""Reasons for which a task can't be done."""


def _tool(name: str, description: str, required: int, **parameters: dict[str, Any]) -> Tool:
    return Tool(
        name,
        description,
        {"type": "object", "properties": parameters, "required": list(parameters)[:required]},
    )


def _text(description: str) -> dict[str, Any]:
    return {"type": "string", "description": description}


def _number(description: str) -> dict[str, Any]:
    return {"type": "number", "description": description}


def _integer(description: str) -> dict[str, Any]:
    return {"type": "integer", "description": description}


_BUTTON = {"type": "string", "description": "left, middle or right; left by default."}
_MODIFIERS = {"type": "array", "description": "Keys that are held, such as ['Control']."}
_CHOICE = {"description": "Label or value of an option, or a list of them."}

CORE: tuple[Tool, ...] = (
    _tool("click", "Clicks an element.", 1, bid=BID, button=_BUTTON, modifiers=_MODIFIERS),
    _tool(
        "fill",
        "Writes a value into a text field, in place of what is there.",
        2,
        bid=BID,
        value=_text("What to write."),
        enable_autocomplete_menu={"type": "boolean", "description": "Has no effect here."},
    ),
    _tool("select_option", "Selects options of a list.", 2, bid=BID, options=_CHOICE),
    _tool("check", "Ticks a checkbox or radio button.", 1, bid=BID),
    _tool("uncheck", "Removes the tick of a checkbox.", 1, bid=BID),
    _tool(
        "press",
        "Presses a key on an element; Enter in a text field sends its form.",
        2,
        bid=BID,
        key_comb=_text("Enter, Space, Tab, Control+a ..."),
    ),
    _tool("clear", "Empties a text field.", 1, bid=BID),
    _tool("hover", "Moves the pointer over an element.", 1, bid=BID),
    _tool("focus", "Gives an element the keyboard's focus.", 1, bid=BID),
    _tool(
        "scroll",
        "Shows the next lines of a long page, or with a negative delta_y the lines before.",
        2,
        delta_x=_number("Has no effect."),
        delta_y=_number("Positive: on; negative: back."),
    ),
    _tool("goto", "Opens an address.", 1, url=_text("http://...")),
    _tool("go_back", "Opens the page before.", 0),
    _tool("go_forward", "Undoes go_back.", 0),
    _tool("new_tab", "Opens an empty tab.", 0),
    _tool("tab_close", "Closes the current tab.", 0),
    _tool("tab_focus", "Goes to another tab.", 1, index=_integer("Number of the tab, from 0.")),
    _tool(
        "send_msg_to_user",
        "Gives the answer, or says that the task is done; this ends the task. A text that ends with a question mark is"
        " a question, which the user answers.",
        1,
        text=_text("The bare answer, 'done', or a question."),
    ),
    _tool(
        "report_infeasible",
        "Says that the task can't be done, which ends it.",
        1,
        reason=_text(f"Begins with one of: {', '.join(INFEASIBLE)}."),
    ),
    _tool("noop", "Waits.", 0, wait_ms=_number("Milliseconds.")),
)
"""What both backends do alike."""

_X, _Y = _number("Pixels from the left."), _number("Pixels from the top.")
COORDINATES: tuple[Tool, ...] = (
    _tool("dblclick", "Clicks an element twice.", 1, bid=BID, button=_BUTTON, modifiers=_MODIFIERS),
    _tool("drag_and_drop", "Drags one element onto another.", 2, from_bid=BID, to_bid=BID),
    _tool("scroll_at", "Turns the wheel at a place.", 4, x=_X, y=_Y, dx=_number("Pixels."), dy=_number("Pixels.")),
    _tool("mouse_move", "Moves the pointer.", 2, x=_X, y=_Y),
    _tool("mouse_down", "Presses a button of the mouse.", 2, x=_X, y=_Y, button=_BUTTON),
    _tool("mouse_up", "Releases a button of the mouse.", 2, x=_X, y=_Y, button=_BUTTON),
    _tool("mouse_click", "Clicks at a place.", 2, x=_X, y=_Y, button=_BUTTON),
    _tool("mouse_dblclick", "Clicks twice at a place.", 2, x=_X, y=_Y, button=_BUTTON),
    _tool("mouse_drag_and_drop", "Drags from one place to another.", 4, from_x=_X, from_y=_Y, to_x=_X, to_y=_Y),
    _tool("keyboard_press", "Presses a key.", 1, key=_text("Enter, Control+a ...")),
    _tool("keyboard_down", "Holds a key.", 1, key=_text("Shift ...")),
    _tool("keyboard_up", "Releases a key.", 1, key=_text("Shift ...")),
    _tool("keyboard_type", "Types a text key by key.", 1, text=_text("What to type.")),
    _tool("keyboard_insert_text", "Inserts a text at once.", 1, text=_text("What to insert.")),
)
"""What only a real browser does."""
