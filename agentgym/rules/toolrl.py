"""ToolRL: format, decomposed match of tool calls, and length (https://arxiv.org/abs/2504.13958).

Checked against the release (qiancheng0/ToolRL, ``verl/utils/reward_score/rlla.py`` at 8cee13e), whose process-wide
environment variables are the fields of ``Variant`` here.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

_THINK = r"<think>.*?</think>"
_CALLS = r"\n<tool_call>\n.*?\n</tool_call>"
_REPLY = r"\n<response>.*?</response>"

SWITCHES = (
    "REFINEDREWARD",
    "INTERMEDIATEREWARD",
    "COARSEREWARD",
    "CORRECTMAX1",
    "MAX1STEP30MAX3",
    "SCHEDULEREWARD",
    "WITHLENGTH",
    "SCHEDULELENGTH",
    "STRICTMATCH",  # exported by the release's scripts and read nowhere
)
"""Environment variables of the release."""


class Score(NamedTuple):
    """Parts of the reward and their sum."""

    total: float
    format: float
    correctness: float
    length: float


@dataclass(frozen=True, slots=True)
class Variant:
    """Which of the published variants to pay. The default is the paper's main setting."""

    strict_sets: bool = False
    """Names and parameter names count only as equal lists, order included (``REFINEDREWARD``)."""
    whole_calls: bool = False
    """A call counts only if all of it is right (``INTERMEDIATEREWARD``)."""
    all_or_nothing: bool = False
    """Only the exact list of calls counts (``COARSEREWARD``)."""
    correct_max: float = 3.0
    """Correctness lies in [-correct_max, correct_max]. 1 for ``CORRECTMAX1``."""
    two_stage: bool = False
    """A third of the correctness before step 30, half of the format reward from then on (``MAX1STEP30MAX3``)."""
    scheduled: bool = False
    """Ranges move linearly over 150 steps, from 2 on, format down and correctness up (``SCHEDULEREWARD``)."""
    length: Literal["off", "fixed", "scheduled"] = "off"
    """Pay for words of thought up to 512 (``WITHLENGTH``), or up to 384 + 256·step/105 (and ``SCHEDULELENGTH``)."""

    @classmethod
    def from_switches(cls, switches: Mapping[str, str]) -> Variant:
        """The variant that the release's environment variables select; a switch is on if it equals ``"1"``.

        Raises:
            ValueError: An unknown switch.
        """
        unknown = [name for name in switches if name not in SWITCHES]
        if unknown:
            raise ValueError(f"Unknown ToolRL switch {unknown[0]!r}; expected some of {', '.join(SWITCHES)}.")
        on = {name for name, value in switches.items() if str(value) == "1"}
        lengths: Literal["fixed", "scheduled"] = "scheduled" if "SCHEDULELENGTH" in on else "fixed"
        return cls(
            strict_sets="REFINEDREWARD" in on,
            whole_calls="INTERMEDIATEREWARD" in on,
            all_or_nothing="COARSEREWARD" in on,
            correct_max=1.0 if "CORRECTMAX1" in on else 3.0,
            two_stage="MAX1STEP30MAX3" in on,
            scheduled="SCHEDULEREWARD" in on,
            length=lengths if "WITHLENGTH" in on else "off",
        )


PAPER = Variant()


def toolrl_reward(response: str, ground_truth: str, *, step: int = 0, variant: Variant = PAPER) -> Score:
    """Format + correctness + length of one assistant message.

    Total lies in [-3, 4] for the default variant. A wrong format doesn't zero the correctness, and where the ground
    truth calls no tool the correctness is 0 whatever was called (both as published).

    Args:
        response: The assistant's message. A chat template's markers around it are cut off.
        ground_truth: The reference message, in the format that the response should have.
        step: Training step, for the variants that move with it.
        variant: Which variant to pay.

    Raises:
        ValueError: The tool calls of ``ground_truth`` aren't JSON objects, one a line, with name and parameters.
    """
    text = assistant_text(response)
    parts = (
        format_reward(text, ground_truth, step=step, variant=variant),
        correctness_reward(text, ground_truth, step=step, variant=variant),
        length_reward(text, step=step, variant=variant),
    )
    return Score(sum(parts), *parts)


def assistant_text(response: str) -> str:
    """The last assistant message of a Qwen or Llama chat rendering, stripped; other text just stripped."""
    text = response
    for opening, closing in (
        ("<|im_start|>assistant", "<|im_end|>"),
        ("<|start_header_id|>assistant<|end_header_id|>", "<|eot_id|>"),
    ):
        text = text.rsplit(opening, 1)[-1].split(closing, 1)[0]
    return text.strip()


def format_reward(response: str, ground_truth: str, *, step: int = 0, variant: Variant = PAPER) -> float:
    """1 if the message has exactly the sections of the ground truth, each once and in order, else 0.

    Sections: ``<think>``, then ``<tool_call>`` on lines of its own and ``<response>`` where the ground truth has them.
    """
    high, low = _format_range(step, variant)
    pattern = _THINK
    for opening, closing, section in (
        ("<tool_call>", "</tool_call>", _CALLS),
        ("<response>", "</response>", _REPLY),
    ):
        if opening in ground_truth:
            if response.count(opening) != 1 or response.count(closing) != 1:
                return low
            pattern += section
    return high if re.fullmatch(pattern, response, re.DOTALL) else low


def _format_range(step: int, variant: Variant) -> tuple[float, float]:
    high, low = 1.0, 0.0
    if variant.two_stage and step >= 30:
        high /= 2
    if variant.scheduled:
        high = max(2 - (2 - high) * step / 150, 1.0)
        low = min(-2 + (2 + low) * step / 150, -1.0)
    return high, low


def length_reward(response: str, *, step: int = 0, variant: Variant = PAPER) -> float:
    """Words of the last thought over the target, in hundredths, at most 1; 0 without a thought or if switched off."""
    if variant.length == "off" or "<think>" not in response or "</think>" not in response:
        return 0.0
    target = 512 if variant.length == "fixed" else (640 - 384) * step / 105 + 384
    thought = response.rsplit("<think>", 1)[-1].split("</think>", 1)[0]
    return min(round(len(thought.split()) / target, 2), 1.0)


def correctness_reward(response: str, ground_truth: str, *, step: int = 0, variant: Variant = PAPER) -> float:
    """How far the tool calls match: ``2M·S/S_max - M`` with ``M = correct_max``.

    ``S`` is the match of the names plus, for every call of the ground truth, its best still unused call of the same
    name: match of the parameter names plus the number of equal values. ``S_max = 1 + Σ(1 + parameters)``. Equal lists
    get M; calls that are missing or can't be read get -M. An additional call costs only through the names.

    Raises:
        ValueError: As ``toolrl_reward``.
    """
    if "<tool_call>" not in ground_truth:
        return 0.0
    gold = _gold_calls(ground_truth)
    high, low = _correctness_range(step, variant)
    if "<tool_call>" not in response or "</tool_call>" not in response:
        return low
    try:
        return _match_calls(gold, _calls(response), high, low, variant)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return low  # not JSON, or JSON of another shape: the model's mistake, and the release pays the minimum


def _correctness_range(step: int, variant: Variant) -> tuple[float, float]:
    high, low = variant.correct_max, -variant.correct_max
    if variant.two_stage and step < 30:
        high, low = high / 3, low / 3
    if variant.scheduled:
        moved = min(step / 150, 1.0)  # the release goes on for ever: with a maximum of 1, wrong calls win from step 300
        high = (high - 2) * moved + 2
        low = (low + 2) * moved - 2
    return high, low


def _calls(message: str) -> list[Any]:
    body = message.split("<tool_call>", 2)[1].split("</tool_call>", 1)[0].strip()
    return [json.loads(line) for line in body.split("\n")]


def _gold_calls(ground_truth: str) -> list[dict[str, Any]]:
    try:
        calls = _calls(ground_truth)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"The tool calls of ground_truth must be JSON, one call a line; got {error}.") from None
    for call in calls:
        if not isinstance(call, dict) or "name" not in call or not isinstance(call.get("parameters"), dict):
            raise ValueError(f"A tool call of ground_truth needs 'name' and an object 'parameters', got {call!r}.")
    return calls


def _match_calls(gold: list[dict[str, Any]], called: list[Any], high: float, low: float, variant: Variant) -> float:
    if gold == called:
        return high
    if variant.all_or_nothing:
        return low
    score = match_score([call["name"] for call in gold], [call["name"] for call in called], strict=variant.strict_sets)
    best_possible = 1.0
    used: set[int] = set()
    for wanted in gold:
        best_possible += 1.0 if variant.whole_calls else 1.0 + len(wanted["parameters"])
        best_index, best = -1, 0.0
        for index, call in enumerate(called):
            if index in used or call["name"] != wanted["name"]:
                continue
            value = float(call == wanted) if variant.whole_calls else _match_parameters(wanted, call, variant)
            if value > best:
                best_index, best = index, value
        if best_index >= 0:
            used.add(best_index)
            score += best
    return (high - low) * score / best_possible + low


def _match_parameters(wanted: dict[str, Any], call: dict[str, Any], variant: Variant) -> float:
    gold, given = wanted["parameters"], call["parameters"]
    names = match_score(list(gold.keys()), list(given.keys()), strict=variant.strict_sets)
    return names + sum(1.0 for name, value in gold.items() if name in given and given[name] == value)


def match_score(first: Sequence[Any], second: Sequence[Any], *, strict: bool = False) -> float:
    """Jaccard similarity of two multisets, in [0, 1]; two empty ones are equal.

    Args:
        first: Hashable items.
        second: Hashable items.
        strict: 1 for equal lists, order included, else 0.
    """
    if first == second:
        return 1.0
    if strict or not first or not second:
        return 0.0
    shared = (Counter(first) & Counter(second)).total()
    return shared / (len(first) + len(second) - shared)
