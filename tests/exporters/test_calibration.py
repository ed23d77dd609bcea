"""The ranges of values that are rounded to bytes."""

from __future__ import annotations

import numpy as np
import pytest

from exported_networks import NETWORKS, network_with_grids
from smidgen.exporters.calibration import map_ranges, range_of, range_of_logits
from smidgen.spec import GlobalAvgPool, MaxPool


def _rounded(values: np.ndarray, step: float, zero: int) -> np.ndarray:  # type: ignore[type-arg]
    return (np.clip(np.rint(values / step) + zero, -128, 127) - zero) * step


def test_the_range_of_logits_keeps_classes_that_the_least_squared_error_would_not() -> None:
    rng = np.random.default_rng(0)
    logits = rng.uniform(-300, -100, (400, 4)).astype(np.float32)
    logits[:, :2] = rng.uniform(0, 3, (400, 2))
    kept = []
    for chosen in (range_of(logits), range_of_logits(logits)):
        rounded = _rounded(logits, chosen.step, chosen.zero)
        kept.append((rounded.argmax(axis=1) == logits.argmax(axis=1)).mean())
    assert kept[0] < 0.9 and kept[1] > 0.98


def test_one_output_keeps_its_sign() -> None:
    logits = np.linspace(-200, 1, 500, dtype=np.float32)[:, None]
    chosen = range_of_logits(logits)
    assert ((_rounded(logits, chosen.step, chosen.zero) > 0) == (logits > 0)).all()


@pytest.mark.parametrize(("keeping", "equal"), [((MaxPool,), False), ((MaxPool, GlobalAvgPool), True)])
def test_a_mean_has_steps_of_its_own_unless_a_format_forbids_it(keeping: tuple[type, ...], equal: bool) -> None:
    quantized = network_with_grids(*NETWORKS["pools"])
    images = np.random.default_rng(1).integers(0, 256, (50, *quantized.input_shape), dtype=np.uint8)
    ranges = map_ranges(quantized, images, keeping)
    kinds = [type(plan.layer) for plan in quantized.spec.plan(quantized.input_shape)]
    mean = kinds.index(GlobalAvgPool) + 1
    assert (ranges[mean] == ranges[mean - 1]) == equal
