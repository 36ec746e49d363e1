"""What people write in a world's mail: subjects, texts, and the facts that they state."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

import numpy as np

from agentgym.environments.web.sites.kit.days import day_words
from agentgym.environments.web.sites.kit.html import money
from agentgym.environments.web.sites.kit.world import Person, Shared, pick, sample

TOPICS = (
    "the spring catalogue", "the new warehouse", "the delivery terms", "the trade fair", "the new budget",
    "the training plan", "the office move", "the annual report", "the packaging", "the customer survey",
    "the website texts", "the insurance", "the return policy", "the print run", "the summer party",
)  # fmt: skip
ROOMS = ("Blue Room", "Green Room", "Library", "Canteen", "Studio", "Room 12", "Room 31", "Roof Terrace")
_THINGS = ("desk lamp", "office chair", "kettle", "notebooks", "picture frame", "wool blanket", "wall clock")
_CARRIERS = ("Northline", "Parcelio", "Swift Van", "Hermes & Co")
_HOTELS = ("Hotel Aurora", "Park Hotel", "Hotel Bellevue", "The Old Mill", "Harbour Inn")


@dataclass(frozen=True)
class Letter:
    """One text. ``facts`` is what it states, by name, for those who make tasks from it."""

    kind: str
    subject: str
    body: str
    facts: Mapping[str, str] = field(default_factory=dict)


def meetings(rng: np.random.Generator, us: Shared, people: list[Person]) -> Iterator[Letter]:
    """Proposals to meet: other topics, days and places each."""
    days = sample(rng, range(2, 40), len(people))
    for person, topic, offset in zip(people, sample(rng, TOPICS, len(people)), days, strict=True):
        day = us.today + timedelta(days=offset)
        start = f"{int(rng.integers(8, 17)):02d}:{pick(rng, (0, 15, 30, 45)):02d}"
        minutes = pick(rng, (30, 45, 60, 90))
        room = pick(rng, ROOMS)
        body = (
            f"Hello,\n\ncould we meet on {day_words(day)} at {start} to talk about {topic}? The {room} is free, and"
            f" {minutes} minutes should do.\n\n{person.first}"
        )
        facts = {"day": day.isoformat(), "start": start, "minutes": str(minutes), "place": room, "topic": topic}
        yield Letter("meeting", f"Meeting about {topic}", body, facts)


def invoices(rng: np.random.Generator, us: Shared, people: list[Person]) -> Iterator[Letter]:
    """Invoices with different amounts."""
    amounts = sample(rng, range(4_000, 90_000, 35), len(people))
    days = sample(rng, range(3, 45), len(people))
    for person, amount, offset in zip(people, amounts, days, strict=True):
        number = f"R-{int(rng.integers(10_000, 100_000))}"
        due = us.today + timedelta(days=offset)
        body = (
            f"Dear {us.owner},\n\nthank you for your order. Invoice {number} is over {money(amount)} and due on"
            f" {day_words(due)}.\n\nKind regards\n{person.name}\n{person.company}"
        )
        facts = {"number": number, "amount": str(amount), "due": due.isoformat()}
        yield Letter("invoice", f"Invoice {number}", body, facts)


def parcels(rng: np.random.Generator, us: Shared, people: list[Person]) -> Iterator[Letter]:
    """Parcels on their way."""
    for thing in sample(rng, _THINGS, len(people)):
        code = f"{pick(rng, 'ABCDEFGH')}{int(rng.integers(100_000, 1_000_000))}"
        carrier = pick(rng, _CARRIERS)
        day = us.today + timedelta(days=int(rng.integers(1, 9)))
        body = (
            f"Good news: your {thing} left our house today. {carrier} brings it on {day_words(day)}. The tracking"
            f" code is {code}."
        )
        facts = {"thing": thing, "code": code, "carrier": carrier, "day": day.isoformat()}
        yield Letter("parcel", f"Your {thing} is on its way", body, facts)


def bookings(rng: np.random.Generator, us: Shared, people: list[Person]) -> Iterator[Letter]:
    """Rooms that were booked."""
    for hotel in sample(rng, _HOTELS, len(people)):
        code = f"BK{int(rng.integers(1_000, 10_000))}"
        day = us.today + timedelta(days=int(rng.integers(10, 90)))
        nights, price = int(rng.integers(1, 6)), int(rng.integers(60, 220)) * 100
        body = (
            f"Dear {us.owner},\n\nyour room at {hotel} is booked under {code}: arrival on {day_words(day)}, {nights}"
            f" night{'' if nights == 1 else 's'} at {money(price)} each.\n\nWe look forward to seeing you."
        )
        facts = {"hotel": hotel, "code": code, "day": day.isoformat(), "nights": str(nights), "price": str(price)}
        yield Letter("booking", f"Your stay at {hotel}", body, facts)


def moves(rng: np.random.Generator, us: Shared, people: list[Person]) -> Iterator[Letter]:
    """New telephone numbers."""
    for person in people:
        phone = f"555-{int(rng.integers(1_000, 10_000))}-{int(rng.integers(80, 100))}"
        body = f"Dear all,\n\nfrom today on you reach me at {phone}. The old number no longer works.\n\n{person.first}"
        yield Letter("number", f"New number of {person.name}", body, {"phone": phone})


def advertisements(rng: np.random.Generator, us: Shared, people: list[Person]) -> Iterator[Letter]:
    """What nobody asked for."""
    for person in people:
        share = pick(rng, (10, 15, 20, 25, 30))
        subject = pick(rng, ("Only this week", "News for you", "Last chance", "Our best prices"))
        body = f"{share}% off everything at {person.company}! This offer ends soon."
        yield Letter("advertisement", f"{subject}: {share}% off at {person.company}", body)


def talk(rng: np.random.Generator, topic: str, person: Person) -> tuple[str, list[str]]:
    """A subject, and what the other, the owner, and the other again write."""
    opening = pick(rng, ("what do you think about", "is there anything new about", "who looks after"))
    asked = f"Hello,\n\n{opening} {topic}? I would like to finish it this month.\n\n{person.first}"
    answer = pick(rng, ("I will have a look at it.", "Let me ask the others.", "It is nearly done.", "Not yet, sorry."))
    last = pick(rng, ("Thank you!", "That helps, thanks.", "Fine. Talk to you soon.", "All right, I will wait."))
    return f"Question about {topic}", [asked, answer, f"{last}\n\n{person.first}"]
