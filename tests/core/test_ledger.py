"""The ledger: both views agree, and every rule does what its source says."""

import math
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentgym import (
    Component,
    Condition,
    Floor,
    Gate,
    Ledger,
    Level,
    Posterior,
    Renorm,
    RewardScheme,
    Schedule,
    accumulate,
    hierarchy,
    rescore,
)
from agentgym.core.errors import ConfigError, Fault
from agentgym.core.rewards import default_schemes

WEIGHTS = {"outcome": 1.0, "step": 0.5, "format": 0.25, "cost": 0.1}


def scheme(*rules, weights=None):
    return RewardScheme("test", weights or WEIGHTS, rules)


def run(scheme, turns, end="terminated", progress=0.0):
    ledger = Ledger(scheme, progress)
    for i, turn in enumerate(turns):
        ledger.add(turn, end if i == len(turns) - 1 else None)
    return ledger


def test_a_gate_holds_then_releases():
    gate = accumulate(["step"], on="outcome", at_least=1.0)
    ledger = Ledger(scheme(gate))
    assert ledger.add({"step": 1.0, "cost": -1.0}) == pytest.approx(-0.1)
    assert ledger.gates == {"accumulate": "pending"}
    # opening pays what was held (0.5) with this turn's own rewards
    assert ledger.add({"step": 1.0, "outcome": 1.0}) == pytest.approx(0.5 + 0.5 + 1.0)
    assert ledger.add({"step": 1.0}, "terminated") == pytest.approx(0.5)
    assert ledger.attributed == pytest.approx([0.4, 1.5, 0.5])
    assert [entry.paid_turn for entry in ledger.entries if entry.component == "step"] == [1, 1, 2]


def test_a_gate_that_never_opens_drops():
    gate = accumulate(["step"], on="outcome", at_least=1.0)
    ledger = run(scheme(gate), [{"step": 1.0}, {"step": 1.0, "outcome": 0.9}])
    assert ledger.total == pytest.approx(0.9)
    assert ledger.attributed == pytest.approx([0.0, 0.9])
    assert {entry.status for entry in ledger.entries if entry.component == "step"} == {"dropped"}
    assert ledger.entries[0].held_by == "accumulate"


@pytest.mark.parametrize(("strict", "paid"), [(False, 0.5), (True, 0.0)])
def test_strictness_at_the_threshold(strict, paid):
    gate = accumulate(["step"], on="outcome", at_least=0.5, strict=strict)
    ledger = run(scheme(gate, weights={"step": 0.5}), [{"step": 1.0, "outcome": 0.5}])
    assert ledger.total == paid


def test_truncation_closes_a_gate_that_is_not_open():
    last = Gate("last", ("step",), (Condition("outcome", 0.5, "last"),))
    turns = [{"step": 1.0, "outcome": 1.0}]
    assert run(scheme(last, weights={"step": 1.0}), turns, "terminated").total == 1.0
    assert run(scheme(last, weights={"step": 1.0}), turns, "truncated").total == 0.0


def test_levels_of_a_hierarchy():
    levels = [
        Level(("format",), (Condition("format", 1.0, "min"),)),
        Level(("outcome",), (Condition("outcome", 1.0),)),
        Level(("step",), ()),
    ]
    rules = hierarchy(levels)
    weights = {"format": 1.0, "outcome": 10.0, "step": 100.0}
    assert run(scheme(*rules, weights=weights), [{"format": 1, "outcome": 1, "step": 1}]).total == 111.0
    assert run(scheme(*rules, weights=weights), [{"format": 1, "outcome": 0, "step": 1}]).total == 1.0
    assert run(scheme(*rules, weights=weights), [{"format": 0}, {"format": 1, "outcome": 1, "step": 1}]).total == 1.0


def test_posterior_multiplies_by_the_outcome():
    rule = Posterior("posterior", ("step",), "outcome")
    turns = [{"step": 0.8, "format": 1.0}, {"outcome": 0.5}]
    ledger = run(scheme(rule, weights={"step": 1, "format": 1, "outcome": 1}), turns)
    assert ledger.attributed == pytest.approx([1.4, 0.5])
    assert ledger.causal == pytest.approx([1.0, 0.9])
    hard = Posterior("posterior", ("step",), "outcome", at_least=0.6)
    assert run(scheme(hard, weights={"step": 1}), turns).total == 0.0


def test_renorm_is_positive_only_beside_a_good_outcome():
    rule = Renorm("renorm", ("step",), "outcome")
    weights = {"step": 1.0}
    good = run(scheme(rule, weights=weights), [{"step": 0.7}, {"step": 0.2, "outcome": 1.0}])
    bad = run(scheme(rule, weights=weights), [{"step": 0.7}, {"step": 0.2}])
    assert good.attributed == pytest.approx([0.7, 0.2])
    assert bad.attributed == pytest.approx([-0.3, -0.8])
    assert good.causal == pytest.approx([0.0, 0.9])


def test_a_schedule_follows_the_progress_of_the_reset():
    rule = Schedule("anneal", ("step",), 1.0, 0.0)
    for progress, total in ((0.0, 1.0), (0.25, 0.75), (1.0, 0.0)):
        assert run(scheme(rule, weights={"step": 1.0}), [{"step": 1.0}], progress=progress).total == total


@pytest.mark.parametrize("end", ["terminated", "truncated"])
def test_a_broken_bottom_line_sets_the_total(end):
    rule = Floor("bottom line", (Condition("format", 1.0, "min"),), -2.0)
    broken = run(scheme(rule), [{"format": 1, "step": 1}, {"format": 0, "outcome": 1}], end)
    assert broken.total == -2.0
    assert broken.attributed == [0.0, -2.0]
    kept = run(scheme(rule), [{"format": 1, "step": 1}, {"format": 1, "outcome": 1}], end)
    assert kept.total == pytest.approx(0.25 * 2 + 0.5 + 1.0)
    assert kept.causal[0] == 0.0, "nothing is paid before the line is known to hold"


def test_closing_from_outside_pays_in_the_last_turn():
    ledger = Ledger(scheme(Renorm("renorm", ("step",), "outcome"), weights={"step": 1.0}))
    ledger.add({"step": 0.25})
    assert ledger.close("truncated") == -0.75
    assert ledger.causal == [-0.75]
    assert ledger.close("truncated") == 0.0
    with pytest.raises(ConfigError, match="closed"):
        ledger.add({"step": 1.0})


def test_an_episode_without_turns_pays_nothing():
    ledger = Ledger(scheme(Floor("floor", (Condition("format", 1.0),), -1.0)))
    assert ledger.close("truncated") == 0.0
    assert ledger.total == 0.0


def test_values_must_be_finite():
    with pytest.raises(Fault, match="step"):
        Ledger(scheme()).add({"step": math.nan})


COMPONENTS = st.dictionaries(st.sampled_from(list(WEIGHTS)), st.floats(-2, 2, allow_nan=False), max_size=4)
CONDITIONS = st.builds(
    Condition,
    st.sampled_from(list(WEIGHTS)),
    st.floats(-2, 2),
    st.sampled_from(["max", "sum", "min", "mean", "last"]),
    st.booleans(),
)
COUNTS = st.lists(st.sampled_from(list(WEIGHTS)), max_size=4, unique=True).map(tuple)
RULES = st.one_of(
    st.builds(Gate, st.just("gate"), COUNTS, st.lists(CONDITIONS, max_size=2).map(tuple)),
    st.builds(Posterior, st.just("posterior"), COUNTS, st.sampled_from(list(WEIGHTS)), st.none() | st.floats(-1, 1)),
    st.builds(Renorm, st.just("renorm"), COUNTS, st.sampled_from(list(WEIGHTS))),
    st.builds(Schedule, st.just("schedule"), COUNTS, st.floats(-1, 1), st.floats(-1, 1)),
    st.builds(Floor, st.just("floor"), st.lists(CONDITIONS, max_size=2).map(tuple), st.floats(-2, 2)),
)
SCHEMES = st.lists(RULES, max_size=5, unique_by=lambda rule: rule.name).map(lambda rules: scheme(*rules))


@given(
    SCHEMES, st.lists(COMPONENTS, min_size=1, max_size=8), st.sampled_from(["terminated", "truncated"]), st.floats(0, 1)
)
def test_causal_and_attributed_totals_agree(scheme, turns, end, progress):
    live = run(scheme, turns, end, progress)
    assert math.fsum(live.causal) == pytest.approx(math.fsum(live.attributed), abs=1e-9)
    again = rescore(turns, scheme, end, progress=progress)
    assert again.attributed == live.attributed
    assert again.gates == live.gates
    assert all(entry.status != "held" for entry in live.entries)


@given(SCHEMES)
def test_schemes_survive_their_dict(scheme):
    assert RewardScheme.from_dict(scheme.to_dict()) == scheme
    assert pickle.loads(pickle.dumps(scheme)) == scheme


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"weights": {}}, "needs 'name'"),
        ({"name": "x", "weights": {"a": "b"}}, "could not convert|needs"),
        ({"name": "x", "weights": {}, "rules": [{"kind": "gat"}]}, "Did you mean 'gate'"),
        ({"name": "x", "weights": {}, "rules": [{"kind": "gate", "nam": 1}]}, "Did you mean 'name'"),
        ({"name": "x", "weights": {}, "rules": [{"kind": "renorm", "name": "r"}]}, "needs the fields"),
    ],
)
def test_bad_schemes_say_what_is_wrong(data, message):
    with pytest.raises((ConfigError, ValueError), match=message):
        RewardScheme.from_dict(data)


def test_a_scheme_may_only_name_what_is_emitted():
    components = (Component("outcome", "outcome", 0, 1, ""), Component("step", "process", 0, 1, ""))
    with pytest.raises(ConfigError, match="Did you mean 'outcome'"):
        RewardScheme("x", {"outcom": 1.0}).check(components)
    with pytest.raises(ConfigError, match="'format'"):
        scheme(accumulate(["step"], on="format", at_least=1), weights={"step": 1}).check(components)


def test_derived_schemes_gate_shaping_by_the_outcome():
    schemes = default_schemes((Component("done", "outcome", 0, 1, ""), Component("step", "process", 0, 1, "")))
    assert run(schemes["gated"], [{"step": 1.0}]).total == 0.0
    assert run(schemes["gated"], [{"step": 1.0, "done": 1.0}]).total == 2.0
    assert run(schemes["dense"], [{"step": 1.0}]).total == 1.0
    assert run(schemes["outcome"], [{"step": 1.0, "done": 1.0}]).total == 1.0
