"""What can be said of things: each relation with the words that ask for it and the sentences that state it.

In sentences ``{s}`` is the subject, ``{p}`` its possessive, ``{o}`` the value, ``{y}`` the first year in which the fact
holds. In questions and phrases ``{x}`` is what is asked about and ``{y}`` a year.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from agentgym.environments.search.world.facts import Kind

ValueKind = Kind | Literal["year", "number", "word"]


@dataclass(frozen=True)
class Back:
    """A relation read from its value to its subject, where that is a single thing."""

    noun: str
    ask: str


@dataclass(frozen=True)
class Relation:
    """One relation between things, or from a thing to a literal."""

    subject: Kind
    value: ValueKind
    noun: str
    """The value as a noun phrase."""
    ask: str
    """The value as a question."""
    words: str
    """What a search adds to the name of the subject."""
    sentences: tuple[str, ...]
    back: Back | None = None
    timed: bool = False
    """Whether the value changes with the years, so that it takes a year to ask for it."""


RELATIONS: dict[str, Relation] = {
    "alias": Relation(
        "person",
        "word",
        "the byname of {x}",
        "By what byname was {x} known?",
        "known as byname",
        ("{s} was known as {o}.", "Many called {s} {o}.", "In the province {s} went by the byname of {o}."),
        Back("the person known as {x}", "Who was known as {x}?"),
    ),
    "born": Relation(
        "person",
        "year",
        "the year of birth of {x}",
        "In which year was {x} born?",
        "born year birth",
        ("{s} was born in {o}.", "{p} year of birth was {o}.", "{s} came into the world in {o}."),
    ),
    "died": Relation(
        "person",
        "year",
        "the year in which {x} died",
        "In which year did {x} die?",
        "died year death",
        ("{s} died in {o}.", "{p} life ended in {o}.", "Death came to {s} in {o}."),
    ),
    "birthplace": Relation(
        "person",
        "town",
        "the town where {x} was born",
        "In which town was {x} born?",
        "born birthplace town",
        ("{s} was born in {o}.", "{p} birthplace was {o}.", "{s} was a native of {o}."),
    ),
    "profession": Relation(
        "person",
        "word",
        "the profession of {x}",
        "What was the profession of {x}?",
        "profession worked as",
        ("{s} worked as a {o}.", "By profession {s} was a {o}.", "{s} earned a living as a {o}."),
    ),
    "school": Relation(
        "person",
        "school",
        "the school that {x} attended",
        "Which school did {x} attend?",
        "school attended educated",
        ("{s} attended {o}.", "{s} was educated at {o}.", "{p} school was {o}."),
    ),
    "father": Relation(
        "person",
        "person",
        "the father of {x}",
        "Who was the father of {x}?",
        "father parents",
        ("{p} father was {o}.", "{s} was a child of {o}, the father.", "{s} grew up in the house of the father, {o}."),
    ),
    "mother": Relation(
        "person",
        "person",
        "the mother of {x}",
        "Who was the mother of {x}?",
        "mother parents",
        ("{p} mother was {o}.", "The mother of {s} was {o}.", "{s} was brought up by the mother, {o}."),
    ),
    "spouse": Relation(
        "person",
        "person",
        "the spouse of {x}",
        "Whom did {x} marry?",
        "married spouse",
        ("{s} married {o}.", "{p} spouse was {o}.", "{s} and {o} were husband and wife."),
    ),
    "children": Relation(
        "person",
        "number",
        "the number of children of {x}",
        "How many children did {x} have?",
        "children family",
        ("{s} had {o} children: {list}.", "{p} children, {o} in number, were {list}."),
    ),
    "works": Relation(
        "person",
        "number",
        "the number of books that {x} wrote",
        "How many books did {x} write?",
        "books written by author",
        ("{s} wrote {o} books: {list}.", "{p} printed books, {o} in all, are {list}."),
    ),
    "province": Relation(
        "town",
        "province",
        "the province in which {x} lies",
        "In which province does {x} lie?",
        "province region",
        ("{s} lies in {o}.", "{s} is a town of {o}.", "{s} belongs to the province of {o}."),
    ),
    "founded": Relation(
        "town",
        "year",
        "the year in which {x} was founded",
        "In which year was {x} founded?",
        "founded year foundation",
        ("{s} was founded in {o}.", "{p} foundation dates from {o}.", "The year {o} saw the foundation of {s}."),
    ),
    "river": Relation(
        "town",
        "river",
        "the river on which {x} lies",
        "On which river does {x} lie?",
        "river banks lies on",
        ("{s} lies on the {o}.", "The {o} flows through {s}.", "{s} stands on the banks of the {o}."),
    ),
    "population": Relation(
        "town",
        "number",
        "the number of inhabitants of {x} at the census of {y}",
        "How many inhabitants did {x} have at the census of {y}?",
        "census {y} inhabitants population",
        ("The census of {y} counted {o} inhabitants in {s}.", "{s} had {o} inhabitants at the census of {y}."),
        timed=True,
    ),
    "mayor": Relation(
        "town",
        "person",
        "the mayor of {x} in {y}",
        "Who was the mayor of {x} in {y}?",
        "mayor mayors list years",
        ("{o} became mayor of {s} in {y}.", "In {y} the chain of mayor of {s} passed to {o}."),
        timed=True,
    ),
    "architect": Relation(
        "town",
        "person",
        "the architect of the town hall of {x}",
        "Who designed the town hall of {x}?",
        "town hall architect designed",
        ("The town hall of {s} was designed by {o}.", "{o} drew the plans of the town hall of {s}."),
        Back("the town whose town hall {x} designed", "The town hall of which town was designed by {x}?"),
    ),
    "monument": Relation(
        "town",
        "person",
        "the person whom the monument in {x} honours",
        "Whom does the monument in {x} honour?",
        "monument honours square",
        ("The monument in {s} honours {o}.", "On the square of {s} stands a monument to {o}."),
        Back("the town with a monument to {x}", "In which town is there a monument to {x}?"),
    ),
    "source": Relation(
        "river",
        "mountain",
        "the mountain on which the {x} rises",
        "On which mountain does the {x} rise?",
        "source rises mountain",
        ("The {s} rises on {o}.", "The source of the {s} is on {o}."),
        Back("the river that rises on {x}", "Which river rises on {x}?"),
    ),
    "length": Relation(
        "river",
        "number",
        "the length of the {x} in miles",
        "How many miles long is the {x}?",
        "length miles long",
        ("The {s} is {o} miles long.", "Over {o} miles the {s} finds its way to the sea."),
    ),
    "towns": Relation(
        "river",
        "number",
        "the number of towns on the {x}",
        "How many towns lie on the {x}?",
        "towns on the river",
        ("The {s} passes {o} towns: {list}.", "The towns on the {s} are {o} in number: {list}."),
    ),
    "height": Relation(
        "mountain",
        "number",
        "the height of {x} in feet",
        "How many feet high is {x}?",
        "height feet high",
        ("{s} is {o} feet high.", "The summit of {s} stands at {o} feet."),
    ),
    "climber": Relation(
        "mountain",
        "person",
        "the first person to climb {x}",
        "Who was the first to climb {x}?",
        "first climbed ascent summit",
        ("{s} was first climbed by {o}.", "{o} was the first to stand on the summit of {s}."),
        Back("the mountain that {x} was the first to climb", "Which mountain was first climbed by {x}?"),
    ),
    "capital": Relation(
        "province",
        "town",
        "the capital of {x}",
        "What is the capital of {x}?",
        "capital province",
        ("The capital of {s} is {o}.", "{s} is governed from its capital, {o}."),
    ),
    "founder": Relation(
        "company",
        "person",
        "the founder of {x}",
        "Who founded {x}?",
        "founder founded by",
        ("{s} was founded by {o}.", "The founder of {s} was {o}.", "{o} called {s} into being."),
        Back("the company that {x} founded", "Which company did {x} found?"),
    ),
    "established": Relation(
        "company",
        "year",
        "the year in which {x} was established",
        "In which year was {x} established?",
        "established year",
        ("{s} was established in {o}.", "{p} first year of business was {o}."),
    ),
    "seat": Relation(
        "company",
        "town",
        "the town where {x} had its seat in {y}",
        "In which town did {x} have its seat in {y}?",
        "seat moved town",
        ("{s} took its seat in {o} in {y}.", "In {y} the seat of {s} was moved to {o}."),
        timed=True,
    ),
    "head": Relation(
        "company",
        "person",
        "the head of {x} in {y}",
        "Who was the head of {x} in {y}?",
        "heads list years director",
        ("{o} became head of {s} in {y}.", "In {y} {o} took over the direction of {s}."),
        timed=True,
    ),
    "catalogue": Relation(
        "company",
        "number",
        "the number of books that {x} published",
        "How many books did {x} publish?",
        "catalogue books published",
        ("The catalogue of {s} holds {o} books: {list}.", "{s} brought out {o} books: {list}."),
    ),
    "author": Relation(
        "work",
        "person",
        "the author of {x}",
        "Who wrote {x}?",
        "author written by book",
        ("{s} was written by {o}.", "The author of {s} is {o}.", "{s} came from the pen of {o}."),
        Back("the only book by {x}", "Which book did {x} write?"),
    ),
    "publisher": Relation(
        "work",
        "company",
        "the publisher of {x}",
        "Which company published {x}?",
        "publisher published by book",
        ("{s} was published by {o}.", "The publisher of {s} was {o}.", "{s} appeared with {o}."),
        Back("the only book in the catalogue of {x}", "Which book did {x} publish?"),
    ),
    "published": Relation(
        "work",
        "year",
        "the year in which {x} was published",
        "In which year was {x} published?",
        "published year appeared",
        ("{s} was published in {o}.", "{s} first appeared in {o}."),
    ),
    "setting": Relation(
        "work",
        "town",
        "the town in which {x} is set",
        "In which town is {x} set?",
        "set in setting town",
        ("{s} is set in {o}.", "The story of {s} takes place in {o}."),
    ),
    "dedicatee": Relation(
        "work",
        "person",
        "the person to whom {x} is dedicated",
        "To whom is {x} dedicated?",
        "dedicated to dedication",
        ("{s} is dedicated to {o}.", "The dedication of {s} names {o}."),
        Back("the book that is dedicated to {x}", "Which book is dedicated to {x}?"),
    ),
    "campus": Relation(
        "school",
        "town",
        "the town where {x} stands",
        "In which town does {x} stand?",
        "school stands town",
        ("{s} stands in {o}.", "{s} is a school in {o}."),
    ),
    "opened": Relation(
        "school",
        "year",
        "the year in which {x} was opened",
        "In which year was {x} opened?",
        "opened year school",
        ("{s} was opened in {o}.", "{p} doors opened in {o}."),
    ),
    "place": Relation(
        "event",
        "town",
        "the town where the {x} was held",
        "In which town was the {x} held?",
        "held place town",
        ("The {s} was held in {o}.", "{o} was the scene of the {s}."),
    ),
    "held": Relation(
        "event",
        "year",
        "the year in which the {x} was held",
        "In which year was the {x} held?",
        "held year",
        ("The {s} was held in {o}.", "It was in {o} that the {s} took place."),
    ),
    "winner": Relation(
        "event",
        "person",
        "the winner of the {x}",
        "Who won the {x}?",
        "winner won",
        ("The {s} was won by {o}.", "{o} was the winner of the {s}.", "First place in the {s} went to {o}."),
        Back("the contest that {x} won", "Which contest did {x} win?"),
    ),
    "endower": Relation(
        "prize",
        "company",
        "the company that endowed the {x}",
        "Which company endowed the {x}?",
        "endowed company prize",
        ("The {s} was endowed by {o}.", "{o} gave the money for the {s}."),
    ),
    "laureate": Relation(
        "prize",
        "person",
        "the winner of the {x} of {y}",
        "Who received the {x} in {y}?",
        "laureates list years awarded",
        ("The {s} of {y} went to {o}.", "In {y} {o} received the {s}."),
        timed=True,
    ),
}
LISTS = {"children": ("father", "mother"), "works": ("author",), "towns": ("river",), "catalogue": ("publisher",)}
"""Relation that counts -> relations whose subjects it counts."""
