"""The exported Parquet file, loaded with the datasets library."""

import datasets
import pytest

from agentgym.cli.data import export
from agentgym.rollout.storage import read_run
from data.test_exports import make

pytestmark = pytest.mark.filterwarnings("ignore")


def test_it_loads(tmp_path):
    run = make(tmp_path / "run", 12, inject="tool=0.1")
    export(run, tmp_path / "x.parquet", form="parquet")
    rows = datasets.load_dataset("parquet", data_files=str(tmp_path / "x.parquet"), cache_dir=str(tmp_path))["train"]
    records = list(read_run(run))
    assert len(rows) == len(records)
    for row, record in zip(rows, records, strict=True):
        assert row["trajectory_id"] == record.trajectory_id
        assert [turn["attributed"] for turn in row["turns"]] == [turn.attributed for turn in record.turns]
        assert row["outcome"] == record.outcome
        assert "reference" not in row


@pytest.mark.parametrize("form", ["jsonl", "sft", "dpo"])
def test_json_lines_load_too(tmp_path, form):
    run = make(tmp_path / "run", 12)
    export(run, tmp_path / "x.jsonl", form=form)
    rows = datasets.load_dataset("json", data_files=str(tmp_path / "x.jsonl"), cache_dir=str(tmp_path))["train"]
    assert len(rows) > 0
