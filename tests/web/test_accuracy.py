"""The engine against Chromium's own accessibility tree, on sites that others wrote and that no rule was made on."""

import collections
import difflib
import importlib.util
import re

import pytest

from agentgym.environments.web.sites import SITES
from agentgym.tools.browser.roles import WIDGETS
from agentgym.tools.browser.text import TextBrowser, _parsed
from agentgym.tools.browser.transport import Router
from agentgym.tools.browser.urls import AllowList, resolve
from web.axtree import chromium_tree, nodes

PAGES = 12
"""Pages of each site, breadth first, one of each shape of address."""
LINES = 0.995
NAMED = WIDGETS | {"heading", "image", "Iframe", "progressbar", "meter"}
"""Roles that are printed by name; the others' contents are lines of their own."""
ALIKE = {"LayoutTable": "table", "LayoutTableRow": "row", "LayoutTableCell": "cell"}
UNPRINTED = {"LabelText", "group"}
"""Never printed: labels are part of their control's name, and every box that scrolls is a group to Chromium."""
INSTALLED = [name for name in sorted(SITES) if all(importlib.util.find_spec(module) for module in SITES[name].needs)]
"""The others are `.ci/run`'s, which installs their packages and runs this file again."""


def printed(found):
    return [
        (ALIKE.get(role, role), " ".join(name.split()) if role in NAMED else "")
        for role, name in found
        if role not in UNPRINTED and (name or role != "image")
    ]


def same(a, b):
    return sum(block.size for block in difflib.SequenceMatcher(None, a, b, autojunk=False).get_matching_blocks())


def held(text, live, count, differing):
    """Counts the nodes of the page that both browsers show, and those that are the same; notes widgets that aren't."""
    ours = printed(nodes(_parsed(text.tab.source)[0]))
    theirs = printed(live._run(chromium_tree(live.tab.handle)))
    widgets = [[node for node in found if node[0] in WIDGETS] for found in (ours, theirs)]
    count.update(pages=1, lines=max(len(ours), len(theirs)), same=same(ours, theirs))
    if widgets[0] != widgets[1]:
        differing.append((text.page.url, sorted(set(widgets[0]) ^ set(widgets[1]))))


def shape(url):
    return re.sub(r"\d+", "N", url.partition("?")[0])


@pytest.mark.parametrize("name", [name for name in INSTALLED if name != "book"])
def test_lines_and_widgets_agree_with_chromium_s_accessibility_tree(chromium, name):
    from agentgym.tools.browser.chromium import ChromiumBrowser

    kind = SITES[name]
    site, allow = kind.make(), AllowList(frozenset({kind.host}))
    router = Router({kind.host: site})
    site.restore(site.golden(3))
    text, live = TextBrowser(router, allow), ChromiumBrowser(router, allow)
    try:
        live.restart()
        count, differing = collections.Counter(), []
        todo, shapes = [kind.home], {shape(kind.home)}
        while todo and count["pages"] < PAGES:
            url = todo.pop(0)
            if text.do("goto", {"url": url}).category or live.do("goto", {"url": url}).category:
                continue
            document = _parsed(text.tab.source)[0]
            for element in document.elements:
                following = resolve(text.page.url, element.attrs.get("href", "")).partition("#")[0]
                if element.tag == "a" and not allow.problem(following) and shape(following) not in shapes:
                    shapes.add(shape(following))
                    todo.append(following)
            held(text, live, count, differing)
        assert count["pages"] >= 5
        assert count["same"] / count["lines"] >= LINES, count
        assert not differing
    finally:
        live.close()
        site.close()
