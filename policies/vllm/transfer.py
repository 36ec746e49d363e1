"""Weights straight from a learner's GPU memory into vLLM's, by its weight-transfer engines (vLLM 0.32).

Not run by the tests: no machine of ours has a GPU. `benchmarks/gpu/policies.py` checks it where there is one.
"""

from __future__ import annotations

import socket
from typing import Any

import torch

from agentgym.core.errors import ConfigError
from agentgym.policies.loop import LoopThread
from agentgym.policies.vllm.weights import Source, merged


class Client:
    """The four calls that a trainer engine makes, into an engine that lives in a loop of this process."""

    def __init__(self, engine: Any, loop: LoopThread) -> None:
        self._engine, self._loop = engine, loop

    def init_weight_transfer_engine(self, init_info: dict[str, Any]) -> None:
        """Both ends meet."""
        from vllm.distributed.weight_transfer.base import WeightTransferInitRequest

        self._loop.run(self._engine.init_weight_transfer_engine(WeightTransferInitRequest(init_info=init_info)))

    def start_weight_update(self) -> None:
        """An update begins."""
        self._loop.run(self._engine.start_weight_update())

    def update_weights(self, update_info: Any) -> None:
        """Some parameters arrive."""
        from vllm.distributed.weight_transfer.base import WeightTransferUpdateRequest

        self._loop.run(self._engine.update_weights(WeightTransferUpdateRequest(update_info=update_info)))

    def finish_weight_update(self, weight_version: str | None = None) -> None:
        """All have arrived."""
        self._loop.run(self._engine.finish_weight_update(weight_version))


def send(kind: str, engine: Any, loop: LoopThread, learner: Any, trainer: Any) -> Any:
    """Sends a learner's weights; returns the trainer's end of the connection, to be passed again the next time.

    Call it in a thread that isn't the engine's loop.

    Args:
        kind: ``ipc`` or ``nccl``.
        engine: The ``AsyncLLM``.
        loop: Where it runs.
        learner: The model, on a GPU.
        trainer: What the call before returned; None the first time.

    Raises:
        ConfigError: The learner isn't on a GPU.
    """
    from vllm.distributed.weight_transfer.base import ParamMeta

    device = next(learner.parameters()).device
    if device.type != "cuda":
        raise ConfigError(f"transfer={kind!r} needs the learner on a GPU; it is on {device}. Use transfer='disk'.")
    with merged(learner) as named, torch.cuda.device(device):
        source = Source(named, ParamMeta)
        if trainer is None:
            trainer = _connect(kind, Client(engine, loop), source, engine)
        trainer.source = source
        trainer.send_weights()
    return trainer


def _connect(kind: str, client: Client, source: Source, engine: Any) -> Any:
    if kind == "ipc":
        from vllm.distributed.weight_transfer.ipc_engine import IPCTrainerInitInfo, IPCTrainerWeightTransferEngine

        return IPCTrainerWeightTransferEngine.trainer_init(IPCTrainerInitInfo(rank=0), client=client, source=source)
    from vllm.distributed.weight_transfer.nccl_engine import NCCLTrainerInitInfo, NCCLTrainerWeightTransferEngine

    workers = int(engine.vllm_config.parallel_config.world_size_across_dp)
    info = NCCLTrainerInitInfo(master_address="127.0.0.1", master_port=_free_port(), world_size=1 + workers, rank=0)
    return NCCLTrainerWeightTransferEngine.trainer_init(info, client=client, source=source)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
