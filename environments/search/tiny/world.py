"""A world of two-word names: who lives where, who is whose friend, who owns what.

A name is a pair from two lists of words, and every pair belongs to one split alone. So the splits share all words and
no name: a model that has learned to copy can answer about names that it has never seen, one that has learned facts by
heart can't.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from agentgym.core.tasks import SPLITS
from agentgym.environments.search.library import Library, Questions
from agentgym.environments.search.world.dice import Dice
from agentgym.tools.retriever.corpus import Corpus, Texts
from agentgym.tools.retriever.impact import ImpactIndex

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


def _names(words: tuple[str, str]) -> dict[str, list[str]]:
    """Split -> its names: diagonals of the table of pairs, so that every split has every word."""
    first, second = (column.split() for column in words)
    found: dict[str, list[str]] = {split: [] for split in SPLITS}
    for i, one in enumerate(first):
        for j, two in enumerate(second):
            part = max(0, (i + j) % _PARTS - (_PARTS - len(SPLITS)))
            found[SPLITS[part]].append(f"{one} {two}")
    return found


@lru_cache(maxsize=4)
def tiny_library(seed: int = 0) -> Library:
    """The world of a seed: one document a person, 80 people to train on and 10 in each other split."""
    people, places, things = _names(_PEOPLE), _names(_PLACES), _names(_THINGS)
    documents: list[str] = []
    records: dict[str, list[dict[str, Any]]] = {}
    for split in SPLITS:
        dice = Dice(seed, "tiny", split)
        order = dice.shuffled(people[split])
        own = dice.shuffled(things[split])
        facts = {
            person: {"home": dice.pick(places[split]), "friend": order[i - 1], "owns": own[i]}
            for i, person in enumerate(order)
        }
        position = {person: len(documents) + i for i, person in enumerate(order)}
        documents += [_document(person, facts[person], dice) for person in order]
        records[split] = [record for person in order for record in _records(person, facts, position)]
    corpus = Corpus(Texts.of(documents))
    # names count thrice, so that a search for a name finds its own document and not one that mentions it
    index = ImpactIndex.build(f"{passage.title} {passage.title} {passage.contents}" for passage in corpus)
    return Library(corpus, index, Questions.of(records))


def _document(person: str, facts: dict[str, str], dice: Dice) -> str:
    said = dice.shuffled([f"{name} {facts[name]}" for name in _FACTS])
    return f"{person}\n{', '.join(said)}"


def _records(person: str, facts: dict[str, dict[str, str]], position: dict[str, int]) -> list[dict[str, Any]]:
    """Three questions of one hop and three of two about a person."""
    friend = facts[person]["friend"]
    first = _step(person, "friend", friend, position)
    found = [_record([_step(person, name, facts[person][name], position)], f"{name} of {person}") for name in _FACTS]
    for name in _FACTS:
        second = _step(friend, name, facts[friend][name], position)
        found.append(_record([first, second], f"{name} of friend of {person}"))
    return found


def _step(person: str, name: str, value: str, position: dict[str, int]) -> dict[str, Any]:
    return {"text": f"{name} {value}", "documents": [position[person]], "query": person, "value": value}


def _record(chain: list[dict[str, Any]], question: str) -> dict[str, Any]:
    answer = chain[-1]["value"]
    return {"kind": "bridge", "hops": len(chain), "question": f"{question} ?", "answers": [answer], "chain": chain}
