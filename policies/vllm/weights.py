"""Weights on their way from a learner to an engine."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from agentgym.core.errors import ConfigError

HEAD = "lm_head.weight"
EMBEDDINGS = "embed_tokens.weight"
FILE = "model.safetensors"


def tied(folder: Path) -> bool:
    """Whether the model in a folder has one matrix as embeddings and output layer."""
    config = _config(folder)
    text = config.get("text_config") or {}
    return bool(config.get("tie_word_embeddings", text.get("tie_word_embeddings", False)))


def untie(folder: Path, target: Path) -> Path:
    """Writes a copy of a model whose output layer is a matrix of its own. Equal outputs, and updates reach both.

    Raises:
        ConfigError: The folder holds no safetensors files with an embedding matrix.
    """
    config = _config(folder)
    target.mkdir(parents=True, exist_ok=True)
    tensors: dict[str, Tensor] = {}
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(str(file), framework="pt") as stored:
            tensors.update({name: stored.get_tensor(name) for name in stored.keys()})  # noqa: SIM118 - no mapping
    embeddings = next((name for name in tensors if name.endswith(EMBEDDINGS)), None)
    if embeddings is None:
        raise ConfigError(f"{str(folder)!r} holds no safetensors file with {EMBEDDINGS}; can't untie the model.")
    tensors.setdefault(HEAD, tensors[embeddings].clone())
    for file in folder.iterdir():
        if file.is_file() and not file.name.startswith("model") and file.name != "config.json":
            shutil.copy2(file, target / file.name)
    config["tie_word_embeddings"] = False
    (target / "config.json").write_text(json.dumps(config, indent=2), "utf-8")
    save_file(tensors, str(target / FILE), metadata={"format": "pt"})
    return target


def save(weights: Any, target: Path) -> Path:
    """Writes a learner's weights where an engine in another process reads them. The folder may hold older ones."""
    target.mkdir(parents=True, exist_ok=True)
    with merged(weights) as named:
        tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in named}
    partial = target / (FILE + ".partial")
    save_file(tensors, str(partial), metadata={"format": "pt"})
    partial.replace(target / FILE)
    return target


@contextmanager
def merged(model: Any) -> Iterator[list[tuple[str, Tensor]]]:
    """Names and tensors of a model as its checkpoint has them: adapters merged in, the output layer always there."""
    lora = hasattr(model, "peft_config")
    if lora:
        model.merge_adapter()
    try:
        yield _named(model, lora)
    finally:
        if lora:
            model.unmerge_adapter()


def _named(model: Any, lora: bool) -> list[tuple[str, Tensor]]:
    named = []
    for name, tensor in model.named_parameters(remove_duplicate=False):
        if lora:
            if ".lora_" in name:
                continue
            name = name.removeprefix("base_model.model.").replace(".base_layer.", ".")
        named.append((name, tensor))
    if not any(name == HEAD for name, _ in named) and model.get_output_embeddings() is not None:
        named.append((HEAD, model.get_output_embeddings().weight))
    return named


class Source:
    """A learner's weights as vLLM's trainer engines read them (``vllm.distributed.weight_transfer.base``)."""

    def __init__(self, named: list[tuple[str, Tensor]], meta: Any) -> None:
        self._named, self._meta = named, meta

    def metadata(self) -> list[Any]:
        """Name, type and shape of every parameter."""
        return [self._meta(name, tensor.dtype, tuple(tensor.shape)) for name, tensor in self._named]

    def __iter__(self) -> Iterator[tuple[str, Tensor]]:
        for name, tensor in self._named:
            full: Any = getattr(tensor, "full_tensor", None)  # a tensor in parts
            yield name, tensor.data if full is None else full()


def _config(folder: Path) -> dict[str, Any]:
    try:
        config: dict[str, Any] = json.loads((folder / "config.json").read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{str(folder)!r} holds no model: can't read its config.json ({error}).") from error
    return config


def on_cpu() -> bool:
    """Whether vLLM runs on the CPU here."""
    return not torch.cuda.is_available()
