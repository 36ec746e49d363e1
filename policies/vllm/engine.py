"""vLLM in this process: ``AsyncLLM``, its engine core in a child process of its own."""

from __future__ import annotations

import itertools
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from agentgym.core.errors import AgentGymError, Boundary, ConfigError, Fault
from agentgym.core.policy import Request
from agentgym.core.registry import missing_extra
from agentgym.policies.loop import LoopThread
from agentgym.policies.vllm.common import Output, VLLMPolicy, adapters_of, load_tokenizer

Transfer = Literal["auto", "disk", "ipc", "nccl"]

_EXACT, _ROUNDED = 1e-3, 0.05
"""Mean differences of log-probabilities between engine and learner that are rounding: of 32-bit weights, of 16-bit."""

_ON_CPU = {"enable_chunked_prefill": False, "distributed_executor_backend": "uni"}
"""vLLM 0.32 can't rewind the generator of a seeded request on a CPU, which it does for prompts that it reads in pieces,
and dies."""


class EngineError(AgentGymError, RuntimeError):
    """The engine is gone, and every episode after this one would fail: the run ends, to be resumed."""


class EnginePolicy(VLLMPolicy):
    """An engine of one's own.

    Args:
        model: Folder or hub name. On a CPU a folder with tied embeddings is served as an untied copy: vLLM 0.32 would
            keep the old output layer at every update there.
        tokenizer: Folder or hub name; by default the model's.
        dtype: Of the weights, such as ``"bfloat16"``. By default float32 on a CPU and the model's own on a GPU.
        context: Tokens of a sequence at most; by default what the model was trained for.
        adapters: LoRA adapters by name.
        adapter: Which of them writes the messages; empty for the bare model.
        prefix_caching: Whether contexts that begin alike share their keys and values.
        transfer: How `update_weights` hands weights over: through files (``disk``, any machine), through the memory of
            one GPU that both share (``ipc``), or between GPUs (``nccl``). ``auto``: files on a CPU, else ``ipc``.
        seed: Of the engine; messages have seeds of their own.
        template_kwargs: Passed to the chat template.
        history: As for `HFRenderer`.
        engine_args: Anything else that vLLM's ``AsyncEngineArgs`` takes.

    Raises:
        ConfigError: vLLM refuses the model or an argument. MissingExtraError: It isn't installed.
    """

    def __init__(
        self,
        model: str,
        tokenizer: str = "",
        *,
        dtype: str = "",
        context: int | None = None,
        adapters: Mapping[str, str] | None = None,
        adapter: str = "",
        prefix_caching: bool = True,
        transfer: Transfer = "auto",
        seed: int = 0,
        template_kwargs: dict[str, Any] | None = None,
        history: str = "template",
        engine_args: Mapping[str, Any] | None = None,
    ) -> None:
        if transfer not in ("auto", "disk", "ipc", "nccl"):
            raise ConfigError(f"transfer must be auto, disk, ipc or nccl, got {transfer!r}.")
        _quiet()
        try:
            import torch
            import vllm
            from vllm.v1.engine.async_llm import AsyncLLM
        except ModuleNotFoundError as error:
            raise missing_extra(error, needed_by="the policy 'vllm'") from error
        self._vllm: Any = vllm  # without vLLM a type checker takes the name for this folder
        self._cpu = not torch.cuda.is_available()
        self._transfer = ("disk" if self._cpu else "ipc") if transfer == "auto" else transfer
        self._folder = tempfile.TemporaryDirectory(prefix="agentgym-vllm-")
        self._adapters = adapters_of(adapters, adapter)
        self._adapter = adapter
        super().__init__(load_tokenizer(tokenizer or model), template_kwargs, history, LoopThread("vllm"))
        arguments: dict[str, Any] = {
            "model": self._served(model),
            "tokenizer": tokenizer or model,
            "dtype": dtype or ("float32" if self._cpu else "auto"),
            "max_model_len": context,
            "enable_prefix_caching": prefix_caching,
            "logprobs_mode": "processed_logprobs",
            "seed": seed,
            "disable_log_stats": True,
            "use_tqdm_on_load": False,
        }
        if self._cpu:
            arguments |= _ON_CPU
        if adapters:
            arguments |= {"enable_lora": True, "max_loras": len(self._adapters)}
        if self._transfer in ("ipc", "nccl"):
            arguments["weight_transfer_config"] = {"backend": self._transfer}
        arguments |= dict(engine_args or {})
        self._engine: Any = self._loop.run(self._start(AsyncLLM, arguments))
        self.context = int(self._engine.model_config.max_model_len)
        self._exact = str(self._engine.model_config.dtype) == "torch.float32"
        self._numbers = itertools.count()
        self._trainer: Any = None

    async def _start(self, engine: Any, arguments: dict[str, Any]) -> Any:
        try:
            return engine.from_engine_args(self._vllm.AsyncEngineArgs(**arguments))
        except (ValueError, TypeError, OSError, RuntimeError) as error:
            self._folder.cleanup()
            raise ConfigError(f"vLLM can't serve {arguments['model']!r}: {_first_line(error)}") from error

    def _served(self, model: str) -> str:
        from agentgym.policies.vllm.weights import tied, untie

        folder = Path(model)
        if not (self._cpu and folder.is_dir() and tied(folder)):
            return model
        return str(untie(folder, Path(self._folder.name) / "untied"))

    async def _generate(self, request: Request, prompt: list[int]) -> Output:
        from vllm.sampling_params import RequestOutputKind

        params = self._vllm.SamplingParams(**self._parameters(request), output_kind=RequestOutputKind.FINAL_ONLY)
        final = await self._final(prompt, params, lora=self._lora())
        (found,) = final.outputs
        logprobs = [row[token].logprob for token, row in zip(found.token_ids, found.logprobs or (), strict=True)]
        versions = [(span.version, span.start, span.end) for span in found.weight_versions or ()]
        return Output(found.token_ids, logprobs, str(found.finish_reason), versions)

    async def _final(self, prompt: Sequence[int], params: Any, lora: Any = None) -> Any:
        from vllm.exceptions import VLLMError
        from vllm.v1.engine.exceptions import EngineDeadError

        final = None
        name = f"agentgym-{next(self._numbers)}"
        try:
            async for output in self._engine.generate(
                {"prompt_token_ids": list(prompt)}, params, name, lora_request=lora
            ):
                final = output
        except EngineDeadError as error:
            raise EngineError(f"vLLM's engine has died: {_first_line(error)} Its own log says why.") from error
        except (ValueError, VLLMError) as error:
            raise Fault(Boundary.POLICY, f"vLLM refuses the request: {_first_line(error)}") from error
        if final is None:
            raise Fault(Boundary.POLICY, "vLLM returned nothing", retryable=True)
        return final

    def _lora(self) -> Any:
        if not self._adapter:
            return None
        from vllm.lora.request import LoRARequest

        number = 1 + list(self._adapters).index(self._adapter)
        return LoRARequest(self._adapter, number, self._adapters[self._adapter])

    async def _scores(self, prompts: Sequence[Sequence[int]]) -> list[list[list[float]]]:
        params = self._vllm.SamplingParams(
            max_tokens=1, temperature=0.0, prompt_logprobs=0, detokenize=False, skip_reading_prefix_cache=True
        )
        found = []
        for prompt in prompts:
            rows = (await self._final(prompt, params)).prompt_logprobs
            found.append([row[token].logprob for token, row in zip(prompt[1:], rows[1:], strict=True)])
        return [found]

    @property
    def _tolerance(self) -> float:
        return _EXACT if self._exact else _ROUNDED

    async def _hand_over(self, weights: Any, version: int) -> None:
        engine = self._engine
        # Frozen requests lose their keys and values here, so that none of them goes on from what old weights computed.
        await engine.pause_generation(mode="keep", clear_cache=True)
        try:
            if self._transfer == "disk":
                from agentgym.policies.vllm.weights import save

                folder = save(weights, Path(self._folder.name) / "weights")
                await engine.collective_rpc("reload_weights", kwargs={"weights_path": str(folder)})
            else:
                await self._hand_over_on_gpus(weights)
            await engine.reset_prefix_cache(reset_running_requests=True)
            await engine.update_weight_version(str(version))
        finally:
            await engine.resume_generation()

    async def _hand_over_on_gpus(self, weights: Any) -> None:
        import asyncio

        from agentgym.policies.vllm.transfer import send

        self._trainer = await asyncio.to_thread(send, self._transfer, self._engine, self._loop, weights, self._trainer)

    def sleep(self, level: int = 1) -> None:
        """Gives the GPU's memory to the learner: 1 keeps the weights in main memory, 2 drops them (update after)."""
        self._loop.run(self._engine.sleep(level))

    def wake(self) -> None:
        """Takes the memory back."""
        self._loop.run(self._engine.wake_up())

    def close(self) -> None:
        """Ends the engine and its processes."""
        engine, self._engine = getattr(self, "_engine", None), None
        if engine is not None:
            self._loop.run(_shut(engine))
        self._loop.close()
        self._folder.cleanup()


async def _shut(engine: Any) -> None:
    engine.shutdown()


def _quiet() -> None:
    """What vLLM reads when it is imported. Its log goes to standard output, where our summary is."""
    threads = str(max(1, (os.cpu_count() or 2) // 2))
    for name, value in {
        "VLLM_LOGGING_LEVEL": "ERROR",
        "VLLM_LOGGING_STREAM": "ext://sys.stderr",
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "OMP_NUM_THREADS": threads,
    }.items():
        os.environ.setdefault(name, value)


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
