"""How found passages are shown: as Search-R1, SkyRL or plain tools show them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Literal

from agentgym.core.actions import clip
from agentgym.core.policy import Layout
from agentgym.tools.retriever.corpus import Passage

Style = Literal["search-r1", "skyrl", "plain"]
STYLES: tuple[Style, ...] = ("search-r1", "skyrl", "plain")
NOTHING = "Nothing was found."


def numbered(passages: Sequence[Passage], style: Style, limit: int) -> str:
    """Passages as one text, each cut to ``limit`` characters."""
    if not passages:
        return NOTHING
    if style == "skyrl":
        return "".join(f"Doc {i}: {clip(p.contents.strip(), limit)}\n" for i, p in enumerate(passages, 1))
    if style == "plain":
        return "\n".join(f"{p.title}: {clip(p.text, limit)}" for p in passages)
    # the title is the whole first line, quotes included, as Search-R1 shows it
    return "".join(
        f"Doc {i}(Title: {p.contents.partition(chr(10))[0]}) {clip(p.text, limit)}\n" for i, p in enumerate(passages, 1)
    )


def information(text: str, style: Style, layout: Layout) -> str:
    """What the agent reads: in Search-R1's and SkyRL's tags, with the line feeds around that an inline layout has."""
    if style == "skyrl":
        return f"\n<information>{json.dumps({'result': text}, ensure_ascii=False)}</information>\n"
    block = f"<information>{text.strip()}</information>"
    return f"\n\n{block}\n\n" if layout == "inline" else block
