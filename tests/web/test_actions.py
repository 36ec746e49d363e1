"""The action grammar, addresses and forms."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentgym.core.actions import Action
from agentgym.core.formats import FORMATS
from agentgym.tools.browser.actions import COORDINATES, CORE
from agentgym.tools.browser.dom import parse_html
from agentgym.tools.browser.forms import Controls, accept, entries, invalid
from agentgym.tools.browser.grammar import CallFormat
from agentgym.tools.browser.urls import AllowList, form_decoded, form_encoded, resolve

TOOLS = {tool.name: tool for tool in CORE}
FORMAT = CallFormat()


def parse(message):
    return FORMAT.parse(message, TOOLS)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("click('a3')", [("click", {"bid": "a3"})]),
        ("I think so.\nclick(12)", [("click", {"bid": "12"})]),
        ("fill(bid='a1', value='x, (y) # z')", [("fill", {"bid": "a1", "value": "x, (y) # z"})]),
        ("fill('a1', 'two\\nlines')", [("fill", {"bid": "a1", "value": "two\nlines"})]),
        ("```python\nfill('a1', '''two\nlines''')\n```", [("fill", {"bid": "a1", "value": "two\nlines"})]),
        ("Then ```click [3]``` it is", [("click", {"bid": "3"})]),
        ("select_option('a1', ['x', 'y'])", [("select_option", {"bid": "a1", "options": ["x", "y"]})]),
        ("click('a1', modifiers=['Control'])", [("click", {"bid": "a1", "modifiers": ["Control"]})]),
        ("Action: scroll(0, -100)", [("scroll", {"delta_x": 0, "delta_y": -100})]),
        ("noop()", [("noop", {})]),
        ("go_back", [("go_back", {})]),
        ("go_back []", [("go_back", {})]),
        ("fill('a1', None)", [("fill", {"bid": "a1"})]),
        ("type [3] [Ann] [0]", [("fill", {"bid": "3", "value": "Ann"})]),
        (
            "type [3] [Ann]",
            [("fill", {"bid": "3", "value": "Ann"}), ("press", {"bid": "3", "key_comb": "Enter"})],
        ),
        ("stop [a [b] c]", [("send_msg_to_user", {"text": "a [b] c"})]),
        ("scroll [up]", [("scroll", {"delta_x": 0, "delta_y": -600})]),
        ("tab_focus [1]", [("tab_focus", {"index": 1})]),
        ("close_tab", [("tab_close", {})]),
    ],
)
def test_messages_that_are_read(message, expected):
    parsed = parse(message)
    assert [(action.name, dict(action.arguments)) for action in parsed.actions] == expected, parsed.error


@pytest.mark.parametrize(
    ("message", "problem"),
    [
        ("", "Found no action"),
        ("click the button", "Found no action"),
        ("clik('a1')", "Did you mean 'click'"),
        ("click('a1')\nclick('a2')", "exactly one action; found 2"),
        ("click(a1)", "must be a literal"),
        ("click(__import__('os').system('id'))", "must be a literal"),
        ("click(f'{1}')", "must be a literal"),
        ("click('a' + 'b')", "must be a literal"),
        ("click(*['a1'])", "must be a literal"),
        ("click({'a': 1})", "must be a literal"),
        ("click(b'a1')", "must be a literal"),
        ("click('a1', bid='a2')", "given twice"),
        ("click('a1').text", "Found no action"),
        ("click('a1'", "Found no action"),
        ("click('a1', 'left', [], 4)", "at most 3 arguments"),
        ("tab_focus [x]", "number of a tab"),
        ("type [3]", "takes 2 to 3"),
        ("press [Enter]", "like press [3] [Enter]"),
        ("click(" + "(" * 900 + ")" * 900 + ")", "not well formed"),
        ("click('" + "x" * 100_000 + "')", "Found no action"),
    ],
)
def test_messages_that_are_not(message, problem):
    parsed = parse(message)
    assert not parsed.actions
    assert problem in parsed.error


@given(st.text(max_size=300))
def test_any_message_is_read_or_refused_without_an_exception(message):
    parsed = parse(message)
    assert bool(parsed.actions) != bool(parsed.error)


@given(st.text(), st.text())
def test_what_is_written_is_read_back(bid, value):
    action = Action("fill", {"bid": bid, "value": value})
    assert parse(FORMAT.render([action], TOOLS)).actions == (action,)


def test_a_key_without_an_element_goes_to_what_has_the_focus_where_there_is_one():
    scripted = {tool.name: tool for tool in CORE + COORDINATES}
    assert FORMAT.parse("press [Ctrl+a]", scripted).actions == (Action("keyboard_press", {"key": "Ctrl+a"}),)


def test_json_calls_are_read_too():
    parsed = FORMATS.get("json").parse('{"name": "click", "arguments": {"bid": "a1"}}', TOOLS)
    assert parsed.actions == (Action("click", {"bid": "a1"}),)


def test_names_and_order_are_browsergym_s():
    wanted = {
        "click": ["bid", "button", "modifiers"],
        "fill": ["bid", "value", "enable_autocomplete_menu"],
        "select_option": ["bid", "options"],
        "press": ["bid", "key_comb"],
        "scroll": ["delta_x", "delta_y"],
        "tab_focus": ["index"],
        "drag_and_drop": ["from_bid", "to_bid"],
        "scroll_at": ["x", "y", "dx", "dy"],
        "mouse_drag_and_drop": ["from_x", "from_y", "to_x", "to_y"],
        "report_infeasible": ["reason"],
        "noop": ["wait_ms"],
    }
    tools = {tool.name: list(tool.properties) for tool in CORE + COORDINATES}
    assert {name: tools[name] for name in wanted} == wanted


# ------------------------------------------------------------------ addresses


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "view-source:http://site.test/",
        "data:text/html,x",
        "javascript:alert(1)",
        "about:config",
        "chrome://settings",
        "https://site.test/",
        "ftp://site.test/",
        "http://elsewhere.test/",
        "http://127.0.0.1/",
        "http://localhost:80/",
        "http://site.test:8080/",
        "http://user@site.test/",
        "http://site.test@127.0.0.1/",
        "http://site.test.evil.test/",
        "http://[::1]/",
        "http://site.test:x/",
        "http://",
        "//site.test/",
        "site.test",
        "",
        "http://site.test/" + "x" * 10_000,
    ],
)
def test_what_may_not_be_opened(url):
    assert AllowList(frozenset({"site.test"})).problem(resolve("about:blank", url))


@pytest.mark.parametrize("url", ["http://site.test", "HTTP://SITE.test:80/a?b#c", " http://site.test/\t"])
def test_what_may_be_opened(url):
    assert AllowList(frozenset({"site.test"})).problem(resolve("about:blank", url)) == ""


@pytest.mark.parametrize(
    ("href", "url"),
    [
        ("b", "http://site.test/a/b"),
        ("/b c", "http://site.test/b%20c"),
        ("?q=ä", "http://site.test/a/x?q=%C3%A4"),
        ("../..", "http://site.test/"),
        ("//other.test", "http://other.test/"),
        ("\n/b\t", "http://site.test/b"),
        ("javascript:x", "javascript:x"),
        ("http://[bad", "http://[bad"),
    ],
)
def test_addresses_are_joined(href, url):
    assert resolve("http://site.test/a/x", href) == url


@given(st.lists(st.tuples(st.text(min_size=1), st.text())))
def test_forms_come_back(pairs):
    pairs = [(a.encode("utf-8", "replace").decode(), b.encode("utf-8", "replace").decode()) for a, b in pairs]
    assert form_decoded(form_encoded(pairs)) == pairs


# ------------------------------------------------------------------ forms


def form(html, changed=None, submitter=None):
    document = parse_html(f"<form id=f>{html}</form>")
    element = document.by_id["f"]
    button = document.by_id.get(submitter) if submitter else None
    return document, element, Controls(dict(changed or {})), button


@pytest.mark.parametrize(
    ("html", "sent"),
    [
        ("<input name=a value=1><input value=2><input name=b disabled value=3>", [("a", "1")]),
        ("<input type=checkbox name=a><input type=checkbox name=b checked>", [("b", "on")]),
        ("<input type=radio name=a value=1><input type=radio name=a value=2 checked>", [("a", "2")]),
        ("<select name=a><option disabled>x<option>y</select>", [("a", "y")]),
        ("<select name=a><option selected>x<option selected value=2>y</select>", [("a", "2")]),
        ("<select name=a multiple><option selected>x<option selected>y</select>", [("a", "x"), ("a", "y")]),
        ("<textarea name=a>\nx\ny</textarea>", [("a", "x\r\ny")]),
        ("<button name=a value=1>x</button><input type=submit name=b>", []),
        ("<fieldset disabled><legend><input name=a value=1></legend><input name=b></fieldset>", [("a", "1")]),
        ("<input type=number name=a value=x><input type=email name=b value=' x '>", [("a", ""), ("b", "x")]),
        ("<input type=hidden name=a value=1>", [("a", "1")]),
    ],
)
def test_what_a_form_sends(html, sent):
    document, element, controls, _ = form(html)
    assert entries(document, element, controls, None) == sent


def test_the_pressed_button_and_controls_elsewhere_are_sent():
    document = parse_html("<form id=f><button id=b name=go value=1>x</button></form><input form=f name=a value=2>")
    assert entries(document, document.by_id["f"], Controls(), document.by_id["b"]) == [("go", "1"), ("a", "2")]


@pytest.mark.parametrize(
    ("html", "wrong"),
    [
        ("<input name=a required>", "required"),
        ("<input name=a type=checkbox required>", "required"),
        ("<input name=a type=radio required><input name=a type=radio>", "required"),
        ("<select name=a required><option value=''>x</select>", "required"),
        ("<textarea name=a required></textarea>", "required"),
        ("<input name=a type=email value=x>", "e-mail"),
        ("<input name=a type=url value=x>", "address"),
        ("<input name=a pattern='[0-9]+' value=x>", "look like"),
        ("<input name=a type=number min=1 value=0>", "at least 1"),
        ("<input name=a type=number max=1 value=2>", "at most 1"),
        ("<input name=a type=number step=2 value=3>", ""),
        ("<input name=a required disabled>", ""),
        ("<input name=a required readonly>", ""),
        ("<input name=a pattern='(' value=x>", ""),
        ("<input name=a type=number step=any value=1.5>", ""),
    ],
)
def test_what_keeps_a_form_from_being_sent(html, wrong):
    document, element, controls, _ = form(html)
    found = invalid(document, element, controls)
    assert (found is None) == (wrong == "")
    assert found is None or wrong in found[1]


@pytest.mark.parametrize(
    ("html", "text", "value", "refused"),
    [
        ("<input>", "a\nb", "ab", False),
        ("<textarea></textarea>", "a\r\nb", "a\nb", False),
        ("<input maxlength=2>", "abc", "ab", False),
        ("<input type=date>", "2026-02-30", "", True),
        ("<input type=date>", "2026-02-28", "2026-02-28", False),
        ("<input type=number>", "12a", "", True),
        ("<input type=number>", "", "", False),
        ("<input type=time>", "24:00", "", True),
    ],
)
def test_what_a_field_takes(html, text, value, refused):
    element = next(item for item in parse_html(html).elements if item.tag in ("input", "textarea"))
    found, problem = accept(element, text)
    assert (found, bool(problem)) == (value, refused)


@pytest.mark.parametrize(
    ("base", "href", "whole"),
    [
        ("http://a.test/x", "y?", "http://a.test/y?"),
        ("http://a.test/x?q=1", "?", "http://a.test/x?"),
        ("http://a.test/x?q=1", "", "http://a.test/x?q=1"),
        ("http://a.test/x", "http://A.test/c?#f", "http://a.test/c?#f"),
        ("http://a.test/x", "#f?g", "http://a.test/x#f?g"),
    ],
)
def test_an_empty_query_stays(base, href, whole):
    assert resolve(base, href) == whole
