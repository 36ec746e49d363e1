"""What takes minutes: every bundled task, third-party packages (fetched by pip), many episodes. `make test-sandboxes`."""

import gc
import os
import threading
from pathlib import Path

import pytest

from agentgym.core.env import AgentEnv
from agentgym.core.registry import load
from agentgym.core.seeding import derive_rng
from agentgym.environments.swe import audit, tasks
from agentgym.environments.swe.checkout import Checkouts
from agentgym.environments.swe.game import SWEGame
from agentgym.testing.walk import Trace, expertly, play

GAME = "agentgym.environments.swe.game:SWEGame"
MANIFEST = tasks.load("manifest")
ONE_EACH = [
    next(bug.instance_id for bug in MANIFEST.bugs.values() if bug.package == key)
    for key in sorted({bug.package for bug in MANIFEST.bugs.values()})
]


def _mistaken(seed: int) -> Trace:
    """An episode of the expert that errs in every third turn."""
    env, rng = AgentEnv(GAME), derive_rng("side by side", seed)
    trace = play(env, seed, ())
    while env.running:
        play(env, seed, [env.expert_message(mistake_rate=0.3, rng=rng)], trace=trace)
    env.close()
    return trace


def test_sixteen_episodes_side_by_side_are_as_alone(checkouts: Checkouts) -> None:
    together: dict[int, Trace] = {}

    def run(seed: int) -> None:
        together[seed] = _mistaken(seed)

    threads = [threading.Thread(target=run, args=(seed,)) for seed in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(together) == list(range(16))
    for seed in range(16):
        alone = _mistaken(seed)
        assert alone.messages == together[seed].messages and alone.digest() == together[seed].digest(), seed
    assert sum(trace.success for trace in together.values()) >= 12


def test_the_expert_reaches_full_reward_on_every_bundled_task(checkouts: Checkouts) -> None:
    env = AgentEnv(GAME)
    for task_id in tasks.load("bundled").bugs:
        trace = play(env, 0, expertly(env), task_id=task_id)
        assert trace.success and trace.components[-1]["test_share"] == trace.components[-1]["submission"] == 1.0, (
            task_id
        )
    env.close()


@pytest.mark.parametrize("instance_id", ONE_EACH)
def test_manifest_tasks_are_what_was_recorded(checkouts: Checkouts, instance_id: str) -> None:
    (found,) = audit.rebuild("manifest", [instance_id])
    assert not found.problem, found.problem


@pytest.mark.parametrize("instance_id", ONE_EACH)
def test_the_expert_solves_a_task_of_every_package(checkouts: Checkouts, instance_id: str) -> None:
    env = AgentEnv(GAME, tasks="manifest")
    trace = play(env, 0, expertly(env), task_id=instance_id)
    assert trace.success and sum(trace.rewards) > 1.0, trace.observations[-1]
    env.close()


@pytest.mark.parametrize("name", SWEGame.cheats)
def test_cheats_earn_nothing_under_pytest(checkouts: Checkouts, name: str) -> None:
    bugs = [bug for bug in MANIFEST.bugs.values() if bug.package == "toolz-1.2.0"]
    bug = next(bug for bug in bugs if len(bug.hidden) < len(bug.fail_to_pass))
    env = AgentEnv(GAME, tasks="manifest")
    cheat, rng = load(SWEGame.cheats[name])(), derive_rng(0, name)
    observation, _ = env.reset(seed=0, options={"task_id": bug.instance_id})
    total, info = 0.0, {}
    while env.running:
        observation, reward, _, _, info = env.step(cheat(observation, rng))
        total += float(reward)
    assert not info["success"] and info["rewards"]["test_share"] == 0.0 and total <= 0.0
    env.close()


def _footprint() -> tuple[int, int, int]:
    """Resident MiB, open files, threads."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return (
        pages * os.sysconf("SC_PAGE_SIZE") >> 20,
        len(list(Path("/proc/self/fd").iterdir())),
        threading.active_count(),
    )


def test_many_episodes_leave_nothing(checkouts: Checkouts) -> None:
    env = AgentEnv(GAME)

    def episodes(first: int, count: int) -> None:
        for seed in range(first, first + count):
            play(env, seed, expertly(env))
        gc.collect()

    episodes(0, 10)
    memory, files, threads = _footprint()
    episodes(10, 30)
    now = _footprint()
    assert now[0] <= memory + 16 and now[1] <= files and now[2] <= threads, (memory, files, threads, now)
    env.close()
