"""The exponential, the logarithm, the sine and the cosine of float64 arrays, with the same bits on every processor.

NumPy's own differ in the last bit between processors, because it has other code for each set of instructions. These
consist of additions, multiplications, divisions and roundings alone, one at a time, which IEEE 754 defines to the bit.
What enters a training or a choice is computed by them. They are within two units in the last place of the exact value,
relative to the result, or to 1 for sine and cosine. Methods: reduction of the argument by a constant in two parts
(Cody & Waite 1980), then a Taylor series.
"""

from __future__ import annotations

from math import factorial

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]

LN2_HIGH, LN2_LOW = float.fromhex("0x1.62e42fee00000p-1"), float.fromhex("0x1.a39ef35793c76p-33")
"""ln 2 in two parts: the first has 32 bits, so that its product with an exponent is exact."""
LN2 = LN2_HIGH + LN2_LOW
HALF_PI_HIGH, HALF_PI_LOW = float.fromhex("0x1.921fb54400000p+0"), float.fromhex("0x1.0b4611a626331p-34")
"""pi / 2 in two parts: the first has 33 bits."""
LEAST_EXPONENT, MOST_EXPONENT = -800.0, 800.0
"""The exponential of anything below is 0, of anything above infinity."""
MOST_ANGLE = 2.0**20
BLOCK = 2**13
SQRT_HALF = float.fromhex("0x1.6a09e667f3bcdp-1")

EXPONENTIAL = tuple(1 / factorial(n) for n in range(13, 1, -1))
ARTANH = tuple(2 / (2 * n + 1) for n in range(12, 0, -1))
SINE = tuple((-1) ** n / factorial(2 * n + 1) for n in range(8, 0, -1))
COSINE = tuple((-1) ** n / factorial(2 * n) for n in range(9, 1, -1))
"""Coefficients of the series, the highest power first, without their first terms."""


def exponential(values: npt.ArrayLike) -> Doubles:
    """Return e to the power of each number: float64 of the same shape."""
    x = np.asarray(values, np.float64)
    if x.size > 2 * BLOCK:  # A block's intermediate values stay in the cache.
        flat = x.ravel()
        blocks = [exponential(flat[first : first + BLOCK]) for first in range(0, x.size, BLOCK)]
        return np.concatenate(blocks).reshape(x.shape)
    x = np.clip(x, LEAST_EXPONENT, MOST_EXPONENT)
    halvings = np.rint(x / LN2)
    rest = (x - halvings * LN2_HIGH) - halvings * LN2_LOW
    mantissa = 1 + (rest + rest * rest * _series(EXPONENTIAL, rest))
    with np.errstate(over="ignore", under="ignore"):
        return np.asarray(np.ldexp(mantissa, np.where(np.isnan(halvings), 0, halvings).astype(np.int32)))


def logarithm(values: npt.ArrayLike) -> Doubles:
    """Return the natural logarithm of each number above zero: float64 of the same shape; -inf of 0, NaN below it."""
    x = np.asarray(values, np.float64)
    mantissa, exponent = np.frexp(np.where((x > 0) & (x < np.inf), x, 1.0))
    low = mantissa < SQRT_HALF
    excess = np.where(low, 2 * mantissa, mantissa) - 1
    doublings = (exponent - low).astype(np.float64)
    share = excess / (2 + excess)
    square = share * share
    small = share * square * _series(ARTANH, square)
    found = doublings * LN2_HIGH + (2 * share + (small + doublings * LN2_LOW))
    found = np.where(x == 0, -np.inf, np.where(x == np.inf, np.inf, found))
    return np.asarray(np.where(x >= 0, found, np.nan))


def cosine(angles: npt.ArrayLike) -> Doubles:
    """Return the cosine of each angle in radians, at most 2^20 of either sign: float64 of the same shape."""
    return _turned(angles, 1)


def sine(angles: npt.ArrayLike) -> Doubles:
    """Return the sine of each angle in radians, at most 2^20 of either sign: float64 of the same shape."""
    return _turned(angles, 0)


def _turned(angles: npt.ArrayLike, quarters: int) -> Doubles:
    """Return the sine of each angle plus so many quarter turns."""
    x = np.asarray(angles, np.float64)
    if np.abs(x).max(initial=0.0) > MOST_ANGLE:
        raise ValueError(f"an angle of {np.abs(x).max():g} radians is too large; the most is {MOST_ANGLE:g}")
    turns = np.rint(x / (HALF_PI_HIGH + HALF_PI_LOW))
    rest = (x - turns * HALF_PI_HIGH) - turns * HALF_PI_LOW
    square = rest * rest
    sines = rest + rest * square * _series(SINE, square)
    cosines = 1 + (square * square * _series(COSINE, square) - 0.5 * square)
    quadrant = (turns.astype(np.int64) + quarters) % 4
    found = np.where(quadrant % 2 == 0, sines, cosines)
    return np.asarray(np.where(quadrant < 2, found, -found))


def _series(coefficients: tuple[float, ...], x: Doubles) -> Doubles:
    """Return the polynomial at x by Horner's rule, the coefficient of the highest power first."""
    total = np.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        total *= x
        total += coefficient
    return total
