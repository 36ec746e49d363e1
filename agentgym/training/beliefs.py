"""IGPO's beliefs: how probable the policy finds the accepted answer before each of its turns.

Before turn k the model reads ``template.prefix + answer`` after everything that it has read so far; the belief ``b_k``
is the mean log-probability of the answer's tokens (nats a token). K turns have K beliefs and K - 1 gains; what to make
of them is ``agentgym.credit``'s. Source: https://arxiv.org/abs/2510.14967, release of 2026-02-01.

All turns of a trajectory are measured together (``belief_engines``), or by vLLM's ``prompt_logprobs``
(``belief_vllm``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from agentgym.core.errors import ConfigError, DataError
from agentgym.core.records import Trajectory
from agentgym.credit import Batch
from agentgym.training.belief_engines import Engine, answer_logprobs
from agentgym.training.belief_passes import Branch, Context
from agentgym.training.belief_vllm import PromptLogprobs

Accepted = Literal["first", "max"]


@dataclass(frozen=True, slots=True)
class Template:
    """Text around the answer. The suffix isn't scored, but may share a token with the answer's end."""

    prefix: str = "\nNow there's enough information to answer\n</think>\n<answer>\n"
    suffix: str = "\n</answer><|im_end|>"


PAPER = Template()
"""The release's: for a policy whose message begins inside ``<think>`` and that answers in ``<answer>``."""


def encode_answers(tokenizer: Any, answers: Iterable[str], template: Template = PAPER) -> list[Branch]:
    """Tokens of ``prefix + answer + suffix`` for each answer, and which of them are the answer's.

    A tokenizer that knows character offsets encodes the whole text, and every token that shares a character with the
    answer is the answer's. Others, such as a policy's renderer, encode the three parts one by one.

    Args:
        tokenizer: A tokenizer of the transformers library, or anything with ``encode(text) -> list[int]``.
        answers: Accepted answers.
        template: What to put around them.

    Raises:
        DataError: An answer is empty or has no token.
    """
    branches = []
    for answer in answers:
        branch = _encode(tokenizer, answer, template)
        if branch.start >= branch.end:
            raise DataError(f"The accepted answer {answer!r} has no token to measure a belief in.")
        branches.append(branch)
    return branches


def _encode(tokenizer: Any, answer: str, template: Template) -> Branch:
    if getattr(tokenizer, "is_fast", False):
        text = template.prefix + answer + template.suffix
        encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        first, last = len(template.prefix), len(template.prefix) + len(answer)
        inside = [i for i, (start, end) in enumerate(encoded["offset_mapping"]) if start < last and end > first]
        return Branch(tuple(encoded["input_ids"]), *((inside[0], inside[-1] + 1) if inside else (0, 0)))
    plain = {"add_special_tokens": False} if hasattr(tokenizer, "convert_tokens_to_ids") else {}
    before, middle, after = (tokenizer.encode(part, **plain) for part in (template.prefix, answer, template.suffix))
    return Branch((*before, *middle, *after), len(before), len(before) + len(middle))


def turn_beliefs(
    model: Any, contexts: Sequence[Context], *, accepted: Accepted = "first", engine: Engine = "auto"
) -> list[npt.NDArray[np.float64]]:
    """Beliefs at every point of every context, measured by a causal model of the transformers library.

    Args:
        model: The current policy. Its mode and attention implementation are as before afterwards.
        contexts: Token ids of a trajectory, the indices at which its turns begin, and the encoded answers.
        accepted: With several answers, belief in the first (the release) or in the likeliest.
        engine: How to compute it; all give the same numbers.

    Returns:
        One float64 array a context, one value a point.

    Raises:
        ConfigError: Unknown ``accepted`` or ``engine``.
        DataError: A context without points or branches, or a point outside its tokens.
    """
    contexts = _checked(contexts, accepted)
    return [mean.max(1).values.double().cpu().numpy() for mean in answer_logprobs(model, contexts, engine)]


def prompt_logprob_beliefs(
    contexts: Sequence[Context], prompt_logprobs: PromptLogprobs, *, accepted: Accepted = "first"
) -> list[npt.NDArray[np.float64]]:
    """The same beliefs from an engine that returns log-probabilities of prompts, one prompt a point and answer.

    Prompts go out in one call, those of a trajectory next to each other and growing, which suits prefix caches.

    Raises:
        ConfigError: Unknown ``accepted``.
        DataError: As ``turn_beliefs``, or the engine gave no log-probability for a token of an answer.
    """
    contexts = _checked(contexts, accepted)
    places = [(c, point, branch) for c in contexts for point in c.points for branch in c.branches]
    prompts = [[*c.token_ids[:point], *branch.ids[: branch.end]] for c, point, branch in places]
    firsts = [point + branch.start for _, point, branch in places]
    rows = prompt_logprobs(prompts, firsts)
    means = iter([_mean(row, first) for row, first in zip(rows, firsts, strict=True)])
    return [np.array([max(next(means) for _ in c.branches) for _ in c.points]) for c in contexts]


def _mean(values: Sequence[float | None], first: int) -> float:
    scored = [value for value in values[first:] if value is not None]
    if not scored or len(scored) != len(values) - first:
        raise DataError(
            f"The engine returned {len(scored)} log-probabilities for the tokens of an answer, which are those from "
            f"{first} on of a prompt of {len(values)}. It must return one for each token of the prompt."
        )
    return float(np.mean(scored))


def _checked(contexts: Sequence[Context], accepted: Accepted) -> list[Context]:
    if accepted not in ("first", "max"):
        raise ConfigError(f"accepted must be 'first' or 'max', got {accepted!r}.")
    for row, context in enumerate(contexts):
        if not context.points or not context.branches:
            raise DataError(
                f"Context {row} has {len(context.points)} points and {len(context.branches)} answers; needs some."
            )
        lowest = 0 if all(branch.start > 0 for branch in context.branches) else 1
        for point in context.points:
            if not lowest <= point <= len(context.token_ids):
                raise DataError(
                    f"Context {row}: point {point} must be in [{lowest}, {len(context.token_ids)}], "
                    "the tokens before the turn."
                )
        for branch in context.branches:
            if not 0 <= branch.start < branch.end <= len(branch.ids):
                raise DataError(
                    f"Context {row}: answer tokens [{branch.start}, {branch.end}) aren't in {len(branch.ids)} tokens."
                )
    return [context._replace(branches=context.branches[:1]) if accepted == "first" else context for context in contexts]


def answers_of(trajectory: Trajectory) -> list[str]:
    """Accepted answers in a record's reference: ``answers``, or ``answer``; empty where there are none."""
    found = trajectory.reference.get("answers", trajectory.reference.get("answer", []))
    return [found] if isinstance(found, str) else [str(answer) for answer in found]


@dataclass(frozen=True)
class BeliefScorer:
    """Scorer of the column ``belief``: ``batch.with_columns(scorer(batch, model))``.

    It reads the records that the batch was made of, since a turn's context is a segment of its trajectory up to the
    turn, not everything that was stored before it. A trajectory without accepted answers gets NaN, which is "absent".
    """

    tokenizer: Any
    trajectories: Sequence[Trajectory]
    """The batch's records, in its order."""
    template: Template = PAPER
    accepted: Accepted = "first"
    engine: Engine = "auto"
    answers: Callable[[Trajectory], Sequence[str]] = answers_of

    def __call__(self, batch: Batch, model: Any = None) -> Mapping[str, npt.NDArray[np.float64]]:
        """One belief a turn of the batch.

        Raises:
            ConfigError: No model.
            DataError: The records aren't the batch's, or a turn has no tokens.
        """
        if model is None:
            raise ConfigError("Beliefs are the policy's: call the scorer with a model.")
        counts = [len(trajectory.turns) for trajectory in self.trajectories]
        if counts != np.diff(batch.turn_offsets).tolist():
            raise DataError("The scorer's trajectories aren't those of the batch: their numbers of turns differ.")
        column = np.full(batch.n_turns, np.nan)
        rows: list[list[int]] = []
        contexts: list[Context] = []
        for offset, trajectory in zip(batch.turn_offsets.tolist(), self.trajectories, strict=False):
            branches = encode_answers(self.tokenizer, self.answers(trajectory), self.template)
            for turns, context in segment_contexts(trajectory, branches) if branches else ():
                rows.append([offset + turn for turn in turns])
                contexts.append(context)
        for at, beliefs in zip(
            rows, turn_beliefs(model, contexts, accepted=self.accepted, engine=self.engine), strict=True
        ):
            column[at] = beliefs
        return {"belief": column}


def segment_contexts(trajectory: Trajectory, branches: Sequence[Branch]) -> list[tuple[list[int], Context]]:
    """For each segment that turns were written in: the turns' positions in the trajectory, and the context.

    Raises:
        DataError: A turn has no tokens.
    """
    turns_of: dict[int, list[int]] = {}
    starts: list[int] = []
    for index, turn in enumerate(trajectory.turns):
        if turn.policy_span is None:
            raise DataError(
                f"Turn {index} of trajectory {trajectory.trajectory_id} has no tokens; beliefs need a policy that has."
            )
        turns_of.setdefault(turn.policy_span.segment, []).append(index)
        starts.append(turn.policy_span.start)
    return [
        (turns, Context(trajectory.segments[segment].token_ids, [starts[turn] for turn in turns], branches))
        for segment, turns in turns_of.items()
    ]
