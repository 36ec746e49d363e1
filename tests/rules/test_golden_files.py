"""Every golden file of a rule, through the adapter that the golden runner uses."""

import json
from pathlib import Path

import pytest

from agentgym.rules.goldens import ADAPTERS

GOLDEN = Path(__file__).parents[1] / "golden"


def _cases():
    for key, adapter in ADAPTERS.items():
        file, _, prefix = key.rstrip("*").partition(":")
        cases = json.loads((GOLDEN / f"{file}.json").read_text())["cases"]
        chosen = [(i, case) for i, case in enumerate(cases) if case.get("name", "").startswith(prefix)]
        assert chosen, f"{key} matches no case"
        for index, case in chosen:
            yield pytest.param(adapter, case, id=f"{file}-{case.get('name', index)}")


def _approx(value):
    return value if isinstance(value, str) else pytest.approx(value, rel=1e-6, abs=1e-6)


def _flat(value):
    return [leaf for item in value for leaf in _flat(item)] if isinstance(value, list) else [value]


@pytest.mark.parametrize(("adapter", "case"), list(_cases()))
def test_reference_outputs(adapter, case):
    found = adapter(case["inputs"])
    for name, expected in case["outputs"].items():
        got = found[name] if isinstance(found[name], list) else [found[name]]
        assert _flat(got) == [_approx(value) for value in _flat(expected if isinstance(expected, list) else [expected])]


def test_a_wrong_number_would_be_noticed():
    case = json.loads((GOLDEN / "toolrl_match_score.json").read_text())["cases"][4]
    assert ADAPTERS["toolrl_match_score"]({**case["inputs"], "b": ["z"]})["score"] != pytest.approx(
        case["outputs"]["score"]
    )
