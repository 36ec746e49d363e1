import numpy as np
import pytest
import torch

from agentgym.credit import Batch
from agentgym.policies.tiny import build_model, build_tokenizer

WORDS = [f"w{index}" for index in range(8)]


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def tokenizer():
    return build_tokenizer([" ".join(WORDS)])


@pytest.fixture
def make_model(tokenizer):
    """Builds fresh models of one layer."""
    return lambda seed=0, hidden=32, layers=1: build_model(
        tokenizer, layers=layers, hidden=hidden, context=128, seed=seed
    )


@pytest.fixture
def make_batch(tokenizer):
    """Makes episodes in which each turn is one or two words: ``turns[i][k]`` are the word numbers of turn k."""
    word_ids = [tokenizer.backend_tokenizer.encode(word).ids[0] for word in WORDS]
    separator = tokenizer.eos_token_id

    def make(turns, outcomes, groups=None):
        ids, spans = [], []
        for episode in turns:
            row, of_row = [separator], []
            for words in episode:
                of_row.append((len(row), len(row) + len(words)))
                row += [word_ids[word] for word in words] + [separator]
            ids.append(row)
            spans.append(of_row)
        return Batch.build(
            groups if groups is not None else list(range(len(turns))),
            [[0.0] * len(episode) for episode in turns],
            spans=spans,
            masks=[
                [int(any(start <= place < end for start, end in of_row)) for place in range(len(row))]
                for row, of_row in zip(ids, spans, strict=True)
            ],
            outcomes=outcomes,
            columns={"token_id": ids, "logprob": [[0.0] * len(row) for row in ids]},
        )

    return make


@pytest.fixture
def rng():
    return np.random.default_rng(0)
