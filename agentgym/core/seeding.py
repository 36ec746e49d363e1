"""Independent random streams from one seed, equal in every process.

``hash()`` differs from process to process and neighbouring integer seeds give related streams in some generators, so
streams are derived by name through BLAKE2.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np


def derive_seed(*parts: int | str) -> int:
    """A 63-bit seed from a path of integers and names, e.g. ``derive_seed(7, "episode", 3)``."""
    text = "\x1f".join([f"{type(part).__name__[0]}{part}" for part in parts])
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big") >> 1


def derive_rng(*parts: int | str) -> np.random.Generator:
    """A generator of its own for the path ``parts``."""
    return np.random.Generator(np.random.PCG64(derive_seed(*parts)))


def digest(*parts: Any) -> str:
    """16 hex digits that name a value: for ``Game.state_key``, hashes of task sets and of configurations.

    Accepts what ``repr`` writes the same in every process: numbers, strings, None, tuples, lists and dataclasses of
    those. Dicts count in insertion order; sort what has no order.
    """
    return hashlib.blake2b(repr(parts).encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
