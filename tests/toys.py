"""Two small games that keep every promise. Tests break them on purpose."""

from dataclasses import dataclass, field

import numpy as np

from agentgym import (
    EXECUTABLE,
    FORMAT,
    TURN_COST,
    Action,
    Component,
    Game,
    GeneratedTasks,
    Observation,
    Outcome,
    RewardScheme,
    Task,
    accumulate,
    tool,
)
from agentgym.core.seeding import derive_rng, digest

ROOMS = ("attic", "cellar", "hall", "kitchen", "study")
WEIGHTS = {"success": 1.0, "sighted": 0.5, "format": 0.1, "executable": 0.1, "turn_cost": 0.1}


def make_task(split: str, number: int) -> Task:
    rng = derive_rng("toy", split, number)
    order = [ROOMS[i] for i in rng.permutation(5)]
    return Task(
        f"{split}/{number}", split, {"rooms": order, "n": number, "split": split}, {"room": order[0]}, number % 5 / 4
    )


@dataclass
class State:
    rooms: list[str]
    seen: set[str] = field(default_factory=set)


class RoomsGame(Game):
    """Look into rooms, then answer where the thing is."""

    components = (
        Component("success", "outcome", 0.0, 1.0, "right answer"),
        Component("sighted", "process", 0.0, 1.0, "first sight"),
        FORMAT,
        EXECUTABLE,
        TURN_COST,
    )
    schemes = {
        "gated": RewardScheme(
            "gated", WEIGHTS, (accumulate(["sighted", "format", "executable"], on="success", at_least=1.0),)
        ),
        "outcome": RewardScheme("outcome", {"success": 1.0}),
        "dense": RewardScheme("dense", WEIGHTS),
    }
    tools = (tool("look", "see a room", room="its name"), tool("answer", "say the room", room="its name"))
    expert = "toys:RoomsExpert"
    cheats = {"guess": "toys:guess"}
    blind_guess = 0.2
    max_turns = 8
    source = GeneratedTasks(make_task)

    state: State

    @property
    def instructions(self) -> str:
        return "Find the lamp."

    def tasks(self):
        return self.source

    def start(self, task, rng):
        self.state = State(list(task.data["rooms"]))
        return Observation(f"Find the lamp. Rooms: {', '.join(sorted(self.state.rooms))}.")

    def act(self, action):
        state, room = self.state, action.arguments["room"]
        if room not in state.rooms:
            return Outcome(f"There is no room {room[:20]!r}.", executable=False)
        right = room == state.rooms[0]
        if action.name == "answer":
            return Outcome("Right." if right else "Wrong.", {"success": float(right)}, terminal=True, success=right)
        new = right and room not in state.seen
        state.seen.add(room)
        return Outcome("There is the lamp." if right else "Nothing.", {"sighted": float(new)})

    def state_key(self):
        return digest(self.state.rooms, sorted(self.state.seen))

    def render(self):
        return f"seen: {sorted(self.state.seen)}"


class RoomsExpert:
    """Looks, then answers."""

    def __init__(self, game):
        self.game = game

    def act(self):
        room = self.game.state.rooms[0]
        return Action("answer" if room in self.game.state.seen else "look", {"room": room})

    def mistake(self, rng):
        return Action("look", {"room": ROOMS[int(rng.integers(5))]})


def guess():
    """Answers at once."""
    return lambda observation, rng: f"answer[{ROOMS[int(rng.integers(5))]}]"


class DiceGame(Game):
    """Roll until a six; every roll draws."""

    components = (Component("six", "outcome", 0.0, 1.0, "rolled a six"), FORMAT, EXECUTABLE)
    tools = (tool("roll", "roll the die", hand="left or right"),)
    cheats = {"idle": "toys:idle"}
    max_turns = 6

    def tasks(self):
        return GeneratedTasks(lambda split, n: Task(f"{split}/{n}", split, {"n": n, "split": split}))

    def start(self, task, rng):
        self.state = []
        return Observation(f"Roll a six. Table {int(rng.integers(1000))}.")

    def act(self, action):
        if action.arguments["hand"] not in ("left", "right", "red", "1"):
            return Outcome("No such hand.", executable=False)
        face = int(self.rng.integers(1, 7))
        self.state.append(face)
        return Outcome(f"{face}", {"six": float(face == 6)}, terminal=face == 6, success=face == 6)

    def state_key(self):
        return digest(self.state[-1:])

    def render(self):
        return str(self.state)


def idle():
    return lambda observation, rng: "wait"


def rng_of(seed):
    return np.random.default_rng(seed)
