"""What a search game is played in: documents, a way to find them, and questions."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from agentgym.core.errors import DataError
from agentgym.core.tasks import SPLITS, ListedTasks, Task
from agentgym.tools.retriever.base import Retriever
from agentgym.tools.retriever.corpus import Corpus, Texts
from agentgym.tools.retriever.impact import ImpactIndex

MOST_HOPS = 6
"""Hops from which on a question counts as hardest."""


class Questions:
    """Records of questions by split.

    A record holds ``question``, ``answers`` (accepted ones, the usual first), ``kind``, ``hops`` and ``chain``: the
    steps of the proof, each with ``text``, ``documents`` (positions of those that state it; any of them will do) and
    ``query``. Where a data set doesn't tell the proof, the chain is empty.
    """

    def __init__(self, texts: Texts, numbers: Mapping[str, Sequence[int]]) -> None:
        self._texts = texts
        self.numbers = {split: tuple(found) for split, found in numbers.items()}

    @classmethod
    def load(cls, folder: Path) -> Questions:
        """Opens the questions of a built world."""
        splits = np.load(folder / "splits.npy")
        numbers: dict[str, list[int]] = {name: np.flatnonzero(splits == i).tolist() for i, name in enumerate(SPLITS)}
        return cls(Texts.open(folder, "questions"), numbers)

    @classmethod
    def of(cls, records: Mapping[str, Sequence[Mapping[str, Any]]]) -> Questions:
        """Records in memory, split -> records."""
        numbers: dict[str, range] = {}
        texts: list[str] = []
        for split, found in records.items():
            numbers[split] = range(len(texts), len(texts) + len(found))
            texts += [json.dumps(record, ensure_ascii=False) for record in found]
        return cls(Texts.of(texts), numbers)

    def __len__(self) -> int:
        return len(self._texts)

    def record(self, number: int) -> dict[str, Any]:
        """One record."""
        try:
            found: dict[str, Any] = json.loads(self._texts[number])
        except ValueError as error:
            raise DataError(f"Question {number} can't be read: {error}.") from error
        return found


@dataclass
class Library:
    """A corpus, its retriever and questions about it."""

    corpus: Corpus
    retriever: Retriever
    questions: Questions
    _tasks: dict[str, ListedTasks] = field(init=False, repr=False, default_factory=dict)

    @classmethod
    def empty(cls) -> Library:
        """No documents and no questions, for games that make them with each task."""
        texts = Texts.of(["nothing"])
        return cls(Corpus(texts), ImpactIndex.build(["nothing"]), Questions.of({}))

    def tasks(self, belief: str) -> ListedTasks:
        """The questions as tasks: ids are ``"<split>/<number>"``. ``belief``: goes into the reference."""
        if belief not in self._tasks:
            numbers = self.questions.numbers.items()
            ids = {split: [f"{split}/{n}" for n in found] for split, found in numbers if found}
            self._tasks[belief] = ListedTasks(ids, partial(self._task, belief))
        return self._tasks[belief]

    def record(self, task_id: str) -> dict[str, Any]:
        """The record behind a task."""
        return self.questions.record(int(task_id.rpartition("/")[2]))

    def _task(self, belief: str, task_id: str, split: str) -> Task:
        record = self.record(task_id)
        reference = {key: record[key] for key in ("question", "answers", "kind", "chain")}
        reference["belief_template"] = belief
        difficulty = min(record["hops"] / MOST_HOPS, 1.0)
        return Task(task_id=task_id, split=split, data=record, reference=reference, difficulty=difficulty)
