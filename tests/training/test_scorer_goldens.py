import json
from pathlib import Path

import numpy as np
import pytest

from agentgym.credit.kernels.implicit import implicit_step_reward
from agentgym.training.goldens import ADAPTERS

GOLDEN = Path(__file__).parent.parent / "golden"
NOT_OURS = "gradient_reaches_parameters_in_update_rm_eto"  # shows the release's bug: its reward model gets no gradient


def _cases():
    for name in ADAPTERS:
        for case in json.loads((GOLDEN / f"{name}.json").read_text())["cases"]:
            if case.get("name") != NOT_OURS:
                yield pytest.param(name, case, id=f"{name}-{case.get('name')}")


@pytest.mark.parametrize(("name", "case"), list(_cases()))
def test_golden(name, case):
    found = ADAPTERS[name](case["inputs"])
    for key, expected in case["outputs"].items():
        assert np.abs(np.asarray(found[key]) - np.asarray(expected)).max() < 1e-5, key


def test_step_rewards_of_the_release_are_the_kernel_s():
    (case,) = json.loads((GOLDEN / "istar_step_reward.json").read_text())["cases"]
    ratio = np.array(case["inputs"]["token_logratio_q"])
    mask = np.array(case["inputs"]["response_mask"], dtype=bool)
    rows, width = ratio.shape
    start = np.arange(rows) * width
    reward = implicit_step_reward(
        ratio.ravel(), np.zeros(ratio.size), mask.ravel(), start, start + width, case["inputs"]["beta"]
    )
    assert np.abs(reward - np.array(case["outputs"]["step_rewards"]).sum(-1)).max() < 1e-6
