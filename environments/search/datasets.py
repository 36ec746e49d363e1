"""Question files of others, in the formats in which they are published.

======================  ==========================================================================================
``hotpotqa``            JSON list, or JSON Lines; ``context`` and ``supporting_facts`` as pairs or as columns
``2wikimultihopqa``     as HotpotQA, ``context`` also as a JSON text
``musique``             JSON Lines with ``paragraphs`` and ``question_decomposition``
``nq``                  JSON Lines ``{"question", "answer": [...]}`` (NQ-open)
``triviaqa``            JSON with ``Data``, each with ``Question`` and ``Answer`` (``Value``, ``Aliases``)
``popqa``               TSV with ``question`` and ``possible_answers``
``bamboogle``           CSV with ``Question`` and ``Answer``
``flashrag``            JSON Lines ``{"question", "golden_answers"}``, the form that Search-R1 trains from
======================  ==========================================================================================
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agentgym.core.errors import ConfigError, DataError, unknown_name
from agentgym.environments.search.world.questions import UNANSWERABLE

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Step:
    """One step to the answer."""

    text: str
    query: str
    title: str
    """Title of the paragraph that states it."""
    paragraph: int | None = None
    """Its number among the example's paragraphs; None: any of that title."""


@dataclass(frozen=True)
class Example:
    """One question of a data set."""

    id: str
    question: str
    answers: tuple[str, ...]
    kind: str = "question"
    paragraphs: tuple[tuple[str, str], ...] = ()
    """Title and text of what comes with the question, distractors included."""
    steps: tuple[Step, ...] = field(default=())


def read_dataset(path: Path, dataset: str) -> Iterator[Example]:
    """Examples of a file.

    Args:
        path: The file.
        dataset: Its format; see the table above.

    Raises:
        UnknownNameError: No such format.
        ConfigError: No such file.
        DataError: A row has another form; names its number and what was expected.
    """
    if dataset not in READERS:
        raise unknown_name("data set", dataset, READERS)
    if not path.is_file():
        raise ConfigError(f"There is no file {str(path)!r} to read {dataset} questions from.")
    rows, read, expected = READERS[dataset]
    number = 1
    try:
        for row in rows(path):
            example = read(row)
            if not example.question or not example.answers:
                raise ValueError("the question or its answer is empty")
            yield example
            number += 1
    except (KeyError, TypeError, ValueError, IndexError, csv.Error) as error:
        raise DataError(
            f"{path.name}, row {number}: not a {dataset} row ({type(error).__name__}: {error}). Expected {expected}."
        ) from error


def _json_rows(path: Path) -> Iterator[Row]:
    """Objects of a JSON list or of JSON Lines."""
    with path.open(encoding="utf-8") as file:
        start = file.read(1)
        file.seek(0)
        if start == "[":
            yield from json.load(file)
        else:
            yield from (json.loads(line) for line in file if line.strip())


def _trivia_rows(path: Path) -> Iterator[Row]:
    with path.open(encoding="utf-8") as file:
        yield from json.load(file)["Data"]


def _table_rows(delimiter: str) -> Callable[[Path], Iterator[Row]]:
    def rows(path: Path) -> Iterator[Row]:
        with path.open(encoding="utf-8", newline="") as file:
            yield from csv.DictReader(file, delimiter=delimiter)

    return rows


def _texts(value: Any) -> tuple[str, ...]:
    """One text or several as a tuple, without repeats."""
    found = [value] if isinstance(value, str) else list(value)
    return tuple(dict.fromkeys(str(item) for item in found))


def _hotpot(row: Row) -> Example:
    context, facts = _pairs(row["context"], "sentences"), _pairs(row.get("supporting_facts", []), "sent_id")
    paragraphs = tuple((title, "".join(sentences).strip()) for title, sentences in context)
    titles = dict.fromkeys(title for title, _ in facts)
    return Example(
        id=str(row.get("_id", row.get("id", ""))),
        question=row["question"],
        answers=_texts(row["answer"]),
        kind=str(row.get("type", "bridge")),
        paragraphs=paragraphs,
        steps=tuple(Step(f"See {title}.", title, title) for title in titles),
    )


def _pairs(value: Any, second: str) -> Sequence[tuple[str, Any]]:
    """Pairs, also from two columns or from JSON."""
    if isinstance(value, str):
        value = json.loads(value)
    if isinstance(value, Mapping):
        return list(zip(value["title"], value[second], strict=True))
    return [(str(title), rest) for title, rest in value]


def _musique(row: Row) -> Example:
    paragraphs = tuple((p["title"], p["paragraph_text"]) for p in row["paragraphs"])
    place = {p["idx"]: i for i, p in enumerate(row["paragraphs"])}
    steps: list[Step] = []
    known: list[str] = []
    for part in row.get("question_decomposition", []):
        query = part["question"]
        for i, answer in enumerate(known, 1):
            query = query.replace(f"#{i}", answer)
        known.append(str(part["answer"]))
        index = place.get(part.get("paragraph_support_idx"))
        if index is not None:
            query = query.replace(" >> ", " ")
            steps.append(Step(f"{query}: {known[-1]}", query, paragraphs[index][0], index))
    answers = (row["answer"], *row.get("answer_aliases", []))
    answerable = row.get("answerable", True)
    return Example(
        id=str(row["id"]),
        question=row["question"],
        answers=_texts(answers) if answerable else UNANSWERABLE,
        kind="bridge" if answerable else "unanswerable",
        paragraphs=paragraphs,
        steps=tuple(steps) if answerable else (),
    )


def _nq(row: Row) -> Example:
    return Example(str(row.get("id", "")), row["question"], _texts(row["answer"]))


def _trivia(row: Row) -> Example:
    answer = row["Answer"]
    answers = (answer["Value"], *answer.get("Aliases", []))
    return Example(str(row.get("QuestionId", "")), row["Question"], _texts(answers))


def _popqa(row: Row) -> Example:
    return Example(str(row.get("id", "")), row["question"], _texts(json.loads(row["possible_answers"])))


def _bamboogle(row: Row) -> Example:
    return Example("", row["Question"], _texts(row["Answer"]))


def _flashrag(row: Row) -> Example:
    return Example(str(row.get("id", "")), row["question"], _texts(row["golden_answers"]))


READERS: dict[str, tuple[Callable[[Path], Iterator[Row]], Callable[[Row], Example], str]] = {
    "hotpotqa": (_json_rows, _hotpot, "'question', 'answer', 'context' and 'supporting_facts'"),
    "2wikimultihopqa": (_json_rows, _hotpot, "'question', 'answer', 'context' and 'supporting_facts'"),
    "musique": (_json_rows, _musique, "'id', 'question', 'answer', 'paragraphs' and 'question_decomposition'"),
    "nq": (_json_rows, _nq, "'question' and 'answer'"),
    "triviaqa": (_trivia_rows, _trivia, "'Data', with 'Question' and 'Answer' in each"),
    "popqa": (_table_rows("\t"), _popqa, "the columns 'question' and 'possible_answers' (JSON)"),
    "bamboogle": (_table_rows(","), _bamboogle, "the columns 'Question' and 'Answer'"),
    "flashrag": (_json_rows, _flashrag, "'question' and 'golden_answers'"),
}
"""Format -> how to get its rows, how to read one, and what a row holds."""
