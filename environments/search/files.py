"""A library from files: questions of a published data set, with a corpus or the paragraphs that come with them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from agentgym.core.errors import ConfigError
from agentgym.environments.search.datasets import Example, read_dataset
from agentgym.environments.search.library import Library, Questions
from agentgym.tools.retriever.corpus import Corpus, Passage, Texts, read_jsonl
from agentgym.tools.retriever.impact import ImpactIndex
from agentgym.tools.retriever.stored import open_retriever


def file_library(
    questions: str | Mapping[str, str], dataset: str, corpus: str | None = None, *, remote: bool = False
) -> Library:
    """Opens data files.

    Args:
        questions: Path of a file, which becomes the split ``train``, or split -> path.
        dataset: Format of the files; see ``datasets``.
        corpus: A folder that ``agentgym retriever build`` made, or a JSON Lines file of documents. None: the
            paragraphs that come with the questions.
        remote: Whether documents come from a server, so that no corpus is needed here.

    Raises:
        ConfigError: No such file or no question in it; or no corpus, and the questions bring no paragraphs.
        DataError: A file has another form.
    """
    paths = {"train": questions} if isinstance(questions, str) else dict(questions)
    named = [*paths.values(), *([corpus] if corpus else [])]
    return _open(tuple(paths.items()), dataset, corpus, remote, tuple(map(_stamp, named)))


def _stamp(name: str) -> tuple[int, int]:
    """Size and time of a file, so that a changed one is read again."""
    found = Path(name).stat() if Path(name).exists() else None
    return (found.st_size, found.st_mtime_ns) if found else (0, 0)


@lru_cache(maxsize=4)
def _open(
    paths: tuple[tuple[str, str], ...],
    dataset: str,
    corpus: str | None,
    remote: bool,
    stamps: tuple[tuple[int, int], ...],
) -> Library:
    examples = {split: list(read_dataset(Path(path), dataset)) for split, path in paths}
    for split, path in paths:
        if not examples[split]:
            raise ConfigError(f"{path!r} holds no {dataset} question to play in the split {split!r}.")
    if corpus is not None:
        documents, retriever = _given_corpus(Path(corpus))
        return Library(documents, retriever, _questions(examples, documents, own=False))
    paragraphs = dict.fromkeys(
        f'"{title}"\n{text}' for found in examples.values() for example in found for title, text in example.paragraphs
    )
    if not paragraphs and not remote:
        raise ConfigError(
            f"The {dataset} questions bring no paragraphs of their own. Name a corpus: a folder made with 'agentgym"
            " retriever build', a JSON Lines file of documents, or the address of a retriever."
        )
    documents = Corpus(Texts.of(paragraphs))
    index = ImpactIndex.build(documents.contents() if paragraphs else ["nothing"])
    return Library(documents, index, _questions(examples, documents, own=True))


def _given_corpus(path: Path) -> tuple[Corpus, Any]:
    if path.is_dir():
        return open_retriever(path)
    if not path.is_file():
        raise ConfigError(f"There is no corpus {str(path)!r}: expected a folder of a retriever, or a JSON Lines file.")
    passages: list[Passage] = list(read_jsonl(path))
    if not passages:
        raise ConfigError(f"{str(path)!r} holds no document.")
    if len({passage.id for passage in passages}) != len(passages):
        raise ConfigError(f"Two documents of {str(path)!r} share an id; ids must be unique.")
    corpus = Corpus(Texts.of(p.contents for p in passages), Texts.of(p.id for p in passages))
    return corpus, ImpactIndex.build(corpus.contents())


def _questions(examples: Mapping[str, list[Example]], corpus: Corpus, *, own: bool) -> Questions:
    """Records of examples; steps whose documents the corpus lacks leave the proof unknown."""
    named = {_key(step.title) for found in examples.values() for example in found for step in example.steps}
    places: dict[str, list[int]] = {}
    for position, passage in enumerate(corpus if named else ()):
        key = passage.contents if own else _key(passage.title)
        if own or key in named:  # of the twenty million passages of Wikipedia a question file names a few thousand
            places.setdefault(key, []).append(position)
    return Questions.of(
        {split: [_record(example, places, own) for example in found] for split, found in examples.items()}
    )


def _key(title: str) -> str:
    """A title without quotes: corpora put some around it, double those within, or leave them out."""
    return title.replace('"', "").strip()


def _record(example: Example, places: Mapping[str, list[int]], own: bool) -> dict[str, Any]:
    chain = []
    for step in example.steps:
        if not own:
            wanted = [_key(step.title)]
        elif step.paragraph is not None:
            title, text = example.paragraphs[step.paragraph]
            wanted = [f'"{title}"\n{text}']
        else:
            wanted = [f'"{title}"\n{text}' for title, text in example.paragraphs if title == step.title]
        documents = [position for contents in wanted for position in places.get(contents, [])]
        chain.append({"text": step.text, "documents": documents, "query": step.query})
    known = all(step["documents"] for step in chain)
    return {
        "id": example.id,
        "kind": example.kind,
        "hops": max(len(example.steps), 1),
        "question": example.question,
        "answers": list(example.answers),
        "chain": chain if known else [],
    }
