"""How values are brought to the range that networks learn well from: an offset and a scale, from training data alone.

A scale is a power of two and an offset a multiple of half its inverse. So both take few bits in a file, a fixed-point
program scales by a shift, and the standard deviation of what a network reads lies between 0.7 and 1.4 and its mean
within 0.4 of zero.

- Vectors: each column on its own; or all alike where they are of one unit, as pixels are: at least 16 columns of whole
  numbers from 0 on, half of which reach half of the highest value. Bytes that reach more than 127 stay bytes.
- Signals: each channel on its own, over all windows and steps.
- Pictures: as they are if all values lie within -8 to 8 and deviate by at least 1/64; else all channels alike.

The scale is that of the standard deviation. A column with heavy tails (kurtosis above 30, or above a quarter of the
rows) is centred on its median, and its deviation is that of the normal distribution with the same quantiles at 5 % and
95 %, or 1/256 of the furthest value's distance if that is more. A constant column has its value as offset and reads 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from smidgen.data.layout import Layout
from smidgen.elementary import LN2, logarithm
from smidgen.spec import InputSpec, Shape
from smidgen.spec.input import IMAGE_BYTES, IMAGE_FLOATS, SIGNAL, VECTOR

Array = npt.NDArray[Any]
Doubles = npt.NDArray[np.float64]

SENSIBLE_PICTURE, LEAST_PICTURE_DEVIATION = 8.0, 1 / 64
ONE_UNIT_COLUMNS, ONE_UNIT_SHARE = 16, 0.5
PIXELS_ABOVE = 127
HEAVY_KURTOSIS = 30.0
QUANTILES, QUANTILE_DEVIATIONS = (0.05, 0.5, 0.95), 3.2897
"""Quantiles of a column with heavy tails, and the distance of the outer two in a normal distribution's deviations."""
FURTHEST = 256.0
STEPS_A_SCALE = 2
"""Offsets are multiples of the inverse scale over this."""


def describe_input(train: Array, layout: Layout) -> InputSpec:
    """Describe the input of a data set, with the offset and scale that its training split asks for.

    Args:
        train: The training split [n, channels, height, width], uint8 or floating-point numbers in the user's units.
        layout: How the user's arrays are laid out.
    """
    shape: Shape = (train.shape[1], train.shape[2], train.shape[3])
    low, high = (tuple(map(float, end(train, axis=(0, 2, 3)))) for end in (np.min, np.max))
    kind = {"vector": VECTOR, "signal": SIGNAL, "image": IMAGE_FLOATS}[layout.kind]
    one = layout.kind == "vector" and _is_one_unit(train, high)
    if train.dtype == np.uint8 and (layout.kind == "image" or (one and max(high) > PIXELS_ABOVE)):
        return InputSpec(IMAGE_BYTES, shape, low=low, high=high, axes=layout.axes)
    columns = np.moveaxis(train, 1, 0).reshape(shape[0], -1).astype(np.float64, copy=False)
    if kind == IMAGE_FLOATS or one:
        offset, scale = _one_for_all(columns, as_it_is=kind == IMAGE_FLOATS)
    else:
        offset, scale = _for_each(columns)
    return InputSpec(kind, shape, offset, scale, low, high, layout.axes)


def _is_one_unit(train: Array, high: tuple[float, ...]) -> bool:
    """Whether all columns count in the same unit, as pixels do."""
    if len(high) < ONE_UNIT_COLUMNS or train.min() < 0 or not (train == np.rint(train)).all():
        return False
    varying = np.array(high)[(train != train[:1]).any(axis=(0, 2, 3))]
    return bool(len(varying) and np.mean(varying >= varying.max() / 2) >= ONE_UNIT_SHARE)


def _one_for_all(columns: Doubles, as_it_is: bool) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """(offset, scale) of all channels together; () where the values stay as they are.

    Values from zero on keep their zero, which is black.
    """
    low, high, deviation = columns.min(), columns.max(), columns.std()
    if as_it_is and max(-low, high) <= SENSIBLE_PICTURE and (deviation >= LEAST_PICTURE_DEVIATION or deviation == 0):
        return (), ()
    centres, deviations = _centres_and_deviations(columns.reshape(1, -1))
    if low >= 0 and low <= deviations[0]:
        centres = np.zeros(1)
    return _rounded(centres, deviations)


def _for_each(columns: Doubles) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """(offset, scale) of each channel."""
    return _rounded(*_centres_and_deviations(columns))


def _centres_and_deviations(columns: Doubles) -> tuple[Doubles, Doubles]:
    """The centre and the deviation of each row of `columns`: float64 [channels] each; a constant's deviation is 0."""
    centres, deviations = columns.mean(axis=1), columns.std(axis=1)
    constant = (columns == columns[:, :1]).all(axis=1)
    centres[constant], deviations[constant] = columns[constant, 0], 0.0
    for channel in _with_heavy_tails(columns, centres, deviations):
        low, middle, high = np.quantile(columns[channel], QUANTILES)
        if high > low:
            furthest = np.abs(columns[channel] - middle).max()
            centres[channel] = middle
            deviations[channel] = max((high - low) / QUANTILE_DEVIATIONS, furthest / FURTHEST)
    return centres, deviations


def _with_heavy_tails(columns: Doubles, centres: Doubles, deviations: Doubles) -> list[int]:
    limit = min(HEAVY_KURTOSIS, columns.shape[1] / 4)
    heavy = []
    for channel in np.flatnonzero(deviations > 0).tolist():
        standardised = (columns[channel] - centres[channel]) / deviations[channel]
        if np.mean(np.square(np.square(standardised))) > limit:
            heavy.append(channel)
    return heavy


def _rounded(centres: Doubles, deviations: Doubles) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """(offset, scale) as float32 holds them; () where none changes anything."""
    varies = deviations > 0
    scale = np.ones_like(deviations)
    scale[varies] = np.ldexp(1.0, -np.round(logarithm(deviations[varies]) / LN2).clip(-100, 100).astype(np.int32))
    steps = STEPS_A_SCALE * scale
    offset = np.where(varies, np.round(centres * steps) / steps, centres).astype(np.float32)
    offsets, scales = tuple(map(float, offset)), tuple(map(float, scale))
    return offsets if any(offsets) else (), scales if any(each != 1 for each in scales) else ()
