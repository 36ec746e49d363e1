"""What holds of every site in a process of its own."""

import importlib.util
import os

import agentgym
from agentgym.core.seeding import derive_rng
from agentgym.environments.web.sites import FIRST_PARTY, SITES
from agentgym.environments.web.tasks import templates
from agentgym.tools.browser.transport import Request

ENV = "agentgym/Web-v0"
EVERYTHING = bool(os.environ.get("AGENTGYM_TEST_WEB"))
THOROUGH = os.environ.get("AGENTGYM_TEST_WEB") == "all"
"""As many worlds on sites of other makers as on ours: half an hour."""


def names(site):
    """The templates that begin on a site."""
    return [item.name for item in templates() if item.sites[0] == site]


def all_here():
    """The templates whose sites' packages are installed; the first-party ones only, where not everything is tested."""
    found = FIRST_PARTY
    if EVERYTHING:
        found = [name for name, kind in SITES.items() if all(importlib.util.find_spec(need) for need in kind.needs)]
    return templates(found)


def equal_in_chromium(site):
    """Both backends show and do the same, mistakes included."""
    chosen = names(site) if EVERYTHING else names(site)[::6]
    for name in chosen:
        text = agentgym.make(ENV, templates=(name,))
        live = agentgym.make(ENV, templates=(name,), backend="chromium")
        options, rng = {"task_id": "train/1"}, derive_rng("equality", name)
        assert text.reset(seed=1, options=options) == live.reset(seed=1, options=options), name
        for _ in range(9):
            message = live.expert_message(mistake_rate=0.25, rng=rng)
            assert text.step(message) == live.step(message), (name, message)
            assert text.game.changes == live.game.changes
            if not live.running:
                break
        text.close()
        live.close()


BARE = {
    "LabelText",
    "Pre",
    "group",
    "image",
    "LayoutTable",
    "LayoutTableRow",
    "LayoutTableCell",
    "table",
    "row",
    "cell",
}
"""Roles that say nothing to the reader where they have no name."""
HOLDERS = {"cell", "LayoutTableCell", "columnheader", "rowheader", "heading"}
"""Roles whose names are what stands in them, which is read by itself."""


def plain(nodes):
    """Nodes without what is read elsewhere: Chromium puts values of controls into the names of what holds them."""
    named = ((role, "" if role in HOLDERS else name) for role, name in nodes)
    return [(role, name) for role, name in named if name or role not in BARE]


def shown(nodes):
    """Without what lines never show: whether a table is mere layout, the names of its cells, labels and preformatting."""
    nodes = [(role.replace("LayoutTable", "table ").replace("table Row", "row").replace("table Cell", "cell").strip(), name)
             for role, name in nodes]  # fmt: skip
    nodes = [(role, "" if role in ("cell", "table", "row", "caption", "term") else name) for role, name in nodes]
    return [node for node in nodes if node[0] not in ("LabelText", "Pre")]


def tree_of(site, paths, edits=(), kept=shown):
    """Lines and widgets of pages as the engine has them and as Chromium's own accessibility tree has them.

    Gives the share of equal lines and the pages whose widgets differ. ``kept``: chooses the nodes that are compared.
    """
    from difflib import SequenceMatcher

    from agentgym.tools.browser.chromium import ChromiumBrowser
    from agentgym.tools.browser.transport import Router
    from agentgym.tools.browser.urls import AllowList
    from web.axtree import chromium_tree, widgets

    kind = SITES[site]
    made = kind.make()
    made.restore(made.golden(3), edits)
    browser = ChromiumBrowser(Router({kind.host: made}), AllowList(frozenset({kind.host})))
    browser.restart()
    equal = total = 0
    wrong = []
    for path in paths:
        browser.open(f"http://{kind.host}{path}")
        own = kept(own_tree(made, browser, kind.host))
        live = kept(browser._run(chromium_tree(browser.tab.handle)))
        matcher = SequenceMatcher(None, own, live, autojunk=False)
        equal += sum(block.size for block in matcher.get_matching_blocks())
        total += max(len(own), len(live))
        if widgets(own) != widgets(live):
            wrong.append((path, [x for x in widgets(own) if x not in live], [x for x in widgets(live) if x not in own]))
    browser.close()
    made.close()
    return equal / total, wrong


def own_tree(site, browser, host):
    """The page as the engine has it: the HTML that came, and its style sheets."""
    from agentgym.tools.browser.dom import linked_sheets
    from agentgym.tools.browser.urls import resolve
    from web.axtree import ours

    url = browser.page.url.partition("#")[0]
    html = browser._server.kept[url][1]
    sheets = []
    for href in linked_sheets(html)[1]:
        address = resolve(url, href)
        if address.startswith(f"http://{host}/"):
            response = site(Request("GET", address, document=False))
            if response.status == 200:
                sheets.append(response.body.decode())
    return [(role, " ".join(name.split())) for role, name in ours(html, tuple(sheets))]


def same_bytes_twice(site):
    """The same messages give the same observations in another process, and after going back."""
    name = names(site)[0]
    messages = None
    traces = []
    for _ in range(2):
        env = agentgym.make(ENV, templates=(name,))
        trace = [env.reset(seed=5, options={"task_id": "train/5"})[0]]
        if messages is None:
            messages = []
            while env.running:
                messages.append(env.expert_message())
                trace.append(env.step(messages[-1]))
        else:
            snapshot = env.snapshot()
            env.step("goto('http://elsewhere.test/')")
            env.step(messages[0])
            env.restore(snapshot)
            trace += [env.step(message) for message in messages]
        traces.append(trace)
        env.close()
    assert traces[0] == traces[1]


def reading_changes_nothing(site, paths, edits=()):
    """GETs never write what counts."""
    kind = SITES[site]
    made = kind.make()
    made.restore(made.golden(2), edits)
    for path in paths:
        response = made(Request("GET", f"http://{kind.host}{path}"))
        assert response.status < 500, path
        assert made.changes() == (), path
    made.close()


def injected_text_is_read(site):
    """A world whose pages carry orders to the agent is still solved by who doesn't follow them, forks included."""
    env = agentgym.make(ENV, templates=(names(site)[0],), injected=1.0)
    env.reset(seed=1, options={"task_id": "train/1"})
    env.restore(env.snapshot())
    assert env.game.changes == ()
    info = {}
    while env.running:
        *_, info = env.step(env.expert_message())
    assert info["success"]
    env.close()
