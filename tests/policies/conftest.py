import pytest
import torch

from agentgym.policies.tiny import build_tiny

TEXTS = [
    "find a red shirt under 20 dollars",
    "find a blue cotton hat under 35 dollars",
    "[1] red cotton shirt - 15\n[2] blue shirt - 20\n",
    "search[red shirt]",
    "click[1]",
    "buy[]",
]


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def tiny():
    """An untrained model of two layers and its tokenizer. Tests must not change the weights."""
    return build_tiny(TEXTS, layers=2, hidden=64, context=512, seed=3)
