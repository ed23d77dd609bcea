"""Elementary functions: near the exact value, and the same bits on every processor."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from smidgen.elementary import cosine, exponential, logarithm, sine
from smidgen.engine.losses import prepare
from smidgen.records import Augmentation, Recipe
from smidgen.streams import affine_maps

WORDS = np.random.PCG64(5).random_raw(30_000).astype(np.float64) / 2.0**64
"""Numbers from 0 to 1, the same for ever."""

CASES: dict[str, tuple[Callable[..., NDArray[np.float64]], Callable[[float], float], NDArray[np.float64], str]] = {
    "exponential": (exponential, math.exp, 1400 * WORDS - 700, "4496739a82125756"),
    "softmax's exponential": (exponential, math.exp, -40 * WORDS * WORDS, "282f2df248ba24d7"),
    "logarithm": (logarithm, math.log, 2.0 ** -np.rint(600 * WORDS) * (1 + WORDS[::-1]), "35f3ab43ce00415d"),
    "logarithm near 1": (logarithm, math.log, 1 + 0.01 * (WORDS - 0.5), "bad6636ba97fb6c9"),
    "cosine": (cosine, math.cos, 2000 * WORDS - 1000, "6629403771cfe382"),
    "sine": (sine, math.sin, 7 * WORDS - 3.5, "85762a8f53b0e281"),
}


@pytest.mark.parametrize("name", CASES)
def test_it_is_within_two_units_in_the_last_place(name: str) -> None:
    function, exact, x, _ = CASES[name]
    found, expected = function(x), np.array([exact(each) for each in x.tolist()])
    unit = np.full(len(x), 2.0**-52) if name in ("cosine", "sine") else np.spacing(np.abs(expected))
    assert (np.abs(found - expected) <= 2 * unit).all()


@pytest.mark.parametrize("name", CASES)
def test_its_bits_are_the_same_everywhere(name: str) -> None:
    """A processor whose sums, products or quotients rounded otherwise than IEEE 754 would fail here."""
    function, _, x, digest = CASES[name]
    assert hashlib.sha256(function(x).astype("<f8").tobytes()).hexdigest()[:16] == digest


def test_the_ends() -> None:
    np.testing.assert_array_equal(exponential([-math.inf, -1e9, 0.0, 1e9, math.inf]), [0, 0, 1, math.inf, math.inf])
    np.testing.assert_array_equal(logarithm([0.0, 1.0, math.inf, -1.0]), [-math.inf, 0, math.inf, math.nan])
    assert np.isnan([exponential(math.nan), logarithm(math.nan)]).all()
    assert logarithm(5e-324) == math.log(5e-324)
    np.testing.assert_array_equal(cosine([0.0, math.pi]), [1, -1])
    assert sine(0.0) == 0
    with pytest.raises(ValueError, match="an angle of 2e\\+06 radians is too large"):
        sine([0.0, -2e6])


def test_large_arrays_have_the_bits_of_their_parts() -> None:
    x = -30 * np.concatenate([WORDS, WORDS]).reshape(300, 200)
    np.testing.assert_array_equal(exponential(x), np.array([exponential(row) for row in x]))


def digest_of(array: NDArray[np.float32]) -> str:
    return hashlib.sha256(array.astype("<f4").tobytes()).hexdigest()[:16]


def test_what_enters_a_training_has_the_same_bits_everywhere() -> None:
    logits = (20 * WORDS - 10).astype(np.float32).reshape(3_000, 10)
    targets = {loss: prepare(Recipe(loss, 2.0), logits) for loss in ("kl", "probabilities", "standardised-logits")}
    found = {loss: digest_of(each.values) for loss, each in targets.items() if each.values is not None}
    found["deviations"] = digest_of(targets["standardised-logits"].inverse_std)
    found["rates"] = digest_of(Recipe(epochs=3, learning_rate=0.01).learning_rates(50_000))
    found["maps"] = digest_of(affine_maps(Augmentation(2, 10, 0.1, 0.1), 1_000, (28, 20), 3, 1))
    assert found == {
        "kl": "77841833913b0cf2",
        "probabilities": "d94a4c4c20c88f95",
        "standardised-logits": "9a514e90b9729aa8",
        "deviations": "0b4492423ec2c999",
        "rates": "3b61c67524da4bef",
        "maps": "fe9cb364e04779ad",
    }


def test_targets_of_the_same_logits_are_arrays_of_their_own() -> None:
    logits = WORDS.astype(np.float32).reshape(3_000, 10)
    first, second = (prepare(Recipe("kl", 2.0), logits).values for _ in range(2))
    assert first is not None
    assert second is not None
    first[:] = 0
    np.testing.assert_allclose(second.sum(axis=1), 1, rtol=1e-6)
    changed = logits.copy()
    changed[0, 0] += 1
    third = prepare(Recipe("kl", 2.0), changed).values
    assert third is not None
    assert (third[0] != second[0]).all()
    np.testing.assert_array_equal(third[1:], second[1:])
