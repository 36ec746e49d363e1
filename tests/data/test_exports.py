"""What other tools read of a run: exact, complete, and without references."""

import asyncio
import json

import pyarrow.parquet as pq
import pytest

from agentgym.core.errors import ConfigError, DataError
from agentgym.core.policy import PolicySpec
from agentgym.rollout.exports import ChatForm, dataset_rows, dpo_rows, form_of, jsonl_rows, sft_rows
from agentgym.rollout.merging import filter_run, merge_runs
from agentgym.rollout.run import RunConfig, run
from agentgym.rollout.shards import check_hashes, read_manifest
from agentgym.rollout.storage import read_config, read_run, stored_totals

EXPERT = PolicySpec("rollout.games:Expert")
TEXT = ChatForm(structured=False, tools=[])


def make(path, episodes=24, group=4, **more):
    config = RunConfig("toy/Rooms-v0", EXPERT, episodes=episodes, group_size=group, **more)
    asyncio.run(run(config, path))
    return path


@pytest.fixture(scope="module")
def text_run(tmp_path_factory):
    return make(tmp_path_factory.mktemp("data") / "text", inject="tool=0.1", tree="1:1")


@pytest.fixture(scope="module")
def json_run(tmp_path_factory):
    return make(tmp_path_factory.mktemp("data") / "json", env_kwargs={"action_format": "json"})


def test_json_lines_are_the_records_without_references(text_run):
    records = list(read_run(text_run))
    rows = list(jsonl_rows(records))
    assert len(rows) == len(records)
    assert all("reference" not in row for row in rows)
    assert [row["reference"] for row in jsonl_rows(records, references=True)] == [r.reference for r in records]
    json.dumps(rows)


def test_chats_alternate_and_end_with_the_policy(text_run):
    records = [record for record in read_run(text_run) if record.scored]
    rows = list(sft_rows(read_run(text_run), form_of(text_run)))
    assert len(rows) == len(records) > 0
    for row, record in zip(rows, records, strict=True):
        assert set(row) == {"messages"}
        roles = [message["role"] for message in row["messages"]]
        assert roles == ["system", *["user", "assistant"] * len(record.turns)]
        assert row["messages"][0]["content"] == record.system_prompt
        assert [m["content"] for m in row["messages"] if m["role"] == "assistant"] == [t.message for t in record.turns]
        assert [m["content"] for m in row["messages"] if m["role"] == "user"] == [t.observation for t in record.turns]


def test_structured_calls_are_written_as_calls(json_run):
    form = form_of(json_run)
    assert form.structured
    rows = list(sft_rows(read_run(json_run), form))
    records = list(read_run(json_run))
    assert [tool["function"]["name"] for tool in rows[0]["tools"]] == ["look", "answer"]
    for row, record in zip(rows, records, strict=True):
        messages = row["messages"]
        for i, message in enumerate(messages):
            if message["role"] == "assistant":
                (call,) = message["tool_calls"]
                assert message["content"] == ""
                turn = record.turns[(i - 1) // 2 if messages[0]["role"] == "user" else (i - 2) // 2]
                assert call["function"] == {
                    "name": turn.tool_calls[0]["name"],
                    "arguments": turn.tool_calls[0]["arguments"],
                }
                if i + 1 < len(messages):
                    assert messages[i + 1]["role"] == "tool"
                    assert messages[i + 1]["tool_call_id"] == call["id"]


def test_what_stands_beside_a_call_is_kept():
    from agentgym.core.records import Trajectory, Turn

    call = {"name": "look", "arguments": {"room": "hall"}}
    texts = [
        'I think.\n<tool_call>\n{"name": "look", "arguments": {"room": "hall"}}\n</tool_call>',
        '{"name": "look", "arguments": {"room": "hall"}}',
        "nonsense",
    ]
    turns = [
        Turn(
            i, "o", text, "k", {}, 0.0, tool_calls=[] if text == "nonsense" else [call], action_valid=text != "nonsense"
        )
        for i, text in enumerate(texts)
    ]
    record = Trajectory("e", "g", "x/Y-v0", "t", "train", 0, "p", "", turns, terminated=True)
    (row,) = sft_rows([record], ChatForm(True, []))
    written = [message for message in row["messages"] if message["role"] == "assistant"]
    assert [message["content"] for message in written] == ["I think.", "", "nonsense"]
    assert ["tool_calls" in message for message in written] == [True, True, False]
    assert [message["role"] for message in row["messages"]] == [
        "user",
        "assistant",
        "tool",
        "assistant",
        "tool",
        "assistant",
    ]


class TestPairs:
    def test_best_against_worst_of_each_group(self, text_run):
        groups = {}
        for record in read_run(text_run):
            if record.scored:
                groups.setdefault(record.group_id, []).append(record.total_reward)
        rows = list(dpo_rows(read_run(text_run), TEXT))
        assert {row["group_id"] for row in rows} == {
            name for name, rewards in groups.items() if max(rewards) > min(rewards)
        }
        for row in rows:
            assert row["chosen_return"] == max(groups[row["group_id"]])
            assert row["rejected_return"] == min(groups[row["group_id"]])
            assert row["chosen_return"] > row["rejected_return"]
            assert row["chosen"] != row["rejected"]
            assert row["chosen"][0]["role"] == row["rejected"][0]["role"] == "assistant"
            assert row["prompt"][-1]["role"] == "user"

    def test_prompt_and_answers_are_the_episodes(self, text_run):
        records = {record.trajectory_id: record for record in read_run(text_run)}
        for row in dpo_rows(records.values(), TEXT, pairs="all"):
            for side in ("chosen", "rejected"):
                (chat,) = sft_rows([records[row[f"{side}_id"]]], TEXT)
                assert row["prompt"] + row[side] == chat["messages"]

    def test_all_pairs_and_the_margin(self, text_run):
        best = list(dpo_rows(read_run(text_run), TEXT))
        every = list(dpo_rows(read_run(text_run), TEXT, pairs="all"))
        assert len(every) > len(best)
        wide = list(dpo_rows(read_run(text_run), TEXT, pairs="all", margin=1.0))
        assert wide == [row for row in every if row["chosen_return"] - row["rejected_return"] >= 1.0]
        assert not list(dpo_rows(read_run(text_run), TEXT, margin=1e9))
        with pytest.raises(ConfigError, match="margin"):
            list(dpo_rows([], TEXT, margin=-1))


def test_dataset_rows_have_no_maps_and_no_references(text_run):
    row = next(dataset_rows(read_run(text_run)))
    assert "reference" not in row
    record = next(read_run(text_run))
    assert [turn["attributed"] for turn in row["turns"]] == [turn.attributed for turn in record.turns]
    assert {v["name"]: v["value"] for v in row["turns"][0]["components"]} == record.turns[0].components


def test_merged_runs_hold_everything_under_new_names(tmp_path):
    a, b = make(tmp_path / "a", 8), make(tmp_path / "b", 8, seed=1, inject="env=0.2")
    assert merge_runs([a, b], tmp_path / "c") == 16
    merged = list(read_run(tmp_path / "c"))
    assert [record.trajectory_id for record in merged] == [f"r{i // 8}-e{i % 8:07d}" for i in range(16)]
    assert len({record.group_id for record in merged}) == 4
    assert [record.turns for record in merged] == [record.turns for path in (a, b) for record in read_run(path)]
    assert read_config(tmp_path / "c")["episodes"] == 16
    assert [source["run"] for source in read_config(tmp_path / "c")["merged_from"]] == ["a", "b"]
    assert stored_totals(tmp_path / "c").summary()["episodes"] == 16
    check_hashes(tmp_path / "c", read_manifest(tmp_path / "c").values())


def test_runs_that_cannot_be_compared_are_not_merged(tmp_path):
    a = make(tmp_path / "a", 4)
    b = make(tmp_path / "b", 4, env_kwargs={"scheme": "dense"})
    with pytest.raises(DataError, match="another scheme"):
        merge_runs([a, b], tmp_path / "c")
    with pytest.raises(ConfigError, match="two or more different"):
        merge_runs([a, a], tmp_path / "c")
    with pytest.raises(ConfigError, match="not an empty folder"):
        filter_run(a, b, lambda record: True, {})
    assert not (tmp_path / "c").exists()


def test_filtered_runs_keep_what_fits(text_run, tmp_path):
    kept = filter_run(text_run, tmp_path / "f", lambda record: record.success is True, {"kept": ["success"]})
    assert list(read_run(tmp_path / "f")) == [record for record in read_run(text_run) if record.success]
    assert read_config(tmp_path / "f")["filtered"] == {"kept": ["success"]}
    assert kept == read_config(tmp_path / "f")["episodes"]


def test_a_changed_file_is_noticed(tmp_path):
    path = make(tmp_path / "a", 4)
    file = path / "turns" / "00000.parquet"
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    with pytest.raises(DataError, match="SHA-256"):
        check_hashes(path, read_manifest(path).values())


def test_the_dataset_file_reads_back(text_run, tmp_path, monkeypatch):
    from agentgym.cli.data import export

    export(text_run, tmp_path / "x.parquet", form="parquet")
    table = pq.read_table(tmp_path / "x.parquet")
    assert table.num_rows == len(list(read_run(text_run)))
    assert "reference" not in table.column_names
    assert not any("map" in str(field.type) for field in table.schema)
