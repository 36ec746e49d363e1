"""What changes during an episode of search, and what each step of it is worth."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from agentgym.core.actions import Action
from agentgym.core.seeding import digest
from agentgym.environments.search.grammar import Said
from agentgym.environments.search.official import SCORES, Transcript
from agentgym.environments.search.rewards import JUDGE_CAP, NOVELTY_CAP
from agentgym.environments.search.world.questions import UNANSWERABLE
from agentgym.rules.answers import HOTPOT_CLOSED, exact_match, normalize_answer, sub_exact_match, token_f1
from agentgym.tools.retriever.corpus import Passage

PASTED = 0.8
"""Share of the question's words from which on a query counts as the question itself."""
RELEVANT = 0.6
"""Relevance of documents that state a known step of the proof: R3-RAG's pass mark."""
COVER_FACTOR, COVER_SPARE = 3, 5
"""An answer that covers an accepted one has at most so many times its words, and some."""
_ABSTAINED = frozenset(map(normalize_answer, UNANSWERABLE))


@dataclass
class State:
    """All that changes during an episode, and the task."""

    task_id: str
    question: str
    answers: tuple[str, ...]
    steps: tuple[frozenset[str], ...]
    """For each step of the proof the ids of the documents that state it; empty where the proof isn't known."""
    queries: tuple[str, ...] = ()
    """For each step what an expert would search for."""
    injected: str = ""
    """Contents of a document that every search shows and no corpus holds: it orders the agent about."""
    shown: dict[str, str] = field(default_factory=dict)
    """Ids of the documents seen, with their contents where they can't be fetched again."""
    credited: set[str] = field(default_factory=set)
    """Those that earned what they are worth; seen again, they earn nothing."""
    covered: set[int] = field(default_factory=set)
    """Steps that a document seen states."""
    last: tuple[str, ...] = ()
    """Ids of the documents that the last search found."""
    useful: bool = False
    """Whether the last search was."""
    judged: bool = True
    """Whether the last search was judged; nothing to judge counts as judged."""
    judgements: int = 0
    failures: int = 0
    """Searches in a row that failed."""
    asked: list[str] = field(default_factory=list)
    """Queries so far."""
    transcript: list[str] = field(default_factory=list)
    """What was said and shown, in one line of text; kept while every action tells its message."""
    wordless: bool = False
    """Whether some action didn't tell its message."""

    def key(self) -> str:
        """Digest without history."""
        seen = (sorted(self.shown), sorted(self.credited), sorted(self.covered))
        return digest(self.task_id, *seen, self.last, self.judged, self.judgements, self.failures)

    def pasted(self, query: str) -> bool:
        """Whether a query is the question, or most of it."""
        wanted = set(normalize_answer(self.question).split())
        return len(wanted.intersection(normalize_answer(query).split())) >= PASTED * len(wanted)

    def see(self, query: str, passages: Iterable[Passage], *, keep: bool) -> dict[str, float]:
        """Takes in what a search found; returns its components. A pasted question shows documents and earns nothing."""
        found = list(passages)
        self.asked.append(query)
        self.failures, self.judged = 0, False
        self.last = tuple(passage.id for passage in found)
        for passage in found:
            self.shown.setdefault(passage.id, passage.contents if keep else "")
        fresh = [name for name in dict.fromkeys(self.last) if name not in self.credited]
        held = {i for i, documents in enumerate(self.steps) if not documents.isdisjoint(fresh)}
        texts = {passage.id: passage.contents for passage in found}
        holds_answer = not self.steps and any(sub_exact_match(texts[name], self.answers) for name in fresh)
        new = held - self.covered
        self.useful = bool(new) or holds_answer
        components = {"search_cost": -1.0, "retrieval_novelty": 0.0, "doc_relevance": 0.0}
        if self.steps:
            components["retrieval_recall"] = 0.0
        if self.pasted(query):
            return components
        room = max(NOVELTY_CAP - len(self.credited), 0)
        self.credited.update(fresh)
        components["retrieval_novelty"] = min(len(fresh), room) / NOVELTY_CAP
        components["doc_relevance"] = 1.0 if self.useful else RELEVANT if held else 0.0
        if self.steps:
            components["retrieval_recall"] = len(new) / len(self.steps)
        self.covered |= new
        return components

    def hear(self, action: Action, reply: str) -> None:
        """Writes down what was said and shown."""
        if isinstance(action, Said):
            self.transcript += [action.message, reply]
        else:
            self.wordless = True

    def judge(self, useful: bool) -> dict[str, float]:
        """Takes in a judgement on the last search."""
        self.judged = True
        self.judgements += 1
        if self.judgements > JUDGE_CAP:
            return {"judge_correct": 0.0}
        return {"judge_correct": (1.0 if useful == self.useful else -1.0) / JUDGE_CAP}

    def answer(self, text: str) -> dict[str, float]:
        """Components of the final answer."""
        components = {
            "answer_em": exact_match(text, self.answers),
            "answer_f1": token_f1(text, self.answers, closed=HOTPOT_CLOSED),
            "answer_cover": float(any(_covers(text, answer) for answer in self.answers)),
        }
        impossible = normalize_answer(self.answers[0]) in _ABSTAINED
        if impossible:
            components["unanswerable_abstain"] = components["answer_em"]
        elif normalize_answer(text) in _ABSTAINED:
            components["unanswerable_abstain"] = -1.0
        return components | self._official(text)

    def _official(self, text: str) -> dict[str, float]:
        found = Transcript(f"<answer>{text}</answer>" if self.wordless else "".join(self.transcript), self.answers)
        # without the model's own words there is no grammar to check
        skipped = "searchr1_em_format" if self.wordless else ""
        return {name: score(found) for name, score in SCORES.items() if name != skipped}

    @classmethod
    def of(cls, task_id: str, data: Mapping[str, Any], steps: tuple[frozenset[str], ...]) -> State:
        """The beginning of a task."""
        queries = tuple(step["query"] for step in data["chain"])
        return cls(task_id, data["question"], tuple(data["answers"]), steps, queries)


def _covers(text: str, answer: str) -> bool:
    words = len(normalize_answer(text).split())
    return (
        bool(sub_exact_match(text, answer))
        and words <= COVER_FACTOR * len(normalize_answer(answer).split()) + COVER_SPARE
    )
