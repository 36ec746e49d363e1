"""The evaluators of WebArena and VisualWebArena: how much of a task's ``eval`` holds in the end.

Judged once, when the agent has answered. The page that the agent left (``last``) is read as it stands; every other page
is opened in a browser of the grader's own, so that grading neither sees nor changes more than the task says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import unescape
from typing import Any, Protocol
from urllib.parse import parse_qs, urlsplit

from agentgym.core.errors import Boundary, Fault
from agentgym.core.judging import Judge
from agentgym.environments.web.webarena import images, opinions, strings
from agentgym.environments.web.webarena.dom import PageDom
from agentgym.environments.web.webarena.helpers import Api, Place, parse_call, run_call
from agentgym.environments.web.webarena.interpret import Failed, as_python_text, evaluate, truthy
from agentgym.environments.web.webarena.locator import Node, parse, parse_click
from agentgym.environments.web.webarena.strings import OR, Dialect

LAST = "last"
SSIM = 0.8
"""Similarity above which pictures count as equal, where a task says nothing else."""
MAX_STRICT = 120
"""Characters that a strict grader takes beyond twice those of the references."""


class Visitor(Protocol):
    """The grader's own browser."""

    def page(self, url: str, clicks: Sequence[Node] = ()) -> PageDom:
        """A page, opened anew, with elements clicked that it has."""
        ...

    def file(self, url: str) -> bytes:
        """A picture of the deployment, or one that lies beside the tasks; empty where it doesn't come."""
        ...


@dataclass(frozen=True)
class Ending:
    """What the agent leaves behind."""

    answer: str
    url: str
    last: PageDom
    reason: str = ""
    """Why the agent says that it can't be done; the answer is then ``N/A``."""


@dataclass(frozen=True)
class Grader:
    """Judges one task.

    Args:
        config: The task's ``eval``, with addresses put in.
        intent: What the task asks, for the judge.
        dialect: Whose evaluators.
        visitor: Opens pages.
        api: The deployment's interface.
        judge: For ``fuzzy_match`` and ``eval_vqa``.
        strict: Close what the published rules leave open to guessing: very long answers, and gold addresses that are
            only part of another address.
    """

    config: Mapping[str, Any]
    intent: str
    dialect: Dialect
    visitor: Visitor
    api: Api
    judge: Judge | None = None
    strict: bool = False

    def __call__(self, ending: Ending) -> dict[str, float]:
        """Score of each kind of evaluator that the task names, 0 or 1. The task's score is their product.

        Raises:
            Fault: Of the grader: a page doesn't come, or the judge gives no verdict.
        """
        kinds = {
            "string_match": self._strings,
            "url_match": self._url,
            "program_html": self._pages,
            "page_image_query": self._images,
        }
        return {kind: float(kinds[kind](ending)) for kind in self.config["eval_types"]}

    # ------------------------------------------------------------------ answers

    def _strings(self, ending: Ending) -> bool:
        wanted: Mapping[str, Any] = self.config["reference_answers"]
        if self.strict and len(ending.answer) > MAX_STRICT + 2 * sum(map(_length, wanted.values())):
            return False
        return all(self._answers(kind, value, ending) for kind, value in wanted.items())

    def _answers(self, kind: str, value: Any, ending: Ending) -> bool:
        answer, dialect = strings.clean(ending.answer, self.dialect), self.dialect
        match kind:
            case "exact_match":
                return strings.exact_match(value, answer, dialect)
            case "must_include" if dialect == "vwa":
                return all(strings.includes_any(part, answer, dialect) for part in value)
            case "must_include":
                return all(strings.includes(part, answer, alone=len(value) == 1) for part in value)
            case "must_exclude":
                return not any(strings.includes(part, answer, dialect) for part in value)
            case "one_of":
                return any(strings.clean(part, dialect) in answer for part in value)
            case "required_values":
                number = strings.integer(answer)
                return number is not None and all(strings.fulfils(number, part) for part in value)
        return self._means(value, answer, ending)

    def _means(self, value: str | Sequence[str], answer: str, ending: Ending) -> bool:
        if value == "N/A":
            if strings.exact_match("N/A", answer, self.dialect) and not (self.strict and ending.reason):
                return True
            note, report = str(self.config.get("string_note") or ""), ending.reason or answer
            return self.judge is not None and bool(note) and opinions.same_reason(self.judge, self.intent, note, report)
        references = [value] if isinstance(value, str) else value
        return all(self._same(reference, answer) for reference in references)

    def _same(self, reference: str, text: str, intent: str = "") -> bool:
        if not text.strip():
            return not reference
        if self.judge is None:
            raise Fault(Boundary.GRADER, "fuzzy_match needs a judge.")
        return opinions.same_answer(self.judge, intent or self.intent, reference, text)

    # ------------------------------------------------------------------ addresses

    def _url(self, ending: Ending) -> bool:
        references = [url.rstrip("/") for url in str(self.config["reference_url"]).split(OR)]
        rule = self.config.get("url_note") or ("EXACT" if self.dialect == "vwa" else "GOLD in PRED")
        shown = ending.url.rstrip("/")
        if rule == "EXACT":
            return shown in references
        if self.dialect == "vwa" and not self.strict:
            return any(reference in shown for reference in references)
        return gold_in_url(references, shown, strict=self.strict)

    # ------------------------------------------------------------------ pages

    def _pages(self, ending: Ending) -> bool:
        return all(self._target(target, ending) for target in self.config["program_html"])

    def _target(self, target: Mapping[str, Any], ending: Ending) -> bool:
        found = self._located(str(target["locator"]), self._page(target, ending), ending)
        if found is None:
            return False
        wanted = target["required_contents"]
        if self.dialect == "webarena":
            found = unescape(str(found))
        return content_holds(wanted, found, self.dialect, self._same_content)

    def _same_content(self, reference: str, text: str) -> bool:
        return self._same(reference, text, "Does the text say what the reference says?")

    def _page(self, target: Mapping[str, Any], ending: Ending) -> PageDom:
        url = self._address(str(target["url"]), ending)
        clicks = [parse_click(text) for text in target.get("prep_actions") or ()]
        if url == LAST and not clicks:
            return ending.last
        return self.visitor.page(ending.url if url == LAST else url, clicks)

    def _address(self, text: str, ending: Ending) -> str:
        if not text.startswith("func:"):
            return text
        return str(run_call(parse_call(text, self.dialect), Place(self.api, ending.url, ending.last)))

    def _located(self, locator: str, page: PageDom, ending: Ending) -> Any:
        """What a locator finds: text, a number for some of VisualWebArena's, None where that counts as failed."""
        locator = locator.strip()
        if not locator:
            return f"<!DOCTYPE html>{page.html(page.document.root)}"
        if locator.startswith("func:"):
            return run_call(parse_call(locator, self.dialect), Place(self.api, ending.url, page))
        raw = locator.startswith("lambda:")
        try:
            found = evaluate(parse(locator), page)
        except Failed:
            return None if raw else ""
        if raw:
            return found if isinstance(found, (str, int, float)) and truthy(found) else None
        return as_python_text(found)

    # ------------------------------------------------------------------ pictures

    def _images(self, ending: Ending) -> bool:
        return all(self._query(query, ending) for query in self.config["page_image_query"])

    def _query(self, query: Mapping[str, Any], ending: Ending) -> bool:
        page = self._page({"url": query["eval_image_url"]}, ending)
        sources = [page.address(image, "src") for image in page.images(str(query["eval_image_class"]))]
        data = [found for source in sources if source and (found := self.visitor.file(source))]
        pictures = [picture for item in data if (picture := images.opened(item)) is not None]
        if not pictures:
            return False
        for item in query.get("eval_vqa") or ():
            if self.judge is None:
                raise Fault(Boundary.GRADER, "eval_vqa needs a judge that can look.")
            replies = (opinions.seen(self.judge, str(item["question"]), picture) for picture in data)
            if not any(str(item["answer"]).lower() in reply.lower() for reply in replies):
                return False
        return self._similar(query, pictures)

    def _similar(self, query: Mapping[str, Any], pictures: Sequence[Any]) -> bool:
        if not query.get("eval_fuzzy_image_match"):
            return True
        wanted = [images.opened(self.visitor.file(url)) for url in str(query["eval_fuzzy_image_match"]).split(OR)]
        least = float(query.get("ssim_threshold") or SSIM)
        pairs = ((a, b) for a in wanted if a is not None for b in pictures)
        return any(images.similarity(a, b) > least for a, b in pairs)


def _length(value: Any) -> int:
    """Characters of a text or of a list of texts."""
    return len(value) if isinstance(value, str) else sum(map(len, value))


def gold_in_url(references: Sequence[str], shown: str, *, strict: bool = False) -> bool:
    """WebArena's ``GOLD in PRED``: host and path of a reference are part of the shown ones, and for each query field of
    any reference the shown address has one of its values.

    ``strict`` compares hosts as a whole and paths by their beginning, step by step.
    """
    places = [_place(url) for url in references]
    host, path, query = _place(shown)
    if strict:
        held = any(host == h and (path == p or path.startswith(p.rstrip("/") + "/")) for h, p, _ in places)
    else:
        held = any(h + p in host + path for h, p, _ in places)
    fields: dict[str, set[str]] = {}
    for _, _, values in places:
        for key, given in values.items():
            fields.setdefault(key, set()).update(given)
    return held and all(bool(given & set(query.get(key, ()))) for key, given in fields.items())


def _place(url: str) -> tuple[str, str, dict[str, list[str]]]:
    parts = urlsplit(url)
    return parts.netloc, parts.path.rstrip("/"), parse_qs(parts.query)


def content_holds(wanted: Mapping[str, Any], found: Any, dialect: Dialect, same: Any) -> bool:
    """Whether what a locator found is what a target requires.

    Args:
        wanted: ``required_contents``; the first kind that is there counts, as in the harnesses.
        found: Text, or a number.
        dialect: Whose rules.
        same: ``(reference, text) -> bool`` for ``fuzzy_match``.
    """
    text = str(found)
    if "exact_match" in wanted:
        return strings.exact_match(str(wanted["exact_match"]), text, dialect)
    if "must_include" in wanted:
        return all(strings.includes_any(part, text, dialect) for part in wanted["must_include"])
    if "must_exclude" in wanted:
        return not any(strings.includes(part, text, dialect) for part in wanted["must_exclude"])
    if "required_values" in wanted:
        number = strings.integer(text) if isinstance(found, str) else found
        return number is not None and all(strings.fulfils(number, part) for part in wanted["required_values"])
    return all(same(part, text) for part in str(wanted["fuzzy_match"]).split(OR))
