"""Games that break one promise each. ``BROKEN`` says which check must notice."""

import random
import time

import toys

from agentgym import Component, GeneratedTasks, Observation, Outcome, RewardScheme, Task

BROKEN = {}


def breaks(check):
    def add(cls):
        cls.__module__, cls.__qualname__ = "conformance.broken", cls.__name__
        BROKEN[cls.__name__] = check
        return cls

    return add


@breaks("declarations")
class NoOutcome(toys.RoomsGame):
    components = (
        Component("sighted", "process", 0.0, 1.0, "x"),
        Component("success", "process", 0, 1, "x"),
        *toys.RoomsGame.components[2:],
    )


@breaks("declarations")
class SchemeMissing(toys.RoomsGame):
    schemes = {"gated": RewardScheme("gated", {"success": 1.0})}


@breaks("gymnasium_checker")
class ObservationOutsideSpace(toys.RoomsGame):
    def start(self, task, rng):
        super().start(task, rng)
        return Observation(b"bytes")


@breaks("tasks_and_splits")
class SplitsOverlap(toys.RoomsGame):
    source = GeneratedTasks(lambda split, n: toys.make_task("train", n % 7))


@breaks("tasks_and_splits")
class TaskDrawsGlobally(toys.RoomsGame):
    source = GeneratedTasks(
        lambda split, n: Task(f"{split}/{n}", split, {**toys.make_task(split, n).data, "x": random.random()})
    )


@breaks("seed_determinism")
class GlobalRandom(toys.RoomsGame):
    def act(self, action):
        outcome = super().act(action)
        return Outcome(
            f"{outcome.observation} {random.random()}",
            outcome.components,
            outcome.terminal,
            outcome.executable,
            outcome.success,
        )


class _Shared:
    turns = 0


@breaks("seed_determinism")
class SharedBetweenInstances(toys.RoomsGame):
    shared = _Shared()

    def act(self, action):
        self.shared.turns += 1
        outcome = super().act(action)
        return Outcome(
            f"{outcome.observation} {self.shared.turns}",
            outcome.components,
            outcome.terminal,
            outcome.executable,
            outcome.success,
        )


@breaks("processes")
class HashOrder(toys.RoomsGame):
    def start(self, task, rng):
        super().start(task, rng)
        return Observation(" ".join({"a", "b", "c", "d", "e", "f", "g", "h"}))


@breaks("vector")
class ProcessLocal(toys.RoomsGame):
    def start(self, task, rng):
        import os

        super().start(task, rng)
        return Observation(f"process {os.getpid()}")


@breaks("bad_messages")
class RaisesOnJunk(toys.RoomsGame):
    def reject(self, problem):
        raise ValueError(problem)


@breaks("bad_messages")
class JunkChangesState(toys.RoomsGame):
    def reject(self, problem):
        self.state.seen.add("junk")
        return problem


@breaks("refused_actions")
class RefusedDraws(toys.DiceGame):
    def act(self, action):
        outcome = super().act(action)
        if not outcome.executable:
            self.rng.random()
        return outcome


@breaks("refused_actions")
class RefusedChangesState(toys.RoomsGame):
    def act(self, action):
        self.state.seen.add(action.arguments["room"])
        return super().act(action)


@breaks("infos")
class EmptyKey(toys.RoomsGame):
    def state_key(self):
        return ""


@breaks("snapshots")
class ForgetsState(toys.RoomsGame):
    def save(self):
        return None

    def load(self, saved):
        self.state = toys.State(list(toys.ROOMS))


@breaks("snapshots")
class StateOutsideState(toys.RoomsGame):
    def start(self, task, rng):
        self.count = 0
        return super().start(task, rng)

    def act(self, action):
        self.count = getattr(self, "count", 0) + 1
        outcome = super().act(action)
        return Outcome(f"{self.count}", outcome.components, outcome.terminal, outcome.executable, outcome.success)


@breaks("forks")
class ForkSharesState(toys.RoomsGame):
    def save(self):
        return self.state

    def load(self, saved):
        self.state = saved


@breaks("rewards")
class OutOfRange(toys.RoomsGame):
    def act(self, action):
        outcome = super().act(action)
        return Outcome(outcome.observation, {"sighted": 7.0}, outcome.terminal, outcome.executable, outcome.success)


@breaks("rewards")
class Undeclared(toys.RoomsGame):
    def act(self, action):
        outcome = super().act(action)
        return Outcome(
            outcome.observation,
            {**outcome.components, "bonus": 1.0},
            outcome.terminal,
            outcome.executable,
            outcome.success,
        )


@breaks("budgets")
class JunkTerminates(toys.RoomsGame):
    max_turns = 8

    def reject(self, problem):
        raise SystemError("junk ended it")


class _Helpless(toys.RoomsExpert):
    def act(self):
        return self.mistake(toys.rng_of(0))


@breaks("expert")
class ExpertFails(toys.RoomsGame):
    expert = "conformance.broken:_Helpless"


class _Unreadable(toys.RoomsExpert):
    def mistake(self, rng):
        from agentgym import Action

        return Action("fly", {"room": "x"})


@breaks("mistakes")
class MistakesUnreadable(toys.RoomsGame):
    expert = "conformance.broken:_Unreadable"


def peek():
    """Knows what no agent may know: the sorted list happens to begin with the answer."""
    return lambda observation, rng: f"answer[{observation.split('Rooms: ')[1].split(',')[0]}]"


@breaks("cheats")
class CheatPays(toys.RoomsGame):
    cheats = {"peek": "conformance.broken:peek"}

    def start(self, task, rng):
        super().start(task, rng)
        return Observation(f"Rooms: {', '.join(self.state.rooms)}")


@breaks("cheats")
class NoCheats(toys.RoomsGame):
    cheats = {}


@breaks("render_and_close")
class NoRender(toys.RoomsGame):
    def render(self):
        return ""


@breaks("render_and_close")
class ClosesOnce(toys.RoomsGame):
    closed = False

    def close(self):
        if self.closed:
            raise RuntimeError("closed twice")
        self.closed = True


@breaks("processes")
class Clock(toys.RoomsGame):
    def start(self, task, rng):
        super().start(task, rng)
        return Observation(str(time.time()))
