"""vLLM behind one server or several replicas of it, with token ids in and out.

Asks ``/inference/v1/generate`` (a server started with ``--enable-scale-out``) and falls back to ``/v1/completions``.
An episode keeps to one replica, where its earlier context is cached, and moves to another only when that one is gone.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from agentgym.core.errors import Boundary, ConfigError, Fault
from agentgym.core.policy import Request
from agentgym.core.seeding import digest
from agentgym.policies.http import GivenUp, JsonClient, NotThere, Retry
from agentgym.policies.loop import LoopThread
from agentgym.policies.vllm.common import Output, VLLMPolicy, is_plain, load_tokenizer

GENERATE, COMPLETIONS = "/inference/v1/generate", "/v1/completions"

AWAY = 30.0
"""Seconds for which a server that was given up is asked last."""
_CERTAIN = 1e-3
"""Nats from 0 up to which the log-probability of a token that was drawn among one is that of a certain one."""


class ServerPolicy(VLLMPolicy):
    """One vLLM model behind HTTP.

    Args:
        urls: Addresses of servers that serve the same model.
        model: Name that they serve it (or a LoRA adapter) by; empty for the first that they name.
        tokenizer: Folder or hub name; by default the folder or name that the server loaded the model from.
        key_env: Environment variable with the servers' key; empty for none.
        timeout: Seconds that a request may take.
        concurrency: Requests in flight at each server.
        attempts: How often a request is asked before its episode fails.
        tolerance: Of the probe after a weight update, see `Probe.check`: 1e-3 fits 32-bit weights, 0.05 16-bit ones.
        weights_folder: Where updates are written for the servers to read; they must see it under the same path.
        template_kwargs: Passed to the chat template.
        history: As for `HFRenderer`.

    Raises:
        ConfigError: A server doesn't answer, or doesn't serve the model.
    """

    def __init__(
        self,
        urls: Sequence[str],
        model: str = "",
        tokenizer: str = "",
        *,
        key_env: str = "",
        timeout: float = 600.0,
        concurrency: int = 256,
        attempts: int = 4,
        tolerance: float = 0.05,
        weights_folder: str = "",
        template_kwargs: dict[str, Any] | None = None,
        history: str = "template",
    ) -> None:
        loop = LoopThread("vllm servers")
        self._away: dict[str, float] = {}
        """Servers that were given up, and until when others are asked first."""
        self._clients: dict[str, JsonClient] = {}
        try:
            for url in urls:
                self._clients[url] = JsonClient(
                    url,
                    key_env=key_env,
                    timeout=timeout,
                    concurrency=concurrency,
                    retry=Retry(attempts=attempts),
                    service="the vLLM server",
                )
            found = [loop.run(_served(client, model)) for client in self._clients.values()]
            if len({row["id"] for row in found}) > 1:
                raise ConfigError(f"The vLLM servers serve different models: {', '.join(row['id'] for row in found)}.")
            self.model: str = found[0]["id"]
            self.context = min((int(row["max_model_len"]) for row in found if row.get("max_model_len")), default=None)
            self._path = GENERATE
            source = tokenizer or str(found[0].get("root") or self.model)
            super().__init__(load_tokenizer(source), template_kwargs, history, loop)
            self._processed = all(loop.run(self._is_processed(client)) for client in self._clients.values())
        except BaseException:
            for client in self._clients.values():
                loop.run(client.close())
            loop.close()
            raise
        self._given_tolerance = tolerance
        self._temporary = None if weights_folder else tempfile.TemporaryDirectory(prefix="agentgym-vllm-")
        self._weights = Path(weights_folder or self._temporary.name)  # type: ignore[union-attr]

    def order(self, episode_id: str) -> list[str]:
        """The servers in the order in which an episode tries them: the same one first as long as it is there.

        By rendezvous hashing, so that a server that comes or goes moves no other server's episodes.
        """
        return sorted(self._clients, key=lambda url: digest(episode_id, url))

    async def _generate(self, request: Request, prompt: list[int]) -> Output:
        if not self._processed and not is_plain(request.sampling):
            raise ConfigError(
                "This vLLM server returns log-probabilities before temperature, top-k and top-p. Start it with"
                " --logprobs-mode processed_logprobs, or sample with temperature 1, top_p 1 and top_k 0."
            )
        now = time.monotonic()
        urls = sorted(self.order(request.episode_id), key=lambda url: self._away.get(url, 0.0) > now)
        for place, url in enumerate(urls, 1):
            try:
                output = await self._ask(self._clients[url], prompt, self._parameters(request))
                self._away.pop(url, None)
                return output
            except GivenUp:
                self._away[url] = time.monotonic() + AWAY
                if place == len(urls):
                    raise
        raise AssertionError("the last server answers or raises")

    async def _ask(self, client: JsonClient, prompt: Sequence[int], parameters: dict[str, Any]) -> Output:
        if self._path == GENERATE:
            try:
                answer = await client.post(
                    GENERATE, {"model": self.model, "token_ids": list(prompt), "sampling_params": parameters}
                )
                return _read(answer, _generated)
            except NotThere:
                self._path = COMPLETIONS
        body: dict[str, Any] = {
            "model": self.model,
            "prompt": list(prompt),
            **{name: value for name, value in parameters.items() if name != "detokenize"},
            "return_token_ids": True,
            "add_special_tokens": False,
        }
        return _read(await client.post(COMPLETIONS, body), _completed)

    async def _is_processed(self, client: JsonClient) -> bool:
        """Whether a token that had no alternative has log-probability 0: it is taken after top-k then."""
        parameters: dict[str, Any] = {"temperature": 0.5, "top_k": 1, "max_tokens": 1, "logprobs": 0, "seed": 0}
        prompt = [token for token in self._renderer.encode("a") if token >= 0][:1] or [0]
        return abs((await self._ask(client, prompt, parameters)).logprobs[0]) < _CERTAIN

    async def _scores(self, prompts: Sequence[Sequence[int]]) -> list[list[list[float]]]:
        return [
            [await self._prompt_logprobs(client, prompt) for prompt in prompts] for client in self._clients.values()
        ]

    async def _prompt_logprobs(self, client: JsonClient, prompt: Sequence[int]) -> list[float]:
        parameters: dict[str, Any] = {"max_tokens": 1, "temperature": 0.0, "prompt_logprobs": 0, "logprobs": 0}
        if self._path == GENERATE:
            body = {"model": self.model, "token_ids": list(prompt), "sampling_params": parameters}
            found = (await client.post(GENERATE, body))["prompt_logprobs"]
        else:
            body = {"model": self.model, "prompt": list(prompt), **parameters}
            found = (await client.post(COMPLETIONS, body))["choices"][0]["prompt_logprobs"]
        return [row[str(token)]["logprob"] for token, row in zip(prompt[1:], found[1:], strict=True)]

    @property
    def _tolerance(self) -> float:
        return self._given_tolerance

    async def _hand_over(self, weights: Any, version: int) -> None:
        from agentgym.policies.vllm.weights import save

        folder = await asyncio.to_thread(save, weights, self._weights)

        async def one(client: JsonClient) -> None:
            await client.post("/pause", params={"mode": "keep"})
            try:
                body = {"method": "reload_weights", "kwargs": {"weights_path": str(folder)}}
                await client.post("/collective_rpc", body)
                await client.post("/reset_prefix_cache", params={"reset_running_requests": "true"})
                await client.post("/update_weight_version", {"new_version": str(version)})
            finally:
                await client.post("/resume")

        try:
            await asyncio.gather(*(one(client) for client in self._clients.values()))
        except NotThere as error:
            raise ConfigError(
                f"{error} Weight updates need servers that were started with VLLM_SERVER_DEV_MODE=1."
            ) from None

    def load_adapter(self, name: str, folder: str) -> None:
        """Has every server load a LoRA adapter (or load it again) and asks for it from now on.

        Servers need ``--enable-lora`` and VLLM_ALLOW_RUNTIME_LORA_UPDATING=True.
        """
        body = {"lora_name": name, "lora_path": folder, "load_inplace": True}
        for client in self._clients.values():
            self._loop.run(client.post("/v1/load_lora_adapter", body))
        self.model = name

    def close(self) -> None:
        """Closes the connections. The servers go on."""
        for client in self._clients.values():
            self._loop.run(client.close())
        self._clients = {}
        self._loop.close()
        if self._temporary is not None:
            self._temporary.cleanup()


async def _served(client: JsonClient, model: str) -> dict[str, Any]:
    """What a server says about the model it serves."""
    try:
        rows = (await client.get("/v1/models"))["data"]
    except (Fault, NotThere, TypeError, KeyError) as error:
        reason = f": {error}" if isinstance(error, Fault | NotThere) else ""
        raise ConfigError(
            f"No vLLM server answers at {client.base_url}{reason}. Start one with 'python -m"
            " vllm.entrypoints.openai.api_server --model ... --enable-scale-out --logprobs-mode processed_logprobs'."
        ) from None
    found: dict[str, Any] | None = next((row for row in rows if not model or row["id"] == model), None)
    if found is None:
        names = ", ".join(row["id"] for row in rows)
        raise ConfigError(f"The vLLM server at {client.base_url} doesn't serve {model!r}; it serves: {names}.")
    parent = next((row for row in rows if row["id"] == found.get("parent")), found)
    return {**found, "root": parent.get("root"), "max_model_len": parent.get("max_model_len")}


def _read(answer: Any, read: Callable[[dict[str, Any]], Output]) -> Output:
    try:
        return read(answer["choices"][0])
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise Fault(
            Boundary.POLICY, f"the vLLM server's answer lacks what was asked for ({type(error).__name__}: {error})"
        ) from None


def _generated(choice: dict[str, Any]) -> Output:
    logprobs = [row["logprob"] for row in choice["logprobs"]["content"]]
    return Output(list(choice["token_ids"]), logprobs, str(choice["finish_reason"]), _versions(choice))


def _completed(choice: dict[str, Any]) -> Output:
    logprobs = list(choice["logprobs"]["token_logprobs"])
    return Output(list(choice["token_ids"]), logprobs, str(choice["finish_reason"]), _versions(choice))


def _versions(choice: dict[str, Any]) -> list[tuple[str, int, int]]:
    return [(str(span["version"]), span["start"], span["end"]) for span in choice.get("weight_versions") or ()]


def _distance(rows: Sequence[Sequence[float]], expected: Sequence[Sequence[float]]) -> float:
    return sum(abs(a - b) for row, other in zip(rows, expected, strict=True) for a, b in zip(row, other, strict=True))
