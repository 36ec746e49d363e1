"""Log-probabilities of prompts from vLLM, for beliefs measured by the engine that also samples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

PromptLogprobs = Callable[[Sequence[Sequence[int]], Sequence[int]], Sequence[Sequence[float | None]]]
"""Token ids of prompts, and the index in each from which on values are needed -> for each prompt, log-probability of
every token given those before it; None where unknown."""


def vllm_prompt_logprobs(llm: Any, *, prefix_cache: bool = True) -> PromptLogprobs:
    """``prompt_logprobs`` of an in-process ``vllm.LLM``, for ``beliefs.prompt_logprob_beliefs``.

    By itself vLLM leaves its prefix cache unread for such requests, since a cached token has no log-probability (what
    it returns in its place is memory that nobody wrote). Answers stand at the end of their prompts, so the cache is
    read here, and a prompt whose answer turns out to be cached as well is asked again without.

    Args:
        llm: The engine. Whoever changes its weights must also reset its prefix cache.
        prefix_cache: False: never read it.
    """
    from vllm import SamplingParams  # type: ignore[import-not-found, unused-ignore]

    def ask(prompts: Sequence[Sequence[int]], cache: bool) -> list[list[float | None]]:
        params = SamplingParams(
            max_tokens=1, temperature=0.0, prompt_logprobs=0, detokenize=False, skip_reading_prefix_cache=not cache
        )
        outputs = llm.generate([{"prompt_token_ids": list(ids)} for ids in prompts], params, use_tqdm=False)
        return [_known(ids, output) for ids, output in zip(prompts, outputs, strict=True)]

    def score(prompts: Sequence[Sequence[int]], firsts: Sequence[int]) -> list[list[float | None]]:
        rows = ask(prompts, prefix_cache)
        again = [i for i, (row, first) in enumerate(zip(rows, firsts, strict=True)) if None in row[max(first, 1) :]]
        for i, row in zip(again, ask([prompts[i] for i in again], False) if again else (), strict=True):
            rows[i] = row
        return rows

    return score


def _known(ids: Sequence[int], output: Any) -> list[float | None]:
    cached = output.num_cached_tokens or 0
    return [
        None if row is None or 0 < i <= cached else float(row[token].logprob)
        for i, (token, row) in enumerate(zip(ids, output.prompt_logprobs, strict=True))
    ]
