"""Local models that read text for retrieval: sentence encoders and cross-encoders, from a folder or the hub.

A folder that the sentence-transformers library wrote says how its tokens become one vector (``1_Pooling/config.json``)
and what to put before queries and documents (``config_sentence_transformers.json``); other models are mean-pooled, and
those of the E5 family get their prefixes (Wang et al. 2022, https://arxiv.org/abs/2212.03533).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import numpy.typing as npt

from agentgym.core.errors import ConfigError
from agentgym.core.registry import missing_extra

Vectors = npt.NDArray[np.float32]
Pooling = Literal["mean", "cls", "lasttoken"]
_POOLING: Mapping[str, Pooling] = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
    "pooling_mode_lasttoken": "lasttoken",
}
"""Switches of a pooling layer's configuration."""
_E5 = re.compile(r"(^|[-_])e5([-_]|$)")


def sound(text: str) -> str:
    """``text`` without halves of surrogate pairs, which JSON can hold and tokenizers refuse."""
    return text.encode("utf-8", "replace").decode()


def load(model: str, kind: str, needed_by: str) -> tuple[Any, Any]:
    """A tokenizer and a model in evaluation mode.

    Args:
        model: A folder or a name on the hub.
        kind: Class of the transformers library that opens it.
        needed_by: What wants it, for errors.

    Raises:
        MissingExtraError: torch or transformers isn't installed.
        ConfigError: There is no such model.
    """
    try:
        import torch  # noqa: F401  # the library opens models only where it is
        import transformers
    except ModuleNotFoundError as error:
        raise missing_extra(error, needed_by=needed_by) from error
    try:
        tokenizer = cast(Any, transformers.AutoTokenizer).from_pretrained(model)
        return tokenizer, getattr(transformers, kind).from_pretrained(model).eval()
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"Can't load {needed_by}: {error} Expected a folder with weights and a tokenizer, or a name on the hub."
        ) from error


class SentenceEncoder:
    """A local encoder whose vectors have length 1.

    Raises:
        MissingExtraError: torch or transformers isn't installed.
        ConfigError: There is no such model, or it pools its tokens in a way that isn't known here.
    """

    def __init__(self, model: str, *, max_length: int = 256, batch: int = 128) -> None:
        # an index is opened from other folders too
        self.name = str(Path(model).resolve()) if Path(model).is_dir() else model
        self._tokenizer, self._model = load(self.name, "AutoModel", f"the embedder {model!r}")
        self._max_length, self._batch = max_length, batch
        self.pooling: Pooling = _pooling(_settings(self.name, "1_Pooling/config.json"), model)
        self.query_prefix, self.document_prefix = _prefixes(
            _settings(self.name, "config_sentence_transformers.json"), self.name
        )

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors, shape ``[texts, dimension]``."""
        import torch

        found = []
        with torch.inference_mode():
            for start in range(0, len(texts), self._batch):
                inputs = self._tokenizer(
                    [sound(text) for text in texts[start : start + self._batch]],
                    padding=True,
                    truncation=True,
                    max_length=self._max_length,
                    return_tensors="pt",
                )
                hidden = self._model(**inputs).last_hidden_state
                pooled = _pool(hidden, inputs["attention_mask"], self.pooling)
                found.append(torch.nn.functional.normalize(pooled.float(), dim=1).numpy())
        return np.ascontiguousarray(np.concatenate(found))


def _pool(hidden_B_L_D: Any, mask_B_L: Any, pooling: Pooling) -> Any:
    """One vector a text, whichever side it is padded on."""
    import torch

    if pooling == "mean":
        weight = mask_B_L.unsqueeze(-1).to(hidden_B_L_D.dtype)
        return (hidden_B_L_D * weight).sum(1) / weight.sum(1).clamp(min=1)
    order = torch.arange(1, mask_B_L.shape[1] + 1) * mask_B_L
    place = mask_B_L.argmax(1) if pooling == "cls" else order.argmax(1)
    return hidden_B_L_D[torch.arange(len(hidden_B_L_D)), place]


def _settings(model: str, file: str) -> Mapping[str, Any]:
    """A file of a model, empty where it has none."""
    from transformers.utils.hub import cached_file

    path = cached_file(
        model,
        file,
        _raise_exceptions_for_missing_entries=False,
        _raise_exceptions_for_gated_repo=False,
        _raise_exceptions_for_connection_errors=False,
    )
    if path is None:
        return {}
    try:
        return dict(json.loads(Path(path).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise ConfigError(f"{file} of the embedder {model!r} can't be read: {error}.") from error


def _pooling(settings: Mapping[str, Any], model: str) -> Pooling:
    named = settings.get("pooling_mode")
    chosen = (
        [named] if named else [_POOLING.get(key, key) for key, on in settings.items() if on is True and "mode" in key]
    )
    if not settings:
        return "mean"
    if len(chosen) != 1 or chosen[0] not in _POOLING.values():
        raise ConfigError(f"The embedder {model!r} pools its tokens by {chosen}; known: {[*_POOLING.values()]}.")
    return cast(Pooling, chosen[0])


def _prefixes(settings: Mapping[str, Any], model: str) -> tuple[str, str]:
    """Of queries and of documents."""
    prompts = settings.get("prompts") or {}
    if prompts:
        return str(prompts.get("query", "")), str(prompts.get("document", prompts.get("passage", "")))
    return ("query: ", "passage: ") if _E5.search(Path(model).name.lower()) else ("", "")
