"""Networks whose files show what a second decoder could read otherwise; `tests/golden/` has the files.

python tests/golden_networks.py        writes those that are missing
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray

from smidgen.model import QuantizedModel, Tensor, Uniform, encode, flat_weights, tensor_shapes
from smidgen.model.quantized import COARSE_STEPS
from smidgen.spec import classes_of, parse_spec

GOLDEN = Path(__file__).parent / "golden"
SHAPE = (1, 8, 8)


def levels(seed: int, shape: tuple[int, ...], most: int) -> NDArray[np.int32]:
    """Levels from -most to most that stay the same for ever, every third of them zero."""
    count = int(np.prod(shape))
    words = np.random.PCG64(seed).random_raw(count).astype(np.float64) / 2.0**64
    found = np.rint((2 * words - 1) * most).astype(np.int32)
    found[::3] = 0
    return found.reshape(shape)


def network(text: str, coders: tuple[str, ...], steps: tuple[int, ...], most: int) -> QuantizedModel:
    """A network whose tensors have these coders and the coarse steps of these numbers, in turn."""
    spec = parse_spec(text)
    shapes = tensor_shapes(spec, SHAPE)
    tensors = {
        name: Tensor(
            levels(place, shape, most),
            Uniform(COARSE_STEPS[[steps[place % len(steps)]]]),
            coders[place % len(coders)],
        )
        for place, (name, shape) in enumerate(shapes.items())
    }
    classes = classes_of(next(reversed(shapes.values()))[0])
    return QuantizedModel(spec, SHAPE, tuple(map(str, range(classes))), tensors)


def two_kinds() -> QuantizedModel:
    """The weights of a batch norm and of a prelu are weights: they share the convolution's grid, the others do not."""
    text = "conv 3x3x3, batchnorm, prelu, maxpool 2, dense 2"
    spec = parse_spec(text)
    steps = tuple(150 if name.endswith(".weight") else 170 for name in tensor_shapes(spec, SHAPE))
    return network(text, ("adaptive",), steps, 5)


def same_coder() -> QuantizedModel:
    """Two tensors after each other have one coder and tables of their own."""
    coders = tuple(coder for coder in ("huffman", "fixed", "gaps", "static") for _ in range(4))
    text = "conv 3x3x3, conv 4x3x3, conv 5x3x3 same, conv 4x1x1, conv 3x3x3 same, conv 3x1x1 nobias, dense 4, dense 2"
    return network(text, coders, (140,), 9)


def one_axis() -> QuantizedModel:
    """A tensor of one axis is one row: the neighbours of a bias are those to its left."""
    return network("conv 24x3x3, prelu, globalavgpool, dense 3", ("neighbours",), (150, 160), 6)


def static_octave() -> QuantizedModel:
    """Levels that need one octave more than the static coder's table has, which no writer of ours makes."""
    return network("dense 6, dense 2", ("static", "adaptive"), (150,), 3)


def one_output() -> QuantizedModel:
    """One output stands for two classes: a file has two names, and is of version 2."""
    return replace(network("conv 3x3x3, maxpool 2, dense 1", ("adaptive",), (150,), 4), class_names=("low", "high"))


NETWORKS = {
    "v1-two-kinds": two_kinds,
    "v1-same-coder": same_coder,
    "v1-one-axis": one_axis,
    "v1-static-octave": static_octave,
    "v2-one-output": one_output,
}
DECODE_ONLY = "v1-static-octave"


def content_of(name: str) -> bytes:
    """The bytes of a golden file."""
    if name != DECODE_ONLY:
        return encode(NETWORKS[name]())
    # One octave in the table, as a foreign writer may choose: "is it at least 2?" is answered by 1 in places.
    with patch("smidgen.model.coding.coders._octaves", lambda levels: 1):
        return encode(NETWORKS[name]())


def main() -> None:
    for name, make in NETWORKS.items():
        path, quantized = GOLDEN / f"{name}.smidgen", make()
        if path.exists():
            continue
        path.write_bytes(content_of(name))
        weights = flat_weights(quantized)
        told = {
            "spec": str(quantized.spec),
            "input": list(quantized.input_shape),
            "names": list(quantized.class_names),
            "weights": weights.size,
            "coders": [tensor.coder for tensor in quantized.tensors.values()],
            "values_sha256": hashlib.sha256(weights.astype("<f4").tobytes()).hexdigest(),
        }
        path.with_suffix(".json").write_text(json.dumps(told, indent=1) + "\n")
        print(path.name, path.stat().st_size)


if __name__ == "__main__":
    main()
