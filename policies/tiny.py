"""A language model of a million parameters, and its tokenizer, made on the spot from an environment's own text.

The architecture is Qwen3's, so that whatever runs a real model runs this one; nothing is downloaded. The tokenizer has
one token a word, and a blank between two words belongs to no token: ``search[red shirt]`` and ``a red shirt`` share the
tokens of both words, which is what lets a small model copy from its instruction. Text outside the vocabulary falls back
to characters and bytes, so that decoding gives back every text (but for the private-use character U+E000, which the
tokenizer uses to mark the ends of words).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from agentgym.core.errors import ConfigError

HEAD_DIM = 32
"""The smallest head that common inference kernels accept."""

EMBEDDING_STD = 0.5
# With the library's 0.02 everywhere a model this narrow needs more than 250 updates before attention finds anything to
# copy; with 1/sqrt(hidden) for the layers and this for the embeddings it needs about 100.

END = "<|im_end|>"
PAD = "<|endoftext|>"
_ROLES = ("system", "user", "assistant", "tool")
_HEADERS = [f"{before}<|im_start|>{role}\n" for before in ("", "\n") for role in _ROLES]
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
"""ChatML. Tool schemas are left out: a model of this size learns its actions from episodes, not from descriptions."""

_TOKENIZER_CLASS: Any = PreTrainedTokenizerFast
_MODEL_CLASS: Any = Qwen3ForCausalLM
# The library's own annotations of these two don't cover how they are called.

_EDGE = "\ue000"
_WORD = "[A-Za-z0-9]"
_WORD_OR_RUN = re.compile(f"({_WORD}+)|([^A-Za-z0-9]+)")
_LONGEST_RUN = 8
# Scores of the unigram model: whole words before runs, runs before characters, characters before bytes.
_WORD_SCORE, _RUN_SCORE, _CHARACTER_SCORE, _EDGE_SCORE, _BYTE_SCORE, _UNKNOWN_SCORE = (
    0.0,
    -1.0,
    -10.0,
    -20.0,
    -60.0,
    -100.0,
)


def build_tokenizer(texts: Iterable[str], *, max_words: int = 4096, max_runs: int = 256) -> Any:
    """A word-level tokenizer with ChatML's special tokens and a prefix-stable chat template.

    Args:
        texts: What the vocabulary is counted on: observations, instructions, actions.
        max_words: Words that get a token, the most frequent first.
        max_runs: The same for runs of punctuation and blanks, such as ``": "``.
    """
    words: Counter[str] = Counter()
    runs: Counter[str] = Counter()
    characters = {chr(code) for code in range(32, 127)} | {"\n", "\t"}
    for text in texts:
        characters.update(text)
        for word, run in _WORD_OR_RUN.findall(text):
            if word:
                words[word] += 1
            elif 1 < len(run) <= _LONGEST_RUN and _EDGE not in run:
                runs[run] += 1
    if not words:
        raise ConfigError("The texts of a tiny tokenizer hold no word. Give it the texts of an environment's episodes.")
    pieces: dict[str, float] = {"<unk>": _UNKNOWN_SCORE}
    pieces.update({f"<0x{byte:02X}>": _BYTE_SCORE for byte in range(256)})
    pieces[_EDGE] = _EDGE_SCORE
    pieces.update(dict.fromkeys(sorted(characters - {_EDGE}), _CHARACTER_SCORE))
    pieces.update(dict.fromkeys(_most_frequent(runs, max_runs), _RUN_SCORE))
    pieces.update({_EDGE + word + _EDGE: _WORD_SCORE for word in _most_frequent(words, max_words)})
    return _with_chat(_word_tokenizer(pieces))


def _most_frequent(counts: Counter[str], limit: int) -> list[str]:
    return sorted(counts, key=lambda item: (-counts[item], item))[:limit]


def _word_tokenizer(pieces: dict[str, float]) -> Tokenizer:
    """Marks both ends of every word, so that the blank between two words can go and come back."""
    tokenizer = Tokenizer(models.Unigram(list(pieces.items()), unk_id=0, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.Replace(Regex(f"(?<!{_WORD})(?={_WORD})"), _EDGE),
            normalizers.Replace(Regex(f"(?<={_WORD})(?!{_WORD})"), _EDGE),
            normalizers.Replace(f"{_EDGE} {_EDGE}", _EDGE + _EDGE),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(f"{_EDGE}{_WORD}+{_EDGE}|[^{_EDGE}]+"), "isolated")
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Replace(_EDGE + _EDGE, " "),
            decoders.Replace(_EDGE, ""),
        ]
    )
    return tokenizer


def _with_chat(tokenizer: Tokenizer) -> Any:
    # A whole message header is one token: what an episode spends on framing is two tokens a message.
    tokenizer.add_special_tokens([AddedToken(text, special=True, normalized=False) for text in (PAD, END, *_HEADERS)])
    return _TOKENIZER_CLASS(
        tokenizer_object=tokenizer,
        eos_token=END,
        pad_token=PAD,
        extra_special_tokens=_HEADERS,
        clean_up_tokenization_spaces=False,
        chat_template=CHAT_TEMPLATE,
    )


def build_model(tokenizer: Any, *, layers: int = 4, hidden: int = 128, context: int = 2048, seed: int = 0) -> Any:
    """A freshly initialised Qwen3 of ``layers`` x ``hidden`` in float32, in evaluation mode.

    Raises:
        ConfigError: ``hidden`` is no multiple of the head size.
    """
    if hidden % HEAD_DIM or hidden < HEAD_DIM:
        raise ConfigError(f"hidden must be a positive multiple of {HEAD_DIM} (one attention head), got {hidden}.")
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=hidden,
        intermediate_size=3 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=hidden // HEAD_DIM,
        num_key_value_heads=hidden // HEAD_DIM,
        head_dim=HEAD_DIM,
        max_position_embeddings=context,
        tie_word_embeddings=False,  # tied heads go stale in inference engines that pack their weights
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        dtype="float32",
        initializer_range=hidden**-0.5,
    )
    with torch.random.fork_rng(devices=[]):  # leaves the caller's generator where it was
        torch.manual_seed(seed)
        model = _MODEL_CLASS(config)
        torch.nn.init.normal_(model.get_input_embeddings().weight, std=EMBEDDING_STD)
    return model.eval()


def build_tiny(
    texts: Iterable[str],
    *,
    layers: int = 4,
    hidden: int = 128,
    context: int = 2048,
    max_words: int = 4096,
    seed: int = 0,
) -> tuple[Any, Any]:
    """The tokenizer of ``texts`` and an untrained model for it. Equal arguments give equal weights."""
    tokenizer = build_tokenizer(texts, max_words=max_words)
    return build_model(tokenizer, layers=layers, hidden=hidden, context=context, seed=seed), tokenizer


def save(model: Any, tokenizer: Any, directory: str | Path) -> Path:
    """Writes both where ``AutoModelForCausalLM`` and ``AutoTokenizer`` load them from. Returns the folder."""
    path = Path(directory)
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path
