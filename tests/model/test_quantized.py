"""Levels and grids: which value each level stands for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from quantized_networks import a_quantized_model
from smidgen.model import (
    Codebook,
    Tensor,
    Uniform,
    encode,
    nearest_step,
    quantize_tensor,
    size_report,
    values_of,
)


def test_a_value_is_a_level_times_a_step_rounded_once() -> None:
    tensor = quantize_tensor(np.array([[0.31, -0.29], [5.0, 0.0]], np.float32), 0.1, largest=7)
    assert tensor.levels.tolist() == [[3, -3], [7, 0]]
    assert values_of(tensor).tobytes() == (np.array([[3, -3], [7, 0]], np.float32) * np.float32(0.1)).tobytes()
    per_row = Tensor(np.array([[3, -3], [7, 1]], np.int32), Uniform(np.array([0.5, 2], np.float32)))
    assert values_of(per_row).tolist() == [[1.5, -1.5], [14, 2]]
    assert values_of(Tensor(np.array([-1, 2], np.int32), Codebook(np.array([9, 8, 7, 6], np.float32), 1))).tolist() == [
        9,
        6,
    ]


@pytest.mark.parametrize("step", [1e-9, 4.7684e-7, 0.013, 0.25, 0.26, 3.0, 1920, 1e6])
def test_the_nearest_step_is_near_and_takes_a_byte(step: float) -> None:
    near = float(nearest_step(step))
    if 4.8e-7 < step < 1920:
        assert near == pytest.approx(step, rel=1 / 16)
    quantized = a_quantized_model("dense 2", (1, 2, 2))
    made = {
        name: replace(tensor, grid=Uniform(np.array([near], np.float32))) for name, tensor in quantized.tensors.items()
    }
    parts = {part.name: part.bits for part in size_report(encode(replace(quantized, tensors=made)))}
    assert parts["0.weight grid"] < 8.5
