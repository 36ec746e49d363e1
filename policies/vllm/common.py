"""What the engine in this process and the one behind a server have in common: tokens in, tokens out, new weights."""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from agentgym.core.errors import Boundary, ConfigError, Fault
from agentgym.core.policy import Completion, FinishReason, Policy, Request, Sampling
from agentgym.core.registry import load
from agentgym.policies.loop import LoopThread
from agentgym.policies.rendering import HFRenderer
from agentgym.policies.stopping import StopStrings

_log = logging.getLogger(__name__)


class Output(NamedTuple):
    """What an engine answers, before it is a completion."""

    token_ids: Sequence[int]
    logprobs: Sequence[float]
    finish_reason: str
    versions: Sequence[tuple[str, int, int]]
    """Weight versions over the tokens: name, start, end."""


class VLLMPolicy(Policy):
    """A policy that hands prompts to vLLM as token ids and gets token ids and log-probabilities back.

    Args:
        tokenizer: With the chat template that prompts are rendered with.
        template_kwargs: Passed to the chat template.
        history: As for `HFRenderer`.
        loop: Where requests run.
    """

    name = "vllm"
    deterministic = False  # rounding depends on what else is in the batch

    def __init__(self, tokenizer: Any, template_kwargs: dict[str, Any] | None, history: Any, loop: LoopThread) -> None:
        self.renderer = self._renderer = HFRenderer(tokenizer, template_kwargs, history)
        self._loop = loop
        self._probe: Any = None

    async def act(self, request: Request) -> Completion:
        """See ``Policy.act``."""
        prompt = (
            list(request.prompt_ids)
            if request.prompt_ids is not None
            else self._renderer.initial(request.messages, request.tools, request.layout)
        )
        if self.context is not None and len(prompt) >= self.context:
            return Completion("", [], [], "length", self.weight_version)  # no room for another token
        output = await self._loop.call(self._generate(request, prompt))
        return self._completion(request, output)

    def update_weights(self, weights: Any, version: int) -> float:
        """Gives the engine new weights while its requests wait, then checks that it has them.

        Requests in flight go on with the new weights, and their contexts are read again by them: a message that an
        update has interrupted has both versions in its record, and each token the log-probability that its own version
        gives it.

        Args:
            weights: The learner: a causal language model, with or without LoRA adapters (they are merged).
            version: Number of the new weights, stamped on every token that they sample.

        Returns:
            The gap of the probe: largest difference between the engine's and the learner's log-probabilities.

        Raises:
            WeightsError: The engine and the learner disagree.
        """
        before, probe = self._probe, load("agentgym.policies.vllm.probe:Probe").of(weights)
        self._probe = probe
        self._loop.run(self._hand_over(weights, version))
        self.weight_version = version
        return self._check(probe, before)

    def probe(self, learner: Any) -> float:
        """The same check without an update, for an engine that should hold the learner's weights already."""
        self._probe = load("agentgym.policies.vllm.probe:Probe").of(learner)
        return self._check(self._probe, None)

    def _check(self, probe: Any, before: Any) -> float:
        found = self._loop.run(self._scores(probe.prompts))
        return max(float(probe.check(rows, before, self._tolerance)) for rows in found)

    @abstractmethod
    async def _generate(self, request: Request, prompt: list[int]) -> Output: ...

    @abstractmethod
    async def _hand_over(self, weights: Any, version: int) -> None: ...

    @abstractmethod
    async def _scores(self, prompts: Sequence[Sequence[int]]) -> list[list[list[float]]]:
        """Of each engine: log-probabilities of all tokens of the prompts but their first ones."""

    @property
    @abstractmethod
    def _tolerance(self) -> float: ...

    def _parameters(self, request: Request) -> dict[str, Any]:
        """Arguments of vLLM's ``SamplingParams``."""
        sampling = request.sampling
        return {
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "top_k": sampling.top_k,
            "max_tokens": sampling.max_tokens,
            "seed": request.seed % 2**63,
            "stop": list(request.stop),
            "include_stop_str_in_output": True,
            "stop_token_ids": sorted(self._renderer.final_ids),
            "detokenize": bool(request.stop),
            "skip_special_tokens": False,
            "spaces_between_special_tokens": False,
            "logprobs": 0,
        }

    def _completion(self, request: Request, output: Output) -> Completion:
        ids, logprobs = list(output.token_ids), list(output.logprobs)
        if len(ids) != len(logprobs):
            raise Fault(Boundary.POLICY, f"vLLM returned {len(logprobs)} log-probabilities for {len(ids)} tokens")
        if output.finish_reason not in ("stop", "length"):
            raise Fault(Boundary.POLICY, f"vLLM gave the request up ({output.finish_reason})", retryable=True)
        finish: FinishReason = "stop" if output.finish_reason == "stop" else "length"
        kept = StopStrings(request.stop, self._renderer.decode).length(ids)
        if kept is not None:
            ids, logprobs, finish = ids[:kept], logprobs[:kept], "stop"
        if request.sampling.temperature == 0:
            logprobs = [0.0] * len(ids)  # a greedy token was certain, whatever the distribution behind it
        versions = [self._number(name) for name, start, end in output.versions for _ in range(start, end)][: len(ids)]
        several = len(set(versions)) > 1
        return Completion(
            text=self._renderer.decode(ids),
            token_ids=ids,
            logprobs=logprobs,
            finish_reason=finish,
            weight_version=versions[-1] if versions else self.weight_version,
            versions=versions if several and len(versions) == len(ids) else None,
        )

    @staticmethod
    def _number(name: str) -> int:
        return int(name) if name.isdecimal() else 0  # an engine that nobody has updated calls its weights "default"


def is_plain(sampling: Sampling) -> bool:
    """Whether log-probabilities before and after temperature, top-k and top-p are the same."""
    return sampling.temperature in (0.0, 1.0) and sampling.top_p == 1 and sampling.top_k == 0


def load_tokenizer(name: str) -> Any:
    """The tokenizer beside the weights. Raises ConfigError where there is none."""
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(name)
    except (OSError, ValueError) as error:
        raise ConfigError(f"Can't load a tokenizer from {name!r}: {error}") from error


def adapters_of(adapters: Mapping[str, str] | None, adapter: str) -> dict[str, str]:
    """Checks that the adapter to use is among those given."""
    known = dict(adapters or {})
    if adapter and adapter not in known:
        raise ConfigError(
            f"Unknown adapter {adapter!r}; given: {', '.join(known) or 'none'}. Pass adapters={{name: folder}}."
        )
    return known
