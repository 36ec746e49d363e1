"""Repeats what a builder found: plants each bug from its recipe in a clean sandbox, compares which tests fail, and
grades the fix."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from agentgym.core.errors import AgentGymError
from agentgym.core.seeding import derive_rng
from agentgym.environments.swe import fetch, tasks
from agentgym.environments.swe.bugs import Bug
from agentgym.environments.swe.checkout import Checkouts
from agentgym.environments.swe.grading import grade, run_changed, test_files
from agentgym.sandboxes import Sandbox


@dataclass(frozen=True, slots=True)
class Audit:
    """What came of repeating one task."""

    instance_id: str
    fail_to_pass: int
    pass_to_pass: int
    problem: str
    """How it differs from what is recorded; empty when it doesn't."""


def sample(source: str, count: int, seed: int = 0) -> list[str]:
    """Ids of that many tasks of a dataset, or of all (0), in the dataset's order."""
    ids = sorted(tasks.load(source).bugs)
    if not 0 < count < len(ids):
        return ids
    chosen = derive_rng("swe audit", seed).choice(len(ids), count, replace=False)
    return [ids[i] for i in sorted(chosen.tolist())]


def rebuild(source: str, instance_ids: Sequence[str], backend: str = "auto") -> Iterator[Audit]:
    """Repeats tasks one after the other, in sandboxes of their own: without the bug, with it, with the fix graded."""
    dataset = tasks.load(source)
    checkouts = Checkouts(backend)
    try:
        for instance_id in instance_ids:
            bug = dataset.bugs[instance_id]
            keep = dataset.pass_to_pass(bug)
            try:
                problem = _difference(dataset, bug, keep, checkouts)
            except AgentGymError as error:
                problem = str(error)
            yield Audit(instance_id, len(bug.fail_to_pass), len(keep), problem)
    finally:
        checkouts.close()


def _difference(dataset: tasks.Dataset, bug: Bug, keep: frozenset[str], checkouts: Checkouts) -> str:
    package = dataset.package(bug)
    pristine = fetch.files_of(package)
    paths = test_files(package, dataset.passing[bug.package])
    failed: list[set[str]] = []
    for planted in ({}, {bug.path: tasks.plant(bug, package)}):
        with checkouts.open(package, pristine, fetch.environment_of(package)) as sandbox:
            files = {path: pristine[path] for path in paths}
            report, suspicious = run_changed(sandbox, package, files, planted, paths)
        if suspicious:
            return suspicious
        failed.append({test for test in dataset.passing[bug.package] if report.outcomes.get(test) != "passed"})
    if failed[0]:
        return f"without the bug {len(failed[0])} recorded tests fail, {min(failed[0])} among them"
    if failed[1] != set(bug.fail_to_pass):
        other = min(failed[1] ^ set(bug.fail_to_pass))
        return f"{len(failed[1])} tests fail, {len(bug.fail_to_pass)} are recorded; {other} differs"
    return _ungraded(dataset, bug, keep, checkouts)


def _ungraded(dataset: tasks.Dataset, bug: Bug, keep: frozenset[str], checkouts: Checkouts) -> str:
    """Why the fix does not solve the task; empty when it does."""
    package = dataset.package(bug)
    pristine = fetch.files_of(package)

    def fresh() -> Sandbox:
        return checkouts.open(package, pristine, fetch.environment_of(package))

    fix = {bug.path: pristine[bug.path]}
    verdict = grade(fresh, package, bug, pristine, tasks.plant(bug, package), fix, keep)
    missing = set(bug.fail_to_pass) - verdict.passed
    return (
        "" if verdict.solved else f"the fix is not accepted: {verdict.suspicious or min(missing | set(verdict.broken))}"
    )
