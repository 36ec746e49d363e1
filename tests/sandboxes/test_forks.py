"""Random writes on both sides of forks and snapshots, against plain dictionaries that say what must be there."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from agentgym.sandboxes import open_sandbox
from agentgym.sandboxes.keeper import client
from agentgym.testing.sandboxes import SMALL
from tests.sandboxes.conftest import ALL, need

NAMES = st.sampled_from(["a", "b", "d/a", "d/b", "d/e/a", "f/a"])
WHO = st.integers(0, 3)


class Forks(RuleBasedStateMachine):
    """Up to four sandboxes that come of one another by forks, each with snapshots of its own."""

    backend = "bubblewrap"

    @initialize()
    def open(self) -> None:
        self.boxes = [open_sandbox(SMALL, self.backend)]
        self.wanted: list[dict[str, bytes]] = [{}]
        self.frozen: list[list[tuple[str, dict[str, bytes]]]] = [[]]
        self.touched: set[int] = {0}

    def pick(self, who: int) -> int:
        return who % len(self.boxes)

    @rule(who=WHO, name=NAMES, data=st.binary(max_size=20))
    def write(self, who: int, name: str, data: bytes) -> None:
        i = self.pick(who)
        self.boxes[i].write_file(name, data)
        self.wanted[i][name] = data

    @rule(who=WHO, name=NAMES)
    def append(self, who: int, name: str) -> None:
        """In place: a hard link in place of a copy would show it on both sides."""
        i = self.pick(who)
        if name in self.wanted[i]:
            assert self.boxes[i].exec(["sh", "-c", 'printf x >> "$1"', "sh", name]).ok
            self.wanted[i][name] += b"x"

    @rule(who=WHO, folder=st.sampled_from(["d", "d/e", "f"]))
    def remove(self, who: int, folder: str) -> None:
        i = self.pick(who)
        self.boxes[i].exec(["rm", "-rf", folder])
        self.wanted[i] = {name: data for name, data in self.wanted[i].items() if not name.startswith(f"{folder}/")}

    @rule(who=WHO)
    def rename(self, who: int) -> None:
        i = self.pick(who)
        if self.boxes[i].exec("test -d d && rm -rf f && mv d f").ok:
            kept = {name: data for name, data in self.wanted[i].items() if not name.startswith(("d/", "f/"))}
            moved = {f"f/{name[2:]}": data for name, data in self.wanted[i].items() if name.startswith("d/")}
            self.wanted[i] = {**kept, **moved}

    @rule(who=WHO)
    def snapshot(self, who: int) -> None:
        i = self.pick(who)
        self.frozen[i].append((self.boxes[i].snapshot(), dict(self.wanted[i])))

    @rule(who=WHO, which=st.integers(0, 9))
    def restore(self, who: int, which: int) -> None:
        i = self.pick(who)
        if self.frozen[i]:
            name, content = self.frozen[i][which % len(self.frozen[i])]
            self.boxes[i].restore(name)
            self.wanted[i] = dict(content)

    @precondition(lambda self: len(self.boxes) < 4)
    @rule(who=WHO, which=st.none() | st.integers(0, 9))
    def fork(self, who: int, which: int | None) -> None:
        i = self.pick(who)
        if which is None or not self.frozen[i]:
            self.boxes.append(self.boxes[i].fork())
            self.wanted.append(dict(self.wanted[i]))
        else:
            name, content = self.frozen[i][which % len(self.frozen[i])]
            self.boxes.append(self.boxes[i].fork(name))
            self.wanted.append(dict(content))
        self.frozen.append([])

    @precondition(lambda self: len(self.boxes) > 1)
    @rule(who=WHO)
    def close(self, who: int) -> None:
        i = self.pick(who)
        self.boxes.pop(i).close()
        del self.wanted[i], self.frozen[i]

    @invariant()
    def everyone_sees_its_own(self) -> None:
        for box, wanted in zip(getattr(self, "boxes", []), getattr(self, "wanted", []), strict=True):
            listed = box.exec("find . -type f -printf '%P\\n' | sort; cat $(find . -type f | sort)").stdout
            names = sorted(wanted)
            expected = "".join(f"{name}\n" for name in names).encode() + b"".join(wanted[name] for name in names)
            assert listed == expected

    def teardown(self) -> None:
        for box in getattr(self, "boxes", []):
            box.close()


class DockerForks(Forks):
    backend = "docker"


def play(machine: type[Forks], examples: int, steps: int) -> None:
    from hypothesis.stateful import run_state_machine_as_test

    checks = [HealthCheck.too_slow]
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples, stateful_step_count=steps, deadline=None, suppress_health_check=checks,
            derandomize=True, database=None,
        ),
    )  # fmt: skip


@pytest.fixture
def copies() -> Iterator[None]:
    """A keeper that makes plain copies, as on a host without overlays."""
    client.shut_down()
    os.environ["AGENTGYM_SNAPSHOTS"] = "copy"
    try:
        assert client.get().hello["snapshots"] == "copy"
        yield
    finally:
        del os.environ["AGENTGYM_SNAPSHOTS"]
        client.shut_down()


def test_forks_freeze_on_overlays() -> None:
    need("bubblewrap")
    play(Forks, 40 if ALL else 6, 15)


def test_forks_freeze_on_copies(copies: None) -> None:
    need("bubblewrap")
    play(Forks, 20 if ALL else 4, 15)


if ALL:

    def test_forks_freeze_in_docker() -> None:
        need("docker")
        play(DockerForks, 4, 10)
