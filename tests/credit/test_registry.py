"""What the registry says about the methods is true."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest

from agentgym.credit import COLUMNS, METHODS, RECIPES, CreditError, Norm, find, make, method_names
from agentgym.credit.registry import register
from credit.batches import random_batch

BATCH = random_batch(1, groups=3, largest=4)
BATCH = BATCH.with_columns({"process_reward": np.nan_to_num(BATCH.extra["process_reward"])})


@pytest.mark.parametrize("name", METHODS)
def test_entries_are_complete(name):
    info = METHODS[name]
    assert info.name == name
    assert info.summary.endswith(".")
    assert info.paper
    assert info.population
    assert "=" in info.doc, "the docstring has the equation"
    assert "Args:" in info.doc or not info.parameters
    assert all(f"{key}={value!r}" in info.default for key, value in info.parameters.items())
    for parameter in info.parameters:
        assert f"    {parameter}:" in info.doc, f"{parameter} is undocumented"
    for preset, values in info.presets.items():
        assert values.keys() <= info.parameters.keys(), preset
        assert make(preset) != make(name), "a preset changes something"


@pytest.mark.parametrize("name", METHODS)
def test_a_method_needs_exactly_the_columns_that_it_names(name):
    needs = METHODS[name].needs
    optional = {column for column in needs if column != "outcome"}
    bare = dataclasses.replace(BATCH, extra={column: BATCH.extra[column] for column in optional})
    if "outcome" not in needs and "reward" in METHODS[name].parameters:
        make(name, reward="return")(bare)
    else:
        make(name)(bare)
    for column in optional:
        without = dataclasses.replace(bare, extra={key: value for key, value in bare.extra.items() if key != column})
        with pytest.raises(CreditError, match=f"lacks the column '{column}'"):
            make(name)(without)


def test_names_are_unique_and_resolve():
    names = method_names()
    assert len(names) == len(set(names))
    for name in names:
        info, preset = find(name)
        assert make(name) == info.factory(**preset)


def test_unknown_names_and_parameters_are_refused_with_a_suggestion():
    with pytest.raises(CreditError, match=r"Unknown credit method 'gigo'\. Did you mean 'gigpo'"):
        make("gigo")
    with pytest.raises(CreditError, match=r"'gigpo' has no parameter 'gama'\. Did you mean 'gamma'"):
        make("gigpo", gama=1.0)
    with pytest.raises(CreditError, match="already registered"):
        register("grpo", summary="", paper="")(object)
    with pytest.raises(CreditError, match="Unknown column 'ancor'"):
        register("new", summary="", paper="", needs=("ancor",))(object)


def test_a_norm_may_come_from_a_configuration_file():
    assert make("grpo", norm={"eps": 1e-4}) == make("grpo_trl")
    with pytest.raises(CreditError, match=r"Norm.scale is 'std'; expected one of"):
        make("grpo", norm={"scale": "std"})
    with pytest.raises(CreditError, match=r"Norm\.eps is -1\.0; expected a number in \[0, inf\]"):
        Norm(eps=-1.0)


WRONG = [
    (name, parameter)
    for name, info in METHODS.items()
    for parameter, value in info.parameters.items()
    if isinstance(value, str)
]


@pytest.mark.parametrize(("name", "parameter"), WRONG)
def test_a_choice_that_does_not_exist_is_refused(name, parameter):
    with pytest.raises(CreditError, match=rf"\.{parameter} is 'nonsense'; expected one of"):
        make(name, **{parameter: "nonsense"})


@pytest.mark.parametrize("name", [name for name, info in METHODS.items() if "gamma" in info.parameters])
def test_a_discount_outside_its_range_is_refused(name):
    with pytest.raises(CreditError, match=r"gamma is 1\.5; expected a number in \[0, 1\]"):
        make(name, gamma=1.5)


def test_recipes_name_registered_methods():
    assert all(recipe.method in METHODS for recipe in RECIPES.values())
    assert len(COLUMNS) == len(set(COLUMNS))


def test_importing_credit_loads_numpy_alone():
    code = "import sys; before = set(sys.modules); import agentgym.credit; print(*sorted(set(sys.modules) - before))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "pyarrow", "typer", "rich"} & {name.split(".")[0] for name in loaded}
