"""Roles and names as the engine has them, and as Chromium's own accessibility tree has them, for comparison."""

from agentgym.tools.browser.dom import parse_html
from agentgym.tools.browser.names import Namer, folds, hidden
from agentgym.tools.browser.roles import WIDGETS, role_of

LEFT_OUT = {"StaticText", "InlineTextBox", "generic", "none", "LineBreak", "ListMarker", "RootWebArea", "MenuListPopup"}

PARTED = {"Date", "DateTime", "InputTime"}
"""Controls that Chromium builds of several of its own, which no page knows of."""


def ours(html, sheets=()):
    return nodes(parse_html(html, sheets))


def nodes(document):
    namer = Namer(document)
    found = []

    def walk(element):
        for child in element.reading:
            if isinstance(child, str) or hidden(child):
                continue
            role = role_of(child)
            if child.visible and role not in LEFT_OUT and not (folds(element) and child.tag != "summary"):
                found.append((role, namer.name(child, role)))
            if child.tag != "option":
                walk(child)

    walk(document.root)
    return found


async def chromium_tree(page):
    session = await page.context.new_cdp_session(page)
    await session.send("Accessibility.enable")
    tree = (await session.send("Accessibility.getFullAXTree"))["nodes"]
    await session.detach()
    nodes = {node["nodeId"]: node for node in tree}
    found = []

    def walk(node):
        role = node.get("role", {}).get("value", "")
        if not node.get("ignored") and role not in LEFT_OUT:
            found.append((role, " ".join(node.get("name", {}).get("value", "").split())))
        for key in () if role in PARTED else node.get("childIds", ()):
            walk(nodes[key])

    walk(tree[0])
    return found


def widgets(nodes):
    return [node for node in nodes if node[0] in WIDGETS]
