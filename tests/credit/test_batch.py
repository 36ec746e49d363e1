"""The batch says what is wrong, where, and never guesses."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given

from agentgym.credit import Batch, CreditError, make
from agentgym.credit.columns import COLUMNS, Column, register_column
from credit.batches import batches, quick, random_batch, spans_of


def small(**changes):
    """Two trajectories of one group: two turns and one; tokens 0-8 and 8-12."""
    fields = {
        "group": np.array([7, 7]),
        "outcome": np.array([1.0, np.nan]),
        "terminated": np.array([True, False]),
        "truncated": np.array([False, True]),
        "parent": np.array([-1, -1]),
        "fork_turn": np.array([0, 0]),
        "turn_offsets": np.array([0, 2, 3]),
        "turn_reward": np.array([0.0, 1.0, -1.0]),
        "owned": np.array([True, True, True]),
        "turn_start": np.array([1, 5, 8]),
        "turn_end": np.array([3, 8, 11]),
        "token_offsets": np.array([0, 8, 12]),
        "policy_mask": np.array([0, 1, 1, 0, 0, 1, 0, 1, 1, 1, 1, 0], dtype=bool),
    }
    return Batch(**{**fields, **changes})


def test_derived_columns():
    batch = small()
    assert (batch.n_trajectories, batch.n_turns, batch.n_tokens, batch.n_groups) == (2, 3, 12, 1)
    assert batch.turn_trajectory.tolist() == [0, 0, 1]
    assert batch.turn_index.tolist() == [0, 1, 0]
    assert batch.is_last_turn.tolist() == [False, True, True]
    assert batch.token_turn.tolist() == [-1, 0, 0, -1, -1, 1, 1, 1, 2, 2, 2, -1]
    assert batch.turn_tokens.tolist() == [2, 2, 3]
    assert batch.turn_last_token.tolist() == [2, 7, 10]
    assert batch.episode_return.tolist() == [1.0, -1.0]
    assert np.flatnonzero(batch.token_rewards).tolist() == [7, 10]
    assert batch.over_turns(np.array([1.0, 2.0, 3.0])).tolist() == [0, 1, 1, 0, 0, 2, 0, 2, 3, 3, 3, 0]
    assert batch.per_turn(np.ones(12)).tolist() == [2, 2, 3]


def test_a_masked_out_turn_pays_at_the_policy_token_before_it():
    mask = np.array([0, 1, 1, 0, 0, 0, 0, 0, 1, 1, 1, 0], dtype=bool)
    batch = small(policy_mask=mask, turn_reward=np.array([0.5, 1.0, 0.0]))
    assert batch.turn_last_token.tolist() == [2, 2, 10]
    assert batch.token_rewards[2] == 1.5
    nowhere = small(policy_mask=np.zeros(12, dtype=bool))
    assert nowhere.turn_last_token.tolist() == [-1, -1, -1]
    assert not nowhere.token_rewards.any()


def test_arrays_are_read_only_and_the_callers_stay_writable():
    mine = np.array([0.0, 1.0, -1.0])
    batch = small(turn_reward=mine)
    with pytest.raises(ValueError, match="read-only"):
        batch.turn_reward[0] = 5.0
    mine[0] = 2.0


BAD = {
    "shape": ({"turn_reward": np.zeros((3, 1))}, r"'turn_reward' has shape \(3, 1\)"),
    "rows": ({"owned": np.array([True])}, "'owned' has 1 rows; expected 3, one a turn"),
    "dtype": ({"turn_start": np.array([0.5, 5, 8])}, "'turn_start' has dtype float64; expected int"),
    "not a flag": ({"owned": np.array([1, 2, 1])}, "'owned', row 1: 2; expected True or False"),
    "nan reward": ({"turn_reward": np.array([0.0, np.nan, 0])}, "'turn_reward', row 1: NaN"),
    "infinite reward": ({"turn_reward": np.array([0.0, 0, np.inf])}, "'turn_reward', row 2: inf"),
    "absurd reward": ({"turn_reward": np.array([0.0, 0, 1e300])}, r"'turn_reward', row 2: 1e\+300"),
    "offsets start": ({"turn_offsets": np.array([1, 2, 3])}, "'turn_offsets', row 0: 1; expected 0"),
    "offsets fall": ({"token_offsets": np.array([0, 13, 12])}, "'token_offsets', row 2: 12 is below 13"),
    "offsets end": ({"turn_offsets": np.array([0, 1, 2])}, "'turn_offsets', row 2: 2; expected 3"),
    "offsets rows": ({"turn_offsets": np.array([0, 3])}, "'turn_offsets' has 2 rows; expected 3"),
    "no turns": ({"turn_offsets": np.array([0, 3, 3])}, "'turn_offsets', row 1: trajectory 1 has no turns"),
    "span outside": ({"turn_end": np.array([3, 9, 11])}, r"'turn_end', row 1 \(trajectory 0, turn 1\): 9 is past"),
    "span before": ({"turn_start": np.array([1, 5, 7])}, r"'turn_start', row 2 \(trajectory 1, turn 0\): 7 is before"),
    "span reversed": ({"turn_end": np.array([0, 8, 11])}, r"'turn_end', row 0 .*: 0 is before turn_start 1"),
    "no span": ({"turn_end": np.array([3, 5, 11])}, r"'turn_end', row 1 .*no span although its trajectory has tokens"),
    "overlap": ({"turn_start": np.array([1, 2, 8])}, r"'turn_start', row 1 .*: 2 overlaps the previous turn"),
    "mask outside": ({"policy_mask": np.ones(12, dtype=bool)}, r"'policy_mask', row 0 \(trajectory 0\): 1 outside"),
    "ragged mask": ({"policy_mask": np.ones(11, dtype=bool)}, "'token_offsets', row 2: 12; expected 11"),
    "no such parent": ({"parent": np.array([-1, 2])}, "'parent', row 1: 2; expected -1 or a trajectory"),
    "foreign parent": (
        {"parent": np.array([-1, 0]), "group": np.array([7, 8])},
        "'parent', row 1: 0 is of group 7, not 8",
    ),
    "cycle": ({"parent": np.array([1, 0])}, "'parent', row 0: the parents form a cycle"),
    "fork too late": ({"parent": np.array([-1, 0]), "fork_turn": np.array([0, 3])}, "'fork_turn', row 1: 3"),
    "fork without parent": ({"fork_turn": np.array([0, 1])}, "'fork_turn', row 1: 1 without a parent"),
    "inherited but owned": ({"parent": np.array([-1, 0]), "fork_turn": np.array([0, 1])}, r"'owned', row 2 .*: True"),
    "inherited later": ({"owned": np.array([True, False, True])}, r"'owned', row 1 .*: False after a turn"),
    "column length": ({"extra": {"progress": np.zeros(2)}}, "'progress' has 2 rows; expected 3, one a turn"),
    "column nan": ({"extra": {"progress": np.array([0, np.nan, 0])}}, "'progress', row 1: NaN"),
    "column kind": ({"extra": {"progress": np.array(["a", "b", "c"])}}, "'progress' has dtype <U1; expected float"),
    "label kind": ({"extra": {"anchor": np.array([0.5, 1, 2])}}, "'anchor' has dtype float64; expected integers or"),
    "label row": ({"extra": {"anchor": np.array(["a", None, "b"], dtype=object)}}, "'anchor', row 1: None"),
    "impossible belief": ({"extra": {"belief": np.array([-1.0, 0.5, -2])}}, "'belief', row 1: 0.5"),
    "column axes": ({"extra": {"prm_logits": np.zeros((3, 3))}}, r"'prm_logits' has shape \(3, 3\)"),
    "unknown column": ({"extra": {"progess": np.zeros(3)}}, "Unknown column 'progess'. Did you mean 'progress'"),
}


@pytest.mark.parametrize(("changes", "message"), BAD.values(), ids=BAD)
def test_bad_input_names_the_column_and_the_row(changes, message):
    with pytest.raises(CreditError, match=message):
        small(**changes)


def test_absent_is_allowed_only_where_the_column_says_so():
    batch = small(extra={"belief": np.array([-1.0, np.nan, -2.0])})
    assert np.isnan(batch.column("belief")[1])
    with pytest.raises(CreditError, match="'belief', row 1: NaN"):
        batch.column("belief", whole=True)


def test_a_missing_column_names_its_level_and_producer():
    with pytest.raises(CreditError, match=r"lacks the column 'progress' \(one value a turn.*training.progress"):
        make("spa")(small(outcome=np.array([1.0, 0.0])))
    with pytest.raises(CreditError, match=r"'outcome', row 1: NaN, and igpo needs every outcome"):
        make("igpo")(small(extra={"belief": np.full(3, -1.0)}))


def test_token_methods_refuse_a_trajectory_without_tokens():
    text = Batch.build([0, 0], [[1.0], [0.0]])
    assert make("grpo")(text).turn.tolist() == pytest.approx([2**-0.5, -(2**-0.5)], rel=1e-5)
    with pytest.raises(CreditError, match="'token_offsets', row 0: trajectory 0 has no tokens"):
        make("reinforce_pp")(text)


def test_build_lays_lists_out():
    batch = Batch.build(
        ["x", "y", "x"],
        [[0.0, 1.0], [2.0], [3.0]],
        spans=[spans_of(2, 3), spans_of(1), spans_of(4)],
        outcomes=[1.0, 0.0, 1.0],
        truncated=[False, True, False],
        columns={
            "anchor": [["s", "t"], ["s"], ["s"]],
            "greedy_return": [0.1, 0.2, 0.3],
            "value": [[0.0] * 6, [1.0], [2] * 4],
        },
    )
    assert batch.group.tolist() == [0, 1, 0]
    assert batch.token_offsets.tolist() == [0, 6, 7, 11]
    assert batch.policy_mask.tolist() == [True, True, False, True, True, True] + [True] * 5
    assert batch.terminated.tolist() == [True, False, True]
    assert batch.codes("anchor").tolist() == [0, 1, 0, 0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"turn_rewards": [[0.0]]}, "turn_rewards has 1 rows for 2 trajectories"),
        ({"spans": [[(0, 1)], []]}, "Spans, row 1: 0 spans for 1 turns"),
        ({"masks": [[1], [1]]}, "Masks without spans"),
        ({"columns": {"progress": [[0.0], [0.0, 1.0]]}}, "'progress', trajectory 1: 2 values for 1 turns"),
        ({"columns": {"progres": [[0.0], [0.0]]}}, "Unknown column 'progres'"),
        ({"outcomes": [1.0]}, "'outcome' has 1 rows; expected 2"),
    ],
)
def test_build_refuses_ragged_lists(arguments, message):
    with pytest.raises(CreditError, match=message):
        Batch.build(**{"groups": [0, 0], "turn_rewards": [[0.0], [0.0]], **arguments})


def test_from_dense_takes_runs_of_policy_tokens_as_turns():
    rewards = np.array([[0.0, 0.5, 0.25, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 2.0, 0.0, 0.0]])
    mask = np.array([[0, 1, 0, 1, 1, 0], [1, 1, 1, 1, 0, 0]])
    batch = Batch.from_dense(["a", "a"], rewards, mask, columns={"value": rewards})
    assert batch.turn_start.tolist() == [1, 3, 6]
    assert batch.turn_end.tolist() == [2, 5, 10]
    assert batch.turn_reward.tolist() == [0.75, 1.0, 2.0]
    assert batch.dense(batch.token_rewards).tolist() == rewards.tolist()
    split = Batch.from_dense([0], [[0.0, 1, 0, 2]], [[1, 1, 1, 1]], turn_ids=[[0, 0, 1, 1]])
    assert split.turn_reward.tolist() == [1.0, 2.0]
    with pytest.raises(CreditError, match="turn_ids, row 0, token 2: turn 0 comes after"):
        Batch.from_dense([0], [[0.0, 1, 0, 2]], [[1, 1, 1, 1]], turn_ids=[[1, 1, 0, 0]])
    with pytest.raises(CreditError, match="trajectory 1 has no turns"):
        Batch.from_dense([0, 0], [[1.0], [1.0]], [[1], [0]])
    with pytest.raises(CreditError, match=r"Rewards have shape \(1, 2\) and mask \(1, 3\)"):
        Batch.from_dense([0], [[1.0, 2.0]], [[1, 1, 1]])


@quick(20)
@given(batches(forks=False))
def test_selecting_everything_changes_nothing_and_selecting_groups_keeps_their_credit(batch):
    assert_same(batch.select(np.ones(batch.n_trajectories, dtype=bool)), batch)
    keep = batch.group_index == 0
    part = batch.select(keep)
    whole = make("turn_rloo")(batch)
    assert make("turn_rloo")(part).turn.tolist() == whole.turn[keep[batch.turn_trajectory]].tolist()
    assert make("turn_rloo")(part).token.tolist() == whole.token[keep[batch.token_trajectory]].tolist()


def assert_same(one, other):
    for field in dataclasses.fields(Batch):
        if field.name != "extra":
            assert np.array_equal(
                getattr(one, field.name), getattr(other, field.name), equal_nan=field.name == "outcome"
            )
    assert one.extra.keys() == other.extra.keys()


def test_a_fork_is_not_kept_without_its_parent():
    batch = random_batch(3, groups=1, largest=4, forks=True)
    child = int(np.flatnonzero(batch.parent >= 0)[0])
    keep = np.ones(batch.n_trajectories, dtype=bool)
    keep[batch.parent[child]] = False
    with pytest.raises(CreditError, match=f"'parent', row {child}: trajectory {batch.parent[child]} is dropped"):
        batch.select(keep)


def test_new_turn_rewards_replace_token_rewards_too():
    batch = Batch.from_dense([0], [[0.0, 1.0]], [[1, 1]])
    assert batch.with_turn_rewards([5.0]).token_rewards.tolist() == [0.0, 5.0]


def test_third_parties_register_columns():
    column = Column("test_only_column", "turn", "float", "reward", "a test", "Nothing.")
    try:
        assert register_column(column) is column
        assert small(extra={"test_only_column": np.ones(3)}).column("test_only_column").tolist() == [1, 1, 1]
        with pytest.raises(CreditError, match="already registered"):
            register_column(dataclasses.replace(column, meaning="Something else."))
    finally:
        COLUMNS.pop("test_only_column", None)


def test_an_empty_batch_is_valid():
    batch = Batch.build([], [])
    assert make("grpo")(batch).trajectory.shape == (0,)
    assert make("turn_rloo")(batch).diagnostics == {}
