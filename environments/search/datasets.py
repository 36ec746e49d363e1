"""Question files of others, in the formats in which they are published.

======================  ==========================================================================================
``hotpotqa``            JSON list, or JSON Lines; ``context`` and ``supporting_facts`` as pairs or as columns
``2wikimultihopqa``     as HotpotQA, ``context`` also as a JSON text; an ``id_aliases.json`` beside the file adds the
                        other names of answers that have an ``answer_id``
``musique``             JSON Lines with ``paragraphs`` and ``question_decomposition``
``nq``                  JSON Lines: NQ-open's ``{"question", "answer": [...]}``; or Natural Questions itself, simplified
                        or original: rows without a short answer and without yes or no are left out
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
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from agentgym.core.errors import ConfigError, DataError, unknown_name
from agentgym.environments.search.rows import Located, Row, json_rows, table_rows, trivia_rows
from agentgym.environments.search.world.questions import UNANSWERABLE

ALIASES = "id_aliases.json"
"""2WikiMultihopQA's file of other names: JSON Lines ``{"Q_id", "aliases", "demonyms"}``."""


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
    """Accepted ones, the usual first."""
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
        DataError: A row has another form; names the line (of JSON lists: the entry) and what was expected.
    """
    if dataset not in READERS:
        raise unknown_name("data set", dataset, READERS)
    if not path.is_file():
        raise ConfigError(f"There is no file {str(path)!r} to read {dataset} questions from.")
    rows, read, expected = READERS[dataset]
    names = _aliases(path.with_name(ALIASES)) if dataset == "2wikimultihopqa" else {}
    where = "the whole"
    try:
        for place, load in rows(path):
            where = place
            row = load()
            example = read(row)
            if example is None:
                continue
            if not example.question or not example.answers:
                raise ValueError("the question or its answer is empty")
            more = names.get(str(row.get("answer_id", "")), ())
            yield replace(example, answers=_texts((*example.answers, *more))) if more else example
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, RecursionError, csv.Error) as error:
        raise DataError(
            f"{path.name}, {where}: not a {dataset} row ({type(error).__name__}: {error}). Expected {expected}."
        ) from error


def _aliases(path: Path) -> dict[str, tuple[str, ...]]:
    """Wikidata id -> other names; empty without the file."""
    found: dict[str, tuple[str, ...]] = {}
    where = "the whole"
    try:
        for place, load in json_rows(path) if path.is_file() else ():
            where = place
            row = load()
            found[row["Q_id"]] = tuple(name for name in (*row["aliases"], *row.get("demonyms", ())) if name)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(
            f"{path.name}, {where}: expected 'Q_id', 'aliases' and 'demonyms' ({type(error).__name__}: {error})."
        ) from error
    return found


def _texts(value: Any) -> tuple[str, ...]:
    """One text or several as a tuple, without repeats and empty ones."""
    found = [value] if isinstance(value, str) else list(value)
    return tuple(dict.fromkeys(text for item in found if (text := str(item)).strip()))


def _hotpot(row: Row) -> Example:
    context, facts = _pairs(row["context"], "sentences"), _pairs(row.get("supporting_facts", []), "sent_id")
    # HotpotQA's sentences begin with the blank between them, 2WikiMultihopQA's don't
    paragraphs = tuple((title, " ".join(map(str.strip, sentences))) for title, sentences in context)
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


def _nq(row: Row) -> Example | None:
    if "annotations" in row:
        answers = _annotated(row)
        return Example(str(row.get("example_id", "")), row["question_text"], answers) if answers else None
    return Example(str(row.get("id", "")), row["question"], _texts(row["answer"]))


def _annotated(row: Row) -> tuple[str, ...]:
    """Short answers that annotators of Natural Questions marked in a page, or yes or no; empty where they didn't."""
    if "document_text" in row:
        words = row["document_text"].split(" ")
        markup = [word.startswith("<") and word.endswith(">") for word in words]
    else:
        words = [token["token"] for token in row["document_tokens"]]
        markup = [token["html_token"] for token in row["document_tokens"]]
    found: list[str] = []
    for annotation in row["annotations"]:
        if annotation["yes_no_answer"] in ("YES", "NO"):
            found.append(annotation["yes_no_answer"].lower())
        for span in annotation["short_answers"]:
            places = range(span["start_token"], span["end_token"])
            found.append(" ".join(words[i] for i in places if not markup[i]))
    return _texts(found)


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


READERS: dict[str, tuple[Callable[[Path], Iterator[Located]], Callable[[Row], Example | None], str]] = {
    "hotpotqa": (json_rows, _hotpot, "'question', 'answer', 'context' and 'supporting_facts'"),
    "2wikimultihopqa": (json_rows, _hotpot, "'question', 'answer', 'context' and 'supporting_facts'"),
    "musique": (json_rows, _musique, "'id', 'question', 'answer', 'paragraphs' and 'question_decomposition'"),
    "nq": (json_rows, _nq, "'question' and 'answer', or 'question_text', 'annotations' and the document"),
    "triviaqa": (trivia_rows, _trivia, "'Data', with 'Question' and 'Answer' in each"),
    "popqa": (table_rows("\t"), _popqa, "the columns 'question' and 'possible_answers' (JSON)"),
    "bamboogle": (table_rows(","), _bamboogle, "the columns 'Question' and 'Answer'"),
    "flashrag": (json_rows, _flashrag, "'question' and 'golden_answers'"),
}
"""Format -> how to get its rows, how to read one, and what a row holds."""
