"""The golden runner on the project's copies, and on broken ones."""

import json
from pathlib import Path

import pytest

from agentgym.testing import golden

FOLDER = Path(__file__).parents[1] / "golden" / "credit"
RESULTS = list(golden.run_folder(FOLDER))


@pytest.mark.parametrize("result", RESULTS, ids=lambda result: result.name)
def test_every_case_agrees(result):
    assert result.status in ("ok", "needs [train]"), f"{result.error} {result.remark}"


def test_no_credit_file_is_uncovered():
    assert {result.name.split(":")[0] for result in RESULTS} == {path.stem for path in FOLDER.glob("*.json")}
    assert not [result for result in RESULTS if result.status == "not covered"]


def write(folder, file, **case):
    (folder / f"{file}.json").write_text(json.dumps({"source": "a test", "cases": [case]}))


RLOO = {"token_level_rewards": [[0.0, 1.0], [0.0, 0.0]], "response_mask": [[1.0, 1.0], [1.0, 0.0]], "index": ["a", "a"]}


def test_a_miss_fails_the_run(tmp_path, capsys):
    write(tmp_path, "rloo", name="good", inputs=RLOO, outputs={"advantages": [[1.0, 1.0], [-1.0, 0.0]]})
    assert golden.main([str(tmp_path)]) == 0
    write(tmp_path, "rloo", name="bad", inputs=RLOO, outputs={"advantages": [[1.0, 1.0], [-1.001, 0.0]]})
    assert golden.main([str(tmp_path)]) == 1
    printed = capsys.readouterr().out
    assert "MISS           rloo:bad" in printed
    assert "-1 at (2,), expected -1.001" in printed


def test_masked_positions_must_be_exactly_zero(tmp_path):
    write(tmp_path, "rloo", name="masked", inputs=RLOO, outputs={"advantages": [[1.0, 1.0], [-1.0, 5.0]]})
    assert golden.main([str(tmp_path)]) == 0, "what the reference leaves on masked tokens doesn't count"


def test_a_crash_or_an_unknown_output_is_a_miss_and_the_rest_still_runs(tmp_path, capsys):
    write(tmp_path, "grpo", name="crash", inputs={"index": ["a"]}, outputs={"advantages": [[0.0]]})
    write(tmp_path, "opo", name="more", inputs=RLOO, outputs={"advantages": [[0.0]], "surprise": 1.0})
    write(tmp_path, "rloo", name="good", inputs=RLOO, outputs={"advantages": [[1.0, 1.0], [-1.0, 0.0]]})
    assert golden.main([str(tmp_path)]) == 1
    printed = capsys.readouterr().out
    assert "KeyError" in printed
    assert "MISS           opo:more" in printed
    assert "ok             rloo:good" in printed


def test_what_is_not_run_is_listed(tmp_path, capsys):
    write(tmp_path, "mystery", name="x", inputs={}, outputs={})
    write(tmp_path, "paper_formulas", name="unheard_of", inputs={}, outputs={})
    write(tmp_path, "istar_dpo_loss", name="gradient_reaches_parameters_in_update_rm_eto", inputs={}, outputs={"x": 1})
    assert golden.main([str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "not covered    mystery" in printed
    assert "not covered    paper_formulas:unheard_of" in printed
    assert "preset pending istar_dpo_loss:gradient" in printed


def test_files_that_need_torch_say_so_where_it_is_missing(tmp_path):
    write(tmp_path, "kl_estimators", name="k1", inputs={}, outputs={"kl": [0.0]})
    tables = golden.Tables({}, {"agentgym.testing.goldens.losses": "No module named 'torch'"})
    (result,) = golden.run_folder(tmp_path, tables)
    assert (result.status, result.remark) == ("needs [train]", "torch isn't installed")
    assert golden.Tables.load(["agentgym.no_such_module"]).adapters == {}


def test_an_empty_folder_is_an_error(tmp_path, capsys):
    assert golden.main([str(tmp_path)]) == 2
    assert "No golden files" in capsys.readouterr().err
