"""One cell of the world: its documents and its questions, numbered within the cell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from agentgym.environments.search.world.articles import write_articles
from agentgym.environments.search.world.dice import Dice
from agentgym.environments.search.world.facts import Base
from agentgym.environments.search.world.history import make_base
from agentgym.environments.search.world.names import Names
from agentgym.environments.search.world.noise import write_noise
from agentgym.environments.search.world.papers import write_papers
from agentgym.environments.search.world.questions import Question, make_questions, step_query, step_text
from agentgym.environments.search.world.writing import Document, Writer

PER_CELL = 160
"""Documents of a cell, about; a little less than the mean, so that worlds come out large enough."""


@dataclass
class Cell:
    """What a cell adds to the world."""

    documents: list[str]
    """Contents."""
    questions: list[dict[str, Any]]
    """Records of questions; documents are numbered within the cell."""


def make_cell(seed: int, number: int, cells: int, *, questions: bool = True) -> Cell:
    """The cell of that number in a world of ``cells``: a pure function of its arguments."""
    base = make_base(seed, number, Names(seed, cells))
    writer = Writer(base, Dice(seed, "documents", number))
    write_articles(writer)
    write_papers(writer)
    write_noise(writer)
    documents = Dice(seed, "order", number).shuffled(writer.documents)
    made = make_questions(seed, base) if questions else []
    where = _stated_in(documents)
    records = [_record(question, base, where, documents) for question in made]
    return Cell([document.contents for document in documents], records)


def _stated_in(documents: list[Document]) -> dict[int, list[int]]:
    """Fact -> documents that state it, articles first."""
    found: dict[int, list[int]] = {}
    for articles in (True, False):
        for position, document in enumerate(documents):
            if (document.about >= 0) == articles:
                for fact in document.facts:
                    found.setdefault(fact, []).append(position)
    return found


def _record(question: Question, base: Base, where: dict[int, list[int]], documents: list[Document]) -> dict[str, Any]:
    """A question with its chain: for each step what it says, which documents say so, and what to search for."""
    known = set(question.named)
    steps = []
    for fact in question.proof:
        subject, value = base.facts[fact].subject, base.facts[fact].value
        from_value = subject not in known and value in known
        steps.append(
            {
                "text": step_text(base, fact),
                "documents": where[fact],
                "query": step_query(base, fact, base.text(value if from_value else subject)),
            }
        )
        known.update([subject, value] if isinstance(value, int) else [subject])
    if question.kind == "unanswerable":
        article = next(i for i, document in enumerate(documents) if document.about == question.last)
        name = base.things[question.last].name
        steps.append({"text": f"Of {name} nothing is recorded that answers it.", "documents": [article], "query": name})
    return {
        "kind": question.kind,
        "hops": question.hops,
        "question": question.text,
        "answers": list(question.answers),
        "chain": steps,
    }
