"""Stored runs in the forms that other tools read: JSON lines, chats for supervised tuning, preference pairs, datasets.

References (accepted answers, goals) are left out unless they are asked for: what is made public must not hold them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa

from agentgym.core.errors import ConfigError
from agentgym.core.records import Trajectory
from agentgym.rollout.columns import json_safe
from agentgym.rollout.storage import read_config

Chat = list[dict[str, Any]]

PairRule = Literal["best-worst", "all"]


@dataclass(frozen=True, slots=True)
class ChatForm:
    """How chats of a run are written."""

    structured: bool
    """Calls are structured (``tool_calls``); else they are part of the text."""
    tools: list[dict[str, Any]]
    """JSON schemas of the tools; only used when structured."""

    @classmethod
    def of_run(cls, config: Mapping[str, Any]) -> ChatForm:
        """The form that the run was played in."""
        return cls(bool(config.get("tools")), list(config.get("tools") or ()))


def jsonl_rows(trajectories: Iterable[Trajectory], *, references: bool = False) -> Iterator[dict[str, Any]]:
    """Every record whole."""
    for trajectory in trajectories:
        row = trajectory.to_dict()
        if not references:
            del row["reference"]
        yield row


def sft_rows(trajectories: Iterable[Trajectory], form: ChatForm) -> Iterator[dict[str, Any]]:
    """Chats as TRL's supervised trainer takes them: ``messages``, and ``tools`` where calls are structured.

    Unscored and empty episodes are left out. A chat ends with the policy's last message.
    """
    for trajectory in trajectories:
        if trajectory.scored and trajectory.turns:
            yield _with_tools({"messages": opening(trajectory) + continuation(trajectory, form)}, form)


def dpo_rows(
    trajectories: Iterable[Trajectory], form: ChatForm, *, margin: float = 0.0, pairs: PairRule = "best-worst"
) -> Iterator[dict[str, Any]]:
    """Preference pairs within groups, by undiscounted return: ``prompt``, ``chosen``, ``rejected``.

    The prompt is all that both share, so that two branches of a tree differ from their fork on.

    Args:
        trajectories: Members of a group must follow one another, as they do in a run.
        form: How chats are written.
        margin: Least difference of the returns; equal ones never make a pair.
        pairs: The best against the worst of a group, or every pair that differs enough.

    Raises:
        ConfigError: A margin below 0.
    """
    if not margin >= 0:
        raise ConfigError(f"The margin must be at least 0, got {margin}.")
    for group in _groups(trajectories):
        ranked = sorted(group, key=lambda trajectory: (-trajectory.total_reward, trajectory.trajectory_id))
        if pairs == "best-worst":
            chosen_from = [(ranked[0], ranked[-1])] if len(ranked) > 1 else []
        else:
            chosen_from = [(ranked[i], ranked[j]) for i in range(len(ranked)) for j in range(i + 1, len(ranked))]
        for better, worse in chosen_from:
            difference = better.total_reward - worse.total_reward
            if difference > 0 and difference >= margin:
                yield _pair(better, worse, form)


def _pair(better: Trajectory, worse: Trajectory, form: ChatForm) -> dict[str, Any]:
    chosen, rejected = continuation(better, form), continuation(worse, form)
    shared = 0
    while shared < min(len(chosen), len(rejected)) - 1 and chosen[shared] == rejected[shared]:
        shared += 1
    while shared and chosen[shared]["role"] != "assistant":
        shared -= 1
    row = {
        "prompt": opening(better) + chosen[:shared],
        "chosen": chosen[shared:],
        "rejected": rejected[shared:],
        "chosen_return": better.total_reward,
        "rejected_return": worse.total_reward,
        "group_id": better.group_id,
        "chosen_id": better.trajectory_id,
        "rejected_id": worse.trajectory_id,
    }
    return _with_tools(row, form)


def opening(trajectory: Trajectory) -> Chat:
    """What stands before the policy's first message."""
    system = [{"role": "system", "content": json_safe(trajectory.system_prompt)}] if trajectory.system_prompt else []
    return [*system, {"role": "user", "content": json_safe(trajectory.turns[0].observation)}]


def continuation(trajectory: Trajectory, form: ChatForm) -> Chat:
    """The policy's messages and the replies between them.

    Structured calls become ``tool_calls``, with what was written beside them as the content, and their reply a ``tool``
    message. Replies of parallel calls are recorded as one text; it answers the last of them.
    """
    chat: Chat = []
    for i, turn in enumerate(trajectory.turns):
        message: dict[str, Any] = {"role": "assistant", "content": json_safe(turn.message)}
        calls = turn.tool_calls if form.structured and turn.action_valid else []
        if calls:
            message["content"] = json_safe(_CALLS.sub("", turn.message).strip()) if "<" in turn.message else ""
            message["tool_calls"] = [_call(call, f"call_{i}_{k}") for k, call in enumerate(calls)]
        chat.append(message)
        if i + 1 < len(trajectory.turns):
            reply: dict[str, Any] = {"role": "user", "content": json_safe(trajectory.turns[i + 1].observation)}
            if calls:
                reply |= {"role": "tool", "tool_call_id": message["tool_calls"][-1]["id"], "name": calls[-1]["name"]}
            chat.append(reply)
    return chat


_CALLS = re.compile(r"<tool_call>.*?</tool_call>|^\s*[\[{].*", re.DOTALL)
"""Calls as text: in tags, or the whole message."""


def _call(call: Mapping[str, Any], call_id: str) -> dict[str, Any]:
    return {
        "id": call.get("call_id") or call_id,
        "type": "function",
        "function": {"name": call["name"], "arguments": call["arguments"]},
    }


def _with_tools(row: dict[str, Any], form: ChatForm) -> dict[str, Any]:
    return {**row, "tools": form.tools} if form.structured else row


def _groups(trajectories: Iterable[Trajectory]) -> Iterator[list[Trajectory]]:
    group: list[Trajectory] = []
    for trajectory in trajectories:
        if group and trajectory.group_id != group[0].group_id:
            yield group
            group = []
        if trajectory.scored and trajectory.turns:
            group.append(trajectory)
    if group:
        yield group


# ---------------------------------------------------------------------- datasets

_MESSAGE = pa.struct([("role", pa.string()), ("content", pa.string())])
_VALUE = pa.struct([("name", pa.string()), ("value", pa.float64())])
_TURN = pa.struct(
    [
        ("observation", pa.string()),
        ("message", pa.string()),
        ("action", pa.string()),
        ("valid", pa.bool_()),
        ("executable", pa.bool_()),
        ("state_key", pa.string()),
        ("components", pa.list_(_VALUE)),
        ("reward", pa.float64()),
        ("attributed", pa.float64()),
        ("owned", pa.bool_()),
    ]
)
DATASET = pa.schema(
    [
        *((name, pa.string()) for name in ("trajectory_id", "group_id", "env_id", "task_id", "split", "policy")),
        ("messages", pa.list_(_MESSAGE)),
        ("turns", pa.list_(_TURN)),
        ("total_reward", pa.float64()),
        ("outcome", pa.float64()),
        ("success", pa.bool_()),
        ("terminated", pa.bool_()),
        ("truncated", pa.bool_()),
        ("stop_reason", pa.string()),
        ("difficulty", pa.float64()),
        ("parent_id", pa.string()),
        ("fork_turn", pa.int32()),
        ("token_faithful", pa.bool_()),
        ("token_ids", pa.list_(pa.list_(pa.int32()))),
        ("policy_mask", pa.list_(pa.list_(pa.bool_()))),
        ("logprobs", pa.list_(pa.list_(pa.float32()))),
    ]
)
"""No map type: ``datasets`` can't read one. Token columns are one list a segment."""


def dataset_rows(trajectories: Iterable[Trajectory], *, references: bool = False) -> Iterator[dict[str, Any]]:
    """Rows of ``DATASET``, one an episode; with a ``reference`` column of JSON when asked for."""
    text = ChatForm(structured=False, tools=[])
    for trajectory in trajectories:
        row = {name: getattr(trajectory, name, None) for name in DATASET.names}
        row["messages"] = opening(trajectory) + continuation(trajectory, text) if trajectory.turns else []
        row["turns"] = [
            {
                "observation": json_safe(turn.observation),
                "message": json_safe(turn.message),
                "action": json_safe(turn.action),
                "valid": turn.action_valid,
                "executable": turn.action_executable,
                "state_key": turn.state_key,
                "components": [{"name": name, "value": value} for name, value in turn.components.items()],
                "reward": turn.reward,
                "attributed": turn.attributed,
                "owned": turn.owned,
            }
            for turn in trajectory.turns
        ]
        for name in ("token_ids", "policy_mask", "logprobs"):
            row[name] = [getattr(segment, name) for segment in trajectory.segments]
        if references:
            row["reference"] = json_safe(json.dumps(trajectory.reference, ensure_ascii=False, default=str))
        yield row


def dataset_schema(*, references: bool = False) -> pa.Schema:
    """Of ``dataset_rows``."""
    return DATASET.append(pa.field("reference", pa.string())) if references else DATASET


def form_of(path: Any) -> ChatForm:
    """The chat form of a stored run."""
    return ChatForm.of_run(read_config(path))
