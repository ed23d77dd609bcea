"""Dropout masks as a pure function of a seed, a step and a layer's place.

No generator is drawn from, so trainings that run side by side cannot change each other's masks. All arithmetic is on
int64, which wraps around as it does in C.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from smidgen.streams import dropout_key

if TYPE_CHECKING:
    import torch
    from torch import Tensor

GOLDEN, MIX_1, MIX_2 = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
"""The constants of SplitMix64 (Steele et al. 2014)."""

RATE_BITS = 24
"""A value is dropped if this many bits of its word are below rate * 2**RATE_BITS."""


def key_of(seed: int, device: torch.device) -> Tensor:
    """Return the word from which all masks of a training follow: int64 []."""
    import torch

    return torch.tensor(_signed(dropout_key(seed)), device=device)


def step_key(key: Tensor, step: int) -> Tensor:
    """Return the key of one step (from 0): int64 []."""
    return mix(key + _signed(step * GOLDEN))


def keep_mask(key: Tensor, place: int, values: Tensor, rate: float) -> Tensor:
    """Return which values a dropout layer keeps.

    Args:
        key: int64 [], the key of the step.
        place: The index of the layer in the network.
        values: The layer's input; the mask has its shape.
        rate: The probability to drop a value.
    """
    import torch

    count = torch.arange(values.numel(), device=values.device).view(values.shape)
    words = mix(mix(key + place) + count * _signed(GOLDEN))
    return _shift_right(words, 64 - RATE_BITS).ge(round(rate * 2**RATE_BITS))


def mix(words: Tensor) -> Tensor:
    """Mix the bits of each word: the last step of SplitMix64, after which each bit depends on all."""
    words = (words ^ _shift_right(words, 30)) * _signed(MIX_1)
    words = (words ^ _shift_right(words, 27)) * _signed(MIX_2)
    return words ^ _shift_right(words, 31)


def _shift_right(words: Tensor, bits: int) -> Tensor:
    """Shift in zeros; torch's own shift keeps the sign."""
    shifted: Tensor = (words >> bits) & (2 ** (64 - bits) - 1)
    return shifted


def _signed(word: int) -> int:
    """Return the int64 with the same last 64 bits; torch cannot multiply uint64."""
    return (word + 2**63) % 2**64 - 2**63
