"""AgentEnv: turns, budgets, snapshots, messages and faults."""

import json
import pickle
import sys

import gymnasium
import pytest
import toys

import agentgym
from agentgym import Action, AgentEnv, Fault, Outcome, TruncatedMessage
from agentgym.core.errors import ConfigError, ResetNeededError, UnknownNameError, UnsupportedError


def solve(env):
    while env.running:
        result = env.step(env.expert_message())
    return result


def test_an_episode(rooms):
    observation, info = rooms.reset(seed=1)
    assert observation.startswith("Find the lamp")
    assert set(info) == {"task_id", "turn", "state_key"}
    _, reward, terminated, truncated, info = rooms.step(rooms.expert_message())
    assert (reward, terminated, truncated) == (pytest.approx(-0.1), False, False)
    assert info["rewards"] == {"sighted": 1.0, "format": 1.0, "executable": 1.0, "turn_cost": -1.0}
    assert "success" not in info
    _, reward, terminated, _, info = rooms.step(rooms.expert_message())
    assert terminated
    assert info["success"] is True
    assert reward == pytest.approx(1.0 + 0.5 + 4 * 0.1 - 0.1)


def test_seeds_draw_tasks_and_groups_share_them(rooms):
    assert rooms.reset(seed=4)[1]["task_id"] == rooms.reset(seed=4)[1]["task_id"]
    assert len({rooms.reset(seed=seed)[1]["task_id"] for seed in range(10)}) == 10
    assert rooms.reset(seed=9, options={"task_id": "test/5"})[1]["task_id"] == "test/5"
    assert rooms.reset(options={"split": "validation"})[1]["task_id"].startswith("validation/")


def test_unseeded_resets_follow_from_the_last_seed(rooms):
    rooms.reset(seed=2)
    tasks = [rooms.reset()[1]["task_id"] for _ in range(3)]
    rooms.reset(seed=2)
    assert tasks == [rooms.reset()[1]["task_id"] for _ in range(3)]
    assert len(set(tasks)) == 3


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"task": "x"}, ConfigError, "Did you mean 'task_id'"),
        ({"task_id": "tset/3"}, UnknownNameError, "Expected '<split>/<number>'"),
        ({"split": "tran"}, UnknownNameError, "Did you mean 'train'"),
    ],
)
def test_bad_reset_options(rooms, options, error, text):
    with pytest.raises(error, match=text):
        rooms.reset(options=options)


@pytest.mark.parametrize(
    ("kwargs", "text"),
    [
        ({"scheme": "gatd"}, "Did you mean 'gated'"),
        ({"action_format": "jsn"}, "Did you mean 'json'"),
        ({"split": "dev"}, "Known: train, validation, test"),
        ({"max_turns": 0}, "max_turns must be at least 1"),
        ({"render_mode": "human"}, "render_mode"),
        ({"nonsense": 3}, "RoomsGame can't be made with"),
    ],
)
def test_bad_arguments(kwargs, text):
    with pytest.raises((ConfigError, UnknownNameError), match=text):
        AgentEnv("toys:RoomsGame", **kwargs)


def test_order_is_enforced(rooms):
    with pytest.raises(ResetNeededError):
        rooms.step("x")
    with pytest.raises(gymnasium.error.ResetNeeded):
        rooms.truncate("time")
    rooms.reset(seed=0)
    solve(rooms)
    with pytest.raises(ResetNeededError):
        rooms.step("x")


def test_bytes_are_a_mistake_of_the_caller(rooms):
    rooms.reset(seed=0)
    with pytest.raises(TypeError, match="must be a str"):
        rooms.step(b"look[hall]")


def test_an_unreadable_message_moves_only_counters(rooms):
    _, before = rooms.reset(seed=0)
    text, _, _, _, info = rooms.step("where is it?")
    assert "exactly one action" in text
    assert info["action_valid"] is False
    assert info["error"]
    assert (info["state_key"], info["turn"]) == (before["state_key"], 1)


def test_an_impossible_action_is_valid_but_not_executable(rooms):
    rooms.reset(seed=0)
    _, _, _, _, info = rooms.step("look[moon]")
    assert (info["action_valid"], info["action_executable"]) == (True, False)
    assert info["rewards"]["executable"] == 0.0


def test_parallel_calls_get_a_reply_each():
    env = agentgym.make("toy/Rooms-v0", action_format="json")
    env.reset(seed=0)
    calls = [
        {"id": f"c{i}", "function": {"name": "look", "arguments": {"room": room}}} for i, room in enumerate(toys.ROOMS)
    ]
    calls.append({"id": "bad", "function": {"name": "look", "arguments": {"rom": "hall"}}})
    observation, _, _, _, info = env.step(json.dumps(calls))
    assert [message["tool_call_id"] for message in env.messages] == ["c0", "c1", "c2", "c3", "c4", "bad"]
    assert all(message["role"] == "tool" for message in env.messages)
    assert observation == "\n\n".join(message["content"] for message in env.messages)
    assert info["action_valid"] is False
    assert info["rewards"]["sighted"] == 1.0
    assert "Did you mean 'room'" in env.messages[-1]["content"]


def test_calls_stop_at_the_end_and_at_the_budget():
    env = agentgym.make("toy/Rooms-v0", action_format="json", max_tool_calls=2)
    env.reset(seed=0)
    look = env.action_format.render([Action("look", {"room": "hall"})] * 3, env.tools_by_name)
    _, _, terminated, truncated, info = env.step(look)
    assert (terminated, truncated, info["truncation_reason"]) == (False, True, "max_tool_calls")
    assert "not made" in env.messages[-1]["content"]
    env.reset(seed=0)
    answer = env.action_format.render([Action("answer", {"room": "hall"})] * 2, env.tools_by_name)
    _, _, terminated, _, _ = env.step(answer)
    assert terminated
    assert len(env.messages) == 1


def test_turn_budget_and_truncation(rooms):
    env = agentgym.make("toy/Rooms-v0", max_turns=2)
    env.reset(seed=0)
    assert env.step("x")[3] is False
    _, _, terminated, truncated, info = env.step("x")
    assert (terminated, truncated, info["truncation_reason"]) == (False, True, "max_turns")
    rooms.reset(seed=0)
    rooms.step("look[hall]")
    observation, reward, terminated, truncated, info = rooms.truncate("context_tokens")
    assert (reward, terminated, truncated, info["truncation_reason"]) == (0.0, False, True, "context_tokens")
    assert observation == rooms.messages[0]["content"]


def test_the_last_turn_may_solve_the_task():
    env = agentgym.make("toy/Rooms-v0", max_turns=2)
    env.reset(seed=0)
    _, _, terminated, truncated, _ = solve(env)
    assert (terminated, truncated) == (True, False)


def test_a_cut_message_is_flagged(rooms):
    rooms.reset(seed=0)
    assert rooms.step(TruncatedMessage("look[ha"))[4]["message_truncated"] is True
    assert "message_truncated" not in rooms.step("look[ha")[4]


class Fragile(toys.RoomsGame):
    def act(self, action):
        if action.arguments["room"] == "hall":
            raise OSError("disk on fire")
        if action.arguments["room"] == "attic":
            return Outcome("x", {"sighted": float("nan")})
        if action.arguments["room"] == "study":
            sys.exit("the tool wants to go")
        return super().act(action)


@pytest.mark.parametrize(
    ("room", "text"), [("hall", "disk on fire"), ("attic", "sighted"), ("study", "SystemExit: the tool wants to go")]
)
def test_a_failing_game_is_a_fault_and_leaves_no_score(room, text):
    env = AgentEnv(Fragile())
    env.reset(seed=0)
    with pytest.raises(Fault, match=text) as caught:
        env.step(f"look[{room}]")
    assert caught.value.boundary == "environment"
    assert not env.running
    assert env.ledger.faulted
    assert pickle.loads(pickle.dumps(caught.value)).message == caught.value.message
    env.reset(seed=0)
    assert env.running


def test_long_observations_are_cut_with_a_note():
    class Chatty(toys.RoomsGame):
        max_observation = 100

        def start(self, task, rng):
            super().start(task, rng)
            return agentgym.Observation("y" * 1000)

    env = AgentEnv(Chatty())
    observation, _ = env.reset(seed=0)
    assert len(observation) <= 100
    assert "characters cut" in observation
    assert observation in env.observation_space


def test_snapshot_restores_counters_ledger_and_state(rooms):
    rooms.reset(seed=0)
    rooms.step("look[hall]")
    snapshot = pickle.loads(pickle.dumps(rooms.snapshot()))
    first = [solve(rooms), rooms.ledger.causal]
    fresh = agentgym.make("toy/Rooms-v0")
    fresh.restore(snapshot)
    assert [solve(fresh), fresh.ledger.causal] == first
    with pytest.raises(ConfigError, match="another environment"):
        agentgym.make("toy/Dice-v0").restore(snapshot)


def test_forks_diverge_only_with_a_seed(dice):
    def rolls(env):
        out = []
        while env.running and len(out) < 5:
            out.append(env.step("roll[left]")[0])
        return out

    dice.reset(seed=3)
    twin, other = dice.fork(), [dice.fork(seed=seed) for seed in range(4)]
    assert rolls(twin) == rolls(dice.fork())
    assert len({tuple(rolls(fork)) for fork in other}) > 1
    assert rolls(dice.fork(seed=1)) == rolls(dice.fork(seed=1))
    assert dice.spec is twin.spec


def test_what_a_game_cannot_do_is_refused_by_name():
    class Frozen(toys.RoomsGame):
        capabilities = agentgym.Capabilities(snapshot=False, fork=False)
        expert = ""

    env = AgentEnv(Frozen())
    env.reset(seed=0)
    for call in (env.snapshot, env.fork, env.expert_message):
        with pytest.raises(UnsupportedError, match="Frozen"):
            call()


def test_the_reference_stays_out_of_sight(rooms):
    _, info = rooms.reset(seed=0)
    assert rooms.task.reference
    _, _, _, _, after = rooms.step("look[hall]")
    assert "reference" not in info | after


def test_unknown_ids_are_suggested():
    with pytest.raises(UnknownNameError, match="toy/Rooms-v0"):
        agentgym.make("toy/Room-v0")
    with pytest.raises(ConfigError, match="looks like"):
        agentgym.register("Rooms", "toys:RoomsGame")
