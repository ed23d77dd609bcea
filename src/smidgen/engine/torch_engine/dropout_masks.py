"""The masks of dropouts as a pure function of a seed, a step and a layer's place.

No generator is drawn from: trainings side by side cannot change each other's masks, and many copies
of a network draw theirs in one go. All arithmetic is on int64, which wraps around as C's does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from smidgen.streams import dropout_key

if TYPE_CHECKING:
    from torch import Tensor

GOLDEN, MIX_1, MIX_2 = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
RATE_BITS = 24


def keys_of(seeds: Sequence[int]) -> npt.NDArray[np.int64]:
    """One word a seed, from which all its masks follow."""
    return np.array([_signed(dropout_key(seed)) for seed in seeds], np.int64)


def step_keys(keys: Tensor, step: int) -> Tensor:
    """The keys of one step: int64, as many as `keys`."""
    return mixed(keys + _signed(step * GOLDEN))


def kept(key: Tensor, place: int, values: Tensor, rate: float) -> Tensor:
    """Which of the values a dropout keeps: bool in their shape; key: int64 []."""
    import torch

    count = torch.arange(values.numel(), device=values.device).view(values.shape)
    words = mixed(mixed(key + place) + count * _signed(GOLDEN))
    return _shifted(words, 64 - RATE_BITS).ge(round(rate * 2**RATE_BITS))


def mixed(words: Tensor) -> Tensor:
    """Each word stirred until all its bits depend on all: the last step of SplitMix64 (Steele et al. 2014)."""
    words = (words ^ _shifted(words, 30)) * _signed(MIX_1)
    words = (words ^ _shifted(words, 27)) * _signed(MIX_2)
    return words ^ _shifted(words, 31)


def _shifted(words: Tensor, bits: int) -> Tensor:
    """Right, with zeros coming in: torch's own shift keeps the sign."""
    shifted: Tensor = (words >> bits) & (2 ** (64 - bits) - 1)
    return shifted


def _signed(word: int) -> int:
    """The int64 of the same last 64 bits: torch multiplies no uint64."""
    return (word + 2**63) % 2**64 - 2**63
