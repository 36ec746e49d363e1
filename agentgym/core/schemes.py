"""Published ways to combine rewards, as schemes for any environment's components.

Each function takes component names and returns a ``RewardScheme``. ``agentgym credit list`` shows them as recipes, with
a credit method each (``agentgym.credit.RECIPES``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agentgym.core.errors import ConfigError
from agentgym.core.rewards import Condition, Floor, Level, Posterior, Renorm, RewardScheme, Schedule, hierarchy


def gra(
    levels: Sequence[Sequence[str]],
    thresholds: Sequence[float],
    *,
    strict: bool = False,
    weights: Mapping[str, float] | None = None,
    name: str = "gra",
) -> RewardScheme:
    """Gated reward accumulation (G-RA, arXiv 2508.10548): level k counts only if every higher level reaches its gate.

    Args:
        levels: Component names, highest priority first.
        thresholds: Gate value of each level but the last; a component's largest value so far is compared.
        strict: Whether the value must be above the threshold. The paper leaves that open.
        weights: Of the components; 1 where not given.
    """
    if len(thresholds) != len(levels) - 1:
        raise ConfigError(
            f"G-RA needs a threshold for each level but the last: {len(levels)} levels, {len(thresholds)}."
        )
    conditions = [
        tuple(Condition(component, threshold, strict=strict) for component in level)
        for level, threshold in zip(levels, thresholds, strict=False)
    ]
    built = [Level(tuple(level), passes) for level, passes in zip(levels, [*conditions, ()], strict=True)]
    return RewardScheme(name, _weights(levels, weights), hierarchy(built, name=name))


GRA_SWE_LEVELS = {"no submission": -1.0, "empty patch": -0.5, "tests fail": 0.0, "tests pass": 1.0}
"""The four outcomes of the paper's SWE environment, which prints no values; these keep its order and its gate."""


def gra_swe(outcome: str, steps: Sequence[str]) -> RewardScheme:
    """G-RA's SWE preset: rewards of single steps count only once a patch that isn't empty was submitted.

    ``outcome`` takes the values of ``GRA_SWE_LEVELS``.
    """
    return gra([[outcome], steps], [GRA_SWE_LEVELS["tests fail"]], name="gra_swe")


def hrm(levels: Sequence[Level], *, weights: Mapping[str, float] | None = None) -> RewardScheme:
    """Hierarchical reward model (ChatShopBuddy, arXiv 2603.06065): a level counts only if every higher one passes.

    For example correctness, then persuasiveness; outcome, then tool efficiency.
    """
    return RewardScheme("hrm", _weights([level.components for level in levels], weights), hierarchy(levels, name="hrm"))


def searchllm(
    bottom_lines: Sequence[Condition],
    objectives: Sequence[str],
    *,
    floor: float = -1.0,
    weights: Mapping[str, float] | None = None,
) -> RewardScheme:
    """Gated aggregation (SearchLLM, arXiv 2603.10473): a broken bottom line gives the floor, else objectives add up."""
    return RewardScheme(
        "searchllm", _weights([objectives], weights), (Floor("bottom line", tuple(bottom_lines), floor),)
    )


def ppr(process: str, outcome: str, *, outcome_weight: float = 1.0) -> RewardScheme:
    """PPR with ReNorm (arXiv 2509.25598): r_p + r_o - 1 a step, and the outcome at the end."""
    return RewardScheme("ppr", {process: 1.0, outcome: outcome_weight}, (Renorm("renorm", (process,), outcome),))


def posterior_grpo(form: str, outcome: str, process: str) -> RewardScheme:
    """Posterior-GRPO (arXiv 2508.05170): R = R_f + R_o + R_o R_t."""
    return RewardScheme(
        "posterior_grpo", {form: 1.0, outcome: 1.0, process: 1.0}, (Posterior("posterior", (process,), outcome),)
    )


def atom_searcher(process: str, outcome: str, *, start: float = 0.5) -> RewardScheme:
    """Atom-Searcher (arXiv 2508.12800): the process weight falls from ``start`` to 0, the outcome's rises to 1."""
    return RewardScheme(
        "atom_searcher",
        {process: 1.0, outcome: 1.0},
        (Schedule("process fades", (process,), start, 0.0), Schedule("outcome grows", (outcome,), 1.0 - start, 1.0)),
    )


def toolrl(form: str, correctness: str) -> RewardScheme:
    """ToolRL's schedule (arXiv 2504.13958, ``SCHEDULEREWARD``): format from 2 down to 1, correctness from 2 up to 3.

    For components of unit range; progress 1 is the release's step 150.
    """
    return RewardScheme(
        "toolrl",
        {form: 1.0, correctness: 1.0},
        (Schedule("format fades", (form,), 2.0, 1.0), Schedule("correctness grows", (correctness,), 2.0, 3.0)),
    )


def _weights(levels: Sequence[Sequence[str]], given: Mapping[str, float] | None) -> dict[str, float]:
    names = [component for level in levels for component in level]
    unknown = [name for name in given or {} if name not in names]
    if unknown:
        raise ConfigError(f"Weights are given for {', '.join(unknown)}, which no level names.")
    return {component: (given or {}).get(component, 1.0) for component in names}
