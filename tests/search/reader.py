"""Reads documents back into claims, knowing the sentence patterns and the names, but not the knowledge base."""

import re
from collections import defaultdict

from agentgym.environments.search.world.facts import Base
from agentgym.environments.search.world.relations import LISTS, RELATIONS

_HEADER = re.compile(r"^\[(?P<kind>\w+)(?: of [^,]*)?,(?: .*,)? (?P<year>\d+)\]")
_PRONOUNS = {"he": ("he", "his"), "she": ("she", "her"), "": ("it", "its")}


class Reader:
    """Claims ``(subject, relation, value, first year) -> date of the latest document that says so``."""

    def __init__(self, base: Base) -> None:
        self.things = base.things
        self.number = {thing.name: i for i, thing in enumerate(base.things)}
        self.patterns = [
            (relation, re.compile(self._pattern(sentence), re.IGNORECASE))
            for relation, spec in RELATIONS.items()
            if relation not in LISTS
            for sentence in spec.sentences
        ]

    def _pattern(self, sentence: str) -> str:
        text = re.escape(sentence.removesuffix("."))
        names = "|".join(sorted(map(re.escape, self.number), key=len, reverse=True))
        slots = {
            "s": f"(?P<s>{names}|he|she|it)",
            "p": f"(?P<p>(?:{names})'s|his|her|its)",
            "o": "(?P<o>.+?)",
            "y": r"(?P<y>\d+)",
        }
        for slot, pattern in slots.items():
            text = text.replace(rf"\{{{slot}\}}", pattern)
        return f"^{text}$"

    def read(self, documents):
        """All claims of some documents (title, text)."""
        claims = defaultdict(int)
        for title, text in documents:
            header = _HEADER.match(text)
            assert header, text
            year = int(header["year"])
            if header["kind"] in ("Gazetteer", "Names", "Miscellany"):
                continue
            body = text[header.end() :].strip()
            for claim in self._table(title, body, year) if header["kind"] == "Register" else self._prose(title, body):
                claims[claim] = max(claims[claim], year)
        return dict(claims)

    def _prose(self, title, body):
        for sentence in re.split(r"(?<=[.:]) ", body):
            yield from self._sentence(title, sentence.rstrip("."))

    def _sentence(self, title, sentence):
        for relation, pattern in self.patterns:
            match = pattern.match(sentence)
            if match is None:
                continue
            found = match.groupdict()
            subject = self._thing(found.get("s") or found["p"].removesuffix("'s"), title)
            spec = RELATIONS[relation]
            if subject is None or self.things[subject].kind != spec.subject:
                continue
            value = self._value(found["o"], spec.value)
            if value is not None:
                yield subject, relation, value, int(found.get("y") or 0)

    def _thing(self, name, title):
        lowered = name.lower()
        if title in self.number:
            thing = self.things[self.number[title]]
            if lowered in _PRONOUNS[thing.gender]:
                return self.number[title]
        return next((i for known, i in self.number.items() if known.lower() == lowered), None)

    def _value(self, text, kind):
        if kind in ("year", "number"):
            return text if text.isdigit() else None
        if kind == "word":
            return text
        found = self._thing(text, "")
        return found if found is not None and self.things[found].kind == kind else None

    def _table(self, title, body, year):
        heading, *rows = body.split("\n")
        for row in rows:
            name, second = row.split(" | ")
            if heading.startswith("Town"):
                yield self.number[name], "population", second, int(title.rpartition(", ")[2])
                continue
            relation = {"Mayor": "mayor", "Head": "head", "Winner": "laureate"}[heading.split(" | ")[0]]
            owner = re.sub(r"^(Mayors of |Heads of |Winners of the )", "", title)
            yield self.number[owner], relation, self.number[name], int(second.partition("-")[0])
