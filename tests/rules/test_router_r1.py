import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentgym.rules.router_r1 import CostWindow, format_score, outcome_reward

from .texts import ANSWERS, MODEL_OUTPUT

SEARCH = "<search>qwen: who was it?</search><information>him</information>"
GOOD = f"<think>hm</think>{SEARCH}<think>so</think><answer>him</answer>"
COSTS = st.lists(st.floats(0, 1e6), max_size=30)


def _known(name):
    return name == "qwen"


@pytest.mark.parametrize("text", [GOOD, f" {GOOD}\n", "<think>x</think><answer>a</answer>"])
def test_well_formed(text):
    assert format_score(text, is_model=_known) == 0.0


@pytest.mark.parametrize(
    "text",
    [
        "",
        "him",
        GOOD + "x",
        "x" + GOOD,
        GOOD + "<answer>b</answer>",
        GOOD.replace("<think>hm</think>", "<think>...</think>"),
        GOOD.replace("<think>hm</think>", "<think> </think>"),
        GOOD.replace("<information>him</information>", ""),
        GOOD.replace("</information>", ""),
        GOOD.replace("him</information>", "<think></information>"),
        GOOD.replace("qwen:", "gpt:"),
        GOOD.replace("qwen: who was it?", "who was it?"),
        GOOD.replace("qwen: who", "qwen: why: who"),
        GOOD.replace("who was it?", ""),
        GOOD.replace("who was it?", "ask Qwen"),
        GOOD.replace("who was it?", "your-query"),
    ],
)
def test_malformed(text):
    assert format_score(text, is_model=_known) == -1.0


@given(MODEL_OUTPUT, ANSWERS, st.floats(0, 1), st.floats(0, 1), st.sampled_from(["f1", "em"]))
def test_any_output_gets_a_reward_in_range(text, answers, cost_reward, cost_weight, metric):
    form = format_score(text, is_model=_known)
    score = outcome_reward(
        text, answers, format_score=form, cost_reward=cost_reward, cost_weight=cost_weight, metric=metric
    )
    assert form in (0.0, -1.0)
    assert (score.reward == -1.0) if form else (0.0 <= score.reward <= 1.0)
    if not score.metric and not form:
        assert score.reward == 0.0  # cheapness never pays for a wrong answer


def test_a_bad_weight_is_refused():
    with pytest.raises(ValueError, match="cost_weight"):
        outcome_reward("", "x", cost_weight=1.5)


@given(COSTS, st.sampled_from(["sqrt", "log", "none"]))
def test_cheaper_is_never_worse(costs, transform):
    window = CostWindow(transform=transform)
    for cost in costs:
        assert 0.0 <= window.observe(cost) <= 1.0
    rewards = [window.score(cost) for cost in sorted(costs)]
    assert rewards == sorted(rewards, reverse=True)


@given(COSTS, COSTS, st.integers(1, 8))
def test_a_restored_window_goes_on_where_it_was(before, after, size):
    window = CostWindow(size=size)
    for cost in before:
        window.add(cost)
    restored = CostWindow.from_dict(json.loads(json.dumps(window.to_dict())))
    assert restored == window
    assert [restored.observe(cost) for cost in after] == [window.observe(cost) for cost in after]
    assert len(window.values) <= size


@given(COSTS, st.randoms(use_true_random=False))
def test_adding_before_scoring_makes_rewards_independent_of_order(costs, random):
    def rewards(order):
        window = CostWindow()
        for cost in order:
            window.add(cost)
        return [window.score(cost) for cost in costs]

    assert rewards(costs) == pytest.approx(rewards(random.sample(costs, len(costs))))


def test_window_by_hand():
    window = CostWindow(low=0.0, high=1.0, transform="none")
    assert window.score(3) == 0.5  # nothing to compare with
    assert window.observe(10) == 0.5  # no spread yet
    assert window.observe(20) == 0.0
    assert window.score(12) == pytest.approx(0.8)
    assert CostWindow(values=[4.0, 4.0]).score(100.0) == 0.5
    root = CostWindow(low=0.0, high=1.0)
    root.add(0)
    root.add(100)
    assert root.score(25) == pytest.approx(1 - math.sqrt(25) / 10)
    low, high = np.percentile([0.0, 1.0, 5.0], [5, 95])
    usual = CostWindow(transform="none", values=[0.0, 1.0, 5.0])
    assert usual.score(1.0) == pytest.approx(1 - (1.0 - low) / (high - low))


@pytest.mark.parametrize("bad", [{"low": 0.9, "high": 0.1}, {"size": 0}, {"transform": "cube"}])
def test_bad_windows_are_refused(bad):
    with pytest.raises(ValueError):
        CostWindow(**bad)


@pytest.mark.parametrize("cost", [-1.0, math.nan, math.inf])
def test_bad_costs_are_refused(cost):
    with pytest.raises(ValueError, match="cost"):
        CostWindow().observe(cost)
