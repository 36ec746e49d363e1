"""Worlds of two-word names: who lives where, who is whose friend, who owns what.

Every task has a small world of its own, so that nothing can be learned by heart. A name is a pair from two lists of
words, and every pair belongs to one split alone: the splits share all words and no name, so that a model has to copy
what it finds.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from agentgym.core.tasks import SPLITS, GeneratedTasks, Task
from agentgym.environments.search.library import Library, Questions
from agentgym.environments.search.world.dice import Dice
from agentgym.tools.retriever.corpus import Corpus, Texts
from agentgym.tools.retriever.impact import ImpactIndex

PEOPLE = 8
"""Of a world."""
BELIEF = "answer[{answer}]"
_PEOPLE = ("red grey wild shy old swift calm bold sly merry", "fox owl hare bear wolf crow toad mole lynx swan")
_PLACES = (
    "cold misty sunny windy quiet steep narrow mossy dusty bright",
    "harbor valley forest island meadow cave hill lake cliff marsh",
)
_THINGS = (
    "iron silver wooden glass paper copper stone silk wax clay",
    "key bell lamp drum kite flute mask clock crown boat",
)
_PARTS = 10
"""Parts of all names, of which eight are for training, one to validate and one to test."""
_FACTS = ("home", "friend", "owns")
_HARDEST = 2


@lru_cache(maxsize=8)
def _names(words: tuple[str, str]) -> dict[str, list[str]]:
    """Split -> its names: diagonals of the table of pairs, so that every split has every word."""
    first, second = (column.split() for column in words)
    found: dict[str, list[str]] = {split: [] for split in SPLITS}
    for i, one in enumerate(first):
        for j, two in enumerate(second):
            part = max(0, (i + j) % _PARTS - (_PARTS - len(SPLITS)))
            found[SPLITS[part]].append(f"{one} {two}")
    return found


def tiny_tasks(seed: int) -> GeneratedTasks:
    """The tasks of a seed: each with its documents and one question of one hop or two."""

    def make(split: str, number: int) -> Task:
        data = _world(seed, split, number)
        reference = {key: data[key] for key in ("question", "answers", "chain")} | {"belief_template": BELIEF}
        return Task(f"{split}/{number}", split, data, reference, data["hops"] / _HARDEST)

    return GeneratedTasks(make)


@lru_cache(maxsize=512)
def tiny_library(seed: int, task_id: str) -> Library:
    """The documents of a task."""
    split, _, number = task_id.rpartition("/")
    corpus = Corpus(Texts.of(_world(seed, split, int(number))["documents"]))
    # names count thrice, so that a search for a name finds its own document and not one that mentions it
    index = ImpactIndex.build(f"{passage.title} {passage.title} {passage.contents}" for passage in corpus)
    return Library(corpus, index, Questions.of({}))


@lru_cache(maxsize=512)
def _world(seed: int, split: str, number: int) -> dict[str, Any]:
    dice = Dice(seed, "tiny", split, number)
    people = dice.sample(_names(_PEOPLE)[split], PEOPLE)
    places = dice.sample(_names(_PLACES)[split], PEOPLE)
    things = dice.sample(_names(_THINGS)[split], PEOPLE)
    facts = {
        person: {"home": dice.pick(places), "friend": people[i - 1], "owns": things[i]}
        for i, person in enumerate(people)
    }
    documents = [_document(person, facts[person], dice) for person in people]
    person, asked = dice.pick(people), dice.pick(_FACTS)
    chain = [_step(person, asked, facts, people)]
    question = f"{asked} of {person} ?"
    if dice.chance(0.5):
        friend = facts[person]["friend"]
        chain = [_step(person, "friend", facts, people), _step(friend, asked, facts, people)]
        question = f"{asked} of friend of {person} ?"
    answer = facts[chain[-1]["query"]][asked]
    return {
        "kind": "bridge",
        "hops": len(chain),
        "question": question,
        "answers": [answer],
        "chain": chain,
        "documents": documents,
    }


def _document(person: str, facts: dict[str, str], dice: Dice) -> str:
    said = dice.shuffled([f"{name} {facts[name]}" for name in _FACTS])
    return f"{person}\n{', '.join(said)}"


def _step(person: str, asked: str, facts: dict[str, dict[str, str]], people: list[str]) -> dict[str, Any]:
    text = f"{asked} of {person} : {facts[person][asked]}"
    return {"text": text, "documents": [people.index(person)], "query": person}
