import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, AutoTokenizer

from agentgym.core.errors import ConfigError
from agentgym.policies.tiny import build_tiny, build_tokenizer, save

TEXTS = [
    "find a red shirt under 20 dollars",
    "[1] red cotton shirt - 15\n[2] blue shirt - 20\n",
    "search[red shirt]",
    "click[1]",
    "buy[]",
]
TOKENIZER = build_tokenizer(TEXTS)
BACKEND = TOKENIZER.backend_tokenizer


def _ids(text):
    return BACKEND.encode(text, add_special_tokens=False).ids


def _decode(ids):
    return BACKEND.decode(ids, skip_special_tokens=False)


@pytest.mark.parametrize(
    "text",
    [*TEXTS, "", " ", "red  shirt", " red", "red ", "xyzzy redshirt", "é漢🙂", "a\x00b", "a,b ,c", "\n\n", "-15.99$"],
)
def test_decoding_gives_every_text_back(text):
    assert _decode(_ids(text)) == text


@settings(max_examples=300, deadline=None)
@given(st.text(st.characters(exclude_characters="\ue000", exclude_categories=["Cs"])))
def test_decoding_gives_any_text_back(text):
    assert _decode(_ids(text)) == text


def test_a_known_word_is_one_token_wherever_it_stands():
    red, shirt = _ids("red"), _ids("shirt")
    assert len(red) == len(shirt) == 1
    assert _ids("red shirt") == red + shirt
    assert _ids("search[red shirt]")[2:4] == red + shirt


def test_a_message_costs_two_tokens_of_framing():
    messages = [{"role": "user", "content": "find"}, {"role": "assistant", "content": "buy"}]
    ids = TOKENIZER.apply_chat_template(messages, add_generation_prompt=True)["input_ids"]
    assert len(ids) == 2 * (2 + 1) + 1
    assert (
        _decode(ids)
        == "<|im_start|>user\nfind<|im_end|>\n<|im_start|>assistant\nbuy<|im_end|>\n<|im_start|>assistant\n"
    )


def test_the_vocabulary_keeps_the_most_frequent_words():
    tokenizer = build_tokenizer(["common common rare", "common rare once"], max_words=2)
    backend = tokenizer.backend_tokenizer
    assert len(backend.encode("common rare").ids) == 2
    assert len(backend.encode("once").ids) > 1


def test_equal_seeds_give_equal_weights_and_leave_the_global_generator_alone():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    models = [build_tiny(TEXTS, layers=1, hidden=32, seed=seed)[0] for seed in (5, 5, 6)]
    assert torch.equal(torch.get_rng_state(), before)
    first, same, other = (model.lm_head.weight for model in models)
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


def test_the_default_model_has_about_a_million_parameters_and_untied_embeddings():
    model, _ = build_tiny(TEXTS)
    size = sum(parameter.numel() for parameter in model.parameters())
    assert 500_000 < size < 1_500_000
    assert model.config.head_dim >= 32
    assert model.lm_head.weight.data_ptr() != model.get_input_embeddings().weight.data_ptr()


def test_saved_models_load_with_the_auto_classes(tiny, tmp_path):
    model, tokenizer = tiny
    save(model, tokenizer, tmp_path)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path)
    again = AutoTokenizer.from_pretrained(tmp_path)
    for before, after in zip(model.parameters(), loaded.parameters(), strict=True):
        assert torch.equal(before, after)
    messages = [{"role": "user", "content": "find a red shirt, é"}]
    assert again.apply_chat_template(messages)["input_ids"] == tokenizer.apply_chat_template(messages)["input_ids"]
    assert again.decode(again("a  red shirt, é").input_ids) == "a  red shirt, é"


def test_bad_sizes_and_empty_texts_are_explained():
    with pytest.raises(ConfigError, match="multiple of 32"):
        build_tiny(TEXTS, hidden=100)
    with pytest.raises(ConfigError, match="no word"):
        build_tiny(["..."])
